import { HoltWintersRun } from './baselines.ts';
import { fillGaps } from './demand-matrix.ts';
import { setLevels } from './level-of.ts';
import type { LevelledPast } from './levelled-past.ts';
import type { NewestPast } from './newest-past.ts';

export const HOLT_WINTERS = { level: 0.4, trend: 0.01, season: 0.1, damping: 0.9 };

export const FAST_RATE = 0.4;

/** Of the smoothed level of about an hour, and of the sizes of jumps over an hour and a day. */
export function jumpRates(slotsPerDay: number): { slow: number; hour: number; day: number } {
  const hour = hourSlots(slotsPerDay);
  return { slow: 2 / (hour + 1), hour: 1 / hour, day: 1 / slotsPerDay };
}

/** One pair's past in z = log1p(y/c), gaps filled from the past. Its memory serves one pair after another. */
export class PairPast {
  z: Float32Array;
  readonly length: number;
  /** z where it is known, else NaN. */
  known: Float32Array;
  private readonly ownZ: Float32Array;
  private readonly ownKnown: Float32Array;
  private readonly slotsPerDay: number;
  private readonly sums: Float64Array;
  private readonly squares: Float64Array;
  private readonly unknownFor: Uint16Array;
  private readonly smoothing: SmoothedPast;
  private isSmoothed = false;

  constructor(length: number, slotsPerDay: number) {
    this.length = length;
    this.slotsPerDay = slotsPerDay;
    this.z = this.ownZ = new Float32Array(length);
    this.known = this.ownKnown = new Float32Array(length);
    this.sums = new Float64Array(length + 1);
    this.squares = new Float64Array(length + 1);
    this.unknownFor = new Uint16Array(length);
    this.smoothing = new SmoothedPast(length, slotsPerDay);
  }

  /** @param levels  its z, when it is known already */
  load(values: Float32Array, scale: number, levels: Float32Array | null = null): this {
    const { sums, squares, unknownFor, length } = this;
    [this.z, this.known] = [this.ownZ, this.ownKnown];
    const { z, known } = this;
    if (levels) z.set(levels.subarray(0, length));
    else setLevels(fillGaps(values, this.slotsPerDay, z), scale, z);
    // One by one: taken out of a list they would be numbers on the heap in every turn of the loop.
    let sum = 0;
    let square = 0;
    let unknown = 0;
    for (let slot = 0; slot < length; slot++) {
      const value = z[slot]!;
      const isUnknown = Number.isNaN(values[slot]!);
      known[slot] = isUnknown ? Number.NaN : value;
      unknown = isUnknown ? Math.min(60_000, unknown + 1) : 0;
      unknownFor[slot] = unknown;
      sum += value;
      square += value * value;
      sums[slot + 1] = sum;
      squares[slot + 1] = square;
    }
    this.isSmoothed = false;
    return this;
  }

  /**
   * Takes up another pair of which only the last slot will be asked: what is smoothed is good there alone.
   * @param levelled  its z is not copied
   */
  loadNewest(values: Float32Array, { z: levels, hasGaps }: Pick<LevelledPast, 'z' | 'hasGaps'>, newest: NewestPast, pair: number): this {
    const { sums, squares, unknownFor, length } = this;
    this.z = levels[pair]!.length === length ? levels[pair]! : levels[pair]!.subarray(0, length);
    const { z } = this;
    this.known = hasGaps[pair] === 1 ? z.map((value, slot) => (Number.isNaN(values[slot]!) ? Number.NaN : value)) : z;
    let sum = 0;
    let square = 0;
    for (let slot = 0; slot < length; slot++) {
      const value = z[slot]!;
      sum += value;
      square += value * value;
      sums[slot + 1] = sum;
      squares[slot + 1] = square;
    }
    let unknown = 0;
    while (unknown < Math.min(60_000, length) && Number.isNaN(values[length - 1 - unknown]!)) unknown += 1;
    unknownFor[length - 1] = unknown;
    this.smoothing.takeNewest(newest, pair);
    this.isSmoothed = true;
    return this;
  }

  /** Levels, jumps and season of the loaded pair; found when they are first asked for. */
  smoothed(): SmoothedPast {
    if (!this.isSmoothed) this.smoothing.load(this.known);
    this.isSmoothed = true;
    return this.smoothing;
  }

  slotsUnknown(slot: number): number {
    return this.unknownFor[slot]!;
  }

  at(slot: number): number {
    return slot >= 0 ? this.z[slot]! : Number.NaN;
  }

  /** NaN also where it was not measured. */
  exact(slot: number): number {
    return slot >= 0 ? this.known[slot]! : Number.NaN;
  }

  mean(from: number, until: number): number {
    const first = Math.max(0, from);
    return until > first ? (this.sums[until]! - this.sums[first]!) / (until - first) : Number.NaN;
  }

  /** Mean of [slot − near, slot + near]; NaN before the beginning. */
  around(slot: number, near: number): number {
    return slot >= near ? this.mean(slot - near, Math.min(this.length, slot + near + 1)) : Number.NaN;
  }

  spread(from: number, until: number): number {
    const first = Math.max(0, from);
    const count = until - first;
    const mean = (this.sums[until]! - this.sums[first]!) / count;
    return Math.sqrt(Math.max(0, (this.squares[until]! - this.squares[first]!) / count - mean * mean));
  }
}

