import { canonicalJson } from '../../base/index.ts';
import { fillGaps, type DemandMatrix } from './demand-matrix.ts';
import type { NewestPast } from './newest-past.ts';

/** A point forecast made pair by pair in one pass over time. */
export interface PointForecaster {
  readonly name: string;
  /** Chooses what is common to all pairs; looks at the whole of `matrix`, which ends before the forecasts. */
  fit(matrix: DemandMatrix, steps: number): void;
  /**
   * `out[slot]`: the forecast of slot + steps from what is known up to `slot`, itself included.
   * @param from  the first slot that is asked for; what lies before it in `out` may be anything
   */
  run(matrix: DemandMatrix, pair: number, steps: number, out: Float32Array, from?: number): void;
  /** What `fit` chose, when it chooses anything. */
  dump?(): PointDump;
  restore?(dump: PointDump): void;
}

export interface PointDump {
  settings: unknown;
  weights?: Float32Array;
}

/** The last known value. */
export class Persistence implements PointForecaster {
  readonly name: string = 'persistence';

  fit(): void {
    // nothing to choose
  }

  run(matrix: DemandMatrix, pair: number, _steps: number, out: Float32Array): void {
    const values = matrix.values[pair]!;
    let last = 0;
    for (let slot = 0; slot < values.length; slot++) {
      const value = values[slot]!;
      if (!Number.isNaN(value)) last = value;
      out[slot] = last;
    }
  }
}

const EWMA_WEIGHTS = [0.1, 0.2, 0.3, 0.45, 0.6, 0.75, 0.9];

/** Exponentially weighted mean; the weight of the newest value is the one that would have been best for all pairs together. */
export class Ewma implements PointForecaster {
  readonly name = 'ewma';
  private weight = 0.5;

  fit(matrix: DemandMatrix, steps: number): void {
    this.weight = bestOf(EWMA_WEIGHTS, matrix, steps, (values, weight, out) => runEwma(values, weight, out));
  }

  run(matrix: DemandMatrix, pair: number, _steps: number, out: Float32Array): void {
    runEwma(matrix.values[pair]!, this.weight, out);
  }

  dump(): PointDump {
    return { settings: this.weight };
  }

  restore({ settings }: PointDump): void {
    this.weight = oneOf(EWMA_WEIGHTS, settings);
  }
}

/** Level after each slot; unknown values leave it as it is. */
export function runEwma(values: Float32Array, weight: number, out: Float32Array): void {
  let level = Number.NaN;
  for (let slot = 0; slot < values.length; slot++) {
    const value = values[slot]!;
    if (!Number.isNaN(value)) level = Number.isNaN(level) ? value : level + weight * (value - level);
    out[slot] = Number.isNaN(level) ? 0 : level;
  }
}

/** What was a day before the forecast slot; the last known value while there is no such day. */
export class SeasonalNaive implements PointForecaster {
  readonly name = 'seasonal-naive';

  fit(): void {
    // nothing to choose
  }

  run(matrix: DemandMatrix, pair: number, steps: number, out: Float32Array): void {
    const filled = fillGaps(matrix.values[pair]!, matrix.slotsPerDay);
    const back = Math.ceil(steps / matrix.slotsPerDay) * matrix.slotsPerDay;
    for (let slot = 0; slot < filled.length; slot++) out[slot] = filled[slot + steps - back] ?? filled[slot]!;
  }
}

/** Smoothing of level, trend and season of the day, and how fast a trend fades a slot. */
export interface HoltWintersWeights {
  level: number;
  trend: number;
  season: number;
  damping: number;
}

const HOLT_WINTERS_WEIGHTS: HoltWintersWeights[] = [0.25, 0.5, 0.8].flatMap((level) => [
  { level, trend: 0.01, season: 0.03, damping: 0.9 },
  { level, trend: 0.01, season: 0.12, damping: 0.9 },
]);

/**
 * Level, damped trend and additive season of a day (Holt 1957, Winters 1960; damped: Gardner & McKenzie 1985); the
 * weights that would have been best for all pairs together.
 */
export class HoltWinters implements PointForecaster {
  readonly name = 'holt-winters';
  private weights = HOLT_WINTERS_WEIGHTS[0]!;

  fit(matrix: DemandMatrix, steps: number): void {
    this.weights = bestOf(HOLT_WINTERS_WEIGHTS, matrix, steps, (values, weights, out) => runHoltWinters(values, matrix.slotsPerDay, steps, weights, out));
  }

  run(matrix: DemandMatrix, pair: number, steps: number, out: Float32Array): void {
    runHoltWinters(matrix.values[pair]!, matrix.slotsPerDay, steps, this.weights, out);
  }

  dump(): PointDump {
    return { settings: this.weights };
  }

  restore({ settings }: PointDump): void {
    this.weights = oneOf(HOLT_WINTERS_WEIGHTS, settings);
  }
}

export function runHoltWinters(values: Float32Array, slotsPerDay: number, steps: number, weights: HoltWintersWeights, out: Float32Array): void {
  const run = new HoltWintersRun(values.length, slotsPerDay, weights);
  run.load(values);
  for (let slot = 0; slot < values.length; slot++) out[slot] = run.ahead(slot, steps);
}

/**
 * Level, trend and season after each slot: they are the same for every distance ahead. The season is learned from the
 * first day on: a slot's season before its first day is 0.
 */
