import type { Rng } from '../../base/index.ts';
import type { BinnedRows } from './binning.ts';
import { addTree, TreeGrower, type Tree } from './tree.ts';
import { flattenTrees, walkTrees, type FlatTrees } from './walk-trees.ts';

export interface BoosterOptions {
  rounds: number;
  leavesMax: number;
  learningRate: number;
  leafWeightMin: number;
  /** Share of the columns that each tree may use, and of the rows it sees. */
  featureShare: number;
  rowShare: number;
}

/** A quantile of the target as a start value and a sum of trees. */
export interface QuantileBooster {
  start: number;
  learningRate: number;
  trees: Tree[];
}

/**
 * Gradient-boosted trees for one quantile (Friedman 2001): each tree is grown on the sign of the pinball loss's
 * gradient, its leaves then hold the weighted quantile of the residuals.
 * @param onRound  called after each tree; false ends
 */
export function boostQuantile(data: BinnedRows, targets: Float32Array, weights: Float32Array, quantile: number, options: BoosterOptions, rng: Rng, onRound: (booster: QuantileBooster) => boolean = () => true): QuantileBooster {
  const rows = data.rows;
  const all = Int32Array.from({ length: rows }, (_, row) => row);
  const residuals = Float32Array.from(targets);
  const start = weightedQuantile(residuals, weights, all, 0, rows, quantile);
  const booster: QuantileBooster = { start, learningRate: options.learningRate, trees: [] };
  const sums = new Float32Array(rows).fill(start);
  const gradients = new Float32Array(rows);
  const grower = new TreeGrower(data, { leavesMax: options.leavesMax, leafWeightMin: options.leafWeightMin, ridge: 1 });
  for (let round = 0; round < options.rounds; round++) {
    for (let row = 0; row < rows; row++) {
      const residual = targets[row]! - sums[row]!;
      residuals[row] = residual;
      gradients[row] = (residual > 0 ? quantile : quantile - 1) * weights[row]!;
    }
    const bag = options.rowShare < 1 ? all.filter(() => rng.next() < options.rowShare) : all;
    const features = chooseFeatures(data.columns.length, options.featureShare, rng);
    const tree = grower.grow(bag, features, gradients, weights, (from, until) => weightedQuantile(residuals, weights, grower.order, from, until, quantile));
    addTree(tree, data, options.learningRate, sums);
    booster.trees.push(tree);
    if (!onRound(booster)) break;
  }
  return booster;
}

/** Fewer rows than this are walked one by one: sixteen at a time would be mostly nobody. */
const ROWS_TOGETHER_MIN = 8;

/** What the kernel reads of boosters that have forecast. */
const flattened = new WeakMap<QuantileBooster, FlatTrees | null>();

export function predictBooster(booster: QuantileBooster, data: BinnedRows): Float32Array {
  const sums = new Float32Array(data.rows).fill(booster.start);
  const flat = data.rows < ROWS_TOGETHER_MIN ? null : flatOf(booster);
  if (flat) walkTrees(flat, data, sums);
  else for (const tree of booster.trees) addTree(tree, data, booster.learningRate, sums);
  return sums;
}

function flatOf(booster: QuantileBooster): FlatTrees | null {
  const known = flattened.get(booster);
  if (known !== undefined) return known;
  const flat = flattenTrees(booster.trees, booster.learningRate);
  flattened.set(booster, flat);
  return flat;
}

const BUCKETS = 256;

/** The quantile of values[order[from … until)] by weight, to a 2^−24 of their range: three rounds of counting, no sorting. */
export function weightedQuantile(values: Float32Array, weights: Float32Array, order: Int32Array, from: number, until: number, quantile: number): number {
  let low = Number.POSITIVE_INFINITY;
  let high = Number.NEGATIVE_INFINITY;
  let total = 0;
  for (let at = from; at < until; at++) {
    const value = values[order[at]!]!;
    if (value < low) low = value;
    if (value > high) high = value;
    total += weights[order[at]!]!;
  }
  if (!(high > low)) return from < until ? low : 0;
  const buckets = new Float64Array(BUCKETS + 1);
  const target = quantile * total;
  let below = 0;
  for (let round = 0; round < 3 && high > low; round++) {
    buckets.fill(0);
    const scale = BUCKETS / (high - low);
    let under = 0;
    for (let at = from; at < until; at++) {
      const place = (values[order[at]!]! - low) * scale;
      if (place < 0) under += weights[order[at]!]!;
      else if (place <= BUCKETS) buckets[Math.floor(place)]! += weights[order[at]!]!;
    }
    below = under;
    let bucket = 0;
    while (bucket < BUCKETS && below + buckets[bucket]! < target) below += buckets[bucket++]!;
    high = low + (bucket + 1) / scale;
    low += bucket / scale;
  }
  return (low + high) / 2;
}

function chooseFeatures(count: number, share: number, rng: Rng): number[] {
  const left = Array.from({ length: count }, (_, feature) => feature);
  const wanted = Math.max(1, Math.round(count * share));
  return Array.from({ length: wanted }, () => left.splice(rng.integer(left.length), 1)[0]!).sort((a, b) => a - b);
}
