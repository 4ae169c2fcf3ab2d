import * as fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { createInlineForecaster, explainForecast, PARTS_OF_PAST, pastOf, pastsByPart, type ForecastExplanation, type PartName } from '../../../src/forecast/index.ts';
import { classId, siteId, type Forecast, type Intent, type Observation, type PlannedEvent } from '../../../src/model/index.ts';
import { loadStoryIntent } from '../../support/golden.ts';

const slotMs = 3_600_000;
const now = Date.parse('2026-11-23T09:00:00Z'); // a Monday
const demand = { from: siteId('berlin'), to: siteId('aws-fra'), classId: classId('business') };
const story = loadStoryIntent(null);
const mesh: Intent = { ...story, mesh: { ...story.mesh, forecast: { slotMs, slotsPerDay: 24, horizonSlots: 4, provision: 'p95' } } };

const observationOf = (mbps: (number | null)[]): Observation => ({ observedAt: now, slotMs, lastSlotEndAt: now, demands: [{ ...demand, mbps }], paths: [], tunnels: [], nodes: [] });
const week = (of: (slot: number, hour: number, day: number) => number | null): (number | null)[] => Array.from({ length: 168 }, (_, slot) => of(slot, new Date(now - (168 - slot) * slotMs).getUTCHours(), Math.floor(slot / 24)));
const office = week((slot, hour, day) => (hour >= 8 && hour < 18 ? 40 : 10) * (day > 4 ? 0.3 : 1) + (slot % 5));

/** Explains what a model, given as a function of a past, says of it, and what events move: what is learned of them and what is added in the end. */
function explain(model: (mbps: readonly (number | null)[]) => number[], past: (number | null)[], more: Partial<{ intent: Intent; forecast: Partial<Forecast>; expectedAt: (at: number) => { p50: number; p95: number } | null; addedMbps: number[]; learnedMbps: number[] }> = {}): ForecastExplanation {
  const observation = observationOf(past);
  const intent = more.intent ?? mesh;
  const p50 = model(past).map((value, slot) => value + (more.addedMbps?.[slot] ?? 0) + (more.learnedMbps?.[slot] ?? 0));
  const slots = p50.map((value, index) => ({ startAt: now + index * slotMs, p50: value, p90: value * 1.2, p95: value * 1.3 }));
  const forecast: Forecast = { madeAt: now, slotMs, model: 'model', backtest: [], demands: [{ ...demand, slots }], ...more.forecast };
  const answers = { withoutEvents: pastsByPart(pastOf({ intent, observation, demand })).map(model), withEvents: p50 };
  return explainForecast({ intent, observation, forecast, demand: forecast.demands[0]!, answers, expectedAt: more.expectedAt ?? (() => null), modelReasons: [] });
}

const partOf = (explanation: ForecastExplanation, name: PartName): number[] => explanation.parts.find((part) => part.name === name)!.mbps;
const mean = (mbps: readonly (number | null)[]): number[] => Array.from({ length: 4 }, () => mbps.reduce<number>((sum, value) => sum + (value ?? 0), 0) / mbps.length);
const lastWeek = (mbps: readonly (number | null)[]): number[] => Array.from({ length: 4 }, (_, slot) => mbps[slot] ?? 0);
const yesterday = (mbps: readonly (number | null)[]): number[] => Array.from({ length: 4 }, (_, slot) => mbps[mbps.length - 24 + slot] ?? 0);

