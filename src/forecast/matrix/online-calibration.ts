import type { DemandMatrix } from './demand-matrix.ts';
import type { MatrixForecasts } from './matrix-model.ts';
import { heaviestTenth } from './pair-calibration.ts';

/** How fast the corrections follow, per horizon of time that went by: neighbouring residuals closer than that say the same. */
const MEDIAN_RATE = 0.003;
const UPPER_RATE_PAIR = 0.01;
const UPPER_RATE_ALL = 0.1;
/**
 * What it steers to: a little more than promised, since demand over what was provided costs more than as much too much.
 * The heaviest tenth are a kind of their own, as in calibration: they carry most of the volume and are lost among the others,
 * by count. Measured on two real sets, docs/forecasting.md.
 */
const AIM_P90 = { heavy: 0.903, others: 0.903 };
const AIM_P95 = { heavy: 0.956, others: 0.953 };
/** A kind of fewer pairs learns more slowly, as if it had so many: the misses of a few heavy ones are alike. */
const KIND_PAIRS_MIN = { heavy: 200, others: 20 };
/** Corrections beyond these are a broken series, not a drift. */
const MEDIAN_MAX = 0.5;
const UPPER_LOG_MAX = 1;
/** A spread of the log scale below this is taken as this. */
const SPREAD_MIN = 1e-3;

/** What was learned from past misses; starts at no correction. */
export interface OnlineCorrection {
  /** Of each pair's median, in spreads p95 − p50. */
  median: Float64Array;
  /** Logarithm by which a pair's spread is stretched. */
  p90: Float64Array;
  p95: Float64Array;
}

export function noCorrection(pairs: number): OnlineCorrection {
  return { median: new Float64Array(pairs), p90: new Float64Array(pairs), p95: new Float64Array(pairs) };
}

export function copyCorrection({ median, p90, p95 }: OnlineCorrection): OnlineCorrection {
  return { median: median.slice(), p90: p90.slice(), p95: p95.slice() };
}

/**
 * Adaptive conformal calibration (Gibbs & Candès 2021), in the model's log scale: after each forecast whose slot has come
 * the pair's spread, and a little that of all pairs of its kind, grows if demand was over the quantile and shrinks less if
 * not, so that in the long run p95 holds 95 % whatever drifts; the median moves toward the side that it missed. A forecast uses what is known at its origin
 * and nothing later. Corrects in place, and goes on from `state`, which it changes.
 */
export function correctOnline(forecasts: MatrixForecasts, matrix: DemandMatrix, origins: Int32Array, steps: number, state: OnlineCorrection): MatrixForecasts {
  const { p50, p90, p95, logScale } = forecasts;
  if (!logScale) return forecasts;
  const pairs = matrix.pairs.length;
  const kinds = kindsOf(logScale);
  // Raw log levels stay for learning; the arrays get the corrected ones.
  let learned = 0;
  const raw = { median: logOf(p50, logScale), p90: logOf(p90, logScale), p95: logOf(p95, logScale) };
  const used = { p90: new Float32Array(p90.length), p95: new Float32Array(p95.length), median: new Float32Array(p50.length) };
  for (let index = 0; index < origins.length; index++) {
    for (; learned < index && origins[learned]! + steps <= origins[index]!; learned++) {
      const gap = learned > 0 ? origins[learned]! - origins[learned - 1]! : 1;
      learn(learned, Math.min(1, gap / steps));
    }
    for (let pair = 0; pair < pairs; pair++) {
      const at = index * pairs + pair;
      const base = raw.median[at]!;
      const median = base + state.median[pair]! * Math.max(SPREAD_MIN, raw.p95[at]! - base);
      const upper90 = base + (raw.p90[at]! - base) * Math.exp(state.p90[pair]!);
      const upper95 = base + (raw.p95[at]! - base) * Math.exp(state.p95[pair]!);
      const held90 = Math.max(median, upper90);
      const held95 = Math.max(held90, upper95);
      used.median[at] = median;
      used.p90[at] = held90;
      used.p95[at] = held95;
      p50[at] = logScale[pair]! * Math.expm1(Math.max(0, median));
      p90[at] = logScale[pair]! * Math.expm1(Math.max(0, held90));
      p95[at] = logScale[pair]! * Math.expm1(Math.max(0, held95));
    }
  }
  return forecasts;

  function learn(index: number, share: number): void {
    const drifts = { heavy: { known: 0, p90: 0, p95: 0 }, others: { known: 0, p90: 0, p95: 0 } };
    for (let pair = 0; pair < pairs; pair++) {
      const value = matrix.values[pair]![origins[index]! + steps]!;
      if (Number.isNaN(value)) continue;
      const at = index * pairs + pair;
      const level = Math.log1p(value / logScale![pair]!);
      const side = Math.sign(level - Math.max(0, used.median[at]!));
      state.median[pair] = bounded(state.median[pair]! + MEDIAN_RATE * share * side, MEDIAN_MAX);
      const kind = kinds[pair]!;
      const step90 = AIM_P90[kind] - (level > used.p90[at]! ? 0 : 1);
      const step95 = AIM_P95[kind] - (level > used.p95[at]! ? 0 : 1);
      state.p90[pair] = bounded(state.p90[pair]! + UPPER_RATE_PAIR * share * step90, UPPER_LOG_MAX);
      state.p95[pair] = bounded(state.p95[pair]! + UPPER_RATE_PAIR * share * step95, UPPER_LOG_MAX);
      const drift = drifts[kind];
      drift.known += 1;
      drift.p90 += step90;
      drift.p95 += step95;
    }
    for (let pair = 0; pair < pairs; pair++) {
      const kind = kinds[pair]!;
      const drift = drifts[kind];
      const rate = (UPPER_RATE_ALL * share) / Math.max(drift.known, KIND_PAIRS_MIN[kind]);
      state.p90[pair] = bounded(state.p90[pair]! + rate * drift.p90, UPPER_LOG_MAX);
      state.p95[pair] = bounded(state.p95[pair]! + rate * drift.p95, UPPER_LOG_MAX);
    }
  }
}

function kindsOf(scales: Float32Array): ('heavy' | 'others')[] {
  const heavy = heaviestTenth(scales);
  return Array.from(scales, (_, pair) => (heavy.has(pair) ? 'heavy' : 'others'));
}

function logOf(values: Float32Array, scales: Float32Array): Float32Array {
  return values.map((value, at) => Math.log1p(value / scales[at % scales.length]!));
}

function bounded(value: number, most: number): number {
  return Math.max(-most, Math.min(most, value));
}
