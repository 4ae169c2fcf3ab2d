import { describe, expect, it } from 'vitest';
import { forecastReplay, type DemandMatrix } from '../../../src/forecast/index.ts';
import { benchForesight, FORESIGHT_POLICIES, pairSums, type ForesightResult } from '../../../src/reconcile/foresight/bench-foresight.ts';
import type { Policy } from '../../../src/reconcile/foresight/network.ts';
import { createDirectPlacement } from '../../../src/reconcile/foresight/placement.ts';
import { createReactive, REACTIVE_TEXTBOOK } from '../../../src/reconcile/foresight/reactive.ts';
import { openAtFirst, replay } from '../../../src/reconcile/foresight/replay.ts';
import { spreadOver } from '../../../src/reconcile/foresight/rule-spread.ts';
import { Shadow } from '../../../src/reconcile/foresight/shadow.ts';
import { forecastPolicy } from '../../../src/reconcile/foresight/tune.ts';
import { buildWorld, type World } from '../../../src/reconcile/foresight/world.ts';
import { demandTable, tableOf, THREE_CITIES } from './worlds.ts';

const SMALL = { seed: 's', boosted: { rounds: 4, rowsMax: 4000, threads: 1 }, network: { epochs: 1, warmEpochs: 1, rowsPerEpoch: 512, dense: [8], state: 0 }, onProgress: () => undefined };
const QUARTER_MS = 900_000;

const bench = (table: DemandMatrix, options: Partial<Parameters<typeof benchForesight>[2]> = {}): Promise<ForesightResult> =>
  benchForesight(table, THREE_CITIES, { ...SMALL, testFrom: 0.8, policies: FORESIGHT_POLICIES, now: () => 0, peakMemoryMb: () => 0, ...options });

/** What a policy wants, decision by decision, from slot 383 on. */
function ordersOf(world: World, policyFor: (world: World) => Policy): string[] {
  const inner = policyFor(world);
  const orders: string[] = [];
  const policy: Policy = {
    name: 'spy',
    decide: (moment, wanted, shares) => {
      inner.decide(moment, wanted, shares);
      orders.push([...wanted].join(' '));
    },
  };
  replay({ world, policy, fromSlot: 383, untilSlot: world.pairs[0]!.forward.length, seed: 's', peaks: [] });
  return orders;
}

describe('the bench of foresight', () => {
  it('runs all policies over the same demand, the oracle in front, and prints what JSON needs', async () => {
    const result = await bench(demandTable(['berlin', 'oslo', 'madrid'], 700, 'bench', QUARTER_MS));
    expect(result).toMatchObject({ schema: 'foremesh/bench-foresight/v1', sites: 3, pairs: 3, rows: 700, stepSeconds: 900, replayedSlots: 140, unmatched: { traffic: [], topology: [] } });
    expect(Object.keys(result.policies)).toEqual([...FORESIGHT_POLICIES]);
    const { oracle, reactive, foremesh, ewma } = result.policies;
    for (const each of [reactive!, foremesh!, ewma!]) {
      expect(each.demandMbit).toBeCloseTo(oracle!.demandMbit);
      expect(each.unservedMbit - each.unservedByUplinksMbit).toBeGreaterThanOrEqual(oracle!.unservedMbit - oracle!.unservedByUplinksMbit);
      expect(each.unservedMbit).toBeGreaterThan(0);
    }
    const { foremesh: removed } = result.removed.reactive!;
    expect(removed!.unserved).toBeCloseTo((reactive!.unservedMbit - foremesh!.unservedMbit) / (reactive!.unservedMbit - oracle!.unservedMbit));
    expect(removed!.tunnelHours).toBeCloseTo(foremesh!.tunnelHours / reactive!.tunnelHours);
    expect(reactive!.settings).toEqual(REACTIVE_TEXTBOOK);
    const { all, withinBudget } = result.ruleSpread.foremesh!;
    expect(all.settings).toBe(72);
    expect(withinBudget.settings).toBeGreaterThanOrEqual(1);
    expect(all.unserved!.min).toBeLessThanOrEqual(removed!.unserved!);
    expect(all.unserved!.max).toBeGreaterThanOrEqual(removed!.unserved!);
    expect(result.worstDay!.unservedMbps.foremesh).toHaveLength(96);
    expect(JSON.parse(JSON.stringify(result))).toEqual(result);
  });

  it('runs only the policies asked for, and says which ends it cannot place', async () => {
    const result = await bench(demandTable(['berlin', 'oslo', 'atlantis'], 300, 'two', QUARTER_MS), { policies: ['reactive', 'ewma'] });
    expect(Object.keys(result.policies)).toEqual(['reactive', 'ewma']);
    expect(result.removed).toEqual({});
    expect(result.unmatched).toEqual({ traffic: ['atlantis'], topology: ['madrid'] });
  });

  it('takes tables of nothing but zeros or gaps', async () => {
    for (const value of [0, Number.NaN]) {
      const { policies } = await bench(tableOf(['berlin>oslo', 'oslo>madrid'], [0, 1].map(() => new Float32Array(200).fill(value)), QUARTER_MS), { policies: ['reactive', 'patient', 'ewma', 'oracle'] });
      for (const each of Object.values(policies)) expect([each.unservedMbit, each.slaMinutes, each.tunnelChanges]).toEqual([0, 0, 0]);
    }
  });

  it('refuses traffic without any place in the topology, and tables that are too short', async () => {
    await expect(bench(demandTable(['x', 'y'], 200, 'no', QUARTER_MS))).rejects.toThrow('no pair of the traffic');
    await expect(bench(demandTable(['berlin', 'oslo'], 8, 'short', QUARTER_MS))).rejects.toThrow('too few');
  });
});

