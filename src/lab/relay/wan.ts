import { type Clock, createRng, ForemeshError, type Rng } from '../../base/index.ts';
import { type PathId, type UplinkId, uplinksOfPath } from '../../model/index.ts';
import type { PathProfiles } from '../net/index.ts';
import type { PathProfile } from '../world.ts';
import { type AddressKey, classify, describe, destinationOf, fragmentKey, hasMoreFragments, isIpDatagram, type PacketClass, parseAddress, sourceOf, wireBytes } from './packet.ts';
import type { Direction, DirectionCount, RelayEndpoint, SetPathRequest, WanReport } from './protocol.ts';
import { createSchedule } from './schedule.ts';
import { createShaper, type Shaper, take } from './shaper.ts';

export interface WanOptions {
  endpoints: readonly RelayEndpoint[];
  profiles: readonly PathProfiles[];
  seed: string;
  clock: Clock;
  /** Hands a datagram to the socket of the uplink it is for. */
  deliver(to: UplinkId, datagram: Buffer): void;
  /** How long packets that are received now may have lain in a socket, ms: they come in one heap, as they did not on the wire. */
  slackMs?: () => number;
}

/** The emulated internet between uplinks. */
export interface Wan {
  /** Takes a VXLAN datagram that came out of an uplink; keeps the buffer. */
  receive(from: UplinkId, datagram: Buffer): void;
  setPath(request: SetPathRequest): void;
  report(): WanReport;
}

interface Endpoint {
  uplink: UplinkId;
  address: AddressKey;
  up: Shaper;
  down: Shaper;
  /** Packets in the download queue. */
  waiting: number;
  /** One way to each other uplink, by that uplink's address. */
  ways: Map<AddressKey, Way>;
}

/** One direction of one path. */
interface Way {
  path: PathId;
  to: Endpoint;
  profile: PathProfile;
  shaper: Shaper;
  loss: Rng;
  jitter: Rng;
  /** Packets keep their order: none leaves before the one ahead of it. */
  lastDueMs: number;
  count: DirectionCount;
}

const CLEAR_TEXT_SEEN_MAX = 20;
const FRAGMENTS_REMEMBERED_MAX = 256;

/**
 * The paths are those of `profiles`; on any other way nothing passes. A packet passes, in this order: the sender's upload (shared by its paths), the
 * path's cut, loss and bandwidth, its delay and jitter, the receiver's download (shared by its paths).
 */
