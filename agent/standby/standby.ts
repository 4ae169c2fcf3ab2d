import type { Cancel, Clock, Log } from '../../src/base/index.ts';
import type { NodeId, SharedLan } from '../../src/model/index.ts';
import type { Credentials } from '../ports.ts';
import { holdDownOf, isUnheard, silenceMaxMs, type Scene } from './election.ts';
import { hear, laterBy, type Partner } from './partner.ts';
import { LEASE_MS, seatsOf, settleSeat, type Seat } from './seat.ts';
import { createLanIdentity, encodeHeartbeat, encodeHello, openHeartbeat, openSession, peekHello, verifyHello } from './session.ts';
import { readWords, type SeatWords } from './words.ts';

/** What the LAN side of a gateway runs by. */
export interface StandbySettings {
  generation: number;
  interface: string;
  /** The shared address that hosts have by this node's intent, with or without the length of its network; `shared.others` are further ones. */
  address: string;
  /** The one for hosts with IPv6, where the site has such. */
  address6?: string;
  prefixes: string[];
  shared: SharedLan;
  /** The hold-down time of the address doubles with each further fall, up to this, ms. */
  holdDownMaxMs: number;
}

/** The LAN as a gateway sees it; the simulated network has its own behind this. */
export interface LanPort {
  /** Ready to hear and send by `own` once the address is there; `onPacket` gets what anybody sent. */
  open(settings: StandbySettings, own: string, onPacket: (packet: Uint8Array) => void): LanLink;
}

/** One address that hosts have as their gateway, and the one that goes with it for hosts with IPv6. */
export interface SharedAddress {
  address: string;
  address6?: string | undefined;
}

export interface LanLink {
  /** The interface has a carrier and our own address. */
  isUp(): boolean;
  /** The kernel has this shared address now. */
  hasAddress(address: string): boolean;
  send(to: string, packet: Uint8Array): void;
  /** Makes an address ours, for `leaseMs` unless taken again (null: for good); `announce` tells the LAN. */
  take(seat: SharedAddress, leaseMs: number | null, announce: boolean): void;
  giveUp(seat: SharedAddress): void;
  close(): void;
}

export interface StandbyView {
  /** It owns the address of this node's intent. */
  holds: boolean;
  /** The shared addresses that it owns, sorted. */
  owns: string[];
  /** False: this gateway has lost its LAN, so that what reaches it through tunnels cannot be delivered. */
  isLanUp: boolean;
  /** Others are heard on the LAN, but none of them hears this gateway: its own words reach nobody, and its packets may not either. */
  isUnheard: boolean;
  /** Other gateways of the site that are heard. */
  partners: NodeId[];
}

export const NO_LAN_SHARED: StandbyView = { holds: false, owns: [], isLanUp: true, isUnheard: false, partners: [] };

/** The LAN side of one gateway of several. */
export interface Standby {
  /** Null: this gateway shares its address with nobody (any more). */
  configure(settings: StandbySettings | null): void;
  useCredentials(credentials: Credentials): void;
  /** Keys of nodes that count no more, as lists of revocations have them; whoever has one of these is not heard from now on. */
  setRevoked(keysSha256: readonly string[]): void;
  /** Sites that a tunnel of ours leads to now. */
  setReach(sites: number): void;
  view(): StandbyView;
  /** Asks the others to wait for `pauseMs` before they take over what is ours (0: tells them nothing), then ends. */
  close(pauseMs: number): Promise<void>;
}

export interface StandbyDeps {
  node: NodeId;
  lan: LanPort;
  clock: Clock;
  log: Log;
  credentials: Credentials;
  /** Told when `view` changes. */
  onView: (view: StandbyView) => void;
}

export type StartStandby = (credentials: Credentials, onView: (view: StandbyView) => void) => Standby;

/** A LAN that came back is said to be up after this long, unless it is needed at once: switches and address resolution take their time, ms. */
const LAN_RETURN_MS = 2_000;
/** Hellos of strangers and of partners that come back are checked this often at most, ms: a flood costs no more than that. */
const HELLO_CHECK_MS = 20;

