import { describe, expect, it } from 'vitest';
import { eventCovariates, eventsInSlots } from '../../../src/forecast/index.ts';
import { classId, siteId, type PlannedEvent } from '../../../src/model/index.ts';

const minuteMs = 60_000;
const startAt = Date.parse('2026-11-23T00:00:00Z');
const event = (name: string, change: Partial<PlannedEvent>): PlannedEvent => ({ name, eventKind: 'backup', between: ['*', '*'], isOneWay: false, classes: [], when: { kind: 'once', startAt: startAt + 30 * minuteMs }, durationMs: 30 * minuteMs, expect: null, mayLower: false, ...change });
const series = (events: PlannedEvent[], slots = 8) => eventsInSlots({ plannedEvents: events }, startAt, 15 * minuteMs, slots);

describe('planned events on a grid of slots', () => {
  it('are the share of each slot in which they are on', () => {
    const [half] = series([event('half', { when: { kind: 'once', startAt: startAt + 37.5 * minuteMs } })]);
    expect([...half!.shares]).toEqual([0, 0, 0.5, 1, 0.5, 0, 0, 0]);
  });

  it('of one kind and scope are one series, never above 1', () => {
    const [both, ...none] = series([event('one', {}), event('two', { when: { kind: 'once', startAt: startAt + 45 * minuteMs } })]);
    expect(none).toEqual([]);
    expect(both).toMatchObject({ eventKind: 'backup', events: ['one', 'two'] });
    expect([...both!.shares]).toEqual([0, 0, 1, 1, 1, 0, 0, 0]);
  });

  it('of other kinds, or for others, are series of their own', () => {
    expect(series([event('a', {}), event('b', { eventKind: 'launch' }), event('c', { between: ['berlin', '*'] })]).map(({ eventKind, scope }) => [eventKind, scope.between[0]])).toEqual([['backup', '*'], ['backup', 'berlin'], ['launch', '*']]);
  });

  it('outside the grid make no series', () => {
    expect(series([event('later', { when: { kind: 'once', startAt: startAt + 300 * minuteMs } })])).toEqual([]);
    expect(eventsInSlots({}, startAt, 15 * minuteMs, 8)).toEqual([]);
  });

  it('give each demand at most one input of a kind', () => {
    const demands = ['berlin>paris', 'berlin>rome', 'rome>paris'].map((pair) => {
      const [from, to] = pair.split('>');
      return { from: siteId(from!), to: siteId(to!), classId: classId('bulk') };
    });
    const both = series([event('all', {}), event('berlin', { between: ['berlin', '*'], when: { kind: 'once', startAt: startAt + 60 * minuteMs } }), event('launch', { eventKind: 'launch', between: ['paris', 'rome'] })]);
    expect(eventCovariates(both, demands).map(({ name, pairs, values }) => [name, pairs, [...values].join('')])).toEqual([
      ['event:backup', [2], '00110000'],
      ['event:backup', [0, 1], '00111100'],
      ['event:launch', [2], '00110000'],
    ]);
  });
});
