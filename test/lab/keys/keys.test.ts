import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { createBenchMesh, FAR, NEAR } from '../../../src/lab/bench/bench-mesh.ts';
import { createLabWorld, type LabWorld } from '../../../src/lab/lab-world.ts';
import { isLabPossible } from '../../../src/lab/possible.ts';
import type { Sender } from '../../../src/lab/world.ts';
import { classId, nodeId } from '../../../src/model/index.ts';
import { build } from '../world/built.ts';
import { findOpa } from '../../../src/policy/index.ts';

const possible = await isLabPossible();
const NEAR_NODE = nodeId('near-gw1');
const FAR_NODE = nodeId('far-gw1');
/** 400 packets of 160 bytes a second. */
const MBPS = (400 * 160 * 8) / 1e6;

/**
 * Story: two sites with two uplinks each; an operator revokes one gateway.
 * Set-up: engine, agents, strongSwan and a stream of packets each way. Expectations are read from the receivers.
 */
describe.skipIf(!possible.possible)('keys of a running mesh', () => {
  let world: LabWorld;
  let streams: Sender[];

  beforeAll(async () => {
    await build();
    const mesh = await createBenchMesh(process.cwd(), { intervalMs: 100, downAfter: 3 });
    world = await createLabWorld({ intent: mesh.intent, repository: { files: mesh.files }, opa: await findOpa(), seed: 'keys' });
    await world.until(async () => (await Promise.all([NEAR_NODE, FAR_NODE].map((node) => world.nodeState(node)))).every((state) => state.settled && state.tunnels.length > 1 && state.tunnels.every(({ pathState }) => pathState === 'up')), 30_000);
    streams = [];
    for (const [from, to] of [[NEAR, FAR], [FAR, NEAR]] as const) {
      streams.push(await world.startSender({ name: from, from, to, classId: classId('voice'), port: 5000, flows: 2, packetBytes: 160, rate: { kind: 'constant', mbps: MBPS } }));
    }
  });
  afterAll(() => world?.close());

  it('a revoked node is cut off from engine and peers within 5 s, and stays so over restarts', async () => {
    await world.pass(1000);
    for (const stream of streams) await stream.reset();
    await world.pass(1500);
    for (const stream of streams) expect((await stream.report()).received).toBeGreaterThan(100);
    const answer = await world.api.request('POST', `/v1/nodes/${FAR_NODE}/revocation`, { why: 'stolen', by: 'test' });
    expect(answer).toMatchObject({ status: 200, body: { keys: [{ node: FAR_NODE }] } });
    await world.pass(5000);
    for (const stream of streams) await stream.reset();
    await world.pass(3000);
    expect(await Promise.all(streams.map(async (stream) => (await stream.report()).received))).toEqual([0, 0]);
    expect((await world.nodeState(FAR_NODE)).connected).toBe(false);
    expect(await installed(NEAR_NODE)).toEqual([]);

    await world.restart({ kind: 'daemon', node: NEAR_NODE });
    await world.restart({ kind: 'agent', node: NEAR_NODE });
    await world.restart({ kind: 'agent', node: FAR_NODE });
    await world.pass(6000);
    expect(await Promise.all(streams.map(async (stream) => (await stream.report()).received))).toEqual([0, 0]);
    expect(await installed(NEAR_NODE)).toEqual([]);
    expect((await world.nodeState(FAR_NODE)).connected).toBe(false);
    expect((await world.nodeState(NEAR_NODE)).connected).toBe(true);
    expect((await world.underlay()).clearTextPackets).toBe(0);
  });

  async function installed(node: typeof NEAR_NODE): Promise<string[]> {
    return (await world.listTunnels(node)).filter(({ childState }) => childState === 'INSTALLED').map(({ tunnel }) => tunnel);
  }
});
