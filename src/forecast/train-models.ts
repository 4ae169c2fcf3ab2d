import { messageOf } from '../base/index.ts';
import type { BacktestScore, ForecastSettings, PairGroup } from '../model/index.ts';
import { anchorSteps } from './anchors.ts';
import type { CovariateName } from './covariates.ts';
import { chooseChampions, JUDGED_GROUPS, overallScores, type Champion, type GroupScore } from './contest.ts';
import { DAYS_MAX } from './join-observation.ts';
import { tailOf } from './demand-series.ts';
import type { TrainingProgress } from './forecaster.ts';
import { cutMatrix, knownMean, type DemandMatrix } from './matrix/demand-matrix.ts';
import { EnsembleModel, meanForecasts } from './matrix/ensemble-model.ts';
import { actualsOf, cellsOf, type MatrixForecasts, type MatrixModel, type MatrixModelDump } from './matrix/matrix-model.ts';
import { correctOnline, noCorrection, type OnlineCorrection } from './matrix/online-calibration.ts';
import { applyPairCalibration, calibratePairs, type PairCalibration } from './matrix/pair-calibration.ts';
import { groupPairs } from './pair-groups.ts';

/** Who may compete. */
export interface Candidate {
  model: MatrixModel;
  isBaseline: boolean;
  /** It can go on from what it learned before. */
  goesOn: boolean;
}

/** A model in use: fitted on all of the history, with a calibration for each anchor that it is asked for. */
export interface TrainedModel extends Candidate {
  calibrations: Map<number, PairCalibration>;
  /** What its misses in the back-test taught, by anchor; forecasts go on from there. Empty for simple models. */
  corrections: Map<number, OnlineCorrection>;
  /** What a model that goes on had learned before the held-out part: the next contest begins with it, since it has not seen what that is judged on. */
  beforeTest: MatrixModelDump | null;
}

/** What a forecaster knows after training; replaced as a whole. */
export interface TrainedState {
  settings: ForecastSettings;
  seed: string;
  /** End of the history, and how much there was of it. */
  window: { endAt: number; slots: number };
  /** The last days of it, which observations continue. Its pairs are the models' pairs. */
  history: DemandMatrix;
  groups: PairGroup[];
  /** Inputs beside demand that the models were trained with. */
  covariates: CovariateName[];
  anchors: number[];
  models: TrainedModel[];
  champions: Champion[];
  backtest: BacktestScore[];
}

/** More held-out cells than this make a calibration slower, not better. */
const CELLS_MAX = 100_000;
const STRIDE = 2;

/**
 * Fits every candidate without the newest part of history, calibrates it on the next and judges it on the last, which it
 * has never seen, for each kind of pairs and distance. The champions then learn all of it; those that won nowhere are
 * dropped, simple ones stay as a reserve. A candidate that fails is left out, and `onNotice` says why. With too little
 * history for two seasons of learning nothing is chosen.
 * @param before  what was learned last time; models that can go on from it
 */
export async function trainModels(
  candidates: readonly Candidate[],
  history: DemandMatrix,
  settings: ForecastSettings,
  seed: string,
  onProgress: (progress: TrainingProgress) => void,
  onNotice: (text: string) => void,
  before: TrainedState | null = null,
): Promise<TrainedState> {
  const groups = groupPairs(history);
  const anchors = anchorSteps(settings.horizonSlots);
  const split = splitHistory(history.length, settings.slotsPerDay, settings.horizonSlots);
  const state: TrainedState = {
    settings,
    seed,
    window: { endAt: history.startAt + history.length * history.stepMs, slots: history.length },
    history: tailOf(history, DAYS_MAX * history.slotsPerDay),
    groups,
    covariates: [],
    anchors,
    models: [],
    champions: [],
    backtest: [],
  };
  if (!split) return state;
  const steps = 2 * candidates.length;
  const report = (step: number, text: string): void => onProgress({ step, steps, text });
  const backTest = new BackTest(history, groups, anchors, split);
  const fitted = new Map<MatrixModel, TrainedModel>();
  const scores: GroupScore[] = [];
  for (const [index, candidate] of candidates.entries()) {
    const { model } = candidate;
    try {
      const warmStart = goOn(candidate, history, before);
      const task = { matrix: cutMatrix(history, split.calibrateFrom), horizons: anchors, seed, warmStart, onProgress: (text: string) => report(index, text) };
      if (!(model instanceof EnsembleModel)) await model.fit(task); // its parts learned by themselves
      const beforeTest = candidate.goesOn ? (model.dump?.() ?? null) : null;
      const judged = await backTest.judge(candidate);
      scores.push(...judged.scores);
      fitted.set(model, { ...candidate, calibrations: judged.calibrations, corrections: judged.corrections, beforeTest });
      const [score] = overallScores(judged.scores);
      report(index + 1, `${model.name}: wape ${score!.wape.toFixed(3)}, pinball ${score!.pinball.toFixed(4)}, p95 holds ${(100 * score!.coverageP95).toFixed(1)} %`);
    } catch (cause) {
      await closeModel(model);
      onNotice(`${model.name} is left out: ${messageOf(cause)}`);
    }
  }
  backTest.forget();
  state.champions = chooseChampions(scores);
  state.backtest = overallScores(scores);
  for (const [index, trained] of [...fitted.values()].entries()) {
    const { model } = trained;
    const wonAnchors = anchors.filter((anchor) => isWon(state.champions, anchor, [...fitted.keys()], model));
    if (wonAnchors.length === 0 && !trained.isBaseline) {
      await closeModel(model);
      continue;
    }
    try {
      if (model instanceof EnsembleModel) {
        if (model.members.every((member) => state.models.some((other) => other.model === member))) state.models.push(trained);
        continue;
      }
      // The newest part is worth the most: what was chosen and calibrated without it learns it too.
      const horizons = trained.isBaseline || trained.goesOn ? anchors : wonAnchors;
      await model.fit({ matrix: history, horizons, seed, warmStart: trained.goesOn, onProgress: (text) => report(candidates.length + index, text) });
      state.models.push(trained);
    } catch (cause) {
      await closeModel(model);
      onNotice(`${model.name} is left out: ${messageOf(cause)}`);
    }
  }
  report(steps, 'trained');
  return state;
}

