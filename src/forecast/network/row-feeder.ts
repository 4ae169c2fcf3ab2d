import type { InputRows } from './network-inputs.ts';
import { QUANTILES, type QuantileNetwork } from './quantile-network.ts';
import { standardiseRow, type Standardiser } from './standardiser.ts';
import type { TrainingRows } from './training-rows.ts';

/** Brings rows into the network, a batch at a time. */
export class RowFeeder {
  readonly quantiles: Float32Array;
  private readonly network: QuantileNetwork;
  private readonly standardiser: Standardiser;
  private readonly scales: Float32Array;
  private readonly targets: Float32Array;
  private readonly weights: Float32Array;

  constructor(network: QuantileNetwork, standardiser: Standardiser) {
    const cells = network.shape.batch * network.shape.horizons;
    this.network = network;
    this.standardiser = standardiser;
    this.quantiles = new Float32Array(3 * cells);
    this.scales = new Float32Array(cells);
    this.targets = new Float32Array(cells);
    this.weights = new Float32Array(network.shape.batch);
  }

  /** Rows order[from], … fill the batch; where they end, it is filled up with rows that weigh nothing. */
  feed(rows: InputRows & Partial<TrainingRows>, order: Int32Array | null, from: number): void {
    const { tabular, recent, daily, shape } = this.network;
    const { batch, horizons } = shape;
    this.weights.fill(0);
    for (let place = 0; place < batch && from + place < rows.count; place++) {
      const row = order ? order[from + place]! : from + place;
      standardiseRow(this.standardiser, rows.tabular, row, tabular.values, place * tabular.columns);
      if (recent) feedSequence(rows.recent, row, shape.recent, recent.input.values, recent.input.columns, place, batch);
      if (daily) feedSequence(rows.daily, row, shape.daily, daily.input.values, daily.input.columns, place, batch);
      for (let horizon = 0; horizon < horizons; horizon++) {
        this.scales[place * horizons + horizon] = rows.scales[row * horizons + horizon]!;
        if (rows.targets) this.targets[place * horizons + horizon] = rows.targets[row * horizons + horizon]!;
      }
      if (rows.weights) this.weights[place] = rows.weights[row]!;
    }
  }

  /** The quantiles of the rows fed, in `quantiles`. */
  forward(): void {
    this.network.forward(this.scales, this.quantiles);
  }

  learn(): number {
    this.forward();
    return this.network.backward(this.targets, this.weights, this.scales, this.quantiles);
  }

  /** Mean weighted pinball loss a cell. */
  loss(rows: TrainingRows): number {
    const { batch, horizons } = this.network.shape;
    let sum = 0;
    let weightSum = 0;
    for (let from = 0; from < rows.count; from += batch) {
      this.feed(rows, null, from);
      this.forward();
      const used = Math.min(batch, rows.count - from);
      for (let cell = 0; cell < used * horizons; cell++) {
        const weight = this.weights[Math.floor(cell / horizons)]!;
        const target = this.targets[cell]!;
        if (Number.isNaN(target)) continue;
        weightSum += weight;
        for (let index = 0; index < QUANTILES.length; index++) {
          const miss = target - this.quantiles[3 * cell + index]!;
          const quantile = QUANTILES[index]!;
          sum += weight * (miss >= 0 ? quantile * miss : (quantile - 1) * miss);
        }
      }
    }
    return sum / (weightSum || 1);
  }
}

/** [row][step][channel] to [step · batch + place][channel]. */
function feedSequence(from: Float32Array, row: number, { steps, channels }: { steps: number; channels: number }, to: Float32Array, columns: number, place: number, batch: number): void {
  for (let step = 0; step < steps; step++) {
    const source = (row * steps + step) * channels;
    const target = (step * batch + place) * columns;
    for (let channel = 0; channel < channels; channel++) to[target + channel] = from[source + channel]!;
  }
}
