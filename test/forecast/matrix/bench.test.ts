import { describe, expect, it } from 'vitest';
import { createRng } from '../../../src/base/index.ts';
import { benchForecast, BENCH_MODELS, readTraffic, type DemandMatrix } from '../../../src/forecast/index.ts';
import { fillGaps } from '../../../src/forecast/matrix/demand-matrix.ts';
import type { MatrixForecasts } from '../../../src/forecast/matrix/matrix-model.ts';
import { applyPairCalibration, calibratePairs } from '../../../src/forecast/matrix/pair-calibration.ts';
import { scaleProvision } from '../../../src/forecast/matrix/provision.ts';
import { changeScales, scoreMatrix } from '../../../src/forecast/matrix/score.ts';
import { dailyMatrix } from './matrices.ts';

async function* pieces(text: string, size = 7): AsyncGenerator<Buffer> {
  for (let at = 0; at < text.length; at += size) yield Buffer.from(text.slice(at, at + size));
}

const read = (text: string, stepMs: number | null = null): Promise<DemandMatrix> => readTraffic({ name: 'table.csv', chunks: pieces(text), stepMs });

describe('a table of demands', () => {
  it('is laid on the grid of its timestamps, with absent rows and empty cells unknown', async () => {
    const matrix = await read('timestamp,a>b,b>a\r\n2026-01-01T00:00:00Z,1,2\r\n2026-01-01T00:05:00Z,,3\r\n2026-01-01T00:10:00Z,-4,x\r\n2026-01-01T00:25:00Z,0,5\r\n');
    expect(matrix).toMatchObject({ pairs: ['a>b', 'b>a'], stepMs: 300_000, slotsPerDay: 288, length: 6, startAt: Date.UTC(2026, 0, 1) });
    expect([...matrix.values[0]!]).toEqual([1, NaN, NaN, NaN, NaN, 0]);
    expect([...matrix.values[1]!]).toEqual([2, 3, NaN, NaN, NaN, 5]);
    expect([...matrix.rowSlots]).toEqual([0, 1, 2, 5]);
  });

  it('may count steps, of five minutes unless told', async () => {
    const text = 'timestamp,a>b\n0,1\n1,2\n2,3\n4,5';
    expect(await read(text)).toMatchObject({ stepMs: 300_000, length: 5 });
    expect(await read(text, 1000)).toMatchObject({ stepMs: 1000, slotsPerDay: 86_400 });
  });

  it('may say beside demand what its ways were like, and how many hosts were active', async () => {
    const rows = Array.from({ length: 30 }, (_, row) => `2026-01-01T${String(Math.floor(row / 12)).padStart(2, '0')}:${String((row % 12) * 5).padStart(2, '0')}:00Z,${row},${row === 20 ? 40 : 10},7,5,${row === 29 ? '' : 0.001}`);
    const matrix = await read(`timestamp,a>b,latencyMs:a>b,a>c,hosts:sales@a,lossRatio:a>c\n${rows.join('\n')}\n`);
    expect(matrix.pairs).toEqual(['a>b', 'a>c']);
    expect([matrix.values[0]![29], matrix.values[1]![29]]).toEqual([29, 7]);
    const of = (name: string, pair: number): Float32Array => matrix.covariates!.find((each) => each.name === name && each.pairs.includes(pair as never))!.values;
    expect(of('hosts:sales', 0)).toEqual(of('hosts:sales', 1));
    expect([of('path:latency', 0)[20], of('path:latency', 1)[20]]).toEqual([Math.fround(Math.log(40)) - Math.fround(Math.log(10)), NaN].map(Math.fround));
    expect([of('path:loss', 1)[28], of('path:loss', 1)[29], of('path:loss', 0)[28]]).toEqual([Math.fround(Math.log(2)), NaN, NaN]);
    expect(await read('timestamp,a>b\n0,1\n1,2\n2,3')).not.toHaveProperty('covariates');
  });

  it.each([
    ['timestamp,a>b,latencyMs:b>a\n0,1,2\n', 'latencyMs:b>a'],
    ['timestamp,a>b,hosts:sales@b\n0,1,2\n', 'hosts:sales@b'],
    ['timestamp\n1\n', 'names no pairs'],
    ['timestamp,a>b\n0,1\n1,2\n', 'too few'],
    ['timestamp,a>b\n3,1\n2,2\n1,2\n', '2 more are not later'],
    ['timestamp,a>b,b>a,a>b\n0,1,1,1\n1,2,1,1\n2,2,1,1\n', 'the pair "a>b" has two columns'],
    ['timestamp,a>b\nyesterday,1\n', 'begins with'],
    ['timestamp,a>b\n0,1\n1,2\n2,2\n999999,2\n', 'only 4 are there'],
  ])('says what is wrong with %j', async (text, what) => {
    await expect(read(text)).rejects.toThrow(what);
  });

  it('fills gaps from the past only: briefly the last value, then a day before', () => {
    const values = new Float32Array(60).map((_, slot) => (slot < 24 ? slot : NaN));
    const filled = fillGaps(values, 24);
    expect([filled[24], filled[25], filled[30], filled[49]]).toEqual([23, 1, 6, 1]);
  });
});

