import type { Cancel, Clock, Log } from '../../src/base/index.ts';
import type { NodeId, SharedLan } from '../../src/model/index.ts';
import type { Credentials } from '../ports.ts';
import { decide, firstStanding, holdDownOf, isUnheard, noteHeard, silenceMaxMs, type Heard, type MemberState, type Scene, type Standing } from './election.ts';
import { createLanIdentity, encodeHeartbeat, encodeHello, openHeartbeat, openSession, peekHello, verifyHello, type Session } from './session.ts';

/** What the LAN side of a gateway runs by. */
export interface StandbySettings {
  generation: number;
  interface: string;
  /** The shared address, with or without the length of its network. */
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

export interface LanLink {
  /** The interface has a carrier and our own address. */
  isUp(): boolean;
  /** The kernel has the shared address now. */
  hasAddress(): boolean;
  send(to: string, packet: Uint8Array): void;
  /** Makes it ours, for `leaseMs` unless taken again (null: for good); `announce` tells the LAN. */
  take(leaseMs: number | null, announce: boolean): void;
  giveUp(): void;
  close(): void;
}

export interface StandbyView {
  holds: boolean;
  /** False: this gateway has lost its LAN, so that what reaches it through tunnels cannot be delivered. */
  isLanUp: boolean;
  /** Others are heard on the LAN, but none of them hears this gateway: its own words reach nobody, and its packets may not either. */
  isUnheard: boolean;
  /** Other gateways of the site that are heard. */
  partners: NodeId[];
}

export const NO_LAN_SHARED: StandbyView = { holds: false, isLanUp: true, isUnheard: false, partners: [] };

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

/** While another gateway listens, an address is ours for this long only, unless renewed: an agent that dies is fenced by its own kernel, ms. */
const LEASE_MS = 5_000;
const LEASE_RENEW_MS = 1_000;
/** Hellos of strangers and of partners that come back are checked this often at most, ms: a flood costs no more than that. */
const HELLO_CHECK_MS = 20;

interface Partner {
  node: NodeId;
  address: string;
  /** What was agreed, and what may replace it once something sealed by it arrives. */
  sessions: Session[];
  heard: Heard | null;
}

/** The LAN side in this very thread. */
export function createStandby(deps: StandbyDeps): Standby {
  const { node, clock, log } = deps;
  const identity = createLanIdentity(node);
  let credentials = deps.credentials;
  let settings: StandbySettings | null = null;
  let link: LanLink | null = null;
  let partners: Partner[] = [];
  let standing: Standing = firstStanding(false);
  let hello = encodeHello(identity, credentials);
  let reach = 0;
  let number = 0;
  let revoked: ReadonlySet<string> = new Set();
  let told = NO_LAN_SHARED;
  let cancelTick: Cancel = () => undefined;
  let tickDueMs = 0;
  let sentAtMs = 0;
  let leasedAtMs = 0;
  let helloCheckedMs = -HELLO_CHECK_MS;
  let wasLanUp = false;

  function configure(next: StandbySettings | null): void {
    const mine = next?.shared.members.find((member) => member.node === node);
    if (!next || !mine) return end();
    const isSameLink = settings !== null && link !== null && linkKey(settings, node) === linkKey(next, node);
    settings = next;
    const known = new Map(partners.map((partner) => [partner.node, partner]));
    partners = next.shared.members.filter((member) => member.node !== node).map((member) => ({ sessions: [], heard: null, ...known.get(member.node), ...member }));
    if (isSameLink) return evaluate();
    link?.close();
    link = deps.lan.open(next, mine.address, receive);
    standing = firstStanding(link.hasAddress()); // after a restart it may be ours still
    wasLanUp = false;
    tickDueMs = clock.monotonicMs();
    cancelTick();
    tick();
  }

  function end(): void {
    cancelTick();
    link?.close();
    [settings, link, partners, standing] = [null, null, [], firstStanding(false)];
    tell(NO_LAN_SHARED);
  }

  function tick(): void {
    if (!settings) return;
    const { intervalMs } = settings.shared.heartbeat;
    const nowMs = clock.monotonicMs();
    const lateMs = nowMs - tickDueMs;
    // who stood still himself has heard nobody meanwhile, and judges nobody by that time
    if (lateMs > intervalMs) {
      for (const partner of partners) {
        if (!partner.heard) continue;
        const { untilMs, deafSinceMs } = partner.heard;
        partner.heard = { ...partner.heard, untilMs: untilMs + lateMs, deafSinceMs: deafSinceMs === null ? null : deafSinceMs + lateMs };
      }
    }
    evaluate();
    if (nowMs - sentAtMs >= intervalMs * 0.9) sendAll(0);
    tickDueMs = nowMs + intervalMs / 2;
    cancelTick = clock.setTimer(intervalMs / 2, tick);
  }

  function evaluate(): void {
    if (!settings || !link) return;
    const { generation } = settings;
    const nowMs = clock.monotonicMs();
    const isLanUp = link.isUp();
    const scene = sceneOf(settings, nowMs, isLanUp);
    const before = standing;
    standing = decide(before, scene);
    const alive = partners.filter((partner) => partner.heard !== null && nowMs < partner.heard.untilMs);
    const ousted = alive.some((partner) => partner.heard!.state.holds);
    if (standing.holds !== before.holds) log.info({ holds: standing.holds, partners: alive.map((partner) => partner.node), reach, generation }, standing.holds ? 'the LAN address is ours' : 'the LAN address is given up');
    keepKernel(standing.holds, before.holds, alive.length > 0, nowMs);
    // who had a rival until now may have lost hosts to it: say again where the address is
    if (standing.holds && before.holds && wasContested && !ousted) link.take(alive.length > 0 ? LEASE_MS : null, true);
    wasContested = standing.holds && ousted;
    if (standing.holds !== before.holds) sendAll(0);
    wasLanUp ||= isLanUp;
    tell({ holds: standing.holds, isLanUp: isLanUp || !wasLanUp, isUnheard: isUnheard(scene), partners: alive.map((partner) => partner.node) });
  }
  let wasContested = false;

  function sceneOf({ shared, generation, holdDownMaxMs }: StandbySettings, nowMs: number, isLanUp: boolean): Scene {
    const heard = partners.flatMap((partner) => partner.heard ?? []);
    return { nowMs, self: { node, generation, preferred: shared.preferred, reach }, isLanUp, heard, heartbeat: shared.heartbeat, holdDownMaxMs };
  }

  function keepKernel(holds: boolean, held: boolean, isPartnerAlive: boolean, nowMs: number): void {
    if (!link) return;
    if (!holds) {
      if (held || link.hasAddress()) link.giveUp();
      return;
    }
    const isNew = !held || !link.hasAddress();
    if (!isNew && nowMs - leasedAtMs < LEASE_RENEW_MS) return;
    leasedAtMs = nowMs;
    link.take(isPartnerAlive ? LEASE_MS : null, isNew);
  }

  function sendAll(pauseMs: number): void {
    if (!settings || !link) return;
    sentAtMs = clock.monotonicMs();
    const scene = sceneOf(settings, sentAtMs, true);
    const hears = scene.heard.filter(({ untilMs }) => scene.nowMs < untilMs).map(({ state }) => state.node);
    const state: MemberState = { ...scene.self, holds: standing.holds, isInterim: standing.isInterim, hears, holdDownMs: holdDownOf(standing, scene) };
    for (const partner of partners) {
      const isKnown = partner.heard !== null && clock.monotonicMs() < partner.heard.untilMs && partner.sessions.length === 1;
      if (!isKnown) link.send(partner.address, hello);
      for (const session of partner.sessions) link.send(partner.address, encodeHeartbeat(identity, session, ++number, { ...state, pauseMs }));
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
      const state = readState(opened.body, partner.node);
      if (!state) return true;
      session.lastNumber = opened.number;
      if (partner.sessions.indexOf(session) === partner.sessions.length - 1) partner.sessions = [session];
      const nowMs = clock.monotonicMs();
      partner.heard = noteHeard(partner.heard, state, { self: node, nowMs, untilMs: nowMs + Math.max(silenceMaxMs(settings!.shared.heartbeat), state.pauseMs) });
      evaluate();
      return true;
    }
    return false;
  }

  function tell(view: StandbyView): void {
    const isSame = view.holds === told.holds && view.isLanUp === told.isLanUp && view.isUnheard === told.isUnheard && view.partners.join() === told.partners.join();
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
        if (standing.holds) link.take(isPartnerAlive ? pauseMs + LEASE_MS : null, false);
      }
      cancelTick();
      link?.close();
      [settings, link] = [null, null];
      return Promise.resolve();
    },
  };
}

