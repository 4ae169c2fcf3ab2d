import type { DemandMatrix } from '../../forecast/index.ts';
import type { Topology } from './topology.ts';
import { roundTripMs } from './topology.ts';

/**
 * The mesh that traffic is replayed through; docs/foresight.md tells it on a page. Every site has two uplinks, `PROVIDERS`; a
 * link joins two sites over one provider and carries any number of equal tunnels. Link l is pair ⌊l/2⌋ over provider l mod 2.
 */
export interface World {
  sites: string[];
  pairs: Pair[];
  slotMs: number;
  /** What one tunnel carries, both directions together. */
  unitMbps: number;
  /** By [2 × site + provider], in each direction. */
  uplinkMbps: Float64Array;
  /** By site: tunnels that its gateways hold. */
  tunnelSlots: Int32Array;
  /** By link. */
  rttMs: Float64Array;
  /** Tunnels that one decision may open and close without a person, and those of an hour. */
  autoApply: { perDecision: number; perHour: number };
}

export interface Pair {
  name: string;
  /** Sites, a < b. */
  a: number;
  b: number;
  /** Demand by slot from a to b and back, Mbit/s; NaN where unknown. */
  forward: Float32Array;
  backward: Float32Array;
}

/** What is fixed, whatever the traffic. */
export const WORLD = {
  /** Of a slot's end, until its load is known and decided on. */
  reportedAfterMs: 30_000,
  /** From a decision, or a person's consent, until a tunnel carries traffic. */
  setUpMs: 45_000,
  /** Median time until a person has approved a proposal; exponential. */
  approvalMedianMs: 20 * 60_000,
  /** A pair breaks its SLA where its tunnels are fuller than this: bursts within the slot then queue. */
  fullAt: 0.95,
  /** …or less than this share of its demand is carried. */
  servedShareMin: 0.99,
  /** …or over a way whose round trip is longer. */
  rttMaxMs: 200,
  /** No policy plans an uplink fuller than this. */
  uplinkFullAt: 0.8,
  usdPerTunnelHour: 0.05,
} as const;

/** The second uplink is dearer, smaller and for when the first is full. */
export const PROVIDERS = [
  { usdPerGb: 0.02, share: 1, detour: 1 },
  { usdPerGb: 0.09, share: 0.5, detour: 1.2 },
] as const;

/** A tunnel carries this share of what a pair wanted on average: half, so that the usual pair needs two. */
const UNIT_SHARE = 0.5;
/** A site's first uplink is as large as this quantile of what went in or out: the most. */
const UPLINK_QUANTILE = 1;
/** Gateways hold so many times the tunnels that were ever needed at once. */
const SLOTS_MARGIN = 2;
/** Of all tunnels that were needed on average, what one decision may change without a person; of an hour five times as many. */
const AUTO_SHARE = 0.05;
const AUTO_LEAST = 4;
const DECISIONS_PER_HOUR = 5;

