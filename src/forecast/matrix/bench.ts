import type { PairGroup } from '../../model/index.ts';
import { groupPairs } from '../pair-groups.ts';
import { Autoregression } from './autoregression.ts';
import { Ewma, HoltWinters, Persistence, SeasonalNaive } from './baselines.ts';
import { crossFittedLosses } from './cross-fit.ts';
import { cutMatrix, knownMean, withoutIdleCovariates, type DemandMatrix } from './demand-matrix.ts';
import { BoostedModel, type BoostedOptions } from './boosted-model.ts';
import { actualsOf, type MatrixForecasts, type MatrixModel } from './matrix-model.ts';
import { chooseByGroup, ComposedForecasts, groupNumbers, PAIR_GROUPS, type GroupChoice, type GroupLosses } from './composed-choice.ts';
import { EnsembleModel } from './ensemble-model.ts';
import { correctOnline, noCorrection, type OnlineCorrection } from './online-calibration.ts';
import { applyPairCalibration, calibratePairs, type PairCalibration } from './pair-calibration.ts';
import type { NetworkOptions } from '../network/fit-network.ts';
import { NetworkModel } from '../network/network-model.ts';
import { PointModel } from './point-model.ts';
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

export const BASELINE_NAMES: readonly string[] = BASELINES.map((make) => make().name);
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
  const groups = groupNumbers(learned);
  const models = [...BASELINES.map((make) => make()), learnedModel(options)];
  const backtests = new Map(steps.map((each) => [each, new Map<string, Backtest>()]));
  const startedAt = options.now();
  for (const model of models) await learn(model, learned, groups, backtests, options);
  const trainMs = options.now() - startedAt;

  const results: Record<string, HorizonResult> = {};
  let predictMs = 0;
  for (const horizon of horizons) {
    const backtest = backtests.get(horizon.steps)!;
    const choices = chooseByGroup(new Map([...backtest].map(([name, { losses }]) => [name, losses])), groups, new Set(BASELINE_NAMES), (learned.length - calibrationFrom(learned)) / horizon.steps);
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
    report('auto', composed.finish(), figuresOf(choices, backtest));
    results[horizon.name] = result;
  }
  const peakMemoryMb = options.peakMemoryMb();
  const { now, cpu, seed } = options;
  const time = cpu ? await timePrediction({ models, champions: costliest(results, options.model), matrix: learned, groups: groupPairs(learned), steps, seed, now, cpu }) : null;
  for (const model of models) await model.close?.();
  return {
    schema: 'foremesh/bench-forecast/v1',
    pairs: matrix.pairs.length,
    rows,
    stepSeconds: matrix.stepMs / 1000,
    trainSeconds: trainMs / 1000,
    predictMsPerStep: predictMs,
    ...(time && { predictThousandMs: time.wallMs, predictThousandCpuMs: time.cpuMs }),
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
export interface Backtest {
  calibration: PairCalibration;
  correction: OnlineCorrection;
  figures: BacktestFigures;
  losses: GroupLosses;
  demand: number;
}

export interface LearnOptions {
  seed: string;
  onProgress: (text: string) => void;
  /** Sees the model while it has not yet learned the newest part. */
  beforeRefit?: (model: MatrixModel) => Promise<void>;
}

/** Fits without the newest part, calibrates and measures there, and then learns that part too: it is worth the most. */
export async function learn(model: MatrixModel, learned: DemandMatrix, groups: Int32Array, backtests: ReadonlyMap<number, Map<string, Backtest>>, options: LearnOptions): Promise<void> {
  const task = { horizons: [...backtests.keys()], seed: options.seed, onProgress: options.onProgress };
  const from = calibrationFrom(learned);
  await model.fit({ ...task, matrix: cutMatrix(learned, from) });
  const means = Float64Array.from(learned.values, (values) => knownMean(values, from));
  for (const [steps, found] of backtests) {
    const slots = Math.max(0, learned.length - steps - (from - 1));
    const every = Math.max(1, Math.ceil((slots * learned.pairs.length) / CALIBRATION_CELLS_MAX));
    const origins = Int32Array.from({ length: Math.floor((slots + every - 1) / every) }, (_, index) => from - 1 + index * every);
    const actual = actualsOf(learned, origins, steps);
    for (const [name, forecasts] of await forecastParts(model, learned, origins, steps)) {
      const losses = crossFittedLosses(actual, forecasts, means, learned, origins, steps, groups);
      const calibration = calibratePairs(actual, forecasts, means);
      const correction = noCorrection(learned.pairs.length);
      correctOnline(applyPairCalibration(forecasts, calibration), learned, origins, steps, correction);
      const demand = actual.reduce((sum, value) => sum + (value || 0), 0);
      found.set(name, { calibration, correction, losses, demand, figures: { wape: sumOf(losses.error) / (demand || 1), pinballP95: sumOf(losses.loss) / (demand || 1) } });
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
  return model instanceof EnsembleModel ? model.forecastAll(matrix, origins, steps) : new Map([[model.name, await model.forecast(matrix, origins, steps)]]);
}

/** The back-test of what the groups' models are together. */
function figuresOf(choices: ReadonlyMap<PairGroup, GroupChoice>, backtest: ReadonlyMap<string, Backtest>): BacktestFigures {
  const demand = [...backtest.values()][0]!.demand || 1;
  const sum = (of: (choice: GroupChoice, group: number) => number): number => [...choices].reduce((total, [group, choice]) => total + of(choice, PAIR_GROUPS.indexOf(group)), 0) / demand;
  return {
    wape: sum(({ p50 }, group) => backtest.get(p50)!.losses.error[group]!),
    pinballP95: sum(({ upper }, group) => backtest.get(upper)!.losses.loss[group]!),
  };
}

function sumOf(values: Float64Array): number {
  return values.reduce((sum, value) => sum + value, 0);
}

/** Every `stride`-th row whose origin lies at or after the last learned slot, as the slot that is forecast from. */
function testOrigins(matrix: DemandMatrix, learnedSlots: number, steps: number, stride: number): Int32Array {
  const origins = matrix.rowSlots.filter((slot) => slot - steps >= learnedSlots - 1).map((slot) => slot - steps);
  return origins.filter((_, index) => index % stride === 0);
}
