import { describe, expect, it } from 'vitest';
import { createLog } from '../../src/base/index.ts';
import type { CovariateSeries, Forecaster } from '../../src/forecast/index.ts';
import { classId, siteId, type Forecast, type Intent, type Observation, type PlannedEvent } from '../../src/model/index.ts';
import { explainForecastOf } from '../../src/reconcile/explain-forecast.ts';
import { forecastDemand } from '../../src/reconcile/observe.ts';
import type { CycleContext } from '../../src/reconcile/state.ts';
import { exampleIntent } from '../support/plan-situations.ts';

const NOW = Date.parse('2026-11-23T09:00:00Z');
const SLOT_MS = 3_600_000;
const SLOTS = 4;
const demand = { from: siteId('berlin'), to: siteId('paris'), classId: classId('voice') };
const launch: PlannedEvent = { name: 'launch', eventKind: 'product-launch', between: ['berlin', '*'], isOneWay: false, classes: [], when: { kind: 'once', startAt: NOW + SLOT_MS }, durationMs: 2 * SLOT_MS, expect: null, mayLower: false };
const observation: Observation = { observedAt: NOW, slotMs: SLOT_MS, lastSlotEndAt: NOW, demands: [{ ...demand, mbps: Array.from({ length: 168 }, (_, slot) => 2 + (slot % 24) / 8) }], paths: [], tunnels: [], nodes: [] };

/** Says the last value, and `learned` times as much while a launch is planned. */
function forecasterOf(learned: number, asked: CovariateSeries[][]): Pick<Forecaster, 'forecast'> {
  return {
    forecast: ({ demands, observedAt }, _settings, _priorities, covariates = []) => {
      asked.push([...covariates]);
      const isOn = (slot: number): boolean => covariates.some(({ name, startAt, values }) => name.startsWith('event:') && values[Math.round((NOW - startAt) / SLOT_MS) + slot] === 1);
      const forecast: Forecast = { madeAt: observedAt, slotMs: SLOT_MS, model: 'boosted', backtest: [], demands: demands.map(({ mbps, ...of }) => ({ ...of, slots: Array.from({ length: SLOTS }, (_, slot) => ({ startAt: NOW + slot * SLOT_MS, p50: mbps.at(-1)! * (isOn(slot) ? learned : 1), p90: 99, p95: 99 })) })) };
      return Promise.resolve(forecast);
    },
  };
}

/** @param boundMbps  what trust lets a forecast say at most */
async function explained({ plannedEvents, learned, boundMbps = Infinity }: { plannedEvents: PlannedEvent[]; learned: number; boundMbps?: number }): Promise<{ part: (name: string) => number[]; p50: number[]; asked: CovariateSeries[][] }> {
  const example = exampleIntent();
  const intent: Intent = { ...example, plannedEvents, mesh: { ...example.mesh, forecast: { slotMs: SLOT_MS, slotsPerDay: 24, horizonSlots: SLOTS, provision: 'p95' } } };
  const asked: CovariateSeries[][] = [];
  const nothing = (): void => undefined;
  const context = {
    deps: { forecaster: forecasterOf(learned, asked), store: { users: () => [] } },
    log: createLog('test', 'silent'),
    state: { plan: null, main: { intent }, observation, forecast: null },
    outlook: { past: () => null },
    drift: { expect: nothing },
    anomalies: { expect: nothing },
    memory: { remember: nothing, expectedAt: () => null },
    hindsight: { expect: nothing, standIn: (said: Forecast) => said },
    trust: { view: () => ({ quarantines: [] }), cautious: (said: Forecast): Forecast => ({ ...said, demands: said.demands.map((each) => ({ ...each, slots: each.slots.map((slot) => ({ ...slot, p50: Math.min(slot.p50, boundMbps) })) })) }) },
  } as unknown as CycleContext;
  context.state.forecast = await forecastDemand(context, intent, observation, NOW);
  asked.length = 0;
  const [explanation] = await explainForecastOf(context, 'berlin>paris', 'voice');
  const sums = explanation!.slots.map((_, slot) => explanation!.parts.reduce((sum, { mbps }) => sum + mbps[slot]!, 0));
  expect(sums).toEqual(explanation!.slots.map(({ p50 }) => expect.closeTo(p50, 3)));
  return { part: (name) => explanation!.parts.find((each) => each.name === name)!.mbps, p50: explanation!.slots.map(({ p50 }) => p50), asked };
}

describe('the explanation of a forecast', () => {
  const last = observation.demands[0]!.mbps.at(-1)!;

  it('shows what models have learned of a planned event as the event’s part, and asks for the others without it', async () => {
    const { part, p50, asked } = await explained({ plannedEvents: [launch], learned: 3 });
    expect(p50).toEqual([last, 3 * last, 3 * last, last]);
    expect(part('events')).toEqual([0, 2 * last, 2 * last, 0]);
    expect(part('level')).toEqual(Array.from({ length: SLOTS }, () => part('level')[0]));
    expect(part('model')).toEqual([0, 0, 0, 0]);
    expect(asked.map((series) => series.some(({ name }) => name.startsWith('event:')))).toEqual([false, false, false, false, false, true]);
  });

  it('counts what is expected beyond what is learned as the event’s, too, once', async () => {
    const { part, p50 } = await explained({ plannedEvents: [{ ...launch, expect: { kind: 'extra', mbps: 5 } }], learned: 2 });
    expect(p50).toEqual([last, 2 * last + 5, 2 * last + 5, last]);
    expect(part('events')[1]).toBeCloseTo(p50[1]! - last, 3);
    expect(part('model')).toEqual([0, 0, 0, 0]);
  });

  it('is cut as the forecast is where reports are not believed', async () => {
    const { part, p50 } = await explained({ plannedEvents: [launch], learned: 3, boundMbps: 6 });
    expect(p50).toEqual([last, 6, 6, last]);
    expect(part('events')).toEqual([0, 6 - last, 6 - last, 0].map((value) => expect.closeTo(value, 3)));
  });

  it('asks once less where nothing is planned', async () => {
    const { part, asked } = await explained({ plannedEvents: [], learned: 3 });
    expect(asked).toHaveLength(5);
    expect(part('events')).toEqual([0, 0, 0, 0]);
  });
});
