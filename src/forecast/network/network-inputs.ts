import { covariateInputs, type CovariateInput, type DemandMatrix } from '../matrix/demand-matrix.ts';
import type { LevelledPast } from '../matrix/levelled-past.ts';
import { nodeSeries, type NodeSeries } from '../matrix/node-series.ts';
import { newestChannels, type NewestChannels } from './newest-channels.ts';
import { hourOf, PairChannels } from './pair-channels.ts';

/** Rows of inputs, row after row; NaN where there is no past. */
export interface InputRows {
  count: number;
  /** [row][input]. */
  tabular: Float32Array;
  /** [row][step][channel], oldest first. */
  recent: Float32Array;
  daily: Float32Array;
  /** [row][horizon]: usual change of the pair over the horizon, in z. */
  scales: Float32Array;
  /** z of the newest value. */
  levels: Float32Array;
}

/** Takes up the next input of a row. */
type Put = (value: number) => void;

const LAGS = [1, 2, 3, 4, 5, 6, 8, 12];
const DAYS = 7;
const SAME_KIND_DAYS = 3;
const RECENT_CHANNELS = 4;
const DAILY_CHANNELS = 4;

/**
 * What the network sees of a matrix, in z = log1p(y/c): nothing after the origin, but for covariates known ahead. Changes
 * are in units of the pair's own usual change.
 */
export class NetworkInputs {
  /** Tabular inputs a row. */
  readonly count: number;
  readonly recent: { steps: number; channels: number };
  readonly daily: { steps: number; channels: number };
  readonly matrix: DemandMatrix;
  private readonly horizons: readonly number[];
  private readonly scales: Float32Array;
  private readonly logScaleMean: number;
  private readonly levelled: LevelledPast | null;
  private readonly nodes: NodeSeries;
  private readonly reverse: Int32Array;
  private readonly covariates: CovariateInput[];
  private readonly hour: number;
  private readonly past: PairChannels;
  private newest: NewestChannels | null = null;
  /** Slots that a step of the daily window holds. */
  private readonly stride: number;

  /**
   * @param scales    c of each pair, > 0
   * @param window    steps of each sequence
   * @param levelled  what is known already of these slots, or of more that begin with them
   */
  constructor(matrix: DemandMatrix, horizons: readonly number[], scales: Float32Array, window: number, levelled: LevelledPast | null = null) {
    this.matrix = matrix;
    this.horizons = horizons;
    this.scales = scales;
    this.logScaleMean = scales.reduce((sum, scale) => sum + Math.log(scale), 0) / Math.max(1, scales.length);
    this.levelled = levelled;
    this.nodes = levelled?.nodes ?? nodeSeries(matrix);
    const index = new Map(matrix.pairs.map((name, pair) => [name, pair]));
    this.reverse = Int32Array.from(matrix.pairs, (name) => index.get(name.split('>').toReversed().join('>')) ?? -1);
    this.covariates = covariateInputs(matrix);
    this.hour = hourOf(matrix.slotsPerDay);
    this.past = new PairChannels(matrix.length, matrix.slotsPerDay, horizons);
    this.recent = { steps: window, channels: RECENT_CHANNELS };
    this.daily = { steps: window, channels: DAILY_CHANNELS };
    this.stride = Math.max(1, Math.ceil((horizons.at(-1)! + this.hour) / window));
    const probe = this.rows(1);
    this.count = this.fill(0, Int32Array.of(0), { ...probe, tabular: new Float32Array(4096) }, 0);
  }

  rows(count: number): InputRows {
    return {
      count,
      tabular: new Float32Array(count * this.count || 0),
      recent: new Float32Array(count * this.recent.steps * this.recent.channels),
      daily: new Float32Array(count * this.daily.steps * this.daily.channels),
      scales: new Float32Array(count * this.horizons.length),
      levels: new Float32Array(count),
    };
  }

  /**
   * Writes the inputs of one pair's origins into the rows from `at` on.
   * @returns tabular inputs a row
   */
  fill(pair: number, origins: Int32Array, rows: InputRows, at: number): number {
    const { matrix, horizons, hour, past } = this;
    if (this.isOfNewest(origins)) past.loadNewest(matrix.values[pair]!, this.levelled!, this.newest!, pair);
    else past.load(matrix.values[pair]!, this.scales[pair]!, this.levelled?.z[pair]);
    const back = this.reverse[pair]!;
    const opposite = back >= 0 ? (at: number): number => (at >= 0 ? Math.log(1 + matrix.values[back]![at]! / this.scales[back]!) : Number.NaN) : null;
    const sums = [this.nodes.out[this.nodes.source[pair]!]!, this.nodes.in[this.nodes.target[pair]!]!, this.nodes.total];
    const logScale = Math.log(this.scales[pair]!) - this.logScaleMean;
    let width = 0;
    for (let index = 0; index < origins.length; index++) {
      const slot = origins[index]!;
      const row = at + index;
      const scales = rows.scales.subarray(row * horizons.length, (row + 1) * horizons.length);
      scales.forEach((_, horizon) => (scales[horizon] = scaleOf(past, horizon, slot)));
      rows.levels[row] = past.z[slot]!;
      this.fillRecent(past, sums, slot, scales[0]!, rows.recent, row);
      this.fillDaily(past, sums[2]!, slot, scales[0]!, rows.daily, row);
      let place = row * this.count || 0;
      const put = (value: number): void => {
        rows.tabular[place++] = value;
      };
      let unit = scales[0]!;
      const putChange = (value: number): void => put(value / unit);
      this.putNow(past, sums, slot, put, putChange);
      put(logScale);
      put(opposite ? opposite(slot) - opposite(slot - hour) : Number.NaN);
      horizons.forEach((steps, horizon) => {
        unit = scales[horizon]!;
        this.putHorizon(past, sums, slot, steps, horizon, put, putChange);
      });
      for (const { ofPair, hasTarget } of this.covariates) {
        const own = ofPair[pair];
        put(own?.values[slot] ?? Number.NaN);
        if (hasTarget) for (const steps of horizons) put(own?.isKnownAhead ? (own.values[slot + steps] ?? Number.NaN) : Number.NaN);
      }
      width = place - (row * this.count || 0);
    }
    return width;
  }

