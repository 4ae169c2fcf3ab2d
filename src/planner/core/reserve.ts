import type { Flows } from './flows.ts';
import type { Paths } from './paths.ts';
import type { Tables } from './tables.ts';

/**
 * Capacity that backups may count on, shared: of what can fail, one thing fails at a time, so a resource holds the most that any
 * one failure sends over it, not the sum. Traffic less important than the backup gives way, so it is held back nothing for.
 */
export interface Reserve {
  /** Mbit/s that failure f sends over resource r, by r × risks + f. */
  byRisk: Sums;
  /** The most of these, by resource. */
  most: Float64Array;
  /** By class: load of what is at least as important, by resource. */
  firm: Float64Array[];
}

/** Slots of a table of sums at first, and the share of them that may be taken. */
const SLOTS = 1024;
const FULLEST = 0.5;
/** Spreads keys over slots (Knuth's multiplicative hashing: 2³² / the golden ratio). */
const SPREAD = 0x9e3779b1;

/** Sums by whole number, 0 where nothing was added: a hash table of plain arrays, several times as fast as a Map at a million of them. */
class Sums {
  private keys = new Float64Array(SLOTS).fill(-1);
  private sums = new Float64Array(SLOTS);
  private taken = 0;

  get(key: number): number {
    return this.sums[this.slotOf(key)]!;
  }

  /** Adds to a sum, and returns it. */
  add(key: number, amount: number): number {
    let slot = this.slotOf(key);
    if (this.keys[slot] !== key) {
      if (this.taken >= FULLEST * this.keys.length) {
        this.grow();
        slot = this.slotOf(key);
      }
      this.keys[slot] = key;
      this.taken++;
    }
    return (this.sums[slot] = this.sums[slot]! + amount);
  }

  /** Where a key is, or would be. */
  private slotOf(key: number): number {
    const { keys } = this;
    const last = keys.length - 1;
    let slot = (Math.imul(key, SPREAD) >>> 8) & last;
    while (keys[slot] !== key && keys[slot] !== -1) slot = (slot + 1) & last;
    return slot;
  }

  private grow(): void {
    const { keys, sums } = this;
    this.keys = new Float64Array(2 * keys.length).fill(-1);
    this.sums = new Float64Array(2 * keys.length);
    for (const [at, key] of keys.entries()) {
      if (key < 0) continue;
      const slot = this.slotOf(key);
      this.keys[slot] = key;
      this.sums[slot] = sums[at]!;
    }
  }
}

/** Nothing is reserved yet. */
export function emptyReserve(tables: Tables, paths: Paths, flows: Flows): Reserve {
  const byClass = Array.from(tables.weight, () => new Float64Array(tables.resources + 1));
  for (let demand = 0; demand < tables.demands; demand++) {
    const load = byClass[tables.classOf[demand]!]!;
    for (let path = paths.start[demand]!; path < paths.start[demand]! + paths.count[demand]!; path++) {
      const mbps = flows.flow[path]!;
      if (mbps <= 0) continue;
      load[tables.cryptoBase + tables.source[demand]!]! += mbps;
      load[tables.cryptoBase + tables.target[demand]!]! += mbps;
      addAlong(tables, paths.first[path]!, paths.second[path]!, mbps, load);
    }
  }
  const firm = byClass.map((own, cls) => {
    const sum = own.slice();
    for (const [other, load] of byClass.entries()) {
      if (other !== cls && tables.weight[other]! >= tables.weight[cls]!) for (let resource = 0; resource < tables.resources; resource++) sum[resource]! += load[resource]!;
    }
    return sum;
  });
  return { byRisk: new Sums(), most: new Float64Array(tables.resources + 1), firm };
}

/**
 * What the reserve can hold of `mbps` along a way when any of these risks fails, Mbit/s. Crypto at both ends is left out: what
 * comes over the backup does not come over the first way.
 */
export function roomInReserve(tables: Tables, reserve: Reserve, cls: number, risks: readonly number[], first: number, second: number, mbps: number): number {
  const firm = reserve.firm[cls]!;
  let room = mbps;
  const count = resourcesOf(tables, first, second);
  for (let at = 0; at < count; at++) {
    const resource = RESOURCES[at]!;
    const uses = usesAt(at, count, second);
    const left = tables.capacity[resource]! - firm[resource]!;
    if (left - reserve.most[resource]! >= uses * room) continue;
    let most = 0;
    for (const risk of risks) most = Math.max(most, reserve.byRisk.get(resource * tables.risks + risk));
    room = Math.max(0, Math.min(room, (left - most) / uses));
  }
  return room;
}

