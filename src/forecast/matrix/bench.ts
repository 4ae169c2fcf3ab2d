import { Autoregression } from './autoregression.ts';
import { Ewma, HoltWinters, Persistence, SeasonalNaive } from './baselines.ts';
import { cutMatrix, knownMean, type DemandMatrix } from './demand-matrix.ts';
import { BoostedModel, type BoostedOptions } from './boosted-model.ts';
import { actualsOf, type MatrixForecasts, type MatrixModel } from './matrix-model.ts';
import { applyPairCalibration, calibratePairs } from './pair-calibration.ts';
import { PointModel } from './point-model.ts';
import { scaleReactive, type TradeoffPoint } from './provision.ts';
import { changeScales, pinballLoss, scoreMatrix, type MatrixScore } from './score.ts';

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
  /** Milliseconds of a clock that never goes back. */
  now: () => number;
  peakMemoryMb: () => number;
  onProgress: (text: string) => void;
}

/** How a model did on the slots that it was calibrated on, which decides; shares of Σy. */
export interface BacktestFigures {
  wape: number;
  pinballP95: number;
}

export interface HorizonResult {
  /** What `auto` took, or what was asked for. */
  chosen: string;
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
  peakMemoryMb: number;
  horizons: Record<string, HorizonResult>;
}

const CANDIDATES: ((options: Partial<ForecastBenchOptions>) => MatrixModel)[] = [
  () => new PointModel(new Persistence()),
  () => new PointModel(new Ewma()),
  () => new PointModel(new SeasonalNaive()),
  () => new PointModel(new HoltWinters()),
  () => new PointModel(new Autoregression()),
  ({ boosted }) => new BoostedModel(boosted),
];

export const BENCH_MODELS: readonly string[] = CANDIDATES.map((make) => make({}).name);

/** The last part of what is learned from: models are not fitted on it, but calibrated and chosen. */
const CALIBRATION_SHARE = 0.2;
/** More than this many cells make a calibration slower, not better. */
const CALIBRATION_CELLS_MAX = 600_000;

/**
 * Fits every model on the rows before `testFrom`, forecasts later rows as it would have been done then, and scores all
 * on the same cells. `auto` chooses on the last fifth of what was learned from, never by the test.
 */
export function benchForecast(matrix: DemandMatrix, options: ForecastBenchOptions): ForecastBenchResult {
  const rows = matrix.rowSlots.length;
  const firstRow = Math.min(rows - 1, Math.max(2, Math.floor(rows * options.testFrom)));
  const learned = cutMatrix(matrix, matrix.rowSlots[firstRow]!);
  const horizons: Record<string, HorizonResult> = {};
  const cost = { trainMs: 0, predictMs: 0 };
  for (const horizon of options.horizons) {
    const steps = Math.max(1, Math.round(horizon.ms / matrix.stepMs));
    horizons[horizon.name] = benchHorizon(matrix, learned, horizon.name, steps, options, cost);
  }
  return {
    schema: 'foremesh/bench-forecast/v1',
    pairs: matrix.pairs.length,
    rows,
    stepSeconds: matrix.stepMs / 1000,
    trainSeconds: cost.trainMs / 1000,
    predictMsPerStep: cost.predictMs,
    peakMemoryMb: options.peakMemoryMb(),
    horizons,
  };
}

