import { uplinksOfPath, type PathSeries, type TrafficClass } from '../../model/index.ts';

/** The past of many paths on one grid of slots. */
export interface PathTable {
  slotMs: number;
  /** Slots in a season, a day. */
  slotsPerDay: number;
  /** Start of the first slot, epoch ms. */
  startAt: number;
  /** Slots of every series. */
  length: number;
  series: PathSeries[];
}

/** What a class bears; above it is violated. */
export type PathBounds = TrafficClass['sla'];

/** What no network shows: such figures are unknown. */
const LATENCY_MAX_MS = 600_000;
const LATENCY_MIN_MS = 0.001;

/** The same with what cannot be true left out: NaN, negative, no round trip in no time, no loss above all. */
export function cleanSeries({ path, latencyMs, jitterMs, lossRatio }: PathSeries): PathSeries {
  return {
    path,
    latencyMs: latencyMs.map((value) => (value >= LATENCY_MIN_MS && value <= LATENCY_MAX_MS ? value : Number.NaN)),
    jitterMs: jitterMs.map((value) => (value >= 0 && value <= LATENCY_MAX_MS ? value : Number.NaN)),
    lossRatio: lossRatio.map((value) => (value >= 0 && value <= 1 ? value : Number.NaN)),
  };
}

/** The first `length` slots only: what was known then. */
export function cutTable(table: PathTable, length: number): PathTable {
  const cut = (values: Float32Array): Float32Array => values.subarray(0, length);
  return { ...table, length, series: table.series.map(({ path, latencyMs, jitterMs, lossRatio }) => ({ path, latencyMs: cut(latencyMs), jitterMs: cut(jitterMs), lossRatio: cut(lossRatio) })) };
}

/** How much of its bounds a path uses up in one slot: the greatest of figure/bound, above 1 when violated; NaN when nothing is known. */
export function severityAt({ latencyMs, jitterMs, lossRatio }: PathSeries, bounds: PathBounds, slot: number): number {
  const latency = latencyMs[slot]! / (bounds.latencyMaxMs || TINY);
  const jitter = jitterMs[slot]! / (bounds.jitterMaxMs || TINY);
  const loss = lossRatio[slot]! / (bounds.lossMaxRatio || TINY);
  let worst = latency >= 0 ? latency : Number.NaN;
  if (!(jitter <= worst) && jitter >= 0) worst = jitter;
  if (!(loss <= worst) && loss >= 0) worst = loss;
  return worst;
}

/** A bound of 0 is broken by anything. */
const TINY = 1e-9;

/** For each path the numbers of those of its uplinks that carry other paths too; paths named otherwise than `uplink~uplink` share nothing. */
export function sharedUplinks(table: PathTable): { count: number; ofPath: number[][] } {
  const uplinks = table.series.map(({ path }) => (path.includes('~') ? uplinksOfPath(path) : []));
  const uses = new Map<string, number>();
  for (const uplink of uplinks.flat()) uses.set(uplink, (uses.get(uplink) ?? 0) + 1);
  const shared = new Map([...uses].filter(([, count]) => count > 1).map(([uplink], index) => [uplink, index]));
  return { count: shared.size, ofPath: uplinks.map((each) => each.flatMap((uplink) => shared.get(uplink) ?? [])) };
}
