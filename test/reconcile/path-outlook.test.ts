import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { createLog, VirtualClock } from '../../src/base/index.ts';
import { generatePaths } from '../../src/forecast/index.ts';
import { nodeOfUplink, uplinksOfPath, type Intent, type PathQualityForecast, type PathSample } from '../../src/model/index.ts';
import { createPathOutlook, decisivePart, type PathOutlook } from '../../src/reconcile/path-outlook.ts';
import { createMemoryStore, type TelemetryStore } from '../../src/telemetry/index.ts';
import { exampleIntent, routesOf } from '../support/plan-situations.ts';
import { createTestMesh, path, START_AT as MONDAY_AT } from './support.ts';

const SLOT_MS = 300_000;
/** Where the made-up past begins, and how long it is. */
const START_AT = Date.UTC(2026, 0, 1);
const DAYS = 3;
const END_AT = START_AT + DAYS * 86_400_000;

describe('the outlook on paths', () => {
  const { table } = generatePaths({ seed: 'outlook', days: DAYS + 1, slotMs: SLOT_MS, paths: 1 });
  let clock: VirtualClock;
  let store: TelemetryStore;
  let intent: Intent;
  let sequence: number;
  beforeEach(() => {
    clock = new VirtualClock(END_AT);
    store = createMemoryStore({ clock });
    intent = exampleIntent();
    sequence = 0;
  });
  afterEach(() => store.close());

  /** What agents reported of these slots. */
  async function measure(from: number, until: number): Promise<void> {
    for (const { path, latencyMs, jitterMs, lossRatio } of table.series) {
      const node = path.slice(0, path.indexOf('/')) as PathSample['node'];
      const samples = Array.from({ length: until - from }, (_, index): PathSample => {
        const known = (value: number): number | null => (Number.isNaN(value) ? null : value);
        const slot = from + index;
        return { kind: 'path', sampledAt: START_AT + (slot + 1) * SLOT_MS, windowMs: SLOT_MS, node, peer: node, tunnel: 't-00000001' as PathSample['tunnel'], path, state: 'up', latencyMs: known(latencyMs[slot]!), jitterMs: known(jitterMs[slot]!), lossForwardRatio: known(lossRatio[slot]!), lossReverseRatio: null };
      });
      await store.append(node, ++sequence, samples);
    }
  }

  const outlookOf = (): PathOutlook => createPathOutlook({ store, clock, log: createLog('test', 'silent'), seed: 'seed' });

  /** As an engine asks: until the past is read and learned from. */
  async function learned(outlook: PathOutlook): Promise<PathQualityForecast> {
    expect(await outlook.forecast(intent, clock.now())).toBeNull();
    await outlook.settled();
    expect((await outlook.forecast(intent, clock.now()))!.model).toBe('climatology');
    await outlook.settled();
    return (await outlook.forecast(intent, clock.now()))!;
  }

  it('reads what is known, learns from it, and is the same for who begins anew', async () => {
    await measure(0, DAYS * 288);
    const forecast = await learned(outlookOf());
    expect(forecast.model).not.toBe('climatology');
    expect(forecast).toMatchObject({ fromAt: END_AT, slotMs: SLOT_MS, horizonMs: 3_600_000 });
    expect(forecast.backtest.map(({ model }) => model)).toContain('boosted');
    expect(forecast.paths.map(({ path: of }) => of)).toEqual(table.series.map(({ path: of }) => of as string).sort());
    expect(await learned(outlookOf())).toEqual(forecast);
    const part = decisivePart(forecast, new Set())!;
    expect(part.paths.length).toBeLessThan(forecast.paths.length);
    expect(part.paths.every(({ violations }) => violations.some(({ probability }) => probability >= 0.1))).toBe(true);
    const [liar] = part.paths.map(({ path: of }) => nodeOfUplink(uplinksOfPath(of)[0]));
    expect(decisivePart(forecast, new Set([liar!]))!.paths).toEqual(part.paths.filter(({ path: of }) => !of.includes(`${liar!}/`)));
  });

  it('goes on with the slots that come, as if all had been read at once, and stays as it is between them', async () => {
    const outlook = await reading();
    const before = await outlook.forecast(intent, clock.now());
    await clock.advance(SLOT_MS - 1);
    expect(await outlook.forecast(intent, clock.now())).toBe(before);
    await clock.advance(2 * SLOT_MS + 1);
    await measure(DAYS * 288, DAYS * 288 + 3);
    const after = await outlook.forecast(intent, clock.now());
    expect(after!.fromAt).toBe(END_AT + 3 * SLOT_MS);
    expect(after!.paths).not.toEqual(before!.paths);
    const anew = outlookOf();
    await anew.forecast(intent, clock.now());
    await anew.settled();
    expect(await anew.forecast(intent, clock.now())).toEqual(after);
  });

  it('has no forecast while the store fails, and goes on when it works again', async () => {
    const outlook = await reading();
    const pathHistory = store.pathHistory.bind(store);
    store.pathHistory = () => Promise.reject(new Error('disk'));
    await clock.advance(SLOT_MS);
    expect(await outlook.forecast(intent, clock.now())).toBeNull();
    store.pathHistory = pathHistory;
    expect((await outlook.forecast(intent, clock.now()))!.fromAt).toBe(END_AT + SLOT_MS);
    expect(decisivePart(null, new Set())).toBeNull();
  });

  /** One that has read four hours: too few to learn from. */
  async function reading(): Promise<PathOutlook> {
    await measure(DAYS * 288 - 48, DAYS * 288);
    const outlook = outlookOf();
    await outlook.forecast(intent, clock.now());
    await outlook.settled();
    return outlook;
  }
});

