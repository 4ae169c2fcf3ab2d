import { describe, expect, it } from 'vitest';
import { createRng } from '../../../src/base/index.ts';
import { exportOnnx } from '../../../src/forecast/network/export-onnx.ts';
import { fillGaussian } from '../../../src/forecast/network/layers.ts';
import { QuantileNetwork } from '../../../src/forecast/network/quantile-network.ts';
import { RowFeeder } from '../../../src/forecast/network/row-feeder.ts';
import { readOnnx } from './onnx-interpreter.ts';

describe('the ONNX export', () => {
  it.each([8, 0])('computes what the network computes, with a state of %i', (state) => {
    const rng = createRng(`onnx/${state}`);
    const shape = { inputs: 11, recent: { steps: 3, channels: 4 }, daily: { steps: 5, channels: 4 }, state, dense: [16, 8], horizons: 2, batch: 8 };
    const network = new QuantileNetwork(shape);
    for (const { value } of network.parameters) fillGaussian(value.values, 0.4, rng);
    for (const gru of [network.recent, network.daily]) gru?.stateBias.value.values.fill(0, 0, 2 * state);
    const gaussian = (length: number): Float32Array => Float32Array.from({ length }, () => 2 * rng.gaussian());
    const standardiser = { means: gaussian(shape.inputs), deviations: gaussian(shape.inputs).map((value) => Math.abs(value) + 0.5) };
    const rows = { count: 6, tabular: gaussian(6 * shape.inputs), recent: gaussian(6 * 12), daily: gaussian(6 * 20), scales: gaussian(12), levels: gaussian(6) };
    rows.tabular[7] = Number.NaN;
    rows.tabular[20] = 1e6;
    const feeder = new RowFeeder(network, standardiser);
    feeder.feed(rows, null, 0);
    feeder.forward();

    const model = readOnnx(exportOnnx(network, standardiser, { made: 'in a test' }));
    expect(model.inputs).toEqual(state > 0 ? ['tabular', 'recent', 'daily', 'scales'] : ['tabular', 'scales']);
    const { quantiles } = model.run({
      tabular: { size: [6, shape.inputs], values: rows.tabular },
      recent: { size: [6, 3, 4], values: rows.recent },
      daily: { size: [6, 5, 4], values: rows.daily },
      scales: { size: [6, 2], values: rows.scales },
    });
    expect(quantiles!.size).toEqual([6, 2, 3]);
    for (let at = 0; at < 36; at++) expect(quantiles!.values[at]!).toBeCloseTo(feeder.quantiles[at]!, 4);
  });
});
