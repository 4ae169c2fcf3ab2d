import * as fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { adjustForEvents, createInlineForecaster } from '../../../src/forecast/index.ts';
import { classId, siteId, type ExpectedChange, type Forecast, type Intent, type Observation, type PlannedEvent } from '../../../src/model/index.ts';
import { loadStoryIntent } from '../../support/golden.ts';

const minuteMs = 60_000;
const slotMs = 15 * minuteMs;
const now = Date.parse('2026-11-23T10:00:00Z');
const demand = { from: siteId('berlin'), to: siteId('aws-fra'), classId: classId('business') };
const mesh = loadStoryIntent(null);

const launch: PlannedEvent = { name: 'launch', eventKind: 'product-launch', between: ['berlin', 'aws-fra'], isOneWay: true, classes: [], when: { kind: 'once', startAt: now + 30 * minuteMs }, durationMs: 60 * minuteMs, expect: { kind: 'factor', factor: 3 }, mayLower: false };
const withEvents = (...plannedEvents: PlannedEvent[]): Intent => ({ ...mesh, plannedEvents });
const observed = (mbps: (number | null)[]): Observation => ({ observedAt: now, slotMs, lastSlotEndAt: now, demands: [{ ...demand, mbps }], paths: [], tunnels: [], nodes: [] });
const forecast = (p50: number[], spread = 1.5): Forecast => ({ madeAt: now, slotMs, model: 'ewma', backtest: [], demands: [{ ...demand, slots: p50.map((value, index) => ({ startAt: now + index * slotMs, p50: value, p90: value * 1.25, p95: value * spread })) }] });
const adjust = (p50: number[], past: (number | null)[], ...events: PlannedEvent[]) => adjustForEvents(forecast(p50), withEvents(...events), observed(past));
const p50Of = (result: Forecast): number[] => result.demands[0]!.slots.map(({ p50 }) => p50);

