import { f64, i32, loop, u8x16, v128, wasmFunction, type Code, type WasmFunction } from '../wasm/assembler.ts';
import { growingKernel } from '../wasm/growing-kernel.ts';
import type { BinnedRows } from './binning.ts';
import type { Tree } from './tree.ts';

/** Leaves that a tree may have: one bit each. */
export const LEAVES_MAX = 32;
/** Rows that stand beside each other in a register. */
const LANES = 16;
/** Rows whose bins lie in the nearest cache while all trees are walked. */
const ROWS_AT_A_TIME = 1024;
/** A node: where its column begins, its threshold, four bytes of the leaves that lie left of it. */
const NODE_BYTES = 12;
const LEAF_BYTES = 8;

/** Trees as the kernel reads them, one after the other. */
export interface FlatTrees {
  /** `[node · NODE_BYTES]`; a column's place is its number times ROWS_AT_A_TIME. */
  nodes: Uint8Array;
  /** Nodes of each tree, at least one. */
  counts: Int32Array;
  /** `[tree · LEAVES_MAX + leaf]`, from left to right. */
  leaves: Float64Array;
}

/** @returns null when a tree has more leaves than there are bits */
export function flattenTrees(trees: readonly Tree[], rate: number): FlatTrees | null {
  const flat = trees.map((tree) => flatten(tree));
  if (flat.some(({ values }) => values.length > LEAVES_MAX)) return null;
  const nodes = flat.flatMap((each) => each.nodes);
  const view = new DataView(new ArrayBuffer(nodes.length * NODE_BYTES));
  nodes.forEach(({ feature, threshold, left }, index) => {
    view.setInt32(index * NODE_BYTES, feature * ROWS_AT_A_TIME, true);
    view.setUint8(index * NODE_BYTES + 4, threshold);
    view.setUint32(index * NODE_BYTES + 8, left, true);
  });
  const leaves = new Float64Array(trees.length * LEAVES_MAX);
  flat.forEach(({ values }, tree) => values.forEach((value, leaf) => (leaves[tree * LEAVES_MAX + leaf] = rate * value)));
  return { nodes: new Uint8Array(view.buffer), counts: Int32Array.from(flat, (each) => each.nodes.length), leaves };
}

interface FlatNode {
  feature: number;
  threshold: number;
  /** A bit for each leaf on its left, which a row above the threshold cannot reach. */
  left: number;
}

function flatten({ feature, threshold, left, right, value }: Tree): { nodes: FlatNode[]; values: number[] } {
  const nodes: FlatNode[] = [];
  const values: number[] = [];
  const visit = (node: number): void => {
    if (feature[node]! < 0) {
      values.push(value[node]!);
      return;
    }
    const first = values.length;
    visit(left[node]!);
    const bits = ((2 ** (values.length - first) - 1) * 2 ** first) % 2 ** LEAVES_MAX;
    nodes.push({ feature: feature[node]!, threshold: threshold[node]!, left: bits });
    visit(right[node]!);
  };
  visit(0);
  // A tree of one leaf needs a node that excludes nothing.
  return { nodes: nodes.length > 0 ? nodes : [{ feature: 0, threshold: 255, left: 0 }], values };
}

/**
 * Adds every tree's value to each row's sum, as `addTree` does, to the last bit. Instead of going down a tree, all of its
 * nodes are compared for sixteen rows at once: a row above a node's threshold loses the leaves on that node's left, and
 * the first leaf that is left is where it would have arrived (Lucchese et al., QuickScorer, SIGIR 2015; with rows
 * side by side: V-QuickScorer, 2016).
 */
