import { isDemand } from './demand-series.ts';

/** Yesterday's share of its own daily mean from which a slot counts as one in which traffic was to be expected. */
const EXPECTED_RATIO = 0.5;

/**
 * Whether the habit of a demand is over. A model that has seen weeks of it goes on expecting its return for hours after
 * it has ended. When a demand was reported as zero for a whole horizon, at a time of day at which yesterday it was not,
 * nothing is forecast until something is seen again. Where yesterday was silent too, silence is part of the habit (the
 * nightly backup), and the model's word stands.
 */
export function isHabitOver(values: Float32Array, slotsPerDay: number, horizonSlots: number): boolean {
  return isSilent(values, horizonSlots) && wasBusyYesterday(values, slotsPerDay, horizonSlots);
}

/** True when each of the last slots was reported, as nothing at all. */
function isSilent(values: Float32Array, slots: number): boolean {
  for (let slot = values.length - slots; slot < values.length; slot++) if (values[slot] !== 0) return false;
  return true;
}

function wasBusyYesterday(values: Float32Array, slotsPerDay: number, slots: number): boolean {
  const end = values.length - slotsPerDay;
  const day = meanOf(values, end - slotsPerDay, end);
  return day > 0 && meanOf(values, end - slots, end) > EXPECTED_RATIO * day;
}

/** Mean of what is known in [from, to); 0 when nothing is. */
function meanOf(values: Float32Array, from: number, to: number): number {
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
