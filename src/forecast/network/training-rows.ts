import type { Rng } from '../../base/index.ts';
import type { InputRows, NetworkInputs } from './network-inputs.ts';

/** Inputs with what came afterwards, and how much each row counts. */
export interface TrainingRows extends InputRows {
  /** [row][horizon]: z(t + h) − z(t); NaN where it is not known. */
  targets: Float32Array;
  weights: Float32Array;
}

export interface SamplingOptions {
  /** A row counts by (c + demand now)^this: nearer to 1, errors count by volume; nearer to 0, rows are more alike. */
  weightPower: number;
  /** Share of that power in how many rows a pair gives, the rest in how much each counts: heavy pairs are seen more often. */
  samplingPower: number;
}

/** Draws differ by some rows, since some targets are unknown. */
const ROOM = 2000;
/** Slots times pairs that a draw walks through; of more, every draw takes other pairs. */
const CELLS_AT_A_TIME = 12_000_000;

/**
 * About `wanted` rows of all pairs with origins in [from, until), evenly over time from a random beginning for each
 * pair, so that every draw sees other rows. Targets lie before `known`.
 * @param reuse  an earlier draw that is no longer needed: its memory is taken when it is large enough
 */
export function drawRows(inputs: NetworkInputs, scales: Float32Array, horizons: readonly number[], span: { from: number; until: number; known: number }, wanted: number, options: SamplingOptions, rng: Rng, reuse: TrainingRows | null = null): TrainingRows {
  const { matrix } = inputs;
  const pairs = matrix.pairs.length;
  const mean = scales.reduce((sum, scale) => sum + scale, 0) / pairs;
  const importance = Array.from(scales, (scale) => Math.max(1e-3, scale / mean) ** options.weightPower);
  const shares = importance.map((each) => each ** options.samplingPower);
  const every = Math.ceil((matrix.length * pairs) / CELLS_AT_A_TIME);
  const turn = every > 1 ? rng.integer(every) : 0;
  const whole = shares.reduce((sum, each, pair) => sum + (pair % every === turn ? each : 0), 0);
  const length = Math.max(0, span.until - span.from);
  // The first weekend, or the first working day after one, has nothing to compare with: it would teach to distrust the past.
  const comparable = Array.from({ length }, (_, index) => inputs.hasComparableDay(span.from + index));
  const isChoosy = comparable.filter(Boolean).length >= length / 3;
  const origins = matrix.values.map((values, pair) => {
    const start = rng.next();
    if (pair % every !== turn) return { slots: new Int32Array(0), density: 1 };
    const count = Math.min(length, Math.ceil((wanted * shares[pair]!) / whole));
    const chosen: number[] = [];
    for (let index = 0; index < count; index++) {
      const slot = span.from + Math.floor(((index + start) * length) / count);
      if (isChoosy && !comparable[slot - span.from]) continue;
      if (horizons.some((steps) => slot + steps < span.known && !Number.isNaN(values[slot + steps]!))) chosen.push(slot);
    }
    return { slots: Int32Array.from(chosen), density: count / Math.max(1, length) };
  });
  const count = origins.reduce((sum, { slots }) => sum + slots.length, 0);
  const hasRoom = reuse !== null && reuse.weights.length >= count;
  const rows: TrainingRows = hasRoom ? { ...reuse, count } : { ...inputs.rows(count + ROOM), count, targets: new Float32Array((count + ROOM) * horizons.length), weights: new Float32Array(count + ROOM) };
  let at = 0;
  let weightSum = 0;
  origins.forEach(({ slots, density }, pair) => {
    if (slots.length === 0) return;
    inputs.fill(pair, slots, rows, at);
    const values = matrix.values[pair]!;
    const scale = scales[pair]!;
    for (let index = 0; index < slots.length; index++) {
      const row = at + index;
      const level = rows.levels[row]!;
      horizons.forEach((steps, horizon) => {
        const target = slots[index]! + steps;
        rows.targets[row * horizons.length + horizon] = target < span.known ? Math.log1p(values[target]! / scale) - level : Number.NaN;
      });
      // (c + y) / mean = c e^z / mean: what an error of z is worth in volume, to first order.
      const weight = Math.max(1e-3, (scale * Math.exp(level)) / mean) ** options.weightPower / density;
      rows.weights[row] = weight;
      weightSum += weight;
    }
    at += slots.length;
  });
  const unit = count / (weightSum || 1);
  for (let row = 0; row < count; row++) rows.weights[row]! *= unit;
  return rows;
}

export function shuffled(count: number, rng: Rng): Int32Array {
  const order = Int32Array.from({ length: count }, (_, index) => index);
  for (let index = count - 1; index > 0; index--) {
    const other = rng.integer(index + 1);
    [order[index], order[other]] = [order[other]!, order[index]!];
  }
  return order;
}