describe('forecasts of a replay, and what is chosen by them', () => {
  it('do not change when the future does', async () => {
    const table = demandTable(['berlin', 'oslo', 'madrid'], 480, 'causal', QUARTER_MS);
    const changed = { ...table, values: table.values.map((series) => series.map((mbps, slot) => (slot < 450 ? mbps : 5 * mbps))) };
    const worlds = [table, changed].map((matrix) => buildWorld(matrix, THREE_CITIES, 384));
    const [one, other] = await Promise.all([table, changed].map((matrix, at) => forecastReplay(pairSums(matrix, worlds[at]!), { ...SMALL, learnedSlots: 384, horizons: [1, 4], models: ['auto', 'ewma'] })));
    expect([one!.backtest.firstOrigin, one!.test.firstOrigin]).toEqual([306, 383]);
    const slots = 450 - one!.test.firstOrigin;
    for (const model of ['auto', 'ewma'] as const) {
      for (const steps of [1, 4]) {
        const [early, late] = [one!, other!].map(({ test }) => test.of[model].get(steps)!);
        for (const quantile of ['p50', 'p95'] as const) expect([...late![quantile].subarray(0, 3 * slots)]).toEqual([...early![quantile].subarray(0, 3 * slots)]);
        expect([...late!.p50.subarray(3 * slots)]).not.toEqual([...early!.p50.subarray(3 * slots)]);
        expect(other!.backtest.of[model].get(steps)!.p95).toEqual(one!.backtest.of[model].get(steps)!.p95);
      }
    }
    for (const models of [['auto', 'ewma'], ['ewma']] as const) {
      const [early, late] = [one!, other!].map((forecasts, at) => ordersOf(worlds[at]!, (world) => forecastPolicy(world, forecasts, models, REACTIVE_TEXTBOOK, createDirectPlacement(world), 383, 's')));
      expect(late!.slice(0, slots)).toEqual(early!.slice(0, slots));
      expect(late).not.toEqual(early);
    }
  });
});

describe('the rule in a mesh of its own', () => {
  it('has taken what it takes when it is replayed alone', () => {
    const world = buildWorld(demandTable(['berlin', 'oslo', 'madrid'], 480, 'shadow', QUARTER_MS), THREE_CITIES, 384);
    const shadow = new Shadow(world, createReactive(world, REACTIVE_TEXTBOOK), openAtFirst(world, 383), 's');
    const rule = createReactive(world, REACTIVE_TEXTBOOK);
    const policy: Policy = {
      name: 'both',
      decide: (moment, wanted, shares) => {
        shadow.step(moment.slot, moment.nowMs, moment.seenMbps);
        rule.decide(moment, wanted, shares);
      },
    };
    const figures = replay({ world, policy, fromSlot: 383, untilSlot: 480, seed: 's', peaks: [] });
    // what the last decision changes is not seen by another
    expect(figures.tunnelChanges - shadow.taken.changes).toBeGreaterThanOrEqual(0);
    expect(figures.tunnelChanges - shadow.taken.changes).toBeLessThanOrEqual(2 * world.autoApply.perDecision);
    expect(shadow.taken.changes).toBeGreaterThan(20);
    expect(shadow.taken.hours / figures.tunnelHours).toBeCloseTo(1, 1);
  });
});

describe('what is removed against many rules', () => {
  const taken = (unservedMbit: number, tunnelHours: number): Parameters<typeof spreadOver>[1] => ({ unservedMbit, slaMinutes: 0, tunnelHours, tunnelChanges: 10 });

  it('is told by the least, the middle and the most, and not at all where nothing is to remove', () => {
    const { settings, unserved, slaMinutes, tunnelHours } = spreadOver([taken(20, 5), taken(12, 10), taken(40, 20)], taken(10, 10), taken(0, 1));
    expect([settings, slaMinutes]).toEqual([3, null]);
    expect(unserved).toEqual({ min: 2 / 12, median: 0.5, max: 0.75 });
    expect(tunnelHours).toEqual({ min: 0.5, median: 1, max: 2 });
  });
});
