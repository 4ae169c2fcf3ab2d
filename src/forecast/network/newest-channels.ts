import { seasonSlot } from '../matrix/baselines.ts';
import type { DemandMatrix } from '../matrix/demand-matrix.ts';
import type { LevelledPast } from '../matrix/levelled-past.ts';
import { besidesFunction, placeTwoPairs, roundedUp, SLOT_BYTES, TwoPairs, type BesidesKernel } from '../matrix/two-pairs.ts';
import { f64x2, i32, loop, v128, wasmFunction, type Code, type Variable, type WasmFunction } from '../wasm/assembler.ts';
import { growingKernel } from '../wasm/growing-kernel.ts';
import { CHANGE_LEAST, CHANGE_UNKNOWN, changeRates, FAST, SEASON, slowWeightOf } from './pair-channels.ts';

/** What `PairChannels` smooths, as it is at the last slot: `[pair]`, or `[pair · horizons + horizon]`. */
export interface NewestChannels {
  fast: Float32Array;
  slow: Float32Array;
  level: Float32Array;
  trend: Float32Array;
  /** Of the horizon's time of day. */
  season: Float32Array;
  changeFast: Float32Array;
  changeSlow: Float32Array;
}

/** Horizons whose changes are walked together: a mean waits for what it was a slot before, and meanwhile the others move. */
const TOGETHER = 4;
/** In the kernel's memory: what goes from slot to slot, two float64 each, one a pair. */
const LEVELS = ['quick', 'steady', 'now', 'slope', 'dayMean', 'seasonRate', 'slowWeight', 'dayWeight'] as const;
const CHANGES = ['quick', 'steady', 'early'] as const;
const LEVELS_AT = 0;
const CHANGES_AT = LEVELS_AT + 16 * LEVELS.length;
const RATES_AT = CHANGES_AT + 16 * CHANGES.length * TOGETHER;
const SERIES_AT = RATES_AT + 32;

/**
 * The smoothed values of all pairs at the last slot, to the last bit those that `PairChannels` finds for every slot: a forecast
 * asks for no others, and two pairs take one pair's time.
 */
export function newestChannels(matrix: DemandMatrix, { z, hasGaps }: Pick<LevelledPast, 'z' | 'hasGaps'>, horizons: readonly number[]): NewestChannels {
  const { length, slotsPerDay: day } = matrix;
  const pairs = matrix.pairs.length;
  const floats = (each = 1): Float32Array => new Float32Array(pairs * each);
  const found: NewestChannels = { fast: floats(), slow: floats(), level: floats(), trend: floats(), season: floats(horizons.length), changeFast: floats(horizons.length), changeSlow: floats(horizons.length) };
  const walk = new Walk(length, day, horizons);
  for (let pair = 0; pair < pairs; pair += 2) {
    const other = Math.min(pair + 1, pairs - 1);
    walk.load(0, matrix.values[pair]!, z[pair]!, hasGaps[pair] === 1);
    walk.load(1, matrix.values[other]!, z[other]!, hasGaps[other] === 1);
    walk.run();
    for (const [lane, at] of [pair, other].entries()) walk.read(lane, z[at]![length - 1]!, found, at);
  }
  return found;
}

/** Two pairs' walk from the first slot to the last. */
class Walk {
  private readonly length: number;
  private readonly day: number;
  private readonly horizons: readonly number[];
  private readonly kernel: Kernel;
  private readonly two: TwoPairs;
  /** Addresses of the seasons, two float32 a slot after a day of zeros, and of the rates of means that begin. */
  private readonly at: { season: number; rates: number };
  private readonly state: Float64Array;
  private readonly seasons: Float32Array;
  private readonly changes: { fast: Float64Array; slow: Float64Array };

  constructor(length: number, day: number, horizons: readonly number[]) {
    [this.length, this.day, this.horizons] = [length, day, horizons];
    const place = placeTwoPairs(SERIES_AT, length, horizons.at(-1)!);
    const season = place.end + SLOT_BYTES * roundedUp(day, 2);
    const rates = season + SLOT_BYTES * roundedUp(length, 2);
    this.at = { season, rates };
    this.kernel = kernelFor(rates + 16 * length);
    this.two = new TwoPairs(this.kernel, place);
    const { buffer } = this.kernel.memory;
    this.state = new Float64Array(buffer, 0, SERIES_AT / 8);
    this.seasons = new Float32Array(buffer, season, 2 * length);
    new Float32Array(buffer, season - SLOT_BYTES * day, 2 * day).fill(0);
    const rateOf = changeRates(day);
    new Float64Array(buffer, rates, 2 * length).set(rateOf.beginning(length));
    this.state.set([rateOf.fast, rateOf.fast, rateOf.slow, rateOf.slow], RATES_AT / 8);
    this.changes = { fast: new Float64Array(2 * horizons.length), slow: new Float64Array(2 * horizons.length) };
  }

  load(lane: 0 | 1, values: Float32Array, levels: Float32Array, hasGaps: boolean): void {
    this.two.load(lane, values, levels.length === this.length ? levels : levels.subarray(0, this.length), hasGaps);
  }

