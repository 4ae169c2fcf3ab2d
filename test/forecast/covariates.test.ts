import { describe, expect, it } from 'vitest';
import { createRng } from '../../src/base/index.ts';
import { createInlineForecaster, eventCovariates, eventsInSlots, generateHistory, type CovariateSeries, type Forecaster } from '../../src/forecast/index.ts';
import { alignCovariates, covariateNames } from '../../src/forecast/covariates.ts';
import { makeMatrix } from '../../src/forecast/demand-series.ts';
import type { Forecast, Intent } from '../../src/model/index.ts';
import { MIDNIGHT, observationOf, SETTINGS, SLOT_MS, SLOTS_PER_DAY, tail, twentyDemands } from './meshes.ts';

const DAYS = 10;
const HORIZON = { ...SETTINGS, horizonSlots: 8 };
const LAUNCH_SLOTS = 4;
const demands = twentyDemands().slice(0, 4);
/** Launches at no time of day or week that could be learned: only the calendar tells. */
const rng = createRng('launches');
const past = Array.from({ length: 18 }, (_, index) => MIDNIGHT - (DAYS * SLOTS_PER_DAY - 40 - index * 52 - rng.integer(30)) * SLOT_MS);
const next = MIDNIGHT + 4 * SLOT_MS;

const calendar = (starts: readonly number[]): Pick<Intent, 'plannedEvents'> => ({
  plannedEvents: starts.map((startAt, index) => ({ name: `launch-${index}`, eventKind: 'launch', between: ['site-*', 'site-*'], isOneWay: false, classes: [], when: { kind: 'once', startAt }, durationMs: LAUNCH_SLOTS * SLOT_MS, expect: null, mayLower: false })),
});

function covariatesOf(starts: readonly number[]): CovariateSeries[] {
  const startAt = MIDNIGHT - DAYS * SLOTS_PER_DAY * SLOT_MS;
  const names = demands.map(({ from, to, classId }) => `${from}>${to}#${classId}`);
  return eventCovariates(eventsInSlots(calendar(starts), startAt, SLOT_MS, DAYS * SLOTS_PER_DAY + HORIZON.horizonSlots), demands).map((each) => ({ ...each, demands: each.pairs.map((place) => names[place]!), startAt }));
}

describe('a planned event', () => {
  const quiet = generateHistory({ demands, slotMs: SLOT_MS, slotsPerDay: SLOTS_PER_DAY, days: DAYS, endAt: MIDNIGHT, seed: 'calendar', weekendFactor: 1, burstsPerDay: 0 });
  const isOn = (slot: number): boolean => past.some((startAt) => {
    const at = MIDNIGHT - (DAYS * SLOTS_PER_DAY - slot) * SLOT_MS;
    return at >= startAt && at < startAt + LAUNCH_SLOTS * SLOT_MS;
  });
  const history = quiet.map((series) => ({ ...series, mbps: series.mbps.map((value, slot) => (isOn(slot) ? 3 * value! : value)) }));
  const meanOf = (forecast: Forecast, from: number, until: number): number => forecast.demands.reduce((sum, { slots }) => sum + slots.slice(from, until).reduce((part, { p50 }) => part + p50, 0), 0);

  it('moves the forecast before any traffic shows it, once history has shown its kind, and nothing else', async () => {
    const forecaster: Forecaster = await createInlineForecaster({ models: ['ewma', 'boosted'], boosted: { rounds: 20, leavesMax: 8, learningRate: 0.3 } });
    await forecaster.train({ history, settings: HORIZON, endAt: MIDNIGHT, seed: 'seed', effort: 'quick', covariates: covariatesOf(past) });
    const observation = observationOf(tail(history, 8), MIDNIGHT);
    const without = await forecaster.forecast(observation, HORIZON, undefined, covariatesOf(past));
    const planned = await forecaster.forecast(observation, HORIZON, undefined, covariatesOf([...past, next]));
    const unaware = await forecaster.forecast(observation, HORIZON);
    expect(meanOf(planned, 4, 8)).toBeGreaterThan(1.8 * meanOf(without, 4, 8));
    expect(meanOf(planned, 0, 2)).toBeLessThan(1.2 * meanOf(without, 0, 2));
    expect(meanOf(unaware, 4, 8)).toBe(meanOf(without, 4, 8));
    await forecaster.close();
  });
});

it('shows models exactly the inputs that they were trained with, unknown where nothing is said', () => {
  const matrix = makeMatrix(demands.slice(0, 2).map((demand) => ({ ...demand, mbps: [1, 2, 3, 4] })), 4000, 1000, 96);
  const [first] = matrix.pairs;
  const hosts: CovariateSeries = { name: 'hosts:sales', demands: [first!], startAt: 2000, values: Float32Array.of(7, 8, 9), isKnownAhead: false };
  const names = covariateNames([hosts, { ...hosts, name: 'event:launch', isKnownAhead: true }]);
  expect(names).toEqual([{ name: 'event:launch', isKnownAhead: true }, { name: 'hosts:sales', isKnownAhead: false }]);
  const aligned = alignCovariates(names, [hosts, { ...hosts, name: 'unheard of' }], matrix, 2);
  expect(aligned.map(({ name, pairs, values }) => [name, pairs, [...values]])).toEqual([
    ['event:launch', 'all', [0, 0, 0, 0, 0, 0]],
    ['hosts:sales', 'all', [NaN, NaN, NaN, NaN]],
    ['hosts:sales', [0], [NaN, NaN, 7, 8]],
  ]);
});
