import type { LayersModel, SymbolicTensor } from '@tensorflow/tfjs-layers';
import type { Scalar, Tensor, Tensor2D, Variable } from '@tensorflow/tfjs-core';
import { createRng, hash32, type Rng } from '../base/index.ts';
import { QUANTILES } from './forecast-model.ts';
import type { TensorFlowRuntime } from './lstm-backend.ts';
import { contextSize, STEP_FEATURES, type FeatureBatch } from './lstm-features.ts';

export interface NetworkSize {
  window: number;
  hidden: number;
  dense: number;
  horizon: number;
}

export interface Training {
  epochs: number;
  batchSize: number;
  learningRate: number;
  seed: string;
  /** Called after each epoch with its mean loss. */
  onEpoch(epoch: number, loss: number): Promise<void>;
}

/**
 * LSTM over the recent window; its last state and the context go through one dense layer; a linear layer over both gives
 * the quantiles of all steps at once. The linear layer begins at zero, so the untrained network says "as now" and learns
 * the difference, and it sees the context directly, so that "as yesterday" is one weight away.
 */
export class LstmNetwork {
  readonly size: NetworkSize;
  readonly #runtime: TensorFlowRuntime;
  readonly #model: LayersModel;

  constructor(runtime: TensorFlowRuntime, size: NetworkSize, seed: string) {
    this.size = size;
    this.#runtime = runtime;
    this.#model = buildModel(runtime, size, seed);
  }

  /** Fits by pinball loss with Adam, the learning rate falling by half a cosine; `weights` and `known` count per row and per target. */
  async train(features: FeatureBatch, targets: { targets: Float32Array; known: Float32Array }, weights: Float32Array, training: Training): Promise<void> {
    const { tf } = this.#runtime;
    const rng = createRng(training.seed).fork('shuffle');
    const optimizer = tf.train.adam(training.learningRate);
    const variables = this.#model.trainableWeights.map((weight) => weight.read() as Variable);
    const batches = Math.max(1, Math.floor(features.count / training.batchSize));
    for (let epoch = 0; epoch < training.epochs; epoch++) {
      const order = shuffled(features.count, rng);
      let lossSum = 0;
      for (let batch = 0; batch < batches; batch++) {
        const rows = order.subarray(batch * training.batchSize, Math.min(features.count, (batch + 1) * training.batchSize));
        const progress = (epoch + batch / batches) / training.epochs;
        (optimizer as unknown as { learningRate: number }).learningRate = training.learningRate * (0.02 + 0.98 * 0.5 * (1 + Math.cos(Math.PI * progress)));
        const inputs = this.#inputs(features, rows);
        const wanted = this.#targets(targets, weights, rows);
        const loss = optimizer.minimize(() => this.#loss(inputs, wanted), true, variables) as Scalar;
        lossSum += (await loss.data())[0]!;
        tf.dispose([loss, ...inputs, ...Object.values(wanted)]);
        if (!Number.isFinite(lossSum)) throw new Error(`the loss became ${lossSum} in epoch ${epoch + 1}`);
        await new Promise((resolve) => setImmediate(resolve)); // training in the engine's own thread must not hold it for long
      }
      await training.onEpoch(epoch + 1, lossSum / batches);
    }
    optimizer.dispose();
  }

  /** [count][horizon][3] in the scale of the features, relative to the anchor; ascending in the quantile. */
  predict(features: FeatureBatch): Float32Array {
    const { tf } = this.#runtime;
    const rows = Int32Array.from({ length: features.count }, (_, index) => index);
    const inputs = this.#inputs(features, rows);
    const quantiles = tf.tidy(() => tf.stack(this.#quantiles(inputs), 2));
    const values = quantiles.dataSync() as Float32Array;
    tf.dispose([quantiles, ...inputs]);
    return Float32Array.from(values);
  }

  /** All weights in the order of the layers. */
  weights(): Float32Array {
    const parts = this.#model.getWeights().map((weight) => weight.dataSync() as Float32Array);
    const all = new Float32Array(parts.reduce((sum, part) => sum + part.length, 0));
    let at = 0;
    for (const part of parts) {
      all.set(part, at);
      at += part.length;
    }
    return all;
  }

  setWeights(all: Float32Array): void {
    const { tf } = this.#runtime;
    let at = 0;
    const tensors = this.#model.getWeights().map((weight) => {
      const part = all.slice(at, at + weight.size);
      at += weight.size;
      return tf.tensor(part, weight.shape);
    });
    if (at !== all.length) throw new Error(`the network has ${at} weights, the file ${all.length}`);
    this.#model.setWeights(tensors);
    tf.dispose(tensors);
  }

  dispose(): void {
    this.#model.dispose();
  }

  #loss(inputs: Tensor[], wanted: { targets: Tensor2D; weights: Tensor2D }): Scalar {
    const { tf } = this.#runtime;
    const losses = this.#quantiles(inputs).map((predicted, index) => {
      const quantile = QUANTILES[index]!;
      const miss = tf.sub(wanted.targets, predicted);
      // max(q·m, (q − 1)·m) = q·m + relu(−m)
      return tf.sum(tf.mul(wanted.weights, tf.add(tf.mul(miss, quantile), tf.relu(tf.neg(miss)))));
    });
    return tf.div<Scalar>(tf.addN(losses), tf.add(tf.sum(wanted.weights), 1e-6));
  }

  /** The output's three parts made ascending: the median, and two steps upwards that cannot be negative. */
  #quantiles(inputs: Tensor[]): Tensor[] {
    const { tf } = this.#runtime;
    const [p50, up90, up95] = tf.split(this.#model.apply(inputs, { training: true }) as Tensor2D, 3, 1) as [Tensor2D, Tensor2D, Tensor2D];
    // softplus(x − 2): the untrained network begins with a narrow band
    const p90 = tf.add(p50, tf.softplus(tf.sub(up90, 2)));
    return [p50, p90, tf.add(p90, tf.softplus(tf.sub(up95, 3)))];
  }

  #inputs(features: FeatureBatch, rows: Int32Array): Tensor[] {
    const { tf } = this.#runtime;
    const { window, horizon } = this.size;
    return [
      tf.tensor3d(gather(features.windows, rows, window * STEP_FEATURES), [rows.length, window, STEP_FEATURES]),
      tf.tensor2d(gather(features.contexts, rows, contextSize(horizon)), [rows.length, contextSize(horizon)]),
    ];
  }

  #targets(targets: { targets: Float32Array; known: Float32Array }, weights: Float32Array, rows: Int32Array): { targets: Tensor2D; weights: Tensor2D } {
    const { tf } = this.#runtime;
    const { horizon } = this.size;
    const known = gather(targets.known, rows, horizon);
    rows.forEach((row, index) => {
      for (let step = 0; step < horizon; step++) known[index * horizon + step] = known[index * horizon + step]! * weights[row]!;
    });
    return { targets: tf.tensor2d(gather(targets.targets, rows, horizon), [rows.length, horizon]), weights: tf.tensor2d(known, [rows.length, horizon]) };
  }
}

