import type { PairGroup } from '../../model/index.ts';
import { chooseChampions } from '../contest.ts';
import { groupPairs } from '../pair-groups.ts';
import { calibrationFrom, forecastParts, learn, learnedModel, rulesModel, type Backtest, type ForecastBenchOptions } from './bench.ts';
import { choicesOf, ComposedForecasts, type GroupChoice } from './composed-choice.ts';
import { cutMatrix, type DemandMatrix } from './demand-matrix.ts';
import { crossFitted, unitsOf } from './held-out.ts';
import type { MatrixForecasts, MatrixModel } from './matrix-model.ts';
import { copyCorrection, correctOnline } from './online-calibration.ts';
import { applyPairCalibration } from './pair-calibration.ts';

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
  const groups = groupPairs(learned);
  const from = calibrationFrom(learned);
  const heldBack = slotsFrom(from - 1, learned.length - 1);
  const later = slotsFrom(learned.length - 1, matrix.length - 1);
  const backtests = new Map(options.horizons.map((steps) => [steps, new Map<string, Backtest>()]));
  const raw = new Map(options.horizons.map((steps) => [steps, new Map<string, MatrixForecasts>()]));
  const tested = new Map(options.horizons.map((steps) => [steps, new Map<string, MatrixForecasts>()]));
  for (const model of options.models.includes('auto') ? [rulesModel(), learnedModel(options)] : [rulesModel()]) {
    const collect = async (each: MatrixModel, over: DemandMatrix, origins: Int32Array, into: typeof raw): Promise<void> => {
      for (const [steps, found] of into) for (const [name, forecasts] of await forecastParts(each, over, origins, steps)) found.set(name, forecasts);
    };
    await learn(model, learned, groups, backtests, { seed: options.seed, onProgress: options.onProgress, beforeRefit: (each) => collect(each, learned, heldBack, raw) });
    await collect(model, matrix, later, tested);
    options.onProgress(`${model.name} has learned`);
    await model.close?.();
  }
  const means = unitsOf(learned, from);
  const result: ReplayForecasts = { backtest: spanOf(heldBack), test: spanOf(later), groups: {} };
  for (const steps of options.horizons) {
    const known = backtests.get(steps)!;
    const choices = choicesOf(chooseChampions([...known.values()].flatMap(({ evidence }) => evidence)), groups);
    result.groups[steps] = Object.fromEntries(choices);
    const backtest = new ComposedForecasts(heldBack.length * matrix.pairs.length, groups, choices);
    const test = new ComposedForecasts(later.length * matrix.pairs.length, groups, choices);
    for (const [name, forecasts] of raw.get(steps)!) {
      const calibrated = crossFitted(forecasts, { matrix: learned, origins: heldBack, steps, means });
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

function slotsFrom(first: number, last: number): Int32Array {
  return Int32Array.from({ length: Math.max(0, last - first) }, (_, index) => first + index);
}

function spanOf(origins: Int32Array): ReplaySpan {
  return { firstOrigin: origins[0] ?? 0, origins: origins.length, of: { auto: new Map(), ewma: new Map() } };
}
