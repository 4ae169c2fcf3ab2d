import { knownMean } from '../matrix/demand-matrix.ts';
import { TailBound } from './tail-bound.ts';
import { UsualLevel } from './usual-level.ts';
import { anomalyWindows, type AnomalySettings, type AnomalyWindows } from './settings.ts';

/** One slot of one demand; the medians were made before the window of that name began. */
export interface WatchedSlot {
  /** Null: nobody reported it, which is no drop. */
  mbps: number | null;
  /** Forecast made about a short window before the slot; null: there was none. */
  shortP50: number | null;
  /** The same, a long window before. */
  longP50: number | null;
}

export interface Unusual {
  kind: 'surge' | 'drop' | 'new-pair';
  score: number;
  expectedMbps: number;
  seenMbps: number;
  /** Slots back to its first one, 1: only this. */
  slots: number;
}

/** What is unusual is at least this factor away from what was expected, whatever the pair's past is like. */
const FACTOR_MIN = { surge: 1.6, drop: 2.5 } as const;
/** Added to both sides before they are divided: this share of the pair's mean, so that quiet hours do not count as much as busy ones. */
const FLOOR_SHARE = 0.1;
/** A difference of less than this share of the pair's mean is not told. */
const DIFFERENCE_SHARE = 0.3;
/** Days without traffic after which its return is news, and days that must be known for that. */
const QUIET_DAYS = 7;
const QUIET_DAYS_MIN = 1;
/** Days over which mean and usual deviations are remembered (half-life). */
const MEMORY_DAYS = 14;
/** Deviations are told in multiples of how far the pair was off lately: half of it the last days', half the last weeks' (half-lives, days). */
const SPREAD_DAYS = [1, 7] as const;
/** One deviation, in logarithms, that counts; and the least spread that any traffic has. */
const DEVIATION_MAX = 0.5;
const SPREAD_MIN = 0.1;
/** Of a pair with this spread a deviation counts as it is. */
const SPREAD_UNIT = 0.25;
/** After a gap a pair is watched again once so much of its last hours is known (half-life a quarter of a day). */
const KNOWN_SHARE_MIN = 0.75;
/** What comes back to within this factor of what was expected before. */
const ECHO_FACTOR = 2;
/** Each side is looked at in three windows. */
const TESTS = 2 * 3;
/** A score is told in multiples of no less than this. */
const BOUND_MIN = 0.3;
const SIDES = ['surge', 'drop'] as const;
type Side = (typeof SIDES)[number];
const WINDOWS = ['short', 'middle', 'long'] as const;
type Window = (typeof WINDOWS)[number];
/** How far every slot of a window is away in one direction: in logarithms, and in multiples of the pair's spread. */
interface Deviation {
  logarithm: number;
  relative: number;
}
type Statistics = Record<Window, Record<Side, Deviation> | null>;

/** Watches one demand: tells in each slot whether the last ones are unusual for it. Its memory does not grow with time. */
export class PairWatch {
  private readonly settings: AnomalySettings;
  private readonly windows: AnomalyWindows;
  /** Logarithms of seen to expected of the newest slots, oldest first; NaN where unknown. By how long before its window a forecast was made, and by side. */
  private readonly residuals: Record<'short' | 'long', Record<Side, number[]>> = { short: { surge: [], drop: [] }, long: { surge: [], drop: [] } };
  /** The pair's spread after each of the newest slots. */
  private spreads: number[] = [];
  private deviations: number[] = SPREAD_DAYS.map(() => Number.NaN);
  private knownShare = 0;
  /** In a row. */
  private unusualSlots = 0;
  private readonly usual: UsualLevel;
  private readonly bounds: Record<Side, Record<Window, TailBound>>;
  private recent: { mbps: number; p50: number }[] = [];
  private mean = 0;
  private known = 0;
  private slot = -1;
  private activeSlot = Number.NEGATIVE_INFINITY;
  private newSince: number | null = null;
  private current: Side | 'new-pair' | null = null;
  /** The newest surge or drop, with what was expected when it began. */
  private last: { side: Side; slot: number; expectedMbps: number } | null = null;

  constructor(settings: AnomalySettings, from?: PairWatch) {
    this.settings = settings;
    this.windows = anomalyWindows(settings);
    const bound = (side: Side, window: Window): TailBound =>
      from?.bounds[side][window].clone() ?? new TailBound({ valuesPerAlarm: TESTS * settings.daysPerAlarm * settings.slotsPerDay, halfLife: MEMORY_DAYS * settings.slotsPerDay });
    const boundsOf = (side: Side): Record<Window, TailBound> => ({ short: bound(side, 'short'), middle: bound(side, 'middle'), long: bound(side, 'long') });
    this.bounds = { surge: boundsOf('surge'), drop: boundsOf('drop') };
    this.usual = from?.usual.clone() ?? new UsualLevel(settings.slotsPerDay);
    if (!from) return;
    const { short, long } = from.residuals;
    this.residuals = { short: { surge: [...short.surge], drop: [...short.drop] }, long: { surge: [...long.surge], drop: [...long.drop] } };
    ({ mean: this.mean, known: this.known, slot: this.slot, activeSlot: this.activeSlot, newSince: this.newSince, current: this.current, last: this.last, knownShare: this.knownShare, unusualSlots: this.unusualSlots } = from);
    this.recent = [...from.recent];
    this.spreads = [...from.spreads];
    this.deviations = [...from.deviations];
  }

