import { describe, expect, it } from 'vitest';
import { dayAt, formatWallClock, instantOf, isSkipped, isTimeZone, nextDay } from '../../src/base/index.ts';

const day = (date: string) => dayAt(Date.parse(`${date}T12:00:00Z`), 'UTC');
const iso = (at: number): string => new Date(at).toISOString().slice(0, 16);

describe('the clock on the wall', () => {
  it.each([
    ['in winter', '2026-12-01', 22 * 60, 'Europe/Berlin', '2026-12-01T21:00'],
    ['in summer', '2026-07-01', 22 * 60, 'Europe/Berlin', '2026-07-01T20:00'],
    ['half an hour beside the hour', '2026-07-01', 9 * 60, 'Asia/Kolkata', '2026-07-01T03:30'],
    ['where a day begins with yesterday in UTC', '2026-07-01', 60, 'Pacific/Auckland', '2026-06-30T13:00'],
    ['a time that is skipped comes an hour later', '2027-03-28', 150, 'Europe/Berlin', '2027-03-28T01:30'],
    ['a time that comes twice is the first', '2026-10-25', 150, 'Europe/Berlin', '2026-10-25T00:30'],
    ['just before clocks are put forward', '2027-03-28', 119, 'Europe/Berlin', '2027-03-28T00:59'],
    ['just after', '2027-03-28', 180, 'Europe/Berlin', '2027-03-28T01:00'],
    ['in the other hemisphere', '2026-10-04', 150, 'Australia/Sydney', '2026-10-03T16:30'],
  ])('%s', (_, date, minute, zone, expected) => {
    expect(iso(instantOf(day(date), minute, zone))).toBe(expected);
  });

  it('knows which times are skipped', () => {
    expect([119, 120, 150, 179, 180].map((minute) => isSkipped(day('2027-03-28'), minute, 'Europe/Berlin'))).toEqual([false, true, true, true, false]);
    expect(isSkipped(day('2026-10-25'), 150, 'Europe/Berlin')).toBe(false);
  });

  it('counts days over the ends of months and years', () => {
    expect(nextDay(day('2028-02-28'))).toMatchObject({ month: 2, day: 29, weekday: 1 });
    expect(nextDay(day('2026-12-31'))).toMatchObject({ year: 2027, month: 1, day: 1, weekday: 4 });
    expect(dayAt(Date.parse('2026-11-29T23:30:00Z'), 'Europe/Berlin')).toMatchObject({ day: 30, weekday: 0 });
    expect(formatWallClock(Date.parse('2026-11-29T23:30:00Z'), 'Europe/Berlin')).toBe('Mon 00:30');
    expect(formatWallClock(Date.parse('2026-11-29T23:30:05Z'), 'UTC', true)).toBe('Sun 23:30:05');
  });

  it('knows time zones from other names', () => {
    expect(['Europe/Berlin', 'UTC', 'Mars/Olympus', '', 'Europe'].map(isTimeZone)).toEqual([true, true, false, false, false]);
  });
});