  /** Whether nothing but the last slot is asked; what is smoothed is then found for all pairs when it is first needed. */
  private isOfNewest(origins: Int32Array): boolean {
    if (this.levelled === null || origins.length !== 1 || origins[0] !== this.matrix.length - 1) return false;
    this.newest ??= newestChannels(this.matrix, this.levelled, this.horizons);
    return true;
  }

  /** What is the same for all horizons. */
  private putNow(past: PairChannels, sums: readonly Float32Array[], slot: number, put: Put, putChange: Put): void {
    const { matrix, hour } = this;
    const day = matrix.slotsPerDay;
    const level = past.z[slot]!;
    put(level);
    put(Math.log1p(past.unknownFor[slot]!));
    put(slot >= day && past.isKnown(slot - day) ? 1 : 0);
    put(slot >= 7 * day && past.isKnown(slot - 7 * day) ? 1 : 0);
    for (const lag of LAGS) putChange(past.at(slot - lag) - level);
    for (const window of [3, hour, 3 * hour, 6 * hour, day, 7 * day]) putChange(past.mean(slot - window + 1, slot + 1) - level);
    for (const window of [3, hour, 6 * hour, day]) putChange(past.spread(slot - window + 1, slot + 1));
    putChange(past.highest(slot, hour) - level);
    putChange(past.highest(slot, 6 * hour) - level);
    putChange(past.lowest(slot, hour) - level);
    putChange(past.fast[slot]! - level);
    putChange(past.slow[slot]! - level);
    put(past.mean(slot - day + 1, slot + 1));
    for (const sum of sums) {
      const now = sum[slot]!;
      for (const lag of [1, 3, hour, day]) put(slot >= lag ? now - sum[slot - lag]! : Number.NaN);
    }
    const clock = matrix.startAt / matrix.stepMs + slot;
    const turn = (2 * Math.PI * clock) / day;
    for (const wave of [1, 2]) {
      put(Math.sin(wave * turn));
      put(Math.cos(wave * turn));
    }
    put(Math.sin(turn / 7));
    put(Math.cos(turn / 7));
  }

  private putHorizon(past: PairChannels, sums: readonly Float32Array[], slot: number, steps: number, horizon: number, put: Put, putChange: Put): void {
    const { hour } = this;
    const { slotsPerDay: day } = this.matrix;
    const week = 7 * day;
    const near = Math.max(1, Math.round(hour / 4));
    // Whole days and weeks back from the target, so far that even what surrounds it lies before the origin.
    const dayBack = Math.ceil((steps + hour + 1) / day) * day;
    const weekBack = Math.ceil((steps + hour + 1) / week) * week;
    const level = past.z[slot]!;
    const target = slot + steps;
    putChange(past.seasonal(slot, steps) - level);
    put(Math.log(past.changeFast[horizon]![slot]!));
    put(Math.log(past.changeSlow[horizon]![slot]!));
    let levels = 0;
    let changes = 0;
    let days = 0;
    for (let ago = 0; ago < DAYS; ago++) {
      const then = past.around(target - dayBack - ago * day, near);
      const change = then - past.around(slot - dayBack - ago * day, near);
      if (!Number.isNaN(change)) {
        levels += then;
        changes += change;
        days += 1;
      }
      if (ago === 0) putChange(change);
      if (ago === 2) putChange(days > 0 ? changes / days : Number.NaN);
    }
    putChange(days > 0 ? levels / days - level : Number.NaN);
    putChange(days > 0 ? changes / days : Number.NaN);
    putChange(past.at(target - dayBack) - level);
    putChange(past.around(target - dayBack, near) - level);
    putChange(past.around(target - dayBack, hour) - level);
    putChange(past.around(target - weekBack, near) - level);
    putChange(past.around(target - weekBack, near) - past.around(slot - weekBack, near));
    for (const sum of sums) {
      put(slot >= dayBack ? sum[target - dayBack]! - sum[slot - dayBack]! : Number.NaN);
      put(slot >= weekBack ? sum[target - weekBack]! - sum[slot - weekBack]! : Number.NaN);
    }
    this.putSameKind(past, slot, steps, near, put, putChange);
  }

