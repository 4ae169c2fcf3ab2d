import { describe, expect, it } from 'vitest';
import { type Agent, createAgent, createMemoryConfigStore, createMemoryOutbox } from '../../agent/index.ts';
import { alarmsOf, type Condition } from '../../agent/alarms.ts';
import { createLog, VirtualClock } from '../../src/base/index.ts';
import type { AgentMessage, NodeId, PathId } from '../../src/model/index.ts';
import { createTestNet } from '../support/agent-ports.ts';
import { berlin, configOf, paris, signedForTest, t1, t2, verifyForTest } from '../support/node-configs.ts';
import { createSteppedClock } from '../support/stepped-clock.ts';

const log = createLog('test', 'silent');
const credentials = { caPem: 'ca', certificatePem: 'certificate', privateKeyPem: 'key' };
const HOUR_MS = 3_600_000;
const YEAR_MS = 365 * 24 * HOUR_MS;
/** Slow, so that a day of them is counted in seconds; what is judged here does not hang on it. */
const probe = { intervalMs: 5_000, downAfter: 3, holdDownMs: 5_000, holdDownMaxMs: 5_000 };

/** Two gateways with two tunnels between them, a config signed at the start, and an engine that is then gone. */
async function startMesh(settings = probe) {
  const time = new VirtualClock();
  const net = createTestNet(time);
  const machines = new Map([berlin, paris].map((node) => [node, createSteppedClock(time)]));
  const stores = new Map([berlin, paris].map((node) => [node, { configs: createMemoryConfigStore(), outbox: createMemoryOutbox() }]));
  const agents = new Map<NodeId, Agent>();
  const sent: AgentMessage[] = [];
  const start = async (node: NodeId): Promise<void> => {
    const agent = createAgent({ node, stateDir: '/nowhere', ports: net.ports(node), clock: machines.get(node)!, log, credentials, verify: verifyForTest, send: (message) => sent.push(message), storage: stores.get(node)! });
    agents.set(node, agent);
    await agent.start();
  };
  for (const node of [berlin, paris]) {
    await start(node);
    agents.get(node)!.connected();
    await agents.get(node)!.receive({ type: 'desired', config: signedForTest(configOf(node, [t1, t2], [[t1, t2]], { probe: settings, sampleIntervalMs: 10_000 }), 1, '', time.now()) });
  }
  await time.advance(30_000);
  for (const node of [berlin, paris]) agents.get(node)!.disconnected();
  const carries = (): boolean => [berlin, paris].every((node) => net.sendPacket(node, 0));
  const passCarrying = async (durationMs: number): Promise<number> => {
    let lost = 0;
    for (let elapsed = 0; elapsed < durationMs; elapsed += 10_000) {
      await time.advance(Math.min(10_000, durationMs - elapsed));
      if (!carries()) lost++;
    }
    return lost;
  };
  return { time, net, machines, agent: (node: NodeId) => agents.get(node)!, start, carries, passCarrying, stop: () => Promise.all([...agents.values()].map((agent) => agent.stop())) };
}

