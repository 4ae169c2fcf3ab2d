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

/** Adds `rate` × the tree's value to each row. */
export function addTree(tree: Tree, data: BinnedRows, rate: number, sums: Float32Array): void {
  const { feature, threshold, left, right, value } = tree;
  const { columns, rows } = data;
  for (let row = 0; row < rows; row++) {
    let node = 0;
    let split = feature[0]!;
    while (split >= 0) {
      node = columns[split]![row]! <= threshold[node]! ? left[node]! : right[node]!;
      split = feature[node]!;
    }
    sums[row]! += rate * value[node]!;
  }
}