/** Longest wait that a partner may ask for, ms. */
const PAUSE_MAX_MS = 60_000;

/** Longest hold-down time that a partner may ask for, ms. */
const HOLD_DOWN_MAX_MS = 86_400_000;

function isNames(value: unknown): value is NodeId[] | null {
  return value === null || (Array.isArray(value) && value.every((name) => typeof name === 'string'));
}

function readState(body: unknown, node: NodeId): (MemberState & { pauseMs: number }) | null {
  if (typeof body !== 'object' || body === null) return null;
  const { generation, preferred, holds, isInterim, reach, pauseMs, hears = null, holdDownMs = 0 } = body as Record<string, unknown>; // the last two are not said by older agents
  const isCount = (value: unknown): value is number => typeof value === 'number' && Number.isSafeInteger(value) && value >= 0;
  if (!isNames(hears) || !isCount(holdDownMs)) return null;
  if (!isCount(generation) || !isCount(reach) || !isCount(pauseMs) || typeof holds !== 'boolean' || typeof isInterim !== 'boolean' || typeof preferred !== 'string') return null;
  return { node, generation, preferred: preferred as NodeId, holds, isInterim, reach, hears, holdDownMs: Math.min(holdDownMs, HOLD_DOWN_MAX_MS), pauseMs: Math.min(pauseMs, PAUSE_MAX_MS) };
}

function linkKey({ interface: name, address, address6 = '', shared }: StandbySettings, node: NodeId): string {
  return `${name} ${address} ${address6} ${shared.members.find((member) => member.node === node)?.address ?? ''}`;
}
