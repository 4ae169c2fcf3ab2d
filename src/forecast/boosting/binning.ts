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

function binColumn(column: Float32Array, edges: Float32Array, bins: Uint8Array): Uint8Array {
  const rows = bins.length;
  for (let row = 0; row < rows; row++) {
    const value = column[row]!;
    if (Number.isNaN(value)) continue;
    let low = 0;
    let high = edges.length;
    while (low < high) {
      const middle = (low + high) >> 1;
      if (value <= edges[middle]!) high = middle;
      else low = middle + 1;
    }
    bins[row] = low + 1;
  }
  return bins;
}