  /** Whether there is an earlier day of the same kind to compare the farthest horizon with. */
  hasComparableDay(slot: number): boolean {
    const { slotsPerDay: day, startAt, stepMs } = this.matrix;
    const target = slot + this.horizons.at(-1)!;
    const today = Math.floor((startAt / stepMs + target) / day);
    for (let ago = 1; ago <= DAYS && target - ago * day >= 0; ago++) if (isWeekend(today - ago) === isWeekend(today)) return true;
    return false;
  }

  /** What was on the last days of the target's kind (working day or weekend), and what came after it: before a Monday that is not the Sunday. */
  private putSameKind(past: PairChannels, slot: number, steps: number, near: number, put: Put, putChange: Put): void {
    const { slotsPerDay: day, startAt, stepMs } = this.matrix;
    const target = slot + steps;
    const today = Math.floor((startAt / stepMs + target) / day);
    const nearest = Math.ceil((steps + near + 1) / day);
    let levels = 0;
    let changes = 0;
    let days = 0;
    for (let ago = nearest; ago < nearest + DAYS && days < SAME_KIND_DAYS; ago++) {
      if (isWeekend(today - ago) !== isWeekend(today)) continue;
      const then = past.around(target - ago * day, near);
      if (Number.isNaN(then)) break;
      levels += then;
      changes += then - past.mean(slot - ago * day - near, slot - ago * day + near + 1);
      days += 1;
      if (days === 1) putChange(levels - past.z[slot]!);
      if (days === 1) putChange(changes);
    }
    if (days === 0) put(Number.NaN);
    if (days === 0) put(Number.NaN);
    putChange(days > 0 ? levels / days - past.z[slot]! : Number.NaN);
    putChange(days > 0 ? changes / days : Number.NaN);
    put(isWeekend(today) ? 1 : 0);
  }

  /** The last slots: demand and its node's totals less the newest, and whether it was measured. */
  private fillRecent(past: PairChannels, sums: readonly Float32Array[], slot: number, unit: number, out: Float32Array, row: number): void {
    const { steps, channels } = this.recent;
    const level = past.z[slot]!;
    for (let step = 0; step < steps; step++) {
      const at = slot - steps + 1 + step;
      const to = (row * steps + step) * channels;
      out[to] = at >= 0 ? bounded((past.z[at]! - level) / unit) : 0;
      out[to + 1] = past.isKnown(at) ? 1 : 0;
      out[to + 2] = at >= 0 ? sums[0]![at]! - sums[0]![slot]! : 0;
      out[to + 3] = at >= 0 ? sums[1]![at]! - sums[1]![slot]! : 0;
    }
  }

  /** Earlier days around the time of day from an hour before the origin to the farthest horizon, means of `stride` slots. */
  private fillDaily(past: PairChannels, total: Float32Array, slot: number, unit: number, out: Float32Array, row: number): void {
    const { steps, channels } = this.daily;
    const { slotsPerDay: day } = this.matrix;
    const { stride, hour } = this;
    const level = past.z[slot]!;
    const back = (period: number): number => Math.ceil((steps * stride + 1) / period) * period;
    const [dayBack, weekBack] = [back(day), back(7 * day)];
    const begin = slot - hour + 1;
    for (let step = 0; step < steps; step++) {
      const from = begin + step * stride;
      const to = (row * steps + step) * channels;
      const yesterday = from - dayBack;
      const lastWeek = from - weekBack;
      out[to] = yesterday >= 0 ? bounded((past.mean(yesterday, yesterday + stride) - level) / unit) : 0;
      out[to + 1] = lastWeek >= 0 ? bounded((past.mean(lastWeek, lastWeek + stride) - level) / unit) : 0;
      out[to + 2] = yesterday >= 0 ? total[yesterday]! - total[Math.max(0, slot - dayBack)]! : 0;
      out[to + 3] = past.isKnown(yesterday) ? 1 : 0;
    }
  }
}

/** Of a day of the epoch: 1 January 1970 was a Thursday. */
function isWeekend(date: number): boolean {
  return (((date + 5) % 7) + 7) % 7 < 2;
}

/** Channels of the GRUs are near 1, whatever happens. */
function bounded(changes: number): number {
  return Math.max(-6, Math.min(6, changes / 2));
}

/** What the network's answers are multiplied by, and changes among its inputs divided by: mostly the last days' usual change, somewhat the last hours'. */
function scaleOf(past: PairChannels, horizon: number, slot: number): number {
  return (2 * past.changeSlow[horizon]![slot]! + past.changeFast[horizon]![slot]!) / 3;
}

/** Slots before an origin that its inputs rest on, but for what smoothed values keep of still older ones. */
export function inputReach(horizons: readonly number[], slotsPerDay: number, window: number): number {
  const week = 7 * slotsPerDay;
  const farthest = horizons.at(-1)! + 2 * hourOf(slotsPerDay) + window;
  return Math.ceil(farthest / week) * week + Math.ceil(farthest / slotsPerDay) * slotsPerDay + hourOf(slotsPerDay);
}
