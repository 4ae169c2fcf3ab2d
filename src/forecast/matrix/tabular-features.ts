import { runEwma, runHoltWinters } from './baselines.ts';
import { fillGaps, type Covariate, type DemandMatrix } from './demand-matrix.ts';
import { nodeSeries, reverseOf, type NodeSeries } from './node-series.ts';

/** Lags in slots whose distance from the newest value is an input. */
const LAGS = [1, 2, 3, 4, 5, 6, 8, 12];
/** Days whose daily shape is averaged. */
const DAYS = 7;
const HOLT_WINTERS = { level: 0.4, trend: 0.01, season: 0.1, damping: 0.9 };

/** What the inputs of a horizon rest on: the whole past of all pairs, in z = log1p(y/c). */
export class TabularFeatures {
  readonly count: number;
  private readonly matrix: DemandMatrix;
  private readonly steps: number;
  private readonly scales: Float32Array;
  private readonly nodes: NodeSeries;
  private readonly reverse: Int32Array;
  private readonly covariateNames: string[];
  private volatilities: Float32Array[] | null = null;

  /** @param scales  c of each pair, > 0 */
  constructor(matrix: DemandMatrix, steps: number, scales: Float32Array) {
    this.matrix = matrix;
    this.steps = steps;
    this.scales = scales;
    this.nodes = nodeSeries(matrix);
    const index = new Map(matrix.pairs.map((name, pair) => [name, pair]));
    this.reverse = Int32Array.from(matrix.pairs, (name) => index.get(reverseOf(name)) ?? -1);
    this.covariateNames = [...new Set((matrix.covariates ?? []).map(({ name }) => name))];
    const probe: Float32Array[] = [];
    this.fill(0, Int32Array.of(0), probe, 0);
    this.count = probe.length;
  }

  /** z of the newest value known at each origin: the forecast is what is added to it. */
  levels(pair: number, origins: Int32Array): Float32Array {
    const filled = fillGaps(this.matrix.values[pair]!, this.matrix.slotsPerDay);
    return Float32Array.from(origins, (slot) => Math.log1p(filled[slot]! / this.scales[pair]!));
  }

