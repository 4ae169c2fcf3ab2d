import { scalesOf } from '../matrix/boosted-model.ts';
import type { DemandMatrix } from '../matrix/demand-matrix.ts';
import { levelledPastFrom } from '../matrix/levelled-past.ts';
import { emptyMatrixForecasts, type MatrixForecasts, type MatrixModelDump } from '../matrix/matrix-model.ts';
import { inputReach, NetworkInputs, type InputRows } from './network-inputs.ts';
import { QUANTILES, QuantileNetwork, type NetworkShape } from './quantile-network.ts';
import { RowFeeder } from './row-feeder.ts';
import type { Standardiser } from './standardiser.ts';

/** A trained network with what its inputs need. */
export interface FittedNetwork {
  horizons: readonly number[];
  /** c of each pair. */
  scales: Float32Array;
  standardiser: Standardiser;
  network: QuantileNetwork;
}

/** Rows kept at a time: bounds the memory, whatever is asked. */
const ROWS_AT_A_TIME = 4096;

/** What was last asked of a matrix, so that the networks of an ensemble, which ask the same, read the past once. */
const shown = new WeakMap<DemandMatrix, { question: readonly ArrayLike<number>[]; inputs: NetworkInputs; rows: InputRows }>();

/**
 * Forecasts all pairs from each origin, one result a horizon; reads no more of the past than the inputs need.
 * @param rowsAtATime  of a few pairs' origins, or of a part of one pair's; changes nothing in the result
 */
export function forecastNetwork({ horizons, scales, standardiser, network }: FittedNetwork, matrix: DemandMatrix, origins: Int32Array, rowsAtATime = ROWS_AT_A_TIME): MatrixForecasts[] {
  const pairs = matrix.pairs.length;
  if (pairs !== scales.length) throw new Error(`the network was trained for ${scales.length} pairs, the matrix has ${pairs}`);
  const results = horizons.map(() => ({ ...emptyMatrixForecasts(origins.length * pairs), logScale: scales }));
  if (origins.length === 0) return results;
  const window = network.shape.recent.steps;
  const begin = Math.max(0, origins[0]! - inputReach(horizons, matrix.slotsPerDay, window));
  const originsAtATime = Math.min(origins.length, rowsAtATime);
  const pairsAtATime = Math.min(pairs, Math.max(1, Math.floor(rowsAtATime / origins.length)));
  const isWhole = pairsAtATime === pairs && originsAtATime === origins.length;
  const question = [[window], horizons, scales, origins];
  const before = isWhole ? shown.get(matrix) : undefined;
  const isShown = before !== undefined && before.question.every((part, index) => sameNumbers(part, question[index]!));
  const inputs = isShown ? before.inputs : new NetworkInputs(windowOf(matrix, begin, origins.at(-1)! + 1), horizons, scales, window, isWhole ? levelledPastFrom(matrix, scales, begin) : null);
  if (inputs.count !== network.shape.inputs) throw new Error(`the network was trained with ${network.shape.inputs} inputs, the matrix gives ${inputs.count}: train it again with these covariates`);
  const feeder = new RowFeeder(network, standardiser);
  const rows = isShown ? before.rows : inputs.rows(pairsAtATime * originsAtATime);
  const shifted = origins.map((slot) => slot - begin);
  for (let first = 0; first < pairs; first += pairsAtATime) {
    const count = Math.min(pairsAtATime, pairs - first);
    for (let earliest = 0; earliest < origins.length; earliest += originsAtATime) forecastRows(first, count, earliest, shifted.subarray(earliest, earliest + originsAtATime));
  }
  if (isWhole) shown.set(matrix, { question, inputs, rows });
  return results;

  function forecastRows(first: number, count: number, earliest: number, slots: Int32Array): void {
    for (let index = 0; index < (isShown ? 0 : count); index++) inputs.fill(first + index, slots, rows, index * slots.length);
    rows.count = count * slots.length;
    for (let from = 0; from < rows.count; from += network.shape.batch) {
      feeder.feed(rows, null, from);
      feeder.forward();
      for (let row = from; row < Math.min(rows.count, from + network.shape.batch); row++) {
        const pair = first + Math.floor(row / slots.length);
        const at = (earliest + (row % slots.length)) * pairs + pair;
        const demandAt = (cell: number): number => demandOf(scales[pair]!, rows.levels[row]! + feeder.quantiles[cell]!);
        results.forEach(({ p50, p90, p95 }, horizon) => {
          const cell = QUANTILES.length * ((row - from) * horizons.length + horizon);
          p50[at] = demandAt(cell);
          p90[at] = demandAt(cell + 1);
          p95[at] = demandAt(cell + 2);
        });
      }
    }
  }
}

/** One of the same shape for other pairs and distances, with the weights that learning begins with: it takes as long as one that has learned. */
export function resizedNetwork({ network: { shape } }: FittedNetwork, matrix: DemandMatrix, horizons: readonly number[]): FittedNetwork {
  const scales = scalesOf(matrix);
  const inputs = new NetworkInputs(matrix, horizons, scales, shape.recent.steps).count;
  const network = new QuantileNetwork({ ...shape, inputs, horizons: horizons.length });
  network.start('resized');
  return { horizons, scales, standardiser: { means: new Float32Array(inputs), deviations: new Float32Array(inputs).fill(1) }, network };
}

export function dumpNetwork({ horizons, scales, standardiser, network }: FittedNetwork): MatrixModelDump {
  return {
    settings: { version: 1, horizons, shape: network.shape },
    weights: [scales, standardiser.means, standardiser.deviations, ...network.parameters.map(({ value }) => value.values)].map((each) => Float32Array.from(each)),
  };
}

/** @throws Error when it is not what `dumpNetwork` gave */
export function restoreNetwork({ settings, weights }: MatrixModelDump): FittedNetwork {
  const { version, horizons, shape } = settings as { version: number; horizons: number[]; shape: NetworkShape };
  if (version !== 1) throw new Error(`a network of version ${version}, where 1 is expected`);
  const network = new QuantileNetwork(shape);
  const [scales, means, deviations, ...values] = weights;
  const sizes = network.parameters.map(({ value }) => value.values.length);
  if (!scales || !means || !deviations || sizes.join() !== values.map(({ length }) => length).join() || means.length !== shape.inputs || deviations.length !== shape.inputs) {
    throw new Error('the weights do not fit the shape of the network');
  }
  network.parameters.forEach(({ value }, index) => value.values.set(values[index]!));
  return { horizons, scales, standardiser: { means, deviations }, network };
}

function sameNumbers(left: ArrayLike<number>, right: ArrayLike<number>): boolean {
  if (left.length !== right.length) return false;
  for (let at = 0; at < left.length; at++) if (left[at] !== right[at]) return false;
  return true;
}

function demandOf(scale: number, z: number): number {
  return z > 0 ? scale * Math.expm1(z) : 0;
}

/** The slots [from, until) of a matrix, sharing memory; covariates known ahead go on. */
function windowOf(matrix: DemandMatrix, from: number, until: number): DemandMatrix {
  return {
    ...matrix,
    startAt: matrix.startAt + from * matrix.stepMs,
    length: until - from,
    values: matrix.values.map((series) => series.subarray(from, until)),
    rowSlots: new Int32Array(0),
    ...(matrix.covariates && { covariates: matrix.covariates.map((each) => ({ ...each, values: each.values.subarray(from) })) }),
  };
}