/** The LAN side in this very thread. */
export function createStandby(deps: StandbyDeps): Standby {
  const { node, clock, log } = deps;
  const identity = createLanIdentity(node);
  let credentials = deps.credentials;
  let settings: StandbySettings | null = null;
  let link: LanLink | null = null;
  let partners: Partner[] = [];
  let seats: Seat[] = [];
  let hello = encodeHello(identity, credentials);
  let reach = 0;
  let number = 0;
  let revoked: ReadonlySet<string> = new Set();
  let told = NO_LAN_SHARED;
  let cancelTick: Cancel = () => undefined;
  let tickDueMs = 0;
  let sentAtMs = 0;
  let helloCheckedMs = -HELLO_CHECK_MS;
  let wasLanUp = false;
  let lanUpSinceMs: number | null = null;

  function configure(next: StandbySettings | null): void {
    const mine = next?.shared.members.find((member) => member.node === node);
    if (!next || !mine) return end();
    const isSameLink = settings !== null && link !== null && linkKey(settings, node) === linkKey(next, node);
    settings = next;
    const known = new Map(partners.map((partner) => [partner.node, partner]));
    partners = next.shared.members.filter((member) => member.node !== node).map((member) => ({ sessions: [], heard: null, ...known.get(member.node), ...member }));
    if (isSameLink) {
      seats = seatsOf(next, seats, link!);
      return evaluate();
    }
    link?.close();
    link = deps.lan.open(next, mine.address, receive);
    seats = seatsOf(next, [], link);
    [wasLanUp, lanUpSinceMs] = [false, null];
    tickDueMs = clock.monotonicMs();
    cancelTick();
    tick();
  }

  function end(): void {
    cancelTick();
    // what hosts have by our own intent is for `apply` to keep or take away
    for (const seat of seats) if (seat.standing.holds && seat.address !== settings?.address) link?.giveUp(seat);
    link?.close();
    [settings, link, partners, seats] = [null, null, [], []];
    tell(NO_LAN_SHARED);
  }

  function tick(): void {
    if (!settings) return;
    const { intervalMs } = settings.shared.heartbeat;
    const nowMs = clock.monotonicMs();
    const lateMs = nowMs - tickDueMs;
    // who stood still himself has heard nobody meanwhile, and judges nobody by that time
    if (lateMs > intervalMs) for (const partner of partners) if (partner.heard) partner.heard = laterBy(partner.heard, lateMs);
    evaluate();
    if (nowMs - sentAtMs >= intervalMs * 0.9) sendAll(0);
    tickDueMs = nowMs + intervalMs / 2;
    cancelTick = clock.setTimer(intervalMs / 2, tick);
  }

  function evaluate(): void {
    if (!settings || !link) return;
    const nowMs = clock.monotonicMs();
    const isLanUp = link.isUp();
    const names = alivePartners(nowMs);
    const moved = seats.filter((seat) => settleSeat(seat, sceneOf(seat, settings!, nowMs, isLanUp), link!, names.length > 0));
    for (const { address, standing: { holds } } of moved) log.info({ holds, address, partners: names, reach, generation: settings.generation }, holds ? 'the LAN address is ours' : 'the LAN address is given up');
    if (moved.length > 0) sendAll(0);
    lanUpSinceMs = isLanUp ? (lanUpSinceMs ?? (wasLanUp ? nowMs : Number.NEGATIVE_INFINITY)) : null;
    wasLanUp ||= isLanUp;
    const owns = seats.flatMap(({ standing, address }) => (standing.holds ? [address] : [])).sort();
    const isUnheardNow = seats[0] !== undefined && isUnheard(sceneOf(seats[0], settings, nowMs, isLanUp));
    tell({ holds: owns.includes(settings.address), owns, isLanUp: !wasLanUp || (lanUpSinceMs !== null && (owns.length > 0 || nowMs - lanUpSinceMs >= LAN_RETURN_MS)), isUnheard: isUnheardNow, partners: names });
  }

  function sceneOf({ address, preferred }: Pick<Seat, 'address' | 'preferred'>, { shared, generation, holdDownMaxMs }: StandbySettings, nowMs: number, isLanUp: boolean): Scene {
    const heard = partners.flatMap((partner) => partner.heard?.byAddress.get(address) ?? []);
    return { nowMs, self: { node, generation, preferred, reach }, isLanUp, heard, heartbeat: shared.heartbeat, holdDownMaxMs };
  }

  function alivePartners(nowMs: number): NodeId[] {
    return partners.flatMap((partner) => (partner.heard && nowMs < partner.heard.untilMs ? [partner.node] : []));
  }

  function sendAll(pauseMs: number): void {
    if (!settings || !link) return;
    const nowMs = clock.monotonicMs();
    sentAtMs = nowMs;
    const { generation, address, holdDownMaxMs, shared: { heartbeat } } = settings;
    const words = new Map(seats.map(({ address: of, preferred, standing }): [string, SeatWords] => [of, { preferred, holds: standing.holds, isInterim: standing.isInterim, holdDownMs: holdDownOf(standing, { nowMs, heartbeat, holdDownMaxMs }) }]));
    // an older agent reads what is beside the addresses, of which it shares one only
    const body = { generation, reach, hears: alivePartners(nowMs), pauseMs, ...words.get(address), addresses: Object.fromEntries(words) };
    for (const partner of partners) {
      const isKnown = partner.heard !== null && nowMs < partner.heard.untilMs && partner.sessions.length === 1;
      if (!isKnown) link.send(partner.address, hello);
      for (const session of partner.sessions) link.send(partner.address, encodeHeartbeat(identity, session, ++number, body));
    }
  }

  function receive(packet: Uint8Array): void {
    if (!settings) return;
    const key = peekHello(packet);
    if (key) receiveHello(packet, key);
    else for (const partner of partners) if (receiveHeartbeat(partner, packet)) return;
  }

  function receiveHello(packet: Uint8Array, key: Buffer): void {
    const nowMs = clock.monotonicMs();
    if (partners.some(({ sessions }) => sessions.some(({ peerKey }) => peerKey.equals(key))) || nowMs - helloCheckedMs < HELLO_CHECK_MS) return;
    helloCheckedMs = nowMs;
    const sender = verifyHello(packet, credentials.caPem, clock.now(), revoked);
    const partner = partners.find((one) => one.node === sender?.node);
    if (!sender || !partner) return;
    // the newest beside the one in use; a third replaces the second, which nothing has sealed yet
    partner.sessions = [...partner.sessions.slice(0, 1), openSession(identity, sender, key)];
    link?.send(partner.address, hello);
  }

  function receiveHeartbeat(partner: Partner, packet: Uint8Array): boolean {
    for (const session of partner.sessions) {
      const opened = openHeartbeat(packet, session);
      if (!opened) continue;
      const words = readWords(opened.body);
      if (!words) return true;
      session.lastNumber = opened.number;
      if (partner.sessions.indexOf(session) === partner.sessions.length - 1) partner.sessions = [session];
      const nowMs = clock.monotonicMs();
      const isNews = partner.heard === null || nowMs >= partner.heard.untilMs;
      partner.heard = hear(partner, words, { self: node, nowMs, address: settings!.address, silenceMs: silenceMaxMs(settings!.shared.heartbeat) });
      evaluate();
      // while it was not heard it may have taken what is ours, and have given it up before its first word
      if (isNews) for (const seat of seats) if (seat.standing.holds) link?.take(seat, LEASE_MS, true);
      return true;
    }
    return false;
  }

  function tell(view: StandbyView): void {
    const isSame = view.holds === told.holds && view.owns.join() === told.owns.join() && view.isLanUp === told.isLanUp && view.isUnheard === told.isUnheard && view.partners.join() === told.partners.join();
    told = view;
    if (!isSame) deps.onView(view);
  }

  return {
    configure,
    useCredentials(next) {
      credentials = next;
      hello = encodeHello(identity, next);
    },
    setRevoked(keys) {
      revoked = new Set(keys);
      for (const partner of partners) {
        const counting = partner.sessions.filter(({ keySha256 }) => !revoked.has(keySha256));
        if (counting.length < partner.sessions.length) [partner.sessions, partner.heard] = [counting, null];
      }
      evaluate();
    },
    setReach(sites) {
      reach = sites;
    },
    view: () => told,
    close(pauseMs) {
      const isPartnerAlive = told.partners.length > 0;
      if (pauseMs > 0 && link) {
        for (let copies = 0; copies < 3; copies++) sendAll(pauseMs);
        for (const seat of seats) if (seat.standing.holds) link.take(seat, isPartnerAlive ? pauseMs + LEASE_MS : null, false);
      }
      cancelTick();
      link?.close();
      [settings, link] = [null, null];
      return Promise.resolve();
    },
  };
}

function linkKey({ interface: name, prefixes, shared }: StandbySettings, node: NodeId): string {
  return `${name} ${prefixes.join()} ${shared.members.find((member) => member.node === node)?.address ?? ''}`;
}
