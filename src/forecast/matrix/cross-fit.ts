import type { DemandMatrix } from './demand-matrix.ts';
import { groupLosses, type GroupLosses } from './composed-choice.ts';
import type { MatrixForecasts } from './matrix-model.ts';
import { correctOnline, noCorrection } from './online-calibration.ts';
import { applyPairCalibration, calibratePairs } from './pair-calibration.ts';

/**
 * What calibrated forecasts would have lost, by group of pairs: each half of the time with the calibration of the other.
 * Judged on what it was calibrated on, a rule with a quantile of its own for every pair looks better than it is, and
 * bursts make that much. Changes nothing that it is given.
 * @param origins  ascending; the forecasts' and actuals' rows
 */
export function crossFittedLosses(actual: Float32Array, forecasts: MatrixForecasts, means: Float64Array, matrix: DemandMatrix, origins: Int32Array, steps: number, groups: Int32Array): GroupLosses {
  const pairs = means.length;
  const middle = origins.length >> 1;
  const halves = middle === 0 ? [[0, origins.length]] : [[0, middle], [middle, origins.length]];
  const parts = halves.map(([from, until]) => ({ origins: origins.subarray(from, until), actual: actual.subarray(from! * pairs, until! * pairs), forecasts: rowsOf(forecasts, from! * pairs, until! * pairs) }));
  const losses = parts.map((part, index) => {
    const other = parts[parts.length - 1 - index]!;
    const calibrated = applyPairCalibration(rowsOf(part.forecasts), calibratePairs(other.actual, other.forecasts, means));
    return groupLosses(part.actual, correctOnline(calibrated, matrix, part.origins, steps, noCorrection(pairs)), groups);
  });
  const sum = (of: (each: GroupLosses) => Float64Array): Float64Array => of(losses[0]!).map((_, group) => losses.reduce((total, each) => total + of(each)[group]!, 0));
  return { error: sum(({ error }) => error), loss: sum(({ loss }) => loss) };
}

/** A copy of some cells. */
function rowsOf({ p50, p90, p95, logScale }: MatrixForecasts, from = 0, until = p50.length): MatrixForecasts {
  return { p50: p50.slice(from, until), p90: p90.slice(from, until), p95: p95.slice(from, until), logScale };
}
