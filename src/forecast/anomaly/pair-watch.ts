import { knownMean } from '../matrix/demand-matrix.ts';
import { TailBound } from './tail-bound.ts';
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
/** What comes back to within this factor of what was expected before. */
const ECHO_FACTOR = 2;
const SIDES = ['surge', 'drop'] as const;
type Side = (typeof SIDES)[number];
const WINDOWS = ['short', 'long'] as const;
type Window = (typeof WINDOWS)[number];
type Statistics = Record<Window, Record<Side, number> | null>;

/** Watches one demand: tells in each slot whether the last ones are unusual for it. Its memory does not grow with time. */
export class PairWatch {
  private readonly settings: AnomalySettings;
  private readonly windows: AnomalyWindows;
  /** Logarithms of seen to expected of the newest slots, oldest first; NaN where unknown. */
  private readonly residuals: Record<Window, number[]> = { short: [], long: [] };
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
      from?.bounds[side][window].clone() ?? new TailBound({ valuesPerAlarm: 2 * 2 * settings.daysPerAlarm * settings.slotsPerDay, halfLife: MEMORY_DAYS * settings.slotsPerDay });
    this.bounds = { surge: { short: bound('surge', 'short'), long: bound('surge', 'long') }, drop: { short: bound('drop', 'short'), long: bound('drop', 'long') } };
    if (!from) return;
    this.residuals = { short: [...from.residuals.short], long: [...from.residuals.long] };
    ({ mean: this.mean, known: this.known, slot: this.slot, activeSlot: this.activeSlot, newSince: this.newSince, current: this.current, last: this.last } = from);
    this.recent = [...from.recent];
  }

  clone(): PairWatch {
    return new PairWatch(this.settings, this);
  }

  /** Mbit/s, of what was known; the newest two weeks count most. */
  get meanMbps(): number {
    return this.mean;
  }

  /** The least factor of a surge that would be told here; infinite while too little is known. */
  get surgeFactorMin(): number {
    return Math.exp(Math.max(Math.log(FACTOR_MIN.surge), Math.min(this.bounds.surge.short.bound(), this.bounds.surge.long.bound())));
  }

  /** Takes the next slot. @returns what is unusual now, null when nothing is */
  step(slot: WatchedSlot): Unusual | null {
    this.slot += 1;
    const { mbps } = slot;
    if (mbps === null) {
      this.remember(Number.NaN, Number.NaN, { mbps: Number.NaN, p50: Number.NaN });
      return null;
    }
    const floor = Math.max(FLOOR_SHARE * this.mean, this.settings.minMbps);
    const logOf = (p50: number | null): number => (p50 === null ? Number.NaN : Math.log((mbps + floor) / (Math.max(0, p50) + floor)));
    this.remember(logOf(slot.shortP50), logOf(slot.longP50), { mbps, p50: slot.longP50 ?? slot.shortP50 ?? Number.NaN });
    const isNew = this.noteActivity(mbps);
    const statistics = { short: this.statistics('short'), long: this.statistics('long') };
    const found = isNew ?? this.withoutEcho(this.strongest(statistics));
    this.learn(mbps, statistics, found !== null);
    if (found && found.kind !== 'new-pair' && this.current !== found.kind) for (const window of WINDOWS) this.bounds[found.kind][window].noteAlarm();
    this.current = found?.kind ?? null;
    return found;
  }

  private remember(short: number, long: number, seen: { mbps: number; p50: number }): void {
    push(this.residuals.short, short, this.windows.short);
    push(this.residuals.long, long, this.windows.long);
    push(this.recent, seen, this.windows.long);
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
        const found = this.test(side, window, statistics[window]?.[side] ?? 0);
        if (found && (best === null || found.score > best.score)) best = found;
      }
    }
    return best;
  }

  /** While it goes on, half of the bound is enough: an event is one event. */
  private test(side: Side, window: Window, statistic: number): Unusual | null {
    const isOn = this.current === side;
    const least = Math.log(FACTOR_MIN[side]);
    if (statistic <= (isOn ? least / 2 : least)) return null;
    const bound = Math.max(least, this.bounds[side][window].bound());
    if (statistic <= (isOn ? bound / 2 : bound)) return null;
    const slots = this.windows[window];
    const seen = this.recent.slice(-slots);
    const [seenMbps, expectedMbps] = [knownMean(seen.map(({ mbps }) => mbps)) || 0, knownMean(seen.map(({ p50 }) => p50)) || 0];
    if (Math.abs(seenMbps - expectedMbps) < Math.max(this.settings.minMbps, DIFFERENCE_SHARE * this.mean)) return null;
    return { kind: side, score: statistic / bound, expectedMbps, seenMbps, slots };
  }

  /** How far every slot of the window is away in one direction. Null while one is not known. */
  private statistics(window: Window): Record<Side, number> | null {
    const residuals = this.residuals[window];
    if (residuals.length < this.windows[window] || residuals.some((value) => Number.isNaN(value))) return null;
    return { surge: Math.min(...residuals), drop: -Math.max(...residuals) };
  }

  private learn(mbps: number, statistics: Statistics, isUnusual: boolean): void {
    this.known += 1;
    const rate = Math.max(1 / this.known, Math.LN2 / (MEMORY_DAYS * this.settings.slotsPerDay));
    this.mean += rate * (mbps - this.mean);
    for (const side of SIDES) {
      for (const window of WINDOWS) {
        const statistic = statistics[window]?.[side];
        // what was told as unusual does not become usual by going on: of it only the bound is learned
        if (statistic !== undefined) this.bounds[side][window].add(isUnusual ? Math.min(statistic, this.bounds[side][window].bound()) : statistic);
      }
    }
  }
}

function push<T>(list: T[], value: T, most: number): void {
  list.push(value);
  if (list.length > most) list.shift();
}
