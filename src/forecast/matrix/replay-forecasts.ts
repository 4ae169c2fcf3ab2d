import { BASELINE_NAMES, BASELINES, calibrationFrom, forecastParts, learn, learnedModel, type Backtest, type ForecastBenchOptions } from './bench.ts';
import { chooseByGroup, ComposedForecasts, groupNumbers, type GroupChoice } from './composed-choice.ts';
import { cutMatrix, knownMean, type DemandMatrix } from './demand-matrix.ts';
import { actualsOf, cellsOf, type MatrixForecasts, type MatrixModel } from './matrix-model.ts';
import { copyCorrection, correctOnline, noCorrection } from './online-calibration.ts';
import { applyPairCalibration, calibratePairs } from './pair-calibration.ts';
import type { PairGroup } from '../../model/index.ts';

export interface ReplayOptions extends Pick<ForecastBenchOptions, 'seed' | 'boosted' | 'network' | 'onProgress'> {
  /** Slots that are learned from; those after are replayed. */
  learnedSlots: number;
  /** How many slots ahead, each > 0, ascending. */
  horizons: readonly number[];
  /** Only these; without `auto` nothing is learned that takes long. */
  models: readonly ReplayModel[];
}

/** What would have been said at each of some successive slots. */
export interface ReplaySpan {
  /** The first origin; the others follow slot by slot. */
  firstOrigin: number;
  origins: number;
  /** By model (`auto`, `ewma`) and steps ahead: `[origin · pairs + pair]`. */
  of: Record<ReplayModel, Map<number, MatrixForecasts>>;
}

export type ReplayModel = 'auto' | 'ewma';

export interface ReplayForecasts {
  /** Of the last fifth of what was learned from, by models that had not seen it, calibrated on the other half of it. */
  backtest: ReplaySpan;
  /** Of everything after what was learned from. */
  test: ReplaySpan;
  /** Which models `auto` is made of, by steps ahead and kind of pairs. */
  groups: Record<number, Partial<Record<PairGroup, GroupChoice>>>;
}

/**
 * Every slot's forecasts as they would have been made then: models are fitted, calibrated and chosen as `benchForecast` does,
 * on the learned slots alone; nothing after an origin is looked at.
 */
export async function forecastReplay(matrix: DemandMatrix, options: ReplayOptions): Promise<ReplayForecasts> {
  const learned = cutMatrix(matrix, options.learnedSlots);
  const groups = groupNumbers(learned);
  const from = calibrationFrom(learned);
  const heldBack = slotsFrom(from - 1, learned.length - 1);
  const later = slotsFrom(learned.length - 1, matrix.length - 1);
  const backtests = new Map(options.horizons.map((steps) => [steps, new Map<string, Backtest>()]));
  const raw = new Map(options.horizons.map((steps) => [steps, new Map<string, MatrixForecasts>()]));
  const tested = new Map(options.horizons.map((steps) => [steps, new Map<string, MatrixForecasts>()]));
  for (const model of options.models.includes('auto') ? [...BASELINES.map((make) => make()), learnedModel(options)] : BASELINES.map((make) => make())) {
    const collect = async (each: MatrixModel, over: DemandMatrix, origins: Int32Array, into: typeof raw): Promise<void> => {
      for (const [steps, found] of into) for (const [name, forecasts] of await forecastParts(each, over, origins, steps)) found.set(name, forecasts);
    };
    await learn(model, learned, groups, backtests, { seed: options.seed, onProgress: options.onProgress, beforeRefit: (each) => collect(each, learned, heldBack, raw) });
    await collect(model, matrix, later, tested);
    options.onProgress(`${model.name} has learned`);
    await model.close?.();
  }
  const means = Float64Array.from(learned.values, (values) => knownMean(values, from));
  const result: ReplayForecasts = { backtest: spanOf(heldBack), test: spanOf(later), groups: {} };
  for (const steps of options.horizons) {
    const known = backtests.get(steps)!;
    const choices = chooseByGroup(new Map([...known].map(([name, { losses }]) => [name, losses])), groups, new Set(BASELINE_NAMES), (learned.length - from) / steps);
    result.groups[steps] = Object.fromEntries(choices);
    const backtest = new ComposedForecasts(heldBack.length * matrix.pairs.length, groups, choices);
    const test = new ComposedForecasts(later.length * matrix.pairs.length, groups, choices);
    for (const [name, forecasts] of raw.get(steps)!) {
      const calibrated = crossCalibrated(forecasts, learned, heldBack, steps, means);
      backtest.add(name, calibrated);
      if (name === 'ewma') result.backtest.of.ewma.set(steps, calibrated);
    }
    for (const [name, forecasts] of tested.get(steps)!) {
      const { calibration, correction } = known.get(name)!;
      correctOnline(applyPairCalibration(forecasts, calibration), matrix, later, steps, copyCorrection(correction));
      test.add(name, forecasts);
      if (name === 'ewma') result.test.of.ewma.set(steps, forecasts);
    }
    result.backtest.of.auto.set(steps, backtest.finish());
    result.test.of.auto.set(steps, test.finish());
  }
  return result;
}

/** Each half with the calibration of the other, so that what is tuned on them is not tuned on what was fitted to them. */
function crossCalibrated(forecasts: MatrixForecasts, matrix: DemandMatrix, origins: Int32Array, steps: number, means: Float64Array): MatrixForecasts {
  const pairs = means.length;
  const middle = origins.length >> 1;
  const halves = [[0, middle] as const, [middle, origins.length] as const].map(([from, until]) => ({ at: from * pairs, origins: origins.subarray(from, until), raw: cellsOf(forecasts, from * pairs, until * pairs) }));
  const calibrations = halves.map((half) => calibratePairs(actualsOf(matrix, half.origins, steps), half.raw, means));
  const result = cellsOf(forecasts);
  halves.forEach((half, index) => {
    const corrected = correctOnline(applyPairCalibration(half.raw, calibrations[1 - index]!), matrix, half.origins, steps, noCorrection(pairs));
    result.p50.set(corrected.p50, half.at);
    result.p90.set(corrected.p90, half.at);
    result.p95.set(corrected.p95, half.at);
  });
  return result;
}

function slotsFrom(first: number, last: number): Int32Array {
  return Int32Array.from({ length: Math.max(0, last - first) }, (_, index) => first + index);
}

function spanOf(origins: Int32Array): ReplaySpan {
  return { firstOrigin: origins[0] ?? 0, origins: origins.length, of: { auto: new Map(), ewma: new Map() } };
}
