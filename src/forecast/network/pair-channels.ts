import { seasonSlot } from '../matrix/baselines.ts';
import { fillGaps } from '../matrix/demand-matrix.ts';
import { setLevels } from '../matrix/level-of.ts';
import type { LevelledPast } from '../matrix/levelled-past.ts';
import type { NewestChannels } from './newest-channels.ts';

export const FAST = 0.4;
export const SEASON = { level: 0.4, season: 0.3, trend: 0.02, damping: 0.9 };
/** Spread of a pair that has never changed, or has no past. */
export const CHANGE_LEAST = 0.02;
export const CHANGE_UNKNOWN = 0.2;

/** One pair's past as series in z = log1p(y/c), each value known at its own slot. Holds one pair at a time. */
export class PairChannels {
  /** Gaps filled from the past. */
  z: Float32Array;
  /** Slots since the newest known value. */
  readonly unknownFor: Uint16Array;
  /** Exponential averages with a weight of 0.4 and of about an hour. */
  readonly fast: Float32Array;
  readonly slow: Float32Array;
  /** For each horizon the usual |z(t) − z(t − h)|, of the last hours and of the last days; > 0. */
  readonly changeFast: Float32Array[];
  readonly changeSlow: Float32Array[];
  private readonly ownZ: Float32Array;
  /** Whether `unknownFor` may be other than 0 anywhere. */
  private hasUnknown = false;
  private readonly day: number;
  private readonly horizons: readonly number[];
  private readonly known: Float32Array;
  private readonly level: Float32Array;
  private readonly trend: Float32Array;
  /** The season of a slot's time of day, as it was known after that slot. */
  private readonly season: Float32Array;
  private readonly sums: Float64Array;
  private readonly squares: Float64Array;

  constructor(length: number, slotsPerDay: number, horizons: readonly number[]) {
    const floats = (): Float32Array => new Float32Array(length);
    this.day = slotsPerDay;
    this.horizons = horizons;
    this.unknownFor = new Uint16Array(length);
    this.sums = new Float64Array(length + 1);
    this.squares = new Float64Array(length + 1);
    [this.ownZ, this.known, this.fast, this.slow, this.level, this.trend, this.season] = [floats(), floats(), floats(), floats(), floats(), floats(), floats()];
    this.z = this.ownZ;
    this.changeFast = horizons.map(floats);
    this.changeSlow = horizons.map(floats);
  }

  /**
   * Takes up another pair of which only the last slot will be asked: what is smoothed is good there alone.
   * @param levelled  its z is not copied
   */
  loadNewest(values: Float32Array, { z: levels, hasGaps }: Pick<LevelledPast, 'z' | 'hasGaps'>, newest: NewestChannels, pair: number): void {
    const { sums, squares, horizons } = this;
    const { length } = this.ownZ;
    const last = length - 1;
    const z = levels[pair]!.length === length ? levels[pair]! : levels[pair]!.subarray(0, length);
    this.z = z;
    let sum = 0;
    let square = 0;
    for (let slot = 0; slot < length; slot++) {
      const value = z[slot]!;
      sums[slot + 1] = sum += value;
      squares[slot + 1] = square += value * value;
    }
    this.countUnknown(hasGaps[pair] === 1 ? values : null);
    this.fast[last] = newest.fast[pair]!;
    this.slow[last] = newest.slow[pair]!;
    this.level[last] = newest.level[pair]!;
    this.trend[last] = newest.trend[pair]!;
    horizons.forEach((steps, horizon) => {
      const cell = pair * horizons.length + horizon;
      const seen = seasonSlot(last, steps, this.day);
      if (seen >= 0) this.season[seen] = newest.season[cell]!;
      this.changeFast[horizon]![last] = newest.changeFast[cell]!;
      this.changeSlow[horizon]![last] = newest.changeSlow[cell]!;
    });
  }

  /**
   * Takes up another pair.
   * @param levels  its z, when it is known already
   */
  load(values: Float32Array, scale: number, levels: Float32Array | null = null): void {
    this.z = this.ownZ;
    this.hasUnknown = true;
    if (levels) this.z.set(levels.subarray(0, this.z.length));
    else setLevels(fillGaps(values, this.day, this.z), scale, this.z);
    this.walk(values);
    const rates = changeRates(this.day);
    for (let horizon = 0; horizon < this.horizons.length; horizon += 2) {
      const other = Math.min(horizon + 1, this.horizons.length - 1);
      usualChanges(this.known, rates, this.usualChange(horizon), this.usualChange(other));
    }
  }

