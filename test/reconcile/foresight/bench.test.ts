import { describe, expect, it } from 'vitest';
import { forecastReplay, type DemandMatrix } from '../../../src/forecast/index.ts';
import { benchForesight, FORESIGHT_POLICIES, pairSums, type ForesightResult } from '../../../src/reconcile/foresight/bench-foresight.ts';
import { chooseNightly } from '../../../src/reconcile/foresight/choose-nightly.ts';
import { REACTIVE_TEXTBOOK } from '../../../src/reconcile/foresight/reactive.ts';
import { buildWorld } from '../../../src/reconcile/foresight/world.ts';
import { demandTable, tableOf, THREE_CITIES } from './worlds.ts';

const SMALL = { seed: 's', boosted: { rounds: 4, rowsMax: 4000, threads: 1 }, network: { epochs: 1, warmEpochs: 1, rowsPerEpoch: 512, dense: [8], state: 0 }, onProgress: () => undefined };
const QUARTER_MS = 900_000;

const bench = (table: DemandMatrix, options: Partial<Parameters<typeof benchForesight>[2]> = {}): Promise<ForesightResult> =>
  benchForesight(table, THREE_CITIES, { ...SMALL, testFrom: 0.8, policies: FORESIGHT_POLICIES, now: () => 0, peakMemoryMb: () => 0, ...options });

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
      const [early, late] = [one!, other!].map((forecasts, at) => chooseNightly(worlds[at]!, forecasts, model, REACTIVE_TEXTBOOK));
      for (const [pair, { open, keep }] of early!.entries()) {
        expect([...late![pair]!.open.subarray(0, slots)]).toEqual([...open.subarray(0, slots)]);
        expect([...late![pair]!.keep.subarray(0, slots)]).toEqual([...keep.subarray(0, slots)]);
        expect(Math.max(...open)).toBeGreaterThan(0);
      }
    }
  });
});
