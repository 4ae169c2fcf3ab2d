import { expect, it } from 'vitest';
import { createBenchMesh, FAR, NEAR } from '../../src/lab/bench/bench-mesh.ts';
import type { Sender, World } from '../../src/lab/index.ts';
import { classId, nodeId, type NodeId } from '../../src/model/index.ts';

export const sharingMesh = (sourceDir: string, probe = { intervalMs: 50, downAfter: 3 }): ReturnType<typeof createBenchMesh> => createBenchMesh(sourceDir, probe, 'sharing');

const [GW1, GW2, FAR_GW] = [nodeId('near-gw1'), nodeId('near-gw2'), nodeId('far-gw1')];
const ADDRESSES = new Map([[GW1, '10.1.0.1/24'], [GW2, '10.1.0.2/24']]);

/**
 * What a site whose two gateways share its traffic must bear, told by the packets of its hosts, of which half have either
 * gateway: 500 a second each way, and 100 of a class that is sent twice. The last test runs with the engine dead.
 * @param outageMaxMs  longest silence of any flow when a gateway is gone; a busy machine adds its own
 * @param movedLostMax  packets that a planned move may cost
 * @param movedDoubledMax  packets of the class that is sent twice that may come twice while a gateway goes or comes
 */
export function describeSharing(worldOf: () => World, outageMaxMs: number, movedLostMax: number, movedDoubledMax = 0): void {
  const senders: Sender[] = [];

  it('sends and receives through both', async () => {
    const world = worldOf();
    await settled(new Map([[GW1, [GW1]], [GW2, [GW2]]]));
    for (const [name, from, to] of [['there', NEAR, FAR], ['back', FAR, NEAR]] as const) {
      senders.push(await world.startSender({ name: `voice-${name}`, from, to, classId: classId('voice'), port: 5000, flows: 16, packetBytes: 160, rate: { kind: 'constant', mbps: 0.64 } }));
      senders.push(await world.startSender({ name: `control-${name}`, from, to, classId: classId('control'), port: 6000, flows: 16, packetBytes: 160, rate: { kind: 'constant', mbps: 0.128 } }));
    }
    await world.pass(1000);
    await reset();
    const before = await packets();
    await world.pass(1000);
    const after = await packets();
    expect(withoutGap(await count())).toEqual({ lost: {}, duplicated: 0 });
    for (const node of [GW1, GW2]) {
      // of 600 a second, beside probes; flows are divided by hashes, so not in two
      expect(after.get(node)!.out - before.get(node)!.out, `${node} sends`).toBeGreaterThan(150);
      expect(after.get(node)!.in - before.get(node)!.in, `${node} receives`).toBeGreaterThan(150);
    }
  });

  it('loses nothing when one of them is drained, whose hosts the other one has then, nor when it is back', async () => {
    const world = worldOf();
    await reset();
    const answer = await world.api.request('POST', '/v1/overrides', { what: { kind: 'drain-node', node: GW1 }, until: new Date(world.clock.now() + 600_000).toISOString(), why: 'new disk', by: 'operator' });
    expect(answer.status, JSON.stringify(answer.body)).toBeLessThan(300);
    await settled(new Map([[GW1, []], [GW2, [GW1, GW2]]]));
    await world.pass(1000);
    await expectFewLost();
    const { id } = (answer.body as { override: { id: string } }).override;
    expect((await world.api.request('DELETE', `/v1/overrides/${id}`)).status).toBeLessThan(300);
    await settled(new Map([[GW1, [GW1]], [GW2, [GW2]]]));
    await world.pass(1000);
    await expectFewLost();
  });

  it('goes on over one when the other dies, without the engine, and shares again without loss when it is back', async () => {
    const world = worldOf();
    await world.kill({ kind: 'engine' });
    await reset();
    await world.kill({ kind: 'node', node: GW1 });
    await world.pass(2000);
    const death = await count();
    expect(death.gapMs).toBeLessThanOrEqual(outageMaxMs);
    expect(death.gapMs).toBeGreaterThan(20); // it did die
    expect(death.duplicated).toBeLessThanOrEqual(movedDoubledMax);
    expect((await world.nodeState(GW2)).lanAddresses).toEqual([...ADDRESSES.values()]);
    await reset();
    await world.restart({ kind: 'node', node: GW1 });
    await settled(new Map([[GW1, [GW1]], [GW2, [GW2]]]));
    await expectFewLost();
    expect(await world.underlay()).toMatchObject({ clearTextPackets: 0, clearTextSeen: [] });
  });

  async function expectFewLost(): Promise<void> {
    const { lost, duplicated } = await count();
    expect(Object.values(lost).reduce((sum, one) => sum + one, 0), JSON.stringify(lost)).toBeLessThanOrEqual(movedLostMax);
    expect(duplicated).toBeLessThanOrEqual(movedDoubledMax);
  }

  /** @param homes  whose addresses each gateway owns */
  async function settled(homes: ReadonlyMap<NodeId, readonly NodeId[]>): Promise<void> {
    const world = worldOf();
    const wanted = [...homes].map(([node, owns]) => ({ node, owns: owns.map((home) => ADDRESSES.get(home)) }));
    const isSettled = async (): Promise<boolean> => {
      const states = await Promise.all([GW1, GW2, FAR_GW].map((node) => world.nodeState(node).catch(() => null))); // one that boots has no socket yet
      const areUp = states.every((state) => state !== null && state.tunnels.length > 0 && state.tunnels.every(({ pathState }) => pathState === 'up'));
      return areUp && wanted.every(({ owns }, index) => states[index]!.lanAddresses.join() === owns.join());
    };
    const isDone = await world.until(isSettled, 60_000);
    expect(isDone, `owners: ${JSON.stringify(wanted)}, and every tunnel is up`).toBe(true);
    await world.pass(700);
  }

  async function packets(): Promise<Map<NodeId, { in: number; out: number }>> {
    const sums = [GW1, GW2].map(async (node): Promise<[NodeId, { in: number; out: number }]> => {
      const sas = await worldOf().listSas(node);
      return [node, { in: sas.reduce((sum, { packetsIn }) => sum + packetsIn, 0), out: sas.reduce((sum, { packetsOut }) => sum + packetsOut, 0) }];
    });
    return new Map(await Promise.all(sums));
  }

  /** `lost`: by stream, of those that lost any. */
  async function count(): Promise<{ lost: Record<string, number>; duplicated: number; gapMs: number }> {
    await worldOf().pass(700);
    const reports = await Promise.all(senders.map((sender) => sender.report()));
    const lost = Object.fromEntries(reports.flatMap((report, index) => (report.lost > 0 ? [[senders[index]!.spec.name, report.lost]] : [])));
    return { lost, duplicated: reports.reduce((total, { duplicated }) => total + duplicated, 0), gapMs: Math.max(...reports.map(({ longestGapMs }) => longestGapMs)) };
  }

  async function reset(): Promise<void> {
    for (const sender of senders) await sender.reset();
    await worldOf().pass(300);
  }
}

function withoutGap<T extends { gapMs: number }>({ gapMs: _gapMs, ...rest }: T): Omit<T, 'gapMs'> {
  return rest;
}