/** Whether a model serves anybody at a distance, by itself or as a part of what does. */
function isWon(champions: readonly Champion[], steps: number, models: readonly MatrixModel[], model: MatrixModel): boolean {
  const names = [model, ...models.filter((other) => other instanceof EnsembleModel && other.members.includes(model))].map(({ name }) => name);
  return champions.some((champion) => champion.steps === steps && names.includes(champion.ranking[0]!));
}

/** An ensemble's parts are closed by themselves. */
async function closeModel(model: MatrixModel): Promise<void> {
  if (!(model instanceof EnsembleModel)) await model.close?.();
}

/** Takes up what the model had learned for the same pairs before; false when there is nothing to go on from. */
function goOn({ model, goesOn }: Candidate, history: DemandMatrix, before: TrainedState | null): boolean {
  const earlier = before?.models.find((trained) => trained.model.name === model.name)?.beforeTest;
  if (!goesOn || !earlier || !model.restore || before.history.pairs.join() !== history.pairs.join()) return false;
  model.restore(earlier);
  return true;
}

/** Which slots a model learns from, is calibrated on and is judged on: [0, calibrateFrom), [calibrateFrom, testFrom), [testFrom, length). */
export interface Split {
  calibrateFrom: number;
  testFrom: number;
}

/**
 * Cuts a history in time order: a sixth each, but at most two days, or a tenth where that is more, and at least twice the
 * horizon, for calibration and for the test; null when there is too little for two seasons of learning.
 */
export function splitHistory(length: number, slotsPerDay: number, horizon: number): Split | null {
  const slice = Math.max(horizon * 2, Math.min(2 * slotsPerDay, Math.floor(length / 6)), Math.floor(length / 10));
  const calibrateFrom = length - 2 * slice;
  return calibrateFrom >= 2 * slotsPerDay ? { calibrateFrom, testFrom: length - slice } : null;
}

/** The held-out part of a history, the same for all models. */
class BackTest {
  private readonly history: DemandMatrix;
  private readonly groups: PairGroup[];
  private readonly anchors: number[];
  private readonly means: Float64Array;
  private readonly origins: Int32Array;
  /** So many of the first origins are for calibration, the last for the test; between them nothing is forecast that the others see. */
  private readonly calibrationOrigins: number;
  private readonly testOrigin: number;
  private readonly kept = new Map<MatrixModel, Map<number, MatrixForecasts>>();

  constructor(history: DemandMatrix, groups: PairGroup[], anchors: number[], { calibrateFrom, testFrom }: Split) {
    this.history = history;
    this.groups = groups;
    this.anchors = anchors;
    this.means = unitsOf(history.values.map((values) => knownMean(values, calibrateFrom)));
    const horizon = anchors.at(-1)!;
    const slots = Math.max(0, history.length - horizon - (calibrateFrom - 1));
    const every = Math.max(STRIDE, Math.ceil((slots * history.pairs.length) / CELLS_MAX));
    this.origins = Int32Array.from({ length: Math.ceil(slots / every) }, (_, index) => calibrateFrom - 1 + index * every);
    this.calibrationOrigins = this.origins.filter((origin) => origin + horizon < testFrom).length;
    this.testOrigin = this.origins.filter((origin) => origin < testFrom - 1).length;
  }

