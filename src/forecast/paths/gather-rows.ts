import { COLUMN, FEATURES, FeatureWriter } from './features.ts';
import { UNKNOWN, type PathPast } from './path-past.ts';
import type { LabelledRows } from './path-model.ts';

/** Of rows that show no sign of trouble one in so many is kept, and counts for as many. */
const QUIET_EVERY = 6;
/** Rows between pauses, and how many a series costs before its first one. */
const PAUSE_AFTER = 4000;
const SERIES_WORK = 20;
/** A quiet path stays below this share of its bound (logarithm) for an hour, and was within it for a day. */
const QUIET_BELOW = Math.log(0.5);

/**
 * Inputs and outcomes of origins from `from` until before `until`, evenly over paths, bounds and time.
 * @param candidatesMax  looked at; fewer are kept
 * @param pause          awaited between pieces of work of some tens of milliseconds
 */
export async function gatherRows(past: PathPast, from: number, until: number, candidatesMax: number, pause: () => Promise<void>): Promise<LabelledRows> {
  const { table, bounds } = past.task;
  const seriesCount = bounds.length * table.series.length;
  const every = Math.max(1, Math.ceil((seriesCount * Math.max(0, until - from)) / candidatesMax));
  const columns = FEATURES.map(() => new Float32Array(1024));
  const kept: LabelledRows = { rows: 0, columns, labels: new Uint8Array(1024), weights: new Float32Array(1024) };
  const writer = new FeatureWriter(past);
  let [quiet, worked] = [0, 0];
  for (let index = 0; index < bounds.length; index++) {
    for (let path = 0; path < table.series.length; path++) {
      const labels = past.labels[index]![path]!;
      const first = from + ((index * table.series.length + path) * 7) % every;
      if (first >= until) continue;
      writer.select(index, path, first);
      worked += SERIES_WORK;
      for (let slot = first; slot < until; slot += every) {
        if (labels[slot] === UNKNOWN || !isMeasured(past.broken[index]![path]!, slot, table.slotsPerDay)) continue;
        if (kept.rows === kept.labels.length) grow(kept);
        writer.write(slot, kept.columns, kept.rows);
        worked++;
        const isQuiet = !(kept.columns[COLUMN.hourMax]![kept.rows]! > QUIET_BELOW) && !(kept.columns[COLUMN.dayShare]![kept.rows]! > 0) && !(kept.columns[COLUMN.sameTimeMax]![kept.rows]! > 0);
        if (isQuiet && quiet++ % QUIET_EVERY !== 0) continue;
        kept.labels[kept.rows] = labels[slot]!;
        kept.weights[kept.rows] = isQuiet ? QUIET_EVERY : 1;
        kept.rows++;
      }
      if (worked < PAUSE_AFTER) continue;
      worked = 0;
      await pause();
    }
  }
  return kept;
}

/** Where nothing has been measured for a day there is no forecast, and nothing to learn. */
export function isMeasured(flags: Uint8Array, slot: number, slotsPerDay: number): boolean {
  for (let at = slot - 1; at >= Math.max(0, slot - slotsPerDay); at--) if (flags[at] !== UNKNOWN) return true;
  return false;
}

function grow(rows: LabelledRows): void {
  const larger = <T extends Float32Array | Uint8Array>(values: T): T => {
    const copy = new (values.constructor as new (length: number) => T)(values.length * 2);
    copy.set(values);
    return copy;
  };
  rows.columns = rows.columns.map(larger);
  rows.labels = larger(rows.labels);
  rows.weights = larger(rows.weights);
}
