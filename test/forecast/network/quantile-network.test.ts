import { describe, expect, it } from 'vitest';
import { createRng } from '../../../src/base/index.ts';
import { TensorHeap } from '../../../src/forecast/network/kernels.ts';
import { fillGaussian } from '../../../src/forecast/network/layers.ts';
import { QuantileNetwork, type NetworkShape } from '../../../src/forecast/network/quantile-network.ts';

const shape: NetworkShape = { inputs: 11, recent: { steps: 3, channels: 3 }, daily: { steps: 4, channels: 2 }, state: 8, dense: [16, 8], horizons: 2, batch: 8 };
const rng = createRng('network test');

describe('the kernels', () => {
  it.each([[4, 8, 1], [12, 24, 7], [8, 16, 512]])('multiply %i × %i over %i as plain loops do, transposed or not', (m, n, k) => {
    const heap = new TensorHeap(1 << 20);
    const [a, turned, b, c, scratch] = [heap.allocate(m, k), heap.allocate(k, m), heap.allocate(k, n), heap.allocate(m, n), heap.allocate(8, k)];
    fillGaussian(a.values, 1, rng);
    fillGaussian(b.values, 1, rng);
    for (let row = 0; row < m; row++) for (let inner = 0; inner < k; inner++) turned.values[inner * m + row] = a.values[row * k + inner]!;
    const expected = Float64Array.from({ length: m * n }, (_, at) => 2 * Array.from({ length: k }, (_, inner) => a.values[Math.floor(at / n) * k + inner]! * b.values[inner * n + (at % n)]!).reduce((sum, each) => sum + each, 0));
    heap.kernels.multiply(a.at, 4 * k, 4, b.at, 4 * n, c.at, 4 * n, m, n, k, scratch.at);
    heap.kernels.multiply(turned.at, 4, 4 * m, b.at, 4 * n, c.at, 4 * n, m, n, k, scratch.at);
    for (let at = 0; at < m * n; at++) expect(c.values[at]!).toBeCloseTo(expected[at]!, 3);
  });

  it('step a GRU as its equations say', () => {
    const [rows, width] = [4, 8];
    const heap = new TensorHeap(1 << 16);
    const [x, h, before, after, gates] = [heap.allocate(rows, 3 * width), heap.allocate(rows, 3 * width), heap.allocate(rows, width), heap.allocate(rows, width), heap.allocate(rows, 3 * width)];
    for (const each of [x, h, before]) fillGaussian(each.values, 3, rng);
    heap.kernels.gruForward(x.at, h.at, before.at, after.at, gates.at, rows, width);
    const sigmoid = (value: number): number => 1 / (1 + Math.exp(-value));
    for (let row = 0; row < rows; row++) {
      for (let cell = 0; cell < width; cell++) {
        const at = 3 * width * row + cell;
        const z = sigmoid(x.values[at]! + h.values[at]!);
        const r = sigmoid(x.values[at + width]! + h.values[at + width]!);
        const n = Math.tanh(x.values[at + 2 * width]! + r * h.values[at + 2 * width]!);
        expect(after.values[row * width + cell]!).toBeCloseTo(n + z * (before.values[row * width + cell]! - n), 5);
      }
    }
  });
});

describe('the network', () => {
  const { batch, horizons } = shape;
  const cells = batch * horizons;
  const quantiles = new Float32Array(3 * cells);
  const scales = Float32Array.from({ length: cells }, () => 0.5 + rng.next());
  const weights = Float32Array.from({ length: batch }, () => rng.next());
  // Far from every quantile, so that no step of the check crosses the kink of the loss.
  const targets = Float32Array.from({ length: cells }, (_, cell) => (cell === 5 ? Number.NaN : cell % 2 === 0 ? 9 : -9));

  function randomNetwork(): QuantileNetwork {
    const network = new QuantileNetwork(shape);
    network.start('test');
    // Random weights everywhere, the head's too, but kept away from the kink of max(0, ·) by biases.
    for (const { value } of network.parameters) fillGaussian(value.values, 0.3, rng);
    network.layers.forEach(({ bias }, index) => bias.value.values.forEach((_, at, values) => (values[at] = (at + index) % 3 === 0 ? -8 : 8)));
    for (const input of [network.tabular, network.recent!.input, network.daily!.input]) fillGaussian(input.values, 1, rng);
    return network;
  }

  it('has in every layer the slope that finite differences find', () => {
    const network = randomNetwork();
    network.forward(scales, quantiles);
    network.backward(targets, weights, scales, quantiles);
    const analytic = network.parameters.map(({ slope }) => Float32Array.from(slope.values));
    const lossOf = (): number => {
      network.forward(scales, quantiles);
      return network.backward(targets, weights, scales, quantiles);
    };
    network.parameters.forEach(({ name, value }, index) => {
      const isShared = name.endsWith('stateBias'); // of its three parts only that of n is learned
      for (let trial = 0; trial < 6; trial++) {
        const third = value.columns / 3;
        const at = isShared ? 2 * third + rng.integer(third) : rng.integer(value.values.length);
        const before = value.values[at]!;
        const step = 0.02;
        value.values[at] = before + step;
        const above = lossOf();
        value.values[at] = before - step;
        const below = lossOf();
        value.values[at] = before;
        const numeric = (above - below) / (2 * step);
        expect(Math.abs(numeric - analytic[index]![at]!), `${name}[${at}]: ${numeric} by differences, ${analytic[index]![at]} by backward`).toBeLessThan(2e-3 + 0.02 * Math.abs(numeric));
      }
    });
    const largest = analytic.map((slopes) => Math.max(...slopes.map(Math.abs)));
    expect(Math.min(...largest), 'every layer learns something').toBeGreaterThan(1e-3);
  });

  it('orders its quantiles whatever the weights', () => {
    const network = randomNetwork();
    network.forward(scales, quantiles);
    for (let cell = 0; cell < cells; cell++) {
      expect(quantiles[3 * cell + 1]!).toBeGreaterThanOrEqual(quantiles[3 * cell]!);
      expect(quantiles[3 * cell + 2]!).toBeGreaterThanOrEqual(quantiles[3 * cell + 1]!);
    }
  });

  it('says "as now" before it has learned anything', () => {
    const network = new QuantileNetwork(shape);
    network.start('fresh');
    fillGaussian(network.tabular.values, 1, rng);
    network.forward(scales, quantiles);
    for (let cell = 0; cell < cells; cell++) expect(quantiles[3 * cell]).toBe(0);
  });
});
