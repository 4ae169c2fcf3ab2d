import type { PointDump, PointForecaster } from './baselines.ts';
import { fillGaps, knownMean, type DemandMatrix } from './demand-matrix.ts';
import { setLevels } from './level-of.ts';

const LAGS = 12;
/** Lags, the same slot a day before the forecast, the mean of the last day, all less the newest value; 1. */
const WIDTH = LAGS + 2;
const ROWS_MAX = 6000;
const RIDGE = 1e-3;

/**
 * Linear regression of the change to come on the last changes, the day before and the last day's mean, one a pair, with
 * a ridge that draws it to no change; in log1p(y/mean), where a burst does not decide everything.
 */
export class Autoregression implements PointForecaster {
  readonly name = 'ar-ridge';
  private weights: Float64Array[] = [];
  private scales: number[] = [];

  fit(matrix: DemandMatrix, steps: number): void {
    this.scales = matrix.values.map((values) => Math.fround(knownMean(values) || 1));
    this.weights = matrix.values.map((values, pair) => {
      const inputs = new Inputs(values, matrix.slotsPerDay, steps, this.scales[pair]!);
      const gram = new Float64Array(WIDTH * WIDTH);
      const moments = new Float64Array(WIDTH);
      const every = Math.max(1, Math.floor(matrix.length / ROWS_MAX));
      let rows = 0;
      for (let slot = LAGS; slot + steps < matrix.length; slot += every) {
        const target = Math.log1p(values[slot + steps]! / this.scales[pair]!) - inputs.level(slot);
        if (Number.isNaN(target) || Number.isNaN(values[slot]!)) continue;
        const row = inputs.at(slot);
        rows += 1;
        for (let left = 0; left < WIDTH; left++) {
          moments[left]! += row[left]! * target;
          for (let right = 0; right <= left; right++) gram[left * WIDTH + right]! += row[left]! * row[right]!;
        }
      }
      for (let left = 0; left < WIDTH; left++) gram[left * WIDTH + left]! += RIDGE * rows + 1e-9;
      // as exact as they are kept, so that what is taken up again forecasts the same
      return rows < 3 * WIDTH ? new Float64Array(WIDTH) : solveCholesky(gram, moments, WIDTH).map(Math.fround);
    });
  }

  run(matrix: DemandMatrix, pair: number, steps: number, out: Float32Array, from = 0): void {
    const inputs = new Inputs(matrix.values[pair]!, matrix.slotsPerDay, steps, this.scales[pair]!);
    const weights = this.weights[pair]!;
    for (let slot = from; slot < matrix.length; slot++) {
      const row = inputs.at(slot);
      let sum = 0;
      for (let input = 0; input < WIDTH; input++) sum += weights[input]! * row[input]!;
      out[slot] = Math.max(0, Math.expm1(inputs.level(slot) + sum) * this.scales[pair]!);
    }
  }

  /** A pair after the other: scale, weights. */
  dump(): PointDump {
    return { settings: WIDTH, weights: Float32Array.from(this.weights.flatMap((weights, pair) => [this.scales[pair]!, ...weights])) };
  }

  restore({ settings, weights }: PointDump): void {
    if (settings !== WIDTH || !weights || weights.length % (WIDTH + 1) !== 0 || !weights.every((weight) => Number.isFinite(weight))) throw new Error('the regression has other weights than it should');
    const pairs = Array.from({ length: weights.length / (WIDTH + 1) }, (_, pair) => weights.subarray(pair * (WIDTH + 1), (pair + 1) * (WIDTH + 1)));
    this.scales = pairs.map((row) => row[0]!);
    this.weights = pairs.map((row) => Float64Array.from(row.subarray(1)));
  }
}

/** The regression's inputs of one pair. */
class Inputs {
  private readonly row = new Float64Array(WIDTH);
  private readonly filled: Float32Array;
  private readonly sums: Float64Array;
  private readonly slotsPerDay: number;
  private readonly back: number;

  constructor(values: Float32Array, slotsPerDay: number, steps: number, scale: number) {
    this.filled = fillGaps(values, slotsPerDay);
    setLevels(this.filled, scale, this.filled);
    this.sums = new Float64Array(values.length + 1);
    for (let slot = 0; slot < values.length; slot++) this.sums[slot + 1] = this.sums[slot]! + this.filled[slot]!;
    this.slotsPerDay = slotsPerDay;
    this.back = Math.ceil(steps / slotsPerDay) * slotsPerDay - steps;
  }

  /** log1p(y/mean) of the newest value. */
  level(slot: number): number {
    return this.filled[slot]!;
  }

  /** Valid until the next call. */
  at(slot: number): Float64Array {
    const { row, filled } = this;
    const level = filled[slot]!;
    for (let lag = 1; lag < LAGS; lag++) row[lag - 1] = (filled[slot - lag] ?? level) - level;
    row[LAGS - 1] = (filled[slot - this.back] ?? level) - level;
    const from = Math.max(0, slot + 1 - this.slotsPerDay);
    row[LAGS] = (this.sums[slot + 1]! - this.sums[from]!) / (slot + 1 - from) - level;
    row[LAGS + 1] = 1;
    return row;
  }
}

/** x of A x = b for a symmetric positive definite A, whose lower triangle is given and overwritten. */
export function solveCholesky(lower: Float64Array, right: Float64Array, size: number): Float64Array {
  for (let column = 0; column < size; column++) {
    for (let row = column; row < size; row++) {
      let sum = lower[row * size + column]!;
      for (let inner = 0; inner < column; inner++) sum -= lower[row * size + inner]! * lower[column * size + inner]!;
      lower[row * size + column] = row === column ? Math.sqrt(Math.max(sum, 1e-12)) : sum / lower[column * size + column]!;
    }
  }
  const solution = Float64Array.from(right);
  for (let row = 0; row < size; row++) {
    for (let inner = 0; inner < row; inner++) solution[row]! -= lower[row * size + inner]! * solution[inner]!;
    solution[row]! /= lower[row * size + row]!;
  }
  for (let row = size - 1; row >= 0; row--) {
    for (let inner = row + 1; inner < size; inner++) solution[row]! -= lower[inner * size + row]! * solution[inner]!;
    solution[row]! /= lower[row * size + row]!;
  }
  return solution;
}
