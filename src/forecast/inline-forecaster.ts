import { ForemeshError, messageOf, roundTo } from '../base/index.ts';
import type { BacktestScore, ClassId, DemandForecast, DemandSeries, Forecast, ForecastSettings, Observation } from '../model/index.ts';
import { findFault, rollingOrigins } from './backtest.ts';
import { applyCalibration, calibrate } from './conformal.ts';
import { holdContest, type Contestant, type TrainedState } from './contest.ts';
import { prioritiseDemands } from './demand-priority.ts';
import { EwmaModel } from './ewma.ts';
import { QUANTILES, type ForecastModel, type Origin } from './forecast-model.ts';
import { MODEL_NAMES, type Forecaster, type ForecasterOptions, type ModelName, type TrainingProgress } from './forecaster.ts';
import { joinObservation } from './join-observation.ts';
import { SeasonalNaiveModel } from './seasonal-naive.ts';
import type { SeriesTable } from './series-table.ts';
import { withoutHabit } from './silence.ts';
import { readState, writeState } from './state-files.ts';

/**
 * A forecaster in the caller's thread: for tests and the simulated network. The same as `createForecaster` otherwise.
 * @throws ForemeshError FORECAST_FAILED for the name of a model that does not exist
 */
export function createInlineForecaster(options: ForecasterOptions = {}): Promise<Forecaster> {
  const names = options.models ?? [...MODEL_NAMES];
  const unknown = names.filter((name) => !isModelName(name));
  if (unknown.length > 0) {
    return Promise.reject(new ForemeshError('FORECAST_FAILED', { what: `unknown forecast model ${unknown.join(', ')}`, fix: `use ${MODEL_NAMES.join(', ')}` }));
  }
  return Promise.resolve(new InlineForecaster(names.filter(isModelName), options));
}

class InlineForecaster implements Forecaster {
  readonly #names: ModelName[];
  readonly #options: ForecasterOptions;
  #state: TrainedState = { settings: null, history: [], historyEndAt: 0, contestants: [] };

  constructor(names: ModelName[], options: ForecasterOptions) {
    this.#names = names;
    this.#options = options;
  }

  async train(history: readonly DemandSeries[], settings: ForecastSettings, endAt: number, seed: string, onProgress?: (progress: TrainingProgress) => void): Promise<BacktestScore[]> {
    const models: ForecastModel[] = [];
    for (const name of this.#names) models.push(await makeModel(name, this.#options));
    const state = await holdContest(models, history, settings, endAt, seed, onProgress ?? (() => undefined), (text) => this.#notice(text));
    this.#replace(state);
    return scoresOf(state);
  }

  async forecast(observation: Observation, settings: ForecastSettings, classPriorities?: ReadonlyMap<ClassId, number>): Promise<Forecast> {
    const state = this.#state;
    const isSameTime = state.settings !== null && state.settings.slotMs === settings.slotMs && state.settings.slotsPerDay === settings.slotsPerDay;
    const table = joinObservation(isSameTime ? state.history : [], state.historyEndAt, observation, settings);
    const contestants = isSameTime ? [...state.contestants] : [];
    if (!contestants.some(({ model }) => model.name === 'ewma')) contestants.push({ model: new EwmaModel(), calibration: null, score: null });
    const slotsOf = new Map<number, DemandForecast['slots']>();
    const faults: string[] = [];
    let used: string | null = null;
    for (const contestant of contestants) {
      const origins = table.series.map((_, series) => ({ series, slot: table.length })).filter((origin) => !slotsOf.has(origin.series) && contestant.model.canForecast(table, origin));
      if (origins.length === 0) continue;
      const outcome = await tryModel(contestant, table, origins, settings, observation.lastSlotEndAt);
      if (typeof outcome === 'string') {
        faults.push(`${contestant.model.name} ${outcome}`);
        this.#notice(`${contestant.model.name} ${outcome}; the next best model forecasts instead`);
        continue;
      }
      used ??= contestant.model.name;
      origins.forEach((origin, index) => slotsOf.set(origin.series, withoutHabit(table, origin.series, outcome[index]!, settings.horizonSlots)));
    }
    const name = used ?? contestants[0]?.model.name ?? 'ewma';
    return {
      madeAt: observation.observedAt,
      slotMs: settings.slotMs,
      model: faults.length === 0 ? name : `${name} (${faults.join('; ')})`,
      backtest: isSameTime ? scoresOf(state) : [],
      demands: prioritiseDemands(table.series.map(({ from, to, classId }, series) => ({ from, to, classId, slots: slotsOf.get(series) ?? [] })), classPriorities),
    };
  }

  save(folder: string): Promise<void> {
    return writeState(folder, this.#state);
  }

  async load(folder: string): Promise<boolean> {
    const state = await readState(folder, (name) => makeModel(name, this.#options), this.#names);
    if (state === null) return false;
    this.#replace(state);
    return true;
  }

  close(): Promise<void> {
    this.#replace({ settings: null, history: [], historyEndAt: 0, contestants: [] });
    return Promise.resolve();
  }

  #replace(state: TrainedState): void {
    for (const { model } of this.#state.contestants) model.close();
    this.#state = state;
  }

  #notice(text: string): void {
    this.#options.onNotice?.(text);
  }
}

/** One row of slots an origin, or why the model's answer cannot be used. */
async function tryModel(contestant: Contestant, table: SeriesTable, origins: readonly Origin[], settings: ForecastSettings, startAt: number): Promise<DemandForecast['slots'][] | string> {
  const { model } = contestant;
  const horizon = settings.horizonSlots;
  try {
    const raw = await model.forecast(table, origins, horizon);
    const fault = model.name === 'ewma' ? null : findFault(table, origins, raw);
    if (fault !== null) return fault;
    const calibration = contestant.calibration ?? (await calibrateOnPast(model, table, horizon));
    const { values } = applyCalibration(table, origins, raw, calibration);
    return origins.map((_, index) =>
      Array.from({ length: horizon }, (_slot, step) => {
        const at = (index * horizon + step) * QUANTILES.length;
        return { startAt: startAt + step * settings.slotMs, p50: roundTo(values[at]!, 4), p90: roundTo(values[at + 1]!, 4), p95: roundTo(values[at + 2]!, 4) };
      }),
    );
  } catch (cause) {
    return `failed: ${messageOf(cause)}`;
  }
}

/** For a model that was in no contest: its errors on what has been observed so far. */
async function calibrateOnPast(model: ForecastModel, table: SeriesTable, horizon: number): Promise<ReturnType<typeof calibrate>> {
  const from = Math.max(1, table.length - 2 * table.slotsPerDay);
  const origins = rollingOrigins(table, from, table.length, horizon, 1).filter((origin) => model.canForecast(table, origin));
  return calibrate(table, origins, await model.forecast(table, origins, horizon));
}

async function makeModel(name: ModelName, options: ForecasterOptions): Promise<ForecastModel> {
  if (name === 'ewma') return new EwmaModel();
  if (name === 'seasonal-naive') return new SeasonalNaiveModel();
  const { LstmModel } = await import('./lstm.ts'); // TensorFlow.js is loaded only by who wants an LSTM
  return new LstmModel(options.lstm);
}

function scoresOf(state: TrainedState): BacktestScore[] {
  return state.contestants.flatMap(({ score }) => (score ? [score] : []));
}

function isModelName(name: string): name is ModelName {
  return (MODEL_NAMES as readonly string[]).includes(name);
}
