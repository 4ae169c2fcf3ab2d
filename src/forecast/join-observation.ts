import type { DemandSeries, ForecastSettings, Observation } from '../model/index.ts';
import { alignEnd, demandName, isDemand, isWeekendSlot, makeMatrix, matrixOf, phaseOf } from './demand-series.ts';
import type { Covariate, DemandMatrix } from './matrix/demand-matrix.ts';

/** Days of the past that a forecast looks at: every day of the week, and time for what is smoothed to settle. */
export const DAYS_MAX = 10;
/** A demand is not taken for more than this many times larger or smaller than its history. */
const LEVEL_RATIO_MAX = 20;
/** A difference of this size (42 %) is taken half for real. */
const NOISE_LOG_RATIO = 0.35;

/** The recent past of all demands on one time line that ends with the observation's last slot. */
export interface JoinedDemands {
  /** The pairs of history in their order, then those that are observed but have no history. */
  matrix: DemandMatrix;
  /** What is observed of each pair is so many times what history expects; the matrix is in history's units: observed values are divided by it. */
  ratios: Float64Array;
  /** How many of the pairs have history. */
  knownPairs: number;
}

/**
 * Continues the history by what has been observed. Where both know a slot the observation counts. What runs now decides
 * how much, and history only when: see `levelRatio`. The models keep to the units that they learned in.
 */
export function joinObservation(history: DemandMatrix | null, observation: Observation, settings: ForecastSettings): JoinedDemands {
  const { slotMs, slotsPerDay } = settings;
  const endSlot = Math.floor(observation.lastSlotEndAt / slotMs);
  const observedSlots = observation.demands.reduce((most, { mbps }) => Math.max(most, mbps.length), 0);
  const longest = Math.max(observedSlots, history ? endSlot - history.startAt / slotMs : 0);
  const length = Math.min(longest, Math.max(observedSlots, DAYS_MAX * slotsPerDay));
  const startAt = (endSlot - length) * slotMs;
  const seen = new Map(observation.demands.map((demand) => [demandName(demand), demand]));
  const known = new Set(history?.pairs);
  const pairs = [...(history?.pairs ?? []), ...[...seen.keys()].filter((name) => !known.has(name))];
  const ratios = new Float64Array(pairs.length).fill(1);
  const habits = history && habitsOf(history);
  const calendar = calendarOf({ startAt: (endSlot - observedSlots) * slotMs, stepMs: slotMs, slotsPerDay, length: observedSlots });
  const recent = new Float32Array(observedSlots);
  // One block: so many small ones are much work for the memory's keeper.
  // Shared, so that a second thread can read it.
  const block = new Float32Array(new SharedArrayBuffer(Float32Array.BYTES_PER_ELEMENT * pairs.length * length));
  const values = pairs.map((name, pair) => {
    const series = block.subarray(pair * length, (pair + 1) * length);
    const past = history?.values[pair];
    const demand = seen.get(name);
    if (demand) alignEnd(demand.mbps, recent);
    if (demand && habits && past) ratios[pair] = levelRatio(habits[pair]!, slotsPerDay, recent, calendar);
    copyPast(series, past ?? null, history && past ? (history.startAt - startAt) / slotMs : 0);
    if (demand) copyKnown(series, recent, length - observedSlots, 1 / ratios[pair]!);
    return series;
  });
  return { matrix: matrixOf(pairs, startAt, slotMs, slotsPerDay, length, values), ratios, knownPairs: history?.pairs.length ?? 0 };
}

/** Whether nothing has come, changed or gone between two: every number of them is compared. */
export function isSamePast(left: JoinedDemands, right: JoinedDemands): boolean {
  const [one, other] = [left.matrix, right.matrix];
  const covariates = (of: DemandMatrix): readonly Covariate[] => of.covariates ?? [];
  return (
    one.startAt === other.startAt &&
    one.stepMs === other.stepMs &&
    one.slotsPerDay === other.slotsPerDay &&
    left.knownPairs === right.knownPairs &&
    one.pairs.length === other.pairs.length &&
    one.pairs.every((name, pair) => name === other.pairs[pair]) &&
    isSameSeries(left.ratios, right.ratios) &&
    one.values.every((series, pair) => isSameSeries(series, other.values[pair]!)) &&
    covariates(one).length === covariates(other).length &&
    covariates(one).every((each, index) => isSameCovariate(each, covariates(other)[index]!))
  );
}

function isSameCovariate(left: Covariate, right: Covariate): boolean {
  return left.name === right.name && left.isKnownAhead === right.isKnownAhead && String(left.pairs) === String(right.pairs) && isSameSeries(left.values, right.values);
}

/** Bit by bit, as far as numbers tell: what is unknown in both is the same. */
function isSameSeries(left: ArrayLike<number>, right: ArrayLike<number>): boolean {
  if (left.length !== right.length) return false;
  for (let at = 0; at < left.length; at++) if (!Object.is(left[at], right[at])) return false;
  return true;
}

/** Position of each demand of the observation among the joined pairs. */
export function pairsOf(joined: JoinedDemands, observation: Observation): number[] {
  const index = new Map(joined.matrix.pairs.map((name, pair) => [name, pair]));
  return observation.demands.map((demand) => index.get(demandName(demand))!);
}

