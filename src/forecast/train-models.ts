import { messageOf } from '../base/index.ts';
import type { BacktestScore, ForecastSettings, PairGroup } from '../model/index.ts';
import { anchorSteps } from './anchors.ts';
import type { CovariateName } from './covariates.ts';
import { chooseChampions, overallScores, type Champion, type Evidence } from './contest.ts';
import { DAYS_MAX } from './join-observation.ts';
import { tailOf } from './demand-series.ts';
import type { TrainingProgress } from './forecaster.ts';
import { CombinedModel } from './matrix/combined-model.ts';
import { cutMatrix, type DemandMatrix } from './matrix/demand-matrix.ts';
import { judgeForecasts, originsFrom, unitsOf } from './matrix/held-out.ts';
import type { MatrixForecasts, MatrixModel, MatrixModelDump } from './matrix/matrix-model.ts';
import type { OnlineCorrection } from './matrix/online-calibration.ts';
import type { PairCalibration } from './matrix/pair-calibration.ts';
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

/**
 * Fits every candidate without the newest part of history and judges it there, each half with the calibration of the
 * other, for each kind of pairs and distance, as `foremesh bench forecast` does. The champions then learn all of it; those
 * that won nowhere are dropped, simple ones stay as a reserve. A candidate that fails is left out, and `onNotice` says
 * why. With too little history for two seasons of learning nothing is chosen.
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
  const heldOutFrom = heldOutSlot(history.length, settings.slotsPerDay, settings.horizonSlots);
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
  if (heldOutFrom === null) return state;
  const steps = 2 * candidates.length;
  const report = (step: number, text: string): void => onProgress({ step, steps, text });
  const backTest = new BackTest(history, groups, anchors, heldOutFrom);
  const fitted = new Map<MatrixModel, TrainedModel>();
  const evidence: Evidence[] = [];
  for (const [index, candidate] of candidates.entries()) {
    const { model } = candidate;
    try {
      const warmStart = goOn(candidate, history, before);
      const task = { matrix: cutMatrix(history, heldOutFrom), horizons: anchors, seed, warmStart, onProgress: (text: string) => report(index, text) };
      if (!(model instanceof CombinedModel)) await model.fit(task); // its parts learned by themselves
      const beforeTest = candidate.goesOn ? (model.dump?.() ?? null) : null;
      const judged = await backTest.judge(candidate);
      evidence.push(...judged.evidence);
      fitted.set(model, { ...candidate, calibrations: judged.calibrations, corrections: judged.corrections, beforeTest });
      const [score] = overallScores(judged.evidence);
      report(index + 1, score ? `${model.name}: wape ${score.wape.toFixed(3)}, pinball ${score.pinball.toFixed(4)}, p95 holds ${(100 * score.coverageP95).toFixed(1)} %` : `${model.name}: no pair has enough past to be judged on`);
    } catch (cause) {
      await closeModel(model);
      onNotice(`${model.name} is left out: ${messageOf(cause)}`);
    }
  }
  backTest.forget();
  state.champions = chooseChampions(evidence);
  state.backtest = overallScores(evidence);
  for (const [index, trained] of [...fitted.values()].entries()) {
    const { model } = trained;
    const wonAnchors = anchors.filter((anchor) => isWon(state.champions, anchor, [...fitted.keys()], model));
    if (wonAnchors.length === 0 && !trained.isBaseline) {
      await closeModel(model);
      continue;
    }
    try {
      if (model instanceof CombinedModel) {
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
  const names = [model, ...models.filter((other) => other instanceof CombinedModel && other.members.includes(model))].map(({ name }) => name);
  return champions.some((champion) => champion.steps === steps && [champion.ranking[0]!, (champion.upperRanking ?? champion.ranking)[0]!].some((name) => names.includes(name)));
}

/** The parts of what is combined are closed by themselves. */
async function closeModel(model: MatrixModel): Promise<void> {
  if (!(model instanceof CombinedModel)) await model.close?.();
}

/** Takes up what the model had learned for the same pairs before; false when there is nothing to go on from. */
function goOn({ model, goesOn }: Candidate, history: DemandMatrix, before: TrainedState | null): boolean {
  const earlier = before?.models.find((trained) => trained.model.name === model.name)?.beforeTest;
  if (!goesOn || !earlier || !model.restore || before.history.pairs.join() !== history.pairs.join()) return false;
  model.restore(earlier);
  return true;
}