export function createWan(options: WanOptions): Wan {
  const slackMs = options.slackMs ?? (() => 0);
  const { clock } = options;
  const paths = new Map<PathId, { forward: Way; reverse: Way }>();
  const endpoints = linkEndpoints(options, paths);
  const byUplink = new Map(endpoints.map((endpoint) => [endpoint.uplink, endpoint]));
  const schedule = createSchedule(clock);
  const fragments = new Map<string, PacketClass>();
  const seen: WanReport['clearTextSeen'] = [];
  let strayPackets = 0;
  let otherFrames = 0;

  function receive(fromUplink: UplinkId, datagram: Buffer): void {
    const from = byUplink.get(fromUplink);
    if (!from || !isIpDatagram(datagram)) return void otherFrames++;
    const way = from.ways.get(destinationOf(datagram));
    if (!way || sourceOf(datagram) !== from.address) {
      strayPackets++;
      return remember(way?.path ?? null, fromUplink, datagram);
    }
    const packetClass = classOf(datagram);
    countEntering(way.count, packetClass, wireBytes(datagram));
    if (packetClass === 'clearText') remember(way.path, fromUplink, datagram);
    carry(from, way, datagram);
  }

  function carry(from: Endpoint, way: Way, datagram: Buffer): void {
    const bytes = wireBytes(datagram);
    const { profile, count } = way;
    const uploadedMs = take(from.up, clock.monotonicMs(), bytes, slackMs());
    if (uploadedMs === null) return void count.queueDroppedPackets++;
    if (profile.down || bytes > (profile.mtuBytes ?? Infinity)) return void count.cutPackets++;
    if (profile.lossRatio > 0 && way.loss.next() < profile.lossRatio) return void count.lostPackets++;
    const passedMs = take(way.shaper, uploadedMs, bytes, slackMs());
    if (passedMs === null) return void count.queueDroppedPackets++;
    const jitterMs = profile.jitterMs > 0 ? (way.jitter.next() * 2 - 1) * 1.5 * profile.jitterMs : 0;
    way.lastDueMs = Math.max(way.lastDueMs, passedMs + Math.max(0, profile.delayMs + jitterMs));
    const dueMs = way.lastDueMs;
    schedule.at(dueMs, () => download(way, datagram, bytes, dueMs));
  }

  /** Decided on arrival, not on departure: the packets of nearer senders arrive in between. */
  function download(way: Way, datagram: Buffer, bytes: number, arrivedMs: number): void {
    const { to, count } = way;
    const isIdle = to.down.busyUntilMs <= arrivedMs && to.waiting === 0; // a late timer may still hold packets that came before
    const dueMs = take(to.down, arrivedMs, bytes, slackMs());
    if (dueMs === null) return void count.queueDroppedPackets++;
    count.deliveredPackets++;
    if (isIdle) return options.deliver(to.uplink, datagram);
    to.waiting++;
    schedule.at(dueMs, () => {
      to.waiting--;
      options.deliver(to.uplink, datagram);
    });
  }

  function classOf(datagram: Buffer): PacketClass {
    const packetClass = classify(datagram);
    if (packetClass === null) return fragments.get(fragmentKey(datagram)) ?? 'clearText';
    if (hasMoreFragments(datagram)) {
      fragments.set(fragmentKey(datagram), packetClass);
      if (fragments.size > FRAGMENTS_REMEMBERED_MAX) fragments.delete(fragments.keys().next().value!);
    }
    return packetClass;
  }

  function remember(path: PathId | null, uplink: UplinkId, datagram: Buffer): void {
    if (seen.length < CLEAR_TEXT_SEEN_MAX) seen.push({ path, uplink, at: clock.now(), header: describe(datagram) });
  }

  return {
    receive,
    setPath({ path, directions, profile }) {
      const ways = paths.get(path);
      if (!ways) throw new ForemeshError('LAB_FAILED', { what: `there is no path ${path}`, fix: 'use one that `foremesh lab status` lists' });
      for (const direction of directions) {
        const way = ways[direction];
        way.profile = { ...way.profile, ...profile };
        way.shaper.bandwidthMbps = way.profile.bandwidthMbps;
      }
    },
    report: () => ({
      paths: [...paths].map(([path, { forward, reverse }]) => ({
        path,
        forward: { ...forward.count },
        reverse: { ...reverse.count },
        profiles: { path, forward: forward.profile, reverse: reverse.profile },
      })),
      strayPackets,
      otherFrames,
      clearTextSeen: [...seen],
    }),
  };
}

function linkEndpoints(options: WanOptions, paths: Map<PathId, { forward: Way; reverse: Way }>): Endpoint[] {
  const rng = createRng(options.seed);
  const endpoints = new Map<UplinkId, Endpoint>();
  for (const { uplink, address, upMbps, downMbps } of options.endpoints) {
    endpoints.set(uplink, { uplink, address: parseAddress(address), up: createShaper(upMbps), down: createShaper(downMbps), waiting: 0, ways: new Map() });
  }
  for (const { path, ...profiles } of options.profiles) {
    const [lesser, greater] = uplinksOfPath(path).map((uplink) => endpoints.get(uplink));
    if (!lesser || !greater) throw new ForemeshError('LAB_FAILED', { what: `path ${path} has an end that is no uplink here`, fix: 'give profiles for paths of this intent' });
    const way = (to: Endpoint, direction: Direction): Way => {
      const draws = rng.fork(`${path}/${direction}`);
      const profile = profiles[direction];
      return { path, to, profile, shaper: createShaper(profile.bandwidthMbps), loss: draws.fork('loss'), jitter: draws.fork('jitter'), lastDueMs: 0, count: emptyCount() };
    };
    const ways = { forward: way(greater, 'forward'), reverse: way(lesser, 'reverse') };
    lesser.ways.set(greater.address, ways.forward);
    greater.ways.set(lesser.address, ways.reverse);
    paths.set(path, ways);
  }
  return [...endpoints.values()];
}

function countEntering(count: DirectionCount, packetClass: PacketClass, bytes: number): void {
  if (packetClass === 'esp') {
    count.espPackets++;
    count.espBytes += bytes;
  } else if (packetClass === 'ike') count.ikePackets++;
  else if (packetClass === 'icmpError') count.icmpErrorPackets++;
  else count.clearTextPackets++;
}

function emptyCount(): DirectionCount {
  return {
    espPackets: 0,
    espBytes: 0,
    ikePackets: 0,
    icmpErrorPackets: 0,
    clearTextPackets: 0,
    deliveredPackets: 0,
    lostPackets: 0,
    cutPackets: 0,
    queueDroppedPackets: 0,
  };
}
