import { mkdtemp, open, readdir, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, describe, expect, it } from 'vitest';
import { type Agent, createAgent } from '../../../agent/index.ts';
import { createLog, runCommandText, sleep, systemClock, VirtualClock } from '../../../src/base/index.ts';
import { type AgentMessage, classId, type Sample, siteId } from '../../../src/model/index.ts';
import { createTestNet } from '../../support/agent-ports.ts';
import { berlin, configOf, paris, signedForTest, t1, t2, verifyForTest } from '../../support/node-configs.ts';

const mounted: string[] = [];
afterEach(async () => {
  for (const dir of mounted.splice(0)) {
    await runCommandText('umount', ['--lazy', dir]);
    await rm(dir, { recursive: true });
  }
});

/** The agent's state on a file system of its own that is really full, for want of which a mock would have to guess what the kernel does. */
describe('a node whose disk is full', () => {
  it('refuses a new config, keeps the old one, goes on over a restart, and has lost no byte of telemetry once there is space', async () => {
    const dir = await mkdtemp(join(tmpdir(), 'foremesh-full-'));
    await runCommandText('mount', ['-t', 'tmpfs', '-o', 'size=128k,mode=0700', 'tmpfs', dir]);
    mounted.push(dir);
    const clock = new VirtualClock();
    const net = createTestNet(clock);
    const sent: AgentMessage[] = [];
    const start = async (): Promise<Agent> => {
      const agent = createAgent({ node: berlin, stateDir: dir, ports: net.ports(berlin), clock, log: createLog('test', 'silent'), credentials: { caPem: '', certificatePem: '', privateKeyPem: '' }, verify: verifyForTest, send: (message) => sent.push(message) });
      await agent.start();
      return agent;
    };
    const peer = createAgent({ node: paris, stateDir: join(dir, 'peer'), ports: net.ports(paris), clock, log: createLog('test', 'silent'), credentials: { caPem: '', certificatePem: '', privateKeyPem: '' }, verify: verifyForTest, send: () => undefined });
    await peer.start();
    await peer.receive({ type: 'desired', config: signedForTest(configOf(paris, [t1, t2], [[t1]]), 1) });
    let agent = await start();
    const config = configOf(berlin, [t1, t2], [[t1]], { sampleIntervalMs: 10_000 });
    await agent.receive({ type: 'desired', config: signedForTest(config, 1) });
    let offeredBytes = 0;
    const pass = async (durationMs: number): Promise<void> => {
      for (let elapsed = 0; elapsed < durationMs; elapsed += 1_000) {
        offeredBytes += 1_000;
        net.machine(berlin).offered = [{ to: siteId('paris'), classId: classId('voice'), bytes: offeredBytes, packets: offeredBytes / 100 }];
        await clock.advance(1_000);
        await sleep(systemClock, 2); // the disk is real and takes real time
      }
    };
    await pass(30_000);

    const ballast = await fill(join(dir, 'ballast'));
    await agent.receive({ type: 'desired', config: signedForTest(configOf(berlin, [t1, t2], [[t2]], { sampleIntervalMs: 10_000 }), 2) });
    expect(agent.runtime().generation).toBe(1);
    expect(agent.runtime().drift[0]).toMatch(/^refused: .*ENOSPC/);
    const filesBefore = await filesBelow(dir);
    await pass(300_000);
    expect(await filesBelow(dir)).toEqual(filesBefore); // thirty failed samples and sixty tries for the config later
    expect(agent.runtime().alarms).toEqual([expect.stringMatching(/^samples cannot be kept: .*ENOSPC/)]);
    expect(net.sendPacket(berlin, 0)).toBe(true);

    await agent.stop({ abrupt: true });
    agent = await start();
    await pass(20_000);
    expect(agent.runtime()).toMatchObject({ generation: 1, tunnels: [{ tunnel: t1, pathState: 'up' }, { tunnel: t2, pathState: 'up' }] });
    await agent.receive({ type: 'desired', config: signedForTest(configOf(berlin, [t1, t2], [[t2]], { sampleIntervalMs: 10_000 }), 2) });
    expect(agent.runtime().generation).toBe(1);

    await ballast.empty();
    await pass(30_000);
    expect(agent.runtime()).toMatchObject({ generation: 2, alarms: [] });
    expect(agent.runtime().drift.join()).not.toContain('refused');

    await drain(agent, sent, clock);
    const samples = sent.flatMap((message) => (message.type === 'samples' ? message.samples : []));
    const traffic = samples.filter((sample): sample is Extract<Sample, { kind: 'traffic' }> => sample.kind === 'traffic');
    const counted = traffic.reduce((sum, sample) => sum + sample.offeredBytes, 0);
    // the first window has no beginning, and the last one has not ended
    expect(counted).toBeGreaterThanOrEqual(offeredBytes - 20_000);
    expect(counted).toBeLessThanOrEqual(offeredBytes);
    await agent.stop();
    await peer.stop();
  });
});

/** Takes all the space there is. */
async function fill(file: string): Promise<{ empty(): Promise<void> }> {
  const handle = await open(file, 'w');
  for (const size of [65_536, 4_096, 512, 1]) {
    const block = Buffer.alloc(size);
    let isFull = false;
    while (!isFull) {
      isFull = await handle.write(block).then(
        ({ bytesWritten }) => bytesWritten < size,
        () => true,
      );
    }
  }
  await handle.close();
  return { empty: () => rm(file) };
}

async function filesBelow(dir: string): Promise<string[]> {
  return (await readdir(dir, { recursive: true })).sort();
}

/** Has everything sent, each batch acknowledged once. */
async function drain(agent: Agent, sent: AgentMessage[], clock: VirtualClock): Promise<void> {
  agent.connected();
  const acknowledged = new Set<number>();
  for (let idle = 0; idle < 20; idle++) {
    await clock.advance(1);
    await sleep(systemClock, 5);
    const next = sent.find((message) => message.type === 'samples' && !acknowledged.has(message.sequence));
    if (next?.type !== 'samples') continue;
    idle = 0;
    acknowledged.add(next.sequence);
    await agent.receive({ type: 'ack', sequence: next.sequence });
  }
  const sequences = sent.flatMap((message) => (message.type === 'samples' ? [message.sequence] : []));
  expect(new Set(sequences).size).toBe(sequences.length);
}
