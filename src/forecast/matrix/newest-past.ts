import { f32x4, f64x2, i32, loop, v128, wasmFunction, type Code, type Variable, type WasmFunction } from '../wasm/assembler.ts';
import { growingKernel } from '../wasm/growing-kernel.ts';
import { seasonRates, seasonSlot, type HoltWintersWeights } from './baselines.ts';
import type { DemandMatrix } from './demand-matrix.ts';
import { firstChange, startSums, MOVEMENTS, movementRates } from './movements.ts';
import { FAST_RATE, HOLT_WINTERS, jumpRates } from './pair-past.ts';
import type { LevelledPast } from './levelled-past.ts';
import { besidesFunction, placeTwoPairs, roundedUp, SLOT_BYTES, TwoPairs, type BesidesKernel } from './two-pairs.ts';

/** What `PairPast` smooths, and `movementsOf`, as it is at the last slot: `[pair]`, or `[pair · horizons + horizon]`. */
export interface NewestPast {
  horizons: readonly number[];
  fast: Float32Array;
  slow: Float32Array;
  jumpHour: Float32Array;
  jumpDay: Float32Array;
  /** Holt-Winters' level (NaN where nothing was ever known) and trend, and the season of the horizon's time of day. */
  level: Float64Array;
  trend: Float64Array;
  season: Float64Array;
  /** `[(pair · horizons + horizon) · MOVEMENTS + which]` */
  movements: Float32Array;
}

/** In the kernel's memory: what goes from slot to slot, two float64 each, one a pair; then rates. */
const STATES = ['level', 'trend', 'dayMean', 'fast', 'slow', 'jumpHour', 'jumpDay', 'seasonRate', 'slowRate', 'hourRate', 'dayRate', 'day'] as const;
type State = (typeof STATES)[number];
const STATES_AT = 0;
const SUMS_AT = STATES_AT + 16 * STATES.length;
const KEPT_AT = SUMS_AT + 16 * MOVEMENTS;
const SERIES_AT = KEPT_AT + 16 * MOVEMENTS;
/** Bytes of a slot's seasons: two float64. */
const SEASON_BYTES = 16;

/**
 * The smoothed values of all pairs at the last slot, to the last bit those that `PairPast` and `movementsOf` find for every slot:
 * a forecast asks for no others, and two pairs take one pair's time.
 */
export function newestPast(matrix: DemandMatrix, { z, hasGaps }: Pick<LevelledPast, 'z' | 'hasGaps'>, horizons: readonly number[]): NewestPast {
  const pairs = matrix.pairs.length;
  const floats = (each = 1): Float32Array => new Float32Array(pairs * each);
  const found: NewestPast = {
    horizons,
    fast: floats(),
    slow: floats(),
    jumpHour: floats(),
    jumpDay: floats(),
    level: new Float64Array(pairs),
    trend: new Float64Array(pairs),
    season: new Float64Array(pairs * horizons.length),
    movements: floats(horizons.length * MOVEMENTS),
  };
  const walk = new Walk(matrix.length, matrix.slotsPerDay, horizons);
  for (let pair = 0; pair < pairs; pair += 2) {
    const two: [number, number] = [pair, Math.min(pair + 1, pairs - 1)];
    two.forEach((each, lane) => walk.load(lane as 0 | 1, matrix.values[each]!, z[each]!, hasGaps[each] === 1));
    walk.run(found, two);
  }
  return found;
}

/** Of a pair over one of the horizons. */
export function movementsAt({ horizons, movements }: NewestPast, pair: number, steps: number): Float32Array {
  const at = (pair * horizons.length + horizons.indexOf(steps)) * MOVEMENTS;
  return movements.subarray(at, at + MOVEMENTS);
}

/** Two pairs' walk from the first slot to the last. */
class Walk {
  private readonly length: number;
  private readonly day: number;
  private readonly horizons: readonly number[];
  private readonly kernel: ReturnType<typeof kernelFor>;
  private readonly two: TwoPairs;
  /** Address of the seasons, two float64 a slot after a day of zeros. */
  private readonly seasonAt: number;
  private readonly state: Float64Array;
  private readonly sums: Float64Array;
  private readonly rates: readonly number[];
  private readonly seasons: Float64Array;