describe('a mesh without its engine', () => {
  it('carries traffic for 24 h as if it were there, changes nothing, and says how old the plan is', async () => {
    const { time, net, agent, passCarrying, stop } = await startMesh();
    const before = [...net.machine(berlin).calls].length;
    expect(agent(berlin).runtime().alarms).toEqual([]);
    expect(await passCarrying(24 * HOUR_MS)).toBe(0);
    const calls = net.machine(berlin).calls.slice(before);
    expect(calls.filter((call) => call !== 'apply')).toEqual([]); // comparing with the kernel is no change
    const runtime = agent(berlin).runtime();
    expect(runtime).toMatchObject({ generation: 1, settled: true, drift: [], repairs: 0 });
    expect(runtime.engineSilentMs).toBeGreaterThanOrEqual(24 * HOUR_MS);
    expect(time.now() - runtime.configSignedAt!).toBeGreaterThanOrEqual(24 * HOUR_MS);
    expect(runtime.alarms).toEqual([expect.stringMatching(/^no engine for 24 h: the node goes on with the plan of 2026-/)]);
    await stop();
  });

  it('still fails over, and comes back after restarts of an agent, of a node, and of both nodes', async () => {
    const { time, net, agent, start, carries, passCarrying, stop } = await startMesh({ intervalMs: 50, downAfter: 3, holdDownMs: 700, holdDownMaxMs: 700 });
    await time.advance(60_000);
    net.path(t1).down = true;
    await time.advance(300);
    expect(carries()).toBe(true);
    net.path(t1).down = false;
    await time.advance(5_000);

    await agent(berlin).stop({ abrupt: true });
    expect(await passCarrying(30_000)).toBe(0);
    await start(berlin);
    expect(await passCarrying(30_000)).toBe(0);

    for (const nodes of [[berlin], [berlin, paris]]) {
      for (const node of nodes) {
        await agent(node).stop({ abrupt: true });
        net.machine(node).killDaemon();
        net.machine(node).lanes.clear();
      }
      for (const node of [berlin, paris]) net.machine(node).sas.clear();
      await time.advance(2_000);
      for (const node of nodes) {
        net.machine(node).startDaemon();
        await start(node);
      }
      await time.advance(10_000);
      expect([nodes, carries()]).toEqual([nodes, true]);
      expect(agent(berlin).runtime()).toMatchObject({ generation: 1, drift: [] });
    }
    await stop();
  });
});

describe('a wall clock that somebody sets', () => {
  it.each([
    ['a year ahead', YEAR_MS],
    ['a year back', -YEAR_MS],
    ['a second back', -1_000],
  ])('loses no packet and no fail-over: %s', async (_, stepMs) => {
    const { time, net, machines, agent, carries, passCarrying, stop } = await startMesh({ intervalMs: 50, downAfter: 3, holdDownMs: 700, holdDownMaxMs: 700 });
    const calls = net.machine(berlin).calls.length;
    machines.get(berlin)!.step(stepMs);
    expect(await passCarrying(60_000)).toBe(0);
    expect(net.machine(berlin).calls.slice(calls).filter((call) => call !== 'apply')).toEqual([]);
    net.path(t1).down = true;
    await time.advance(300);
    expect(carries()).toBe(true);
    net.path(t1).down = false;
    await time.advance(3_000);
    expect(net.machine(berlin).calls.at(-1)).toMatch(new RegExp(`switch \\d+ ${t1}|apply`));
    const isFarBehind = stepMs < -300_000;
    expect(agent(berlin).runtime().alarms.filter((alarm) => alarm.includes('clock')).length).toBe(isFarBehind ? 1 : 0);
    await stop();
  });
});

describe('alarms of a node', () => {
  const well: Condition = { engineSilentMs: 0, configSignedAt: 0, clockBehindMs: 0, leakPackets: 0, droppedBatches: 0, sampleError: '', deadLanTarget: null, narrowPaths: [] };
  it.each<[string, Partial<Condition>, RegExp | null]>([
    ['nothing is wrong', {}, null],
    ['the engine is away for less than an hour', { engineSilentMs: HOUR_MS - 1 }, null],
    ['it is away for longer', { engineSilentMs: 2 * HOUR_MS }, /^no engine for 2 h: the node goes on with the plan of 1970/],
    ['there is no plan either', { engineSilentMs: 2 * HOUR_MS, configSignedAt: null }, /with no plan$/],
    ['packets would have leaked', { leakPackets: 3 }, /^3 packets .* were stopped/],
    ['samples were lost', { droppedBatches: 2 }, /^2 batches of samples were lost/],
    ['a path is narrower than its uplink', { narrowPaths: [{ path: 'a/x~b/x' as PathId, pathBytes: 1228, interfaceBytes: 1350 }] }, /^path a\/x~b\/x carries packets of 1228 bytes at most, its uplink's interface allows 1350/],
    ['the disk is full', { sampleError: 'ENOSPC' }, /^samples cannot be kept: ENOSPC/],
  ])('when %s', (_, change, expected) => {
    const alarms = alarmsOf({ ...well, ...change });
    if (expected === null) expect(alarms).toEqual([]);
    else expect(alarms).toEqual([expect.stringMatching(expected)]);
  });
});
