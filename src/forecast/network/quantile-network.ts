import { createRng } from '../../base/index.ts';
import { Gru } from './gru.ts';
import { TensorHeap, type Tensor } from './kernels.ts';
import { Dense, LANES, LayerContext, type Parameter } from './layers.ts';

export interface NetworkShape {
  /** Tabular inputs; padded to `LANES`. */
  inputs: number;
  /** Steps and channels of the two sequences: the recent window, and the same window of earlier days. */
  recent: { steps: number; channels: number };
  daily: { steps: number; channels: number };
  /** Width of each GRU's state; 0 leaves them out. */
  state: number;
  /** Widths of the dense layers. */
  dense: readonly number[];
  horizons: number;
  /** Rows at a time, a multiple of 4. */
  batch: number;
}

export const QUANTILES = [0.5, 0.9, 0.95] as const;
const UPPER_START = -0.5;

/**
 * Two GRUs and the tabular inputs go into dense layers; a linear layer over the last of them and the tabular inputs gives
 * the quantiles of every horizon: p50, then two steps upwards, softplus each, so that quantiles cannot cross.
 * All of it is times a scale of the row: what is learned of calm pairs holds for restless ones. The linear layer begins
 * at zero: untrained, the median says "as now".
 */
export class QuantileNetwork {
  readonly shape: NetworkShape;
  readonly parameters: readonly Parameter[];
  readonly tabular: Tensor;
  readonly recent: Gru | null;
  readonly daily: Gru | null;
  readonly layers: Dense[];
  readonly head: Dense;
  private readonly slopes: Tensor[];
  private readonly headSlope: Tensor;

  constructor(shape: NetworkShape) {
    this.shape = shape;
    const { batch, state } = shape;
    const context = new LayerContext(new TensorHeap(heapBytes(shape)));
    const { heap } = context;
    this.tabular = heap.allocate(batch, padded(shape.inputs));
    this.recent = state > 0 ? new Gru(context, 'recent', { ...shape.recent, channels: padded(shape.recent.channels, 4), batch, width: state }) : null;
    this.daily = state > 0 ? new Gru(context, 'daily', { ...shape.daily, channels: padded(shape.daily.channels, 4), batch, width: state }) : null;
    let sources = [this.tabular, ...(this.recent ? [this.recent.output] : []), ...(this.daily ? [this.daily.output] : [])];
    this.slopes = sources.slice(1).map(({ columns }) => heap.allocate(batch, columns));
    this.layers = shape.dense.map((width, index) => {
      const layer = new Dense(context, `dense${index}`, sources, width, true);
      this.slopes.push(heap.allocate(batch, width));
      sources = [layer.output];
      return layer;
    });
    this.head = new Dense(context, 'head', [sources[0]!, this.tabular], padded(QUANTILES.length * shape.horizons), false);
    this.headSlope = heap.allocate(batch, this.head.output.columns);
    this.parameters = context.parameters;
  }

  start(seed: string): void {
    const rng = createRng(seed);
    this.recent?.start(rng.fork('recent'));
    this.daily?.start(rng.fork('daily'));
    this.layers.forEach((layer, index) => layer.start(rng.fork(`dense${index}`)));
    for (const { value } of this.head.weights) value.values.fill(0);
    this.head.bias.value.values.forEach((_, index, bias) => (bias[index] = index % 3 === 0 ? 0 : UPPER_START));
  }

  /**
   * From the inputs written into `tabular`, `recent.input` and `daily.input`.
   * @param scales     [row · horizons + horizon]
   * @param quantiles  gets [(row · horizons + horizon) · 3 + quantile]
   */
  forward(scales: Float32Array, quantiles: Float32Array): void {
    const { horizons, batch } = this.shape;
    this.recent?.forward();
    this.daily?.forward();
    for (const layer of this.layers) layer.forward();
    const { values, columns } = this.head.forward();
    for (let row = 0; row < batch; row++) {
      for (let horizon = 0; horizon < horizons; horizon++) {
        const cell = row * horizons + horizon;
        const from = row * columns + 3 * horizon;
        const scale = scales[cell]!;
        const p90 = values[from]! + softplus(values[from + 1]!);
        quantiles[3 * cell] = scale * values[from]!;
        quantiles[3 * cell + 1] = scale * p90;
        quantiles[3 * cell + 2] = scale * (p90 + softplus(values[from + 2]!));
      }
    }
  }

  /**
   * Adds to every parameter's slope that of Σ weight · Σ pinball loss / batch after a `forward`.
   * @param targets  [row · horizons + horizon]; NaN cells do not count
   * @returns that sum
   */
  backward(targets: Float32Array, weights: Float32Array, scales: Float32Array, quantiles: Float32Array): number {
    const { horizons, batch } = this.shape;
    const { values, columns } = this.head.output;
    const slopes = this.headSlope.values.fill(0);
    let loss = 0;
    for (let row = 0; row < batch; row++) {
      const weight = weights[row]! / batch;
      for (let horizon = 0; horizon < horizons; horizon++) {
        const cell = row * horizons + horizon;
        const target = targets[cell]!;
        if (Number.isNaN(target) || weight === 0) continue;
        const from = row * columns + 3 * horizon;
        let above = 0;
        for (let index = QUANTILES.length - 1; index >= 0; index--) {
          const quantile = QUANTILES[index]!;
          const miss = target - quantiles[3 * cell + index]!;
          loss += weight * (miss >= 0 ? quantile * miss : (quantile - 1) * miss);
          above += weight * scales[cell]! * (miss >= 0 ? -quantile : 1 - quantile);
          slopes[from + index] = index === 0 ? above : above * sigmoid(values[from + index]!);
        }
      }
    }
    this.propagate();
    return loss;
  }

  private propagate(): void {
    for (const { values } of this.slopes) values.fill(0);
    const branches = this.recent ? 2 : 0;
    const { layers, slopes } = this;
    this.head.backward(this.headSlope, [layers.length > 0 ? slopes[branches + layers.length - 1]! : null, null]);
    for (let index = layers.length - 1; index >= 0; index--) {
      layers[index]!.backward(slopes[branches + index]!, index === 0 ? [null, ...slopes.slice(0, branches)] : [slopes[branches + index - 1]!]);
    }
    this.recent?.backward(slopes[0]!);
    this.daily?.backward(slopes[1]!);
  }
}

export function padded(size: number, lanes = LANES): number {
  return Math.ceil(size / lanes) * lanes;
}

export function softplus(value: number): number {
  return value > 20 ? value : Math.log1p(Math.exp(value));
}

function sigmoid(value: number): number {
  return 1 / (1 + Math.exp(-value));
}

/** Enough for all tensors of the shape: every parameter thrice (value, slope, transpose), what is kept a row, and room to align. */
function heapBytes({ inputs, recent, daily, state, dense, horizons, batch }: NetworkShape): number {
  const widths = [padded(inputs) + 2 * state, ...dense, padded(QUANTILES.length * horizons)];
  const ofDense = widths.slice(1).reduce((sum, width, index) => sum + 3 * width * (widths[index]! + padded(inputs)) + 2 * width, 0);
  const ofGru = [recent, daily].reduce((sum, { channels }) => sum + 9 * state * (channels + 4 + state) + 12 * state, 0);
  const perRow = padded(inputs) + 2 * widths.slice(1).reduce((sum, width) => sum + width, 0) + [recent, daily].reduce((sum, { steps, channels }) => sum + steps * (channels + 4 + 15 * state) + (steps + 2) * state, 0);
  return 4 * (ofDense + ofGru + batch * perRow + LANES * 512) + 65_536;
}
