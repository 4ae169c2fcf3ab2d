import { dayAt, instantOf, nextDay, type CalendarDay } from '../base/index.ts';
import type { ClassId, SiteId } from './ids.ts';
import { matchesName } from './intent.ts';

/** Something that people know will change traffic, before any traffic shows it: a backup window, a product launch. */
export interface PlannedEvent {
  name: string;
  /** Of what kind it is, in the mesh's own words (`backup-window`): past events of a kind tell what the next will do. */
  eventKind: string;
  /** Site names; `*` at the end matches a prefix. Both directions unless `isOneWay`: then from the first to the second. */
  between: [string, string];
  isOneWay: boolean;
  /** The classes it concerns; empty: all. */
  classes: ClassId[];
  when: EventTime;
  durationMs: number;
  /** What it does, where nothing of its kind has been seen; null: nobody says. */
  expect: ExpectedChange | null;
  /** Whether plans may provide less because of it. */
  mayLower: boolean;
}

/** Once, or whenever clocks of a time zone show one of `minutes` (0…1439) on one of `weekdays` (0 is Monday); begins in [fromAt, untilAt), null: no bound. */
export type EventTime = { kind: 'once'; startAt: number } | { kind: 'repeat'; weekdays: number[]; minutes: number[]; timeZone: string; fromAt: number | null; untilAt: number | null };

/** `factor` times what would come without it, or so much more. */
export type ExpectedChange = { kind: 'factor'; factor: number } | { kind: 'extra'; mbps: number };

/** One time that an event takes place: [startAt, endAt), epoch ms. */
export interface Occurrence {
  startAt: number;
  endAt: number;
}

/** When the event takes place within [fromAt, untilAt), in order; one that only reaches into it counts, whole. */
export function occurrencesOf(event: Pick<PlannedEvent, 'when' | 'durationMs'>, fromAt: number, untilAt: number): Occurrence[] {
  return startsOf(event.when, fromAt - event.durationMs, untilAt)
    .map((startAt) => ({ startAt, endAt: startAt + event.durationMs }))
    .filter(({ startAt, endAt }) => endAt > fromAt && startAt < untilAt);
}

/** Whether the event concerns a demand. */
export function concerns(event: Pick<PlannedEvent, 'between' | 'isOneWay' | 'classes'>, from: SiteId, to: SiteId, classId: ClassId): boolean {
  if (event.classes.length > 0 && !event.classes.includes(classId)) return false;
  const [a, b] = event.between;
  return (matchesName(a, from) && matchesName(b, to)) || (!event.isOneWay && matchesName(a, to) && matchesName(b, from));
}

function startsOf(when: EventTime, fromAt: number, untilAt: number): number[] {
  if (when.kind === 'once') return [when.startAt];
  const first = Math.max(fromAt, when.fromAt ?? fromAt);
  const end = Math.min(untilAt, when.untilAt ?? untilAt);
  const starts: number[] = [];
  // A day earlier and later: where clocks are put forward a start may fall on the next day.
  for (let day = dayAt(first - DAY_MS, when.timeZone); beginsBefore(day, end + DAY_MS); day = nextDay(day)) {
    if (!when.weekdays.includes(day.weekday)) continue;
    for (const minute of when.minutes) starts.push(instantOf(day, minute, when.timeZone));
  }
  return [...new Set(starts)].filter((at) => at >= first && at < end).sort((left, right) => left - right);
}

const DAY_MS = 86_400_000;

function beginsBefore({ year, month, day }: CalendarDay, at: number): boolean {
  return Date.UTC(year, month - 1, day) < at;
}
