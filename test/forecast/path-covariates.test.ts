import * as fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { createRng } from '../../src/base/index.ts';
import { benchForecast, pathInputs, worthLearning, type DemandMatrix, type ForecastBenchOptions, type WayFigures } from '../../src/forecast/index.ts';
import { BoostedModel } from '../../src/forecast/matrix/boosted-model.ts';
import { PATH_INPUTS } from '../../src/forecast/path-covariates.ts';
import { cutMatrix } from '../../src/forecast/matrix/demand-matrix.ts';
import { actualsOf, type MatrixModel } from '../../src/forecast/matrix/matrix-model.ts';
import { NetworkModel } from '../../src/forecast/network/network-model.ts';
import { dailyMatrix } from './matrix/matrices.ts';

const DAY = 96;
const STEPS = 4;

describe('inputs of a way', () => {
  it('are its latency above the mean of the day before, its loss in tenths of a per cent on a log scale, and how both rise', () => {
    const figures = { latencyMs: new Float32Array(200).fill(20, 0, 150).fill(40, 150), lossRatio: new Float32Array(200).fill(0.001, 120) };
    const inputs = pathInputs(figures, DAY);
    const at = (slots: readonly number[], name: keyof typeof inputs): number[] => slots.map((slot) => Number(inputs[name][slot]!.toFixed(2)));
    expect(at([3, 149, 150, 198], 'path:latency')).toEqual([NaN, 0, 0.69, 0.35]);
    expect(at([149, 150, 151, 154], 'path:latency:rise')).toEqual([0, 0.69, 0.52, 0]);
    expect(at([119, 120, 121], 'path:loss')).toEqual([0, 0.69, 0.69]);
    expect(at([119, 120, 122, 124], 'path:loss:rise')).toEqual([0, 0.69, 0.35, 0]);
  });

  it('are unknown where nobody measured, where a figure cannot be, and until an hour is known', () => {
    const latencyMs = Float32Array.of(NaN, 10, -1, 0, 10, 10, 10, 20, NaN);
    const { 'path:latency': latency, 'path:loss': loss } = pathInputs({ latencyMs, lossRatio: Float32Array.of(NaN, 2, -0.1, 0, 0, 0, 0, 0, 0) }, DAY);
    expect([...latency]).toEqual([NaN, NaN, NaN, NaN, NaN, NaN, NaN, Math.fround(Math.log(2)), NaN]);
    expect([...loss].slice(0, 4)).toEqual([NaN, NaN, NaN, 0]);
  });

  it('rest on nothing after their slot', () => {
    const series = fc.array(fc.oneof(fc.constant(NaN), fc.float({ min: 0, max: 1, noNaN: true })), { minLength: 30, maxLength: 30 }).map((values) => Float32Array.from(values));
    fc.assert(
      fc.property(series, series, series, fc.nat(29), (latencyMs, lossRatio, other, last) => {
        const changed = (values: Float32Array): Float32Array => values.map((value, slot) => (slot > last ? other[slot]! : value));
        const [before, after] = [pathInputs({ latencyMs, lossRatio }, 12), pathInputs({ latencyMs: changed(latencyMs), lossRatio: changed(lossRatio) }, 12)];
        for (const name of PATH_INPUTS) expect([...after[name].subarray(0, last + 1)]).toEqual([...before[name].subarray(0, last + 1)]);
      }),
      { numRuns: 50 },
    );
  });

  it('are learned from once a day of them is known and they change', () => {
    const of = (name: string, values: Float32Array, isKnownAhead = false): Parameters<typeof worthLearning>[0][number] => ({ name, demands: 'all', startAt: 0, values, isKnownAhead });
    const rising = (known: number): Float32Array => new Float32Array(200).map((_, slot) => (slot < known ? slot : NaN));
    const kept = worthLearning([of('a', rising(DAY)), of('b', rising(DAY - 1)), of('c', new Float32Array(200)), of('event:x', new Float32Array(200), true), of('b', rising(3))], DAY);
    expect(kept.map(({ name }) => name)).toEqual(['a', 'event:x']);
  });
});

