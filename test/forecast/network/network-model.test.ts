import { describe, expect, it } from 'vitest';
import { createRng } from '../../../src/base/index.ts';
import type { DemandMatrix } from '../../../src/forecast/index.ts';
import { cutMatrix } from '../../../src/forecast/matrix/demand-matrix.ts';
import { actualsOf, type MatrixFitTask } from '../../../src/forecast/matrix/matrix-model.ts';
import type { NetworkOptions } from '../../../src/forecast/network/fit-network.ts';
import { forecastNetwork, restoreNetwork } from '../../../src/forecast/network/fitted-network.ts';
import { NetworkInputs, type InputRows } from '../../../src/forecast/network/network-inputs.ts';
import { drawRows } from '../../../src/forecast/network/training-rows.ts';
import { NetworkModel } from '../../../src/forecast/network/network-model.ts';
import { dailyMatrix } from '../matrix/matrices.ts';

const sizes: Partial<NetworkOptions> = { window: 6, state: 8, dense: [32, 16], batch: 64, rowsPerEpoch: 4000, epochs: 5, warmEpochs: 2, learningRate: 5e-3, validationShare: 0.04 };
const horizons = [2, 8];
/** Tabular inputs of each horizon. */
const PER_HORIZON = 23;
const learned = 1900;

const task = (matrix: DemandMatrix, more: Partial<MatrixFitTask> = {}): MatrixFitTask => ({ matrix, horizons, seed: 'test', onProgress: () => undefined, ...more });

async function trained(matrix: DemandMatrix, options = sizes): Promise<NetworkModel> {
  const model = new NetworkModel(options);
  await model.fit(task(matrix));
  return model;
}

function inputsOf(matrix: DemandMatrix, steps: readonly number[], origins: Int32Array): InputRows {
  const inputs = new NetworkInputs(matrix, steps, new Float32Array(matrix.pairs.length).fill(20), 6);
  const rows = inputs.rows(origins.length);
  inputs.fill(1, origins, rows, 0);
  return rows;
}

describe('inputs of the network', () => {
  it.each([[1], [4, 90], [96], [97, 200]])('%i slots ahead rest on nothing after the origin', (...steps) => {
    const matrix = dailyMatrix({ pairs: 3, days: 17 });
    const last = 1500;
    const changed = { ...matrix, values: matrix.values.map((series) => series.map((value, slot) => (slot > last ? 9 * value + 50 : value))) };
    const origins = Int32Array.of(0, 1, 95, 700, 1400, last - 1, last);
    expect(inputsOf(changed, steps, origins)).toEqual(inputsOf(matrix, steps, origins));
    // The same where there is no future at all.
    expect(inputsOf(cutMatrix(matrix, last + 1), steps, origins)).toEqual(inputsOf(matrix, steps, origins));
  });

  it('change with the newest value', () => {
    const matrix = dailyMatrix({ pairs: 3, days: 9 });
    const changed = { ...matrix, values: matrix.values.map((series) => series.map((value, slot) => (slot === 700 ? 3 * value : value))) };
    expect(inputsOf(changed, [4], Int32Array.of(700))).not.toEqual(inputsOf(matrix, [4], Int32Array.of(700)));
  });

  it('see what a calendar says of the forecast slot, but not a measurement that comes later', () => {
    const matrix = dailyMatrix({ pairs: 3, days: 9 });
    const values = new Float32Array(matrix.length + 50).fill(1);
    const withCovariate = (isKnownAhead: boolean, later: number) => ({ ...matrix, covariates: [{ name: 'event', pairs: [1], values: values.map((value, slot) => (slot > 700 ? later : value)), isKnownAhead }] });
    const at = (isKnownAhead: boolean, later: number) => inputsOf(withCovariate(isKnownAhead, later), [4], Int32Array.of(700)).tabular;
    expect(at(true, 5)).not.toEqual(at(true, 1));
    expect(at(false, 5)).toEqual(at(false, 1));
  });
});

describe('what the network is validated on', () => {
  it('is the newest part that is known, not a gap at the end', async () => {
    const whole = dailyMatrix({ pairs: 3, days: 9 });
    const matrix = { ...whole, values: whole.values.map((series) => series.map((value, slot) => (slot > 0.9 * whole.length ? Number.NaN : value))) };
    const losses: number[] = [];
    await new NetworkModel({ ...sizes, epochs: 1 }).fit(task(matrix, { onProgress: (text) => losses.push(Number(/loss ([\d.]+)/.exec(text)![1])) }));
    expect(losses).toHaveLength(2);
    expect(Math.min(...losses)).toBeGreaterThan(0);
  });
});

