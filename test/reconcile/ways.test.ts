import { expect, describe, it } from 'vitest';
import { createLog } from '../../src/base/index.ts';
import { pathInputs, type CovariateSeries, type PathTable } from '../../src/forecast/index.ts';
import { PATH_INPUTS } from '../../src/forecast/path-covariates.ts';
import type { Assignment, NodeId, PathSeries, Plan, Tunnel } from '../../src/model/index.ts';
import { forecastDemand } from '../../src/reconcile/observe.ts';
import type { CycleContext } from '../../src/reconcile/state.ts';
import { wayCovariates } from '../../src/reconcile/ways.ts';
import { emptyObservation, emptyPlan } from '../support/intent-arbitrary.ts';
import { exampleIntent } from '../support/plan-situations.ts';
import { path } from './support.ts';

const intent = exampleIntent();
const { slotMs, slotsPerDay } = intent.mesh.forecast;
/** Paths are measured on slots a third as long. */
const PART_MS = slotMs / 3;
const SLOTS = 8;
const END_AT = 40 * slotMs;
const FIBRE = path('berlin-gw1/fibre', 'paris-gw1/fibre');
const CABLE = path('berlin-gw1/cable', 'paris-gw1/cable');
const ONWARD = path('paris-gw1/fibre', 'rome-gw1/fibre');

function planOf(assignments: [from: string, to: string, classId: string, ...routes: [weight: number, ...tunnels: string[]][]][]): Plan {
  const tunnels = Object.entries({ fibre: FIBRE, cable: CABLE, onward: ONWARD }).map(([id, of]) => ({ id, path: of }) as unknown as Tunnel);
  return { ...emptyPlan(intent), tunnels, assignments: assignments.map(([from, to, classId, ...routes]) => ({ from, to, classId, routes: routes.map(([weight, ...ids]) => ({ weight, tunnels: ids })), backups: [] }) as unknown as Assignment) };
}

/** All slots alike, but for parts that `change` says. */
function seriesOf(of: PathSeries['path'], latencyMs: number, lossRatio: number, change: (series: PathSeries) => void = () => undefined): PathSeries {
  const all = (value: number): Float32Array => new Float32Array(3 * SLOTS).fill(value);
  const series = { path: of, latencyMs: all(latencyMs), jitterMs: all(1), lossRatio: all(lossRatio) };
  change(series);
  return series;
}

const pastOf = (series: PathSeries[]): PathTable => ({ slotMs: PART_MS, slotsPerDay: 3 * slotsPerDay, startAt: END_AT - SLOTS * slotMs, length: 3 * SLOTS, series });
const expected = (latencyMs: number[], lossRatio: number[]): Record<string, number[]> => Object.fromEntries(Object.entries(pathInputs({ latencyMs: Float32Array.from(latencyMs), lossRatio: Float32Array.from(lossRatio) }, slotsPerDay)).map(([name, values]) => [name, [...values]]));
const nobody = new Set<NodeId>();