export class HoltWintersRun {
  private readonly slotsPerDay: number;
  private readonly weights: HoltWintersWeights;
  private readonly levels: Float64Array;
  private readonly trends: Float64Array;
  /** Of each slot's time of day, after it. */
  private readonly seasons: Float64Array;
  private fade = { steps: 0, of: 0 };

  constructor(length: number, slotsPerDay: number, weights: HoltWintersWeights) {
    this.slotsPerDay = slotsPerDay;
    this.weights = weights;
    this.levels = new Float64Array(length);
    this.trends = new Float64Array(length);
    this.seasons = new Float64Array(length);
  }

  /** In place of `load`, when only the last slot will be asked. */
  takeNewest({ horizons, level, trend, season }: NewestPast, pair: number): void {
    const { levels, trends, seasons, slotsPerDay } = this;
    const last = levels.length - 1;
    levels[last] = level[pair]!;
    trends[last] = trend[pair]!;
    horizons.forEach((steps, horizon) => {
      const seen = seasonSlot(last, steps, slotsPerDay);
      if (seen >= 0) seasons[seen] = season[pair * horizons.length + horizon]!;
    });
  }

  load(values: Float32Array): void {
    const { slotsPerDay, weights, levels, trends, seasons } = this;
    let level = Number.NaN;
    let trend = 0;
    let dayMean = Number.NaN;
    const [ofFirstDay, beginning, later] = seasonRates(slotsPerDay, weights);
    for (let slot = 0; slot < values.length; slot++) {
      const value = values[slot]!;
      let season = slot < slotsPerDay ? 0 : seasons[slot - slotsPerDay]!;
      if (!Number.isNaN(value)) {
        if (Number.isNaN(level)) level = dayMean = value;
        const before = level;
        level = weights.level * (value - season) + (1 - weights.level) * (level + weights.damping * trend);
        trend = weights.trend * (level - before) + (1 - weights.trend) * weights.damping * trend;
        // The season is measured from a slow mean: measured from the level, a fast level would eat it up.
        dayMean += (value - dayMean) / slotsPerDay;
        const { rate } = slot < ofFirstDay.until ? ofFirstDay : slot < beginning.until ? beginning : later;
        season += rate * (value - dayMean - season);
      } else {
        trend *= weights.damping;
      }
      levels[slot] = level;
      trends[slot] = trend;
      seasons[slot] = season;
    }
  }

  /** The forecast of slot + steps from what was known at `slot`; 0 while nothing was. */
  ahead(slot: number, steps: number): number {
    const { slotsPerDay } = this;
    if (this.fade.steps !== steps) this.fade = { steps, of: fadeOf(this.weights.damping, steps) };
    const season = slot < slotsPerDay ? 0 : this.seasons[seasonSlot(slot, steps, slotsPerDay)]!;
    const level = this.levels[slot]!;
    return Number.isNaN(level) ? 0 : Math.max(0, level + this.fade.of * this.trends[slot]! + season);
  }
}

/** The last slot of a target's time of day that is over; below 0 before there is one. */
export function seasonSlot(slot: number, steps: number, slotsPerDay: number): number {
  return slot + steps - Math.ceil(steps / slotsPerDay) * slotsPerDay;
}

/** How fast a season follows: the slots before `until` at this rate, fast while it has seen few days. */
export function seasonRates(slotsPerDay: number, { season }: HoltWintersWeights): [SeasonRate, SeasonRate, SeasonRate] {
  return [
    { until: slotsPerDay, rate: 1 },
    { until: 4 * slotsPerDay, rate: Math.max(season, 0.3) },
    { until: Number.POSITIVE_INFINITY, rate: season },
  ];
}

interface SeasonRate {
  until: number;
  rate: number;
}

/** Of how many slots' trend is left, so many steps ahead. */
function fadeOf(damping: number, steps: number): number {
  return damping === 1 ? steps : (damping * (1 - damping ** steps)) / (1 - damping);
}

const PAIRS_TRIED = 40;

/** The choice with the least Σ|y − forecast| over the second half of evenly chosen pairs. */
function bestOf<T>(choices: readonly T[], matrix: DemandMatrix, steps: number, run: (values: Float32Array, choice: T, out: Float32Array) => void): T {
  const every = Math.max(1, Math.ceil(matrix.pairs.length / PAIRS_TRIED));
  const out = new Float32Array(matrix.length);
  const errors = choices.map((choice) => {
    let error = 0;
    for (let pair = 0; pair < matrix.pairs.length; pair += every) {
      const values = matrix.values[pair]!;
      run(values, choice, out);
      for (let slot = Math.floor(matrix.length / 2); slot + steps < matrix.length; slot++) {
        const miss = Math.abs(values[slot + steps]! - out[slot]!);
        if (!Number.isNaN(miss)) error += miss;
      }
    }
    return error;
  });
  return choices[errors.indexOf(Math.min(...errors))]!;
}

/** The choice that was kept. @throws Error when it is none */
function oneOf<T>(choices: readonly T[], kept: unknown): T {
  const choice = choices.find((each) => canonicalJson(each) === canonicalJson(kept));
  if (choice === undefined) throw new Error(`${canonicalJson(kept)} is none of the choices`);
  return choice;
}
