import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { readdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { sectionsOf, textAt, ViciConnection } from '../../../agent/vici/index.ts';
import { runCommand, systemClock } from '../../../src/base/index.ts';
import { loadIntent } from '../../../src/intent/index.ts';
import { createBenchMesh, FAR, NEAR } from '../../../src/lab/bench/bench-mesh.ts';
import { createLabWorld, type LabWorld } from '../../../src/lab/lab-world.ts';
import { gatewayFiles } from '../../../src/lab/gateway-process.ts';
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
 * Story: two sites with two uplinks each and post-quantum keys; an operator revokes one gateway.
 * Set-up: engine, agents, strongSwan and a stream of packets each way. Expectations are read from the receivers.
 */
describe.skipIf(!possible.possible)('keys of a running mesh', () => {
  let world: LabWorld;
  let streams: Sender[];

  beforeAll(async () => {
    await build();
    const { files: usual } = await createBenchMesh(process.cwd(), { intervalMs: 100, downAfter: 3 });
    const files = usual.map(({ file, text }) => ({ file, text: text.replace('espRekey: 1h', 'espRekey: 1h\npostQuantum: ppk') }));
    const loaded = loadIntent(files.filter(({ file }) => file.startsWith('mesh-config/')), null);
    if (!loaded.ok) throw new Error(JSON.stringify(loaded.findings));
    world = await createLabWorld({ intent: loaded.value.intent, repository: { files }, opa: await findOpa(), seed: 'keys' });
    await world.until(async () => (await Promise.all([NEAR_NODE, FAR_NODE].map((node) => world.nodeState(node)))).every((state) => state.settled && state.tunnels.length > 1 && state.tunnels.every(({ pathState }) => pathState === 'up')), 30_000);
    streams = [];
    for (const [from, to] of [[NEAR, FAR], [FAR, NEAR]] as const) {
      streams.push(await world.startSender({ name: from, from, to, classId: classId('voice'), port: 5000, flows: 2, packetBytes: 160, rate: { kind: 'constant', mbps: MBPS } }));
    }
  });
  afterAll(() => world?.close());

  it('every tunnel has the post-quantum key of its pair mixed in, which stands in no log and not in Git', async () => {
    for (const node of [NEAR_NODE, FAR_NODE]) expect(await ppkOf(node)).toEqual(['yes', 'yes']);
    const secrets = await Promise.all([NEAR_NODE, FAR_NODE].map(async (node) => (JSON.parse(await readFile(join(gatewayFiles(world.network, node).agentStateDir, 'ppks.json'), 'utf8')) as { keys: [string, { secret: string }][] }).keys[0]![1].secret));
    expect(secrets[0]).toBe(secrets[1]);
    const logs = join(world.network.folder, 'logs');
    for (const name of await readdir(logs)) expect(await readFile(join(logs, name), 'latin1')).not.toContain(secrets[0]);
    expect((await runCommand('git', ['-C', world.forgeDir, 'log', '--all', '-p', '-S', secrets[0]!, '--format=%H'])).stdout.toString()).toBe('');
  });

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
    expect(await world.underlay()).toMatchObject({ clearTextPackets: 0, clearTextSeen: [] });
  });

  /** What charon says of each IKE SA. */
  async function ppkOf(node: typeof NEAR_NODE): Promise<(string | null)[]> {
    const connection = await ViciConnection.open(gatewayFiles(world.network, node).viciSocket, systemClock);
    try {
      const found: (string | null)[] = [];
      for await (const event of connection.stream('list-sas', 'list-sa')) found.push(...sectionsOf(event).map(([, sa]) => textAt(sa, 'ppk')));
      return found;
    } finally {
      connection.close();
    }
  }

  async function installed(node: typeof NEAR_NODE): Promise<string[]> {
    return (await world.listTunnels(node)).filter(({ childState }) => childState === 'INSTALLED').map(({ tunnel }) => tunnel);
  }
});
