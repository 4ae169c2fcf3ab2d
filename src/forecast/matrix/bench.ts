import type { PairGroup } from '../../model/index.ts';
import { groupPairs } from '../pair-groups.ts';
import { Autoregression } from './autoregression.ts';
import { Ewma, HoltWinters, Persistence, SeasonalNaive } from './baselines.ts';
import { CombinedModel } from './combined-model.ts';
import { cutMatrix, withoutIdleCovariates, type DemandMatrix } from './demand-matrix.ts';
import { BoostedModel, type BoostedOptions } from './boosted-model.ts';
import { actualsOf, type MatrixForecasts, type MatrixModel } from './matrix-model.ts';
import { chooseChampions, type Evidence } from '../contest.ts';
import { choicesOf, ComposedForecasts, type GroupChoice } from './composed-choice.ts';
import { EnsembleModel } from './ensemble-model.ts';
import { judgeForecasts, originsFrom, unitsOf, type Judged } from './held-out.ts';
import { correctOnline } from './online-calibration.ts';
import { applyPairCalibration } from './pair-calibration.ts';
import type { NetworkOptions } from '../network/fit-network.ts';
import { NetworkModel } from '../network/network-model.ts';
import { PointModel } from './point-model.ts';
import { RulesModel } from './rules-model.ts';
import { scaleReactive, type TradeoffPoint } from './provision.ts';
import type { ScoredCells } from '../report/collect-cells.ts';
import { timePrediction } from './time-prediction.ts';
import { changeScales, scoreMatrix, type MatrixScore } from './score.ts';

export interface ForecastBenchOptions {
  /** Share of the rows that is learned from, 0 < … < 1. */
  testFrom: number;
  /** Printed name and length of each horizon. */
  horizons: { name: string; ms: number }[];
  /** Every how many rows are forecast. */
  stride: number;
  /** `auto`, or one of `BENCH_MODELS`. */
  model: string;
  seed: string;
  /** Other sizes of the boosted trees than the usual ones. */
  boosted?: Partial<BoostedOptions>;
  /** Other sizes of the network. */
  network?: Partial<NetworkOptions>;
  /** Milliseconds of a clock that never goes back. */
  now: () => number;
  /** Milliseconds of processor time that the process has taken; without it the forecast of 1,000 pairs is not timed. */
  cpu?: () => number;
  peakMemoryMb: () => number;
  onProgress: (text: string) => void;
  /** Sees all forecasts of each model and horizon, with what came; what is given is used again afterwards. */
  onScored?: (cells: ScoredCells) => void;
}

/** How a model did on the slots that it was calibrated on, which decides; shares of Σy. */
export interface BacktestFigures {
  wape: number;
  pinballP95: number;
}

export interface HorizonResult {
  /** What was asked for: `auto` is put together from what `groups` says. */
  chosen: string;
  /** Which models `auto` took for each kind of pairs, by the back-test. */
  groups: Partial<Record<PairGroup, GroupChoice>>;
  models: Record<string, (MatrixScore & { backtest: BacktestFigures }) | { tradeoff: TradeoffPoint[] }>;
}

export interface ForecastBenchResult {
  schema: 'foremesh/bench-forecast/v1';
  pairs: number;
  rows: number;
  stepSeconds: number;
  /** Fitting and calibration of all models for all horizons. */
  trainSeconds: number;
  /** The chosen models' forecast of all pairs from one origin, all quantiles, sum over the horizons. */
  predictMsPerStep: number;
  /** A forecast of 1,000 pairs at four distances, all quantiles, by what was chosen, as the engine makes it; median, ms, and the processor time of all cores; absent where it was not timed. */
  predictThousandMs?: number;
  predictThousandCpuMs?: number;
  /** The same of the first such forecast after a start, wall time. */
  predictThousandFirstMs?: number;
  peakMemoryMb: number;
  horizons: Record<string, HorizonResult>;
}

export const BASELINES: (() => MatrixModel)[] = [
  () => new PointModel(() => new Persistence()),
  () => new PointModel(() => new Ewma()),
  () => new PointModel(() => new SeasonalNaive()),
  () => new PointModel(() => new HoltWinters()),
  () => new PointModel(() => new Autoregression()),
];

export function learnedModel({ boosted, network }: Pick<ForecastBenchOptions, 'boosted' | 'network'>): EnsembleModel {
  return new EnsembleModel([new BoostedModel(boosted), new NetworkModel(network), new NetworkModel(network, 'network-2')]);
}