  clone(): PairWatch {
    return new PairWatch(this.settings, this);
  }

  /** Mbit/s, of what was known; the newest two weeks count most. */
  get meanMbps(): number {
    return this.mean;
  }

  /** The least factor of a surge that would be told here now; infinite while too little is known. */
  get surgeFactorMin(): number {
    const least = Math.min(...WINDOWS.map((window) => this.bounds.surge[window].bound()));
    return Math.exp(Math.max(Math.log(FACTOR_MIN.surge), (least * this.spreadBefore(this.windows.long)) / SPREAD_UNIT));
  }

  /** Takes the next slot. @returns what is unusual now, null when nothing is */
  step(slot: WatchedSlot): Unusual | null {
    this.slot += 1;
    const { mbps } = slot;
    if (mbps === null) {
      this.noteSpread(Number.NaN);
      this.remember(() => [Number.NaN, Number.NaN], { mbps: Number.NaN, p50: Number.NaN });
      this.noteKnown(0);
      this.usual.step(Number.NaN);
      return null;
    }
    const floor = Math.max(FLOOR_SHARE * this.mean, this.settings.minMbps);
    // what comes back to its usual level after hours without is no surge, and what goes back to it no drop
    const { low, high } = this.usual.next() ?? { low: 0, high: Number.POSITIVE_INFINITY };
    const logOf = (p50: number | null, side: Side): number => (p50 === null ? Number.NaN : Math.log((mbps + floor) / (Math.max(0, side === 'surge' ? Math.max(p50, low) : Math.min(p50, high)) + floor)));
    const off = slot.longP50 ?? slot.shortP50;
    this.noteSpread(off === null ? Number.NaN : Math.abs(Math.log((mbps + floor) / (Math.max(0, off) + floor))));
    this.remember((side) => [logOf(slot.shortP50, side), logOf(slot.longP50, side)], { mbps, p50: off ?? Number.NaN });
    this.noteKnown(1);
    this.usual.step(mbps);
    const isNew = this.noteActivity(mbps);
    const statistics: Statistics = { short: this.statistics('short'), middle: this.statistics('middle'), long: this.statistics('long') };
    const found = isNew ?? (this.knownShare < KNOWN_SHARE_MIN ? null : this.withoutEcho(this.strongest(statistics)));
    this.learn(mbps, statistics, found !== null);
    if (found && found.kind !== 'new-pair' && this.current !== found.kind) for (const window of WINDOWS) this.bounds[found.kind][window].noteAlarm();
    this.current = found?.kind ?? null;
    return found;
  }

  private remember(logs: (side: Side) => [short: number, long: number], seen: { mbps: number; p50: number }): void {
    for (const side of SIDES) {
      const [short, long] = logs(side);
      push(this.residuals.short[side], short, this.windows.short);
      push(this.residuals.long[side], long, this.windows.long);
    }
    push(this.recent, seen, this.windows.long);
  }

  private noteSpread(deviation: number): void {
    if (!Number.isNaN(deviation)) {
      this.deviations = this.deviations.map((before, index) => {
        const rate = 1 - 2 ** (-1 / (SPREAD_DAYS[index]! * this.settings.slotsPerDay));
        const counted = Math.min(deviation, DEVIATION_MAX);
        return Number.isNaN(before) ? counted : before + rate * (counted - before);
      });
    }
    push(this.spreads, Math.max(SPREAD_MIN, knownMean(this.deviations) || 0), this.windows.long + 1);
  }

  private noteKnown(isKnown: 0 | 1): void {
    this.knownShare += (1 - 2 ** (-4 / this.settings.slotsPerDay)) * (isKnown - this.knownShare);
  }

  /** As it was before the newest so many slots. */
  private spreadBefore(slots: number): number {
    return this.spreads[Math.max(0, this.spreads.length - 1 - slots)] ?? SPREAD_UNIT;
  }

