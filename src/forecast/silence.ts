import type { ForecastSlot } from '../model/index.ts';
import { isDemand, type SeriesTable } from './series-table.ts';

/** Yesterday's share of its own daily mean from which a slot counts as one in which traffic was to be expected. */
const EXPECTED_RATIO = 0.5;

/**
 * A model that has seen weeks of a demand goes on expecting its return for hours after it has ended. When a demand was
 * reported as zero for a whole horizon, at a time of day at which yesterday it was not, the habit is over and nothing is
 * forecast until something is seen again. Where yesterday was silent too, silence is part of the habit (the nightly
 * backup), and the model's word stands.
 */
export function withoutHabit(table: SeriesTable, series: number, slots: ForecastSlot[], horizonSlots: number): ForecastSlot[] {
  const isOver = isSilent(table, series, horizonSlots) && wasBusyYesterday(table, series, horizonSlots);
  return isOver ? slots.map(({ startAt }) => ({ startAt, p50: 0, p90: 0, p95: 0 })) : slots;
}

/** True when each of the last slots was reported, as nothing at all. */
function isSilent(table: SeriesTable, series: number, slots: number): boolean {
  const { values } = table.series[series]!;
  for (let slot = table.length - slots; slot < table.length; slot++) if (values[slot] !== 0) return false;
  return true;
}

function wasBusyYesterday(table: SeriesTable, series: number, slots: number): boolean {
  const { values } = table.series[series]!;
  const end = table.length - table.slotsPerDay;
  const day = meanOf(values, end - table.slotsPerDay, end);
  return day > 0 && meanOf(values, end - slots, end) > EXPECTED_RATIO * day;
}

/** Mean of what is known in [from, to); 0 when nothing is. */
function meanOf(values: Float64Array, from: number, to: number): number {
  let sum = 0;
  let count = 0;
  for (let slot = Math.max(0, from); slot < to; slot++) {
    const value = values[slot]!;
    if (!isDemand(value)) continue;
    sum += value;
    count += 1;
  }
  return count === 0 ? 0 : sum / count;
}
