import { dayAt, formatDuration, isSkipped, isTimeZone, parseDurationMs, type CalendarDay, type Finding } from '../base/index.ts';
import { finding, shown, type KindDocument } from './check-schema.ts';
import { suggestion } from './nearest.ts';
import { minutesOf, parseExpectedChange } from './normalise-event.ts';
import { textAt, textsAt, type Outline, type Spot } from './outline.ts';
import { VALUE_TYPES } from './schema-parts.ts';
import { WEEKDAY_NAMES } from './schema.ts';

/** Of a factor; beyond it a typing error is likelier than the event. */
const FACTOR_MAX = 100;

/** What is wrong with planned events beyond their fields: whom they name, when they are, what they expect. */
export function checkEvents(outline: Outline): Finding[] {
  const sites = namesOf(outline, 'Site');
  const classes = namesOf(outline, 'TrafficClass');
  return eventsOf(outline).flatMap((document) => [
    ...textsAt(document, '/between').filter(({ text }) => !text.endsWith('*')).flatMap((spot) => unknown(spot, 'site', sites)),
    ...checkBetween(textsAt(document, '/between')),
    ...textsAt(document, '/classes').flatMap((spot) => unknown(spot, 'traffic class', classes)),
    ...checkTimes(document),
    ...checkGaps(document),
    ...checkExpectation(document),
  ]);
}

/** Times that a day in spring does not have. */
export function doubtfulEvents(outline: Outline): Finding[] {
  return eventsOf(outline).flatMap((document) => {
    const { days, timeZone } = repeatOf(document);
    return timesOfDay(document).flatMap((spot) => {
      const day = shortDays(timeZone).find((each) => days.includes(each.weekday) && isSkipped(each, minutesOf(spot.text), timeZone));
      if (!day) return [];
      const date = `${day.year}-${two(day.month)}-${two(day.day)}`;
      return [at(spot, 'INTENT_INVALID', `clocks in ${timeZone} skip ${spot.text} when they are put forward (${date}), so it begins later on that day`, 'choose a time that every day has, or timeZone: UTC')];
    });
  });
}

/** False for what fits the pattern of an instant and is none; parsers take 30 February for 2 March. */
export function isOnCalendar(instant: string): boolean {
  const ms = Date.parse(instant);
  return !Number.isNaN(ms) && new Date(ms).toISOString().slice(0, 10) === instant.slice(0, 10);
}

function eventsOf(outline: Outline): KindDocument[] {
  return outline.documents.filter((document) => document.kind === 'PlannedEvent');
}

function checkBetween([first, second]: readonly Spot[]): Finding[] {
  if (!first || !second || first.text !== second.text || first.text.endsWith('*')) return [];
  return [at(second, 'INTENT_INVALID', `the event is between site "${first.text}" and itself`, `name two different sites, or [${first.text}, '*'] for all its traffic`)];
}

function checkTimes(document: KindDocument): Finding[] {
  const start = textAt(document, '/start');
  const until = textAt(document, '/until');
  const repeats = document.value['repeat'] !== undefined;
  const isOf = (spot: Spot | null): spot is Spot => spot !== null && new RegExp(VALUE_TYPES.instant.pattern).test(spot.text);
  const strange = [start, until].filter(isOf).filter(({ text }) => !isOnCalendar(text));
  const findings = strange.map((spot) => at(spot, 'INTENT_SCHEMA', `${spot.pointer.slice(1)} is ${shown(spot.text)}, which is no day of the calendar`, "write for example '2026-11-22T18:00:00Z'"));
  if (document.value['start'] === undefined && !repeats) {
    findings.push(finding(document.source, '/name', 'INTENT_SCHEMA', 'nothing says when the event takes place', "add start: '2026-12-01T18:00:00Z', or repeat: { days: [mon], at: ['22:00'], timeZone: Europe/Berlin }"));
  }
  if (until && !repeats) findings.push(at(until, 'INTENT_INVALID', 'an event that takes place once ends after its duration, and has until as well', 'remove until, or add repeat'));
  if (isOf(start) && isOf(until) && Date.parse(until.text) <= Date.parse(start.text)) {
    findings.push(at(until, 'INTENT_INVALID', `until (${until.text}) is not after start (${start.text}), so it never takes place`, 'write a later until'));
  }
  return findings;
}

