import { mkdtemp, readdir, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { createLog, VirtualClock } from '../../src/base/index.ts';
import { createInlineForecaster, type Forecaster } from '../../src/forecast/index.ts';
import { classId, siteId, type DemandSeries, type Intent, type Plan, type Tunnel, type TunnelId } from '../../src/model/index.ts';
import { generatedHistory } from '../../src/reconcile/history.ts';
import { createTrainer, nextNight, type Trainer } from '../../src/reconcile/training.ts';
import type { Ways } from '../../src/reconcile/ways.ts';
import type { TelemetryStore } from '../../src/telemetry/index.ts';
import { emptyPlan } from '../support/intent-arbitrary.ts';
import { twoSiteIntent } from '../support/lab-intent.ts';
import { watchTraining } from '../support/watch-training.ts';
import { path } from './support.ts';

const HOUR_MS = 3_600_000;
const DAY_MS = 24 * HOUR_MS;
const NOON = Date.UTC(2026, 0, 21, 12);

describe('training', () => {
  let stateDir: string;
  let intent: Intent;
  let clock: VirtualClock;
  let forecaster: Forecaster;
  /** What telemetry answers for the last so many slots. */
  let observed: (slots: number) => DemandSeries[];
  const trained: { slots: number; effort: string | undefined; isGoingOn: boolean; inputs: string[] }[] = [];

  beforeEach(async () => {
    stateDir = await mkdtemp(join(tmpdir(), 'foremesh-training-'));
    intent = twoSiteIntent();
    clock = new VirtualClock(NOON);
    forecaster = spied(await createInlineForecaster({ models: ['ewma', 'seasonal-naive'] }));
    observed = () => [];
    trained.length = 0;
  });
  afterEach(() => rm(stateDir, { recursive: true }));

  function spied(inner: Forecaster): Forecaster {
    return watchTraining(inner, (task) => trained.push({ slots: task.history[0]?.mbps.length ?? 0, effort: task.effort, isGoingOn: task.from != null, inputs: [...new Set(task.covariates?.map(({ name }) => name))] }));
  }

  function trainer(ways: () => Ways | null = () => null): Trainer {
    const store = { observe: ({ now, slots, slotMs }: { now: number; slots: number; slotMs: number }) => Promise.resolve({ observedAt: now, slotMs, lastSlotEndAt: Math.floor(now / slotMs) * slotMs, demands: observed(slots), paths: [], tunnels: [], nodes: [] }), users: () => [], activeHosts: () => Promise.resolve([]) };
    return createTrainer(
      { forecaster, store: store as unknown as TelemetryStore, history: (of, now) => generatedHistory(of, now, 4, 'seed'), stateDir, seed: 'seed', clock, log: createLog('test', 'silent') },
      { learnable: (demands) => Promise.resolve([...demands]) },
      ways,
    );
  }

  async function pass(one: Trainer, ms = 0): Promise<void> {
    await clock.advance(ms);
    one.ensure(intent, clock.now());
    await one.settled();
  }

  it('happens at the first start, then every night, and when the demands change', async () => {
    const one = trainer();
    await pass(one);
    expect(one.view()).toMatchObject({ state: 'trained', version: 1 });
    await pass(one, 13 * HOUR_MS);
    expect(trained).toHaveLength(1);
    await pass(one, HOUR_MS);
    expect(one.view()).toMatchObject({ version: 2 });
    await pass(one, HOUR_MS);
    expect(trained).toHaveLength(2);
    intent = { ...intent, mesh: { ...intent.mesh, forecast: { ...intent.mesh.forecast, horizonSlots: 5 } } };
    await pass(one);
    expect(trained).toHaveLength(3);
    expect(trained.map(({ effort }) => effort)).toEqual(['quick', 'quick', 'quick']);
    expect(trained.map(({ isGoingOn }) => isGoingOn)).toEqual([false, true, false]);
  });

  it.each([[NOON, 14 * HOUR_MS], [NOON + 14 * HOUR_MS, DAY_MS], [NOON + 13.5 * HOUR_MS, 24.5 * HOUR_MS]])('is due at night, and not within the hour', (at, after) => {
    expect(nextNight(at) - at).toBe(after);
  });

  it('is not needed again by an engine that starts anew, which names the same version', async () => {
    await pass(trainer());
    const again = trainer();
    await pass(again, HOUR_MS);
    expect(trained).toHaveLength(1);
    expect(again.view()).toMatchObject({ state: 'trained', version: 1 });
  });

  it('goes by the version before when the newest is damaged', async () => {
    const one = trainer();
    await pass(one);
    one.demand();
    await pass(one, HOUR_MS);
    await writeFile(join(stateDir, 'model', 'model-2.fmm'), 'torn');
    const again = trainer();
    await pass(again, HOUR_MS);
    expect(again.view()).toMatchObject({ state: 'trained', version: 1 });
    expect(trained).toHaveLength(2);
  });

  it('leaves the made-up past out when two weeks were measured, and works harder on those', async () => {
    const measured = 20 * intent.mesh.forecast.slotsPerDay;
    observed = (slots) => [{ from: siteId('berlin'), to: siteId('paris'), classId: classId('voice'), mbps: Array.from({ length: slots }, (_, slot) => (slot < slots - measured ? null : 1 + Math.sin(slot / 15))) }];
    const one = trainer();
    await pass(one);
    const { slotMs } = intent.mesh.forecast;
    one.demand();
    await pass(one, (measured + 100) * slotMs);
    expect(trained.at(-1)).toEqual({ slots: measured, effort: 'thorough', isGoingOn: true, inputs: [] });
  });

  it('learns what latency and loss of the ways mean, once a day of them is known', async () => {
    const { slotMs, slotsPerDay } = intent.mesh.forecast;
    const way = path('berlin-gw1/fibre', 'paris-gw1/fibre');
    const demands = [{ from: siteId('berlin'), to: siteId('paris'), classId: classId('voice'), backups: [], routes: [{ tunnels: ['t-1' as TunnelId], weight: 100 }] }];
    const plan: Plan = { ...emptyPlan(intent), assignments: demands, tunnels: [{ id: 't-1' as TunnelId, path: way } as Tunnel] };
    const known = (slots: number): Ways => {
      const figures = Float32Array.from({ length: slots }, (_, slot) => 0.01 * (slot % 7));
      return { plan, doubted: new Set(), past: { slotMs, slotsPerDay, startAt: NOON - slots * slotMs, length: slots, series: [{ path: way, latencyMs: figures, jitterMs: figures, lossRatio: figures }] } };
    };
    let ways: Ways | null = known(slotsPerDay - 1);
    const one = trainer(() => ways);
    await pass(one);
    ways = known(slotsPerDay + 20);
    one.demand();
    await pass(one);
    expect(trained.map(({ inputs }) => inputs)).toEqual([[], ['path:latency', 'path:latency:rise', 'path:loss', 'path:loss:rise']]);
  });

  it('keeps to the version that a person chose, and goes back to the newest when told', async () => {
    const one = trainer();
    await pass(one);
    one.demand();
    await pass(one, HOUR_MS);
    await one.use(1);
    await pass(one, DAY_MS);
    expect(await one.models()).toMatchObject({ active: 1, isPinned: true, versions: [{ version: 3 }, { version: 2 }, { version: 1 }] });
    expect(one.view().version).toBe(1);
    await one.use('latest');
    expect(await one.models()).toMatchObject({ active: 3, isPinned: false });
  });

  it('takes in a file that was exported, byte for byte, and refuses one that is damaged without a trace', async () => {
    const one = trainer();
    await pass(one);
    const { file } = await one.exportModel('active', 'foremesh');
    const entry = await one.importModel(file);
    expect(entry).toMatchObject({ version: 2, origin: 'imported', digest: (await one.models()).versions[1]!.digest });
    expect((await one.models()).active).toBe(1);
    const before = await readdir(join(stateDir, 'model'));
    await expect(one.importModel(file.slice(0, -5))).rejects.toMatchObject({ code: 'FORECAST_MODEL_INVALID' });
    await expect(one.use(9)).rejects.toMatchObject({ code: 'API_NOT_FOUND' });
    await expect(one.exportModel('active', 'onnx')).rejects.toMatchObject({ code: 'FORECAST_MODEL_INVALID' });
    expect(await readdir(join(stateDir, 'model'))).toEqual(before);
  });
});