describe('inputs of what carries a demand', () => {
  const past = pastOf([
    seriesOf(FIBRE, 20, 0, ({ latencyMs, lossRatio }) => {
      latencyMs.set([NaN, 30, 50], 18); // of the last slot but one
      lossRatio.set([NaN, NaN, NaN, 0.01, 0.02, 0.03], 18);
    }),
    seriesOf(CABLE, 40, 0.1),
    seriesOf(ONWARD, 5, 0.5),
  ]);
  const of = (plan: Plan, doubted = nobody) => wayCovariates(intent, { plan, past, doubted }, END_AT + slotMs - 1, SLOTS);
  const valuesOf = (plan: Plan, demand: string, doubted = nobody) => Object.fromEntries(of(plan, doubted).filter(({ demands }) => demands.includes(demand)).map(({ name, values }) => [name, [...values].map((value) => Math.fround(value))]));
  const usual = [20, 20, 20, 20, 20, 20];

  it('are means of the parts of a slot that are known, one series for all demands that go alike', () => {
    const plan = planOf([['berlin', 'paris', 'voice', [100, 'fibre']], ['paris', 'berlin', 'voice', [100, 'fibre']], ['berlin', 'rome', 'bulk']]);
    const series = of(plan);
    expect(series.map(({ name, demands, startAt, isKnownAhead }) => [name, demands, startAt, isKnownAhead])).toEqual(PATH_INPUTS.map((name) => [name, ['berlin>paris#voice', 'paris>berlin#voice'], END_AT - SLOTS * slotMs, false]));
    expect(valuesOf(plan, 'paris>berlin#voice')).toEqual(expected([...usual, 40, 20], [0, 0, 0, 0, 0, 0, NaN, Math.fround(0.02)]));
  });

  it('add up over a relay, and are the mean by weight of several ways, of those that are known', () => {
    const relayed = planOf([['berlin', 'rome', 'bulk', [100, 'cable', 'onward']]]);
    const [latency, loss] = [valuesOf(relayed, 'berlin>rome#bulk')['path:latency']!, valuesOf(relayed, 'berlin>rome#bulk')['path:loss']!];
    expect(latency.at(-1)).toBe(0);
    expect(loss.at(-1)).toBeCloseTo(Math.log1p(0.55 / 1e-3), 4);
    const split = valuesOf(planOf([['berlin', 'paris', 'bulk', [75, 'fibre'], [25, 'cable']]]), 'berlin>paris#bulk');
    expect(split['path:latency']![6]).toBeCloseTo(Math.log((0.75 * 40 + 0.25 * 40) / 25), 4);
    expect(split['path:loss']!.slice(5)).toEqual([0.025, 0.1, 0.04].map((ratio) => expect.closeTo(Math.log1p(ratio / 1e-3), 4)));
  });

  it('are unknown of a gateway that is not believed, and of what was never measured', () => {
    const plan = planOf([['berlin', 'paris', 'voice', [100, 'fibre']], ['paris', 'rome', 'voice', [100, 'unheard-of']]]);
    for (const values of [valuesOf(plan, 'berlin>paris#voice', new Set(['paris-gw1' as NodeId])), valuesOf(plan, 'paris>rome#voice')]) {
      expect(Object.values(values).flat().every(Number.isNaN)).toBe(true);
    }
  });
});

describe('a forecast of the engine', () => {
  const plan = planOf([['berlin', 'paris', 'voice', [100, 'fibre']]]);
  const past = pastOf([seriesOf(FIBRE, 20, 0, ({ lossRatio }) => lossRatio.fill(0.05, 3 * (SLOTS - 1)))]);

  /** What the forecaster is told of the ways of a demand. */
  async function told(of: { plan: Plan | null; past: PathTable | null; quarantined?: string }): Promise<CovariateSeries[]> {
    const asked: CovariateSeries[] = [];
    const context = {
      deps: { store: { users: () => [] }, forecaster: { forecast: (_observation: unknown, _settings: unknown, _priorities: unknown, covariates: CovariateSeries[]) => (asked.push(...covariates), Promise.reject(new Error('asked'))) } },
      log: createLog('test', 'silent'),
      state: { plan: of.plan },
      outlook: { past: () => of.past },
      trust: { view: () => ({ quarantines: of.quarantined ? [{ node: of.quarantined }] : [] }) },
    } as unknown as CycleContext;
    await forecastDemand(context, { ...intent, plannedEvents: [] }, { ...emptyObservation(END_AT), slotMs }, END_AT);
    return asked;
  }

  it('is told what its way was like up to its last slot, and no further', async () => {
    const loss = (await told({ plan, past })).find(({ name }) => name === 'path:loss')!;
    expect(loss.demands).toEqual(['berlin>paris#voice']);
    expect(loss.startAt + loss.values.length * slotMs).toBe(END_AT);
    expect(Array.from(loss.values.subarray(-2))).toEqual([0, Math.fround(Math.log1p(50))].map((value) => expect.closeTo(value, 4)));
  });

  it('is told nothing without a plan or a past of paths, and nothing of who is in quarantine', async () => {
    expect(await told({ plan: null, past })).toEqual([]);
    expect(await told({ plan, past: null })).toEqual([]);
    const series = await told({ plan, past, quarantined: 'berlin-gw1' });
    expect(series.length > 0 && series.every(({ values }) => values.every(Number.isNaN))).toBe(true);
  });
});
