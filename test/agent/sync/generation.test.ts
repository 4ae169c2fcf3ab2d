import { mkdtemp, readFile, rm, truncate, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import * as fc from 'fast-check';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { createLog, VirtualClock, writeFileAtomic } from '../../../src/base/index.ts';
import { type Agent, createAgent, createMemoryOutbox } from '../../../agent/index.ts';
import { createFileConfigStore } from '../../../agent/sync/index.ts';
import { createTestNet } from '../../support/agent-ports.ts';
import { berlin, configOf, signedForTest, t1, t2, verifyForTest } from '../../support/node-configs.ts';

const log = createLog('test', 'silent');
let root = '';
let runs = 0;

beforeAll(async () => {
  root = await mkdtemp(join(tmpdir(), 'generation-'));
});
afterAll(() => rm(root, { recursive: true, force: true }));

type Step =
  | { kind: 'offer'; generation: number; salt: string; weak: boolean; forged: boolean }
  | { kind: 'crash'; damage: 'none' | 'truncate-a' | 'truncate-b' | 'flip-a' | 'remove-b' }
  /** The process ends after so many of the files of the next save were written. */
  | { kind: 'offer-and-crash'; generation: number; filesWritten: 0 | 1 | 2 };

const step: fc.Arbitrary<Step> = fc.oneof(
  fc.record({ kind: fc.constant('offer' as const), generation: fc.integer({ min: 1, max: 12 }), salt: fc.constantFrom('x', 'y'), weak: fc.boolean(), forged: fc.boolean() }),
  fc.record({ kind: fc.constant('crash' as const), damage: fc.constantFrom('none' as const, 'truncate-a' as const, 'truncate-b' as const, 'flip-a' as const, 'remove-b' as const) }),
  fc.record({ kind: fc.constant('offer-and-crash' as const), generation: fc.integer({ min: 1, max: 12 }), filesWritten: fc.constantFrom(0 as const, 1 as const, 2 as const) }),
);

describe('the generation of a node', () => {
  it('never falls, over any run of offers, forgeries, crashes, torn saves and single damaged files', async () => {
    await fc.assert(
      fc.asyncProperty(fc.array(step, { maxLength: 14 }), async (steps) => {
        const machine = await startMachine();
        let highest = 0;
        for (const next of steps) {
          await machine.take(next);
          const { generation, commit } = machine.agent().runtime();
          expect(generation).toBeGreaterThanOrEqual(highest);
          expect(commit === null).toBe(generation === 0);
          highest = generation;
          expect(machine.appliedGenerations()).toEqual([...machine.appliedGenerations()].sort((left, right) => left - right));
        }
        await machine.agent().stop({ abrupt: true });
      }),
      { numRuns: 60 },
    );
  }, 120_000);

  it('does not start at 0 again when both copies cannot be verified any more', async () => {
    const dir = join(root, `run-${runs++}`);
    const store = createFileConfigStore(dir, log);
    const signed = signedForTest(configOf(berlin, [t1], [[t1]]), 7);
    await store.save({ generation: 7, commit: signed.commit, signed, earlier: [] });
    const clock = new VirtualClock();
    let isSignerKnown = false;
    const verify: typeof verifyForTest = (config) => (isSignerKnown ? verifyForTest(config) : Promise.reject(new Error('signer unknown')));
    const agent = createAgent({ node: berlin, stateDir: dir, ports: createTestNet(clock).ports(berlin), clock, log, credentials: { caPem: '', certificatePem: '', privateKeyPem: '' }, verify, send: () => undefined });
    await agent.start();
    isSignerKnown = true;
    await agent.receive({ type: 'desired', config: signedForTest(configOf(berlin, [t2], [[t2]]), 6) });
    expect(agent.runtime().drift[0]).toContain('AGENT_PLAN_STALE');
    await agent.receive({ type: 'desired', config: signed });
    expect(agent.runtime().generation).toBe(7);
    await agent.stop();
  });
});

/** A node whose disk is real and whose agent can be killed between any two writes. */
async function startMachine() {
  const dir = join(root, `run-${runs++}`);
  const clock = new VirtualClock();
  const net = createTestNet(clock);
  const applied: number[] = [];
  const outbox = createMemoryOutbox();
  let writesLeft = Number.POSITIVE_INFINITY;
  const write: typeof writeFileAtomic = async (...args) => {
    if (writesLeft-- <= 0) throw new Error('killed');
    await writeFileAtomic(...args);
  };
  let agent: Agent;
  const make = async (): Promise<void> => {
    const ports = net.ports(berlin);
    const { dataplane } = net.ports(berlin);
    ports.dataplane.apply = (wanted) => {
      applied.push(wanted.config.sampleIntervalMs); // the generation is written there below
      return dataplane.apply(wanted);
    };
    agent = createAgent({
      node: berlin,
      stateDir: dir,
      ports,
      clock,
      log,
      credentials: { caPem: '', certificatePem: '', privateKeyPem: '' },
      verify: verifyForTest,
      send: () => undefined,
      storage: { configs: createFileConfigStore(dir, log, write), outbox },
    });
    await agent.start();
    await clock.advance(20);
  };
  const offer = (generation: number, salt: string, weak: boolean, forged: boolean): Promise<void> => {
    const config = configOf(berlin, [t1], [[t1]], { sampleIntervalMs: generation });
    const tunnel = config.tunnels[0]!;
    const signed = signedForTest(weak ? { ...config, tunnels: [{ ...tunnel, esp: [{ ...tunnel.esp[0]!, encryption: '3des', integrity: 'sha1' }] }] } : config, generation, salt);
    return agent.receive({ type: 'desired', config: forged ? { ...signed, blob: Buffer.from('{}').toString('base64') } : signed });
  };
  await make();
  return {
    agent: () => agent,
    appliedGenerations: () => applied,
    async take(next: Step): Promise<void> {
      if (next.kind === 'offer') await offer(next.generation, next.salt, next.weak, next.forged);
      if (next.kind === 'offer-and-crash') {
        writesLeft = next.filesWritten;
        await offer(next.generation, 'x', false, false);
        writesLeft = Number.POSITIVE_INFINITY;
      }
      await clock.advance(20);
      if (next.kind === 'offer') return;
      await agent.stop({ abrupt: true });
      if (next.kind === 'crash') await damageFile(dir, next.damage);
      await make();
    },
  };
}

async function damageFile(dir: string, damage: (Step & { kind: 'crash' })['damage']): Promise<void> {
  const file = join(dir, damage.endsWith('-a') ? 'config-a.json' : 'config-b.json');
  const text = await readFile(file).catch(() => null);
  if (text === null || damage === 'none') return;
  if (damage === 'remove-b') await rm(file);
  else if (damage === 'flip-a') await writeFile(file, text.map((byte, index) => (index === text.length >> 1 ? byte ^ 1 : byte)));
  else await truncate(file, text.length >> 1);
}
