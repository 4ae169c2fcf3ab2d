import type { DemandSeries } from '../../model/index.ts';

/** Rules of thumb that are scored beside whatever forecasts: the last value, the smoothed level, the same slot of last week (else yesterday). */
export const BASELINES = ['persistence', 'ewma', 'seasonal-naive'] as const;
export type Baseline = (typeof BASELINES)[number];

/** What one rule says of one demand: p50, p90, p95 in Mbit/s for each step asked for, in that order. */
export type ShadowForecast = Float64Array;

const WEIGHT_OF_NEWEST = 0.3;
/** Residuals of a series that make its own quantiles; with fewer, those of all series count. */
const RESIDUALS_MIN = 60;
/** Origins looked back on: two days of the usual slots, at most. */
const ORIGINS_MAX = 192;
const POOLED_MAX = 4000;
/** Without any errors to go by: what p90 and p95 lie above the median, wide since nothing is known. */
const UNCALIBRATED = [0.5, 0.8] as const;

/**
 * Forecasts of the three rules for every series from its end on. Upper quantiles come from each rule's own errors on the
 * last two days of the same series, relative to the size of the forecast (split-conformal, as for the real models).
 * @param series  values oldest first, null unknown; all end with the last complete slot
 * @param steps   slots ahead, 1 is the first one after the end
 * @returns       [baseline][series], each `steps.length · 3` figures
 */
export function shadowForecasts(series: readonly DemandSeries[], slotsPerDay: number, steps: readonly number[]): Record<Baseline, ShadowForecast[]> {
  const pasts = series.map(({ mbps }) => pastOf(mbps, slotsPerDay));
  return {
    persistence: forecastAll(pasts, steps, (past, origin) => past.last[origin]!),
    ewma: forecastAll(pasts, steps, (past, origin) => past.level[origin]!),
    'seasonal-naive': forecastAll(pasts, steps, (past, origin, step) => seasonal(past, origin, step, slotsPerDay)),
  };
}

interface Past {
  values: Float64Array;
  /** By origin: the last known value, and the smoothed level, of what lies before it; 0 when nothing does. */
  last: Float64Array;
  level: Float64Array;
  /** Mean of the last day, the floor of what an error is measured by. */
  mean: number;
}

type Rule = (past: Past, origin: number, step: number) => number;

function pastOf(mbps: readonly (number | null)[], slotsPerDay: number): Past {
  const values = Float64Array.from(mbps, (value) => (value !== null && value >= 0 && Number.isFinite(value) ? value : Number.NaN));
  const last = new Float64Array(values.length + 1);
  const level = new Float64Array(values.length + 1);
  let isKnown = false;
  let sum = 0;
  let count = 0;
  values.forEach((value, slot) => {
    const isValue = !Number.isNaN(value);
    last[slot + 1] = isValue ? value : last[slot]!;
    level[slot + 1] = !isValue ? level[slot]! : isKnown ? level[slot]! + WEIGHT_OF_NEWEST * (value - level[slot]!) : value;
    isKnown ||= isValue;
    if (!isValue || slot < values.length - slotsPerDay) return;
    sum += value;
    count += 1;
  });
  return { values, last, level, mean: count > 0 ? sum / count : 0 };
}

function seasonal({ values, last }: Past, origin: number, step: number, slotsPerDay: number): number {
  const target = origin + step - 1;
  for (const days of [7, 1, 2, 3]) {
    let slot = target - days * slotsPerDay;
    while (slot >= origin) slot -= slotsPerDay;
    if (slot >= 0 && !Number.isNaN(values[slot]!)) return values[slot]!;
  }
  return last[origin]!;
}

function forecastAll(pasts: readonly Past[], steps: readonly number[], rule: Rule): ShadowForecast[] {
  const forecasts = pasts.map(() => new Float64Array(steps.length * 3));
  steps.forEach((step, index) => {
    const residuals = pasts.map((past) => residualsOf(past, step, rule));
    const pooled = Float64Array.from(poolOf(residuals)).sort();
    pasts.forEach((past, number) => {
      const own = residuals[number]!.length >= RESIDUALS_MIN ? residuals[number]!.sort() : pooled;
      const median = rule(past, past.values.length, step);
      const unit = unitOf(past, median);
      const upper = Math.max(median, median + quantileOf(own, 0.9, UNCALIBRATED[0]) * unit);
      forecasts[number]!.set([median, upper, Math.max(upper, median + quantileOf(own, 0.95, UNCALIBRATED[1]) * unit)], index * 3);
    });
  });
  return forecasts;
}

function residualsOf(past: Past, step: number, rule: Rule): Float64Array {
  const { values } = past;
  const residuals: number[] = [];
  for (let origin = Math.max(1, values.length - step + 1 - ORIGINS_MAX); origin + step - 1 < values.length; origin++) {
    const actual = values[origin + step - 1]!;
    if (Number.isNaN(actual)) continue;
    const median = rule(past, origin, step);
    residuals.push((actual - median) / unitOf(past, median));
  }
  return Float64Array.from(residuals);
}

/** Some of every series, so that a large mesh costs no more than a small one. */
function poolOf(residuals: readonly Float64Array[]): number[] {
  const each = Math.max(1, Math.floor(POOLED_MAX / Math.max(1, residuals.length)));
  return residuals.flatMap((own) => [...own.subarray(Math.max(0, own.length - each))]);
}

function unitOf({ mean }: Past, median: number): number {
  return median + 0.1 * mean + 1e-6;
}

function quantileOf(sorted: Float64Array, quantile: number, otherwise: number): number {
  if (sorted.length < 5) return otherwise;
  return sorted[Math.min(Math.ceil((sorted.length + 1) * quantile) - 1, sorted.length - 1)]!;
}