/** Exponentially weighted means of a pair's known z, and of the size of its changes from slot to slot; 0 before the first. */
class SmoothedPast {
  readonly fast: Float32Array;
  readonly slow: Float32Array;
  readonly jumpHour: Float32Array;
  readonly jumpDay: Float32Array;
  readonly season: HoltWintersRun;
  private readonly slotsPerDay: number;

  constructor(length: number, slotsPerDay: number) {
    this.slotsPerDay = slotsPerDay;
    [this.fast, this.slow, this.jumpHour, this.jumpDay] = [new Float32Array(length), new Float32Array(length), new Float32Array(length), new Float32Array(length)];
    this.season = new HoltWintersRun(length, slotsPerDay, HOLT_WINTERS);
  }

  takeNewest(newest: NewestPast, pair: number): void {
    const last = this.fast.length - 1;
    this.fast[last] = newest.fast[pair]!;
    this.slow[last] = newest.slow[pair]!;
    this.jumpHour[last] = newest.jumpHour[pair]!;
    this.jumpDay[last] = newest.jumpDay[pair]!;
    this.season.takeNewest(newest, pair);
  }

  load(known: Float32Array): void {
    const { fast, slow, jumpHour, jumpDay, slotsPerDay } = this;
    const { slow: slowRate, hour: hourRate, day: dayRate } = jumpRates(slotsPerDay);
    let isStarted = false;
    let hasJumped = false;
    let level = 0;
    let mean = 0;
    let jump = 0;
    let jumpOfDay = 0;
    let before = Number.NaN;
    for (let slot = 0; slot < known.length; slot++) {
      const value = known[slot]!;
      if (!Number.isNaN(value)) {
        level = isStarted ? level + FAST_RATE * (value - level) : value;
        mean = isStarted ? mean + slowRate * (value - mean) : value;
        isStarted = true;
        const size = Math.abs(Math.fround(value - before));
        if (!Number.isNaN(size)) {
          jump = hasJumped ? jump + hourRate * (size - jump) : size;
          jumpOfDay = hasJumped ? jumpOfDay + dayRate * (size - jumpOfDay) : size;
          hasJumped = true;
        }
      }
      before = value;
      fast[slot] = level;
      slow[slot] = mean;
      jumpHour[slot] = jump;
      jumpDay[slot] = jumpOfDay;
    }
    this.season.load(known);
  }
}

/** The greatest max(0, change) of the last `windows` slots up to any slot from `from` on, the shorter window first; 0 where none is known. */
export function greatestRises({ known }: PairPast, steps: number, from: number, windows: readonly [number, number], asked: number): ((slot: number) => number)[] {
  const [short, long] = windows;
  if (asked * long >= known.length - from) {
    const rises = new Float32Array(known.length - from);
    for (let slot = Math.max(from, steps); slot < known.length; slot++) {
      const change = changeAt(known, slot, steps);
      if (change > 0) rises[slot - from] = change;
    }
    return windows.map((window) => {
      const most = slidingExtreme(rises, window, 1);
      return (slot) => most[slot - from] ?? Number.NaN;
    });
  }
  return [short, long].map((window) => (slot) => {
    let most = 0;
    for (let before = Math.max(from, steps, slot - window + 1); before <= slot; before++) {
      const change = changeAt(known, before, steps);
      if (change > most) most = change;
    }
    return most;
  });
}

/** z(t) − z(t − steps), as it would be kept in four bytes: what is learned and what is forecast must see the same. */
function changeAt(known: Float32Array, slot: number, steps: number): number {
  return Math.fround(known[slot]! - known[slot - steps]!);
}

/** Slots that stand for an hour. */
export function hourSlots(slotsPerDay: number): number {
  return Math.max(2, Math.round(slotsPerDay / 24));
}

/**
 * The greatest (`sign` 1) or least (−1) of the last `window` values at any slot, NaN outside: looked up where few are
 * asked for, else found for all at once.
 */
export function extremes(values: Float32Array, window: number, sign: 1 | -1, asked: number): (slot: number) => number {
  if (asked * window >= values.length) {
    const all = slidingExtreme(values, window, sign);
    return (slot) => all[slot] ?? Number.NaN;
  }
  return (slot) => {
    if (!(slot >= 0 && slot < values.length)) return Number.NaN;
    let extreme = values[slot]!;
    for (let before = Math.max(0, slot - window + 1); before < slot; before++) if (sign * values[before]! > sign * extreme) extreme = values[before]!;
    return extreme;
  };
}

/** The same at each slot, in one pass (monotone queue). */
function slidingExtreme(values: Float32Array, window: number, sign: 1 | -1): Float32Array {
  const found = new Float32Array(values.length);
  const queue = new Int32Array(values.length);
  let head = 0;
  let tail = 0;
  for (let slot = 0; slot < values.length; slot++) {
    while (tail > head && sign * values[queue[tail - 1]!]! <= sign * values[slot]!) tail -= 1;
    queue[tail++] = slot;
    if (queue[head]! <= slot - window) head += 1;
    found[slot] = values[queue[head]!]!;
  }
  return found;
}
