import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { DuckDBInstance } from '@duckdb/node-api';
import * as fc from 'fast-check';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { VirtualClock } from '../../src/base/index.ts';
import { type DemandSeries, type HostSample, pathId, type Sample, serviceFigures, type ServicesSample, type TrafficSample, uplinkId, type UplinkSample, type UsersSample } from '../../src/model/index.ts';
import { createMemoryStore, openDuckDbStore, type TelemetryStore } from '../../src/telemetry/index.ts';
import { BERLIN, BERLIN_GW1, BERLIN_GW2, BULK, MADRID, NODE_STATUS, OTHER_TUNNEL, PARIS, PARIS_GW1, PATH, START, traffic, path, tunnel, TUNNEL, VOICE } from './samples.ts';

const SLOT_MS = 60_000;
const PAIR = { from: BERLIN, to: PARIS, classId: BULK };
const DAY_MS = 86_400_000;

let folder: string;
let clock: VirtualClock;
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'foremesh-telemetry-'));
  clock = new VirtualClock(START + 10 * SLOT_MS);
});
afterEach(() => rm(folder, { recursive: true, force: true }));

const STORES: { name: string; open: () => Promise<TelemetryStore> }[] = [
  { name: 'memory', open: () => Promise.resolve(createMemoryStore({ clock })) },
  { name: 'duckdb', open: () => openDuckDbStore(join(folder, 'telemetry.duckdb'), { clock }) },
];