export function walkTrees({ nodes, counts, leaves }: FlatTrees, { columns, rows }: BinnedRows, sums: Float32Array): void {
  const sumsAt = 0;
  const leavesAt = sumsAt + 4 * ROWS_AT_A_TIME;
  const binsAt = leavesAt + leaves.byteLength;
  const nodesAt = binsAt + columns.length * ROWS_AT_A_TIME;
  const { memory, walkTree } = kernelFor(nodesAt + nodes.length);
  const bytes = new Uint8Array(memory.buffer);
  const partSums = new Float32Array(memory.buffer, sumsAt, ROWS_AT_A_TIME);
  new Float64Array(memory.buffer, leavesAt, leaves.length).set(leaves);
  bytes.set(nodes, nodesAt);
  for (let from = 0; from < rows; from += ROWS_AT_A_TIME) {
    const count = Math.min(ROWS_AT_A_TIME, rows - from);
    columns.forEach((column, index) => bytes.set(column.subarray(from, from + count), binsAt + index * ROWS_AT_A_TIME));
    partSums.set(sums.subarray(from, from + count));
    let node = nodesAt;
    for (let tree = 0; tree < counts.length; tree++) {
      const end = node + counts[tree]! * NODE_BYTES;
      // Beyond the last row lie others' bins: their sums are not read.
      walkTree(node, end, binsAt, Math.ceil(count / LANES) * LANES, leavesAt + tree * LEAVES_MAX * LEAF_BYTES, sumsAt);
      node = end;
    }
    sums.set(partSums.subarray(0, count), from);
  }
}

interface KernelFunctions {
  walkTree: (nodes: number, nodesEnd: number, bins: number, rows: number, leaves: number, sums: number) => void;
}

const kernelFor = growingKernel<KernelFunctions>(() => [walkTreeFunction()]);

/** Bytes of two vectors in turn, from their lower or upper halves; of `size` bytes each. */
function interleaved(size: 1 | 2, half: 'low' | 'high'): number[] {
  const first = half === 'low' ? 0 : 8;
  return Array.from({ length: LANES }, (_, place) => {
    const piece = Math.floor(place / size);
    return first + Math.floor(piece / 2) * size + (place % size) + (piece % 2) * LANES;
  });
}

const walkTreeFunction = (): WasmFunction => wasmFunction('walkTree', ['nodes', 'nodesEnd', 'bins', 'rows', 'leaves', 'sums'], (p, make) => {
  const [row, node, column, leaf, sum] = [make.i32(), make.i32(), make.i32(), make.i32(), make.i32()];
  const above = make.v128();
  // A row's 32 leaves are a byte in each of four vectors.
  const planes = [make.v128(), make.v128(), make.v128(), make.v128()];
  const [pairsOf, four] = [[make.v128(), make.v128()], make.v128()];
  const compare = [
    column.set(i32.add(i32.add(p.bins, row.get), i32.load(node.get))),
    above.set(u8x16.greater(v128.load(column.get), u8x16.loadSplat(node.get, 4))),
    ...planes.map((plane, index) => plane.set(v128.without(plane.get, v128.and(above.get, u8x16.loadSplat(node.get, 8 + index))))),
  ];
  const addLeaf = (lane: number, place: number): Code[] => [
    leaf.set(i32.add(p.leaves, i32.shiftLeft(i32.trailingZeros(v128.lane(four.get, lane)), 3))),
    f64.storeFloat(sum.get, f64.add(f64.loadFloat(sum.get, 4 * place), f64.load(leaf.get)), 4 * place),
  ];
  // Bytes become pairs, pairs become the rows' 32 bits: four rows of each of four groups.
  const halves = ['low', 'high'] as const;
  const arrived = halves.flatMap((outer, group) => [
    pairsOf[0]!.set(u8x16.shuffle(planes[0]!.get, planes[1]!.get, interleaved(1, outer))),
    pairsOf[1]!.set(u8x16.shuffle(planes[2]!.get, planes[3]!.get, interleaved(1, outer))),
    ...halves.flatMap((inner, part) => [
      four.set(u8x16.shuffle(pairsOf[0]!.get, pairsOf[1]!.get, interleaved(2, inner))),
      ...[0, 1, 2, 3].flatMap((lane) => addLeaf(lane, 8 * group + 4 * part + lane)),
    ]),
  ]);
  return [
    loop(row, i32.constant(0), p.rows, i32.constant(LANES), [
      ...planes.map((plane) => plane.set(v128.ones)),
      loop(node, p.nodes, p.nodesEnd, i32.constant(NODE_BYTES), compare),
      sum.set(i32.add(p.sums, i32.shiftLeft(row.get, 2))),
      ...arrived,
    ]),
  ];
});