  /** @param values  null: all is known */
  private countUnknown(values: Float32Array | null): void {
    const { unknownFor } = this;
    let missing = 0;
    if (values === null) {
      if (this.hasUnknown) unknownFor.fill(0);
    } else for (let slot = 0; slot < unknownFor.length; slot++) unknownFor[slot] = missing = Number.isNaN(values[slot]!) ? Math.min(60_000, missing + 1) : 0;
    this.hasUnknown = values !== null;
  }

  private usualChange(horizon: number): UsualChange {
    return { steps: this.horizons[horizon]!, fast: this.changeFast[horizon]!, slow: this.changeSlow[horizon]! };
  }

  at(slot: number): number {
    return slot >= 0 ? this.z[slot]! : Number.NaN;
  }

  isKnown(slot: number): boolean {
    return slot >= 0 && this.unknownFor[slot] === 0;
  }

  /** Mean of [from, until) as far as there is a past; NaN when there is none. */
  mean(from: number, until: number): number {
    const first = from > 0 ? from : 0;
    return until > first ? (this.sums[until]! - this.sums[first]!) / (until - first) : Number.NaN;
  }

  /** Mean of [slot − near, slot + near]; NaN before the beginning. */
  around(slot: number, near: number): number {
    return slot >= near ? this.mean(slot - near, slot + near + 1) : Number.NaN;
  }

  spread(from: number, until: number): number {
    const first = from > 0 ? from : 0;
    const count = until - first;
    const mean = (this.sums[until]! - this.sums[first]!) / count;
    return Math.sqrt(Math.max(0, (this.squares[until]! - this.squares[first]!) / count - mean * mean));
  }

  /** The greatest of the last `window` values. */
  highest(slot: number, window: number): number {
    let high = this.z[slot]!;
    for (let at = Math.max(0, slot - window + 1); at < slot; at++) if (this.z[at]! > high) high = this.z[at]!;
    return high;
  }

  lowest(slot: number, window: number): number {
    let low = this.z[slot]!;
    for (let at = Math.max(0, slot - window + 1); at < slot; at++) if (this.z[at]! < low) low = this.z[at]!;
    return low;
  }

  /** Damped Holt-Winters (season of a day) `steps` after the slot. */
  seasonal(slot: number, steps: number): number {
    const { damping } = SEASON;
    const fade = (damping * (1 - damping ** steps)) / (1 - damping);
    const seen = seasonSlot(slot, steps, this.day);
    return this.level[slot]! + fade * this.trend[slot]! + (seen >= 0 ? this.season[seen]! : 0);
  }

  /** Everything that goes from slot to slot, in one pass. */
  private walk(values: Float32Array): void {
    const { z, known, unknownFor, sums, squares, fast, slow, level, trend, season, day } = this;
    const slowWeight = slowWeightOf(day);
    const dayWeight = 1 / day;
    // One by one: taken out of a list they would be numbers on the heap in every turn of the loop.
    let quick = Number.NaN;
    let steady = Number.NaN;
    let now = Number.NaN;
    let slope = 0;
    let dayMean = Number.NaN;
    let sum = 0;
    let square = 0;
    let missing = 0;
    for (let slot = 0; slot < values.length; slot++) {
      const value = z[slot]!;
      sums[slot + 1] = sum += value;
      squares[slot + 1] = square += value * value;
      const before = slot >= day ? season[slot - day]! : 0;
      if (Number.isNaN(values[slot]!)) {
        known[slot] = Number.NaN;
        missing += 1;
        slope *= SEASON.damping;
        season[slot] = before;
      } else {
        known[slot] = value;
        missing = 0;
        if (Number.isNaN(now)) quick = steady = now = dayMean = value;
        quick += FAST * (value - quick);
        steady += slowWeight * (value - steady);
        const last = now;
        now = SEASON.level * (value - before) + (1 - SEASON.level) * (now + SEASON.damping * slope);
        slope = SEASON.trend * (now - last) + (1 - SEASON.trend) * SEASON.damping * slope;
        dayMean += (value - dayMean) * dayWeight;
        season[slot] = before + (slot < day ? 1 : SEASON.season) * (value - dayMean - before);
      }
      unknownFor[slot] = missing < 60_000 ? missing : 60_000;
      fast[slot] = Number.isNaN(quick) ? value : quick;
      slow[slot] = Number.isNaN(steady) ? value : steady;
      level[slot] = Number.isNaN(now) ? value : now;
      trend[slot] = slope;
    }
  }
}