describe.each(STORES)('the $name store', ({ open }) => {
  let store: TelemetryStore;
  beforeEach(async () => {
    store = await open();
  });
  afterEach(() => store.close());

  const read = async (slots: number, now = clock.now(), slotMs = SLOT_MS): Promise<DemandSeries['mbps']> => {
    const observation = await store.observe({ now, slotMs, slots, pairs: [PAIR] }, []);
    return observation.demands[0]!.mbps;
  };

  it('gives the demand of each slot in Mbit/s, the last complete slot last', async () => {
    await store.append(BERLIN_GW1, 1, [1, 2, 3, 4, 5, 6].map((window) => traffic(START + 8 * SLOT_MS + window * 10_000, 1_250_000)));
    await store.append(BERLIN_GW1, 2, [traffic(START + 10 * SLOT_MS, 15_000_000, { windowMs: SLOT_MS })]);
    const observation = await store.observe({ now: clock.now() + 59_999, slotMs: SLOT_MS, slots: 3, pairs: [PAIR] }, [NODE_STATUS]);
    expect(observation.lastSlotEndAt).toBe(START + 10 * SLOT_MS);
    expect(observation.demands).toEqual([{ ...PAIR, mbps: [null, 1, 2] }]);
    expect(observation.nodes).toEqual([NODE_STATUS]);
  });

  it('gives what each end counted of a tunnel and of offered traffic, window by window', async () => {
    await store.append(BERLIN_GW1, 1, [traffic(START + 10 * SLOT_MS, 7000, { windowMs: SLOT_MS, droppedBytes: 700 }), tunnel(START + 9 * SLOT_MS + 30_000, 100, 200, { windowMs: 20_000 }), tunnel(START + 10 * SLOT_MS + 5000, 300, 600, { windowMs: 10_000 })]);
    await store.append(PARIS_GW1, 1, [tunnel(START + 10 * SLOT_MS, 50, 60, { node: PARIS_GW1, windowMs: SLOT_MS })]);
    const window = START / SLOT_MS + 9;
    const { offered, tunnels } = await store.evidence({ windowMs: SLOT_MS, fromWindow: window, untilWindow: window + 1 });
    expect(offered).toEqual([{ node: BERLIN_GW1, ...PAIR, window, bytes: 7000, droppedBytes: 700 }]);
    expect(tunnels.toSorted((one, other) => (one.node < other.node ? -1 : 1))).toEqual([
      { node: BERLIN_GW1, tunnel: TUNNEL, window, rxBytes: 250, txBytes: 500, countedMs: 25_000 },
      { node: PARIS_GW1, tunnel: TUNNEL, window, rxBytes: 50, txBytes: 60, countedMs: SLOT_MS },
    ]);
  });

  it('adds up the nodes of a site', async () => {
    await store.append(BERLIN_GW1, 1, [traffic(START + 10 * SLOT_MS, 7_500_000, { windowMs: SLOT_MS })]);
    await store.append(BERLIN_GW2, 1, [traffic(START + 10 * SLOT_MS, 15_000_000, { windowMs: SLOT_MS, node: BERLIN_GW2 })]);
    expect(await read(1)).toEqual([3]);
  });

  it('says 0 for a pair that its site does not mention, and null for a site that is silent', async () => {
    await store.append(BERLIN_GW1, 1, [traffic(START + 9 * SLOT_MS + 30_000, 1000, { to: MADRID, classId: VOICE })]);
    await store.append(PARIS_GW1, 1, [path(START + 8 * SLOT_MS + 30_000, { node: PARIS_GW1, peer: BERLIN_GW1 })]);
    expect(await read(3)).toEqual([null, null, 0]);
  });

  it('says 0 rather than null while a known node reports anything at all', async () => {
    await store.append(BERLIN_GW1, 1, [traffic(START + 8 * SLOT_MS, 7_500_000, { windowMs: SLOT_MS }), tunnel(START + 8 * SLOT_MS + 30_000, 0, 0)]);
    expect(await read(3)).toEqual([1, 0, null]);
  });

  it('splits a window that lies in two slots by time', async () => {
    await store.append(BERLIN_GW1, 1, [traffic(START + 9 * SLOT_MS + 15_000, 30_000_000, { windowMs: SLOT_MS }), traffic(START + 10 * SLOT_MS, 0, { windowMs: 45_000 })]);
    expect(await read(2)).toEqual([3, 1]);
  });

  it('takes the reported part of the last slot for the whole when its last window is still on its way', async () => {
    await store.append(BERLIN_GW1, 1, [traffic(START + 10 * SLOT_MS - 10_000, 6_250_000, { windowMs: 50_000 })]);
    expect(await read(1)).toEqual([1]);
  });

  it('counts a batch once, and none with a lower number after it', async () => {
    const batch = [traffic(START + 10 * SLOT_MS, 7_500_000, { windowMs: SLOT_MS })];
    const answers = await Promise.all([store.append(BERLIN_GW1, 1, batch), store.append(BERLIN_GW1, 1, batch), store.append(BERLIN_GW1, 2, batch), store.append(PARIS_GW1, 1, [])]);
    expect(answers.map((answer) => answer.stored)).toEqual([true, false, true, true]);
    expect(await store.append(BERLIN_GW1, 1, batch)).toEqual({ stored: false });
    expect(await read(1)).toEqual([2]);
    expect([await store.lastSequence(BERLIN_GW1), await store.lastSequence(PARIS_GW1), await store.lastSequence(BERLIN_GW2)]).toEqual([2, 1, 0]);
  });

  it('leaves out and counts what cannot be true', async () => {
    const at = START + 10 * SLOT_MS;
    const lies = [
      traffic(at + 3_700_000, 1),
      traffic(at, 1, { node: BERLIN_GW2 }),
      traffic(at, 1, { windowMs: 0 }),
      traffic(at, 1, { to: BERLIN }),
      path(at, { lossForwardRatio: 1.5 }),
      path(at, { latencyMs: -3 }),
      path(at, { latencyMs: 0 }),
      tunnel(at, Infinity, 0),
      { ...traffic(at, 1), kind: 'weather' } as unknown as TrafficSample,
    ];
    await store.append(BERLIN_GW1, 1, [...lies, traffic(at, 7_500_000, { windowMs: SLOT_MS })]);
    expect(store.droppedSamples()).toBe(lies.length);
    expect(await read(1)).toEqual([1]);
  });

  it.each([Number.NaN, -1, 1e16])('knows nothing of a window in which hosts are said to have offered %s bytes, rather than that they offered none', async (bytes) => {
    const at = START + 10 * SLOT_MS;
    await store.append(BERLIN_GW1, 1, [traffic(at, bytes, { windowMs: SLOT_MS }), path(at, { windowMs: SLOT_MS }), tunnel(at, 1000, 1000)]);
    expect(store.droppedSamples()).toBe(1);
    expect(await read(1)).toEqual([null]);
  });

  it('keeps the newest load of uplinks and gateways while it is fresh, and leaves out what cannot be', async () => {
    const at = START + 10 * SLOT_MS;
    const fibre = uplinkId(BERLIN_GW1, 'fibre');
    const uplink = (sampledAt: number, more: Partial<UplinkSample> = {}): UplinkSample => ({ kind: 'uplink', sampledAt, windowMs: 10_000, node: BERLIN_GW1, uplink: fibre, rxBytes: 1, txBytes: 2, ...more });
    const host: HostSample = { kind: 'host', sampledAt: at, windowMs: 10_000, node: BERLIN_GW1, cpuRatio: 0.5, load: 1, memoryUsedBytes: 1, memoryTotalBytes: 2, agentCpuRatio: 0.1, agentRssBytes: 3, daemonCpuRatio: null, daemonRssBytes: null, connections: null };
    const lies: Sample[] = [uplink(at, { rxBytes: -1 }), uplink(at, { uplink: uplinkId(PARIS_GW1, 'fibre') }), { ...host, cpuRatio: 1.5 }, { ...host, load: Number.NaN }];
    await store.append(BERLIN_GW1, 1, [uplink(at, { rxBytes: 7 }), uplink(at - 10_000), host, ...lies]);
    expect(store.droppedSamples()).toBe(lies.length);
    expect(store.uplinks(at)).toEqual([uplink(at, { rxBytes: 7 })]);
    expect(store.hosts(at)).toEqual([host]);
    const users = (name: string, hosts: number): UsersSample => ({ kind: 'users', sampledAt: at, windowMs: 10_000, node: BERLIN_GW1, group: 'role', name, hosts });
    await store.append(BERLIN_GW1, 2, [users('tills', 7), users('office', 0), users('tills', -1), { ...users('tills', 9), node: PARIS_GW1 }]);
    expect(store.users(at)).toEqual([users('office', 0), users('tills', 7)]);
    expect([store.users(at + 50_001), store.droppedSamples()]).toEqual([[], lies.length + 2]);
    expect([store.uplinks(at + 50_001), store.hosts(at + 50_001)]).toEqual([[], []]);
    expect(await read(1)).toEqual([null]); // they are no report of traffic
  });

  it('gives the past of each path by slot: means by time, the worse end, nothing where nobody measured, loss where the path was down', async () => {
    const end = START + 10 * SLOT_MS;
    const half = { windowMs: SLOT_MS / 2 };
    const other = pathId(uplinkId(BERLIN_GW1, 'lte'), uplinkId(PARIS_GW1, 'dsl'));
    await store.append(BERLIN_GW1, 1, [
      path(end - SLOT_MS / 2, { ...half, latencyMs: 20, jitterMs: 2, lossForwardRatio: 0.02 }),
      path(end, { ...half, latencyMs: 40, jitterMs: null, lossForwardRatio: 0.04, lossReverseRatio: 0.5 }),
      path(end - 2 * SLOT_MS, { windowMs: SLOT_MS, state: 'down', latencyMs: null, jitterMs: null, lossForwardRatio: null, lossReverseRatio: null }),
      path(end, { windowMs: SLOT_MS, path: other, latencyMs: 7 }),
    ]);
    await store.append(PARIS_GW1, 1, [path(end, { node: PARIS_GW1, peer: BERLIN_GW1, windowMs: SLOT_MS, latencyMs: 35, jitterMs: 1, lossForwardRatio: null, lossReverseRatio: 0.01 })]);
    const figures = async () => (await store.pathHistory({ now: end + 59_999, slotMs: SLOT_MS, slots: 3 })).map(({ path: id, ...series }) => [id, ...Object.values(series).map((values) => [...values].map((value) => Number(value.toFixed(4))))]);
    const unknown = Number.NaN;
    const expected = [
      [PATH, [unknown, unknown, 35], [unknown, unknown, 2], [1, unknown, 0.25]],
      [other, [unknown, unknown, 7], [unknown, unknown, 1], [unknown, unknown, 0]],
    ];
    expect(await figures()).toEqual(expected);
    await store.rollUp(end + 3 * DAY_MS);
    const [series] = await store.pathHistory({ now: end, slotMs: 5 * SLOT_MS, slots: 1 });
    expect(series!.latencyMs[0]).toBeCloseTo(35, 3);
    expect(series!.lossRatio[0]).toBeGreaterThan(0.5);
    expect(await store.pathHistory({ now: end - 5 * SLOT_MS, slotMs: SLOT_MS, slots: 3 })).toEqual([]);
  });

  it('refuses a batch number that is none', async () => {
    await expect(store.append(BERLIN_GW1, 0, [])).rejects.toThrow('TELEMETRY_FAILED');
    await expect(store.append(BERLIN_GW1, 1.5, [])).rejects.toThrow('TELEMETRY_FAILED');
  });

  it('keeps the readable slots when a clock runs ahead', async () => {
    await store.append(BERLIN_GW1, 1, [traffic(START + 10 * SLOT_MS, 7_500_000, { windowMs: SLOT_MS })]);
    expect(await read(1)).toEqual([1]);
    await store.append(BERLIN_GW1, 2, [traffic(clock.now() + 3_500_000, 5)]);
    expect(await read(1)).toEqual([1]);
  });

  it('takes samples that come late into their slot', async () => {
    expect(await read(3)).toEqual([null, null, null]);
    await store.append(BERLIN_GW1, 1, [traffic(START + 10 * SLOT_MS, 7_500_000, { windowMs: SLOT_MS })]);
    await store.append(BERLIN_GW1, 2, [traffic(START + 8 * SLOT_MS, 15_000_000, { windowMs: SLOT_MS })]);
    expect(await read(3)).toEqual([2, null, 1]);
    expect(await read(1, clock.now() + SLOT_MS)).toEqual([null]);
  });

  it('says what shaping dropped of a demand, by slot, and nothing where it never did', async () => {
    await store.append(BERLIN_GW1, 1, [traffic(START + 9 * SLOT_MS, 7_500_000, { windowMs: SLOT_MS }), traffic(START + 10 * SLOT_MS, 15_000_000, { windowMs: SLOT_MS, droppedBytes: 3_750_000 }), traffic(START + 10 * SLOT_MS, 1, { to: MADRID })]);
    await store.append(BERLIN_GW2, 1, [traffic(START + 10 * SLOT_MS, 7_500_000, { windowMs: SLOT_MS, node: BERLIN_GW2, droppedBytes: 3_750_000 })]);
    const demands = async (): Promise<DemandSeries[]> => (await store.observe({ now: clock.now(), slotMs: SLOT_MS, slots: 3, pairs: [PAIR, { ...PAIR, to: MADRID }] }, [])).demands;
    expect((await demands())[0]).toEqual({ ...PAIR, mbps: [null, 1, 3], droppedMbps: [0, 0, 1] });
    expect((await demands())[1]).not.toHaveProperty('droppedMbps');
    await store.append(BERLIN_GW2, 2, [traffic(START + 10 * SLOT_MS, 10, { node: BERLIN_GW2, droppedBytes: 11 })]);
    expect(store.droppedSamples()).toBe(1); // more than was offered cannot have been dropped
  });

  it('keeps how many hosts were active, by slot, through roll-ups, apart from reports of traffic', async () => {
    const users = (sampledAt: number, hosts: number, more: Partial<UsersSample> = {}): UsersSample => ({ kind: 'users', sampledAt, windowMs: 30_000, node: BERLIN_GW1, group: 'role', name: 'tills', hosts, ...more });
    await store.append(BERLIN_GW1, 1, [users(START + 8 * SLOT_MS + 30_000, 8), users(START + 9 * SLOT_MS, 10), users(START + 10 * SLOT_MS, 6), users(START + 10 * SLOT_MS, 0, { group: 'class', name: 'voice' })]);
    const query = { now: clock.now(), slotMs: SLOT_MS, slots: 3 };
    const series = [
      { node: BERLIN_GW1, group: 'class', name: 'voice', hosts: [null, null, 0] },
      { node: BERLIN_GW1, group: 'role', name: 'tills', hosts: [null, 9, 6] },
    ];
    expect(await store.activeHosts(query)).toEqual(series);
    expect(await store.activeHosts({ ...query, slots: 1 })).toMatchObject([{ hosts: [0] }, { hosts: [6] }]);
    expect(await read(3)).toEqual([null, null, null]); // hosts are no report of traffic
    await store.rollUp(clock.now() + 3 * DAY_MS);
    await store.append(BERLIN_GW1, 2, [users(START + 7 * SLOT_MS, 12)]);
    await store.rollUp(clock.now() + 3 * DAY_MS);
    const means = await store.activeHosts({ now: START + 2 * 300_000, slotMs: 300_000, slots: 1 });
    expect(means).toMatchObject([{ name: 'voice', hosts: [0] }, { name: 'tills', hosts: [9] }]); // (8 + 10 + 6 + 12) / 4
    await store.rollUp(clock.now() + 800 * DAY_MS);
    expect(await store.activeHosts({ now: START + 2 * 300_000, slotMs: 300_000, slots: 1 })).toEqual([]);
    await expect(store.activeHosts({ ...query, slots: 0 })).rejects.toThrow('TELEMETRY_FAILED');
  });

  it('keeps connections and packets by service, added up over nodes, through roll-ups, and the newest of each while fresh', async () => {
    const services = (sampledAt: number, count: number, more: Partial<ServicesSample> = {}): ServicesSample => ({ kind: 'services', sampledAt, windowMs: SLOT_MS, node: BERLIN_GW1, from: BERLIN, to: PARIS, classId: BULK, service: 'tcp/443', ...serviceFigures(more.service ?? 'tcp/443', count), ...more });
    const newest = services(START + 10 * SLOT_MS, 20);
    const implausible = [services(START + 9 * SLOT_MS, -1), services(START + 9 * SLOT_MS, 9, { to: BERLIN }), services(START + 9 * SLOT_MS, 9, { packets: 9 }), services(START + 9 * SLOT_MS, 9, { service: 'udp/53', connections: 9, packets: null })];
    await store.append(BERLIN_GW1, 1, [services(START + 8 * SLOT_MS, 10), newest, services(START + 9 * SLOT_MS, 7, { service: 'udp/53' }), ...implausible]);
    await store.append(BERLIN_GW2, 1, [services(START + 10 * SLOT_MS, 5, { node: BERLIN_GW2 })]);
    const pair = { from: BERLIN, to: PARIS, classId: BULK };
    const series = [{ ...pair, service: 'tcp/443', connections: [10, 0, 25], packets: null }, { ...pair, service: 'udp/53', connections: null, packets: [0, 7, 0] }];
    expect(await store.serviceCounts({ now: clock.now(), slotMs: SLOT_MS, slots: 3 })).toEqual(series);
    expect(store.droppedSamples()).toBe(implausible.length);
    expect(store.services(clock.now()).filter(({ node, service }) => node === BERLIN_GW1 && service === 'tcp/443')).toEqual([newest]);
    expect(store.services(clock.now() + 6 * SLOT_MS)).toEqual([]);
    expect(await read(3)).toEqual([null, null, null]); // no report of traffic
    await store.rollUp(clock.now() + 3 * DAY_MS);
    await store.rollUp(clock.now() + 3 * DAY_MS);
    expect((await store.serviceCounts({ now: START + 2 * 300_000, slotMs: 300_000, slots: 1 })).map(({ connections, packets }) => [connections, packets])).toEqual([[[35], null], [null, [7]]]);
  });

  it('answers for any slot length from the same samples', async () => {
    await store.append(BERLIN_GW1, 1, [traffic(START + 10 * SLOT_MS, 37_500_000, { windowMs: 5 * SLOT_MS })]);
    expect(await read(5)).toEqual([1, 1, 1, 1, 1]);
    expect(await read(2, clock.now(), 5 * SLOT_MS)).toEqual([null, 1]);
    expect(await read(4, clock.now(), 30_000)).toEqual([1, 1, 1, 1]);
  });

  it('joins what both ends see of a path to the worse of the two medians', async () => {
    const at = clock.now() - 500;
    const berlin = [400, 400, 10, 12, 400, 11, 13, 12, 400, 12, 11, 400, 10, 13, 12].map((latencyMs, index) => path(at - (14 - index) * 1000, { latencyMs, lossForwardRatio: 0.01, lossReverseRatio: null }));
    const paris = [9, 9, 9, 9, 9, 9, 9, 9].map((latencyMs, index) => path(at - (7 - index) * 1000, { node: PARIS_GW1, peer: BERLIN_GW1, state: 'degraded', latencyMs, jitterMs: 4, lossForwardRatio: null, lossReverseRatio: null }));
    await store.append(BERLIN_GW1, 1, berlin);
    await store.append(PARIS_GW1, 1, paris);
    const { paths } = await store.observe({ now: clock.now(), slotMs: SLOT_MS, slots: 1, pairs: [] }, []);
    expect(paths).toEqual([{ path: PATH, state: 'degraded', latencyMs: 12, jitterMs: 4, lossRatio: 0.01, sampledAt: at }]);
  });

  it('gives no figure of a path before eight windows have one', async () => {
    const at = clock.now() - 500;
    await store.append(BERLIN_GW1, 1, [1, 2, 3, 4, 5, 6, 7].map((before) => path(at - before * 1000, { latencyMs: 300 })));
    const [quality] = (await store.observe({ now: clock.now(), slotMs: SLOT_MS, slots: 1, pairs: [] }, [])).paths;
    expect(quality).toMatchObject({ state: 'up', latencyMs: null, jitterMs: null });
  });

  it('lets the end that still speaks decide, and calls a path unknown when none does', async () => {
    const at = clock.now() - 500;
    await store.append(BERLIN_GW1, 1, [path(at, { state: 'down', latencyMs: null })]);
    await store.append(PARIS_GW1, 1, [path(at - 60_000, { node: PARIS_GW1, peer: BERLIN_GW1, latencyMs: 12 })]);
    const stateAt = async (now: number): Promise<string> => (await store.observe({ now, slotMs: SLOT_MS, slots: 1, pairs: [] }, [])).paths[0]!.state;
    expect(await stateAt(clock.now())).toBe('down');
    expect(await stateAt(clock.now() + 60_000)).toBe('unknown');
  });

  it('takes the better of two tunnels for the quality of their path', async () => {
    const at = clock.now() - 500;
    await store.append(BERLIN_GW1, 1, [path(at, { state: 'down' }), path(at, { tunnel: OTHER_TUNNEL, state: 'up' })]);
    expect((await store.observe({ now: clock.now(), slotMs: SLOT_MS, slots: 1, pairs: [] }, [])).paths.map((quality) => quality.state)).toEqual(['up']);
  });

  it('does not let a tunnel that is gone hide that the one which took its place is down', async () => {
    const at = clock.now() - 500;
    await store.append(BERLIN_GW1, 1, [path(at - 60_000, { tunnel: OTHER_TUNNEL, state: 'up' }), path(at, { state: 'down' })]);
    expect((await store.observe({ now: clock.now(), slotMs: SLOT_MS, slots: 1, pairs: [] }, [])).paths.map((quality) => quality.state)).toEqual(['down']);
  });

  it('knows when a tunnel was last used and does not take noise for use', async () => {
    const at = clock.now() - 1000;
    await store.append(BERLIN_GW1, 1, [tunnel(at - 1000, 250_000, 5000), tunnel(at, 120, 80), tunnel(at, 60, 0, { tunnel: OTHER_TUNNEL })]);
    const { tunnels } = await store.observe({ now: clock.now(), slotMs: SLOT_MS, slots: 1, pairs: [] }, []);
    expect(tunnels.map(({ tunnel, lastUsedAt }) => ({ tunnel, lastUsedAt }))).toEqual([
      { tunnel: TUNNEL, lastUsedAt: at - 1000 },
      { tunnel: OTHER_TUNNEL, lastUsedAt: null },
    ]);
    expect(tunnels[0]!.mbps).toBeCloseTo(1, 2);
    const later = await store.observe({ now: clock.now() + 60_000, slotMs: SLOT_MS, slots: 1, pairs: [] }, []);
    expect(later.tunnels[0]).toEqual({ tunnel: TUNNEL, lastUsedAt: at - 1000, mbps: 0 });
  });

  it('rolls up without losing or doubling a byte, however often and however late samples come', async () => {
    const early = START - 3 * DAY_MS;
    await store.append(BERLIN_GW1, 1, [1, 2, 3].map((window) => traffic(early + window * 120_000, 1000, { windowMs: 120_000 })));
    await store.rollUp(clock.now());
    await store.append(BERLIN_GW1, 2, [traffic(early + 60_000, 500, { windowMs: 60_000 }), path(early + 60_000), tunnel(early + 60_000, 9000, 9000)]);
    await store.rollUp(clock.now());
    await store.rollUp(clock.now());
    const bytes = async (slotMs: number, slots: number): Promise<number[]> => (await read(slots, clock.now(), slotMs)).map((mbps) => Math.round(((mbps ?? 0) * slotMs * 1000) / 8));
    expect((await bytes(300_000, 4 * 288)).filter((value) => value > 0)).toEqual([3000, 500]);
    await store.rollUp(clock.now() + 29 * DAY_MS);
    await store.rollUp(clock.now() + 29 * DAY_MS);
    expect((await bytes(3_600_000, 4 * 24)).filter((value) => value > 0)).toEqual([3500]);
    await store.rollUp(clock.now() + 800 * DAY_MS);
    expect((await read(5, early + 5 * DAY_MS, DAY_MS)).every((value) => value === null)).toBe(true);
  });

  it('refuses work after it was closed, and closes twice without harm', async () => {
    await store.close();
    await store.close();
    await expect(store.append(BERLIN_GW1, 1, [])).rejects.toThrow('closed');
  });
});

