import type { Rng } from '../../base/index.ts';

/** Rows of inputs, a column each (`FEATURES`). */
export interface Inputs {
  rows: number;
  columns: Float32Array[];
}

/** Rows whose outcome is known. A row stands for `weights` rows like it. */
export interface LabelledRows extends Inputs {
  labels: Uint8Array;
  weights: Float32Array;
}

/** Gives each row a probability, 0…1, that a bound is broken in the horizon. */
export interface PathModel {
  readonly name: string;
  /** True for what others must beat. */
  readonly isBaseline: boolean;
  /** @param pause  awaited between pieces of work of some tens of milliseconds */
  fit(rows: LabelledRows, rng: Rng, pause: () => Promise<void>): Promise<void>;
  predict(inputs: Inputs): Float64Array;
}

/** Σ weight × label and Σ weight of the rows that `isIn` picks. */
export function countRows({ rows, labels, weights }: LabelledRows, isIn: (row: number) => boolean): { events: number; count: number } {
  let [events, count] = [0, 0];
  for (let row = 0; row < rows; row++) {
    if (!isIn(row)) continue;
    count += weights[row]!;
    events += weights[row]! * labels[row]!;
  }
  return { events, count };
}
