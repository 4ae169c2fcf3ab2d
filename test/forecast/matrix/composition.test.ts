import { describe, expect, it } from 'vitest';
import { createRng } from '../../../src/base/index.ts';
import { choicesOf, ComposedForecasts } from '../../../src/forecast/matrix/composed-choice.ts';
import { meanForecasts } from '../../../src/forecast/matrix/ensemble-model.ts';
import { actualsOf, type MatrixForecasts } from '../../../src/forecast/matrix/matrix-model.ts';
import { correctOnline, noCorrection } from '../../../src/forecast/matrix/online-calibration.ts';
import { RulesModel } from '../../../src/forecast/matrix/rules-model.ts';
import { groupPairs } from '../../../src/forecast/pair-groups.ts';
import { dailyMatrix } from './matrices.ts';

const flat = (cells: number, p50: number, p95: number, logScale: Float32Array | null): MatrixForecasts => ({ p50: new Float32Array(cells).fill(p50), p90: new Float32Array(cells).fill(p95), p95: new Float32Array(cells).fill(p95), logScale });

describe('the choice of models', () => {
  // Ten pairs: the first is the heaviest, the last is mostly idle.
  const matrix = dailyMatrix({ pairs: 10, days: 2 });
  matrix.values[0]!.fill(1000);
  matrix.values[9] = matrix.values[9]!.map((value, slot) => (slot % 3 === 0 ? value : 0));
  const groups = groupPairs(matrix);

  it('is made for the heaviest tenth, the sparse pairs and the rest, medians and upper quantiles apart', () => {
    const champion = { steps: 1, ranking: ['trees', 'ewma'], wape: 0.1, rival: null, why: '' };
    const choices = choicesOf([{ ...champion, group: 'heavy' }, { ...champion, group: 'middle', upperRanking: ['ewma', 'trees'] }, { ...champion, group: 'sparse', ranking: ['ewma'] }, { ...champion, group: 'new' }], groups);
    expect(Object.fromEntries(choices)).toEqual({ heavy: { pairs: 1, p50: 'trees', upper: 'trees' }, middle: { pairs: 8, p50: 'trees', upper: 'ewma' }, sparse: { pairs: 1, p50: 'ewma', upper: 'ewma' } });
  });

  it('is put together pair by pair, with quantiles in order', () => {
    const choices = new Map([['heavy', { pairs: 1, p50: 'a', upper: 'b' }], ['middle', { pairs: 8, p50: 'b', upper: 'b' }], ['sparse', { pairs: 1, p50: 'a', upper: 'a' }]] as const);
    const composed = new ComposedForecasts(20, groups, choices);
    composed.add('a', flat(20, 5, 6, null));
    composed.add('b', flat(20, 1, 2, null));
    const { p50, p95 } = composed.finish();
    expect([...p50.subarray(10)]).toEqual([5, 1, 1, 1, 1, 1, 1, 1, 1, 5]);
    expect([...p95.subarray(10)]).toEqual([5, 2, 2, 2, 2, 2, 2, 2, 2, 6]);
  });
});

describe('the mean of models', () => {
  it('is taken in log1p(y/c)', () => {
    const mean = meanForecasts([flat(2, 0, 3, Float32Array.of(1, 1)), flat(2, 3, 15, Float32Array.of(1, 1))], 2);
    expect(mean.p50[0]).toBeCloseTo(1);
    expect(mean.p95[1]).toBeCloseTo(7);
  });
});

describe('the median of the rules', () => {
  it('is taken cell by cell: no single one can spoil it', () => {
    const rules = new RulesModel([]);
    expect(rules.combine([flat(2, 1, 1, null), flat(2, 900, 900, null), flat(2, 3, 3, null)])).toEqual(flat(2, 3, 3, null));
    expect(rules.combine([flat(2, 1, 1, null), flat(2, 900, 900, null), flat(2, 3, 3, null), flat(2, 5, 5, null)])).toEqual(flat(2, 4, 4, null));
  });
});

describe('the online correction', () => {
  const matrix = dailyMatrix({ pairs: 20, days: 30, shape: 0 });
  const rng = createRng('online');
  matrix.values.forEach((series) => series.forEach((_, slot) => (series[slot] = 100 * Math.exp(0.3 * rng.gaussian()))));
  const origins = Int32Array.from({ length: matrix.length - 4 }, (_, slot) => slot);
  const scales = new Float32Array(20).fill(100);
  const wrong = (): MatrixForecasts => flat(origins.length * 20, 100, 140, scales);

  it('brings a p95 that is far too narrow to hold as often as it should', () => {
    const { p95 } = correctOnline(wrong(), matrix, origins, 4, noCorrection(20));
    const actual = actualsOf(matrix, origins, 4);
    const from = actual.length >> 1;
    const held = actual.subarray(from).reduce((count, value, at) => count + (value <= p95[from + at]! ? 1 : 0), 0) / (actual.length - from);
    expect(held).toBeGreaterThan(0.93);
    expect(held).toBeLessThan(0.965);
  });

  it('steers the heaviest tenth apart: where only they are too narrow, only theirs grows', () => {
    // 40 pairs: the band of the heaviest four is right for others, not for them.
    const many = dailyMatrix({ pairs: 40, days: 30, shape: 0 });
    const draw = createRng('kinds');
    const levels = Float32Array.from({ length: 40 }, (_, pair) => (pair < 4 ? 1000 : 100));
    many.values.forEach((series, pair) => series.forEach((_, slot) => (series[slot] = levels[pair]! * Math.exp((pair < 4 ? 0.6 : 0.2) * draw.gaussian()))));
    const given: MatrixForecasts = { p50: new Float32Array(origins.length * 40), p90: new Float32Array(origins.length * 40), p95: new Float32Array(origins.length * 40), logScale: levels };
    for (let at = 0; at < given.p50.length; at++) [given.p50[at], given.p90[at], given.p95[at]] = [levels[at % 40]!, 1.3 * levels[at % 40]!, 1.39 * levels[at % 40]!];
    const state = noCorrection(40);
    correctOnline(given, many, origins, 1, state);
    expect(Math.min(...state.p95.subarray(0, 4))).toBeGreaterThan(0.5);
    expect(Math.max(...state.p95.subarray(4).map(Math.abs))).toBeLessThan(0.2);
  });

  it('rests on nothing after the origin', () => {
    const changed = { ...matrix, values: matrix.values.map((series) => series.map((value, slot) => (slot > 1000 ? 50 * value : value))) };
    const before = correctOnline(wrong(), matrix, origins, 4, noCorrection(20));
    const after = correctOnline(wrong(), changed, origins, 4, noCorrection(20));
    expect(after.p95.subarray(0, 1001 * 20)).toEqual(before.p95.subarray(0, 1001 * 20));
    expect(after.p95).not.toEqual(before.p95);
  });

  it('goes on from where it was', () => {
    const half = origins.length >> 1;
    const whole = correctOnline(wrong(), matrix, origins, 4, noCorrection(20));
    const state = noCorrection(20);
    correctOnline(flat(half * 20, 100, 140, scales), matrix, origins.subarray(0, half), 4, state);
    const rest = correctOnline(flat((origins.length - half) * 20, 100, 140, scales), matrix, origins.subarray(half), 4, state);
    expect(rest.p95.at(-1)! / whole.p95.at(-1)!).toBeCloseTo(1, 1);
  });
});
