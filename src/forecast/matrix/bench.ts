import { Autoregression } from './autoregression.ts';
import { Ewma, HoltWinters, Persistence, SeasonalNaive } from './baselines.ts';
import { cutMatrix, knownMean, type DemandMatrix } from './demand-matrix.ts';
import { BoostedModel, type BoostedOptions } from './boosted-model.ts';
import { actualsOf, type MatrixForecasts, type MatrixModel } from './matrix-model.ts';
import { applyPairCalibration, calibratePairs, type PairCalibration } from './pair-calibration.ts';
import type { NetworkOptions } from '../network/fit-network.ts';
import { NetworkModel } from '../network/network-model.ts';
import { PointModel } from './point-model.ts';
import { scaleReactive, type TradeoffPoint } from './provision.ts';
import type { ScoredCells } from '../report/collect-cells.ts';
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
  /** Other sizes of the network. */
  network?: Partial<NetworkOptions>;
  /** Milliseconds of a clock that never goes back. */
  now: () => number;
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
  () => new PointModel(() => new Persistence()),
  () => new PointModel(() => new Ewma()),
  () => new PointModel(() => new SeasonalNaive()),
  () => new PointModel(() => new HoltWinters()),
  () => new PointModel(() => new Autoregression()),
  ({ boosted }) => new BoostedModel(boosted),
  ({ network }) => new NetworkModel(network),
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
export async function benchForecast(matrix: DemandMatrix, options: ForecastBenchOptions): Promise<ForecastBenchResult> {
  const rows = matrix.rowSlots.length;
  const firstRow = Math.min(rows - 1, Math.max(2, Math.floor(rows * options.testFrom)));
  const learned = cutMatrix(matrix, matrix.rowSlots[firstRow]!);
  const horizons = options.horizons.map(({ name, ms }) => {
    const steps = Math.max(1, Math.round(ms / matrix.stepMs));
    const origins = testOrigins(matrix, learned.length, steps, options.stride);
    return { name, steps, origins, actual: actualsOf(matrix, origins, steps), scales: changeScales(learned, steps) };
  });
  const results: Record<string, HorizonResult> = Object.fromEntries(horizons.map(({ name }) => [name, { chosen: options.model, models: {} }]));
  const predictMs: Record<string, Record<string, number>> = Object.fromEntries(horizons.map(({ name }) => [name, {}]));
  const steps = [...new Set(horizons.map((each) => each.steps))].sort((left, right) => left - right);
  let trainMs = 0;
  for (const make of CANDIDATES) {
    const model = make(options);
    const startedAt = options.now();
    const calibrations = await fitAndCalibrate(model, learned, steps, options);
    // The newest part is worth the most: what was chosen and calibrated without it learns it too, before it is used.
    await model.fit({ matrix: learned, horizons: steps, seed: options.seed, onProgress: options.onProgress, warmStart: true });
    trainMs += options.now() - startedAt;
    for (const horizon of horizons) {
      const { calibration, backtest } = calibrations.get(horizon.steps)!;
      const askedAt = options.now();
      const forecasts = applyPairCalibration(await model.forecast(matrix, horizon.origins, horizon.steps), calibration);
      predictMs[horizon.name]![model.name] = (options.now() - askedAt) / Math.max(1, horizon.origins.length);
      const score = scoreMatrix(horizon.actual, forecasts, horizon.scales);
      options.onScored?.({ horizon: horizon.name, steps: horizon.steps, model: model.name, matrix, learned, origins: horizon.origins, actual: horizon.actual, forecasts });
      const { models } = results[horizon.name]!;
      models[model.name] = { ...score, backtest };
      if (model.name === 'persistence') models['reactive'] = { tradeoff: scaleReactive(horizon.actual, forecasts.p50) };
      options.onProgress(`${horizon.name} ${model.name}: wape ${score.wape.toFixed(4)} (back-test ${backtest.wape.toFixed(4)}), p95 pinball ${score.pinball.p95.toFixed(4)}, p95 holds ${(100 * score.coverage.p95).toFixed(1)} %`);
    }
    await model.close?.();
  }
  for (const result of Object.values(results)) if (options.model === 'auto') result.chosen = bestOf(result.models);
  return {
    schema: 'foremesh/bench-forecast/v1',
    pairs: matrix.pairs.length,
    rows,
    stepSeconds: matrix.stepMs / 1000,
    trainSeconds: trainMs / 1000,
    predictMsPerStep: Object.entries(results).reduce((sum, [name, { chosen }]) => sum + predictMs[name]![chosen]!, 0),
    peakMemoryMb: options.peakMemoryMb(),
    horizons: results,
  };
}

/** Fits without the newest part and measures there, for each horizon by its steps. */
async function fitAndCalibrate(model: MatrixModel, learned: DemandMatrix, horizons: readonly number[], options: ForecastBenchOptions): Promise<Map<number, { calibration: PairCalibration; backtest: BacktestFigures }>> {
  const from = Math.max(1, Math.floor(learned.length * (1 - CALIBRATION_SHARE)));
  await model.fit({ matrix: cutMatrix(learned, from), horizons, seed: options.seed, onProgress: options.onProgress });
  const means = Float64Array.from(learned.values, (values) => knownMean(values, from));
  const calibrations = new Map<number, { calibration: PairCalibration; backtest: BacktestFigures }>();
  for (const steps of horizons) {
    const slots = Math.max(0, learned.length - steps - (from - 1));
    const every = Math.max(1, Math.ceil((slots * learned.pairs.length) / CALIBRATION_CELLS_MAX));
    const origins = Int32Array.from({ length: Math.floor((slots + every - 1) / every) }, (_, index) => from - 1 + index * every);
    const actual = actualsOf(learned, origins, steps);
    const forecasts = await model.forecast(learned, origins, steps);
    const calibration = calibratePairs(actual, forecasts, means);
    calibrations.set(steps, { calibration, backtest: backtestOf(actual, applyPairCalibration(forecasts, calibration)) });
  }
  return calibrations;
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

/** The least error of median and p95 together, each relative to the best, in the back-test. */
function bestOf(models: HorizonResult['models']): string {
  const figures = Object.entries(models).flatMap(([name, score]) => ('backtest' in score ? [{ name, ...score.backtest }] : []));
  const least = (of: (figures: BacktestFigures) => number): number => Math.min(...figures.map(of)) || 1;
  const wape = least((each) => each.wape);
  const pinball = least((each) => each.pinballP95);
  const lossOf = (each: BacktestFigures): number => each.wape / wape + each.pinballP95 / pinball;
  return figures.reduce((best, next) => (lossOf(next) < lossOf(best) ? next : best)).name;
}

/** Every `stride`-th row whose origin lies at or after the last learned slot, as the slot that is forecast from. */
function testOrigins(matrix: DemandMatrix, learnedSlots: number, steps: number, stride: number): Int32Array {
  const origins = matrix.rowSlots.filter((slot) => slot - steps >= learnedSlots - 1).map((slot) => slot - steps);
  return origins.filter((_, index) => index % stride === 0);
}