describe('the rows drawn for an epoch', () => {
  const matrix = dailyMatrix({ pairs: 6, days: 16 });
  const scales = Float32Array.from(matrix.values, (_, pair) => 10 * (pair + 1));
  const inputs = new NetworkInputs(matrix, horizons, scales, 6);
  const draw = (seed: string, samplingPower: number) => drawRows(inputs, scales, horizons, { from: 700, until: 1200, known: 1202 }, 600, { weightPower: 1, samplingPower }, createRng(seed));

  it('are others each time, and weigh 1 on average', () => {
    const [one, two] = [draw('a', 0.5), draw('b', 0.5)];
    expect(one.levels).not.toEqual(two.levels);
    expect(one.weights.reduce((sum, weight) => sum + weight, 0) / one.count).toBeCloseTo(1, 4);
  });

  it('have no target after what may be known, and the change to come before it', () => {
    const { targets, count } = draw('a', 0.5);
    for (let row = 0; row < count; row++) expect(Number.isNaN(targets[2 * row]!)).toBe(false);
    // The farther horizon of the last six origins lies after it.
    expect(targets.some((target, cell) => cell % 2 === 1 && Number.isNaN(target))).toBe(true);
  });

  it('of a heavy pair are more where sampling says so, and then each counts less', () => {
    const logScaleMean = scales.reduce((sum, scale) => sum + Math.log(scale), 0) / scales.length;
    const column = inputs.count - horizons.length * PER_HORIZON - 2; // log c is the last input but one before those of the horizons
    const heaviest = (rows: ReturnType<typeof draw>): number[] => Array.from({ length: rows.count }, (_, row) => row).filter((row) => Math.abs(rows.tabular[row * inputs.count + column]! - Math.log(60) + logScaleMean) < 1e-3);
    const [even, skewed] = [draw('a', 0), draw('a', 1)];
    const [few, many] = [heaviest(even), heaviest(skewed)];
    expect(few).toHaveLength(100);
    expect(many.length).toBeGreaterThan(150);
    const share = (rows: typeof even, of: number[]): number => of.reduce((sum, row) => sum + rows.weights[row]!, 0) / rows.count;
    expect(share(skewed, many)).toBeCloseTo(share(even, few), 1);
  });
});