  run(): void {
    this.two.putBeside();
    this.runLevels();
    for (let first = 0; first < this.horizons.length; first += TOGETHER) this.runChanges(first);
  }

  private runLevels(): void {
    const { at, length, day, kernel, state, two } = this;
    const starts = two.series.map((series, lane) => series[Math.max(0, two.firstKnown[lane]!)]!);
    const set = (name: (typeof LEVELS)[number], values: readonly number[]): void => state.set(values, 2 * LEVELS.indexOf(name));
    for (const name of ['quick', 'steady', 'now', 'dayMean'] as const) set(name, starts);
    set('slope', [0, 0]);
    set('slowWeight', [slowWeightOf(day), slowWeightOf(day)]);
    set('dayWeight', [1 / day, 1 / day]);
    const firstDay = Math.min(day, length);
    const walk = (from: number, until: number, rate: number): void => {
      set('seasonRate', [rate, rate]);
      if (from < until) kernel.walkLevels(two.at + SLOT_BYTES * from, two.at + SLOT_BYTES * until, at.season - two.at, SLOT_BYTES * day);
    };
    walk(0, firstDay, 1);
    walk(firstDay, length, SEASON.season);
  }

  /** Of four horizons from a first on; where there are fewer, the last of them is walked more than once. */
  private runChanges(first: number): void {
    const { at, length, kernel, state, horizons, two: { at: known, hasGaps } } = this;
    const places = Array.from({ length: TOGETHER }, (_, place) => Math.min(first + place, horizons.length - 1));
    const [one, two, three, four] = places.map((place) => SLOT_BYTES * horizons[place]!) as [number, number, number, number];
    for (const place of places.keys()) state.set([CHANGE_UNKNOWN, CHANGE_UNKNOWN, CHANGE_UNKNOWN, CHANGE_UNKNOWN, 1, 1], CHANGES_AT / 8 + 2 * CHANGES.length * place);
    // From where all changes are known, their number tells how much each counts.
    const regular = hasGaps.includes(true) ? length : Math.min(length, Math.max(...places.map((place) => horizons[place]!)));
    kernel.walkChangesWithGaps(known, known + SLOT_BYTES * regular, one, two, three, four, 0);
    if (regular < length) kernel.walkChanges(known + SLOT_BYTES * regular, known + SLOT_BYTES * length, one, two, three, four, at.rates + 16 * regular);
    for (const [index, place] of places.entries()) {
      const from = CHANGES_AT / 8 + 2 * CHANGES.length * index;
      this.changes.fast.set(state.subarray(from, from + 2), 2 * place);
      this.changes.slow.set(state.subarray(from + 2, from + 4), 2 * place);
    }
  }

  /** @param newest  z of the last slot, which stands for what nothing is known of */
  read(lane: number, newest: number, found: NewestChannels, pair: number): void {
    const { length, day, horizons, state, seasons, changes } = this;
    const isKnown = this.two.firstKnown[lane]! >= 0;
    const smoothed = (name: (typeof LEVELS)[number]): number => (isKnown ? state[2 * LEVELS.indexOf(name) + lane]! : newest);
    found.fast[pair] = smoothed('quick');
    found.slow[pair] = smoothed('steady');
    found.level[pair] = smoothed('now');
    found.trend[pair] = state[2 * LEVELS.indexOf('slope') + lane]!;
    horizons.forEach((steps, horizon) => {
      const cell = pair * horizons.length + horizon;
      const seen = seasonSlot(length - 1, steps, day);
      found.season[cell] = seen >= 0 ? seasons[2 * seen + lane]! : 0;
      found.changeFast[cell] = Math.max(CHANGE_LEAST, changes.fast[2 * horizon + lane]!);
      found.changeSlow[cell] = Math.max(CHANGE_LEAST, changes.slow[2 * horizon + lane]!);
    });
  }
}

interface KernelFunctions {
  besides: BesidesKernel['besides'];
  walkLevels: (from: number, until: number, toSeason: number, day: number) => void;
  walkChanges: (from: number, until: number, one: number, two: number, three: number, four: number, rates: number) => void;
  walkChangesWithGaps: KernelFunctions['walkChanges'];
}

type Kernel = ReturnType<typeof kernelFor>;

const kernelFor = growingKernel<KernelFunctions>(() => [besidesFunction(), walkLevelsFunction(), walkChangesFunction('walkChanges', false), walkChangesFunction('walkChangesWithGaps', true)]);

const { add, subtract, multiply, divide, greaterOf, absolute, greater, equal } = f64x2;

