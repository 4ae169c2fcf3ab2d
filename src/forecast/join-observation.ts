import type { DemandSeries, ForecastSettings, Observation } from '../model/index.ts';
import { isDemand, isWeekendSlot, makeTable, phaseOf, seriesId, tableSeries, type SeriesTable, type TableSeries } from './series-table.ts';

/** Days of history that a forecast looks at: two weeks give every day of the week twice. */
const DAYS_MAX = 15;
/** A demand is not taken for more than this many times larger or smaller than its history. */
const LEVEL_RATIO_MAX = 20;
/** A difference of this size (22 %) is taken half for real. */
const NOISE_LOG_RATIO = 0.2;

/**
 * Continues the history by what has been observed, on one time line that ends with the observation's last slot.
 * Where both know a slot the observation counts. History is scaled to the observed level first, so that what runs now
 * decides how much, and history only when: see `levelRatio`. Demands of the observation alone are kept, history of
 * demands that are not observed is left out.
 * @param history  ends at `historyEndAt`
 */
export function joinObservation(history: readonly DemandSeries[], historyEndAt: number, observation: Observation, settings: ForecastSettings): SeriesTable {
  const { slotMs, slotsPerDay } = settings;
  const observed = makeTable(observation.demands, observation.lastSlotEndAt, slotMs, slotsPerDay);
  const past = makeTable(history, historyEndAt, slotMs, slotsPerDay);
  const endSlot = observed.startAt / slotMs + observed.length;
  const longest = Math.max(observed.length, history.length === 0 ? 0 : endSlot - past.startAt / slotMs);
  const length = Math.min(longest, Math.max(observed.length, DAYS_MAX * slotsPerDay));
  const startAt = (endSlot - length) * slotMs;
  const pastOf = new Map(past.series.map((series) => [seriesId(series), series]));
  const series = observed.series.map((recent) => {
    const values = new Float64Array(length).fill(Number.NaN);
    const earlier = pastOf.get(seriesId(recent));
    if (earlier) {
      const ratio = levelRatio(earlier, past, recent, observed);
      copyInto(values, earlier.values, (past.startAt - startAt) / slotMs, ratio);
    }
    copyInto(values, recent.values, (observed.startAt - startAt) / slotMs, 1);
    return tableSeries(recent, values, slotsPerDay);
  });
  return { startAt, slotMs, slotsPerDay, length, series };
}

/**
 * Observed demand as a multiple of what history expects for the same times of day; 1 without evidence. The evidence is
 * the demand that history expects in the observed slots: a few quiet night slots say little, a busy hour says much.
 */
export function levelRatio(earlier: TableSeries, past: SeriesTable, recent: TableSeries, observed: SeriesTable): number {
  const profiles = dailyProfiles(earlier, past);
  const dayMean = profiles[0].reduce((sum, value) => sum + value, 0) / past.slotsPerDay;
  let expected = 0;
  let seen = 0;
  for (let slot = Math.max(0, observed.length - past.slotsPerDay); slot < observed.length; slot++) {
    const value = recent.values[slot]!;
    if (!isDemand(value)) continue;
    seen += value;
    expected += profiles[isWeekendSlot(observed, slot) ? 1 : 0][phaseOf(observed, slot)]!;
  }
  if (expected <= 0 || dayMean <= 0) return 1;
  const ratio = Math.min(LEVEL_RATIO_MAX, Math.max(1 / LEVEL_RATIO_MAX, seen / expected));
  const trust = expected / (expected + 2 * dayMean);
  // Small differences are noise, and the models see them for themselves; from half or double on the ratio counts nearly whole.
  const logRatio = Math.log(ratio);
  const significance = logRatio ** 2 / (logRatio ** 2 + NOISE_LOG_RATIO ** 2);
  return Math.exp(logRatio * trust * significance);
}

/** Mean value by kind of day (0 working day, 1 weekend) and slot of the day, over the last week; a kind that is not known has the other's. */
function dailyProfiles(series: TableSeries, table: SeriesTable): [number[], number[]] {
  const cells = Array.from({ length: 2 * table.slotsPerDay }, () => ({ sum: 0, count: 0 }));
  for (let slot = Math.max(0, table.length - 7 * table.slotsPerDay); slot < table.length; slot++) {
    const value = series.values[slot]!;
    if (!isDemand(value)) continue;
    const cell = cells[Number(isWeekendSlot(table, slot)) * table.slotsPerDay + phaseOf(table, slot)]!;
    cell.sum += value;
    cell.count += 1;
  }
  const mean = (kind: number, phase: number): number => {
    const own = cells[kind * table.slotsPerDay + phase]!;
    const cell = own.count > 0 ? own : cells[(1 - kind) * table.slotsPerDay + phase]!;
    return cell.count === 0 ? 0 : cell.sum / cell.count;
  };
  const phases = Array.from({ length: table.slotsPerDay }, (_, phase) => phase);
  return [phases.map((phase) => mean(0, phase)), phases.map((phase) => mean(1, phase))];
}

function copyInto(target: Float64Array, source: Float64Array, offset: number, factor: number): void {
  for (let index = Math.max(0, -offset); index < source.length && index + offset < target.length; index++) {
    const value = source[index]!;
    if (!Number.isNaN(value)) target[index + offset] = value * factor;
  }
}