/** The rules of thumb and their median. */
export function rulesModel(): RulesModel {
  return new RulesModel(BASELINES.map((make) => make()));
}

const BASELINE_NAMES: readonly string[] = [...BASELINES.map((make) => make().name), rulesModel().name];
export const BENCH_MODELS: readonly string[] = [...BASELINE_NAMES, ...learnedModel({}).members.map(({ name }) => name), learnedModel({}).name];

/** The last part of what is learned from: models are not fitted on it, but calibrated and chosen. */
const CALIBRATION_SHARE = 0.2;
/** More than this many cells make a calibration slower, not better. */
const CALIBRATION_CELLS_MAX = 300_000;

/**
 * Fits every model on the rows before `testFrom`, forecasts later rows as it would have been done then, and scores all
 * on the same cells. `auto` chooses for each group of pairs on the last fifth of what was learned from, never by the test.
 */
export async function benchForecast(table: DemandMatrix, options: ForecastBenchOptions): Promise<ForecastBenchResult> {
  const rows = table.rowSlots.length;
  const firstRow = Math.min(rows - 1, Math.max(2, Math.floor(rows * options.testFrom)));
  const firstSlot = table.rowSlots[firstRow]!;
  const matrix = withoutIdleCovariates(table, firstSlot);
  const learned = cutMatrix(matrix, firstSlot);
  const horizons = options.horizons.map(({ name, ms }) => {
    const steps = Math.max(1, Math.round(ms / matrix.stepMs));
    const origins = testOrigins(matrix, learned.length, steps, options.stride);
    return { name, steps, origins, actual: actualsOf(matrix, origins, steps), scales: changeScales(learned, steps) };
  });
  const steps = [...new Set(horizons.map((each) => each.steps))].sort((left, right) => left - right);
  const groups = groupPairs(learned);
  const models = [rulesModel(), learnedModel(options)];
  const backtests = new Map(steps.map((each) => [each, new Map<string, Backtest>()]));
  const startedAt = options.now();
  for (const model of models) await learn(model, learned, groups, backtests, options);
  const trainMs = options.now() - startedAt;

  const results: Record<string, HorizonResult> = {};
  let predictMs = 0;
  for (const horizon of horizons) {
    const backtest = backtests.get(horizon.steps)!;
    const choices = choicesOf(chooseChampions([...backtest.values()].flatMap(({ evidence }) => evidence)), groups);
    const composed = new ComposedForecasts(horizon.actual.length, groups, choices);
    const result: HorizonResult = { chosen: options.model, groups: Object.fromEntries(choices), models: {} };
    const taken = options.model === 'auto' ? new Set([...choices.values()].flatMap(({ p50, upper }) => [p50, upper])) : new Set([options.model]);
    const report = (name: string, forecasts: MatrixForecasts, figures: BacktestFigures): void => {
      const score = scoreMatrix(horizon.actual, forecasts, horizon.scales);
      options.onScored?.({ horizon: horizon.name, steps: horizon.steps, model: name, matrix, learned, origins: horizon.origins, actual: horizon.actual, forecasts });
      result.models[name] = { ...score, backtest: figures };
      options.onProgress(`${horizon.name} ${name}: wape ${score.wape.toFixed(4)} (back-test ${figures.wape.toFixed(4)}), p95 pinball ${score.pinball.p95.toFixed(4)}, p95 holds ${(100 * score.coverage.p95).toFixed(1)} %`);
    };
    for (const model of models) {
      const askedAt = options.now();
      const parts = await forecastParts(model, matrix, horizon.origins, horizon.steps);
      if ([...parts.keys()].some((name) => taken.has(name))) predictMs += (options.now() - askedAt) / Math.max(1, horizon.origins.length);
      for (const [name, forecasts] of parts) {
        const { calibration, correction, figures } = backtest.get(name)!;
        correctOnline(applyPairCalibration(forecasts, calibration), matrix, horizon.origins, horizon.steps, correction);
        composed.add(name, forecasts);
        report(name, forecasts, figures);
        if (name === 'persistence') result.models['reactive'] = { tradeoff: scaleReactive(horizon.actual, forecasts.p50) };
      }
    }
    report('auto', composed.finish(), figuresOf([...choices].map(([group, { p50, upper }]) => ({ median: evidenceOf(backtest, p50, group), upper: evidenceOf(backtest, upper, group) }))));
    results[horizon.name] = result;
  }
  const peakMemoryMb = options.peakMemoryMb();
  const { now, cpu, seed } = options;
  const time = cpu ? await timePrediction({ models, champions: costliest(results, options.model), matrix: learned, groups, steps, seed, now, cpu }) : null;
  for (const model of models) await model.close?.();
  return {
    schema: 'foremesh/bench-forecast/v1',
    pairs: matrix.pairs.length,
    rows,
    stepSeconds: matrix.stepMs / 1000,
    trainSeconds: trainMs / 1000,
    predictMsPerStep: predictMs,
    ...(time && { predictThousandMs: time.wallMs, predictThousandCpuMs: time.cpuMs, predictThousandFirstMs: time.firstMs }),
    peakMemoryMb,
    horizons: results,
  };
}

