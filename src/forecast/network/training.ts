import { createRng } from '../../base/index.ts';
import type { QuantileNetwork } from './quantile-network.ts';
import { RowFeeder } from './row-feeder.ts';
import type { Standardiser } from './standardiser.ts';
import { shuffled, type TrainingRows } from './training-rows.ts';

export interface TrainingOptions {
  epochs: number;
  /** Of Adam; falls to 0 by half a cosine. */
  learningRate: number;
  /** Share of a weight, times the learning rate, that a step takes away (Loshchilov & Hutter 2019); biases keep theirs. */
  weightDecay: number;
  /** Weight of what was averaged before, a batch; the average is what is kept. */
  averaging: number;
}

/** Epochs in a row without a better validation that end the training. */
const PATIENCE = 4;

/**
 * Adam (Kingma & Ba 2015) on the pinball loss. The weights kept are an exponential average, from the epoch that was best
 * on `validation` (from the last when there is none); what was there before counts as one of them, so that going on from it
 * cannot get worse.
 * @param draw  the rows of an epoch
 */
export function trainNetwork(network: QuantileNetwork, standardiser: Standardiser, draw: (epoch: number) => TrainingRows, validation: TrainingRows, seed: string, options: TrainingOptions, onEpoch: (epoch: number, loss: number) => void): void {
  const rng = createRng(seed);
  const feeder = new RowFeeder(network, standardiser);
  const adam = new Adam(network);
  const average = new WeightAverage(network, options.averaging);
  let best = { loss: feeder.loss(validation), weights: network.parameters.map(({ value }) => Float32Array.from(value.values)), epoch: -1 };
  onEpoch(0, best.loss);
  for (let epoch = 0; epoch < options.epochs && epoch - best.epoch <= PATIENCE; epoch++) {
    const rows = draw(epoch);
    const order = shuffled(rows.count, rng);
    const batches = Math.ceil(rows.count / network.shape.batch);
    for (let batch = 0; batch < batches; batch++) {
      const progress = (epoch + batch / batches) / options.epochs;
      feeder.feed(rows, order, batch * network.shape.batch);
      feeder.learn();
      adam.step(0.5 * options.learningRate * (1 + Math.cos(Math.PI * progress)), options.weightDecay);
      average.add();
    }
    average.swap();
    const loss = feeder.loss(validation);
    if (loss < best.loss || validation.count === 0) best = { loss, weights: network.parameters.map(({ value }) => Float32Array.from(value.values)), epoch };
    average.swap();
    onEpoch(epoch + 1, loss);
  }
  network.parameters.forEach(({ value }, index) => value.values.set(best.weights[index]!));
}

class Adam {
  private readonly network: QuantileNetwork;
  private readonly moments: { first: Float32Array; second: Float32Array }[];
  private steps = 0;

  constructor(network: QuantileNetwork) {
    this.network = network;
    this.moments = network.parameters.map(({ value }) => ({ first: new Float32Array(value.values.length), second: new Float32Array(value.values.length) }));
  }

  /** Moves every weight against its slope and clears the slopes. */
  step(rate: number, weightDecay: number): void {
    this.steps += 1;
    const firstScale = 1 / (1 - 0.9 ** this.steps);
    const secondScale = 1 / (1 - 0.999 ** this.steps);
    this.network.parameters.forEach(({ value: { values, rows }, slope: { values: slopes } }, index) => {
      const { first, second } = this.moments[index]!;
      const keep = rows > 1 ? 1 - rate * weightDecay : 1;
      for (let at = 0; at < values.length; at++) {
        const slope = slopes[at]!;
        const mean = (first[at] = 0.9 * first[at]! + 0.1 * slope);
        const square = (second[at] = 0.999 * second[at]! + 0.001 * slope * slope);
        values[at] = keep * values[at]! - (rate * mean * firstScale) / (Math.sqrt(square * secondScale) + 1e-8);
      }
      slopes.fill(0);
    });
  }
}

/** Exponential average of the weights, which can change places with them. */
class WeightAverage {
  private readonly network: QuantileNetwork;
  private readonly keep: number;
  private readonly averages: Float32Array[];
  private added = 0;

  constructor(network: QuantileNetwork, keep: number) {
    this.network = network;
    this.keep = keep;
    this.averages = network.parameters.map(({ value }) => Float32Array.from(value.values));
  }

  add(): void {
    this.added += 1;
    const rate = 1 - Math.min(this.keep, this.added / (10 + this.added));
    this.network.parameters.forEach(({ value: { values } }, index) => {
      const average = this.averages[index]!;
      for (let at = 0; at < values.length; at++) average[at]! += rate * (values[at]! - average[at]!);
    });
  }

  swap(): void {
    this.network.parameters.forEach(({ value: { values } }, index) => {
      const average = this.averages[index]!;
      for (let at = 0; at < values.length; at++) {
        const kept = values[at]!;
        values[at] = average[at]!;
        average[at] = kept;
      }
    });
  }
}
