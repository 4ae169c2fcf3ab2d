import * as fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { createRng } from '../../../src/base/index.ts';
import { binRows, BINS, chooseEdges } from '../../../src/forecast/boosting/binning.ts';
import { boostQuantile, predictBooster, weightedQuantile, type BoosterOptions } from '../../../src/forecast/boosting/quantile-booster.ts';

const options: BoosterOptions = { rounds: 60, leavesMax: 8, learningRate: 0.2, leafWeightMin: 20, featureShare: 1, rowShare: 0.7 };

describe('bins', () => {
  it('keep the order of values, hold what is not known apart, and are at most 128', () => {
    fc.assert(
      fc.property(fc.array(fc.oneof(fc.float({ noNaN: true, noDefaultInfinity: true }), fc.constant(Number.NaN)), { minLength: 1, maxLength: 400 }), (values) => {
        const column = Float32Array.from(values);
        const [bins] = binRows([column], chooseEdges([column]), column.length).columns;
        const known = [...column.keys()].filter((row) => !Number.isNaN(column[row]!)).sort((left, right) => column[left]! - column[right]!);
        expect([...column.keys()].every((row) => (bins![row] === 0) === Number.isNaN(column[row]!))).toBe(true);
        known.forEach((row, rank) => expect(bins![row]!).toBeGreaterThanOrEqual(rank > 0 ? bins![known[rank - 1]!]! : 1));
        expect(Math.max(...bins!)).toBeLessThan(BINS);
      }),
    );
  });
});

describe('the weighted quantile', () => {
  it('is where the weight below reaches the share', () => {
    fc.assert(
      fc.property(fc.array(fc.tuple(fc.integer({ min: -1000, max: 1000 }), fc.integer({ min: 1, max: 9 })), { minLength: 1, maxLength: 80 }), fc.constantFrom(0.5, 0.9, 0.95), (rows, quantile) => {
        const values = Float32Array.from(rows, ([value]) => value);
        const weights = Float32Array.from(rows, ([, weight]) => weight);
        const order = Int32Array.from(rows, (_, row) => row);
        const found = weightedQuantile(values, weights, order, 0, rows.length, quantile);
        const weightOf = (holds: (value: number) => boolean): number => rows.reduce((sum, [value, weight]) => sum + (holds(value) ? weight : 0), 0);
        const total = weightOf(() => true);
        expect(weightOf((value) => value <= found + 0.01)).toBeGreaterThanOrEqual(quantile * total - 1e-6);
        expect(weightOf((value) => value < found - 0.01)).toBeLessThanOrEqual(quantile * total + 1e-6);
      }),
    );
  });
});

describe('boosted quantiles', () => {
  const rng = createRng('boosting');
  const rows = 6000;
  const first = Float32Array.from({ length: rows }, () => rng.next());
  const second = Float32Array.from({ length: rows }, () => (rng.next() < 0.1 ? Number.NaN : rng.next()));
  // The spread depends on the first input, the level on both, and on whether the second is known.
  const levelOf = (row: number): number => (first[row]! > 0.5 ? 3 : 0) + (Number.isNaN(second[row]!) ? 5 : second[row]! > 0.3 ? 1 : 0);
  const targets = Float32Array.from({ length: rows }, (_, row) => levelOf(row) + (first[row]! > 0.5 ? 1 : 0.2) * rng.gaussian());
  const columns = [first, second];
  const data = binRows(columns, chooseEdges(columns), rows);
  const ones = new Float32Array(rows).fill(1);

  it('find the level, and a spread that differs', () => {
    const p50 = predictBooster(boostQuantile(data, targets, ones, 0.5, options, createRng('a')), data);
    const p95 = predictBooster(boostQuantile(data, targets, ones, 0.95, options, createRng('b')), data);
    const wide = [...first.keys()].filter((row) => first[row]! > 0.5);
    const narrow = [...first.keys()].filter((row) => first[row]! <= 0.5);
    for (const [side, spread] of [[wide, 1], [narrow, 0.2]] as const) {
      const error = side.reduce((sum, row) => sum + Math.abs(p50[row]! - levelOf(row)), 0) / side.length;
      expect(error).toBeLessThan(0.25 * spread + 0.03);
      const held = side.filter((row) => targets[row]! <= p95[row]!).length / side.length;
      expect(held).toBeGreaterThan(0.93);
      expect(held).toBeLessThan(0.975);
    }
  });

  it('are the same for the same seed', () => {
    const predict = (seed: string): Float32Array => predictBooster(boostQuantile(data, targets, ones, 0.9, { ...options, rounds: 10 }, createRng(seed)), data);
    expect(predict('same')).toEqual(predict('same'));
    expect(predict('same')).not.toEqual(predict('another'));
  });

  it.each([
    [5, 30],
    [39, 2],
    [39, 32],
    [39, 60],
    [1030, 30],
  ])('give each of %i rows, whichever rows walk beside it, the leaves that it comes to when it walks alone: %i leaves a tree', (count, leavesMax) => {
    const some = binRows([first.subarray(0, count), second.subarray(0, count)], chooseEdges(columns), count);
    const booster = boostQuantile(data, targets, ones, 0.9, { ...options, rounds: 10, leavesMax }, createRng('walk'));
    expect(Math.max(...booster.trees.map(({ feature }) => feature.length))).toBe(2 * leavesMax - 1);
    const alone = Float32Array.from({ length: some.rows }, (_, row) => {
      const sum = Float32Array.of(booster.start);
      for (const { feature, threshold, left, right, value } of booster.trees) {
        let node = 0;
        while (feature[node]! >= 0) node = some.columns[feature[node]!]![row]! <= threshold[node]! ? left[node]! : right[node]!;
        sum[0]! += booster.learningRate * value[node]!;
      }
      return sum[0]!;
    });
    expect(predictBooster(booster, some)).toEqual(alone);
  });

  it('give the start value where nothing can be split', () => {
    const flat = binRows([new Float32Array(50).fill(1)], [new Float32Array(0)], 50);
    const predicted = predictBooster(boostQuantile(flat, new Float32Array(50).fill(7), new Float32Array(50).fill(1), 0.5, options, createRng('flat')), flat);
    expect(predicted[0]).toBeCloseTo(7, 3);
  });
});