describe('the network model', () => {
  const matrix = dailyMatrix({ pairs: 8, days: 24, noise: 0.1 });
  const origins = Int32Array.from({ length: 380 }, (_, index) => learned + index);
  const past = cutMatrix(matrix, learned);
  const shared = trained(past);

  it('learns a daily shape, with quantiles that are ordered and hold about as often as they should', async () => {
    const model = await shared;
    for (const [steps, share] of [[2, 0.85], [8, 0.5]] as const) {
      const actual = actualsOf(matrix, origins, steps);
      const last = actualsOf(matrix, origins, 0);
      const { p50, p90, p95 } = await model.forecast(matrix, origins, steps);
      const errorOf = (forecast: Float32Array): number => actual.reduce((sum, value, at) => sum + Math.abs(value - forecast[at]!), 0);
      expect(errorOf(p50)).toBeLessThan(share * errorOf(last));
      expect(p50.every((value, at) => value >= 0 && value <= p90[at]! && p90[at]! <= p95[at]!)).toBe(true);
      const held = actual.reduce((count, value, at) => count + (value <= p95[at]! ? 1 : 0), 0) / actual.length;
      expect(held).toBeGreaterThan(0.9);
      expect(held).toBeLessThan(0.985);
    }
  });

  it('forecasts the same however few rows it keeps at a time', async () => {
    const fitted = restoreNetwork((await shared).dump());
    const whole = forecastNetwork(fitted, matrix, origins);
    for (const rows of [1000, 150]) expect(forecastNetwork(fitted, matrix, origins, rows)).toEqual(whole);
  });

  it('gives every horizon at once as it gives it alone', async () => {
    const model = await shared;
    const some = origins.subarray(0, 40);
    expect(await model.forecastHorizons(matrix, some)).toEqual(new Map([[2, await model.forecast(matrix, some, 2)], [8, await model.forecast(matrix, some, 8)]]));
    await expect(model.forecast(matrix, some, 3)).rejects.toThrow('trained for 2, 8 slots ahead, not 3');
  });

  it('says what is missing when the matrix has no longer the covariates it was trained with', async () => {
    const covariates = [{ name: 'event', pairs: 'all' as const, values: new Float32Array(matrix.length), isKnownAhead: true }];
    const model = await trained({ ...past, covariates }, { ...sizes, epochs: 1 });
    await expect(model.forecast(matrix, origins, 2)).rejects.toThrow('covariates');
    expect(await model.forecast({ ...matrix, covariates }, origins.subarray(0, 1), 2)).toMatchObject({ logScale: expect.anything() });
  });

  it('gives the same bytes for the same seed, and others for another', async () => {
    const small = { ...sizes, rowsPerEpoch: 600, epochs: 2 };
    const [one, two] = [await trained(past, small), await trained(past, small)];
    expect(two.dump()).toEqual(one.dump());
    await two.fit(task(past, { seed: 'another' }));
    expect(two.dump().weights).not.toEqual(one.dump().weights);
  });

  it('is the same after dump and restore', async () => {
    const model = await shared;
    const copy = new NetworkModel();
    copy.restore(structuredClone(model.dump()));
    expect(copy.dump()).toEqual(model.dump());
    expect(await copy.forecast(matrix, origins, 8)).toEqual(await model.forecast(matrix, origins, 8));
    const { settings, weights } = model.dump();
    expect(() => copy.restore({ settings, weights: weights.slice(1) })).toThrow('do not fit');
  });

  it('forecasts what it would without the future, gaps and pairs that were never seen included', async () => {
    const gappy = dailyMatrix({ pairs: 3, days: 12 });
    gappy.values[0]!.fill(Number.NaN, 300, 420);
    gappy.values[2]!.fill(Number.NaN);
    const model = await trained(cutMatrix(gappy, 900), { ...sizes, epochs: 1 });
    const some = Int32Array.of(900, 950, 1000);
    const before = await model.forecast(cutMatrix(gappy, 1001), some, 2);
    expect(await model.forecast(gappy, some, 2)).toEqual(before);
    expect(before.p95.every((value) => Number.isFinite(value))).toBe(true);
  });

  it('forecasts one origin as it does among others, but for what smoothing keeps of older days', async () => {
    const model = await shared;
    const many = await model.forecast(matrix, origins, 8);
    const one = await model.forecast(matrix, origins.slice(300, 301), 8);
    one.p50.forEach((value, pair) => expect(Math.abs(value / many.p50[300 * 8 + pair]! - 1)).toBeLessThan(0.01));
  });

  it('goes on from earlier weights in few epochs and does not get worse', async () => {
    const model = new NetworkModel();
    model.restore((await shared).dump());
    const warm = new NetworkModel(sizes);
    warm.restore(model.dump());
    const lossOf = async (each: NetworkModel): Promise<number> => {
      const { p50 } = await each.forecast(matrix, origins, 8);
      return actualsOf(matrix, origins, 8).reduce((sum, value, at) => sum + Math.abs(value - p50[at]!), 0);
    };
    const epochs: string[] = [];
    await warm.fit(task(past, { warmStart: true, onProgress: (text) => epochs.push(text) }));
    expect(epochs).toHaveLength(3);
    expect(await lossOf(warm)).toBeLessThan(1.01 * (await lossOf(model)));
  });

  it.each([
    ['three slots', dailyMatrix({ pairs: 2, days: 0.04 })],
    ['zeros only', { ...dailyMatrix({ pairs: 2, days: 3 }), values: [new Float32Array(288), new Float32Array(288)] }],
    ['nothing known', { ...dailyMatrix({ pairs: 2, days: 3 }), values: [new Float32Array(288).fill(NaN), new Float32Array(288).fill(NaN)] }],
  ])('gives finite forecasts from %s', async (_, little) => {
    const model = await trained(little, { ...sizes, epochs: 1 });
    const { p50, p95 } = await model.forecast(little, Int32Array.of(little.length - 1), 2);
    expect([...p50, ...p95].every((value) => Number.isFinite(value))).toBe(true);
  });
});