describe('the scores', () => {
  const forecasts = { p50: new Float32Array([1, 4, 2, 2]), p90: new Float32Array([2, 4, 3, 2]), p95: new Float32Array([3, 5, 3, 2]), logScale: null };
  const actual = new Float32Array([2, 3, 4, NaN]);

  it('are those of the definitions, over known cells', () => {
    const score = scoreMatrix(actual, forecasts, new Float64Array([0.5, 2]));
    expect(score.wape).toBeCloseTo(4 / 9);
    expect(score.mase).toBeCloseTo((1.5 / 0.5 + 1 / 2) / 2);
    expect(score.pinball.p50).toBeCloseTo(2 / 9);
    expect(score.pinball.p95).toBeCloseTo((0.05 * 1 + 0.05 * 2 + 0.95 * 1) / 9);
    expect(score.coverage).toEqual({ p90: 2 / 3, p95: 2 / 3 });
    expect(score.coverageByVolume.p95).toBeCloseTo(5 / 9);
    expect(score.allocation.p95).toBeCloseTo(11 / 9);
    expect(score.unmet.p95).toBeCloseTo(1 / 9);
    expect(score.topkPrecision).toBe(1);
  });

  it('scale the provision to the allocation asked for, in the model\'s own scale', () => {
    const demand = new Float32Array([1, 3, 2, 2]);
    const medians = new Float32Array([1, 2, 1, 2]);
    const uppers = new Float32Array([3, 6, 3, 6]);
    const plain = scaleProvision(demand, { p50: medians, p90: uppers, p95: uppers, logScale: null }, 2);
    // Σ p50 = 6 and Σ (p95 − p50) = 12, so 1.7 · 8 = 13.6 is 0.63 of the way: 2.27, 4.53, 2.27, 4.53.
    expect(plain[4]).toEqual({ allocation: 1.7, unmet: 0, over: 0 });
    // 1.2 · 8 = 9.6 is three tenths of it: 1.6, 3.2, 1.6, 3.2, and only the third is short.
    expect(plain[0]!.over).toBe(0.25);
    expect(plain[0]!.unmet).toBeCloseTo(0.4 / 8, 2);
    // In a log scale of 1 and 2 the way is geometric: 2 · 2^s − 1 and 4 · 2^s − 2 and so 12 · 2^s − 6 in all.
    const log = scaleProvision(demand, { p50: medians, p90: uppers, p95: uppers, logScale: new Float32Array([1, 2]) }, 2);
    const stretch = (1.2 * 8 + 6) / 12;
    expect(log[0]!.unmet).toBeCloseTo((2 - (2 * stretch - 1)) / 8, 2);
  });

  it('measure change against the horizon, unknown slots left out', () => {
    const matrix = { ...dailyMatrix({ pairs: 1, days: 1 }), length: 5, values: [new Float32Array([1, NaN, 4, 6, 5])] };
    expect([...changeScales(matrix, 2)]).toEqual([(3 + 1) / 2]);
  });
});

describe('the calibration', () => {
  it('makes p95 hold nineteen times of twenty for every pair, whatever its spread', () => {
    const rng = createRng('calibration');
    const pairs = 4;
    const slots = 4000;
    const draw = (): Float32Array => Float32Array.from({ length: pairs * slots }, (_, at) => 100 + (at % pairs) * 20 * Math.abs(rng.gaussian()));
    const flat = { p50: new Float32Array(pairs * slots).fill(100), p90: new Float32Array(pairs * slots).fill(100), p95: new Float32Array(pairs * slots).fill(100), logScale: null };
    const { p95, units } = calibratePairs(draw(), flat, new Float64Array(pairs).fill(100));
    const fresh = draw();
    for (let pair = 1; pair < pairs; pair++) {
      const held = Array.from({ length: slots }, (_, slot) => fresh[slot * pairs + pair]! <= 100 + p95[pair]! * units[pair]!);
      expect(held.filter(Boolean).length / slots).toBeGreaterThan(0.93);
      expect(held.filter(Boolean).length / slots).toBeLessThan(0.97);
    }
  });

  it('leaves a model\'s own quantiles alone while they hold to within a point of what they promise, and mends them no further than that', () => {
    const rng = createRng('band');
    const [pairs, slots] = [10, 5000];
    const scales = new Float32Array(pairs).fill(100);
    const actual = Float32Array.from({ length: pairs * slots }, () => 100 * rng.next());
    const promising = (share: number): MatrixForecasts => ({ p50: new Float32Array(pairs * slots).fill(50), p90: new Float32Array(pairs * slots).fill(90), p95: new Float32Array(pairs * slots).fill(100 * share), logScale: scales });
    const heldAfter = (share: number): number => {
      const { p95 } = applyPairCalibration(promising(share), calibratePairs(actual, promising(share), new Float64Array(pairs).fill(50)));
      return actual.reduce((count, value, at) => count + (value <= p95[at]! ? 1 : 0), 0) / actual.length;
    };
    expect(heldAfter(0.943)).toBeCloseTo(0.943, 2);
    expect(heldAfter(0.957)).toBeCloseTo(0.957, 2);
    expect(heldAfter(0.7)).toBeCloseTo(0.94, 2);
    expect(heldAfter(0.995)).toBeCloseTo(0.96, 2);
  });
});

