import { BINS, type BinnedRows } from './binning.ts';

/** A regression tree as flat arrays; `feature[node] < 0` marks a leaf. A row goes left when its bin is ≤ `threshold`. */
export interface Tree {
  feature: Int16Array;
  threshold: Uint8Array;
  left: Int16Array;
  right: Int16Array;
  value: Float32Array;
}

export interface TreeOptions {
  leavesMax: number;
  /** Least sum of row weights in a leaf. */
  leafWeightMin: number;
  /** Added to a leaf's weight when a split is judged. */
  ridge: number;
}

interface Leaf {
  node: number;
  start: number;
  end: number;
  histogram: Float64Array;
  gain: number;
  feature: number;
  threshold: number;
}

/**
 * Grows trees leaf by leaf, the best split first, on histograms of gradients: a child's histogram is counted for the
 * smaller child only, the other one's is the difference (Ke et al., LightGBM, NeurIPS 2017). One grower serves many trees.
 */
export class TreeGrower {
  /** Row numbers of the last tree, ordered by leaf. */
  readonly order: Int32Array;
  private readonly data: BinnedRows;
  private readonly options: TreeOptions;
  private readonly pool: Float64Array[] = [];
  private readonly leafGradients: Float64Array;
  private readonly leafWeights: Float64Array;
  private readonly right: Int32Array;

  constructor(data: BinnedRows, options: TreeOptions) {
    this.data = data;
    this.options = options;
    this.order = new Int32Array(data.rows);
    this.right = new Int32Array(data.rows);
    this.leafGradients = new Float64Array(data.rows);
    this.leafWeights = new Float64Array(data.rows);
  }

  /**
   * @param bag       rows to grow on
   * @param features  columns that may be split
   * @param valueOf   a leaf's value from the rows order[start … end)
   */
  grow(bag: Int32Array, features: readonly number[], gradients: Float32Array, weights: Float32Array, valueOf: (start: number, end: number) => number): Tree {
    const { leavesMax } = this.options;
    const tree: Tree = {
      feature: new Int16Array(2 * leavesMax - 1).fill(-1),
      threshold: new Uint8Array(2 * leavesMax - 1),
      left: new Int16Array(2 * leavesMax - 1),
      right: new Int16Array(2 * leavesMax - 1),
      value: new Float32Array(2 * leavesMax - 1),
    };
    this.order.set(bag);
    const root = this.newLeaf(0, 0, bag.length, features.length);
    this.count(root, features, gradients, weights);
    this.findSplit(root, features);
    const leaves = [root];
    let nodes = 1;
    while (leaves.length < leavesMax) {
      const leaf = leaves.reduce((best, next) => (next.gain > best.gain ? next : best));
      if (leaf.gain <= 0) break;
      const middle = this.partition(leaf);
      tree.feature[leaf.node] = leaf.feature;
      tree.threshold[leaf.node] = leaf.threshold;
      tree.left[leaf.node] = nodes;
      tree.right[leaf.node] = nodes + 1;
      const left = this.newLeaf(nodes, leaf.start, middle, features.length);
      const right = this.newLeaf(nodes + 1, middle, leaf.end, features.length);
      nodes += 2;
      const [smaller, larger] = middle - leaf.start < leaf.end - middle ? [left, right] : [right, left];
      this.count(smaller, features, gradients, weights);
      for (let at = 0; at < larger.histogram.length; at++) larger.histogram[at] = leaf.histogram[at]! - smaller.histogram[at]!;
      this.findSplit(left, features);
      this.findSplit(right, features);
      this.pool.push(leaf.histogram);
      leaves.splice(leaves.indexOf(leaf), 1, left, right);
    }
    for (const leaf of leaves) {
      tree.value[leaf.node] = valueOf(leaf.start, leaf.end);
      this.pool.push(leaf.histogram);
    }
    return tree;
  }

  private newLeaf(node: number, start: number, end: number, features: number): Leaf {
    const histogram = this.pool.pop() ?? new Float64Array(features * BINS * 2);
    return { node, start, end, histogram, gain: 0, feature: -1, threshold: 0 };
  }