function buildModel(runtime: TensorFlowRuntime, size: NetworkSize, seed: string): LayersModel {
  const { layers, input, model, initializers } = { ...runtime.layers, layers: runtime.layers.layers };
  const uniform = (purpose: string) => initializers.glorotUniform({ seed: hash32(`${seed}/${purpose}`) % 2 ** 31 });
  const window = input({ shape: [size.window, STEP_FEATURES] });
  const context = input({ shape: [contextSize(size.horizon)] });
  const state = layers.lstm({ units: size.hidden, kernelInitializer: uniform('kernel'), recurrentInitializer: uniform('recurrent') }).apply(window) as SymbolicTensor;
  const joined = layers.concatenate().apply([state, context]) as SymbolicTensor;
  const dense = layers.dense({ units: size.dense, activation: 'relu', kernelInitializer: uniform('dense') }).apply(joined) as SymbolicTensor;
  const both = layers.concatenate().apply([dense, context]) as SymbolicTensor;
  const output = layers.dense({ units: QUANTILES.length * size.horizon, kernelInitializer: 'zeros' }).apply(both) as SymbolicTensor;
  return model({ inputs: [window, context], outputs: output });
}

function shuffled(count: number, rng: Rng): Int32Array {
  const order = Int32Array.from({ length: count }, (_, index) => index);
  for (let index = count - 1; index > 0; index--) {
    const other = rng.integer(index + 1);
    [order[index], order[other]] = [order[other]!, order[index]!];
  }
  return order;
}

function gather(source: Float32Array, rows: Int32Array, width: number): Float32Array {
  const result = new Float32Array(rows.length * width);
  rows.forEach((row, index) => result.set(source.subarray(row * width, (row + 1) * width), index * width));
  return result;
}