/** Of what serves each kind of pairs at any horizon, median or upper quantiles, what takes the most time: `BENCH_MODELS` ascend. */
function costliest(results: Readonly<Record<string, HorizonResult>>, model: string): Map<PairGroup, string> {
  const found = new Map<PairGroup, string>();
  for (const { groups } of Object.values(results)) {
    for (const [group, { p50, upper }] of Object.entries(groups) as [PairGroup, GroupChoice][]) {
      const names = model === 'auto' ? [found.get(group) ?? p50, p50, upper] : [model];
      found.set(group, names.reduce((most, name) => (BENCH_MODELS.indexOf(name) > BENCH_MODELS.indexOf(most) ? name : most)));
    }
  }
  return found;
}

/** What the newest part of what was learned from says of a model that had not seen it. */
export interface Backtest extends Judged {
  figures: BacktestFigures;
}

export interface LearnOptions {
  seed: string;
  onProgress: (text: string) => void;
  /** Sees the model while it has not yet learned the newest part. */
  beforeRefit?: (model: MatrixModel) => Promise<void>;
}

/** Fits without the newest part, calibrates and measures there, and then learns that part too: it is worth the most. */
export async function learn(model: MatrixModel, learned: DemandMatrix, groups: readonly PairGroup[], backtests: ReadonlyMap<number, Map<string, Backtest>>, options: LearnOptions): Promise<void> {
  const task = { horizons: [...backtests.keys()], seed: options.seed, onProgress: options.onProgress };
  const from = calibrationFrom(learned);
  await model.fit({ ...task, matrix: cutMatrix(learned, from) });
  const means = unitsOf(learned, from);
  for (const [steps, found] of backtests) {
    const origins = originsFrom(from, learned, steps, CALIBRATION_CELLS_MAX);
    for (const [name, forecasts] of await forecastParts(model, learned, origins, steps)) {
      const judged = judgeForecasts(name, BASELINE_NAMES.includes(name), forecasts, { matrix: learned, origins, steps, groups, means });
      found.set(name, { ...judged, figures: figuresOf(judged.evidence.map((evidence) => ({ median: evidence, upper: evidence }))) });
    }
  }
  await options.beforeRefit?.(model);
  await model.fit({ ...task, matrix: learned, warmStart: true });
}

/** The first slot that models are not fitted on at first. */
export function calibrationFrom(learned: DemandMatrix): number {
  return Math.max(1, Math.floor(learned.length * (1 - CALIBRATION_SHARE)));
}

export async function forecastParts(model: MatrixModel, matrix: DemandMatrix, origins: Int32Array, steps: number): Promise<Map<string, MatrixForecasts>> {
  return model instanceof CombinedModel ? model.forecastAll(matrix, origins, steps) : new Map([[model.name, await model.forecast(matrix, origins, steps)]]);
}

/** Of kinds of pairs together, each with the evidence of whoever gives its median and its upper quantiles. */
function figuresOf(kinds: readonly { median: Evidence; upper: Evidence }[]): BacktestFigures {
  const demand = kinds.reduce((sum, { median }) => sum + median.demand, 0) || 1;
  return { wape: kinds.reduce((sum, { median }) => sum + median.median.total, 0) / demand, pinballP95: kinds.reduce((sum, { upper }) => sum + upper.upper.total, 0) / demand };
}

function evidenceOf(backtest: ReadonlyMap<string, Backtest>, model: string, group: PairGroup): Evidence {
  return backtest.get(model)!.evidence.find((each) => each.group === group)!;
}

/** Every `stride`-th row whose origin lies at or after the last learned slot, as the slot that is forecast from. */
function testOrigins(matrix: DemandMatrix, learnedSlots: number, steps: number, stride: number): Int32Array {
  const origins = matrix.rowSlots.filter((slot) => slot - steps >= learnedSlots - 1).map((slot) => slot - steps);
  return origins.filter((_, index) => index % stride === 0);
}
