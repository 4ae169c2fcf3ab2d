import type { BacktestScore, ClassId, DemandSeries, Forecast, ForecastSettings, Observation, ServingModel } from '../model/index.ts';
import type { CovariateSeries } from './covariates.ts';
import type { BoostedOptions } from './matrix/boosted-model.ts';
import type { ModelFileHeader } from './model-file.ts';
import type { NetworkOptions } from './network/fit-network.ts';

export interface TrainingProgress {
  step: number;
  steps: number;
  text: string;
}

/** What to learn from, and for what. */
export interface TrainingTask {
  /** Series whose last slot is the last one that ends at or before `endAt`; may be empty. */
  history: readonly DemandSeries[];
  settings: ForecastSettings;
  endAt: number;
  seed: string;
  /** Number of the version that this becomes in the registry; null or absent outside of one. */
  version?: number | null;
  /** A made-up past deserves little work; a measured one all there is. Default `thorough`. */
  effort?: Effort;
  /** What else is known of the history's slots, and of those to come. */
  covariates?: readonly CovariateSeries[];
  /** A file of what was learned before: models that can go on from it, with few passes. */
  from?: Uint8Array | null;
}

export type Effort = 'quick' | 'thorough';

export interface TrainingResult {
  /** Scores of all models that could be tried, best first; empty when there is too little history. */
  backtest: BacktestScore[];
  serving: ServingModel[];
  /** sha256 of settings, weights, training window and seed: the same task gives the same one on one type of machine. */
  digest: string;
}

/** Turns observations into forecasts, for each kind of pairs and distance by the model that did best on held-out history. */
export interface Forecaster {
  /** Learns, compares all models and takes up the result. Forecasts asked for meanwhile come from what was learned before. */
  train(task: TrainingTask, onProgress?: (progress: TrainingProgress) => void): Promise<TrainingResult>;
  /**
   * Forecasts all demands of the observation, `settings.horizonSlots` slots from its last complete one on. History that
   * was trained on is continued by what was observed and scaled to its level. A demand without a day of past gets EWMA.
   * `model` names the model that forecasts most of the demand; when one failed, its stand-in and, in brackets, why.
   * @param classPriorities  puts the demands in order, most urgent class first; without it by peak alone
   * @param covariates       what else is known of the last days and the slots to come; only inputs that were trained with count
   */
  forecast(observation: Observation, settings: ForecastSettings, classPriorities?: ReadonlyMap<ClassId, number>, covariates?: readonly CovariateSeries[]): Promise<Forecast>;
  /** What was learned as one file, see model-file.ts; null when nothing was. */
  dump(): Promise<Uint8Array | null>;
  /** Takes up a file in place of what was learned. @throws ForemeshError FORECAST_MODEL_INVALID; what was learned stays then */
  restore(file: Uint8Array, version: number | null): Promise<ModelFileHeader>;
  /** Reads a file as `restore` would, and changes nothing. @throws ForemeshError FORECAST_MODEL_INVALID */
  inspect(file: Uint8Array): Promise<ModelFileHeader>;
  /** The network of a file as an ONNX model, see docs/network.md. @throws ForemeshError FORECAST_MODEL_INVALID when it has none */
  exportOnnx(file: Uint8Array): Promise<Uint8Array>;
  close(): Promise<void>;
}

/** In the order in which they are tried; the simple ones first, what is made of others last. */
export const MODEL_NAMES = ['persistence', 'ewma', 'seasonal-naive', 'holt-winters', 'ar-ridge', 'rules', 'boosted', 'network', 'ensemble'] as const;
export type ModelName = (typeof MODEL_NAMES)[number];

export interface ForecasterOptions {
  /** Which models compete; `ewma` is always there as the last resort, and `rules` is there only beside three of the simple ones, `ensemble` beside `boosted` and `network`. Default: all. */
  models?: string[];
  /** Other sizes of the trees and of the network. */
  boosted?: Partial<BoostedOptions>;
  network?: Partial<NetworkOptions>;
  /** Told when a model fails and another takes over, and other things an operator should know. */
  onNotice?: (text: string) => void;
}
