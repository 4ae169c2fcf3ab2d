import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { createLog, VirtualClock } from '../../src/base/index.ts';
import { loadIntent, readConfigFolder } from '../../src/intent/index.ts';
import { classId, EMPTY_PLAN, pathId, tunnelId, type Forecast, type Intent, type Plan, type Sample, type SiteId, type SiteNode, type Tunnel, type TunnelEnd } from '../../src/model/index.ts';
import { createTrustKeeper, type TrustKeeper } from '../../src/reconcile/trust/trust-keeper.ts';
import { createMemoryStore, type TelemetryStore } from '../../src/telemetry/index.ts';

const START_AT = Date.UTC(2026, 0, 5);
const CLASS = classId('bulk');
const MBPS = 2;

const loaded = loadIntent(await readConfigFolder('.'), null);
if (!loaded.ok) throw new Error('the example mesh is not sound');
const { intent } = loaded.value;
const { slotMs } = intent.mesh.forecast;
const gateways = intent.sites.slice(0, 4).map(({ nodes }) => nodes[0]!);
const plan = fullMesh(intent, gateways);
const [liar] = gateways as [SiteNode];

let clock: VirtualClock;
let store: TelemetryStore;
let keeper: TrustKeeper;
let stateDir: string;
let sequence: number;

beforeEach(async () => {
  stateDir = await mkdtemp(join(tmpdir(), 'foremesh-trust-'));
  clock = new VirtualClock(START_AT);
  store = createMemoryStore({ clock });
  keeper = openKeeper();
  sequence = 0;
});
afterEach(async () => {
  await store.close();
  await rm(stateDir, { recursive: true, force: true });
});

function openKeeper(): TrustKeeper {
  return createTrustKeeper({ stateDir, store, clock, log: createLog('test', 'silent') });
}

/** Lets slots pass in which every gateway reports its own, and the keeper looks at them. */
async function pass(slots: number, liesFactor = 1, by = plan): Promise<void> {
  for (let slot = 0; slot < slots; slot++) {
    await clock.advance(slotMs);
    sequence += 1;
    for (const gateway of gateways) await store.append(gateway.id, sequence, samplesOf(gateway, gateway === liar ? liesFactor : 1, by));
    await keeper.review(intent, by, clock.now());
  }
}

function samplesOf({ id, site }: SiteNode, factor: number, by: Plan): Sample[] {
  const sampledAt = Math.floor(clock.now() / slotMs) * slotMs;
  const of = { sampledAt, windowMs: slotMs, node: id };
  const bytes = (MBPS * slotMs * 1000) / 8;
  const peers = gateways.filter((peer) => peer.site !== site);
  return [
    ...peers.map((peer): Sample => ({ ...of, kind: 'traffic', from: site, to: peer.site, classId: CLASS, offeredBytes: Math.round(bytes * factor), offeredPackets: 1000, droppedBytes: 0 })),
    ...by.tunnels.filter(({ a, b }) => a.node === id || b.node === id).flatMap((tunnel): Sample[] => [
      { ...of, kind: 'tunnel', tunnel: tunnel.id, rxBytes: Math.round(bytes * factor), txBytes: Math.round(bytes * factor) },
      { ...of, kind: 'path', peer: tunnel.a.node === id ? tunnel.b.node : tunnel.a.node, tunnel: tunnel.id, path: tunnel.path, state: 'up', latencyMs: 30, jitterMs: 1, lossForwardRatio: 0, lossReverseRatio: 0 },
    ]),
  ];
}

async function observe() {
  const pairs = gateways.flatMap((from) => gateways.filter((to) => to !== from).map((to) => ({ from: from.site, to: to.site, classId: CLASS })));
  return keeper.believable(await store.observe({ now: clock.now(), slotMs, slots: 8, pairs }, []), intent);
}

const newest = async (from: SiteId): Promise<(number | null)[]> => (await observe()).demands.filter((one) => one.from === from).map(({ mbps }) => mbps.at(-1)!);