describe('both stores', () => {
  it('give the same observation for the same samples', async () => {
    const window = fc.record({ end: fc.integer({ min: 1, max: 600 }), windowMs: fc.integer({ min: 1, max: 180_000 }), bytes: fc.integer({ min: 0, max: 1e9 }), node: fc.constantFrom(BERLIN_GW1, BERLIN_GW2), to: fc.constantFrom(PARIS, MADRID) });
    let run = 0;
    await fc.assert(
      fc.asyncProperty(fc.array(window, { maxLength: 30 }), fc.constantFrom(7000, 60_000, 90_000), fc.boolean(), async (windows, slotMs, reopen) => {
        run += 1;
        const file = join(folder, `${run}.duckdb`);
        let duck = await openDuckDbStore(file, { clock });
        const memory = createMemoryStore({ clock });
        for (const [index, { end, windowMs, bytes, node, to }] of windows.entries()) {
          const samples = [traffic(START + end * 1000, bytes, { windowMs, node, to, droppedBytes: index % 2 === 0 ? 0 : Math.floor(bytes / 3) }), { kind: 'users' as const, sampledAt: START + end * 1000, windowMs, node, group: 'class' as const, name: to, hosts: bytes % 50 }, path(START + end * 1000, { windowMs, node, state: bytes % 5 === 0 ? 'down' : 'up', latencyMs: bytes % 3 === 0 ? null : 1 + (bytes % 97), lossForwardRatio: bytes % 5 === 0 ? null : (bytes % 11) / 11 })];
          await Promise.all([duck.append(node, index + 1, samples), memory.append(node, index + 1, samples)]);
        }
        if (reopen) {
          await duck.close();
          duck = await openDuckDbStore(file, { clock });
        }
        const query = { now: START + 601_000, slotMs, slots: 12, pairs: [PAIR, { ...PAIR, to: MADRID }] };
        const [one, other] = [await duck.observe(query, []), await memory.observe(query, [])];
        const [hosts, otherHosts] = [await duck.activeHosts(query), await memory.activeHosts(query)];
        const [paths, otherPaths] = [await duck.pathHistory(query), await memory.pathHistory(query)];
        await duck.close();
        expect(paths.map(({ latencyMs, lossRatio }) => [[...latencyMs].map(threeDigits), [...lossRatio].map(threeDigits)])).toEqual(otherPaths.map(({ latencyMs, lossRatio }) => [[...latencyMs].map(threeDigits), [...lossRatio].map(threeDigits)]));
        expect(rounded(one.demands)).toEqual(rounded(other.demands));
        expect(hosts.map(({ hosts: counts, ...of }) => [of, counts.map(sixDigits)])).toEqual(otherHosts.map(({ hosts: counts, ...of }) => [of, counts.map(sixDigits)]));
      }),
      { numRuns: 15 },
    );
  });
});