  /** The scores of the last part; calibrations and corrections for use, which rest on both parts. */
  async judge({ model, isBaseline }: Candidate): Promise<{ scores: GroupScore[]; calibrations: Map<number, PairCalibration>; corrections: Map<number, OnlineCorrection> }> {
    const scores: GroupScore[] = [];
    const calibrations = new Map<number, PairCalibration>();
    const corrections = new Map<number, OnlineCorrection>();
    const pairs = this.history.pairs.length;
    const tested = this.testOrigin * pairs;
    const all = await this.forecastsOf(model);
    for (const anchor of this.anchors) {
      const actual = actualsOf(this.history, this.origins, anchor);
      const forecasts = all?.get(anchor) ?? (await model.forecast(this.history, this.origins, anchor));
      const fault = findFault(forecasts, this.history, this.origins);
      if (fault !== null) throw new Error(fault);
      const calibration = calibratePairs(actual.subarray(0, this.calibrationOrigins * pairs), cellsOf(forecasts, 0, this.calibrationOrigins * pairs), this.means);
      const test = cellsOf(this.corrected(forecasts, anchor, calibration).forecasts, tested);
      for (const group of JUDGED_GROUPS) scores.push(scoreGroup(model.name, isBaseline, group, anchor, this.groups, actual.subarray(tested), test));
      const inUse = calibratePairs(actual, forecasts, this.means);
      calibrations.set(anchor, inUse);
      if (forecasts.logScale) corrections.set(anchor, this.corrected(forecasts, anchor, inUse).correction);
    }
    if (all && !isBaseline) this.kept.set(model, all);
    return { scores, calibrations, corrections };
  }

  /** A copy as it would have been given: calibrated, and corrected by the misses that were known at each origin. */
  private corrected(forecasts: MatrixForecasts, steps: number, calibration: PairCalibration): { forecasts: MatrixForecasts; correction: OnlineCorrection } {
    const correction = noCorrection(this.history.pairs.length);
    return { forecasts: correctOnline(applyPairCalibration(cellsOf(forecasts), calibration), this.history, this.origins, steps, correction), correction };
  }

  /** Frees what was kept for the ensemble. */
  forget(): void {
    this.kept.clear();
  }

  /** All distances at once, where a model can; what was forecast by an ensemble's parts is not forecast again. */
  private async forecastsOf(model: MatrixModel): Promise<Map<number, MatrixForecasts> | undefined> {
    if (!(model instanceof EnsembleModel)) return model.forecastHorizons?.(this.history, this.origins);
    const parts = model.members.map((member) => {
      const kept = this.kept.get(member);
      if (!kept) throw new Error(`it needs ${member.name}`);
      return kept;
    });
    return new Map(this.anchors.map((anchor) => [anchor, meanForecasts(parts.map((part) => part.get(anchor)!), this.history.pairs.length)]));
  }
}

/** Means to measure errors against; for a pair without demand a thousandth of the others', or its band would be as wide as theirs. */
function unitsOf(means: readonly number[]): Float64Array {
  const known = means.filter((mean) => mean > 0);
  const typical = known.length > 0 ? known.reduce((sum, mean) => sum + mean, 0) / known.length : 1;
  return Float64Array.from(means, (mean) => (mean > 0 ? mean : 1e-3 * typical));
}

function scoreGroup(model: string, isBaseline: boolean, group: PairGroup, steps: number, groups: readonly PairGroup[], actual: Float32Array, { p50, p90, p95 }: MatrixForecasts): GroupScore {
  const score: GroupScore = { model, isBaseline, group, steps, cells: 0, demand: 0, error: 0, pinball: 0, covered: 0 };
  for (let at = 0; at < actual.length; at++) {
    const value = actual[at]!;
    if (Number.isNaN(value) || groups[at % groups.length] !== group) continue;
    score.cells += 1;
    score.demand += value;
    score.error += Math.abs(value - p50[at]!);
    score.pinball += (pinball(value, p50[at]!, 0.5) + pinball(value, p90[at]!, 0.9) + pinball(value, p95[at]!, 0.95)) / 3;
    if (value <= p95[at]!) score.covered += 1;
  }
  return score;
}

function pinball(value: number, forecast: number, quantile: number): number {
  const miss = value - forecast;
  return miss >= 0 ? quantile * miss : (quantile - 1) * miss;
}

/** Why forecasts cannot be used, or null: a number that is none, or one number for everything while demands differ. */
export function findFault({ p50, p90, p95 }: MatrixForecasts, matrix: DemandMatrix, origins: Int32Array): string | null {
  for (const quantile of [p50, p90, p95]) if (!quantile.every((value) => Number.isFinite(value))) return 'gave numbers that are none';
  const newest = origins.at(-1);
  if (newest === undefined || p50.length < 2 || p50.some((value) => value !== p50[0])) return null;
  const known = matrix.values.map((values) => values[newest]!).filter((value) => !Number.isNaN(value));
  return known.some((value) => Math.abs(value - known[0]!) > 1e-3 * Math.abs(known[0]!) + 1e-6) ? 'gave one number for everything' : null;
}
