import { createRng } from '../../base/index.ts';
import type { BinnedRows } from './binning.ts';
import { boostQuantile, type BoosterOptions, type QuantileBooster } from './quantile-booster.ts';

/** One booster to grow, as data that threads share rather than copy. */
export interface BoosterJob {
  data: BinnedRows;
  targets: Float32Array;
  weights: Float32Array;
  quantile: number;
  options: BoosterOptions;
  /** Names the stream of random numbers: the same job gives the same booster, on whatever thread. */
  seed: string;
}

export function runBoosterJob({ data, targets, weights, quantile, options, seed }: BoosterJob): QuantileBooster {
  return boostQuantile(data, targets, weights, quantile, options, createRng(seed));
}

/** Memory that is not copied when it is sent to a thread. */
export function sharedFloats(length: number): Float32Array {
  return new Float32Array(new SharedArrayBuffer(4 * length));
}
