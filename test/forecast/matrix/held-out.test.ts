import { describe, expect, it } from 'vitest';
import type { Evidence } from '../../../src/forecast/contest.ts';
import { makeCandidates } from '../../../src/forecast/candidates.ts';
import { chooseChampions } from '../../../src/forecast/contest.ts';
import { learn, rulesModel, type Backtest } from '../../../src/forecast/matrix/bench.ts';
import { BoostedModel } from '../../../src/forecast/matrix/boosted-model.ts';
import { judgeForecasts, type HeldOut } from '../../../src/forecast/matrix/held-out.ts';
import { actualsOf, emptyMatrixForecasts, type MatrixForecasts } from '../../../src/forecast/matrix/matrix-model.ts';
import { applyPairCalibration, calibratePairs } from '../../../src/forecast/matrix/pair-calibration.ts';
import { pinballLoss } from '../../../src/forecast/matrix/score.ts';
import { groupPairs } from '../../../src/forecast/pair-groups.ts';
import { trainModels } from '../../../src/forecast/train-models.ts';
import { dailyMatrix } from './matrices.ts';

describe('what was held out', () => {
  const matrix = dailyMatrix({ pairs: 4, days: 6 });
  const origins = Int32Array.from({ length: matrix.length - 2 }, (_, slot) => slot);
  const middle = origins.length >> 1;
  // Bursts of one pair in the first half only: nobody who has not seen them can hold them.
  for (let slot = 0; slot < middle; slot += 10) matrix.values[0]![slot] = 5000;
  const actual = actualsOf(matrix, origins, 1);
  const heldOut: HeldOut = { matrix, origins, steps: 1, groups: ['heavy', 'middle', 'middle', 'middle'], means: new Float64Array(4).fill(20) };
  const forecasts = (): MatrixForecasts => {
    const empty = emptyMatrixForecasts(actual.length);
    for (const quantile of [empty.p50, empty.p90, empty.p95]) quantile.fill(20);
    return empty;
  };
  const judged = (of: MatrixForecasts, by: HeldOut = heldOut): Evidence[] => judgeForecasts('a', true, of, by).evidence;

  it('is judged with a calibration that has not seen it', () => {
    const { p95 } = applyPairCalibration(forecasts(), calibratePairs(actual, forecasts(), heldOut.means));
    const inSample = actual.reduce((sum, value, at) => sum + (at % 4 === 0 ? pinballLoss(value, p95[at]!, 0.95) : 0), 0);
    const [heavy, rest] = judged(forecasts());
    expect(heavy!.upper.total).toBeGreaterThan(1.3 * inSample);
    expect(rest!.median.total).toBeCloseTo(actual.reduce((sum, value, at) => sum + (at % 4 === 0 ? 0 : Math.abs(value - 20)), 0), 2);
  });

  it('is told by kind, parts of the time and pairs, which add up', () => {
    for (const { median, upper, looks, cells, group } of judged(forecasts())) {
      expect(cells).toBe(origins.length * (group === 'heavy' ? 1 : 3));
      expect(looks).toBe(origins.length);
      for (const { total, byBlock, byPair } of [median, upper]) {
        expect(byBlock).toHaveLength(16);
        expect(byPair).toHaveLength(group === 'heavy' ? 1 : 3);
        for (const parts of [byBlock, byPair]) expect(parts.reduce((sum, part) => sum + part, 0) / total).toBeCloseTo(1, 9);
      }
    }
  });

  it('counts no unknown cell, and has no more parts of time than horizons went by', () => {
    const holes = { ...matrix, values: matrix.values.map((values, pair) => (pair === 3 ? values.map(() => Number.NaN) : values)) };
    const far = judged(forecasts(), { ...heldOut, matrix: holes, steps: 100 });
    expect(far.map(({ cells }) => cells)).toEqual([matrix.length - 100, 2 * (matrix.length - 100)]);
    expect(far[0]!.median.byBlock).toHaveLength(5);
  });

  it('leaves what it is given as it was, and bears a single origin', () => {
    const given = forecasts();
    judged(given);
    expect(given).toEqual(forecasts());
    const one = { ...given, p50: given.p50.subarray(0, 4), p90: given.p90.subarray(0, 4), p95: given.p95.subarray(0, 4) };
    expect(judged(one, { ...heldOut, origins: origins.subarray(0, 1) }).every(({ median, upper }) => Number.isFinite(median.total + upper.total))).toBe(true);
  });
});

describe('bench and engine', () => {
  it('choose alike on the same past', async () => {
    // Nothing but chance for the heaviest pairs, a season for the others.
    const history = dailyMatrix({ pairs: 12, days: 20 });
    const chance = dailyMatrix({ pairs: 12, days: 20, shape: 0, noise: 0.5 });
    chance.values.forEach((values, pair) => pair >= 10 && (history.values[pair] = values));
    const trees = { rounds: 6, rowsMax: 2000, leavesMax: 15, learningRate: 0.15, leafWeightMin: 20 };
    const settings = { slotMs: history.stepMs, slotsPerDay: history.slotsPerDay, horizonSlots: 1, provision: 'p95' } as const;
    const candidates = makeCandidates(['persistence', 'ewma', 'seasonal-naive', 'holt-winters', 'ar-ridge', 'rules', 'boosted'], { boosted: trees }, 'quick');
    const engine = await trainModels(candidates, { ...history, covariates: [] }, settings, 'seed', () => undefined, (text) => expect.unreachable(text));

    const backtests = new Map([[1, new Map<string, Backtest>()]]);
    for (const model of [rulesModel(), new BoostedModel(trees)]) await learn(model, history, groupPairs(history), backtests, { seed: 'seed', onProgress: () => undefined });
    const bench = chooseChampions([...backtests.get(1)!.values()].flatMap(({ evidence }) => evidence));
    expect(bench).toEqual(engine.champions);
    expect(new Set(bench.flatMap(({ ranking, upperRanking }) => [ranking[0], upperRanking![0]])).size).toBeGreaterThan(1);
  });
});
