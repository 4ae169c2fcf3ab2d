import { expect, it } from 'vitest';
import { createBenchMesh, FAR, NEAR } from '../../src/lab/bench/bench-mesh.ts';
import type { Sender, World } from '../../src/lab/index.ts';
import { classId, nodeId, type NodeId } from '../../src/model/index.ts';

export const gatewayMesh = (sourceDir: string, probe = { intervalMs: 50, downAfter: 3 }): ReturnType<typeof createBenchMesh> => createBenchMesh(sourceDir, probe, 'gateways');

const [GW1, GW2, FAR_GW] = [nodeId('near-gw1'), nodeId('near-gw2'), nodeId('far-gw1')];
const NODES = [GW1, GW2, FAR_GW];

/**
 * What a site with two gateways must bear, told by the packets of its hosts: 500 a second each way. The tests build on
 * each other: the last two run with the engine dead.
 * @param outageMaxMs  longest silence of any flow when a gateway is gone; a busy machine adds its own
 * @param movedLostMax  packets that a planned move between gateways may cost
 */
export function describeGateways(worldOf: () => World, outageMaxMs: number, movedLostMax: number): void {
  const senders: Sender[] = [];
  const settled = async (owner: NodeId): Promise<void> => {
    const world = worldOf();
    const isSettled = async (): Promise<boolean> => {
      const states = await Promise.all(NODES.map((node) => world.nodeState(node).catch(() => null))); // one that boots has no socket yet
      const areUp = states.every((state) => state !== null && state.tunnels.length > 0 && state.tunnels.every(({ pathState }) => pathState === 'up'));
      return areUp && states[0]!.holdsLan === (owner === GW1) && states[1]!.holdsLan === (owner === GW2);
    };
    expect(await world.until(isSettled, 60_000), `${owner} owns the LAN address and every tunnel is up`).toBe(true);
    await world.pass(700);
  };
  const count = async (): Promise<{ lost: number; received: number; gapMs: number }> => {
    await worldOf().pass(700);
    const reports = await Promise.all(senders.map((sender) => sender.report()));
    return { lost: reports.reduce((sum, { lost }) => sum + lost, 0), received: Math.min(...reports.map(({ received }) => received)), gapMs: Math.max(...reports.map(({ longestGapMs }) => longestGapMs)) };
  };
  const reset = async (): Promise<void> => {
    for (const sender of senders) await sender.reset();
    await worldOf().pass(300);
  };

  it('has a standby gateway with warm tunnels of its own that carry nothing', async () => {
    const world = worldOf();
    await settled(GW1);
    for (const [name, from, to] of [['there', NEAR, FAR], ['back', FAR, NEAR]] as const) {
      senders.push(await world.startSender({ name, from, to, classId: classId('voice'), port: 5000, flows: 4, packetBytes: 160, rate: { kind: 'constant', mbps: 0.64 } }));
    }
    await world.pass(1000);
    await reset();
    await world.pass(1000);
    const counted = await count();
    expect(counted.lost).toBe(0);
    expect(counted.received).toBeGreaterThan(300);
    expect((await world.listSas(GW2)).map(({ peer, childState }) => `${peer} ${childState}`)).toEqual(['far-gw1 INSTALLED']);
  });

  it('loses nothing when the active gateway is drained, and none is in clear text', async () => {
    const world = worldOf();
    await reset();
    const answer = await world.api.request('POST', '/v1/overrides', { what: { kind: 'drain-node', node: GW1 }, until: new Date(world.clock.now() + 600_000).toISOString(), why: 'new disk', by: 'operator' });
    expect(answer.status, JSON.stringify(answer.body)).toBeLessThan(300);
    await settled(GW2);
    await world.pass(1500);
    expect((await count()).lost).toBeLessThanOrEqual(movedLostMax);
    expect(await world.underlay()).toMatchObject({ clearTextPackets: 0, clearTextSeen: [] });
  });

  it('goes on over the other gateway when the active one dies, without the engine, and gives it back without loss', async () => {
    const world = worldOf();
    await world.kill({ kind: 'engine' });
    await reset();
    await world.kill({ kind: 'node', node: GW2 });
    await world.pass(2000);
    const death = await count();
    expect(death.gapMs).toBeLessThanOrEqual(outageMaxMs);
    expect(death.gapMs).toBeGreaterThan(20); // it did die
    await reset();
    await world.restart({ kind: 'node', node: GW2 });
    await settled(GW2);
    expect((await count()).lost).toBeLessThanOrEqual(movedLostMax);
  });

  it('goes on over the other gateway when the LAN cable of the active one is pulled, though its uplinks live', async () => {
    const world = worldOf();
    await reset();
    await world.setLan(GW2, false);
    await world.pass(2500);
    const cut = await count();
    expect(cut.gapMs).toBeLessThanOrEqual(outageMaxMs);
    expect((await world.nodeState(GW2)).holdsLan).toBe(false);
    expect((await world.nodeState(GW1)).holdsLan).toBe(true);
    await world.setLan(GW2, true);
    await settled(GW2);
    expect(await world.underlay()).toMatchObject({ clearTextPackets: 0, clearTextSeen: [] });
  });
}