describe('the parts of a forecast', () => {
  it('are p50 together, whatever the model and the past', () => {
    const past = fc.array(fc.option(fc.double({ min: 0, max: 1000, noNaN: true }), { freq: 10 }), { minLength: 1, maxLength: 200 });
    // a model that is nothing like linear: differences, roots and the past's last value
    const odd = (weights: readonly number[]) => (mbps: readonly (number | null)[]): number[] => weights.map((weight, slot) => Math.abs(Math.sqrt((mbps.at(-1) ?? 3) * (mbps.at(-1 - slot) ?? 1)) * weight - (mbps[0] ?? 0)));
    const four = (min: number, max: number): fc.Arbitrary<number[]> => fc.array(fc.double({ min, max, noNaN: true }), { minLength: 4, maxLength: 4 });
    fc.assert(
      fc.property(past, four(-3, 3), four(0, 50), four(-20, 50), (mbps, weights, added, learned) => {
        const adjustments = [{ event: 'e', eventKind: 'k', ...demand, expected: '×2', addedMbps: added, isBounded: false }];
        const explanation = explain(odd(weights), mbps, { addedMbps: added, learnedMbps: learned, forecast: { adjustments } });
        expect(partOf(explanation, 'events').every((value, slot) => Math.abs(value - added[slot]! - learned[slot]!) < 1e-3)).toBe(true);
        explanation.slots.forEach(({ p50 }, slot) => {
          expect(Math.abs(explanation.parts.reduce((sum, part) => sum + part.mbps[slot]!, 0) - p50)).toBeLessThan(1e-3);
          expect(Math.abs(partOf(explanation, 'model')[slot]!)).toBeLessThan(1e-3); // the model said it all
        });
      }),
      { numRuns: 200 },
    );
  });

  it('give nothing to what a model does not use', () => {
    const explanation = explain(mean, office);
    expect(partOf(explanation, 'level')[0]).toBeCloseTo(mean(office)[0]!, 1);
    for (const name of ['day', 'week', 'trend'] as const) for (const mbps of partOf(explanation, name)) expect(Math.abs(mbps), name).toBeLessThan(1);
  });

  it('give the time of day to a model that looks at yesterday', () => {
    const steady = week((_, hour) => (hour >= 8 && hour < 18 ? 40 : 10));
    const explanation = explain(yesterday, steady);
    expect(partOf(explanation, 'level')).toEqual([22.5, 22.5, 22.5, 22.5]);
    expect(partOf(explanation, 'day')).toEqual([17.5, 17.5, 17.5, 17.5]);
    for (const name of ['week', 'trend', 'recent'] as const) expect(partOf(explanation, name), name).toEqual([0, 0, 0, 0]);
  });

  it('tell a level that rose since yesterday from the usual day', () => {
    const risen = week((slot, hour) => (hour >= 8 && hour < 18 ? 40 : 10) + (slot >= 144 ? 8 : 0));
    const explanation = explain((mbps) => [mbps.at(-1)!, 0, 0, 0], risen);
    expect(partOf(explanation, 'trend')[0]).toBeGreaterThan(4);
    expect(Math.abs(partOf(explanation, 'recent')[0]!)).toBeLessThan(2);
  });

  it('of a short past are level and what was seen', () => {
    const explanation = explain((mbps) => [mbps.at(-1)!, 0, 0, 0], [4, 6, 8]);
    expect(partOf(explanation, 'level')[0]).toBe(6);
    expect(partOf(explanation, 'recent')[0]).toBe(2);
  });

  it('hold the model to its word: where it could not be asked, all is its own', () => {
    const observation = observationOf(office);
    const slots = [{ startAt: now, p50: 7, p90: 8, p95: 9 }];
    const forecast: Forecast = { madeAt: now, slotMs, model: 'model', backtest: [], demands: [{ ...demand, slots }] };
    const explanation = explainForecast({ intent: mesh, observation, forecast, demand: forecast.demands[0]!, answers: null, expectedAt: () => null, modelReasons: [] });
    expect(explanation.parts).toEqual([{ name: 'events', mbps: [0] }, { name: 'model', mbps: [7] }]);
  });

  it('are what the real forecaster says of each past', async () => {
    const forecaster = await createInlineForecaster({ models: ['ewma'] });
    const ask = async (mbps: (number | null)[]): Promise<number[]> => (await forecaster.forecast(observationOf(mbps), mesh.mesh.forecast)).demands[0]!.slots.map(({ p50 }) => p50);
    const pasts = pastsByPart(pastOf({ intent: mesh, observation: observationOf(office), demand }));
    const withoutEvents = await Promise.all(pasts.map(ask));
    const answers = { withoutEvents, withEvents: withoutEvents.at(-1)! };
    const forecast = await forecaster.forecast(observationOf(office), mesh.mesh.forecast);
    const explanation = explainForecast({ intent: mesh, observation: observationOf(office), forecast, demand: forecast.demands[0]!, answers, expectedAt: () => null, modelReasons: [] });
    expect(partOf(explanation, 'model')).toEqual([0, 0, 0, 0]);
    // EWMA says "as now": of the usual day it takes what is usual now, the same for every slot
    expect(new Set(partOf(explanation, 'day')).size).toBe(1);
    await forecaster.close();
  });

  it('of a past keep its gaps and never fall below nothing', () => {
    fc.assert(
      fc.property(fc.array(fc.option(fc.double({ min: 0, max: 100, noNaN: true })), { maxLength: 120 }), (mbps) => {
        const pasts = pastsByPart({ mbps, endAt: now, slotMs, slotsPerDay: 24 });
        expect(pasts).toHaveLength(PARTS_OF_PAST.length);
        expect(pasts.at(-1)).toEqual(mbps);
        for (const past of pasts) past.forEach((value, slot) => expect(value === null ? mbps[slot] : value >= 0 ? null : value).toBe(null));
      }),
      { numRuns: 100 },
    );
  });
});

