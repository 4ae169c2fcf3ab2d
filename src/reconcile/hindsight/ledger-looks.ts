import type { Intent, PathId, PathQuality, PathSeries, TrafficClass } from '../../model/index.ts';
import type { LedgerEntry } from './ledger-entries.ts';
import type { Looks } from './score-change.ts';

/** What was measured longer ago says nothing about now. */
const FRESH_MS = 300_000;

/** Looks at the ways of an entry once: the worst of each side counts, and a side of which nothing is measured not at all. */
export function lookAt(entry: LedgerEntry, paths: ReadonlyMap<PathId, PathQuality>, intent: Intent, now: number): LedgerEntry['looks'] {
  const classes = new Map(intent.classes.map((one) => [one.id, one]));
  const look = (looks: Looks, side: 'before' | 'after'): Looks => {
    const seen = entry.ways.flatMap((ways) => ways[side].map((way) => isBad(way, paths, classes.get(ways.classId), now))).filter((bad) => bad !== null);
    return seen.length === 0 ? looks : { count: looks.count + 1, bad: looks.bad + Number(seen.some(Boolean)) };
  };
  return { before: look(entry.looks.before, 'before'), after: look(entry.looks.after, 'after') };
}

/** What telemetry tells of one slot; a path that nothing is known of is left out, and whether one was down is not told. */
export function qualitiesAt(series: readonly PathSeries[], slot: number, at: number): Map<PathId, PathQuality> {
  const known = (values: Float32Array): number | null => (Number.isNaN(values[slot]!) ? null : values[slot]!);
  return new Map(series.map(({ path, latencyMs, jitterMs, lossRatio }) => [path, { path, state: 'up', latencyMs: known(latencyMs), jitterMs: known(jitterMs), lossRatio: known(lossRatio), sampledAt: at }]));
}

/** Whether a way is down or breaks a bound of its class; null when a part of it is not measured. */
function isBad(way: readonly PathId[], paths: ReadonlyMap<PathId, PathQuality>, trafficClass: TrafficClass | undefined, now: number): boolean | null {
  const hops = way.map((path) => paths.get(path));
  let latencyMs = 0;
  let jitterMs = 0;
  let through = 1;
  for (const hop of hops) {
    if (!hop || now - hop.sampledAt > FRESH_MS) return null;
    if (hop.state === 'down') return true;
    if (hop.state === 'unknown' || hop.latencyMs === null) return null;
    latencyMs += hop.latencyMs;
    jitterMs += hop.jitterMs ?? 0;
    through *= 1 - (hop.lossRatio ?? 0);
  }
  if (hops.length === 0 || !trafficClass) return null;
  const { sla } = trafficClass;
  return latencyMs > sla.latencyMaxMs || jitterMs > sla.jitterMaxMs || 1 - through > sla.lossMaxRatio;
}
