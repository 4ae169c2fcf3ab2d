import { describe, expect, it } from 'vitest';
import type { DemandMatrix } from '../../../src/forecast/index.ts';
import { BoostedModel } from '../../../src/forecast/matrix/boosted-model.ts';
import { cutMatrix } from '../../../src/forecast/matrix/demand-matrix.ts';
import { actualsOf } from '../../../src/forecast/matrix/matrix-model.ts';
import { runEwma } from '../../../src/forecast/matrix/baselines.ts';
import { movementsOf } from '../../../src/forecast/matrix/movements.ts';
import { PairPast } from '../../../src/forecast/matrix/pair-past.ts';
import { MatrixPast, TabularFeatures } from '../../../src/forecast/matrix/tabular-features.ts';
import { dailyMatrix } from './matrices.ts';

const sizes = { rowsMax: 6000, rounds: 40, leavesMax: 12, leafWeightMin: 20, learningRate: 0.2 };

/** The columns of a pair's inputs at the given origins. */
function inputsOf(matrix: DemandMatrix, steps: number, origins: Int32Array): Float32Array[] {
  const features = new TabularFeatures(new MatrixPast(matrix, new Float32Array(matrix.pairs.length).fill(20)), steps);
  const columns = Array.from({ length: features.count }, () => new Float32Array(origins.length));
  features.fill(1, origins, columns, 0);
  return columns;
}

describe('inputs of the trees', () => {
  it.each([1, 4, 90, 96, 97, 200])('%i slots ahead rest on nothing after the origin', (steps) => {
    const matrix = dailyMatrix({ pairs: 3, days: 17 });
    const last = 1500;
    const changed = { ...matrix, values: matrix.values.map((series) => series.map((value, slot) => (slot > last ? 9 * value + 50 : value))) };
    const origins = Int32Array.of(0, 1, 95, 700, 1400, last - 1, last);
    expect(inputsOf(changed, steps, origins)).toEqual(inputsOf(matrix, steps, origins));
    // The same where there is no future at all.
    expect(inputsOf(cutMatrix(matrix, last + 1), steps, origins)).toEqual(inputsOf(matrix, steps, origins));
  });

  it('do change with the newest value', () => {
    const matrix = dailyMatrix({ pairs: 3, days: 9 });
    const changed = { ...matrix, values: matrix.values.map((series) => series.map((value, slot) => (slot === 700 ? 3 * value : value))) };
    expect(inputsOf(changed, 4, Int32Array.of(700))).not.toEqual(inputsOf(matrix, 4, Int32Array.of(700)));
  });
});

describe('movements of a pair', () => {
  const smooth = (series: Float32Array, window: number): Float32Array => {
    const out = new Float32Array(series.length);
    runEwma(series, 1 / window, out);
    return out;
  };
  const expected = (known: Float32Array, steps: number, origins: Int32Array): number[] => {
    const change = known.map((value, slot) => value - (known[slot - steps] ?? Number.NaN));
    const rise = change.map((value) => Math.max(0, value));
    const size = change.map((value) => Math.abs(value));
    const square = rise.map((value) => value * value);
    const series = [smooth(size, 4), smooth(size, 96), smooth(size, 672), smooth(rise, 24), smooth(rise, 96), smooth(rise, 672), smooth(square, 96), smooth(square, 672)];
    return [...origins].flatMap((slot) => series.map((each) => each[slot]!));
  };

  it.each([[[8]], [[1, 12]], [[3, 200, 7]], [[2, 5, 9, 380]]])('are the smoothed changes that they stand for, to the last digit of four bytes: over %j slots', (horizons) => {
    const origins = Int32Array.of(0, 10, 20, 21, 200, 383);
    for (const gaps of [(slot: number) => slot < 9 || slot % 31 < 3, (slot: number) => slot > 90 && slot < 300, () => false, () => true]) {
      const values = dailyMatrix({ pairs: 1, days: 4, noise: 0.5 }).values[0]!.map((value, slot) => (gaps(slot) ? Number.NaN : value));
      const past = new PairPast(values.length, 96).load(values, 20);
      const found = movementsOf(past, horizons, 96, origins);
      for (const steps of horizons) {
        const each = expected(past.known, steps, origins);
        found.get(steps)!.forEach((value, index) => expect(Math.abs(value - each[index]!)).toBeLessThanOrEqual(1.2e-7 * each[index]!));
        expect(found.get(steps)).toHaveLength(each.length);
      }
    }
  });
});