const WEEK_MINUTES = 7 * 1440;

/** A repeated event that is still on when it begins again would be one that never ends. */
function checkGaps(document: KindDocument): Finding[] {
  const duration = textAt(document, '/duration');
  const durationMs = duration && parseDurationMs(duration.text);
  const minutes = timesOfDay(document).map(({ text }) => minutesOf(text));
  if (!duration || !durationMs || minutes.length === 0) return [];
  const starts = [...new Set(repeatOf(document).days.flatMap((day) => minutes.map((minute) => day * 1440 + minute)))].sort((left, right) => left - right);
  const gaps = starts.map((start, index) => (starts[index + 1] ?? starts[0]! + WEEK_MINUTES) - start);
  const least = Math.min(...gaps) * 60_000;
  if (durationMs <= least) return [];
  return [at(duration, 'INTENT_INVALID', `the event lasts ${duration.text} and begins anew ${formatDuration(least)} after it began`, `write at most '${formatDuration(least).replaceAll(' ', '')}', or fewer days and times`)];
}

function checkExpectation(document: KindDocument): Finding[] {
  const spot = textAt(document, '/expect');
  const expected = spot && parseExpectedChange(spot.text);
  if (!spot || !expected || expected.kind === 'extra') return [];
  if (expected.factor > FACTOR_MAX) return [at(spot, 'INTENT_INVALID', `expect is ${shown(spot.text)}`, `write a factor of at most ×${FACTOR_MAX}, or the bandwidth that comes on top, for example '+200Mbps'`)];
  if (expected.factor < 1 && document.value['mayLower'] !== true) {
    return [at(spot, 'INTENT_INVALID', `expect is ${shown(spot.text)}, less than usual, and plans would provide less`, 'add mayLower: true if that is meant')];
  }
  return [];
}

/** Those that are times: others have their own finding. */
function timesOfDay(document: KindDocument): Spot[] {
  const pattern = new RegExp(VALUE_TYPES.timeOfDay.pattern);
  return textsAt(document, '/repeat/at').filter(({ text }) => pattern.test(text));
}

function repeatOf(document: KindDocument): { days: number[]; timeZone: string } {
  const zone = textAt(document, '/repeat/timeZone')?.text ?? 'UTC';
  const days = textsAt(document, '/repeat/days').map(({ text }) => (WEEKDAY_NAMES as readonly string[]).indexOf(text)).filter((day) => day >= 0);
  return { days, timeZone: isTimeZone(zone) ? zone : 'UTC' };
}

/** Any year does: what matters is which hours are skipped, and on which day of the week. */
const YEAR_FROM = Date.UTC(2027, 0, 1, 12);
const DAY_MS = 86_400_000;
const known = new Map<string, CalendarDay[]>();

/** The days of a year on which clocks of the zone are put forward. */
function shortDays(timeZone: string): CalendarDay[] {
  const found = known.get(timeZone);
  if (found) return found;
  if (known.size > 500) known.clear();
  const days = Array.from({ length: 365 }, (_, index) => dayAt(YEAR_FROM + index * DAY_MS, timeZone));
  // Clocks are put forward by half an hour at least, at night: two of these minutes a skipped hour has for certain.
  const isShort = (day: CalendarDay): boolean => SKIPPED_MINUTES.some((minute) => isSkipped(day, minute, timeZone));
  const short = timeZone === 'UTC' ? [] : days.filter((day) => day.weekday >= 4).filter(isShort);
  known.set(timeZone, short);
  return short;
}

const SKIPPED_MINUTES = [15, 75, 135, 195];

function unknown(spot: Spot, what: string, names: readonly string[]): Finding[] {
  if (names.includes(spot.text)) return [];
  return [at(spot, 'INTENT_REFERENCE', `there is no ${what} ${shown(spot.text)}`, suggestion(spot.text, names, `add the ${what}`))];
}

function namesOf(outline: Outline, kind: 'Site' | 'TrafficClass'): string[] {
  return (outline.named.get(kind) ?? []).map(({ text }) => text).sort();
}

function at(spot: Spot, code: string, what: string, fix: string): Finding {
  return finding(spot.document.source, spot.pointer, code, what, fix);
}

function two(value: number): string {
  return String(value).padStart(2, '0');
}
