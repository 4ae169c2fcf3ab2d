import type { PairGroup } from '../../model/index.ts';
import type { Evidence } from '../contest.ts';
import { knownMean, type DemandMatrix } from './demand-matrix.ts';
import { actualsOf, cellsOf, type MatrixForecasts } from './matrix-model.ts';
import { correctOnline, noCorrection, type OnlineCorrection } from './online-calibration.ts';
import { applyPairCalibration, calibratePairs, type PairCalibration } from './pair-calibration.ts';
import { pinballLoss } from './score.ts';

/** Forecasts from these slots of the newest part of what is learned from are judged; the models have not learned that part. */
export interface HeldOut {
  matrix: DemandMatrix;
  /** Ascending. */
  origins: Int32Array;
  steps: number;
  /** Kind of each pair. */
  groups: readonly PairGroup[];
  /** What errors of each pair are measured by: `unitsOf`. */
  means: Float64Array;
}

export interface Judged {
  /** One for each kind that has pairs. */
  evidence: Evidence[];
  /** For use: of all that was held out. */
  calibration: PairCalibration;
  correction: OnlineCorrection;
}

/** Of so many blocks of time losses are kept apart at most, to see how much they vary. */
const BLOCKS_MAX = 16;

/** What a model's forecasts lost, by kind of pairs, and what their misses teach for use. Changes nothing that it is given. @param forecasts  before any calibration */
export function judgeForecasts(model: string, isBaseline: boolean, forecasts: MatrixForecasts, heldOut: HeldOut): Judged {
  const { matrix, origins, steps, means } = heldOut;
  const calibration = calibratePairs(actualsOf(matrix, origins, steps), forecasts, means);
  const correction = noCorrection(means.length);
  if (forecasts.logScale) correctOnline(applyPairCalibration(cellsOf(forecasts), calibration), matrix, origins, steps, correction);
  return { evidence: evidenceOf(model, isBaseline, crossFitted(forecasts, heldOut), heldOut), calibration, correction };
}

/**
 * A copy as it would have been given: each half of the time with the calibration of the other, and corrected by the
 * misses that were known at each origin. Judged on what it was calibrated on, a rule with a quantile of its own for every
 * pair looks better than it is, and bursts make that much.
 */
export function crossFitted(forecasts: MatrixForecasts, { matrix, origins, steps, means }: Omit<HeldOut, 'groups'>): MatrixForecasts {
  const pairs = means.length;
  const middle = origins.length >> 1;
  const bounds = middle === 0 ? [[0, origins.length] as const] : [[0, middle] as const, [middle, origins.length] as const];
  const halves = bounds.map(([from, until]) => ({ at: from * pairs, origins: origins.subarray(from, until), raw: cellsOf(forecasts, from * pairs, until * pairs) }));
  const calibrations = halves.map((half) => calibratePairs(actualsOf(matrix, half.origins, steps), half.raw, means));
  const result = cellsOf(forecasts);
  halves.forEach((half, index) => {
    const corrected = correctOnline(applyPairCalibration(half.raw, calibrations[halves.length - 1 - index]!), matrix, half.origins, steps, noCorrection(pairs));
    result.p50.set(corrected.p50, half.at);
    result.p90.set(corrected.p90, half.at);
    result.p95.set(corrected.p95, half.at);
  });
  return result;
}

/** From the slot before `from` on, as far as their targets are known, evenly spread where there are more cells than are worth their time. @param furthest  slots ahead */
export function originsFrom(from: number, { length, pairs }: Pick<DemandMatrix, 'length' | 'pairs'>, furthest: number, cellsMax: number): Int32Array {
  const slots = Math.max(0, length - furthest - (from - 1));
  const every = Math.max(1, Math.ceil((slots * pairs.length) / cellsMax));
  return Int32Array.from({ length: Math.ceil(slots / every) }, (_, index) => from - 1 + index * every);
}

/** Means from a slot on to measure errors by; for a pair without demand a thousandth of the others', or its band would be as wide as theirs. */
export function unitsOf(matrix: DemandMatrix, fromSlot: number): Float64Array {
  const means = matrix.values.map((values) => knownMean(values, fromSlot));
  const known = means.filter((mean) => mean > 0);
  const typical = known.length > 0 ? known.reduce((sum, mean) => sum + mean, 0) / known.length : 1;
  return Float64Array.from(means, (mean) => (mean > 0 ? mean : 1e-3 * typical));
}

function evidenceOf(model: string, isBaseline: boolean, { p50, p90, p95 }: MatrixForecasts, { matrix, origins, steps, groups }: HeldOut): Evidence[] {
  const actual = actualsOf(matrix, origins, steps);
  const pairs = groups.length;
  const looks = origins.length === 0 ? 0 : (origins.at(-1)! - origins[0]! + 1) / steps;
  // Misses closer together than the horizon say the same.
  const blocks = Math.max(1, Math.min(BLOCKS_MAX, origins.length, Math.floor(looks)));
  const found = new Map<PairGroup, Evidence>();
  const placeOf = groups.map((group) => {
    const none = (): Evidence['median'] => ({ total: 0, byBlock: Array.from({ length: blocks }, () => 0), byPair: [] });
    const evidence = found.get(group) ?? { model, isBaseline, group, steps, looks, cells: 0, demand: 0, covered: 0, pinball: 0, median: none(), upper: none() };
    found.set(group, evidence);
    evidence.upper.byPair.push(0);
    return { evidence, place: evidence.median.byPair.push(0) - 1 };
  });
  for (let at = 0; at < actual.length; at++) {
    const value = actual[at]!;
    if (Number.isNaN(value)) continue;
    const { evidence, place } = placeOf[at % pairs]!;
    const block = Math.floor((Math.floor(at / pairs) * blocks) / origins.length);
    const miss = Math.abs(value - p50[at]!);
    const loss = pinballLoss(value, p95[at]!, 0.95);
    evidence.cells += 1;
    evidence.demand += value;
    if (value <= p95[at]!) evidence.covered += 1;
    evidence.pinball += (miss / 2 + pinballLoss(value, p90[at]!, 0.9) + loss) / 3;
    for (const [losses, amount] of [[evidence.median, miss], [evidence.upper, loss]] as const) {
      losses.total += amount;
      losses.byBlock[block]! += amount;
      losses.byPair[place]! += amount;
    }
  }
  return [...found.values()];
}
