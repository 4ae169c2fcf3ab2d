import { runEwma } from './baselines.ts';
import { CommonFeatures, OF_DAY, OF_JUMPS, OF_LEVEL, OF_PAIR, OF_SUM } from './common-features.ts';
import { covariateInputs, type CovariateInput, type DemandMatrix } from './demand-matrix.ts';
import type { LevelledPast } from './levelled-past.ts';
import { nodeSeries, reverseOf, type NodeSeries } from './node-series.ts';
import { MOVEMENT_MEANS, MOVEMENTS, movementsOf } from './movements.ts';
import { movementsAt, newestPast, type NewestPast } from './newest-past.ts';
import { extremes, greatestRises, hourSlots, PairPast } from './pair-past.ts';

/** Without covariates. */
const INPUTS_MAX = 128;
/** Days whose daily shape is averaged. */
const DAYS = 7;

/** What the inputs of all horizons rest on: the whole past of all pairs, in z = log1p(y/c). */
export class MatrixPast {
  readonly matrix: DemandMatrix;
  readonly scales: Float32Array;
  readonly nodes: NodeSeries;
  readonly common: CommonFeatures;
  /** The other direction of each pair, −1 where there is none. */
  readonly reverse: Int32Array;
  private readonly horizons: readonly number[];
  private readonly levelled: LevelledPast | null;
  private newest: NewestPast | null = null;
  private readonly loaded: [{ pair: number; past: PairPast }, { pair: number; past: PairPast }];
  private moved: { pair: number; origins: Int32Array | null; byHorizon: Map<number, Float32Array> } = { pair: -1, origins: null, byHorizon: new Map() };

  /**
   * @param scales    c of each pair, > 0
   * @param horizons  all that will be asked for
   * @param levelled  what is known already of these slots, or of more that begin with them
   */
  constructor(matrix: DemandMatrix, scales: Float32Array, horizons: readonly number[] = [], levelled: LevelledPast | null = null) {
    this.matrix = matrix;
    this.scales = scales;
    this.horizons = horizons;
    this.levelled = levelled;
    this.nodes = levelled?.nodes ?? nodeSeries(matrix);
    const index = new Map(matrix.pairs.map((name, pair) => [name, pair]));
    this.reverse = Int32Array.from(matrix.pairs, (name) => index.get(reverseOf(name)) ?? -1);
    const empty = (): { pair: number; past: PairPast } => ({ pair: -1, past: new PairPast(matrix.length, matrix.slotsPerDay) });
    this.loaded = [empty(), empty()];
    this.common = new CommonFeatures(this);
  }

  /** From now on nothing but the last slot will be asked, which is much faster; not where levels are not known. */
  onlyNewest(): void {
    if (this.levelled === null) return;
    this.newest = newestPast(this.matrix, this.levelled, this.horizons);
    for (const place of this.loaded) place.pair = -1;
  }

  /** Good until two others were asked for. @param besides  one that must stay good */
  pastOf(pair: number, besides = -1): PairPast {
    const [one, other] = this.loaded;
    const place = one.pair === pair || (other.pair !== pair && one.pair !== besides) ? one : other;
    if (place.pair !== pair) {
      if (this.newest) place.past.loadNewest(this.matrix.values[pair]!, this.levelled!, this.newest, pair);
      else place.past.load(this.matrix.values[pair]!, this.scales[pair]!, this.levelled?.z[pair]);
      place.pair = pair;
    }
    return place.past;
  }

  /** `movementsOf` a pair over one horizon; found for all of them at once. */
  movements(pair: number, steps: number, origins: Int32Array): Float32Array {
    if (this.newest) return movementsAt(this.newest, pair, steps);
    if (this.moved.pair !== pair || this.moved.origins !== origins || !this.moved.byHorizon.has(steps)) {
      const horizons = this.horizons.includes(steps) ? this.horizons : [steps];
      this.moved = { pair, origins, byHorizon: movementsOf(this.pastOf(pair), horizons, this.matrix.slotsPerDay, origins) };
    }
    return this.moved.byHorizon.get(steps)!;
  }

