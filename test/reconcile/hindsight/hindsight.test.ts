import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { createLog, VirtualClock } from '../../../src/base/index.ts';
import { classId, NO_REGRET, siteId, type Forecast, type ForecastSettings, type Observation } from '../../../src/model/index.ts';
import { createHindsight, type Hindsight } from '../../../src/reconcile/hindsight/hindsight.ts';

const SLOT_MS = 1000;
const SETTINGS: ForecastSettings = { slotMs: SLOT_MS, slotsPerDay: 8, horizonSlots: 2, provision: 'p95' };
const PAIR = { from: siteId('a'), to: siteId('b'), classId: classId('voice') };
const log = createLog('test', 'silent');

describe('hindsight', () => {
  let stateDir: string;
  let demanded: number;
  const clock = new VirtualClock(0);
  const open = (): Hindsight => createHindsight({ stateDir, clock, log }, { view: () => ({ state: 'trained', step: 0, steps: 0, text: '', trainedAt: 1, version: null, backtest: [] }), demand: () => demanded++ }, { update: () => Promise.resolve(), entries: () => [], regret: () => NO_REGRET, save: () => Promise.resolve() });
  beforeEach(async () => {
    stateDir = await mkdtemp(join(tmpdir(), 'foremesh-hindsight-'));
    demanded = 0;
  });
  afterEach(() => rm(stateDir, { recursive: true, force: true }));

  const observation = (slot: number): Observation => ({ observedAt: slot * SLOT_MS, slotMs: SLOT_MS, lastSlotEndAt: slot * SLOT_MS, demands: [{ ...PAIR, mbps: Array.from({ length: 16 }, (_, index) => 10 + ((slot + index) % 3)) }], paths: [], tunnels: [], nodes: [] });
  const truth = (slot: number): number => 10 + ((slot + 16) % 3);
  /** The truth of each slot and `more`. */
  const saying = (slot: number, more: number): Forecast => ({ madeAt: slot * SLOT_MS, slotMs: SLOT_MS, model: 'm', backtest: [], demands: [{ ...PAIR, slots: [0, 1].map((index) => ({ startAt: (slot + index) * SLOT_MS, p50: truth(slot + index) + more, p90: truth(slot + index) + more + 0.1, p95: truth(slot + index) + more + 0.1 })) }] });
  const live = async (hindsight: Hindsight, from: number, slots: number, more: number): Promise<void> => {
    for (let slot = from; slot < from + slots; slot++) {
      await hindsight.observe(observation(slot), SETTINGS);
      hindsight.expect(saying(slot, more), observation(slot), SETTINGS);
    }
  };

  it('leaves a champion alone that does well, to the very object', async () => {
    const hindsight = open();
    await live(hindsight, 20, 80, 0);
    const forecast = saying(100, 0);
    expect(hindsight.standIn(forecast, observation(100), SETTINGS)).toBe(forecast);
    expect(hindsight.notes()).toEqual([]);
    expect(hindsight.health().confidence).toBe(1);
    expect(demanded).toBe(0);
  });

  it('puts a rule of thumb in the place of one that loses, says so, asks for training once a day, and knows it after a restart', async () => {
    const hindsight = open();
    await live(hindsight, 20, 24, 30);
    expect(hindsight.health()).toMatchObject({ confidence: 0, groups: [{ group: 'heavy', state: 'failed' }, { group: 'middle' }, { group: 'sparse' }, { group: 'new' }] });
    const used = hindsight.standIn(saying(44, 30), observation(44), SETTINGS);
    expect(used.demands[0]!.slots.every(({ p50, p95 }) => p50 > 9 && p50 < 13 && p95 >= p50 && p95 < 20)).toBe(true);
    expect(used.demands[0]!.slots.map(({ startAt }) => startAt)).toEqual([44_000, 45_000]);
    expect(hindsight.notes()).toEqual([expect.stringMatching(/^The champion's forecasts of the heaviest demand are not used: it lost to .+ stands in until it wins again\.$/)]);
    expect(demanded).toBe(1);

    await hindsight.save(true);
    const restarted = open();
    await restarted.observe(observation(44), SETTINGS);
    expect(restarted.health().groups[0]).toMatchObject({ state: 'failed' });
    await live(restarted, 45, 40, 0);
    expect(restarted.health().groups[0]).toMatchObject({ state: 'ok' });
    expect(restarted.scoreboard(0).rows[0]!.scores[0]).toMatchObject({ model: 'm', isChampion: true });
  });

  it('begins anew when its file is torn, and fails no cycle', async () => {
    await writeFile(join(stateDir, 'scoreboard.json.gz'), 'torn');
    const hindsight = open();
    await live(hindsight, 20, 8, 0);
    expect(hindsight.scoreboard(0).rows.length).toBeGreaterThan(0);
    await hindsight.save(true);
    const again = open();
    await again.observe(observation(28), SETTINGS);
    expect(again.scoreboard(0).rows[0]!.scores[0]!.cells).toBeGreaterThan(0);
  });
});
