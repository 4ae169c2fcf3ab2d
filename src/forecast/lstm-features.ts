import type { Origin } from './forecast-model.ts';
import { isWeekendSlot, meanOf, phaseOf, type SeriesTable, type TableSeries } from './series-table.ts';

/** Inputs of one step of the window: demand, demand on the last day of the same kind, whether it was known. */
export const STEP_FEATURES = 3;
/** Inputs for each slot to come: the same slot on the last day of the same kind, the mean over up to three such days. */
const FEATURES_PER_STEP_AHEAD = 2;
/** Time of day as sine and cosine, weekend at the first and at the last slot to come, level, three means, spread, whether a day of the same kind is known. */
const FEATURES_AT_ORIGIN = 10;
/** How many days back a day of the same kind is looked for. */
const DAYS_BACK_MAX = 8;
const LEVEL_MIN_MBPS = 1e-3;

/** Inputs and scales of many origins, row by row. All demand is log1p(Mbit/s / level), less its value at the origin. */
export interface FeatureBatch {
  count: number;
  /** [count][window][STEP_FEATURES] */
  windows: Float32Array;
  /** [count][contextSize(horizon)] */
  contexts: Float32Array;
  /** Mean of the last week, Mbit/s: what a demand is measured against. */
  levels: Float64Array;
  /** log1p(newest / level): what every other input and the output is relative to. */
  anchors: Float64Array;
}

export function contextSize(horizon: number): number {
  return FEATURES_AT_ORIGIN + FEATURES_PER_STEP_AHEAD * horizon;
}

/** What the network sees of each origin: only slots before it. The same function serves training and forecasting. */
export function makeFeatures(table: SeriesTable, origins: readonly Origin[], window: number, horizon: number): FeatureBatch {
  const count = origins.length;
  const size = contextSize(horizon);
  const batch = {
    count,
    windows: new Float32Array(count * window * STEP_FEATURES),
    contexts: new Float32Array(count * size),
    levels: new Float64Array(count),
    anchors: new Float64Array(count),
  };
  origins.forEach((origin, index) => {
    const series = table.series[origin.series]!;
    const level = Math.max(LEVEL_MIN_MBPS, meanOf(series, origin.slot - 7 * table.slotsPerDay, origin.slot));
    const anchor = Math.log1p((series.filled[origin.slot - 1] ?? 0) / level);
    batch.levels[index] = level;
    batch.anchors[index] = anchor;
    const relative = (slot: number): number => Math.log1p(valueBefore(series, slot, origin.slot, table.slotsPerDay) / level) - anchor;
    writeWindow(batch.windows, index * window * STEP_FEATURES, table, series, origin.slot, window, relative);
    writeContext(batch.contexts.subarray(index * size, (index + 1) * size), table, series, origin.slot, horizon, level, anchor, relative);
  });
  return batch;
}

/** What came at each step, in the network's scale, and 1 where it is known. */
export function makeTargets(table: SeriesTable, origins: readonly Origin[], features: FeatureBatch, horizon: number): { targets: Float32Array; known: Float32Array } {
  const targets = new Float32Array(origins.length * horizon);
  const known = new Float32Array(origins.length * horizon);
  origins.forEach((origin, index) => {
    const { values } = table.series[origin.series]!;
    for (let step = 0; step < horizon; step++) {
      const actual = values[origin.slot + step];
      if (actual === undefined || Number.isNaN(actual)) continue;
      targets[index * horizon + step] = Math.log1p(actual / features.levels[index]!) - features.anchors[index]!;
      known[index * horizon + step] = 1;
    }
  });
  return { targets, known };
}

function writeWindow(target: Float32Array, offset: number, table: SeriesTable, series: TableSeries, originSlot: number, window: number, relative: (slot: number) => number): void {
  for (let step = 0; step < window; step++) {
    const slot = originSlot - window + step;
    const at = offset + step * STEP_FEATURES;
    target[at] = relative(slot);
    target[at + 1] = relative(similarSlots(table, slot, originSlot, 1)[0] ?? slot - table.slotsPerDay);
    target[at + 2] = slot >= 0 && !Number.isNaN(series.values[slot]!) ? 1 : 0;
  }
}

function writeContext(target: Float32Array, table: SeriesTable, series: TableSeries, originSlot: number, horizon: number, level: number, anchor: number, relative: (slot: number) => number): void {
  const { slotsPerDay } = table;
  const dayAngle = (2 * Math.PI * phaseOf(table, originSlot)) / slotsPerDay;
  // The kind of day rather than a place in the week: a short history lacks some weekdays, and what was never seen is not to be learned from.
  const weekend = [originSlot, originSlot + horizon - 1].map((slot) => (isWeekendSlot(table, slot) ? 1 : 0));
  const logMean = (slots: number): number => Math.log1p(meanOf(series, originSlot - slots, originSlot) / level) - anchor;
  const lastHour = [1, 2, 3, 4].map((back) => relative(originSlot - back));
  const spread = Math.max(...lastHour) - Math.min(...lastHour);
  const isKindKnown = hasDayOfSameKind(table, originSlot, horizon);
  target.set([Math.sin(dayAngle), Math.cos(dayAngle), ...weekend, anchor, logMean(4), logMean(12), logMean(slotsPerDay), spread, isKindKnown ? 1 : 0]);
  for (let step = 0; step < horizon; step++) {
    const slot = originSlot + step;
    const similar = similarSlots(table, slot, originSlot, 3);
    const yesterday = relative(slot - slotsPerDay);
    const at = FEATURES_AT_ORIGIN + step * FEATURES_PER_STEP_AHEAD;
    target[at] = similar.length === 0 ? yesterday : relative(similar[0]!);
    target[at + 1] = similar.length === 0 ? yesterday : similar.reduce((sum, earlier) => sum + relative(earlier), 0) / similar.length;
  }
}

/** Whether every slot of the horizon has an earlier day of its kind to look at. */
export function hasDayOfSameKind(table: SeriesTable, originSlot: number, horizon: number): boolean {
  return similarSlots(table, originSlot, originSlot, 1).length > 0 && similarSlots(table, originSlot + horizon - 1, originSlot, 1).length > 0;
}

/** The same slot on the last `count` days of the same kind (working day or weekend) known at the origin, newest first. */
function similarSlots(table: SeriesTable, slot: number, originSlot: number, count: number): number[] {
  const isWeekend = isWeekendSlot(table, slot);
  const found: number[] = [];
  for (let day = 1; day <= DAYS_BACK_MAX && found.length < count; day++) {
    const earlier = slot - day * table.slotsPerDay;
    if (earlier < 0) break;
    if (earlier < originSlot && isWeekendSlot(table, earlier) === isWeekend) found.push(earlier);
  }
  return found;
}

/** The value of a slot, or of the same slot on the nearest earlier day that is known at the origin; before the series its first value. */
function valueBefore(series: TableSeries, slot: number, originSlot: number, slotsPerDay: number): number {
  let known = slot;
  while (known >= originSlot) known -= slotsPerDay;
  while (known < 0) known += slotsPerDay;
  return known < originSlot ? series.filled[known]! : (series.filled[originSlot - 1] ?? 0);
}
