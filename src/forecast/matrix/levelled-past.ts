import { fillGaps, laterMatrix, shortGapOf, type DemandMatrix } from './demand-matrix.ts';
import { LevelRows } from './level-kernel.ts';
import { logarithmic, nodesOf, type NodeSeries } from './node-series.ts';

/** What every model's inputs begin with: all pairs without gaps in z = log1p(y/c), and what their nodes carry. */
export interface LevelledPast {
  scales: Float32Array;
  z: readonly Float32Array[];
  /** 1 where something of a pair is not known. */
  hasGaps: Uint8Array;
  nodes: NodeSeries;
}

/** More cells than this (32 MB) are not kept beside the matrix: they are those of a training, which reads a pair at a time. */
const CELLS_MAX = 8_000_000;

/** The models of one forecast ask about the same matrix. */
const levelled = new WeakMap<DemandMatrix, LevelledPast>();

/**
 * The levels of a matrix, found once for these scales; null for a matrix that is too large to keep them. Each slot's
 * rest on nothing after it.
 * @param scales  c of each pair, > 0
 */
export function levelledPast(matrix: DemandMatrix, scales: Float32Array): LevelledPast | null {
  if (matrix.length * matrix.pairs.length > CELLS_MAX) return null;
  const before = levelled.get(matrix);
  if (before && isSame(before.scales, scales)) return before;
  const past = makeLevelled(matrix, scales);
  if (past) levelled.set(matrix, past);
  return past;
}

function makeLevelled(matrix: DemandMatrix, scales: Float32Array): LevelledPast | null {
  const { length, slotsPerDay } = matrix;
  const pairs = matrix.pairs.length;
  const { source, target, nodes } = nodesOf(matrix);
  const rows = LevelRows.of(length, 2 * nodes + 1);
  if (rows === null) return null;
  const hasGaps = new Uint8Array(pairs);
  const block = new Float32Array(pairs * length);
  const z = matrix.pairs.map((_, pair) => block.subarray(pair * length, (pair + 1) * length));
  matrix.values.forEach((values, pair) => {
    rows.demand.set(values);
    if (!rows.isKnown()) {
      hasGaps[pair] = 1;
      fillGaps(values, slotsPerDay, rows.demand);
    }
    rows.setLevels(scales[pair]!);
    z[pair]!.set(rows.level);
    rows.addTo(source[pair]!, nodes + target[pair]!, 2 * nodes);
  });
  const sums = rows.sums.map((sum) => sum.slice());
  return { scales, z, hasGaps, nodes: logarithmic({ source, target, out: sums.slice(0, nodes), in: sums.slice(nodes, 2 * nodes), total: sums[2 * nodes]! }) };
}

/**
 * The same from a slot on, as `levelledPast` of that part alone would be; null when that is another: gaps at its
 * beginning were filled from what lies before.
 */
export function levelledPastFrom(matrix: DemandMatrix, scales: Float32Array, from: number): LevelledPast | null {
  const past = levelledPast(matrix, scales);
  if (past === null || from === 0) return past;
  const part = laterMatrix(matrix, from);
  if (!startsWithoutGaps(part)) return null;
  const later = (series: Float32Array): Float32Array => series.subarray(from);
  const { source, target, out, in: into, total } = past.nodes;
  return { scales, z: past.z.map(later), hasGaps: past.hasGaps.map((has, pair) => (has === 1 && part.values[pair]!.some(Number.isNaN) ? 1 : 0)), nodes: { source, target, out: out.map(later), in: into.map(later), total: later(total) } };
}

/** Whether each pair is known in the first slot, and has only short gaps on the first day: those hold the last value, longer ones look a day back. */
function startsWithoutGaps({ values, slotsPerDay }: DemandMatrix): boolean {
  const shortGap = shortGapOf(slotsPerDay);
  return values.every((series) => {
    let missing = shortGap;
    for (let slot = 0; slot < Math.min(slotsPerDay, series.length); slot++) {
      missing = Number.isNaN(series[slot]!) ? missing + 1 : 0;
      if (missing > shortGap) return false;
    }
    return true;
  });
}

function isSame(left: Float32Array, right: Float32Array): boolean {
  return left.length === right.length && left.every((value, at) => value === right[at]);
}