  /** All pairs, both directions one after the other: the past of each is then read once. */
  order(): number[] {
    const pairs = [...this.reverse.keys()];
    return pairs.flatMap((pair) => (this.reverse[pair]! < 0 || this.reverse[pair] === pair ? [pair] : this.reverse[pair]! > pair ? [pair, this.reverse[pair]!] : []));
  }
}

/** The inputs of one horizon. */
export class TabularFeatures {
  readonly count: number;
  private readonly matrix: DemandMatrix;
  private readonly steps: number;
  private readonly past: MatrixPast;
  private readonly covariates: CovariateInput[];
  /** The inputs of one origin. */
  private readonly row: Float64Array;
  private volatilities: Float32Array[] | null = null;
  private lastKind: { slot: number; kind: number[] } = { slot: -1, kind: [] };

  constructor(past: MatrixPast, steps: number) {
    this.matrix = past.matrix;
    this.steps = steps;
    this.past = past;
    this.covariates = covariateInputs(this.matrix);
    this.row = new Float64Array(INPUTS_MAX + 2 * this.covariates.length);
    const probe: Float32Array[] = [];
    this.fill(0, Int32Array.of(0), probe, 0);
    this.count = probe.length;
  }

  /** z of the newest value known at each origin: the forecast is what is added to it. */
  levels(pair: number, origins: Int32Array): Float32Array {
    const { z } = this.past.pastOf(pair);
    return origins.length === 1 ? z.slice(origins[0], origins[0]! + 1) : Float32Array.from(origins, (slot) => z[slot]!);
  }