describe('covariates', () => {
  const day = dailyMatrix({ pairs: 3, days: 9 });
  const calendar = Float32Array.from({ length: day.length + 200 }, (_, slot) => (slot % 96 < 8 ? 1 : 0));
  const users = Float32Array.from({ length: day.length }, (_, slot) => slot);
  const origins = Int32Array.of(100, 700);
  const plain = inputsOf(day, 4, origins).length;

  it('are one input each, and another one of the forecast slot when they are known ahead', () => {
    const covariates = [{ name: 'users', pairs: [1], values: users, isKnownAhead: false }, { name: 'backup', pairs: 'all' as const, values: calendar, isKnownAhead: true }];
    const columns = inputsOf({ ...day, covariates }, 4, origins).slice(plain);
    expect(columns.map((column) => [...column])).toEqual([[100, 700], [calendar[100], calendar[700]], [calendar[104], calendar[704]]]);
  });

  it('of other pairs are unknown, and those of one name share an input', () => {
    const covariates = [{ name: 'users', pairs: [0], values: users, isKnownAhead: false }, { name: 'users', pairs: [2], values: users, isKnownAhead: false }];
    expect(inputsOf({ ...day, covariates }, 4, origins).slice(plain).map((column) => [...column])).toEqual([[Number.NaN, Number.NaN]]);
  });

  it('that are not known ahead end where the matrix is cut', () => {
    const covariates = [{ name: 'users', pairs: 'all' as const, values: users, isKnownAhead: false }, { name: 'backup', pairs: 'all' as const, values: calendar, isKnownAhead: true }];
    const cut = cutMatrix({ ...day, covariates }, 701);
    expect(inputsOf(cut, 4, origins)).toEqual(inputsOf({ ...day, covariates }, 4, origins));
    expect(cut.covariates!.map(({ values }) => values.length)).toEqual([701, calendar.length]);
  });
});

describe('boosted trees', () => {
  it('beat no change where there is a daily shape, and give ordered quantiles that hold about as often as they should', async () => {
    const matrix = dailyMatrix({ pairs: 8, days: 24, noise: 0.1 });
    const steps = 8;
    const model = new BoostedModel(sizes);
    await model.fit({ matrix: cutMatrix(matrix, 1900), horizons: [steps], seed: 'test', onProgress: () => undefined });
    const origins = Int32Array.from({ length: 390 }, (_, index) => 1900 + index);
    const actual = actualsOf(matrix, origins, steps);
    const { p50, p90, p95 } = await model.forecast(matrix, origins, steps);
    const last = actualsOf(matrix, origins, 0);
    const errorOf = (forecast: Float32Array): number => actual.reduce((sum, value, at) => sum + Math.abs(value - forecast[at]!), 0);
    expect(errorOf(p50)).toBeLessThan(0.5 * errorOf(last));
    expect(p50.every((value, at) => value >= 0 && value <= p90[at]! && p90[at]! <= p95[at]!)).toBe(true);
    const held = actual.reduce((count, value, at) => count + (value <= p95[at]! ? 1 : 0), 0) / actual.length;
    expect(held).toBeGreaterThan(0.9);
    expect(held).toBeLessThan(0.98);
  });

  it('say the same of a distance alone as of all together, however many rows walk at a time', async () => {
    const matrix = dailyMatrix({ pairs: 9, days: 12 });
    matrix.pairs.splice(0, 6, 'a>b', 'c>a', 'b>a', 'b>c', 'c>b', 'a>c');
    matrix.values[4]!.fill(Number.NaN, 500, 700);
    const model = new BoostedModel({ ...sizes, rowsMax: 1500, rounds: 10 });
    await model.fit({ matrix, horizons: [1, 4, 12], seed: 'test', onProgress: () => undefined });
    const origins = Int32Array.from({ length: 300 }, (_, index) => 700 + index);
    const all = await model.forecastHorizons(matrix, origins);
    for (const steps of [1, 4, 12]) {
      expect(all.get(steps)).toEqual(await model.forecast(matrix, origins, steps));
      const last = await model.forecast(matrix, origins.subarray(299), steps);
      expect([...last.p95]).toEqual([...all.get(steps)!.p95.subarray(-9)]);
    }
  });

  it('read no more of a long past than they need, and say nearly the same of one origin as of many', async () => {
    const matrix = dailyMatrix({ pairs: 2, days: 45 });
    const model = new BoostedModel({ ...sizes, rowsMax: 1500, rounds: 10 });
    await model.fit({ matrix: cutMatrix(matrix, 3000), horizons: [4], seed: 'test', onProgress: () => undefined });
    const [first, last] = [3100, 4300];
    const many = await model.forecast(matrix, Int32Array.of(first, last), 4);
    const values = matrix.values.map((series) => series.map((value, slot) => (slot < last - 29 * 96 ? Number.NaN : value)));
    const one = await model.forecast({ ...matrix, values }, Int32Array.of(last), 4);
    expect(one).toEqual(await model.forecast(matrix, Int32Array.of(last), 4));
    one.p50.forEach((value, pair) => expect(Math.abs(value / many.p50[2 + pair]! - 1)).toBeLessThan(0.05));
  });

  it('forecast what they were without the future, gaps and pairs that were never seen included', async () => {
    const matrix = dailyMatrix({ pairs: 3, days: 12 });
    matrix.values[0]!.fill(Number.NaN, 300, 420);
    matrix.values[2]!.fill(Number.NaN);
    const model = new BoostedModel(sizes);
    await model.fit({ matrix: cutMatrix(matrix, 900), horizons: [4], seed: 'test', onProgress: () => undefined });
    const origins = Int32Array.of(900, 950, 1000);
    const before = await model.forecast(cutMatrix(matrix, 1001), origins, 4);
    expect(await model.forecast(matrix, origins, 4)).toEqual(before);
    expect(before.p95.every((value) => Number.isFinite(value))).toBe(true);
    const kept = new BoostedModel(sizes);
    const { settings, weights } = model.dump();
    kept.restore({ settings: JSON.parse(JSON.stringify(settings)), weights });
    expect(await kept.forecast(matrix, origins, 4), 'a model that was kept').toEqual(before);
  });
});