  constructor(length: number, day: number, horizons: readonly number[]) {
    [this.length, this.day, this.horizons] = [length, day, horizons];
    const place = placeTwoPairs(SERIES_AT, length, 1);
    this.seasonAt = roundedUp(place.end, SEASON_BYTES) + SEASON_BYTES * day;
    this.kernel = kernelFor(this.seasonAt + SEASON_BYTES * length);
    this.two = new TwoPairs(this.kernel, place);
    const { buffer } = this.kernel.memory;
    this.state = new Float64Array(buffer, STATES_AT, 2 * STATES.length);
    this.sums = new Float64Array(buffer, SUMS_AT, 2 * MOVEMENTS);
    this.seasons = new Float64Array(buffer, this.seasonAt, 2 * length);
    new Float64Array(buffer, this.seasonAt - SEASON_BYTES * day, 2 * day).fill(0);
    this.rates = movementRates(day);
    new Float64Array(buffer, KEPT_AT, 2 * MOVEMENTS).set(this.rates.flatMap((rate) => [1 - rate, 1 - rate]));
    const { slow, hour, day: ofDay } = jumpRates(day);
    Object.entries({ slowRate: slow, hourRate: hour, dayRate: ofDay, day }).forEach(([name, value]) => this.set(name as State, [value, value]));
  }

  load(lane: 0 | 1, values: Float32Array, levels: Float32Array, hasGaps: boolean): void {
    this.two.load(lane, values, levels.length === this.length ? levels : levels.subarray(0, this.length), hasGaps);
  }

  run(found: NewestPast, pairs: readonly [number, number]): void {
    this.two.putBeside();
    this.smooth();
    pairs.forEach((pair, lane) => this.readSmoothed(lane, found, pair));
    this.horizons.forEach((steps, horizon) => {
      this.move(steps);
      pairs.forEach((pair, lane) => {
        const at = (pair * this.horizons.length + horizon) * MOVEMENTS;
        for (let which = 0; which < MOVEMENTS; which++) found.movements[at + which] = this.rates[which]! * this.sums[2 * which + lane]!;
      });
    });
  }

  private smooth(): void {
    const { length, day, two, kernel, seasonAt } = this;
    const starts = two.series.map((series, lane) => (two.firstKnown[lane]! < 0 ? 0 : series[two.firstKnown[lane]!]!));
    for (const name of ['level', 'dayMean', 'fast', 'slow'] as const) this.set(name, starts);
    this.set('trend', [0, 0]);
    // A mean begins as its first value is; that it is then met again moves nothing.
    const jumps = two.series.map((series) => {
      const first = firstChange(series, 1);
      return first < length ? Math.abs(Math.fround(series[first]! - series[first - 1]!)) : 0;
    });
    this.set('jumpHour', jumps);
    this.set('jumpDay', jumps);
    let from = 0;
    for (const { until, rate } of seasonRates(day, HOLT_WINTERS)) {
      const end = Math.min(length, until);
      this.set('seasonRate', [rate, rate]);
      if (from < end) kernel.smooth(two.at + SLOT_BYTES * from, two.at + SLOT_BYTES * end, seasonAt + SEASON_BYTES * from, SEASON_BYTES * day);
      from = Math.max(from, end);
    }
  }

  private readSmoothed(lane: number, found: NewestPast, pair: number): void {
    const { length, day, horizons, seasons, two } = this;
    const state = (name: State): number => this.state[2 * STATES.indexOf(name) + lane]!;
    for (const name of ['fast', 'slow', 'jumpHour', 'jumpDay', 'trend'] as const) found[name][pair] = state(name);
    found.level[pair] = two.firstKnown[lane]! < 0 ? Number.NaN : state('level');
    horizons.forEach((steps, horizon) => {
      const seen = seasonSlot(length - 1, steps, day);
      found.season[pair * horizons.length + horizon] = seen < 0 ? 0 : seasons[2 * seen + lane]!;
    });
  }

  /** Leaves the sums of one horizon. */
  private move(steps: number): void {
    const { length, two, kernel, sums, rates } = this;
    const firsts = two.series.map((series) => firstChange(series, steps));
    two.series.forEach((series, lane) => {
      startSums(series, firsts[lane]!, steps, rates, sums, lane, 2);
    });
    const from = Math.min(...firsts);
    const walk = two.hasGaps.includes(true) ? kernel.moveWithGaps : kernel.move;
    if (from < length) walk(two.at + SLOT_BYTES * from, two.at + SLOT_BYTES * length, SLOT_BYTES * steps);
  }

  private set(name: State, values: readonly number[]): void {
    this.state.set(values, 2 * STATES.indexOf(name));
  }
}

interface KernelFunctions {
  besides: BesidesKernel['besides'];
  smooth: (from: number, until: number, seasons: number, day: number) => void;
  move: (from: number, until: number, back: number) => void;
  moveWithGaps: KernelFunctions['move'];
}

const kernelFor = growingKernel<KernelFunctions>(() => [besidesFunction(), smoothFunction(HOLT_WINTERS), moveFunction('move', false), moveFunction('moveWithGaps', true)]);

const { add, subtract, multiply, divide, equal, absolute, promoted } = f64x2;