describe('a forecast with planned events', () => {
  it('rises before any traffic shows the event, and says because of what', async () => {
    const forecaster = await createInlineForecaster({ models: ['ewma'] });
    const quiet = observed(Array.from({ length: 96 }, () => 4));
    const before = await forecaster.forecast(quiet, mesh.mesh.forecast);
    const after = adjustForEvents(before, withEvents(launch), quiet);
    expect(p50Of(before)).toEqual([4, 4, 4, 4]);
    expect(p50Of(after)).toEqual([4, 4, 12, 12]);
    expect(after.demands[0]!.slots[2]!.p95).toBeGreaterThan(12);
    expect(after.adjustments).toEqual([{ event: 'launch', eventKind: 'product-launch', ...demand, expected: '×3', addedMbps: [0, 0, 8, 8], isBounded: false }]);
    await forecaster.close();
  });

  it.each<[string, ExpectedChange, Partial<PlannedEvent>, number[]]>([
    ['a factor', { kind: 'factor', factor: 2 }, {}, [4, 4, 8, 8]],
    ['additional bandwidth', { kind: 'extra', mbps: 5 }, {}, [4, 4, 9, 9]],
    ['half of a slot', { kind: 'factor', factor: 3 }, { when: { kind: 'once', startAt: now + 37.5 * minuteMs } }, [4, 4, 8, 12]],
    ['less, where it may', { kind: 'factor', factor: 0.25 }, { mayLower: true }, [4, 4, 1, 1]],
    ['nothing at all, where it may: a tenth stays', { kind: 'factor', factor: 0 }, { mayLower: true }, [4, 4, 0.4, 0.4]],
    ['less, where it may not', { kind: 'factor', factor: 0.25 }, {}, [4, 4, 4, 4]],
    ['more than the uplinks carry', { kind: 'factor', factor: 100 }, {}, [4, 4, 40, 40]],
    ['of another direction', { kind: 'factor', factor: 3 }, { between: ['aws-fra', 'berlin'] }, [4, 4, 4, 4]],
  ])('takes %s', (_, expected, change, p50) => {
    expect(p50Of(adjust([4, 4, 4, 4], [], { ...launch, expect: expected, ...change }))).toEqual(p50);
  });

  it('is left alone by events of which nobody says what they do', () => {
    const made = forecast([4, 4, 4, 4]);
    expect(adjustForEvents(made, withEvents({ ...launch, expect: null }), observed([]))).toBe(made);
  });

  it('does not count an event twice that the model has learned', () => {
    expect(p50Of(adjust([4, 4, 12, 12], [...Array.from({ length: 94 }, () => 4), 12, 12], { ...launch, when: { kind: 'once', startAt: now - 30 * minuteMs }, durationMs: 120 * minuteMs }))).toEqual([12, 12, 12, 12]);
    const weekly: PlannedEvent = { ...launch, when: { kind: 'repeat', weekdays: [0, 6], minutes: [630], timeZone: 'UTC', fromAt: null, untilAt: null } };
    // two days: yesterday had the event (12), the day before had not (4)
    const past = Array.from({ length: 192 }, (_, slot) => (slot >= 98 && slot < 102 ? 12 : 4));
    expect(p50Of(adjust([4, 4, 12, 12], past, weekly))).toEqual([4, 4, 12, 12]);
    expect(p50Of(adjust([4, 4, 4, 4], past, weekly))).toEqual([4, 4, 12, 12]);
  });

  it('takes the day’s other hours for usual where every day had the event', () => {
    const nightly: PlannedEvent = { ...launch, when: { kind: 'repeat', weekdays: [0, 1, 2, 3, 4, 5, 6], minutes: [630], timeZone: 'UTC', fromAt: null, untilAt: null } };
    const past = Array.from({ length: 96 }, (_, slot) => (slot >= 2 && slot < 6 ? 12 : 4));
    expect(p50Of(adjust([4, 4, 9, 9], past, nightly))).toEqual([4, 4, 12, 12]);
  });

  it('adds different events up, and cuts them alike at the uplinks', () => {
    const result = adjust([4, 4, 4, 4], [], launch, { ...launch, name: 'backup', eventKind: 'backup', expect: { kind: 'extra', mbps: 60 } });
    expect(p50Of(result)).toEqual([4, 4, 40, 40]);
    expect(result.adjustments!.map(({ addedMbps, isBounded }) => [addedMbps[2], isBounded])).toEqual([[6.5455, true], [29.4545, true]]);
  });

  it('keeps its quantiles in order, is only raised, and by exactly what is recorded', () => {
    const events = fc.array(fc.record({ factor: fc.double({ min: 1, max: 30, noNaN: true }), afterMin: fc.integer({ min: -60, max: 60 }), extra: fc.boolean() }), { minLength: 1, maxLength: 3 });
    fc.assert(
      fc.property(events, fc.array(fc.double({ min: 0, max: 30, noNaN: true }), { minLength: 4, maxLength: 4 }), (planned, p50) => {
        const before = forecast(p50);
        const named = planned.map(({ factor, afterMin, extra }, index): PlannedEvent => ({ ...launch, name: `e${index}`, eventKind: `k${index}`, when: { kind: 'once', startAt: now + afterMin * minuteMs }, expect: extra ? { kind: 'extra', mbps: factor } : { kind: 'factor', factor } }));
        const after = adjustForEvents(before, withEvents(...named), observed([]));
        after.demands[0]!.slots.forEach((slot, index) => {
          const old = before.demands[0]!.slots[index]!;
          const added = (after.adjustments ?? []).reduce((sum, { addedMbps }) => sum + addedMbps[index]!, 0);
          expect(slot.p50 - old.p50).toBeCloseTo(added, 3);
          expect(slot.p50).toBeGreaterThanOrEqual(old.p50 - 1e-9);
          expect(slot.p90).toBeGreaterThanOrEqual(slot.p50);
          expect(slot.p95).toBeGreaterThanOrEqual(slot.p90);
        });
      }),
      { numRuns: 100 },
    );
  });
});
