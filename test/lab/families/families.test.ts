import { resolve } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { runCommand } from '../../../src/base/index.ts';
import { createBenchMesh, FAR, NEAR } from '../../../src/lab/bench/bench-mesh.ts';
import { waitUntilSettled } from '../../../src/lab/bench/failover.ts';
import { createLabWorld, type LabWorld } from '../../../src/lab/lab-world.ts';
import type { Sender } from '../../../src/lab/world.ts';
import { classId, nodeId, type PathId } from '../../../src/model/index.ts';
import { findOpa } from '../../../src/policy/index.ts';
import { build } from '../world/built.ts';

const FAMILIES = ['ipv4', 'ipv6'] as const;
const OVER_4 = 'far-gw1/fibre~near-gw1/fibre' as PathId;
const OVER_6 = 'far-gw1/cable~near-gw1/cable' as PathId;

describe('hosts with both families, over paths of both', () => {
  let world: LabWorld;
  const senders: Sender[] = [];

  beforeAll(async () => {
    await build();
    const mesh = await createBenchMesh(resolve(import.meta.dirname, '../../..'), { intervalMs: 50, downAfter: 3 }, 'families');
    world = await createLabWorld({ intent: mesh.intent, repository: { files: mesh.files }, opa: await findOpa(), seed: 'families' });
    await waitUntilSettled(world);
  });
  afterAll(() => world?.close());

  it('reach each other in both, and nobody else in either', async () => {
    for (const family of FAMILIES) expect([family, await world.network.ping(NEAR, FAR, 5, family)]).toMatchObject([family, { sent: 5, received: 5 }]);
    const near = world.network.layout.hosts.find(({ site }) => site === NEAR)!;
    const outside = await runCommand('ip', ['netns', 'exec', near.namespace, 'ping', '-n', '-c', '2', '-i', '0.1', '-W', '1', '2001:db8:ffff::1']);
    expect(outside.exitCode).not.toBe(0);
    expect(await world.underlay()).toMatchObject({ clearTextPackets: 0, clearTextSeen: [] });
  });

  it('share a tunnel, and move together when its path is cut', async () => {
    for (const family of FAMILIES) senders.push(await world.startSender({ name: family, from: NEAR, to: FAR, classId: classId('voice'), family, port: 5004, flows: 2, packetBytes: 200, rate: { kind: 'constant', mbps: 0.8 } }));
    const inUse = await pathInUse();
    for (const path of [inUse, inUse === OVER_4 ? OVER_6 : OVER_4]) {
      await waitUntilSettled(world);
      for (const sender of senders) await sender.reset();
      await world.setPath(path, { down: true });
      await world.pass(1200);
      await world.setPath(path, { down: false });
      for (const sender of senders) {
        const { received, longestGapMs } = await sender.report();
        // the cut lasts 1.2 s: who did not move would have been silent for all of it
        expect([sender.spec.family, received > 50, longestGapMs < 1000]).toEqual([sender.spec.family, true, true]);
      }
    }
  });

  it('are stopped at the gateway when no path is left, and go on when one is', async () => {
    const paths = (await world.underlay()).paths.map(({ path }) => path);
    for (const path of paths) await world.setPath(path, { down: true });
    await world.pass(1000);
    for (const family of FAMILIES) expect((await world.network.ping(NEAR, FAR, 2, family)).received).toBe(0);
    for (const path of paths) await world.setPath(path, { down: false });
    for (const family of FAMILIES) expect(await world.until(async () => (await world.network.ping(NEAR, FAR, 1, family)).received === 1, 5000)).toBe(true);
    expect(await world.underlay()).toMatchObject({ clearTextPackets: 0, clearTextSeen: [] });
  });

  it('follow the LAN addresses to the other gateway when theirs dies', async () => {
    await waitUntilSettled(world);
    for (const sender of senders) await sender.reset();
    await world.kill({ kind: 'node', node: nodeId('near-gw1') });
    await world.pass(2000);
    for (const sender of senders) {
      const { longestGapMs, received } = await sender.report();
      expect([sender.spec.family, longestGapMs < 1500, received > 100]).toEqual([sender.spec.family, true, true]);
    }
    expect((await world.nodeState(nodeId('near-gw2'))).holdsLan).toBe(true);
    const { clearTextPackets } = await world.underlay();
    expect([clearTextPackets, (await world.network.report()).clearTextSeen]).toEqual([0, []]);
  });

  async function pathInUse(): Promise<PathId> {
    const count = async (): Promise<Map<PathId, number>> => new Map((await world.underlay()).paths.map(({ path, espPackets }) => [path, espPackets]));
    await world.pass(300);
    const before = await count();
    await world.pass(300);
    const after = await count();
    const grown = (path: PathId): number => (after.get(path) ?? 0) - (before.get(path) ?? 0);
    expect(Math.max(grown(OVER_4), grown(OVER_6))).toBeGreaterThan(150); // both families: one alone would be half of that
    return grown(OVER_4) > grown(OVER_6) ? OVER_4 : OVER_6;
  }
});