/** `SmoothedPast` and its Holt-Winters of the slots [from, until), addresses; a slot that is unknown leaves nearly all as it is. */
const smoothFunction = (weights: HoltWintersWeights): WasmFunction => wasmFunction('smooth', ['from', 'until', 'seasons', 'day'], (p, make) => {
  const [slot, season] = [make.i32(), make.i32()];
  const [value, floats, before, isKnown, jumped, size, last] = [make.v128(), make.v128(), make.v128(), make.v128(), make.v128(), make.v128(), make.v128()];
  const state = Object.fromEntries(STATES.map((name) => [name, make.v128()])) as Record<State, Variable>;
  const { level, trend, dayMean, fast, slow, jumpHour, jumpDay } = state;
  const constants = new Map<number, Variable>();
  const constant = (number: number): Code => (constants.get(number) ?? constants.set(number, make.v128()).get(number)!).get;
  const keep = (variable: Variable, mask: Variable, then: Code): Code => variable.set(v128.select(mask.get, then, variable.get));
  const toward = (variable: Variable, mask: Variable, rate: Code, of: Variable): Code => keep(variable, mask, add(variable.get, multiply(rate, subtract(of.get, variable.get))));
  const body = [
    // As it would be kept in four bytes; what lies before the first slot is unknown.
    size.set(absolute(promoted(f32x4.subtract(f32x4.loadTwo(slot.get), floats.get)))),
    floats.set(f32x4.loadTwo(slot.get)),
    value.set(promoted(floats.get)),
    before.set(v128.load(i32.subtract(season.get, p.day))),
    isKnown.set(equal(value.get, value.get)),
    jumped.set(equal(size.get, size.get)),
    toward(fast, isKnown, constant(FAST_RATE), value),
    toward(slow, isKnown, state.slowRate.get, value),
    toward(jumpHour, jumped, state.hourRate.get, size),
    toward(jumpDay, jumped, state.dayRate.get, size),
    last.set(level.get),
    keep(level, isKnown, add(multiply(constant(weights.level), subtract(value.get, before.get)), multiply(constant(1 - weights.level), add(level.get, multiply(constant(weights.damping), trend.get))))),
    trend.set(
      v128.select(
        isKnown.get,
        add(multiply(constant(weights.trend), subtract(level.get, last.get)), multiply(constant((1 - weights.trend) * weights.damping), trend.get)),
        multiply(constant(weights.damping), trend.get),
      ),
    ),
    keep(dayMean, isKnown, add(dayMean.get, divide(subtract(value.get, dayMean.get), state.day.get))),
    v128.store(season.get, v128.select(isKnown.get, add(before.get, multiply(state.seasonRate.get, subtract(subtract(value.get, dayMean.get), before.get))), before.get)),
    season.set(i32.add(season.get, i32.constant(SEASON_BYTES))),
  ];
  const addressOf = (index: number): Code => i32.constant(STATES_AT + 16 * index);
  return [
    ...STATES.map((name, index) => state[name].set(v128.load(addressOf(index)))),
    ...[...constants].map(([number, variable]) => variable.set(f64x2.constant(number))),
    season.set(p.seasons),
    floats.set(f32x4.loadTwo(i32.subtract(p.from, i32.constant(SLOT_BYTES)))),
    loop(slot, p.from, p.until, i32.constant(SLOT_BYTES), body),
    ...STATES.map((name, index) => v128.store(addressOf(index), state[name].get)),
  ];
});

/** `movementsOf` over one horizon; with gaps only the changes that are known move a pair's means. */
const moveFunction = (name: string, hasGaps: boolean): WasmFunction => wasmFunction(name, ['from', 'until', 'back'], (p, make) => {
  const [slot, change, isKnown] = [make.i32(), make.v128(), make.v128()];
  const sums = Array.from({ length: MOVEMENTS }, () => make.v128());
  const [size, rise, square] = [make.v128(), make.v128(), make.v128()];
  const valueOf = [size, size, size, rise, rise, rise, square, square];
  const follow = (sum: Variable, which: number): Code => {
    const moved = add(multiply(sum.get, v128.load(i32.constant(KEPT_AT + 16 * which))), valueOf[which]!.get);
    return sum.set(hasGaps ? v128.select(isKnown.get, moved, sum.get) : moved);
  };
  const body = [
    change.set(f32x4.subtract(f32x4.loadTwo(slot.get), f32x4.loadTwo(i32.subtract(slot.get, p.back)))),
    size.set(promoted(f32x4.absolute(change.get))),
    change.set(f32x4.greaterOf(change.get, f32x4.constant(0))),
    rise.set(promoted(change.get)),
    square.set(promoted(f32x4.multiply(change.get, change.get))),
    ...(hasGaps ? [isKnown.set(equal(size.get, size.get))] : []),
    ...sums.map(follow),
  ];
  return [
    ...sums.map((sum, which) => sum.set(v128.load(i32.constant(SUMS_AT + 16 * which)))),
    loop(slot, p.from, p.until, i32.constant(SLOT_BYTES), body),
    ...sums.map((sum, which) => v128.store(i32.constant(SUMS_AT + 16 * which), sum.get)),
  ];
});