describe('the duckdb store', () => {
  const file = (): string => join(folder, 'telemetry.duckdb');

  it('knows after reopening what it knew before', async () => {
    const first = await openDuckDbStore(file(), { clock });
    const at = clock.now() - 500;
    await first.append(BERLIN_GW1, 7, [traffic(START + 10 * SLOT_MS, 7_500_000, { windowMs: SLOT_MS }), path(at - 1000), path(at), tunnel(at - 1000, 9000, 0), tunnel(at, 0, 0)]);
    const query = { now: clock.now(), slotMs: SLOT_MS, slots: 2, pairs: [PAIR] };
    const before = await first.observe(query, []);
    await first.close();
    const second = await openDuckDbStore(file(), { clock });
    expect(await second.observe(query, [])).toEqual(before);
    expect(await second.lastSequence(BERLIN_GW1)).toBe(7);
    await second.close();
  });

  it('takes up a file of the first form, with all that is in it', async () => {
    const instance = await DuckDBInstance.create(file());
    const connection = await instance.connect();
    await connection.run('CREATE TABLE foremesh_schema (version INTEGER)');
    await connection.run('INSERT INTO foremesh_schema VALUES (1)');
    for (const level of ['', '_5m', '_1h']) {
      await connection.run(`CREATE TABLE traffic${level} (sampled_at BIGINT, window_ms DOUBLE, node VARCHAR, from_site VARCHAR, to_site VARCHAR, class VARCHAR, offered_bytes DOUBLE, offered_packets DOUBLE)`);
      await connection.run(`CREATE TABLE path${level} (sampled_at BIGINT, window_ms DOUBLE, node VARCHAR, peer VARCHAR, tunnel VARCHAR, path VARCHAR, state VARCHAR, latency_ms DOUBLE, jitter_ms DOUBLE, loss_forward DOUBLE, loss_reverse DOUBLE)`);
      await connection.run(`CREATE TABLE tunnel${level} (sampled_at BIGINT, window_ms DOUBLE, node VARCHAR, tunnel VARCHAR, rx_bytes DOUBLE, tx_bytes DOUBLE)`);
    }
    await connection.run('CREATE TABLE batch (node VARCHAR, sequence BIGINT)');
    await connection.run(`INSERT INTO traffic VALUES (${START + 9 * SLOT_MS}, ${SLOT_MS}, 'berlin-gw1', 'berlin', 'paris', 'bulk', 7500000, 9)`);
    await connection.run("INSERT INTO batch VALUES ('berlin-gw1', 4)");
    connection.closeSync();
    instance.closeSync();
    for (const life of [1, 2]) {
      const store = await openDuckDbStore(file(), { clock });
      expect(await store.lastSequence(BERLIN_GW1)).toBe(3 + life);
      await store.append(BERLIN_GW1, 4 + life, [traffic(START + 10 * SLOT_MS, 7_500_000, { windowMs: SLOT_MS, droppedBytes: 3_750_000 })]);
      const { demands } = await store.observe({ now: clock.now(), slotMs: SLOT_MS, slots: 2, pairs: [PAIR] }, []);
      expect(demands).toEqual([{ ...PAIR, mbps: [1, life], droppedMbps: [0, life / 2] }]);
      await store.rollUp(clock.now());
      await store.close();
    }
  });

  it('says so when the file is not a database', async () => {
    await writeFile(file(), 'not a database at all');
    await expect(openDuckDbStore(file())).rejects.toMatchObject({ code: 'STATE_DAMAGED' });
  });

  it('says so when the folder cannot be made', async () => {
    await writeFile(join(folder, 'plain'), '');
    await expect(openDuckDbStore(join(folder, 'plain', 'x.duckdb'))).rejects.toMatchObject({ code: 'TELEMETRY_FAILED' });
  });
});

function rounded(demands: readonly DemandSeries[]): (number | null)[][] {
  return demands.map(({ mbps, droppedMbps = [] }) => [...mbps, ...droppedMbps].map(sixDigits));
}

function sixDigits(value: number | null): number | null {
  return value === null ? null : Math.round(value * 1e6) / 1e6;
}

/** A figure in a float32, to what both kinds of sums agree in. */
function threeDigits(value: number): string {
  return value.toFixed(3);
}