  /** Writes the inputs of one pair's origins into rows `at` … of the columns; missing columns are added. */
  fill(pair: number, origins: Int32Array, columns: Float32Array[], at: number): void {
    const { matrix, steps } = this;
    const day = matrix.slotsPerDay;
    const hour = hourSlots(day);
    const week = 7 * day;
    const near = Math.max(1, Math.round(hour / 4));
    // Whole days and weeks back from the target, so far that even what surrounds it lies before the origin.
    const daysBack = Math.ceil((steps + hour + 1) / day);
    const dayBack = daysBack * day;
    const weekBack = Math.ceil((steps + hour + 1) / week) * week;
    const { nodes, common } = this.past;
    const past = this.past.pastOf(pair);
    const { season } = past.smoothed();
    const { z } = past;
    const movements = this.past.movements(pair, steps, origins);
    const asked = origins.length;
    const mostHour = extremes(z, hour, 1, 3 * asked);
    const mostRises = greatestRises(past, steps, Math.max(0, (origins[0] ?? 0) - day), [6 * hour, day], asked);
    const mostNear = extremes(z, 2 * near + 1, 1, DAYS * asked);
    const groups = [nodes.out[nodes.source[pair]!]!, nodes.in[nodes.target[pair]!]!, nodes.total];
    const volatilities = this.volatility(pair);
    const inputs = common.of(pair, origins);
    // Numbers that are handed to a function are on the heap, 80 of them a row.
    const { row } = this;
    let known = 0;

    for (let index = 0; index < origins.length; index++) {
      const slot = origins[index]!;
      let input = 0;
      const level = z[slot]!;
      const target = slot + steps;
      for (const end = known + OF_LEVEL; known < end; known++) row[input++] = inputs[known]!;
      row[input++] = Math.fround(season.ahead(slot, steps)) - level;
      for (let which = 0; which < MOVEMENT_MEANS; which++) row[input++] = movements[MOVEMENTS * index + which]!;
      for (const end = known + OF_JUMPS; known < end; known++) row[input++] = inputs[known]!;
      for (let which = MOVEMENT_MEANS; which < MOVEMENTS; which++) row[input++] = Math.sqrt(movements[MOVEMENTS * index + which]!);
      for (const mostRise of mostRises) row[input++] = mostRise(slot);
      for (const end = known + OF_DAY; known < end; known++) row[input++] = inputs[known]!;
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
          const peak = mostNear(target - dayBack - ago * day + near);
          const up = peak - past.around(slot - dayBack - ago * day, near);
          rises += Math.max(0, up);
          second = Math.max(second, Math.min(most, peak));
          most = Math.max(most, peak);
        }
        if (ago === 2) row[input++] = days > 0 ? changes / days : Number.NaN;
      }
      row[input++] = days > 0 ? levels / days - level : Number.NaN;
      row[input++] = days > 0 ? changes / days : Number.NaN;
      row[input++] = days > 0 ? rises / days : Number.NaN;
      row[input++] = days > 0 ? most - level : Number.NaN;
      row[input++] = days > 1 ? second - level : Number.NaN;
      const kind = this.sameKind(slot, near);
      const then = kind.map((back) => past.around(target - back, near));
      row[input++] = then.length > 0 ? then[0]! - level : Number.NaN;
      row[input++] = then.length > 0 ? then.reduce((sum, value) => sum + value, 0) / then.length - level : Number.NaN;
      row[input++] = kind.length > 0 ? then[0]! - past.around(slot - kind[0]!, near) : Number.NaN;
      row[input++] = isWeekend(matrix, target) === isWeekend(matrix, target - dayBack) ? 1 : 0;
      for (const back of [dayBack, weekBack]) {
        row[input++] = past.exact(target - back) - level;
        row[input++] = past.around(target - back, near) - level;
        row[input++] = past.around(target - back, hour) - level;
        row[input++] = past.around(target - back, near) - past.around(slot - back, near);
        row[input++] = mostHour(target - back + (hour >> 1)) - level;
      }
      for (const sum of groups) {
        for (const end = known + OF_SUM - 1; known < end; known++) row[input++] = inputs[known]!;
        row[input++] = (sum[target - dayBack] ?? Number.NaN) - (sum[slot - dayBack] ?? Number.NaN);
        row[input++] = (sum[target - weekBack] ?? Number.NaN) - (sum[slot - weekBack] ?? Number.NaN);
        for (const end = known + 1; known < end; known++) row[input++] = inputs[known]!;
      }
      for (const volatility of volatilities) row[input++] = volatility[slot]!;
      for (const end = known + OF_PAIR; known < end; known++) row[input++] = inputs[known]!;
      const clock = matrix.startAt / matrix.stepMs + target;
      row[input++] = ((clock % day) + day) % day / day;
      row[input++] = Math.floor(clock / day) % 7;
      for (const { ofPair, hasTarget } of this.covariates) {
        const own = ofPair[pair];
        row[input++] = own?.values[slot] ?? Number.NaN;
        if (hasTarget) row[input++] = own?.isKnownAhead ? (own.values[target] ?? Number.NaN) : Number.NaN;
      }
      while (columns.length < input) columns.push(new Float32Array(origins.length));
      for (let column = 0; column < input; column++) columns[column]![at + index] = row[column]!;
    }
  }

  private sameKind(slot: number, near: number): number[] {
    if (this.lastKind.slot !== slot) this.lastKind = { slot, kind: sameKind(this.matrix, slot + this.steps, slot - near) };
    return this.lastKind.kind;
  }

  /** How much the pair's source, target and the whole have moved over the horizon, in the last day. */
  private volatility(pair: number): Float32Array[] {
    const { nodes } = this.past;
    const { source, target } = nodes;
    this.volatilities ??= [...nodes.out, ...nodes.in, nodes.total].map((series) => {
      const changes = new Float32Array(series.length);
      for (let slot = this.steps; slot < series.length; slot++) changes[slot] = Math.abs(series[slot]! - series[slot - this.steps]!);
      runEwma(changes, 2 / this.matrix.slotsPerDay, changes);
      return changes;
    });
    const outs = nodes.out.length;
    return [this.volatilities[source[pair]!]!, this.volatilities[outs + target[pair]!]!, this.volatilities.at(-1)!];
  }
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
