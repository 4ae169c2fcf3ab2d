import { describe, expect, it } from 'vitest';
import type { TunnelId } from '../../src/model/index.ts';
import { startPair } from '../support/agent-pair.ts';
import { berlin, paris, t1, t2 } from '../support/node-configs.ts';

const renewed = { caPem: 'ca', certificatePem: 'a newer certificate', privateKeyPem: 'key' };

describe('a new certificate', () => {
  it.each([
    ['of the end that initiates', 'a'],
    ['of the end that answers', 'b'],
  ] as const)('%s reaches every tunnel, one after the other, without a lost packet', async (_case, end) => {
    const { net, lost, runFor, ...nodes } = await startPair([[t1, t2]], [t1, t2]);
    nodes[end].agent.useCredentials(renewed);
    await runFor(12_000);
    expect(lost).toEqual([]);
    const calls = net.machine(berlin).calls.filter((call) => call.includes('initiate-beside') || call.includes('terminate-some'));
    expect(calls).toEqual([`initiate-beside ${t1}`, `terminate-some ${t1} older`, `initiate-beside ${t2}`, `terminate-some ${t2} older`]);
    expect(net.machine(paris).calls.filter((call) => call.includes('beside') || call.includes('terminate'))).toEqual([]);
    for (const { agent } of [nodes.a, nodes.b]) expect(agent.runtime()).toMatchObject({ settled: true, drift: [] });
    expect([...net.machine(berlin).lanes.values(), ...net.machine(paris).lanes.values()].map(({ active }) => active)).toEqual([t1, t1]);
  });

  it('of both ends at the same time makes each tunnel anew while the other carries the traffic', async () => {
    const { net, a, b, lost, runFor } = await startPair([[t1, t2]], [t1, t2]);
    a.agent.useCredentials(renewed);
    b.agent.useCredentials(renewed);
    await runFor(30_000);
    expect(lost).toEqual([]);
    expect([a, b].map(({ agent }) => agent.runtime().settled)).toEqual([true, true]);
    expect([t1, t2].map((tunnel) => net.machine(paris).ikeIds.get(tunnel)! > 1)).toEqual([true, true]);
  });

  it('reaches the only tunnel under its traffic, at the price of what the peer sends during the last message of the exchange', async () => {
    const { net, a, lost, runFor } = await startPair();
    a.agent.useCredentials(renewed);
    await runFor(8_000);
    expect(net.machine(berlin).calls).toContain(`terminate-some ${t1} older`);
    expect(lost.length).toBeLessThanOrEqual(net.path(t1).delayMs + 1);
    expect(new Set(lost.map(({ from }) => from))).toEqual(new Set([paris]));
  });

  it('waits when the peer takes no second SA: the old one stays, and tries are rare', async () => {
    const { net, a, lost, runFor } = await startPair([[t1, t2]], [t1, t2]);
    net.machine(berlin).isBesideRefused = true;
    a.agent.useCredentials(renewed);
    await runFor(50_000);
    expect(lost).toEqual([]);
    const tries = net.machine(berlin).calls.filter((call) => call.startsWith('initiate-beside'));
    expect(tries).toEqual([`initiate-beside ${t1}`, `initiate-beside ${t2}`]);
    expect(net.machine(berlin).calls.some((call) => call.startsWith('terminate'))).toBe(false);
    expect(a.agent.runtime().settled).toBe(false);
    net.machine(berlin).isBesideRefused = false;
    await runFor(60_000);
    expect(lost).toEqual([]);
    expect(a.agent.runtime().settled).toBe(true);
  });

  it('that finds a path down is left to the next SA of it', async () => {
    const { net, a, lost, runFor } = await startPair([[t1, t2]], [t1, t2]);
    net.path(t2).down = true;
    for (const node of [berlin, paris]) {
      net.machine(node).sas.delete(t2);
      net.machine(node).changed();
    }
    await runFor(1_000);
    lost.length = 0;
    a.agent.useCredentials(renewed);
    await runFor(10_000);
    const made = (tunnel: TunnelId): boolean => net.machine(berlin).calls.includes(`initiate-beside ${tunnel}`);
    expect([made(t1), made(t2)]).toEqual([true, false]);
    expect(lost.every(({ from }) => from === paris)).toBe(true);
  });
});
