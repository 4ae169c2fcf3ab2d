import type { Clock, Rng } from '../../base/index.ts';
import { pathId, type PathId, type UplinkId } from '../../model/index.ts';
import type { PathProfile, UnderlayReport } from '../world.ts';

export type UnderlayKind = 'esp' | 'ike' | 'clear';

/** One packet on the underlay. `arrive` runs at the far end unless it was lost. */
export interface UnderlayPacket {
  from: UplinkId;
  to: UplinkId;
  bytes: number;
  kind: UnderlayKind;
  arrive: () => void;
}

export interface UplinkRate {
  upMbps: number;
  downMbps: number;
}

interface PathCount {
  espPackets: number;
  espBytes: number;
  ikePackets: number;
  clearTextPackets: number;
  droppedPackets: number;
}

interface Flight {
  dueMs: number;
  sequence: number;
  packet: UnderlayPacket;
}

/** A queue of at most this much waits in front of a full line; what comes then is dropped, as in a router. */
const QUEUE_MAX_MS = 80;

/**
 * The underlay in one process: every path has delay, jitter, loss and bandwidth in each direction, every uplink its own
 * rates shared by all paths over it. Packets are moved in ticks of one millisecond of the clock, so that a virtual
 * second with thousands of packets costs a thousand timers.
 */
export class SimWan {
  readonly #clock: Clock;
  readonly #rng: Rng;
  readonly #rates: ReadonlyMap<UplinkId, UplinkRate>;
  readonly #profiles = new Map<string, PathProfile>();
  readonly #profileOf: (path: PathId) => PathProfile;
  readonly #busyUntil = new Map<string, number>();
  readonly #lastDueMs = new Map<string, number>();
  readonly #counts = new Map<PathId, PathCount>();
  readonly #flights = new FlightHeap();
  #sequence = 0;
  #ticking = false;

  constructor(options: { clock: Clock; rng: Rng; rates: ReadonlyMap<UplinkId, UplinkRate>; profileOf: (path: PathId) => PathProfile }) {
    this.#clock = options.clock;
    this.#rng = options.rng;
    this.#rates = options.rates;
    this.#profileOf = options.profileOf;
  }

  send(packet: UnderlayPacket): void {
    const path = pathId(packet.from, packet.to);
    const direction = `${packet.from}>${packet.to}`;
    const profile = this.#profile(path, direction);
    const count = this.#count(path);
    if (packet.kind === 'esp') {
      count.espPackets++;
      count.espBytes += packet.bytes;
    } else if (packet.kind === 'ike') count.ikePackets++;
    else count.clearTextPackets++;
    if (profile.down || (profile.lossRatio > 0 && this.#rng.next() < profile.lossRatio)) {
      count.droppedPackets++;
      return;
    }
    const readyMs = this.#passQueues(packet, profile, direction);
    if (readyMs === null) {
      count.droppedPackets++;
      return;
    }
    const jitterMs = profile.jitterMs > 0 ? (this.#rng.next() * 2 - 1) * profile.jitterMs : 0;
    const dueMs = Math.max(readyMs + Math.max(0, profile.delayMs + jitterMs), this.#lastDueMs.get(direction) ?? 0);
    this.#lastDueMs.set(direction, dueMs);
    this.#flights.push({ dueMs, sequence: this.#sequence++, packet });
    this.#ensureTick();
  }

  setProfile(path: PathId, change: Partial<PathProfile>, directions: readonly string[]): void {
    for (const direction of directions) this.#profiles.set(direction, { ...this.#profile(path, direction), ...change });
  }

  report(): UnderlayReport {
    const paths = [...this.#counts].map(([path, count]) => ({ path, ...count })).sort((left, right) => (left.path < right.path ? -1 : 1));
    const sum = (pick: (count: PathCount) => number): number => paths.reduce((total, count) => total + pick(count), 0);
    return { espPackets: sum((count) => count.espPackets), ikePackets: sum((count) => count.ikePackets), clearTextPackets: sum((count) => count.clearTextPackets), clearTextSeen: [], paths };
  }

  #profile(path: PathId, direction: string): PathProfile {
    let profile = this.#profiles.get(direction);
    if (!profile) {
      profile = this.#profileOf(path);
      this.#profiles.set(direction, profile);
    }
    return profile;
  }

  #count(path: PathId): PathCount {
    let count = this.#counts.get(path);
    if (!count) {
      count = { espPackets: 0, espBytes: 0, ikePackets: 0, clearTextPackets: 0, droppedPackets: 0 };
      this.#counts.set(path, count);
    }
    return count;
  }

  /** When the last bit has left the slowest of sending uplink, path and receiving uplink; null when a queue is full. */
  #passQueues(packet: UnderlayPacket, profile: PathProfile, direction: string): number | null {
    const bits = packet.bytes * 8;
    const lines: [string, number][] = [
      [`up ${packet.from}`, this.#rates.get(packet.from)?.upMbps ?? 0],
      [direction, profile.bandwidthMbps],
      [`down ${packet.to}`, this.#rates.get(packet.to)?.downMbps ?? 0],
    ];
    let atMs = this.#clock.monotonicMs();
    for (const [line, mbps] of lines) {
      if (mbps <= 0) continue;
      const startMs = Math.max(atMs, this.#busyUntil.get(line) ?? 0);
      if (startMs - atMs > QUEUE_MAX_MS) return null;
      atMs = startMs + bits / (mbps * 1000);
      this.#busyUntil.set(line, atMs);
    }
    return atMs;
  }

  #ensureTick(): void {
    if (this.#ticking) return;
    const next = this.#flights.peek();
    if (!next) return;
    this.#ticking = true;
    const delayMs = Math.max(1, Math.ceil(next.dueMs - this.#clock.monotonicMs()));
    this.#clock.setTimer(delayMs, () => {
      this.#ticking = false;
      const nowMs = this.#clock.monotonicMs();
      for (let flight = this.#flights.peek(); flight && flight.dueMs <= nowMs; flight = this.#flights.peek()) {
        this.#flights.pop();
        flight.packet.arrive();
      }
      this.#ensureTick();
    });
  }
}

class FlightHeap {
  readonly #items: Flight[] = [];

  peek(): Flight | undefined {
    return this.#items[0];
  }

  push(flight: Flight): void {
    const items = this.#items;
    items.push(flight);
    let index = items.length - 1;
    while (index > 0) {
      const parent = (index - 1) >> 1;
      if (!isEarlier(items[index]!, items[parent]!)) break;
      [items[index], items[parent]] = [items[parent]!, items[index]!];
      index = parent;
    }
  }

  pop(): void {
    const items = this.#items;
    const last = items.pop();
    if (items.length === 0 || !last) return;
    items[0] = last;
    for (let index = 0; ; ) {
      const left = 2 * index + 1;
      let least = index;
      if (left < items.length && isEarlier(items[left]!, items[least]!)) least = left;
      if (left + 1 < items.length && isEarlier(items[left + 1]!, items[least]!)) least = left + 1;
      if (least === index) return;
      [items[index], items[least]] = [items[least]!, items[index]!];
      index = least;
    }
  }
}

function isEarlier(left: Flight, right: Flight): boolean {
  return left.dueMs < right.dueMs || (left.dueMs === right.dueMs && left.sequence < right.sequence);
}