  /** A pair is new for as long as it had to be quiet to be so, at most a day. */
  private noteActivity(mbps: number): Unusual | null {
    const { slotsPerDay, minMbps } = this.settings;
    const isActive = mbps > Math.max(minMbps, 0.01 * this.mean);
    const quiet = this.slot - Math.max(this.activeSlot, 0);
    const hasBeenQuiet = this.activeSlot === Number.NEGATIVE_INFINITY ? this.known >= QUIET_DAYS_MIN * slotsPerDay : quiet >= QUIET_DAYS * slotsPerDay;
    if (isActive && hasBeenQuiet && this.newSince === null) this.newSince = this.slot;
    if (isActive) this.activeSlot = this.slot;
    if (this.newSince === null) return null;
    const slots = this.slot - this.newSince + 1;
    if (!isActive && quiet >= this.windows.long) this.newSince = null;
    if (slots > slotsPerDay) this.newSince = null;
    // one slot may be a stray packet's: two with traffic are news
    const busy = this.recent.slice(-slots).filter((seen) => seen.mbps > minMbps);
    if (this.newSince === null || busy.length < 2) return null;
    return { kind: 'new-pair', score: 1 + Math.log10(1 + busy.at(-1)!.mbps / Math.max(minMbps, 1e-9)), expectedMbps: 0, seenMbps: knownMean(busy.map((seen) => seen.mbps)) || 0, slots };
  }

  /**
   * After an event forecasts still follow it, so its end looks like one in the other direction. What comes back to where
   * it was expected when the event began is none.
   */
  private withoutEcho(found: Unusual | null): Unusual | null {
    if (found === null || found.kind === 'new-pair') return found;
    if (this.last && this.last.side !== found.kind && this.slot - this.last.slot <= 2 * this.windows.long) {
      const [most, least] = [Math.max(found.seenMbps, this.last.expectedMbps), Math.min(found.seenMbps, this.last.expectedMbps)];
      if (most <= ECHO_FACTOR * least || most - least < DIFFERENCE_SHARE * this.mean) return null;
    }
    const expectedMbps = this.last?.side === found.kind && this.slot - this.last.slot <= this.windows.long ? this.last.expectedMbps : found.expectedMbps;
    this.last = { side: found.kind, slot: this.slot, expectedMbps };
    return found;
  }

  private strongest(statistics: Statistics): Unusual | null {
    let best: Unusual | null = null;
    for (const side of SIDES) {
      for (const window of WINDOWS) {
        const found = this.test(side, window, statistics[window]?.[side] ?? null);
        if (found && (best === null || found.score > best.score)) best = found;
      }
    }
    return best;
  }

  /** While it goes on, half of the bound is enough: an event is one event. */
  private test(side: Side, window: Window, deviation: Deviation | null): Unusual | null {
    if (deviation === null) return null;
    const share = this.current === side ? 0.5 : 1;
    if (deviation.logarithm <= share * Math.log(FACTOR_MIN[side])) return null;
    const bound = this.bounds[side][window].bound();
    if (deviation.relative <= share * bound) return null;
    const slots = this.windows[window];
    const seen = this.recent.slice(-slots);
    const [seenMbps, expectedMbps] = [knownMean(seen.map(({ mbps }) => mbps)) || 0, knownMean(seen.map(({ p50 }) => p50)) || 0];
    if (Math.abs(seenMbps - expectedMbps) < Math.max(this.settings.minMbps, DIFFERENCE_SHARE * this.mean)) return null;
    return { kind: side, score: deviation.relative / Math.max(bound, BOUND_MIN), expectedMbps, seenMbps, slots };
  }

  /** How far every slot of the window is away in one direction. Null while one is not known. */
  private statistics(window: Window): Record<Side, Deviation> | null {
    const slots = this.windows[window];
    const { surge, drop } = this.residuals[window === 'short' ? 'short' : 'long'];
    if (surge.length < slots) return null;
    const least = Math.min(...surge.slice(-slots));
    const most = Math.max(...drop.slice(-slots));
    if (Number.isNaN(least) || Number.isNaN(most)) return null;
    const unit = SPREAD_UNIT / this.spreadBefore(slots);
    return { surge: { logarithm: least, relative: least * unit }, drop: { logarithm: -most, relative: -most * unit } };
  }

  private learn(mbps: number, statistics: Statistics, isUnusual: boolean): void {
    this.known += 1;
    this.unusualSlots = isUnusual ? this.unusualSlots + 1 : 0;
    const rate = Math.max(1 / this.known, Math.LN2 / (MEMORY_DAYS * this.settings.slotsPerDay));
    this.mean += rate * (mbps - this.mean);
    for (const side of SIDES) {
      for (const window of WINDOWS) {
        const statistic = statistics[window]?.[side].relative;
        // an event is learned as long as the longest window is; it does not become usual by going on: then only the bound is learned
        if (statistic !== undefined) this.bounds[side][window].add(this.unusualSlots > this.windows.long ? Math.min(statistic, this.bounds[side][window].bound()) : statistic);
      }
    }
  }
}

function push<T>(list: T[], value: T, most: number): void {
  list.push(value);
  if (list.length > most) list.shift();
}
