import * as fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import type { Plan } from '../../src/model/index.ts';
import { foreseenBy } from '../support/golden.ts';
import { planFor, routesOf, type Situation } from '../support/plan-situations.ts';

const CABLE = 'berlin-gw1/cable~paris-gw1/cable';
const FIBRE = 'berlin-gw1/fibre~paris-gw1/fibre';
/** The other two, which are worse from the beginning. */
const MIXED = ['berlin-gw1/cable~paris-gw1/fibre', 'berlin-gw1/fibre~paris-gw1/cable'];
const START_AT = Date.UTC(2026, 0, 5, 8);
const HOUR_MS = 3_600_000;

/** Voice between two sites with a measured path over each kind of uplink; how probable a violation of the one over cable is. */
function situation(now: number, probability: number | null, more: Situation & { fibre?: number; cableMs?: number; fibreMs?: number } = {}): Situation {
  const { fibre = 0.02, cableMs = 22, fibreMs = 24 } = more;
  return {
    now,
    demands: ['berlin>paris voice 1', 'paris>berlin voice 1', 'berlin>paris bulk 2', 'paris>berlin bulk 2'],
    paths: [...MIXED.map((path) => ({ path, latencyMs: 120, jitterMs: 1, lossRatio: 0 })), { path: CABLE, latencyMs: cableMs, jitterMs: 1, lossRatio: 0 }, { path: FIBRE, latencyMs: fibreMs, jitterMs: 1, lossRatio: 0 }],
    ...(probability === null ? {} : { pathForecast: foreseenBy([{ path: CABLE, class: 'voice', probability }, { path: FIBRE, class: 'voice', probability: fibre }], now) }),
    ...more,
  };
}

function voiceOf(plan: Plan): string {
  return routesOf(plan, 'berlin>paris', 'voice');
}

/** The plan after each of these probabilities, `stepMs` apart. */
function follow(probabilities: readonly number[], stepMs = HOUR_MS, more: Parameters<typeof situation>[2] = {}): string[] {
  let previous = planFor(situation(START_AT, null, more)).plan;
  return probabilities.map((probability, index) => {
    previous = planFor(situation(START_AT + (index + 1) * stepMs, probability, { ...more, previous })).plan;
    return voiceOf(previous) === `${CABLE} 100` ? 'cable' : voiceOf(previous) === `${FIBRE} 100` ? 'fibre' : voiceOf(previous);
  });
}

describe('an expected violation of a class’s SLA', () => {
  it('sends the class away before it happens, and no other class', () => {
    const before = planFor(situation(START_AT, null)).plan;
    expect(voiceOf(before)).toBe(`${CABLE} 100`);
    const { plan, report } = planFor(situation(START_AT + HOUR_MS, 0.8, { previous: before }));
    expect(voiceOf(plan)).toBe(`${FIBRE} 100`);
    expect(routesOf(plan, 'berlin>paris', 'bulk')).toBe(`${CABLE} 100`);
    expect(report.foreseen).toEqual([{ path: CABLE, classId: 'voice', probability: 0.8, carries: false }]);
  });

  it('is left only when probable, returned to only when improbable, and nothing moves between', () => {
    expect(follow([0.5, 0.59, 0.6, 0.5, 0.9, 0.31])).toEqual(['cable', 'cable', 'fibre', 'fibre', 'fibre', 'fibre']);
    expect(follow([0.8, 0.4, 0.29], HOUR_MS, { cableMs: 22, fibreMs: 60 })).toEqual(['fibre', 'fibre', 'cable']);
  });

  it('does not make a class flap, however the probability swings within the band', () => {
    fc.assert(
      fc.property(fc.array(fc.double({ min: 0.3, max: 1, noNaN: true }), { minLength: 2, maxLength: 12 }), (probabilities) => {
        const places = follow(probabilities, HOUR_MS, { cableMs: 22, fibreMs: 60 });
        const moves = places.filter((place, index) => place !== (places[index - 1] ?? 'cable')).length;
        expect(moves).toBeLessThanOrEqual(1);
      }),
      { numRuns: 8 },
    );
  });

  it('moves nothing within the hold time, and says that it waits', () => {
    const before = planFor(situation(START_AT, null)).plan;
    const { plan, report } = planFor(situation(START_AT + 60_000, 0.9, { previous: before }));
    expect(voiceOf(plan)).toBe(`${CABLE} 100`);
    expect(report.waiting.map(({ reason }) => reason).join()).toContain('hold time');
  });

  it('never takes the only path away, nor sends a class to one that is expected to be as bad', () => {
    const before = planFor(situation(START_AT, null)).plan;
    expect(voiceOf(planFor(situation(START_AT + HOUR_MS, 1, { previous: before, fibre: 0.4 })).plan)).toBe(`${CABLE} 100`);
    expect(voiceOf(planFor(situation(START_AT + HOUR_MS, 1, { previous: before, fibre: 0.1, fibreMs: 200 })).plan)).toBe(`${CABLE} 100`);
    expect(voiceOf(planFor(situation(START_AT, 1, { fibre: 1 })).plan)).not.toBe('');
  });

  it('keeps a class that is new to a pair off a path that it is expected to break', () => {
    expect(voiceOf(planFor(situation(START_AT, 0.7)).plan)).toBe(`${FIBRE} 100`);
  });

  it.each([
    ['no better than a rule of thumb', { skill: 0.04 }],
    ['half over', { fromAt: START_AT - HOUR_MS }],
    ['of nobody knows what', { skill: Number.NaN }],
  ])('counts for nothing when the forecast is %s', (_what, wrong) => {
    const inputs = situation(START_AT, 0.9);
    expect(planFor({ ...inputs, pathForecast: { ...inputs.pathForecast!, ...wrong } })).toEqual(planFor({ ...inputs, pathForecast: null }));
  });
});