describe('an engine', () => {
  const CABLE = path('berlin-gw1/cable', 'paris-gw1/cable');
  const FIBRE = path('berlin-gw1/fibre', 'paris-gw1/fibre');
  const MIXED = [path('berlin-gw1/cable', 'paris-gw1/fibre'), path('berlin-gw1/fibre', 'paris-gw1/cable')];

  /** Every day from half past ten on the path over cable is too slow for voice, for an hour. */
  const latencyAt = (of: string, at: number): number => {
    const hour = (at % 86_400_000) / 3_600_000;
    if (of === CABLE && hour > 10.5 && hour <= 11.5) return 190;
    return of === CABLE ? 22 : of === FIBRE ? 24 : 120;
  };

  it('moves voice off a path before the hour in which it always breaks its SLA, and computes the same again from what it recorded', async () => {
    const mesh = await createTestMesh();
    try {
      let sequence = 0;
      const measure = async (from: number, until: number): Promise<void> => {
        const node = 'berlin-gw1' as PathSample['node'];
        const ends = Array.from({ length: Math.round((until - from) / SLOT_MS) }, (_, index) => from + (index + 1) * SLOT_MS);
        await mesh.store.append(node, ++sequence, [CABLE, FIBRE, ...MIXED].flatMap((of, index) => ends.map((sampledAt): PathSample => ({ kind: 'path', sampledAt, windowMs: SLOT_MS, node, peer: 'paris-gw1' as PathSample['node'], tunnel: `t-0000000${index}` as PathSample['tunnel'], path: of, state: 'up', latencyMs: latencyAt(of, sampledAt) + (sampledAt / SLOT_MS) % 3, jitterMs: 1, lossForwardRatio: 0, lossReverseRatio: 0 }))));
      };
      await measure(MONDAY_AT - 6 * 86_400_000, MONDAY_AT);
      mesh.demand.set('berlin>paris#voice', 1);
      mesh.demand.set('aws-fra>berlin#business', 4); // so voice is a small part of all, which may move without a person
      const engine = await mesh.engine();
      const voice = (): string => routesOf(engine.view().plan!, 'berlin>paris', 'voice');
      await engine.cycle();
      await engine.trained();
      await engine.cycle(); // learns
      await engine.trained();
      expect(voice()).toBe(`${CABLE} 100`);
      const placeAt: string[] = [];
      for (let now = MONDAY_AT; now < MONDAY_AT + 75 * 60_000; now += 3 * SLOT_MS) {
        await mesh.clock.advance(3 * SLOT_MS);
        await measure(now, now + 3 * SLOT_MS);
        await engine.cycle();
        placeAt.push(voice());
      }
      const { pathForecast, report } = engine.view();
      expect(pathForecast!.skill).toBeGreaterThan(0.05);
      expect(placeAt.at(-1)).toBe(`${FIBRE} 100`); // a quarter past ten: nothing is slow yet
      expect(placeAt.indexOf(`${FIBRE} 100`)).toBe(placeAt.lastIndexOf(`${CABLE} 100`) + 1);
      expect(report!.foreseen).toContainEqual(expect.objectContaining({ path: CABLE, classId: 'voice', carries: false }));
      const moved = (await mesh.history()).at(-1)!;
      expect(moved).toMatchObject({ decision: 'auto' });
      expect(await engine.replay(moved.sha)).toMatchObject({ same: true });
      await engine.close();
    } finally {
      await mesh.close();
    }
  });
});
