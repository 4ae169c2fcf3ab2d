/** A day of the calendar somewhere; `weekday` 0 is Monday. */
export interface CalendarDay {
  year: number;
  /** 1…12 */
  month: number;
  day: number;
  weekday: number;
}

const DAY_MS = 86_400_000;

/** True for a name of the IANA time zone database that this Node.js knows: `Europe/Berlin`, `UTC`. */
export function isTimeZone(name: string): boolean {
  return formatterOf(name) !== null;
}

/**
 * The instant at which clocks of a time zone show `minute` (0…1439, from midnight) on a day. A time that is skipped in
 * spring comes as much later as clocks are put forward (02:30 is then 03:30); of a time that comes twice in autumn it is
 * the first (as RFC 5545 has it).
 */
export function instantOf(day: CalendarDay, minute: number, timeZone: string): number {
  const asUtc = Date.UTC(day.year, day.month - 1, day.day) + minute * 60_000;
  const offsets = [offsetMs(asUtc - DAY_MS, timeZone), offsetMs(asUtc + DAY_MS, timeZone)];
  const shown = offsets.find((offset) => offsetMs(asUtc - offset, timeZone) === offset);
  return asUtc - (shown ?? offsets[0]!);
}

/** True when clocks of the time zone never show that time on that day. */
export function isSkipped(day: CalendarDay, minute: number, timeZone: string): boolean {
  const at = instantOf(day, minute, timeZone);
  return at + offsetMs(at, timeZone) !== Date.UTC(day.year, day.month - 1, day.day) + minute * 60_000;
}

/** The day that a calendar in the time zone shows at an instant. */
export function dayAt(at: number, timeZone: string): CalendarDay {
  return dayOfUtc(at + offsetMs(at, timeZone));
}

export function nextDay({ year, month, day }: CalendarDay): CalendarDay {
  return dayOfUtc(Date.UTC(year, month - 1, day) + DAY_MS);
}

/** `Mon 21:45`, as clocks and calendars of the time zone show it: for people. With seconds where what is shown is closer together than minutes. */
export function formatWallClock(at: number, timeZone: string, withSeconds = false): string {
  const local = new Date(at + offsetMs(at, timeZone));
  return `${WEEKDAYS[(local.getUTCDay() + 6) % 7]!} ${local.toISOString().slice(11, withSeconds ? 19 : 16)}`;
}

export const WEEKDAYS = ['Mon', 'Tue', 'Wed', 'Thu', 'Fri', 'Sat', 'Sun'] as const;

function dayOfUtc(ms: number): CalendarDay {
  const date = new Date(ms);
  return { year: date.getUTCFullYear(), month: date.getUTCMonth() + 1, day: date.getUTCDate(), weekday: (date.getUTCDay() + 6) % 7 };
}

/** What clocks of the time zone are ahead of UTC, ms. */
function offsetMs(at: number, timeZone: string): number {
  const formatter = formatterOf(timeZone);
  if (formatter === null) throw new RangeError(`unknown time zone ${timeZone}`);
  const parts = new Map(formatter.formatToParts(at).map(({ type, value }) => [type, Number(value)]));
  const part = (type: Intl.DateTimeFormatPartTypes): number => parts.get(type)!;
  return Date.UTC(part('year'), part('month') - 1, part('day'), part('hour'), part('minute'), part('second')) - Math.floor(at / 1000) * 1000;
}

const formatters = new Map<string, Intl.DateTimeFormat | null>();

/** Making one costs a thousand times more than using it. */
function formatterOf(timeZone: string): Intl.DateTimeFormat | null {
  const known = formatters.get(timeZone);
  if (known !== undefined) return known;
  if (formatters.size > 500) formatters.clear(); // names come from files; there are fewer zones than that
  let formatter: Intl.DateTimeFormat | null;
  try {
    formatter = new Intl.DateTimeFormat('en-GB', { timeZone, hourCycle: 'h23', year: 'numeric', month: 'numeric', day: 'numeric', hour: 'numeric', minute: 'numeric', second: 'numeric' });
  } catch {
    formatter = null; // a RangeError is how Intl says that it does not know the zone
  }
  formatters.set(timeZone, formatter);
  return formatter;
}
