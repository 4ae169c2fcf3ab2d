import { extremes, hourSlots } from './pair-past.ts';
import type { MatrixPast } from './tabular-features.ts';

/** Lags in slots whose distance from the newest value is an input. */
const LAGS = [1, 2, 3, 4, 5, 6, 8, 12];

/** How many of the inputs there are of each kind, one kind after the other. */
export const OF_LEVEL = 17 + LAGS.length;
export const OF_JUMPS = 2;
export const OF_DAY = 2;
/** Of what the source sends, the target gets, and of all together. */
export const OF_SUM = 4;
export const OF_PAIR = 3;
const COUNT = OF_LEVEL + OF_JUMPS + OF_DAY + 3 * OF_SUM + OF_PAIR;

/** The inputs that are the same however far ahead one looks: found once for all horizons. */
export class CommonFeatures {
  readonly count = COUNT;
  private readonly past: MatrixPast;
  private last: { pair: number; origins: Int32Array | null; inputs: Float64Array } = { pair: -1, origins: null, inputs: new Float64Array(0) };

  constructor(past: MatrixPast) {
    this.past = past;
  }

  /** `[origin · count + input]`; good until another pair is asked for. */
  of(pair: number, origins: Int32Array): Float64Array {
    const { last } = this;
    if (last.pair === pair && last.origins === origins) return last.inputs;
    const inputs = last.inputs.length === COUNT * origins.length ? last.inputs : new Float64Array(COUNT * origins.length);
    this.last = { pair, origins, inputs };
    this.fill(pair, origins, inputs);
    return inputs;
  }

  private fill(pair: number, origins: Int32Array, inputs: Float64Array): void {
    const { nodes, reverse, scales, matrix } = this.past;
    const day = matrix.slotsPerDay;
    const hour = hourSlots(day);
    const past = this.past.pastOf(pair);
    const back = reverse[pair]! >= 0 ? this.past.pastOf(reverse[pair]!, pair) : null;
    const { fast, slow, jumpHour, jumpDay } = past.smoothed();
    const { z } = past;
    const asked = origins.length;
    const mostHour = extremes(z, hour, 1, asked);
    const mostLong = extremes(z, 6 * hour, 1, asked);
    const leastHour = extremes(z, hour, -1, asked);
    const mostDay = extremes(z, day, 1, asked);
    const leastLong = extremes(z, 6 * hour, -1, asked);
    const sums = [nodes.out[nodes.source[pair]!]!, nodes.in[nodes.target[pair]!]!, nodes.total];
    let at = 0;
    for (let index = 0; index < asked; index++) {
      const slot = origins[index]!;
      const level = z[slot]!;
      inputs[at++] = level;
      inputs[at++] = past.slotsUnknown(slot);
      for (const lag of LAGS) inputs[at++] = past.at(slot - lag) - level;
      for (const window of [3, hour, 3 * hour, 6 * hour, day, 7 * day]) inputs[at++] = past.mean(slot - window + 1, slot + 1) - level;
      for (const window of [3, hour, 6 * hour, day]) inputs[at++] = past.spread(slot - window + 1, slot + 1);
      inputs[at++] = mostHour(slot) - level;
      inputs[at++] = mostLong(slot) - level;
      inputs[at++] = leastHour(slot) - level;
      inputs[at++] = fast[slot]! - level;
      inputs[at++] = slow[slot]! - level;
      inputs[at++] = jumpHour[slot]!;
      inputs[at++] = jumpDay[slot]!;
      inputs[at++] = mostDay(slot) - level;
      inputs[at++] = leastLong(slot) - level;
      for (const sum of sums) {
        const now = sum[slot]!;
        inputs[at++] = now - (sum[slot - 1] ?? now);
        inputs[at++] = now - (sum[slot - 3] ?? now);
        inputs[at++] = now - (sum[slot - hour] ?? now);
        inputs[at++] = now - (sum[slot - day] ?? Number.NaN);
      }
      inputs[at++] = back ? back.z[slot]! - back.mean(slot - hour + 1, slot + 1) : Number.NaN;
      inputs[at++] = past.mean(slot - day + 1, slot + 1);
      inputs[at++] = Math.log(scales[pair]!);
    }
  }
}