/** `PairChannels`' levels, trend and season of the slots [from, until), addresses; a slot that is unknown leaves nearly all as it is. */
const walkLevelsFunction = (): WasmFunction => wasmFunction('walkLevels', ['from', 'until', 'toSeason', 'day'], (p, make) => {
  const [slot, season] = [make.i32(), make.i32()];
  const [value, before, isKnown, last] = [make.v128(), make.v128(), make.v128(), make.v128()];
  const state = Object.fromEntries(LEVELS.map((name) => [name, make.v128()])) as Record<(typeof LEVELS)[number], Variable>;
  const { quick, steady, now, slope, dayMean } = state;
  const constant = (number: number): Variable => constants.get(number) ?? constants.set(number, make.v128()).get(number)!;
  const constants = new Map<number, Variable>();
  const times = (factor: number, code: Code): Code => multiply(constant(factor).get, code);
  const keep = (variable: Variable, known: Code): Code => variable.set(v128.select(isKnown.get, known, variable.get));
  const toward = (variable: Variable, rate: Code): Code => keep(variable, add(variable.get, multiply(rate, subtract(value.get, variable.get))));
  const body = [
    season.set(i32.add(slot.get, p.toSeason)),
    value.set(f64x2.loadFloats(slot.get)),
    before.set(f64x2.loadFloats(i32.subtract(season.get, p.day))),
    isKnown.set(equal(value.get, value.get)),
    toward(quick, constant(FAST).get),
    toward(steady, state.slowWeight.get),
    last.set(now.get),
    keep(now, add(times(SEASON.level, subtract(value.get, before.get)), times(1 - SEASON.level, add(now.get, times(SEASON.damping, slope.get))))),
    slope.set(v128.select(isKnown.get, add(times(SEASON.trend, subtract(now.get, last.get)), times((1 - SEASON.trend) * SEASON.damping, slope.get)), times(SEASON.damping, slope.get))),
    keep(dayMean, add(dayMean.get, multiply(subtract(value.get, dayMean.get), state.dayWeight.get))),
    f64x2.storeFloats(season.get, v128.select(isKnown.get, add(before.get, multiply(state.seasonRate.get, subtract(subtract(value.get, dayMean.get), before.get))), before.get)),
  ];
  return [
    ...LEVELS.map((name, index) => state[name].set(v128.load(i32.constant(LEVELS_AT + 16 * index)))),
    ...[...constants].map(([number, variable]) => variable.set(f64x2.constant(number))),
    loop(slot, p.from, p.until, i32.constant(SLOT_BYTES), body),
    ...LEVELS.map((name, index) => v128.store(i32.constant(LEVELS_AT + 16 * index), state[name].get)),
  ];
});

/**
 * `PairChannels`' usual changes over four horizons. Without gaps the k-th change of a horizon counts as the table of rates
 * says; with gaps each pair counts its own.
 */
const walkChangesFunction = (name: string, hasGaps: boolean): WasmFunction => wasmFunction(name, ['from', 'until', 'one', 'two', 'three', 'four', 'rates'], (p, make) => {
  const [slot, table, entry] = [make.i32(), make.i32(), make.i32()];
  const [value, change, isKnown] = [make.v128(), make.v128(), make.v128()];
  const [fastRate, slowRate] = [make.v128(), make.v128()];
  const walked = [p.one, p.two, p.three, p.four].map((back, place) => ({ back, at: CHANGES_AT + 16 * CHANGES.length * place, quick: make.v128(), steady: make.v128(), early: make.v128() }));
  const step = ({ back, quick, steady, early }: (typeof walked)[number]): Code[] => {
    const toward = (mean: Variable, rate: Code): Code => add(mean.get, multiply(subtract(change.get, mean.get), rate));
    const found = change.set(absolute(subtract(value.get, f64x2.loadFloats(i32.subtract(slot.get, back)))));
    if (!hasGaps) {
      return [
        found,
        entry.set(i32.subtract(table.get, i32.add(back, back))),
        quick.set(toward(quick, f64x2.loadSplat(entry.get))),
        steady.set(toward(steady, f64x2.loadSplat(entry.get, 8))),
      ];
    }
    return [
      found,
      isKnown.set(equal(change.get, change.get)),
      early.set(v128.select(v128.and(isKnown.get, greater(early.get, slowRate.get)), divide(early.get, add(f64x2.constant(1), early.get)), early.get)),
      quick.set(v128.select(isKnown.get, toward(quick, greaterOf(early.get, fastRate.get)), quick.get)),
      steady.set(v128.select(isKnown.get, toward(steady, greaterOf(early.get, slowRate.get)), steady.get)),
    ];
  };
  const stored = walked.flatMap(({ at, quick, steady, early }) => [quick, steady, early].map((variable, index) => ({ variable, address: i32.constant(at + 16 * index) })));
  return [
    fastRate.set(v128.load(i32.constant(RATES_AT))),
    slowRate.set(v128.load(i32.constant(RATES_AT + 16))),
    ...stored.map(({ variable, address }) => variable.set(v128.load(address))),
    table.set(p.rates),
    loop(slot, p.from, p.until, i32.constant(SLOT_BYTES), [value.set(f64x2.loadFloats(slot.get)), ...walked.flatMap(step), table.set(i32.add(table.get, i32.constant(16)))]),
    ...stored.map(({ variable, address }) => v128.store(address, variable.get)),
  ];
});
