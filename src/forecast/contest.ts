import { messageOf } from '../base/index.ts';
import type { BacktestScore, DemandSeries, ForecastSettings } from '../model/index.ts';
import { findFault, rollingOrigins, scoreForecasts, splitHistory } from './backtest.ts';
import { applyCalibration, calibrate, type Calibration } from './conformal.ts';
import type { ForecastModel } from './forecast-model.ts';
import type { TrainingProgress } from './forecaster.ts';
import { makeTable } from './series-table.ts';

/** A model with what the contest found out about it. */
export interface Contestant {
  model: ForecastModel;
  calibration: Calibration | null;
  score: BacktestScore | null;
}

/** What a forecaster knows after training; replaced as a whole. `contestants` best first. */
export interface TrainedState {
  settings: ForecastSettings | null;
  history: readonly DemandSeries[];
  historyEndAt: number;
  contestants: Contestant[];
}

const CALIBRATION_STRIDE = 2;
const TEST_STRIDE = 4;

/**
 * Trains every model on the first part of history, calibrates it on the next and judges it on the last, which it has
 * never seen: forecasts from every fourth slot, as they would have been made then. Afterwards the calibration is renewed
 * on all that the model has not learned from. A model that fails is left out, and `onNotice` says why.
 */
export async function holdContest(
  models: readonly ForecastModel[],
  history: readonly DemandSeries[],
  settings: ForecastSettings,
  endAt: number,
  seed: string,
  onProgress: (progress: TrainingProgress) => void,
  onNotice: (text: string) => void,
): Promise<TrainedState> {
  const horizon = settings.horizonSlots;
  const table = makeTable(history, endAt, settings.slotMs, settings.slotsPerDay);
  const split = splitHistory(table.length, settings.slotsPerDay, horizon);
  const state = { settings, history, historyEndAt: endAt };
  if (!split) {
    for (const model of models) model.close();
    return { ...state, contestants: [] }; // too little to judge by: EWMA forecasts until there is more
  }
  const calibrationOrigins = rollingOrigins(table, split.calibrateFrom, split.testFrom, horizon, CALIBRATION_STRIDE);
  const testOrigins = rollingOrigins(table, split.testFrom, table.length, horizon, TEST_STRIDE);
  const heldOutOrigins = rollingOrigins(table, split.calibrateFrom, table.length, horizon, CALIBRATION_STRIDE);
  const contestants: Contestant[] = [];
  for (const [index, model] of models.entries()) {
    try {
      await model.fit({
        table,
        untilSlot: split.calibrateFrom,
        horizon,
        seed,
        onProgress: (done, of, text) => onProgress({ step: index + done / of, steps: models.length, text }),
      });
      const calibration = calibrate(table, calibrationOrigins, await model.forecast(table, calibrationOrigins, horizon));
      const forecasts = await model.forecast(table, testOrigins, horizon);
      const fault = findFault(table, testOrigins, forecasts);
      if (fault !== null) throw new Error(fault);
      const score = scoreForecasts(model.name, table, testOrigins, applyCalibration(table, testOrigins, forecasts, calibration));
      const renewed = calibrate(table, heldOutOrigins, await model.forecast(table, heldOutOrigins, horizon));
      contestants.push({ model, calibration: renewed, score });
      onProgress({ step: index + 1, steps: models.length, text: `${model.name}: wape ${score.wape.toFixed(3)}, pinball ${score.pinball.toFixed(4)}, p95 holds ${(100 * score.coverageP95).toFixed(1)} %` });
    } catch (cause) {
      model.close();
      onNotice(`${model.name} is left out: ${messageOf(cause)}`);
    }
  }
  contestants.sort((left, right) => left.score!.pinball - right.score!.pinball || left.score!.wape - right.score!.wape);
  return { ...state, contestants };
}
