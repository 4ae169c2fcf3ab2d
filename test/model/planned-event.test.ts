import * as fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { classId, concerns, occurrencesOf, siteId, type EventTime } from '../../src/model/index.ts';

const hourMs = 3_600_000;
const at = (text: string): number => Date.parse(text);
const starts = (when: EventTime, from: string, until: string, durationMs = hourMs): string[] => occurrencesOf({ when, durationMs }, at(from), at(until)).map(({ startAt }) => new Date(startAt).toISOString().slice(5, 16));
const nightly: EventTime = { kind: 'repeat', weekdays: [0, 1, 2, 3, 4, 5, 6], minutes: [22 * 60], timeZone: 'Europe/Berlin', fromAt: null, untilAt: null };

describe('when an event takes place', () => {
  it('by the clock on the wall, through the end of summer time', () => {
    expect(starts(nightly, '2026-10-24T00:00Z', '2026-10-27T00:00Z')).toEqual(['10-24T20:00', '10-25T21:00', '10-26T21:00']);
  });

  it('on its weekdays and at its times only, in order', () => {
    expect(starts({ ...nightly, weekdays: [0, 4], minutes: [8 * 60, 18 * 60], timeZone: 'UTC' }, '2026-11-23T00:00Z', '2026-11-30T00:00Z')).toEqual(['11-23T08:00', '11-23T18:00', '11-27T08:00', '11-27T18:00']);
  });

  it('not before its first and not from its until on', () => {
    const bounded = { ...nightly, fromAt: at('2026-11-20T21:00Z'), untilAt: at('2026-11-22T21:00Z') };
    expect(starts(bounded, '2026-11-01T00:00Z', '2026-12-01T00:00Z')).toEqual(['11-20T21:00', '11-21T21:00']);
  });

  it('counts one that only reaches into the window, and none that only touches it', () => {
    expect(starts(nightly, '2026-11-20T21:30Z', '2026-11-20T21:45Z')).toEqual(['11-20T21:00']);
    expect(starts(nightly, '2026-11-20T22:00Z', '2026-11-21T21:00Z')).toEqual([]);
    expect(starts({ kind: 'once', startAt: at('2026-11-20T21:00Z') }, '2026-11-20T21:59Z', '2026-11-21T21:00Z')).toEqual(['11-20T21:00']);
  });

  it('is the same whether a time is looked at in one window or in several', () => {
    const times = fc.record({ weekdays: fc.uniqueArray(fc.integer({ min: 0, max: 6 }), { minLength: 1 }), minutes: fc.uniqueArray(fc.integer({ min: 0, max: 1439 }), { minLength: 1, maxLength: 3 }), timeZone: fc.constantFrom('Europe/Berlin', 'America/New_York', 'UTC', 'Australia/Lord_Howe') });
    fc.assert(
      fc.property(times, fc.integer({ min: 0, max: 400 }), fc.integer({ min: 1, max: 240 }), (time, day, hours) => {
        const event = { when: { kind: 'repeat' as const, ...time, fromAt: null, untilAt: null }, durationMs: 60_000 };
        const fromAt = at('2026-01-01T00:00Z') + day * 24 * hourMs;
        const whole = occurrencesOf(event, fromAt, fromAt + 2 * hours * hourMs);
        const halves = [occurrencesOf(event, fromAt, fromAt + hours * hourMs), occurrencesOf(event, fromAt + hours * hourMs, fromAt + 2 * hours * hourMs)].flat();
        expect([...new Set(halves.map(({ startAt }) => startAt))]).toEqual(whole.map(({ startAt }) => startAt));
      }),
      { numRuns: 60 },
    );
  });
});

describe('whom an event concerns', () => {
  it.each([
    ['the pair in both directions', {}, 'berlin>aws-fra bulk', true],
    ['the other direction', {}, 'aws-fra>berlin bulk', true],
    ['not the other direction when it is one-way', { isOneWay: true }, 'aws-fra>berlin bulk', false],
    ['not another pair', {}, 'berlin>paris bulk', false],
    ['sites by a prefix', { between: ['*', 'aws-*'] as [string, string] }, 'paris>aws-fra bulk', true],
    ['only its classes', { classes: [classId('voice')] }, 'berlin>aws-fra bulk', false],
  ])('%s', (_, change, demand, expected) => {
    const [, from, to, name] = /^(\S+)>(\S+) (\S+)$/.exec(demand)!;
    const event = { between: ['berlin', 'aws-fra'] as [string, string], isOneWay: false, classes: [], ...change };
    expect(concerns(event, siteId(from!), siteId(to!), classId(name!))).toBe(expected);
  });
});
