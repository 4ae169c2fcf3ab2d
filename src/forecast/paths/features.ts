import type { PathPast, PathView } from './path-past.ts';
import { severityAt, type PathTable } from './path-table.ts';

/** The inputs of the models, in order; each is NaN where it cannot be known. */
export const FEATURES = [
  'rate',
  'brokenNow',
  'last',
  'hourMean',
  'hourMax',
  'trend',
  'daySpread',
  'margin',
  'hourShare',
  'dayShare',
  'sinceBroken',
  'sameTimeShare',
  'yesterday',
  'weekAgo',
  'sameTimeMax',
  'sameTimeRise',
  'foreseen',
  'neighboursNow',
  'neighboursSameTime',
  'sinTime',
  'cosTime',
  'latency',
  'jitter',
  'loss',
  'lossBursts',
  'knownShare',
] as const;
export type Feature = (typeof FEATURES)[number];

/** Column of an input. */
export const COLUMN = Object.fromEntries(FEATURES.map((name, index) => [name, index])) as Record<Feature, number>;

/** Logarithms of severities are kept within these: what lies beyond says nothing more. */
const LOG_MIN = -6;
const LOG_MAX = 3;
/** Earlier days that are looked at for the same time. */
const DAYS = 7;
/** A day's share of events counts against the path's rate as if so many days more had been seen. */
const SAME_TIME_PRIOR = 1.5;
const SPREAD_MIN = 0.05;

/** Writes rows of inputs of one path under one of the bounds. */
export class FeatureWriter {
  readonly #past: PathPast;
  readonly #table: PathTable;
  readonly #hour: number;
  readonly #day: number;
  readonly #log: Float32Array;
  #bounds = 0;
  #path = 0;
  #view: PathView | null = null;

  constructor(past: PathPast) {
    this.#past = past;
    this.#table = past.task.table;
    this.#day = this.#table.slotsPerDay;
    this.#hour = Math.max(3, Math.round(this.#day / 24));
    this.#log = new Float32Array(this.#table.length);
  }

  /** @param from  the earliest origin that will be asked for; the end of the table: only that one */
  select(bounds: number, path: number, from: number): PathView {
    this.#bounds = bounds;
    this.#path = path;
    this.#view = this.#past.view(bounds, path);
    if (from < this.#table.length) {
      this.#fill(from - (DAYS + 1) * this.#day, this.#table.length);
      return this.#view;
    }
    this.#fill(from - this.#day, from);
    for (let back = 1; back <= DAYS; back++) this.#fill(from - back * this.#day - this.#hour, from - back * this.#day + this.#past.task.horizon);
    return this.#view;
  }