describe('what the engine believes', () => {
  it('is everything, while gateways agree', async () => {
    await pass(10);
    expect(keeper.view()).toMatchObject({ quarantines: [], frozenSites: [], bounded: [], events: [] });
    for (const { site } of gateways) for (const mbps of await newest(site)) expect(mbps).toBeCloseTo(MBPS, 3);
  });

  it('is what the others confirm of a gateway that reports a billion times as much, from its first window on', async () => {
    await pass(6);
    await pass(1, 1e6);
    for (const mbps of await newest(liar.site)) expect(mbps!).toBeLessThan(MBPS * 1.3);
    await pass(5, 1e6);
    expect(keeper.view()).toMatchObject({ quarantines: [{ node: liar.id, cleanWindows: 0 }], frozenSites: [liar.site], events: [{ kind: 'quarantined', node: liar.id }] });
    for (const mbps of await newest(liar.site)) expect(mbps!).toBeLessThan(MBPS * 1.3);
  });

  it('holds while the plan changes: nobody is blamed for tunnels that come and go, and a liar is cut all the same', async () => {
    const [gone, ...others] = plan.tunnels;
    const ends = [gone!.a.site, gone!.b.site];
    const smaller: Plan = { ...plan, tunnels: others, assignments: plan.assignments.filter(({ from, to }) => !(ends.includes(from) && ends.includes(to))) };
    await pass(6);
    for (let turn = 0; turn < 8; turn++) await pass(1, 1, turn % 2 === 0 ? smaller : plan);
    expect(keeper.view()).toMatchObject({ quarantines: [], events: [] });
    for (let turn = 0; turn < 8; turn++) {
      await pass(1, 1e6, turn % 2 === 0 ? smaller : plan);
      for (const { from, to, mbps } of (await observe()).demands) if (from === liar.site && !(ends.includes(from) && ends.includes(to))) expect(mbps.at(-1)!).toBeLessThan(MBPS * 2);
    }
    expect(keeper.view().quarantines.map(({ node }) => node)).toEqual([liar.id]);
  });

  it('does not learn from what was contradicted', async () => {
    await pass(6);
    await pass(6, 100);
    const series = [{ from: liar.site, to: gateways[1]!.site, classId: CLASS, mbps: Array<number>(12).fill(1) }, { from: gateways[1]!.site, to: liar.site, classId: CLASS, mbps: Array<number>(12).fill(1) }];
    const [ofLiar, ofOther] = await keeper.learnable(series, Math.floor(clock.now() / slotMs) * slotMs, slotMs, intent);
    expect(ofLiar!.mbps).toEqual([1, 1, 1, 1, 1, 1, null, null, null, null, null, null]);
    expect(ofOther!.mbps).not.toContain(null);
  });

  it('knows after a restart of the engine who is in quarantine, and believes its past no more than before', async () => {
    await pass(6);
    await pass(6, 100);
      keeper = openKeeper();
    await pass(1, 100);
    expect(keeper.view().quarantines.map(({ node }) => node)).toEqual([liar.id]);
    for (const { from, mbps } of (await observe()).demands) if (from === liar.site) for (const value of mbps) expect(value === null || value < 1.3 * MBPS).toBe(true);
  });

  it('lets go again after a day of agreement, with an event', async () => {
    await pass(6);
    await pass(5, 100);
    await pass(26);
    expect(keeper.view()).toMatchObject({ quarantines: [], frozenSites: [] });
    expect(keeper.view().events.map(({ kind }) => kind)).toEqual(['quarantined', 'released']);
  });

  it('expects no more than the most that was confirmed where a gateway is not believed, and leaves other forecasts alone', async () => {
    await pass(6);
    await pass(6, 1e6);
    const observation = await observe();
    const slots = [{ startAt: clock.now(), p50: 1e6, p90: 1e6, p95: 1e6 }];
    const forecast: Forecast = { madeAt: clock.now(), slotMs, model: 'lstm', backtest: [], demands: observation.demands.map(({ from, to, classId: of }) => ({ from, to, classId: of, slots })) };
    const cautious = keeper.cautious(forecast, observation, intent);
    for (const demand of cautious.demands) {
      if (demand.from === liar.site) expect(demand.slots[0]!.p50).toBeLessThan(MBPS * 1.3);
      else expect(demand.slots).toEqual(slots);
    }
  });

  it('names a round trip that light could not make, and does not plan by it', async () => {
    const [path] = plan.tunnels.map((tunnel) => tunnel.path);
    const observation = { ...(await observe()), paths: [{ path: path!, state: 'up' as const, latencyMs: 0.2, jitterMs: 0, lossRatio: 0, sampledAt: clock.now() }] };
    const believed = keeper.believable(observation, intent);
    expect(keeper.view().impossiblePaths).toMatchObject([{ path, latencyMs: 0.2 }]);
    expect(believed.paths[0]!.latencyMs!).toBeGreaterThan(0.2);
    expect(believed.paths[0]!.latencyMs!).toBeLessThan(50);
  });
});

function fullMesh(of: Intent, nodes: readonly SiteNode[]): Plan {
  const end = ({ id, site, uplinks }: SiteNode): TunnelEnd => ({ node: id, site, uplink: uplinks[0]!.id, address: uplinks[0]!.address, overlay: '172.30.0.1' });
  const tunnels = nodes.flatMap((one, index) =>
    nodes.slice(index + 1).map((other): Tunnel => {
      const [a, b] = one.uplinks[0]!.id < other.uplinks[0]!.id ? [one, other] : [other, one];
      const path = pathId(a.uplinks[0]!.id, b.uplinks[0]!.id);
      return { id: tunnelId(path, 'standard'), path, index: 0, a: end(a), b: end(b), securityProfile: 'standard', plannedAt: START_AT };
    }),
  );
  const assignments = nodes.flatMap((from) =>
    nodes.filter((to) => to !== from).map((to) => {
      const { id } = tunnels.find(({ a, b }) => [a.node, b.node].includes(from.id) && [a.node, b.node].includes(to.id))!;
      return { from: from.site, to: to.site, classId: CLASS, routes: [{ tunnels: [id], weight: 100 }], backups: [] };
    }),
  );
  return { ...EMPTY_PLAN, mesh: of.mesh.name, tunnels, assignments };
}
