import { ForemeshError } from '../base/index.ts';
import { peakMbps, type ClassId, type Forecast, type ForecastSettings, type Observation } from '../model/index.ts';
import { makeCandidates } from './candidates.ts';
import { alignCovariates, covariateNames, type CovariateSeries } from './covariates.ts';
import { prioritiseDemands } from './demand-priority.ts';
import { makeMatrix } from './demand-series.ts';
import { forecastSlots, newcomersServing, type SlotForecasts } from './forecast-slots.ts';
import { MODEL_NAMES, type Forecaster, type ForecasterOptions, type ModelName, type TrainingProgress, type TrainingResult, type TrainingTask } from './forecaster.ts';
import { isSamePast, joinObservation, pairsOf, type JoinedDemands } from './join-observation.ts';
import { packModels, servingOf, unpackModels, type ModelFileHeader } from './model-file.ts';
import { NetworkModel } from './network/network-model.ts';
import { trainModels, type TrainedState } from './train-models.ts';

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
  return Promise.resolve(new InlineForecaster(MODEL_NAMES.filter((name) => names.includes(name)), options));
}

/** What is in use: learned state, the file that it is kept in, and its names. */
interface Active {
  state: TrainedState;
  file: Uint8Array;
  digest: string;
  version: number | null;
}

/** What was asked last, and the answer. */
interface Answered {
  active: Active | null;
  joined: JoinedDemands;
  horizonSlots: number;
  lastSlotEndAt: number;
  forecasts: SlotForecasts;
}

class InlineForecaster implements Forecaster {
  readonly #names: ModelName[];
  readonly #options: ForecasterOptions;
  #active: Active | null = null;
  #last: Answered | null = null;

  constructor(names: ModelName[], options: ForecasterOptions) {
    this.#names = names;
    this.#options = options;
  }

  async train(task: TrainingTask, onProgress: (progress: TrainingProgress) => void = () => undefined): Promise<TrainingResult> {
    const { settings } = task;
    const candidates = makeCandidates(this.#names, this.#options, task.effort ?? 'thorough');
    const demands = makeMatrix(task.history, task.endAt, settings.slotMs, settings.slotsPerDay);
    const names = covariateNames(task.covariates ?? []);
    const history = { ...demands, covariates: alignCovariates(names, task.covariates ?? [], demands, settings.horizonSlots) };
    const before = task.from ? unpackModels(task.from, 'what was learned before', this.#options).state : null;
    const trained = await trainModels(candidates, history, settings, task.seed, onProgress, (text) => this.#notice(text), before);
    trained.covariates = names;
    const { file, digest } = packModels(trained);
    await close(trained);
    // what forecasts is what was kept, to the last bit: a version gives the same numbers wherever it is taken up
    const { state } = unpackModels(file, 'what was just trained', this.#options);
    await this.#replace({ state, file, digest, version: task.version ?? null });
    return { backtest: state.backtest, serving: servingOf(state), digest };
  }

  async forecast(observation: Observation, settings: ForecastSettings, classPriorities?: ReadonlyMap<ClassId, number>, covariates: readonly CovariateSeries[] = []): Promise<Forecast> {
    const active = this.#active !== null && isSameTime(this.#active.state.settings, settings) ? this.#active : null;
    const joined = joinObservation(active?.state.history ?? null, observation, settings);
    if (active) joined.matrix.covariates = alignCovariates(active.state.covariates, covariates, joined.matrix, settings.horizonSlots);
    const { slots, models, faults, newcomers } = await this.#forecastSlots(active, joined, settings, observation.lastSlotEndAt);
    for (const fault of faults) this.#notice(`${fault}; the next best model forecasts instead`);
    const pairs = pairsOf(joined, observation);
    const demands = observation.demands.map(({ from, to, classId }, index) => ({ from, to, classId, slots: slots[pairs[index]!]! }));
    const model = heaviestModel(demands.map((demand, index) => [models[pairs[index]!]!, peakMbps(demand, 'p50')]));
    return {
      madeAt: observation.observedAt,
      slotMs: settings.slotMs,
      model: faults.length === 0 ? model : `${model} (${faults.join('; ')})`,
      backtest: active?.state.backtest ?? [],
      ...(active && { version: { version: active.version, digest: active.digest }, serving: [...servingOf(active.state), ...newcomersServing(newcomers, settings.horizonSlots)] }),
      demands: prioritiseDemands(demands, classPriorities),
    };
  }

  /** A cycle is shorter than a slot: mostly the same is asked again, and the answer is then what it was. */
  async #forecastSlots(active: Active | null, joined: JoinedDemands, settings: ForecastSettings, lastSlotEndAt: number): Promise<SlotForecasts> {
    const last = this.#last;
    if (last && last.active === active && last.horizonSlots === settings.horizonSlots && last.lastSlotEndAt === lastSlotEndAt && isSamePast(last.joined, joined)) return last.forecasts;
    const forecasts = await forecastSlots(active?.state ?? null, joined, settings, { lastSlotEndAt });
    // What failed is tried again.
    this.#last = forecasts.faults.length > 0 ? null : { active, joined, horizonSlots: settings.horizonSlots, lastSlotEndAt, forecasts };
    return forecasts;
  }

  dump(): Promise<Uint8Array | null> {
    return Promise.resolve(this.#active?.file ?? null);
  }

  async restore(file: Uint8Array, version: number | null): Promise<ModelFileHeader> {
    const { state, header } = unpackModels(file, nameOf(version), this.#options);
    await this.#replace({ state, file, digest: header.digest, version });
    return header;
  }

  async inspect(file: Uint8Array): Promise<ModelFileHeader> {
    const { state, header } = unpackModels(file, nameOf(null), this.#options);
    await close(state);
    return header;
  }

  async exportOnnx(file: Uint8Array): Promise<Uint8Array> {
    const { state } = unpackModels(file, nameOf(null), this.#options);
    const network = state.models.map(({ model }) => model).find((model) => model instanceof NetworkModel);
    const bytes = network?.exportOnnx();
    await close(state);
    if (!bytes) throw new ForemeshError('FORECAST_MODEL_INVALID', { what: 'no network is among its models: others forecast better there', fix: 'export it without --onnx, or export another version' });
    return bytes;
  }

  async close(): Promise<void> {
    await this.#replace(null);
  }

  async #replace(active: Active | null): Promise<void> {
    const before = this.#active;
    this.#active = active;
    this.#last = null;
    if (before) await close(before.state);
  }

  #notice(text: string): void {
    this.#options.onNotice?.(text);
  }
}

async function close(state: TrainedState): Promise<void> {
  for (const { model } of state.models) await model.close?.();
}

function isSameTime(left: ForecastSettings, right: ForecastSettings): boolean {
  return left.slotMs === right.slotMs && left.slotsPerDay === right.slotsPerDay;
}

/** The model whose demands are largest together; the first among equals. */
function heaviestModel(entries: readonly (readonly [model: string, mbps: number])[]): string {
  const sums = new Map<string, number>();
  for (const [model, mbps] of entries) sums.set(model, (sums.get(model) ?? 0) + mbps);
  return [...sums].reduce((most, next) => (next[1] > most[1] ? next : most), ['ewma', -1] as [string, number])[0];
}

function nameOf(version: number | null): string {
  return version === null ? 'the file' : `version ${version}`;
}

function isModelName(name: string): name is ModelName {
  return (MODEL_NAMES as readonly string[]).includes(name);
}
