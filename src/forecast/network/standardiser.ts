import type { InputRows } from './network-inputs.ts';

/** Values beyond this many deviations say no more. */
export const INPUT_BOUND = 6;

/** Mean and deviation of every tabular input; unknown values become the mean. */
export interface Standardiser {
  means: Float32Array;
  deviations: Float32Array;
}

export function fitStandardiser({ tabular, count }: InputRows, width: number): Standardiser {
  const [sums, squares, known] = [new Float64Array(width), new Float64Array(width), new Float64Array(width)];
  for (let at = 0; at < count * width; at++) {
    const value = tabular[at]!;
    if (Number.isNaN(value)) continue;
    const input = at % width;
    sums[input]! += value;
    squares[input]! += value * value;
    known[input]! += 1;
  }
  const means = Float32Array.from(sums, (sum, input) => (known[input]! > 0 ? sum / known[input]! : 0));
  const deviations = Float32Array.from(squares, (square, input) => {
    const variance = known[input]! > 0 ? square / known[input]! - means[input]! ** 2 : 0;
    return variance > 1e-8 ? Math.sqrt(variance) : 1;
  });
  return { means, deviations };
}

/** Writes a standardised row to `to`, from `at` on. */
export function standardiseRow({ means, deviations }: Standardiser, tabular: Float32Array, row: number, to: Float32Array, at: number): void {
  const width = means.length;
  for (let input = 0; input < width; input++) {
    const value = (tabular[row * width + input]! - means[input]!) / deviations[input]!;
    const bounded = Math.max(-INPUT_BOUND, Math.min(INPUT_BOUND, value));
    to[at + input] = Number.isNaN(bounded) ? 0 : bounded;
  }
}
