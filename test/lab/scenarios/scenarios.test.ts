import { readdir } from 'node:fs/promises';
import { resolve } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { createBenchMesh } from '../../../src/lab/bench/bench-mesh.ts';
import { streamSpecs, waitUntilSettled } from '../../../src/lab/bench/failover.ts';
import { SOAK_VICTIMS, soakWorld } from '../../../src/lab/bench/soak.ts';
import { createStreams, type Streams } from '../../../src/lab/bench/streams.ts';
import { createLabWorld, type LabWorld } from '../../../src/lab/lab-world.ts';
import { findOpa } from '../../../src/policy/index.ts';
import { build } from '../world/built.ts';
import type { Scenario } from './scenario.ts';
import { scenario as dpdRestart } from './dpd-restart/scenario.ts';
import { scenario as net2netCert } from './net2net-cert/scenario.ts';
import { scenario as net2netRekey } from './net2net-rekey/scenario.ts';
import { scenario as net2netStart } from './net2net-start/scenario.ts';

const SCENARIOS: Record<string, Scenario> = { 'net2net-cert': net2netCert, 'net2net-rekey': net2netRekey, 'net2net-start': net2netStart, 'dpd-restart': dpdRestart };
/** Of each kind of harm; `foremesh bench soak --rounds 50` is the long one. */
const SOAK_ROUNDS = Number(process.env['FOREMESH_SOAK_ROUNDS'] ?? 1);

describe('two sites in the lab', () => {
  let world: LabWorld;
  let streams: Streams;

  beforeAll(async () => {
    await build();
    const mesh = await createBenchMesh(resolve(import.meta.dirname, '../../..'), { intervalMs: 50, downAfter: 3 });
    world = await createLabWorld({ intent: mesh.intent, repository: { files: mesh.files }, opa: await findOpa(), seed: 'scenarios' });
    await waitUntilSettled(world);
    streams = await createStreams(world, streamSpecs());
  });
  afterAll(() => world?.close());

  it('has a story for every folder', async () => {
    const folders = (await readdir(import.meta.dirname, { withFileTypes: true })).filter((entry) => entry.isDirectory()).map(({ name }) => name);
    expect(folders.sort()).toEqual(Object.keys(SCENARIOS).sort());
    for (const folder of folders) expect(await readdir(resolve(import.meta.dirname, folder))).toEqual(['README.md', 'scenario.ts']);
  });

  it.each(Object.entries(SCENARIOS))('play %s', async (_, scenario) => {
    await streams.reset();
    await world.pass(300);
    try {
      await scenario.act(world);
      await waitUntilSettled(world);
      await world.pass(500);
      const { sent, lost } = await streams.count();
      expect(sent).toBeGreaterThan(500);
      if (scenario.lostMax !== null) expect(lost).toBeLessThanOrEqual(scenario.lostMax);
      await scenario.expectations(world, streams);
      expect(await world.underlay()).toMatchObject({ clearTextPackets: 0, clearTextSeen: [] });
    } finally {
      await scenario.tearDown?.(world);
    }
  });

  it('survive kills of agents, daemons and the engine, and other hands in rules and guards, at random moments', async () => {
    const { victims } = await soakWorld(world, { rounds: SOAK_ROUNDS, victims: SOAK_VICTIMS, seed: 'gate', onProgress: () => undefined }, streams);
    for (const [victim, result] of Object.entries(victims)) {
      expect([victim, result.rounds, result.broken, result.clearTextPackets, result.leakPackets]).toEqual([victim, SOAK_ROUNDS, [], 0, 0]);
      // forwarding goes on without them; what an agent's death still costs is in docs/robustness.md, "Open"
      if (['engine', 'guards'].includes(victim)) expect(result.lostPacketsTotal, victim).toBeLessThanOrEqual(10 * SOAK_ROUNDS);
      if (victim === 'agent') expect(result.lostPacketsTotal, victim).toBeLessThanOrEqual(40 * SOAK_ROUNDS);
      if (['rules', 'guards'].includes(victim)) expect(result.backMs.max, victim).toBeLessThan(5_000);
    }
  });

  it('are told of by an engine that was killed last: repairs, uplinks, and the machines themselves', async () => {
    const told = await world.until(async () => {
      const { nodes } = (await world.api.request('GET', '/v1/status')).body as { nodes: { repairs: number; uplinks: { utilisation: number }[]; host: { agentRssBytes: number; daemonRssBytes: number | null } | null }[] };
      const repairs = nodes.reduce((sum, node) => sum + node.repairs, 0); // each agent tells when it has found the engine again
      return repairs > 0 && nodes.every(({ uplinks, host }) => uplinks.length === 2 && host !== null) && nodes;
    }, 30_000);
    expect(told).not.toBeNull();
    for (const { uplinks, host } of told || []) {
      expect(Math.max(...uplinks.map(({ utilisation }) => utilisation))).toBeGreaterThan(0.005); // two streams of 1000 packets a second over 50 Mbit/s
      expect(host!.agentRssBytes).toBeGreaterThan(20e6);
      expect(host!.daemonRssBytes).toBeGreaterThan(1e6);
    }
  });
});