describe('an explanation', () => {
  const launch: PlannedEvent = { name: 'launch', eventKind: 'product-launch', between: ['berlin', '*'], isOneWay: false, classes: [], when: { kind: 'once', startAt: now + slotMs }, durationMs: 2 * slotMs, expect: { kind: 'factor', factor: 2 }, mayLower: false };

  it('says in words what is expected when, what it rests on, how wide the band is, and how the last forecasts came out', () => {
    const { words } = explain(lastWeek, office, { expectedAt: (at) => (at > now - 5 * slotMs ? { p50: 30, p95: 50 } : null) });
    expect(words[0]).toMatch(/^Expected 4\d(\.\d)? Mbit\/s at Mon \d\d:00 UTC, the most of the next 4h; 19 times in 20 at most \d+(\.\d)? Mbit\/s\.$/);
    expect(words[1]).toMatch(/^It rests on the usual level of this demand \(\d/);
    expect(words[1]).toContain('usual at this time of day (+');
    expect(words[2]).toMatch(/^The band is .* above its mean on the last \d days of the kind/);
    expect(words.at(-1)).toMatch(/^Of the last 4 slots, what had been forecast was off by \d+(\.\d)? %/);
  });

  it('names the planned event that moved it, and marks when it is', () => {
    const intent = { ...mesh, plannedEvents: [launch] };
    const adjustments = [{ event: 'launch', eventKind: 'product-launch', ...demand, expected: '×2', addedMbps: [0, 40, 40, 0], isBounded: true }];
    const { words, events, parts } = explain(yesterday, office, { intent, addedMbps: [0, 40, 40, 0], forecast: { adjustments } });
    expect(events).toEqual([{ event: 'launch', eventKind: 'product-launch', startAt: now + slotMs, endAt: now + 3 * slotMs }]);
    expect(parts.find(({ name }) => name === 'events')!.mbps).toEqual([0, 40, 40, 0]);
    expect(words.join('\n')).toContain('Planned event launch (product-launch) is expected to mean ×2: +40 at most, as far as the uplinks go');
  });

  it('speaks of no weekday where a day is shorter than a day', () => {
    const demo: Intent = { ...mesh, mesh: { ...mesh.mesh, forecast: { ...mesh.mesh.forecast, slotsPerDay: 12 } } };
    expect(explain(yesterday, office, { intent: demo }).words[0]).toMatch(/in the slot that begins (now|in \d)/);
  });

  it('of silence is short', () => {
    const { words } = explain(() => [0, 0, 0, 0], week(() => 0));
    expect(words[0]).toContain('Expected 0 Mbit/s');
    expect(words.join(' ')).not.toMatch(/NaN|undefined|Infinity/);
  });
});
