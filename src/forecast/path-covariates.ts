import { hourSlots } from './matrix/pair-past.ts';

/** What the way of a demand was like, a value a slot, NaN where nobody measured. */
export interface WayFigures {
  /** Round trip, > 0. */
  latencyMs: Float32Array;
  /** 0…1. */
  lossRatio: Float32Array;
}

export const PATH_INPUTS = ['path:latency', 'path:latency:rise', 'path:loss', 'path:loss:rise'] as const;
export type PathInput = (typeof PATH_INPUTS)[number];

/** Loss below this is hardly told from none. */
const LOSS_UNIT = 1e-3;

/**
 * What models are shown of a way, a value a slot: `path:latency`, the logarithm of its latency over the mean of the day
 * before, and `path:loss`, log1p(loss/0.1 %); `…:rise` is how far each lies above its mean of the hour before. All rest on
 * their slot and earlier ones only. NaN where the way is not measured, or less than an hour of the day before was.
 */
export function pathInputs({ latencyMs, lossRatio }: WayFigures, slotsPerDay: number): Record<PathInput, Float32Array> {
  const hour = hourSlots(slotsPerDay);
  const logs = latencyMs.map((latency) => (latency > 0 && latency < Infinity ? Math.log(latency) : Number.NaN));
  const latency = aboveMean(logs, slotsPerDay, hour);
  const loss = lossRatio.map((ratio) => (ratio >= 0 && ratio <= 1 ? lossInput(ratio) : Number.NaN));
  return { 'path:latency': latency, 'path:latency:rise': aboveMean(logs, hour, 1), 'path:loss': loss, 'path:loss:rise': aboveMean(loss, hour, 1) };
}

/** `path:loss` of a ratio 0…1. */
export function lossInput(ratio: number): number {
  return Math.log1p(ratio / LOSS_UNIT);
}

/** Each value less the mean of those known in the `window` slots before it; NaN where there are fewer than `least`. */
function aboveMean(values: Float32Array, window: number, least: number): Float32Array {
  let sum = 0;
  let known = 0;
  return values.map((value, slot) => {
    const above = known >= least ? value - sum / known : Number.NaN;
    const leaving = values[slot - window] ?? Number.NaN;
    if (!Number.isNaN(value)) [sum, known] = [sum + value, known + 1];
    if (!Number.isNaN(leaving)) [sum, known] = [sum - leaving, known - 1];
    return above;
  });
}
