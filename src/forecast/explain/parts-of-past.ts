import { knownMean } from '../matrix/demand-matrix.ts';

/** A past on slots of a day: `mbps` ends at `endAt`, null where nothing is known. */
export interface Past {
  mbps: readonly (number | null)[];
  endAt: number;
  slotMs: number;
  slotsPerDay: number;
}

/** What a past is made of, coarse to fine; in this order each is shown to the model on top of those before. */
export const PARTS_OF_PAST = ['level', 'day', 'week', 'trend', 'recent'] as const;
export type PartOfPast = (typeof PARTS_OF_PAST)[number];

/** Below this share of a day with known values a time of day is not called usual. */
const DAY_KNOWN_MIN = 0.75;

/**
 * The same past, first with one part of it only, then with one more each time; the last is the past itself.
 * level: its mean, of all times of day alike. day: what is usual at each time of day. week: what the kind of day (working
 * day, weekend) adds to that. trend: the mean of a day around what these leave, so how far the last day lies above or
 * below. recent: the rest. A part that the past is too short for adds nothing. Gaps stay gaps, and nothing is below 0.
 */
export function pastsByPart(past: Past): (number | null)[][] {
  const { mbps } = past;
  const level = components(past);
  return PARTS_OF_PAST.map((_, last) => mbps.map((value, slot) => (value === null ? null : last === PARTS_OF_PAST.length - 1 ? value : Math.max(0, level.slice(0, last + 1).reduce((sum, part) => sum + part[slot]!, 0)))));
}

/** How far the last day lies above the level that is usual at these times, as a share of the level; 0 where nothing is known. */
export function trendShare(past: Past): number {
  const [level, , , trend] = components(past);
  const last = past.mbps.length - 1;
  return last >= 0 && level![last]! > 0 ? trend![last]! / level![last]! : 0;
}

/** Whether a slot is on the sixth or seventh day; day 0 of the epoch is a Thursday. */
export function isWeekend(startAt: number, { slotMs, slotsPerDay }: Pick<Past, 'slotMs' | 'slotsPerDay'>): boolean {
  return modulo(Math.floor(startAt / slotMs / slotsPerDay) + 3, 7) >= 5;
}

/** Slot of the day. */
export function phaseAt(startAt: number, { slotMs, slotsPerDay }: Pick<Past, 'slotMs' | 'slotsPerDay'>): number {
  return modulo(Math.floor(startAt / slotMs), slotsPerDay);
}

/** `[part][slot]` of the first four; 0 where the value is not known. */
function components(past: Past): Float64Array[] {
  const { mbps, endAt, slotMs, slotsPerDay } = past;
  const slots = mbps.length;
  const startAt = (slot: number): number => endAt - (slots - slot) * slotMs;
  const phases = mbps.map((_, slot) => phaseAt(startAt(slot), past));
  const kinds = mbps.map((_, slot) => Number(isWeekend(startAt(slot), past)));
  const ofDay = new Means(slotsPerDay);
  const ofKind = [new Means(slotsPerDay), new Means(slotsPerDay)];
  mbps.forEach((value, slot) => {
    if (value === null) return;
    ofDay.add(phases[slot]!, value);
    ofKind[kinds[slot]!]!.add(phases[slot]!, value);
  });
  const hasDay = ofDay.known() >= DAY_KNOWN_MIN * slotsPerDay;
  const hasWeek = hasDay && ofKind.every((means) => means.known() >= DAY_KNOWN_MIN * slotsPerDay);
  const level = ofDay.mean();
  const parts = Array.from({ length: 4 }, () => new Float64Array(slots));
  const window: number[] = [];
  mbps.forEach((value, slot) => {
    const usual = ofDay.at(phases[slot]!);
    parts[0]![slot] = level;
    if (hasDay && usual !== null) parts[1]![slot] = usual - level;
    const usualOfKind = ofKind[kinds[slot]!]!.at(phases[slot]!);
    if (hasWeek && usual !== null && usualOfKind !== null) parts[2]![slot] = usualOfKind - usual;
    window.push(value === null ? Number.NaN : value - level - parts[1]![slot]! - parts[2]![slot]!);
    if (window.length > slotsPerDay) window.shift();
    if (hasDay) parts[3]![slot] = knownMean(window) || 0;
  });
  return parts;
}

class Means {
  private readonly sums: Float64Array;
  private readonly counts: Float64Array;

  constructor(size: number) {
    this.sums = new Float64Array(size);
    this.counts = new Float64Array(size);
  }

  add(index: number, value: number): void {
    this.sums[index]! += value;
    this.counts[index]! += 1;
  }

  at(index: number): number | null {
    return this.counts[index]! > 0 ? this.sums[index]! / this.counts[index]! : null;
  }

  known(): number {
    return this.counts.reduce((known, count) => known + Number(count > 0), 0);
  }

  /** Of the means, so that a time of day that was seen twice counts once. */
  mean(): number {
    const known = [...this.sums.keys()].flatMap((index) => this.at(index) ?? []);
    return known.length > 0 ? known.reduce((sum, value) => sum + value, 0) / known.length : 0;
  }
}

function modulo(value: number, by: number): number {
  return ((value % by) + by) % by;
}
