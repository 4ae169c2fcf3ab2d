import type { BacktestScore, ClassId, DemandSeries, Forecast, ForecastSettings, Observation } from '../model/index.ts';
import type { LstmOptions } from './lstm.ts';

export interface TrainingProgress {
  step: number;
  steps: number;
  text: string;
}

/** Turns observations into forecasts, by whichever model did best on held-out history. */
export interface Forecaster {
  /**
   * Learns from history, compares all models on its last part and chooses the one with the least pinball loss.
   * Forecasts asked for meanwhile come from what was learned before.
   * @param history  series whose last slot is the last one that ends at or before `endAt`; may be empty
   * @returns scores of all models that could be tried, best first; empty when there is too little history
   */
  train(history: readonly DemandSeries[], settings: ForecastSettings, endAt: number, seed: string, onProgress?: (progress: TrainingProgress) => void): Promise<BacktestScore[]>;
  /**
   * Forecasts all demands of the observation, `settings.horizonSlots` slots from its last complete one on. History that
   * was trained on is continued by what was observed and scaled to its level. A demand without a day of past gets EWMA.
   * `model` names the winner; when it failed, the one used instead and, in brackets, why.
   * @param classPriorities  puts the demands in order, most urgent class first; without it by peak alone
   */
  forecast(observation: Observation, settings: ForecastSettings, classPriorities?: ReadonlyMap<ClassId, number>): Promise<Forecast>;
  /** Keeps what was learned in a folder; an older state stays whole until the new one is. */
  save(folder: string): Promise<void>;
  /** Takes up what was saved. @returns false when nothing is there @throws ForemeshError STATE_DAMAGED */
  load(folder: string): Promise<boolean>;
  close(): Promise<void>;
}

export const MODEL_NAMES = ['lstm', 'seasonal-naive', 'ewma'] as const;
export type ModelName = (typeof MODEL_NAMES)[number];

export interface ForecasterOptions {
  /** Which models compete; `ewma` is always there as the last resort. Default: all. */
  models?: string[];
  /** Sizes of the LSTM, to trade accuracy for time. */
  lstm?: Partial<LstmOptions>;
  /** Told when a model fails and another takes over, and other things an operator should know. */
  onNotice?: (text: string) => void;
}