/** A made-up past at the level of what was observed since, so that training sees no jump where the one goes over into the other. */
export function scaleToObserved(madeUp: readonly DemandSeries[], madeUpEndAt: number, observed: readonly DemandSeries[], observedEndAt: number, settings: ForecastSettings): DemandSeries[] {
  const { slotMs, slotsPerDay } = settings;
  const past = makeMatrix(madeUp, madeUpEndAt, slotMs, slotsPerDay);
  const recent = makeMatrix(observed, observedEndAt, slotMs, slotsPerDay);
  const calendar = calendarOf(recent);
  const habits = habitsOf(past);
  const placeOf = new Map(recent.pairs.map((name, place) => [name, place]));
  return madeUp.map((series, pair) => {
    const place = placeOf.get(past.pairs[pair]!);
    const ratio = place === undefined ? 1 : levelRatio(habits[pair]!, settings.slotsPerDay, recent.values[place]!, calendar);
    return ratio === 1 ? series : { ...series, mbps: series.mbps.map((value) => (value === null ? null : value * ratio)) };
  });
}

/**
 * Observed demand as a multiple of what history expects for the same times of day; 1 without evidence. The evidence is
 * the demand that history expects in the observed slots: a few quiet night slots say little, a busy hour says much.
 */
function levelRatio({ profiles, dayMean }: Habit, slotsPerDay: number, recent: Float32Array, observed: Calendar): number {
  let expected = 0;
  let seen = 0;
  for (let slot = Math.max(0, observed.length - slotsPerDay); slot < observed.length; slot++) {
    const value = recent[slot]!;
    if (!isDemand(value)) continue;
    seen += value;
    expected += profiles[observed.kinds[slot] === 1 ? 1 : 0][observed.phases[slot]!]!;
  }
  if (expected <= 0 || dayMean <= 0) return 1;
  const ratio = Math.min(LEVEL_RATIO_MAX, Math.max(1 / LEVEL_RATIO_MAX, seen / expected));
  const trust = expected / (expected + 2 * dayMean);
  // Small differences are noise, and the models see them for themselves; far below half or above double the ratio counts nearly whole.
  const logRatio = Math.log(ratio);
  const significance = logRatio ** 2 / (logRatio ** 2 + NOISE_LOG_RATIO ** 2);
  return Math.exp(logRatio * trust * significance);
}

/** Kind of day (0 working day, 1 weekend) and time of day of every slot of a matrix, the same for all its pairs. */
interface Calendar {
  length: number;
  kinds: Uint8Array;
  phases: Int32Array;
}

function calendarOf(matrix: Pick<DemandMatrix, 'startAt' | 'stepMs' | 'slotsPerDay' | 'length'>): Calendar {
  const { length } = matrix;
  return { length, kinds: Uint8Array.from({ length }, (_, slot) => (isWeekendSlot(matrix, slot) ? 1 : 0)), phases: Int32Array.from({ length }, (_, slot) => phaseOf(matrix, slot)) };
}

/** What a pair's history expects at each time of day. */
interface Habit {
  /** Mean by slot of the day, over the last week: of working days, of weekends; a kind that is not known has the other's. */
  profiles: readonly [Float64Array, Float64Array];
  /** Of a working day. */
  dayMean: number;
}

/** A history serves many forecasts: what it expects is found once. */
const habits = new WeakMap<DemandMatrix, Habit[]>();

function habitsOf(history: DemandMatrix): Habit[] {
  const found = habits.get(history);
  if (found) return found;
  const calendar = calendarOf(history);
  const made = history.values.map((series): Habit => {
    const profiles = dailyProfiles(series, history.slotsPerDay, calendar);
    return { profiles, dayMean: profiles[0].reduce((sum, value) => sum + value, 0) / history.slotsPerDay };
  });
  habits.set(history, made);
  return made;
}

function dailyProfiles(series: Float32Array, slotsPerDay: number, { length, kinds, phases }: Calendar): [Float64Array, Float64Array] {
  const sums = [new Float64Array(slotsPerDay), new Float64Array(slotsPerDay)] as const;
  const counts = [new Float64Array(slotsPerDay), new Float64Array(slotsPerDay)] as const;
  for (let slot = Math.max(0, length - 7 * slotsPerDay); slot < length; slot++) {
    const value = series[slot]!;
    if (!isDemand(value)) continue;
    const kind = kinds[slot] === 1 ? 1 : 0;
    const phase = phases[slot]!;
    sums[kind][phase]! += value;
    counts[kind][phase]! += 1;
  }
  const profile = (kind: 0 | 1): Float64Array => {
    const other = kind === 0 ? 1 : 0;
    return sums[kind].map((sum, phase) => (counts[kind][phase]! > 0 ? sum / counts[kind][phase]! : counts[other][phase]! > 0 ? sums[other][phase]! / counts[other][phase]! : 0));
  };
  return [profile(0), profile(1)];
}

/** What lies before and after the source is unknown. */
function copyPast(target: Float32Array, source: Float32Array | null, offset: number): void {
  const from = source ? Math.min(target.length, Math.max(0, offset)) : target.length;
  const until = source ? Math.max(from, Math.min(target.length, offset + source.length)) : target.length;
  target.fill(Number.NaN, 0, from);
  if (source && until > from) target.set(source.subarray(from - offset, until - offset), from);
  target.fill(Number.NaN, until);
}

/** What is unknown leaves the target as it is. */
function copyKnown(target: Float32Array, source: Float32Array, offset: number, factor: number): void {
  for (let index = Math.max(0, -offset); index < source.length && index + offset < target.length; index++) {
    const value = source[index]!;
    if (!Number.isNaN(value)) target[index + offset] = value * factor;
  }
}
