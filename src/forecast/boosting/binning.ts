import { f32, i32, loop, wasmFunction, type WasmFunction } from '../wasm/assembler.ts';
import { growingKernel } from '../wasm/growing-kernel.ts';

/** Inputs of many rows as columns of bin numbers: bin 0 is "not known", bin b > 0 holds values up to `edges[b − 1]`. */
export interface BinnedRows {
  rows: number;
  columns: Uint8Array[];
  /** The columns one after the other: row r of column c is at c · rows + r. */
  block: Uint8Array;
}

/** Upper edges of the bins of every column, ascending; the last bin has none. */
export type BinEdges = Float32Array[];

/** Bins of a column, the one of unknown values included. */
export const BINS = 128;
const SAMPLES_MAX = 20_000;

/** Edges so that each bin holds about as many of the given values; NaN counts for none. */
export function chooseEdges(columns: readonly Float32Array[]): BinEdges {
  return columns.map((column) => {
    const every = Math.max(1, Math.floor(column.length / SAMPLES_MAX));
    const sample = column.filter((value, row) => row % every === 0 && !Number.isNaN(value)).sort();
    const edges: number[] = [];
    for (let bin = 1; bin < BINS - 1; bin++) {
      const edge = sample[Math.floor((bin * sample.length) / (BINS - 1))];
      if (edge !== undefined && (edges.length === 0 || edge > edges.at(-1)!) && edge < sample.at(-1)!) edges.push(edge);
    }
    return Float32Array.from(edges);
  });
}

/**
 * The columns share one block of memory that threads can read without a copy.
 * @param rows  how many of the columns' values are in use
 */
export function binRows(columns: readonly Float32Array[], edges: BinEdges, rows: number): BinnedRows {
  const block = new Uint8Array(new SharedArrayBuffer(rows * columns.length));
  return { rows, columns: columns.map((column, index) => binColumn(column, edges[index]!, block.subarray(index * rows, (index + 1) * rows))), block };
}

/** In the kernel's memory: edges, as many as a search looks among; values, so many at a time, and their bins. */
const EDGES_AT = 0;
const VALUES_AT = 4 * BINS;
const VALUES_AT_A_TIME = 1024;
const BINS_AT = VALUES_AT + 4 * VALUES_AT_A_TIME;

function binColumn(column: Float32Array, edges: Float32Array, bins: Uint8Array): Uint8Array {
  const { memory, bin } = kernelFor(BINS_AT + VALUES_AT_A_TIME);
  new Float32Array(memory.buffer, EDGES_AT, BINS).fill(Number.POSITIVE_INFINITY).set(edges);
  const values = new Float32Array(memory.buffer, VALUES_AT, VALUES_AT_A_TIME);
  const found = new Uint8Array(memory.buffer, BINS_AT, VALUES_AT_A_TIME);
  for (let from = 0; from < bins.length; from += VALUES_AT_A_TIME) {
    const until = Math.min(bins.length, from + VALUES_AT_A_TIME);
    values.set(column.subarray(from, until));
    bin(VALUES_AT, VALUES_AT + 4 * (until - from));
    bins.set(found.subarray(0, until - from), from);
  }
  return bins;
}

interface KernelFunctions {
  bin: (from: number, until: number) => void;
}

const kernelFor = growingKernel<KernelFunctions>(() => [binFunction()]);

/** How many edges lie below each value, and one more; 0 for no number. A search without branches: which way it goes cannot be foretold. */
const binFunction = (): WasmFunction => wasmFunction('bin', ['from', 'until'], (p, make) => {
  const [at, to, edge, value] = [make.i32(), make.i32(), make.i32(), make.f32()];
  const halves = [6, 5, 4, 3, 2, 1, 0];
  return [
    to.set(i32.constant(BINS_AT)),
    loop(at, p.from, p.until, i32.constant(4), [
      value.set(f32.load(at.get)),
      edge.set(i32.constant(EDGES_AT)),
      ...halves.map((bit) => edge.set(i32.add(edge.get, i32.shiftLeft(f32.less(f32.load(edge.get, 4 * (2 ** bit - 1)), value.get), bit + 2)))),
      i32.storeByte(to.get, i32.multiply(i32.add(i32.shiftRight(i32.subtract(edge.get, i32.constant(EDGES_AT)), 2), i32.constant(1)), f32.equal(value.get, value.get))),
      to.set(i32.add(to.get, i32.constant(1))),
    ]),
  ];
});