  /** Writes the inputs of one pair's origins into rows `at` … of the columns; missing columns are added. */
  fill(pair: number, origins: Int32Array, columns: Float32Array[], at: number): void {
    const { matrix, steps } = this;
    const day = matrix.slotsPerDay;
    const hour = Math.max(2, Math.round(day / 24));
    const week = 7 * day;
    const near = Math.max(1, Math.round(hour / 4));
    // Whole days and weeks back from the target, so far that even what surrounds it lies before the origin.
    const daysBack = Math.ceil((steps + hour + 1) / day);
    const dayBack = daysBack * day;
    const weekBack = Math.ceil((steps + hour + 1) / week) * week;
    const past = new PairPast(matrix.values[pair]!, day, this.scales[pair]!);
    const { z, length } = past;
    const isFew = origins.length * 6 * hour < length;
    const mostHour = extremes(z, hour, 1, isFew);
    const mostLong = extremes(z, 6 * hour, 1, isFew);
    const leastHour = extremes(z, hour, -1, isFew);
    const fast = new Float32Array(length);
    const slow = new Float32Array(length);
    const seasonal = new Float32Array(length);
    runEwma(past.known, 0.4, fast);
    runEwma(past.known, 2 / (hour + 1), slow);
    runHoltWinters(past.known, day, steps, HOLT_WINTERS, seasonal);
    const change = past.changes(steps);
    const rise = change.map((value) => Math.max(0, value));
    const size = change.map((value) => Math.abs(value));
    const smooth = (values: Float32Array, window: number): Float32Array => {
      const out = new Float32Array(length);
      runEwma(values, 1 / window, out);
      return out;
    };
    const jump = past.changes(1).map((value) => Math.abs(value));
    const spreads = [smooth(size, hour), smooth(size, day), smooth(size, week), smooth(rise, 6 * hour), smooth(rise, day), smooth(rise, week), smooth(jump, hour), smooth(jump, day)];
    const squares = [smooth(rise.map((value) => value * value), day), smooth(rise.map((value) => value * value), week)];
    const filledRise = rise.map((value) => (Number.isNaN(value) ? 0 : value));
    const mostRise = [slidingExtreme(filledRise, 6 * hour, 1), slidingExtreme(filledRise, day, 1)];
    const mostDay = slidingExtreme(z, day, 1);
    const leastLong = slidingExtreme(z, 6 * hour, -1);
    const mostNear = slidingExtreme(z, 2 * near + 1, 1);
    const back = this.reverse[pair]! >= 0 ? new PairPast(matrix.values[this.reverse[pair]!]!, day, this.scales[this.reverse[pair]!]!) : null;
    const covariates = this.covariateNames.map((name) => this.covariateOf(name, pair));
    const groups = [this.nodes.out[this.nodes.source[pair]!]!, this.nodes.in[this.nodes.target[pair]!]!, this.nodes.total];

    for (let index = 0; index < origins.length; index++) {
      const slot = origins[index]!;
      const row = at + index;
      let column = 0;
      const put = (value: number): void => {
        let values = columns[column];
        if (!values) columns.push((values = new Float32Array(origins.length)));
        values[row] = value;
        column += 1;
      };
      const level = z[slot]!;
      const target = slot + steps;
      put(level);
      put(past.slotsUnknown(slot));
      for (const lag of LAGS) put(past.at(slot - lag) - level);
      for (const window of [3, hour, 3 * hour, 6 * hour, day]) put(past.mean(slot - window + 1, slot + 1) - level);
      put(past.mean(slot - week + 1, slot + 1) - level);
      for (const window of [3, hour, 6 * hour, day]) put(past.spread(slot - window + 1, slot + 1));
      put(mostHour(slot) - level);
      put(mostLong(slot) - level);
      put(leastHour(slot) - level);
      put(fast[slot]! - level);
      put(slow[slot]! - level);
      put(seasonal[slot]! - level);
      for (const spread of spreads) put(spread[slot]!);
      for (const square of squares) put(Math.sqrt(square[slot]!));
      for (const most of mostRise) put(most[slot]!);
      put(mostDay[slot]! - level);
      put(leastLong[slot]! - level);
      let levels = 0;
      let changes = 0;
      let days = 0;
      let rises = 0;
      let most = Number.NEGATIVE_INFINITY;
      let second = Number.NEGATIVE_INFINITY;
      for (let ago = 0; ago < DAYS; ago++) {
        const then = past.around(target - dayBack - ago * day, near);
        const change = then - past.around(slot - dayBack - ago * day, near);
        if (!Number.isNaN(change)) {
          levels += then;
          changes += change;
          days += 1;
          const peak = mostNear[target - dayBack - ago * day + near]!;
          const up = peak - past.around(slot - dayBack - ago * day, near);
          rises += Math.max(0, up);
          second = Math.max(second, Math.min(most, peak));
          most = Math.max(most, peak);
        }
        if (ago === 2) put(days > 0 ? changes / days : Number.NaN);
      }
      put(days > 0 ? levels / days - level : Number.NaN);
      put(days > 0 ? changes / days : Number.NaN);
      put(days > 0 ? rises / days : Number.NaN);
      put(days > 0 ? most - level : Number.NaN);
      put(days > 1 ? second - level : Number.NaN);
      const kind = sameKind(matrix, target, slot - near);
      const then = kind.map((back) => past.around(target - back, near));
      put(then.length > 0 ? then[0]! - level : Number.NaN);
      put(then.length > 0 ? then.reduce((sum, value) => sum + value, 0) / then.length - level : Number.NaN);
      put(kind.length > 0 ? then[0]! - past.around(slot - kind[0]!, near) : Number.NaN);
      put(isWeekend(matrix, target) === isWeekend(matrix, target - dayBack) ? 1 : 0);
      for (const back of [dayBack, weekBack]) {
        put(past.exact(target - back) - level);
        put(past.around(target - back, near) - level);
        put(past.around(target - back, hour) - level);
        put(past.around(target - back, near) - past.around(slot - back, near));
        put(mostHour(target - back + (hour >> 1)) - level);
      }
      for (const sum of groups) {
        const now = sum[slot]!;
        put(now - (sum[slot - 1] ?? now));
        put(now - (sum[slot - 3] ?? now));
        put(now - (sum[slot - hour] ?? now));
        put((sum[target - dayBack] ?? Number.NaN) - (sum[slot - dayBack] ?? Number.NaN));
        put((sum[target - weekBack] ?? Number.NaN) - (sum[slot - weekBack] ?? Number.NaN));
        put(now - (sum[slot - day] ?? Number.NaN));
      }
      for (const volatility of this.volatility(pair)) put(volatility[slot]!);
      put(back ? back.z[slot]! - back.mean(slot - hour + 1, slot + 1) : Number.NaN);
      put(past.mean(slot - day + 1, slot + 1));
      put(Math.log(this.scales[pair]!));
      const clock = matrix.startAt / matrix.stepMs + target;
      put(((clock % day) + day) % day / day);
      put(Math.floor(clock / day) % 7);
      for (const { own, hasTarget } of covariates) {
        put(own?.values[slot] ?? Number.NaN);
        if (hasTarget) put(own?.isKnownAhead ? (own.values[target] ?? Number.NaN) : Number.NaN);
      }
    }
  }