export function hourOf(slotsPerDay: number): number {
  return Math.max(2, Math.round(slotsPerDay / 24));
}

/** Weight of the newest value in an average of about an hour. */
export function slowWeightOf(slotsPerDay: number): number {
  return 2 / (hourOf(slotsPerDay) + 1);
}

export interface ChangeRates {
  fast: number;
  slow: number;
  /** How much the k-th known change counts in the fast and in the slow mean: `[2 · k]`, `[2 · k + 1]`. */
  beginning(count: number): Float64Array;
}

export function changeRates(slotsPerDay: number): ChangeRates {
  const [fast, slow] = [2 / (3 * hourOf(slotsPerDay)), 1 / (2 * slotsPerDay)];
  const beginning = (count: number): Float64Array => {
    const rates = new Float64Array(2 * count);
    let early = 1;
    for (let change = 0; change < count; change++) {
      if (early > slow) early /= 1 + early;
      rates[2 * change] = Math.max(early, fast);
      rates[2 * change + 1] = Math.max(early, slow);
    }
    return rates;
  };
  return { fast, slow, beginning };
}

/** Of one horizon, at each slot. */
interface UsualChange {
  steps: number;
  fast: Float32Array;
  slow: Float32Array;
}

/**
 * Two EWMAs of |z(t) − z(t − steps)| that begin as plain means, so that a short past is not only its first change. Of two
 * horizons at a time: a mean waits for what it was a slot before, and meanwhile the other horizon's move. They may be the same.
 */
function usualChanges(known: Float32Array, rates: Pick<ChangeRates, 'fast' | 'slow'>, one: UsualChange, two: UsualChange): void {
  const { fast: fastRate, slow: slowRate } = rates;
  const { steps, fast, slow } = one;
  const { steps: otherSteps, fast: otherFast, slow: otherSlow } = two;
  // One by one: in a list they would be numbers on the heap in every turn of the loop.
  let [quick, steady, early] = [CHANGE_UNKNOWN, CHANGE_UNKNOWN, 1];
  let [otherQuick, otherSteady, otherEarly] = [CHANGE_UNKNOWN, CHANGE_UNKNOWN, 1];
  for (let slot = 0; slot < known.length; slot++) {
    const value = known[slot]!;
    const change = slot >= steps ? Math.abs(value - known[slot - steps]!) : Number.NaN;
    if (!Number.isNaN(change)) {
      if (early > slowRate) early /= 1 + early; // 1/2, 1/3, …: what was taken for the unknown counts once
      quick += (change - quick) * (early > fastRate ? early : fastRate);
      steady += (change - steady) * (early > slowRate ? early : slowRate);
    }
    fast[slot] = quick > CHANGE_LEAST ? quick : CHANGE_LEAST;
    slow[slot] = steady > CHANGE_LEAST ? steady : CHANGE_LEAST;
    const otherChange = slot >= otherSteps ? Math.abs(value - known[slot - otherSteps]!) : Number.NaN;
    if (!Number.isNaN(otherChange)) {
      if (otherEarly > slowRate) otherEarly /= 1 + otherEarly;
      otherQuick += (otherChange - otherQuick) * (otherEarly > fastRate ? otherEarly : fastRate);
      otherSteady += (otherChange - otherSteady) * (otherEarly > slowRate ? otherEarly : slowRate);
    }
    otherFast[slot] = otherQuick > CHANGE_LEAST ? otherQuick : CHANGE_LEAST;
    otherSlow[slot] = otherSteady > CHANGE_LEAST ? otherSteady : CHANGE_LEAST;
  }
}