function benchHorizon(matrix: DemandMatrix, learned: DemandMatrix, name: string, steps: number, options: ForecastBenchOptions, cost: { trainMs: number; predictMs: number }): HorizonResult {
  const origins = testOrigins(matrix, learned.length, steps, options.stride);
  const actual = actualsOf(matrix, origins, steps);
  const scales = changeScales(learned, steps);
  const models: HorizonResult['models'] = {};
  const backtests: Record<string, BacktestFigures> = {};
  const predictMs: Record<string, number> = {};
  for (const make of CANDIDATES) {
    const model = make(options);
    const startedAt = options.now();
    const { calibration, backtest } = fitAndCalibrate(model, learned, steps, options);
    // The newest part is worth the most: what was chosen and calibrated without it learns it too, before it is used.
    model.fit({ matrix: learned, steps, seed: options.seed, onProgress: options.onProgress });
    const fittedAt = options.now();
    const forecasts = applyPairCalibration(model.forecast(matrix, origins), calibration);
    predictMs[model.name] = (options.now() - fittedAt) / Math.max(1, origins.length);
    cost.trainMs += fittedAt - startedAt;
    const score = scoreMatrix(actual, forecasts, scales);
    models[model.name] = { ...score, backtest };
    backtests[model.name] = backtest;
    if (model.name === 'persistence') models['reactive'] = { tradeoff: scaleReactive(actual, forecasts.p50) };
    options.onProgress(`${name} ${model.name}: wape ${score.wape.toFixed(4)} (back-test ${backtest.wape.toFixed(4)}), p95 pinball ${score.pinball.p95.toFixed(4)}, p95 holds ${(100 * score.coverage.p95).toFixed(1)} %`);
  }
  const chosen = options.model === 'auto' ? bestOf(backtests) : options.model;
  cost.predictMs += predictMs[chosen]!;
  return { chosen, models };
}

function fitAndCalibrate(model: MatrixModel, learned: DemandMatrix, steps: number, options: ForecastBenchOptions) {
  const from = Math.max(1, Math.floor(learned.length * (1 - CALIBRATION_SHARE)));
  model.fit({ matrix: cutMatrix(learned, from), steps, seed: options.seed, onProgress: options.onProgress });
  const slots = Math.max(0, learned.length - steps - (from - 1));
  const every = Math.max(1, Math.ceil((slots * learned.pairs.length) / CALIBRATION_CELLS_MAX));
  const origins = Int32Array.from({ length: Math.floor((slots + every - 1) / every) }, (_, index) => from - 1 + index * every);
  const actual = actualsOf(learned, origins, steps);
  const means = Float64Array.from(learned.values, (values) => knownMean(values, from));
  const forecasts = model.forecast(learned, origins);
  const calibration = calibratePairs(actual, forecasts, means);
  return { calibration, backtest: backtestOf(actual, applyPairCalibration(forecasts, calibration)) };
}

function backtestOf(actual: Float32Array, { p50, p95 }: MatrixForecasts): BacktestFigures {
  let demand = 0;
  let error = 0;
  let loss = 0;
  for (let at = 0; at < actual.length; at++) {
    const value = actual[at]!;
    if (Number.isNaN(value)) continue;
    demand += value;
    error += Math.abs(value - p50[at]!);
    loss += pinballLoss(value, p95[at]!, 0.95);
  }
  return { wape: error / (demand || 1), pinballP95: loss / (demand || 1) };
}

/** The least error of median and p95 together, each relative to the best. */
function bestOf(backtests: Record<string, BacktestFigures>): string {
  const figures = Object.entries(backtests);
  const least = (of: (figures: BacktestFigures) => number): number => Math.min(...figures.map(([, each]) => of(each))) || 1;
  const wape = least((each) => each.wape);
  const pinball = least((each) => each.pinballP95);
  const lossOf = (each: BacktestFigures): number => each.wape / wape + each.pinballP95 / pinball;
  return figures.reduce((best, next) => (lossOf(next[1]) < lossOf(best[1]) ? next : best))[0];
}

/** Every `stride`-th row whose origin lies at or after the last learned slot, as the slot that is forecast from. */
function testOrigins(matrix: DemandMatrix, learnedSlots: number, steps: number, stride: number): Int32Array {
  const origins = matrix.rowSlots.filter((slot) => slot - steps >= learnedSlots - 1).map((slot) => slot - steps);
  return origins.filter((_, index) => index % stride === 0);
}
