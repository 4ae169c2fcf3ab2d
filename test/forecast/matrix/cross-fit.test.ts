import { describe, expect, it } from 'vitest';
import { groupLosses } from '../../../src/forecast/matrix/composed-choice.ts';
import { crossFittedLosses } from '../../../src/forecast/matrix/cross-fit.ts';
import { actualsOf, emptyMatrixForecasts, type MatrixForecasts } from '../../../src/forecast/matrix/matrix-model.ts';
import { applyPairCalibration, calibratePairs } from '../../../src/forecast/matrix/pair-calibration.ts';
import { dailyMatrix } from './matrices.ts';

describe('cross-fitted losses', () => {
  const matrix = dailyMatrix({ pairs: 4, days: 6 });
  const origins = Int32Array.from({ length: matrix.length - 2 }, (_, slot) => slot);
  const middle = origins.length >> 1;
  // Bursts of one pair in the first half only: nobody who has not seen them can hold them.
  for (let slot = 0; slot < middle; slot += 10) matrix.values[0]![slot] = 5000;
  const actual = actualsOf(matrix, origins, 1);
  const means = new Float64Array(4).fill(20);
  const groups = Int32Array.of(0, 1, 1, 1);
  const forecasts = (): MatrixForecasts => {
    const empty = emptyMatrixForecasts(actual.length);
    for (const quantile of [empty.p50, empty.p90, empty.p95]) quantile.fill(20);
    return empty;
  };

  it('are those of a calibration that has not seen what it is judged on', () => {
    const inSample = groupLosses(actual, applyPairCalibration(forecasts(), calibratePairs(actual, forecasts(), means)), groups);
    const crossed = crossFittedLosses(actual, forecasts(), means, matrix, origins, 1, groups);
    expect(crossed.loss[0]!).toBeGreaterThan(1.3 * inSample.loss[0]!);
    expect(crossed.error).toEqual(inSample.error);
  });

  it('leave what they are given as it was, and bear a single origin', () => {
    const given = forecasts();
    crossFittedLosses(actual, given, means, matrix, origins, 1, groups);
    expect(given).toEqual(forecasts());
    const one = crossFittedLosses(actual.subarray(0, 4), { ...given, p50: given.p50.subarray(0, 4), p90: given.p90.subarray(0, 4), p95: given.p95.subarray(0, 4) }, means, matrix, origins.subarray(0, 1), 1, groups);
    expect([...one.error, ...one.loss].every(Number.isFinite)).toBe(true);
  });
});