  #fill(from: number, until: number): void {
    const series = this.#table.series[this.#path]!;
    const bounds = this.#past.task.bounds[this.#bounds]!;
    for (let slot = Math.max(0, from); slot < Math.min(until, this.#table.length); slot++) this.#log[slot] = Math.min(LOG_MAX, Math.max(LOG_MIN, Math.log(severityAt(series, bounds, slot))));
  }

  /** What is known at the beginning of `slot`, which is not over, as row `row` of the columns. */
  write(slot: number, columns: readonly Float32Array[], row: number): void {
    const set = (feature: Feature, value: number): void => {
      columns[COLUMN[feature]]![row] = value;
    };
    const view = this.#view!;
    const hour = windowOf(this.#log, Math.max(0, slot - this.#hour), slot);
    const day = windowOf(this.#log, Math.max(0, slot - this.#day), slot);
    const recent = windowOf(this.#log, Math.max(0, slot - 3), slot);
    const spread = Math.max(SPREAD_MIN, day.spread);
    const rate = view.rate(slot);
    set('rate', logit(rate));
    set('brokenNow', Number.isNaN(recent.last) ? Number.NaN : recent.last > 0 ? 1 : 0);
    set('last', recent.last);
    set('hourMean', hour.mean);
    set('hourMax', hour.max);
    set('trend', recent.mean - hour.mean);
    set('daySpread', spread);
    set('margin', Math.max(-10, Math.min(10, -hour.mean / spread)));
    set('hourShare', view.brokenShare(slot, this.#hour));
    set('dayShare', view.brokenShare(slot, this.#day));
    set('sinceBroken', this.#sinceBroken(slot));
    set('knownShare', view.knownShare(slot, this.#hour));
    this.#writeSameTime(slot, rate, hour.mean, set);
    set('neighboursNow', view.neighbours(Math.max(0, slot - 3), slot));
    const phase = (2 * Math.PI * ((slot + Math.round(this.#table.startAt / this.#table.slotMs)) % this.#day)) / this.#day;
    set('sinTime', Math.sin(phase));
    set('cosTime', Math.cos(phase));
    this.#writeFigures(slot, set);
  }

  /** The horizon that begins now, on earlier days. */
  #writeSameTime(slot: number, rate: number, level: number, set: (feature: Feature, value: number) => void): void {
    const { horizon } = this.#past.task;
    const labels = this.#past.labels[this.#bounds]![this.#path]!;
    let [events, days, rises, rise, maxima, neighbours, neighbourDays] = [0, 0, 0, 0, 0, 0, 0];
    for (let back = 1; back <= DAYS; back++) {
      const then = slot - back * this.#day;
      if (then < 0) break;
      if (then + horizon > slot) continue;
      if (labels[then]! < 2) {
        events += labels[then]!;
        days++;
      }
      const window = windowOf(this.#log, then, then + horizon);
      const before = windowOf(this.#log, Math.max(0, then - this.#hour), then);
      if (!Number.isNaN(window.max) && !Number.isNaN(before.mean)) {
        maxima += window.max;
        rise += window.max - before.mean;
        rises++;
      }
      const others = this.#view!.neighbours(then, then + horizon);
      if (others >= 0) {
        neighbours += others;
        neighbourDays++;
      }
    }
    const daysAgo = (count: number): number => {
      const then = slot - count * this.#day;
      return then < 0 || then + horizon > slot || labels[then]! >= 2 ? Number.NaN : labels[then]!;
    };
    set('sameTimeShare', days === 0 ? Number.NaN : (events + SAME_TIME_PRIOR * rate) / (days + SAME_TIME_PRIOR));
    set('yesterday', daysAgo(1));
    set('weekAgo', daysAgo(7));
    set('sameTimeMax', rises === 0 ? Number.NaN : maxima / rises);
    set('sameTimeRise', rises === 0 ? Number.NaN : rise / rises);
    set('foreseen', rises === 0 ? level : level + rise / rises);
    set('neighboursSameTime', neighbourDays === 0 ? Number.NaN : neighbours / neighbourDays);
  }

  /** Each figure by itself, as the logarithm of its share of its bound in the last hour. */
  #writeFigures(slot: number, set: (feature: Feature, value: number) => void): void {
    const { latencyMs, jitterMs, lossRatio } = this.#table.series[this.#path]!;
    const bounds = this.#past.task.bounds[this.#bounds]!;
    const from = Math.max(0, slot - this.#hour);
    const logOf = (values: Float32Array, bound: number): number => Math.min(LOG_MAX, Math.max(LOG_MIN, Math.log(meanOf(values, from, slot) / (bound || 1e-9))));
    set('latency', logOf(latencyMs, bounds.latencyMaxMs));
    set('jitter', logOf(jitterMs, bounds.jitterMaxMs));
    set('loss', logOf(lossRatio, bounds.lossMaxRatio));
    let bursts = 0;
    let known = 0;
    for (let at = from; at < slot; at++) {
      if (Number.isNaN(lossRatio[at]!)) continue;
      known++;
      if (lossRatio[at]! > bounds.lossMaxRatio / 4) bursts++;
    }
    set('lossBursts', known === 0 ? Number.NaN : bursts / known);
  }

  /** Logarithm of the slots since the bounds were broken last, looked at for a week. */
  #sinceBroken(slot: number): number {
    const flags = this.#past.broken[this.#bounds]![this.#path]!;
    const from = Math.max(0, slot - DAYS * this.#day);
    for (let at = slot - 1; at >= from; at--) if (flags[at] === 1) return Math.log(slot - at);
    return Math.log(DAYS * this.#day);
  }
}

interface Window {
  mean: number;
  max: number;
  last: number;
  spread: number;
}

/** Of the known values from `from` until before `until`; all NaN when none is known. */
export function windowOf(values: Float32Array, from: number, until: number): Window {
  let [count, sum, squares, max, last] = [0, 0, 0, Number.NaN, Number.NaN];
  for (let at = from; at < until; at++) {
    const value = values[at]!;
    if (Number.isNaN(value)) continue;
    count++;
    sum += value;
    squares += value * value;
    if (!(value <= max)) max = value;
    last = value;
  }
  if (count === 0) return { mean: Number.NaN, max: Number.NaN, last, spread: Number.NaN };
  const mean = sum / count;
  return { mean, max, last, spread: Math.sqrt(Math.max(0, squares / count - mean * mean)) };
}

function meanOf(values: Float32Array, from: number, until: number): number {
  let [count, sum] = [0, 0];
  for (let at = from; at < until; at++) {
    if (Number.isNaN(values[at]!)) continue;
    count++;
    sum += values[at]!;
  }
  return sum / count;
}

export function logit(probability: number): number {
  const safe = Math.min(1 - 1e-6, Math.max(1e-6, probability));
  return Math.log(safe / (1 - safe));
}

export function logistic(value: number): number {
  return 1 / (1 + Math.exp(-value));
}