/** Holds `mbps` (gives back, when negative) along a way for the failure of any of these risks. */
export function holdReserve(tables: Tables, reserve: Reserve, risks: readonly number[], first: number, second: number, mbps: number): void {
  const count = resourcesOf(tables, first, second);
  for (let at = 0; at < count; at++) {
    const resource = RESOURCES[at]!;
    for (const risk of risks) {
      const held = reserve.byRisk.add(resource * tables.risks + risk, usesAt(at, count, second) * mbps);
      if (held > reserve.most[resource]!) reserve.most[resource] = held;
    }
  }
}

/** The risks of a way: those of all its uplinks, each once. */
export function risksOf(tables: Tables, first: number, second: number): number[] {
  const found: number[] = [];
  for (const hop of second < 0 ? [first] : [first, second]) {
    for (const uplink of [tables.hopUses[4 * hop]!, tables.hopUses[4 * hop + 1]! - tables.uplinks]) {
      for (let at = tables.riskStart[uplink]!; at < tables.riskStart[uplink + 1]!; at++) if (!found.includes(tables.risk[at]!)) found.push(tables.risk[at]!);
    }
  }
  return found;
}

function addAlong(tables: Tables, first: number, second: number, mbps: number, load: Float64Array): void {
  const count = resourcesOf(tables, first, second);
  for (let at = 0; at < count; at++) load[RESOURCES[at]!]! += usesAt(at, count, second) * mbps;
}

/** Filled again and again by `resourcesOf`. */
const RESOURCES = new Int32Array(7);

/** What a way uses but for crypto at its ends, in `RESOURCES`; of a relayed one the relay's crypto is last. Returns how many. */
function resourcesOf(tables: Tables, first: number, second: number): number {
  let count = 0;
  for (let hop = first; ; hop = second) {
    RESOURCES[count++] = tables.hopUses[4 * hop]!;
    RESOURCES[count++] = tables.hopUses[4 * hop + 1]!;
    if (tables.hopUses[4 * hop + 2] !== tables.resources) RESOURCES[count++] = tables.hopUses[4 * hop + 2]!;
    if (hop === second || second < 0) break;
  }
  if (second >= 0) RESOURCES[count++] = tables.cryptoBase + tables.hopTo[first]!;
  return count;
}

/** How often one of `RESOURCES` counts: the relay's crypto twice. */
function usesAt(at: number, count: number, second: number): number {
  return second >= 0 && at === count - 1 ? 2 : 1;
}

/** Some risks, and whether others are among them. */
export interface RiskMarks {
  /** In place of those before. */
  put: (risks: readonly number[]) => void;
  /** Those of a way, in place of those before; `second` -1 for a direct one. */
  putWay: (first: number, second: number) => void;
  meetsHop: (hop: number) => boolean;
}

export function makeRiskMarks(tables: Tables): RiskMarks {
  const { hopUses, uplinks, risk, riskStart } = tables;
  const stamp = new Int32Array(tables.risks);
  let round = 0;
  const putUplink = (uplink: number): void => {
    for (let at = riskStart[uplink]!; at < riskStart[uplink + 1]!; at++) stamp[risk[at]!] = round;
  };
  const putHop = (hop: number): void => {
    putUplink(hopUses[4 * hop]!);
    putUplink(hopUses[4 * hop + 1]! - uplinks);
  };
  const meetsUplink = (uplink: number): boolean => {
    for (let at = riskStart[uplink]!; at < riskStart[uplink + 1]!; at++) if (stamp[risk[at]!] === round) return true;
    return false;
  };
  return {
    put: (risks) => {
      round++;
      for (const each of risks) stamp[each] = round;
    },
    putWay: (first, second) => {
      round++;
      putHop(first);
      if (second >= 0) putHop(second);
    },
    meetsHop: (hop) => meetsUplink(hopUses[4 * hop]!) || meetsUplink(hopUses[4 * hop + 1]! - uplinks),
  };
}