describe('bench forecast', () => {
  const options = { boosted: { rowsMax: 3000, rounds: 15, leavesMax: 8, leafWeightMin: 20, learningRate: 0.3 }, network: { window: 4, state: 8, dense: [16], batch: 64, rowsPerEpoch: 1000, epochs: 2, warmEpochs: 1 }, testFrom: 0.8, horizons: [{ name: '15m', ms: 900_000 }, { name: '1h', ms: 3_600_000 }], stride: 2, model: 'auto', seed: 'test', now: () => 0, peakMemoryMb: () => 1, onProgress: () => undefined };

  it('prints the keys that other programs read', async () => {
    const result = await benchForecast(dailyMatrix({ pairs: 6, days: 9 }), options);
    expect(result).toMatchObject({ schema: 'foremesh/bench-forecast/v1', pairs: 6, rows: 864, stepSeconds: 900 });
    expect(Object.keys(result.horizons)).toEqual(['15m', '1h']);
    for (const { chosen, groups, models } of Object.values(result.horizons)) {
      expect(chosen).toBe('auto');
      for (const { p50, upper } of Object.values(groups)) expect(BENCH_MODELS).toEqual(expect.arrayContaining([p50, upper]));
      expect(Object.keys(models)).toEqual(expect.arrayContaining(['reactive', 'persistence', 'ewma', 'seasonal-naive', chosen]));
      for (const score of Object.values(models)) expect(score.tradeoff.map(({ allocation }) => allocation)).toEqual([1.2, 1.3, 1.4, 1.5, 1.7, 2]);
    }
  });

  it.each(['ensemble', 'ar-ridge'])('times a forecast of 1,000 pairs by what was chosen: %s', async (model) => {
    let [wall, cpu] = [0, 0];
    const clocks = { now: () => (wall += 5), cpu: () => (cpu += 7) };
    const result = await benchForecast(dailyMatrix({ pairs: 4, days: 3 }), { ...options, ...clocks, model, stride: 9 });
    expect(result).toMatchObject({ predictThousandMs: 5, predictThousandCpuMs: 7, predictThousandFirstMs: 5 });
  });

  it('finds the season where there is one, and no change where there is none', async () => {
    const seasonal = (await benchForecast(dailyMatrix({ pairs: 5, days: 12, noise: 0.01 }), options)).horizons['1h']!;
    expect(wapeOf(seasonal, seasonal.chosen)).toBeLessThan(0.4 * wapeOf(seasonal, 'persistence'));
    const constant = (await benchForecast(dailyMatrix({ pairs: 3, days: 6, noise: 0, shape: 0 }), options)).horizons['15m']!;
    expect(wapeOf(constant, constant.chosen)).toBeLessThan(1e-6);
  });

  it.each([
    ['two rows of the test', dailyMatrix({ pairs: 2, days: 0.2 })],
    ['zeros only', { ...dailyMatrix({ pairs: 2, days: 3 }), values: [new Float32Array(288), new Float32Array(288)] }],
    ['a pair that is never known', { ...dailyMatrix({ pairs: 2, days: 3 }), values: [new Float32Array(288).fill(NaN), new Float32Array(288).fill(5)] }],
  ])('gives finite figures for %s', async (_, matrix) => {
    const text = JSON.stringify(await benchForecast(matrix, options));
    expect(text).not.toContain('null');
  });

  it('knows nothing of the future: another one changes no forecast made before it', async () => {
    const matrix = dailyMatrix({ pairs: 4, days: 10 });
    const cut = 850;
    const changed = { ...matrix, values: matrix.values.map((series) => series.map((value, slot) => (slot >= cut ? value * 7 + 3 : value))) };
    // Only cells before the cut are scored: the rows end there.
    const until = (each: DemandMatrix): DemandMatrix => ({ ...each, rowSlots: matrix.rowSlots.filter((slot) => slot < cut) });
    expect(await benchForecast(until(changed), options)).toEqual(await benchForecast(until(matrix), options));
  });
});

function wapeOf({ models }: { models: Record<string, object> }, name: string): number {
  return (models[name] as { wape: number }).wape;
}
