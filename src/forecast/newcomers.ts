import { anchorSteps } from './anchors.ts';
import { runEwma } from './matrix/baselines.ts';
import { knownMean, type DemandMatrix } from './matrix/demand-matrix.ts';
import { conformalQuantile } from './matrix/pair-calibration.ts';

/** The three quantiles of pairs that no model knows. */
export interface NewcomerForecasts {
  model: 'ewma';
  /** By place in the matrix; `[quantile][step − 1]`. */
  curves(place: number): [Float64Array, Float64Array, Float64Array];
}

/** How much the newest value weighs. */
const WEIGHT = 0.3;
/** Fewer errors than this say nothing about a 95 % quantile; more than so many say no more. */
const RESIDUALS_MIN = 20;
const RESIDUALS_MAX = 4000;
/** Without errors p90 and p95 lie so far above the level, in units of it: wide, since nothing is known. */
const UNCALIBRATED: readonly [number, number] = [0.5, 0.8];
/** Errors grow with the level, down to this share of the last day's mean. */
const UNIT_FLOOR = 0.1;

/**
 * The smoothed level for the whole horizon. p90 and p95 lie above it by as much as was right on the last two days for all
 * these pairs together; a pair that was silent stays silent.
 */
export function forecastNewcomers(matrix: DemandMatrix, horizonSlots: number): NewcomerForecasts {
  const levels = matrix.values.map((values) => smoothed(values));
  const floors = matrix.values.map((values) => UNIT_FLOOR * (knownMean(values, Math.max(0, matrix.length - matrix.slotsPerDay)) || 0));
  const anchors = anchorSteps(horizonSlots);
  const atAnchors = anchors.map((steps) => shiftsAt(matrix, levels, floors, steps));
  const shifts = Array.from({ length: horizonSlots }, (_, step) => atAnchors[anchors.findIndex((steps) => steps > step)]!);
  return {
    model: 'ewma',
    curves(place) {
      const level = levels[place]!.at(-1) ?? 0;
      const unit = level + floors[place]!;
      const p90 = Float64Array.from(shifts, ([shift]) => level + Math.max(0, shift) * unit);
      const p95 = Float64Array.from(shifts, ([, shift], step) => Math.max(p90[step]!, level + shift * unit));
      return [new Float64Array(horizonSlots).fill(level), p90, p95];
    },
  };
}

function smoothed(values: Float32Array): Float32Array {
  const out = new Float32Array(values.length);
  runEwma(values, WEIGHT, out);
  return out;
}

/** (y − level)/unit at so many steps ahead: where 90 and 95 % of them lie. */
function shiftsAt(matrix: DemandMatrix, levels: readonly Float32Array[], floors: readonly number[], steps: number): readonly [number, number] {
  const from = Math.max(0, matrix.length - 2 * matrix.slotsPerDay);
  const every = Math.max(1, Math.ceil(((matrix.length - from) * matrix.pairs.length) / RESIDUALS_MAX));
  const residuals: number[] = [];
  matrix.values.forEach((values, pair) => {
    for (let origin = from + (pair % every); origin + steps < matrix.length; origin += every) {
      const unit = levels[pair]![origin]! + floors[pair]!;
      const residual = (values[origin + steps]! - levels[pair]![origin]!) / unit;
      if (Number.isFinite(residual) && !Number.isNaN(values[origin]!)) residuals.push(residual);
    }
  });
  if (residuals.length < RESIDUALS_MIN) return UNCALIBRATED;
  const sorted = Float64Array.from(residuals).sort();
  return [conformalQuantile(sorted, 0.9), conformalQuantile(sorted, 0.95)];
}
