import type { Rng } from '../../base/index.ts';
import { binRows, chooseEdges, type BinEdges } from '../boosting/binning.ts';
import { addTree, TreeGrower, type Tree } from '../boosting/tree.ts';
import { logistic, logit } from './features.ts';
import { countRows, type Inputs, type LabelledRows, type PathModel } from './path-model.ts';

const ROUNDS = 70;
const LEAVES_MAX = 10;
const LEARNING_RATE = 0.08;
const LEAF_BEND_MIN = 4;
const RIDGE = 4;
const FEATURE_SHARE = 0.6;
/** Each tree sees every second row, in turn by chance. */
const ROW_SHARE = 0.5;
/** Rounds between pauses. */
const PAUSE_EVERY = 2;

/** Gradient-boosted trees on the logistic loss over all paths (Friedman 2001, with Newton's step in each leaf). */
export class BoostedTrees implements PathModel {
  readonly name = 'boosted';
  readonly isBaseline = false;
  #edges: BinEdges = [];
  #trees: Tree[] = [];
  #start = 0;

  async fit(rows: LabelledRows, rng: Rng, pause: () => Promise<void>): Promise<void> {
    this.#edges = chooseEdges(rows.columns.map((column) => column.subarray(0, rows.rows)));
    this.#trees = [];
    const { events, count } = countRows(rows, () => true);
    this.#start = logit((events + 0.5) / (count + 1));
    const data = binRows(rows.columns, this.#edges, rows.rows);
    const all = Int32Array.from({ length: rows.rows }, (_, row) => row);
    const grower = new TreeGrower(data, { leavesMax: LEAVES_MAX, leafWeightMin: LEAF_BEND_MIN, ridge: RIDGE });
    const sums = new Float32Array(rows.rows).fill(this.#start);
    const slopes = new Float32Array(rows.rows);
    const bends = new Float32Array(rows.rows);
    for (let round = 0; round < ROUNDS; round++) {
      if (round % PAUSE_EVERY === 0) await pause();
      for (let row = 0; row < rows.rows; row++) {
        const probability = logistic(sums[row]!);
        slopes[row] = (rows.labels[row]! - probability) * rows.weights[row]!;
        bends[row] = Math.max(1e-6, probability * (1 - probability)) * rows.weights[row]!;
      }
      const features = rows.columns.map((_, feature) => feature).filter(() => rng.next() < FEATURE_SHARE);
      if (features.length === 0) continue;
      const tree = grower.grow(all.filter(() => rng.next() < ROW_SHARE), features, slopes, bends, (from, until) => {
        let [slope, bend] = [0, 0];
        for (let at = from; at < until; at++) {
          slope += slopes[grower.order[at]!]!;
          bend += bends[grower.order[at]!]!;
        }
        return slope / (bend + RIDGE);
      });
      addTree(tree, data, LEARNING_RATE, sums);
      this.#trees.push(tree);
    }
  }

  predict({ rows, columns }: Inputs): Float64Array {
    const data = binRows(columns, this.#edges, rows);
    const sums = new Float32Array(rows).fill(this.#start);
    for (const tree of this.#trees) addTree(tree, data, LEARNING_RATE, sums);
    const probabilities = new Float64Array(rows);
    for (let row = 0; row < rows; row++) probabilities[row] = logistic(sums[row]!);
    return probabilities;
  }
}
