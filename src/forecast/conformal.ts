import { QUANTILES, type Origin, type QuantileForecasts } from './forecast-model.ts';
import { meanOf, type SeriesTable } from './series-table.ts';

/** How far the upper quantiles of one model must be moved, by step of the horizon: `shifts[step][0]` for p90, `[1]` for p95, in units of `spreadUnit`. */
export interface Calibration {
  shifts: [number, number][];
}

/** Fewer residuals than this say nothing about a 95 % quantile; all steps are then pooled. */
const RESIDUALS_MIN = 60;
/** Without any residuals: what p90 and p95 lie above the median. Wide, since nothing is known. */
export const UNCALIBRATED: readonly [number, number] = [0.5, 0.8];

/**
 * Split-conformal calibration: how high the demand came out above each quantile on slots that the model has not learned
 * from, relative to the forecast's own size, gives the shift with which the quantile would have held as often as it
 * should (with the finite-sample correction (n + 1)/n).
 */
export function calibrate(table: SeriesTable, origins: readonly Origin[], raw: QuantileForecasts): Calibration {
  const residuals = Array.from({ length: raw.horizon }, () => [[], []] as [number[], number[]]);
  origins.forEach((origin, index) => {
    const { values } = table.series[origin.series]!;
    for (let step = 0; step < raw.horizon; step++) {
      const actual = values[origin.slot + step];
      if (actual === undefined || Number.isNaN(actual)) continue;
      const at = (index * raw.horizon + step) * QUANTILES.length;
      const unit = spreadUnit(table, origin, raw.values[at]!);
      residuals[step]![0].push((actual - raw.values[at + 1]!) / unit);
      residuals[step]![1].push((actual - raw.values[at + 2]!) / unit);
    }
  });
  const pooled: [number, number] = [quantileOf(residuals.flatMap((pair) => pair[0]), 0.9, UNCALIBRATED[0]), quantileOf(residuals.flatMap((pair) => pair[1]), 0.95, UNCALIBRATED[1])];
  return {
    shifts: residuals.map(([p90, p95]) => (p90.length < RESIDUALS_MIN ? pooled : [quantileOf(p90, 0.9, pooled[0]), quantileOf(p95, 0.95, pooled[1])])),
  };
}

/** Moves the upper quantiles; afterwards 0 ≤ p50 ≤ p90 ≤ p95. Changes `raw` in place and gives it back. */
export function applyCalibration(table: SeriesTable, origins: readonly Origin[], raw: QuantileForecasts, calibration: Calibration): QuantileForecasts {
  const { values } = raw;
  origins.forEach((origin, index) => {
    for (let step = 0; step < raw.horizon; step++) {
      const at = (index * raw.horizon + step) * QUANTILES.length;
      const [p90, p95] = calibration.shifts[Math.min(step, calibration.shifts.length - 1)] ?? UNCALIBRATED;
      const median = Math.max(0, values[at]!);
      const unit = spreadUnit(table, origin, median);
      const upper = Math.max(median, values[at + 1]! + p90 * unit);
      values.set([median, upper, Math.max(upper, values[at + 2]! + p95 * unit)], at);
    }
  });
  return raw;
}

/** Errors grow with the demand, down to a floor of a tenth of the demand's mean of the last day. */
function spreadUnit(table: SeriesTable, origin: Origin, medianMbps: number): number {
  const mean = meanOf(table.series[origin.series]!, origin.slot - table.slotsPerDay, origin.slot);
  return Math.max(0, medianMbps) + 0.1 * mean + 1e-6;
}

function quantileOf(residuals: number[], quantile: number, otherwise: number): number {
  if (residuals.length < 5) return otherwise;
  const sorted = residuals.toSorted((left, right) => left - right);
  const rank = Math.ceil((sorted.length + 1) * quantile) - 1;
  return sorted[Math.min(rank, sorted.length - 1)]!;
}