/**
 * The first slot that models are not fitted on at first: a third of a history is held out, but at most four days, or a
 * fifth where that is more, and at least four times the horizon; null when there is too little for two seasons of learning.
 */
export function heldOutSlot(length: number, slotsPerDay: number, horizon: number): number | null {
  const slice = Math.max(horizon * 2, Math.min(2 * slotsPerDay, Math.floor(length / 6)), Math.floor(length / 10));
  const from = length - 2 * slice;
  return from >= 2 * slotsPerDay ? from : null;
}

interface JudgedModel {
  evidence: Evidence[];
  calibrations: Map<number, PairCalibration>;
  corrections: Map<number, OnlineCorrection>;
}

/** The held-out part of a history, the same for all models. */
class BackTest {
  private readonly history: DemandMatrix;
  private readonly groups: PairGroup[];
  private readonly anchors: number[];
  private readonly means: Float64Array;
  private readonly origins: Int32Array;
  private readonly kept = new Map<MatrixModel, Map<number, MatrixForecasts>>();

  constructor(history: DemandMatrix, groups: PairGroup[], anchors: number[], from: number) {
    this.history = history;
    this.groups = groups;
    this.anchors = anchors;
    this.means = unitsOf(history, from);
    this.origins = originsFrom(from, history, anchors.at(-1)!, CELLS_MAX);
  }

  /** What the model lost; calibrations and corrections for use. Pairs without a past are not judged: no model serves them. */
  async judge({ model, isBaseline }: Candidate): Promise<JudgedModel> {
    const judged: JudgedModel = { evidence: [], calibrations: new Map(), corrections: new Map() };
    const { history: matrix, origins, groups, means } = this;
    const all = await this.forecastsOf(model);
    for (const [steps, forecasts] of all) {
      const fault = findFault(forecasts, matrix, origins);
      if (fault !== null) throw new Error(fault);
      const { evidence, calibration, correction } = judgeForecasts(model.name, isBaseline, forecasts, { matrix, origins, steps, groups, means });
      judged.evidence.push(...evidence.filter(({ group }) => group !== 'new'));
      judged.calibrations.set(steps, calibration);
      if (forecasts.logScale) judged.corrections.set(steps, correction);
    }
    this.kept.set(model, all);
    return judged;
  }

  /** Frees what was kept for models that are combined of others. */
  forget(): void {
    this.kept.clear();
  }

  /** Of all distances, at once where a model can; what was forecast by the parts of a combined one is not forecast again. */
  private async forecastsOf(model: MatrixModel): Promise<Map<number, MatrixForecasts>> {
    const { anchors, history, origins } = this;
    if (model instanceof CombinedModel) {
      const parts = model.members.map((member) => {
        const kept = this.kept.get(member);
        if (!kept) throw new Error(`it needs ${member.name}`);
        return kept;
      });
      return new Map(anchors.map((anchor) => [anchor, model.combine(parts.map((part) => part.get(anchor)!), history.pairs.length)]));
    }
    const atOnce = await model.forecastHorizons?.(history, origins);
    const all = new Map<number, MatrixForecasts>();
    for (const anchor of anchors) all.set(anchor, atOnce?.get(anchor) ?? (await model.forecast(history, origins, anchor)));
    return all;
  }
}

/** Why forecasts cannot be used, or null: a number that is none, or one number for everything while demands differ. */
export function findFault({ p50, p90, p95 }: MatrixForecasts, matrix: DemandMatrix, origins: Int32Array): string | null {
  for (const quantile of [p50, p90, p95]) if (!quantile.every((value) => Number.isFinite(value))) return 'gave numbers that are none';
  const newest = origins.at(-1);
  if (newest === undefined || p50.length < 2 || p50.some((value) => value !== p50[0])) return null;
  const known = matrix.values.map((values) => values[newest]!).filter((value) => !Number.isNaN(value));
  return known.some((value) => Math.abs(value - known[0]!) > 1e-3 * Math.abs(known[0]!) + 1e-6) ? 'gave one number for everything' : null;
}