/** Sizes the mesh by what was learned from alone: `learnedSlots` first slots. Pairs whose ends are no nodes of the topology are left out. */
export function buildWorld(matrix: DemandMatrix, topology: Topology, learnedSlots: number): World {
  const names = [...new Set(matrix.pairs.flatMap((pair) => pair.split('>')))].filter((name) => topology.nodes.has(name)).sort();
  const siteOf = new Map(names.map((name, site) => [name, site]));
  const unknown = new Float32Array(matrix.length).fill(Number.NaN);
  const byName = new Map<string, Pair>();
  for (const [column, name] of matrix.pairs.entries()) {
    const [from, to] = name.split('>').map((end) => siteOf.get(end));
    if (from === undefined || to === undefined || from === to) continue;
    const [a, b] = [Math.min(from, to), Math.max(from, to)];
    const key = `${names[a]}–${names[b]}`;
    const pair = byName.get(key) ?? { name: key, a, b, forward: unknown, backward: unknown };
    byName.set(key, { ...pair, ...(from === a ? { forward: matrix.values[column]! } : { backward: matrix.values[column]! }) });
  }
  const pairs = [...byName.values()].sort((one, other) => one.a - other.a || one.b - other.b);
  const sums = pairs.map((pair) => sumOf(pair, learnedSlots));
  const unitMbps = Math.max(1e-3, UNIT_SHARE * mean(sums.map((series) => mean(series))));
  const needed = sums.map((series) => series.map((mbps) => unitsFor(mbps, unitMbps)));
  const perDecision = Math.max(AUTO_LEAST, Math.round(AUTO_SHARE * needed.reduce((sum, series) => sum + mean(series), 0)));
  return {
    sites: names,
    pairs,
    slotMs: matrix.stepMs,
    unitMbps,
    uplinkMbps: Float64Array.from(names.flatMap((_, site) => PROVIDERS.map(({ share }) => share * Math.max(unitMbps, busiest(pairs, site, learnedSlots))))),
    tunnelSlots: Int32Array.from(names, (_, site) => Math.ceil(SLOTS_MARGIN * mostNeeded(pairs, needed, site))),
    rttMs: Float64Array.from(pairs.flatMap(({ a, b }) => PROVIDERS.map(({ detour }) => detour * roundTripMs(topology.nodes.get(names[a]!)!, topology.nodes.get(names[b]!)!)))),
    autoApply: { perDecision, perHour: DECISIONS_PER_HOUR * perDecision },
  };
}

/** Tunnels that carry so much without being fuller than they should; at least one, since every pair keeps one. */
export function unitsFor(mbps: number, unitMbps: number): number {
  return Math.max(1, Math.ceil(mbps / (WORLD.fullAt * unitMbps) - 1e-9));
}

/** Both directions together; unknown ones count nothing, a slot in which neither is known is NaN. */
export function sumOf({ forward, backward }: Pair, slots: number): Float32Array {
  const sums = new Float32Array(slots);
  for (let slot = 0; slot < slots; slot++) {
    const [one, other] = [forward[slot]!, backward[slot]!];
    sums[slot] = Number.isNaN(one) ? other : Number.isNaN(other) ? one : one + other;
  }
  return sums;
}

/** The quantile of what the site sent, or of what it received if that is more. */
function busiest(pairs: readonly Pair[], site: number, slots: number): number {
  const quantile = (series: Float32Array[]): number => {
    const sums: number[] = [];
    for (let slot = 0; slot < slots; slot++) {
      let sum = 0;
      let known = 0;
      for (const each of series) {
        if (Number.isNaN(each[slot]!)) continue;
        sum += each[slot]!;
        known += 1;
      }
      if (known > 0) sums.push(sum);
    }
    sums.sort((one, other) => one - other);
    return sums[Math.floor(UPLINK_QUANTILE * (sums.length - 1))] ?? 0;
  };
  const sent = pairs.flatMap(({ a, b, forward, backward }) => (a === site ? [forward] : b === site ? [backward] : []));
  const received = pairs.flatMap(({ a, b, forward, backward }) => (a === site ? [backward] : b === site ? [forward] : []));
  return Math.max(quantile(sent), quantile(received));
}

function mostNeeded(pairs: readonly Pair[], needed: readonly Float32Array[], site: number): number {
  let most = 0;
  const own = needed.filter((_, pair) => pairs[pair]!.a === site || pairs[pair]!.b === site);
  for (let slot = 0; slot < (own[0]?.length ?? 0); slot++) most = Math.max(most, own.reduce((sum, series) => sum + (series[slot]! || 1), 0));
  return most;
}

function mean(values: ArrayLike<number>): number {
  let sum = 0;
  let known = 0;
  for (let index = 0; index < values.length; index++) {
    if (Number.isNaN(values[index]!)) continue;
    sum += values[index]!;
    known += 1;
  }
  return known > 0 ? sum / known : 0;
}