  private count({ start, end, histogram }: Leaf, features: readonly number[], gradients: Float32Array, weights: Float32Array): void {
    const { order, leafGradients, leafWeights } = this;
    histogram.fill(0);
    for (let at = start; at < end; at++) {
      leafGradients[at] = gradients[order[at]!]!;
      leafWeights[at] = weights[order[at]!]!;
    }
    for (let index = 0; index < features.length; index++) {
      const column = this.data.columns[features[index]!]!;
      const base = index * BINS * 2;
      for (let at = start; at < end; at++) {
        const cell = base + 2 * column[order[at]!]!;
        histogram[cell]! += leafGradients[at]!;
        histogram[cell + 1]! += leafWeights[at]!;
      }
    }
  }

  private findSplit(leaf: Leaf, features: readonly number[]): void {
    const { histogram } = leaf;
    const { leafWeightMin, ridge } = this.options;
    let sum = 0;
    let weight = 0;
    for (let cell = 0; cell < BINS * 2; cell += 2) {
      sum += histogram[cell]!;
      weight += histogram[cell + 1]!;
    }
    const whole = (sum * sum) / (weight + ridge);
    for (let index = 0; index < features.length; index++) {
      let leftSum = 0;
      let leftWeight = 0;
      for (let bin = 0; bin < BINS - 1; bin++) {
        const cell = (index * BINS + bin) * 2;
        leftSum += histogram[cell]!;
        leftWeight += histogram[cell + 1]!;
        if (leftWeight < leafWeightMin) continue;
        const rightWeight = weight - leftWeight;
        if (rightWeight < leafWeightMin) break;
        const rightSum = sum - leftSum;
        const gain = (leftSum * leftSum) / (leftWeight + ridge) + (rightSum * rightSum) / (rightWeight + ridge) - whole;
        if (gain > leaf.gain + 1e-9) Object.assign(leaf, { gain, feature: features[index]!, threshold: bin });
      }
    }
  }

  /** Puts the leaf's left rows first, both sides in their order; the place where the right ones begin. */
  private partition({ start, end, feature, threshold }: Leaf): number {
    const column = this.data.columns[feature]!;
    let left = start;
    let held = 0;
    for (let at = start; at < end; at++) {
      const row = this.order[at]!;
      if (column[row]! <= threshold) this.order[left++] = row;
      else this.right[held++] = row;
    }
    this.order.set(this.right.subarray(0, held), left);
    return left;
  }
}

/**
 * Adds `rate` × the tree's value to each row. Which way a row goes cannot be guessed, so nothing branches on it, and four
 * rows walk at a time: while one waits for its next node the others move. A row that has arrived stays in its leaf.
 */
export function addTree(tree: Tree, { block, rows }: BinnedRows, rate: number, sums: Float32Array): void {
  const { feature, value } = tree;
  const steps = stepsOf(tree, rows);
  const next = (node: number, row: number): number => {
    const above = (steps[4 * node + 1]! - block[steps[4 * node]! + row]!) >> 31; // all ones when the bin is above the threshold
    return steps[4 * node + 2]! + (steps[4 * node + 3]! & above);
  };
  let row = 0;
  for (; row + 4 <= rows; row += 4) {
    let [first, second, third, fourth] = [0, 0, 0, 0];
    while ((feature[first]! & feature[second]! & feature[third]! & feature[fourth]!) >= 0) {
      first = next(first, row);
      second = next(second, row + 1);
      third = next(third, row + 2);
      fourth = next(fourth, row + 3);
    }
    sums[row]! += rate * value[first]!;
    sums[row + 1]! += rate * value[second]!;
    sums[row + 2]! += rate * value[third]!;
    sums[row + 3]! += rate * value[fourth]!;
  }
  for (; row < rows; row++) {
    let node = 0;
    while (feature[node]! >= 0) node = next(node, row);
    sums[row]! += rate * value[node]!;
  }
}

/** Four numbers a node: where its column begins, its threshold, the left child, and how far the right one is from it. */
function stepsOf({ feature, threshold, left, right }: Tree, rows: number): Int32Array {
  const steps = new Int32Array(4 * feature.length);
  for (let node = 0; node < feature.length; node++) {
    const isLeaf = feature[node]! < 0;
    steps[4 * node] = isLeaf ? 0 : feature[node]! * rows;
    steps[4 * node + 1] = isLeaf ? 255 : threshold[node]!;
    steps[4 * node + 2] = isLeaf ? node : left[node]!;
    steps[4 * node + 3] = isLeaf ? 0 : right[node]! - left[node]!;
  }
  return steps;
}