  /** How much the pair's source, target and the whole have moved over the horizon, in the last day. */
  private volatility(pair: number): Float32Array[] {
    const { source, target } = this.nodes;
    this.volatilities ??= [...this.nodes.out, ...this.nodes.in, this.nodes.total].map((series) => {
      const out = new Float32Array(series.length);
      runEwma(series.map((value, slot) => Math.abs(value - (series[slot - this.steps] ?? value))), 2 / this.matrix.slotsPerDay, out);
      return out;
    });
    const outs = this.nodes.out.length;
    return [this.volatilities[source[pair]!]!, this.volatilities[outs + target[pair]!]!, this.volatilities.at(-1)!];
  }

  /** The last covariate of that name that applies to the pair; the column of the target is there if any of the name is known ahead. */
  private covariateOf(name: string, pair: number): { own: Covariate | undefined; hasTarget: boolean } {
    const named = (this.matrix.covariates ?? []).filter((each) => each.name === name);
    return { own: named.findLast(({ pairs }) => pairs === 'all' || pairs.includes(pair)), hasTarget: named.some(({ isKnownAhead }) => isKnownAhead) };
  }
}

/** One pair's past in z = log1p(y/c), gaps filled from the past. */
class PairPast {
  readonly z: Float32Array;
  readonly length: number;
  /** z where it is known, else NaN. */
  readonly known: Float32Array;
  private readonly sums: Float64Array;
  private readonly squares: Float64Array;
  private readonly unknownFor: Uint16Array;

  constructor(values: Float32Array, slotsPerDay: number, scale: number) {
    this.length = values.length;
    this.z = fillGaps(values, slotsPerDay).map((value) => Math.log1p(value / scale));
    this.known = values.map((value) => Math.log1p(value / scale));
    this.sums = new Float64Array(this.length + 1);
    this.squares = new Float64Array(this.length + 1);
    this.unknownFor = new Uint16Array(this.length);
    for (let slot = 0; slot < this.length; slot++) {
      const value = this.z[slot]!;
      this.sums[slot + 1] = this.sums[slot]! + value;
      this.squares[slot + 1] = this.squares[slot]! + value * value;
      this.unknownFor[slot] = Number.isNaN(values[slot]!) ? Math.min(60_000, (this.unknownFor[slot - 1] ?? 0) + 1) : 0;
    }
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

  /** z(t) − z(t − steps), NaN where unknown. */
  changes(steps: number): Float32Array {
    return this.known.map((value, slot) => value - (this.known[slot - steps] ?? Number.NaN));
  }
}

/** The greatest (`sign` 1) or least (−1) of the last `window` values at any slot, NaN outside: looked up where few are asked for, else found for all at once. */
function extremes(values: Float32Array, window: number, sign: 1 | -1, isFew: boolean): (slot: number) => number {
  if (!isFew) {
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

/** The greatest (`sign` 1) or least (−1) of the last `window` values at each slot, in one pass (monotone queue). */
function slidingExtreme(values: Float32Array, window: number, sign: 1 | -1): Float32Array {
  const extremes = new Float32Array(values.length);
  const queue = new Int32Array(values.length);
  let head = 0;
  let tail = 0;
  for (let slot = 0; slot < values.length; slot++) {
    while (tail > head && sign * values[queue[tail - 1]!]! <= sign * values[slot]!) tail -= 1;
    queue[tail++] = slot;
    if (queue[head]! <= slot - window) head += 1;
    extremes[slot] = values[queue[head]!]!;
  }
  return extremes;
}

/** How far back the same time of up to three days of the target's kind lies, newest first: working day or weekend. */
function sameKind(matrix: DemandMatrix, target: number, until: number): number[] {
  const found: number[] = [];
  for (let days = 1; days <= 9 && found.length < 3; days++) {
    const then = target - days * matrix.slotsPerDay;
    if (then < 0) break;
    if (then <= until && isWeekend(matrix, then) === isWeekend(matrix, target)) found.push(days * matrix.slotsPerDay);
  }
  return found;
}

/** Saturday and Sunday when a day is a day; day 0 of the epoch is a Thursday. */
function isWeekend(matrix: DemandMatrix, slot: number): boolean {
  const day = Math.floor((matrix.startAt / matrix.stepMs + slot) / matrix.slotsPerDay) + 3;
  return ((day % 7) + 7) % 7 >= 5;
}