describe('latency and loss in a forecast', () => {
  const models = (): MatrixModel[] => [
    new BoostedModel({ rowsMax: 6000, rounds: 20, leavesMax: 12, leafWeightMin: 20, learningRate: 0.3, threads: 1 }),
    new NetworkModel({ window: 4, state: 0, dense: [16], batch: 64, rowsPerEpoch: 5000, epochs: 3, validationShare: 0 }),
  ];
  const plain = dailyMatrix({ pairs: 5, days: 16, noise: 0.05 });
  const ways = plain.pairs.map((name) => strainedWay(plain.length, name));
  /** Demand gives way by up to 70 %, an hour after its way is strained. */
  const givingWay: DemandMatrix = { ...plain, values: plain.values.map((values, pair) => values.map((value, slot) => value * (1 - 0.7 * (ways[pair]!.strain[slot - STEPS] ?? 0)))) };
  const [learned, origins] = [1150, Int32Array.from({ length: 90 }, (_, index) => 1150 + 4 * index)];

  const beside = (matrix: DemandMatrix, figures: readonly WayFigures[]): DemandMatrix => ({
    ...matrix,
    covariates: figures.flatMap((each, pair) => Object.entries(pathInputs(each, DAY)).map(([name, values]) => ({ name, pairs: [pair], values, isKnownAhead: false }))),
  });

  /** Σ|y − p50| of each model an hour ahead. */
  async function errorsOf(matrix: DemandMatrix): Promise<number[]> {
    const actual = actualsOf(matrix, origins, STEPS);
    const errors: number[] = [];
    for (const model of models()) {
      await model.fit({ matrix: cutMatrix(matrix, learned), horizons: [STEPS], seed: 'test', onProgress: () => undefined });
      const { p50 } = await model.forecast(matrix, origins, STEPS);
      errors.push(actual.reduce((sum, value, at) => sum + Math.abs(value - p50[at]!), 0));
    }
    return errors;
  }

  it('make it better by a fifth where they come before a drop of demand, for trees and network alike', async () => {
    const without = await errorsOf(givingWay);
    const told = await errorsOf(beside(givingWay, ways));
    for (const [index, error] of told.entries()) expect(error).toBeLessThan(0.8 * without[index]!);
  });

  it('make it no worse than by chance where they have nothing to do with demand', async () => {
    const without = await errorsOf(plain);
    const told = await errorsOf(beside(plain, ways));
    for (const [index, error] of told.entries()) expect(error).toBeLessThan(1.03 * without[index]!);
  });

  it('are not known ahead: another future changes nothing, not even whether a figure that never changed is an input', async () => {
    const cut = 850;
    const of = (change: (value: number) => number): DemandMatrix => {
      const short = cutMatrix(beside(givingWay, ways.map(({ latencyMs, lossRatio }) => ({ latencyMs: latencyMs.map((value, slot) => (slot >= cut ? change(value) : value)), lossRatio: lossRatio.map((value, slot) => (slot >= cut ? change(value) : 0)) }))), 960);
      return { ...short, rowSlots: short.rowSlots.filter((slot) => slot < cut) };
    };
    const small: ForecastBenchOptions = { boosted: { rowsMax: 1500, rounds: 5, leavesMax: 8 }, network: { window: 2, state: 0, dense: [8], batch: 64, rowsPerEpoch: 500, epochs: 1, warmEpochs: 1 }, testFrom: 0.8, horizons: [{ name: '1h', ms: 3_600_000 }], stride: 3, model: 'auto', seed: 'test', now: () => 0, peakMemoryMb: () => 1, onProgress: () => undefined };
    expect(await benchForecast(of((value) => 3 * value), small)).toEqual(await benchForecast(of(() => 0), small));
  });
});

/** About once a day its latency rises over an hour, then its loss, for one to three hours. */
function strainedWay(slots: number, name: string): WayFigures & { strain: Float64Array } {
  const rng = createRng(`way/${name}`);
  const strain = new Float64Array(slots);
  for (let slot = rng.integer(90); slot < slots; slot += 60 + rng.integer(70)) {
    const [hold, peak] = [4 + rng.integer(9), 0.5 + 0.5 * rng.next()];
    for (let at = 0; at < hold + 6 && slot + at < slots; at++) strain[slot + at] = peak * Math.min(1, (at + 1) / 4, (hold + 6 - at) / 3);
  }
  return {
    strain,
    latencyMs: Float32Array.from(strain, (value) => 30 * (1 + 0.8 * value) * (1 + 0.03 * Math.abs(rng.gaussian()))),
    lossRatio: Float32Array.from(strain, (value) => 0.0003 * Math.abs(rng.gaussian()) + 0.06 * Math.max(0, value - 0.3) ** 2),
  };
}
