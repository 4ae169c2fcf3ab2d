import { logistic } from './features.ts';
import type { Inputs, LabelledRows, PathModel } from './path-model.ts';

const STEPS = 6;
/** More rows than this make it slower, not better. */
const ROWS_MAX = 12_000;
const RIDGE = 2;
/** Standardised inputs are kept within this. */
const INPUT_MAX = 6;

/** An input counts when it was known in this share of the rows at least; that it is not known, when it was both often enough. */
const KNOWN_MIN = 0.05;
const KNOWN_MAX = 0.99;

/** Logistic regression over all paths, by Newton's method; an input that is not known counts as its mean, and as a second input that says so. */
export class LogisticModel implements PathModel {
  readonly name = 'logistic';
  readonly isBaseline = false;
  #scales: Scale[] = [];
  #weights = new Float64Array(0);

  async fit(rows: LabelledRows, _rng: unknown, pause: () => Promise<void>): Promise<void> {
    this.#scales = rows.columns.map((column) => scaleOf(column, rows.rows));
    const size = 2 * rows.columns.length + 1;
    this.#weights = new Float64Array(size);
    const input = new Float64Array(size);
    const every = Math.ceil(rows.rows / ROWS_MAX);
    for (let step = 0; step < STEPS; step++) {
      const hessian = Array.from({ length: size }, () => new Float64Array(size));
      const gradient = new Float64Array(size);
      for (let row = 0; row < rows.rows; row += every) {
        if ((row / every) % 3000 === 2999) await pause();
        this.#read(rows, row, input);
        const probability = logistic(this.#sum(input));
        const slope = (rows.labels[row]! - probability) * rows.weights[row]!;
        const bend = Math.max(1e-6, probability * (1 - probability)) * rows.weights[row]!;
        for (let one = 0; one < size; one++) {
          const value = input[one]!;
          if (value === 0) continue;
          gradient[one]! += slope * value;
          const line = hessian[one]!;
          for (let other = 0; other <= one; other++) line[other]! += bend * value * input[other]!;
        }
      }
      for (let one = 0; one < size; one++) {
        gradient[one]! -= RIDGE * this.#weights[one]!;
        hessian[one]![one]! += RIDGE;
      }
      const change = solve(hessian, gradient);
      for (let one = 0; one < size; one++) this.#weights[one]! += change[one]!;
      if (change.every((value) => Math.abs(value) < 1e-3)) break;
    }
  }

  predict(inputs: Inputs): Float64Array {
    const input = new Float64Array(this.#weights.length);
    const probabilities = new Float64Array(inputs.rows);
    for (let row = 0; row < inputs.rows; row++) {
      this.#read(inputs, row, input);
      probabilities[row] = logistic(this.#sum(input));
    }
    return probabilities;
  }

  #read({ columns }: Inputs, row: number, input: Float64Array): void {
    input[0] = 1;
    for (let index = 0; index < columns.length; index++) {
      const value = columns[index]![row]!;
      const { mean, deviation, knownShare } = this.#scales[index]!;
      const isKnown = !Number.isNaN(value);
      input[1 + index] = isKnown && knownShare >= KNOWN_MIN ? Math.max(-INPUT_MAX, Math.min(INPUT_MAX, (value - mean) / deviation)) : 0;
      input[1 + columns.length + index] = !isKnown && knownShare >= KNOWN_MIN && knownShare <= KNOWN_MAX ? 1 : 0;
    }
  }

  #sum(input: Float64Array): number {
    let sum = 0;
    for (let index = 0; index < input.length; index++) sum += input[index]! * this.#weights[index]!;
    return sum;
  }
}

interface Scale {
  mean: number;
  deviation: number;
  knownShare: number;
}

function scaleOf(column: Float32Array, rows: number): Scale {
  let [count, sum, squares] = [0, 0, 0];
  for (let row = 0; row < rows; row++) {
    const value = column[row]!;
    if (Number.isNaN(value)) continue;
    count++;
    sum += value;
    squares += value * value;
  }
  const mean = count === 0 ? 0 : sum / count;
  return { mean, deviation: Math.max(1e-3, Math.sqrt(Math.max(0, squares / Math.max(1, count) - mean * mean))), knownShare: count / Math.max(1, rows) };
}

/** Solves a symmetric positive definite system, of which the lower half is given, by Cholesky's method. */
function solve(lower: readonly Float64Array[], right: Float64Array): Float64Array {
  const size = right.length;
  const root = lower.map((line) => Float64Array.from(line));
  for (let row = 0; row < size; row++) {
    for (let column = 0; column <= row; column++) {
      let sum = root[row]![column]!;
      for (let index = 0; index < column; index++) sum -= root[row]![index]! * root[column]![index]!;
      root[row]![column] = row === column ? Math.sqrt(Math.max(1e-9, sum)) : sum / root[column]![column]!;
    }
  }
  const result = Float64Array.from(right);
  for (let row = 0; row < size; row++) {
    for (let index = 0; index < row; index++) result[row]! -= root[row]![index]! * result[index]!;
    result[row]! /= root[row]![row]!;
  }
  for (let row = size - 1; row >= 0; row--) {
    for (let index = row + 1; index < size; index++) result[row]! -= root[index]![row]! * result[index]!;
    result[row]! /= root[row]![row]!;
  }
  return result;
}
