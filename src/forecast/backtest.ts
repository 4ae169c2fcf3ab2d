import { roundTo } from '../base/index.ts';
import type { BacktestScore } from '../model/index.ts';
import { QUANTILES, type Origin, type QuantileForecasts } from './forecast-model.ts';
import type { SeriesTable } from './series-table.ts';

/** Which slots a model learns from, is calibrated on and is judged on: [0, calibrateFrom), [calibrateFrom, testFrom), [testFrom, length). */
export interface Split {
  calibrateFrom: number;
  testFrom: number;
}

/**
 * Cuts a history in time order: a sixth each, but at most two days and at least the horizon, for calibration and for
 * the test; null when there is too little for two seasons of learning.
 */
export function splitHistory(length: number, slotsPerDay: number, horizon: number): Split | null {
  const slice = Math.max(horizon * 2, Math.min(2 * slotsPerDay, Math.floor(length / 6)));
  const calibrateFrom = length - 2 * slice;
  return calibrateFrom >= 2 * slotsPerDay ? { calibrateFrom, testFrom: length - slice } : null;
}

/** Every `stride`-th slot of [from, until) of each series as an origin whose whole horizon lies in the range. */
export function rollingOrigins(table: SeriesTable, from: number, until: number, horizon: number, stride: number): Origin[] {
  const origins: Origin[] = [];
  for (let series = 0; series < table.series.length; series++) {
    for (let slot = from; slot + horizon <= until; slot += stride) origins.push({ series, slot });
  }
  return origins;
}

/** Compares forecasts with what came; slots without a known value do not count. */
export function scoreForecasts(model: string, table: SeriesTable, origins: readonly Origin[], forecasts: QuantileForecasts): BacktestScore {
  let cells = 0;
  let demand = 0;
  let error = 0;
  let pinball = 0;
  let covered = 0;
  origins.forEach((origin, index) => {
    const { values } = table.series[origin.series]!;
    for (let step = 0; step < forecasts.horizon; step++) {
      const actual = values[origin.slot + step];
      if (actual === undefined || Number.isNaN(actual)) continue;
      const at = (index * forecasts.horizon + step) * QUANTILES.length;
      cells += 1;
      demand += actual;
      error += Math.abs(actual - forecasts.values[at]!);
      QUANTILES.forEach((quantile, offset) => {
        const miss = actual - forecasts.values[at + offset]!;
        pinball += Math.max(quantile * miss, (quantile - 1) * miss) / QUANTILES.length;
      });
      if (actual <= forecasts.values[at + 2]!) covered += 1;
    }
  });
  const share = (value: number): number => (demand > 0 ? roundTo(value / demand, 6) : 0);
  return { model, wape: share(error), pinball: share(pinball), coverageP95: cells === 0 ? 0 : roundTo(covered / cells, 6) };
}

/** Why a model's forecasts cannot be used, or null: a number that is none, or the same number for everything while demands differ. */
export function findFault(table: SeriesTable, origins: readonly Origin[], forecasts: QuantileForecasts): string | null {
  const { values } = forecasts;
  if (!values.every((value) => Number.isFinite(value))) return 'gave numbers that are none';
  const isConstant = values.length > QUANTILES.length && values.every((value, index) => index % QUANTILES.length !== 0 || value === values[0]);
  if (!isConstant) return null;
  const known = origins.map((origin) => table.series[origin.series]!.filled[origin.slot - 1]!);
  return known.some((value) => Math.abs(value - known[0]!) > 1e-3 * Math.abs(known[0]!) + 1e-6) ? 'gave one number for everything' : null;
}
