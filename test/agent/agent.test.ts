import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, describe, expect, it } from 'vitest';
import { createLog, VirtualClock } from '../../src/base/index.ts';
import { siteId } from '../../src/model/index.ts';
import { createAgent, createMemoryConfigStore, createMemoryOutbox } from '../../agent/index.ts';
import type { StoredConfig } from '../../agent/sync/index.ts';
import { startNode, startPair, testCredentials as credentials } from '../support/agent-pair.ts';
import { createTestNet } from '../support/agent-ports.ts';
import { berlin, configOf, paris, signedForTest, t1, t2, t3, tunnelOf, verifyForTest } from '../support/node-configs.ts';

const log = createLog('test', 'silent');
const folders: string[] = [];

afterEach(async () => {
  for (const folder of folders.splice(0)) await rm(folder, { recursive: true, force: true });
});

describe('two agents', () => {
  it('bring a tunnel up and carry traffic both ways', async () => {
    const { a, b, lost, runFor } = await startPair();
    await runFor(100);
    expect(lost).toEqual([]);
    for (const node of [a, b]) {
      expect(node.agent.runtime()).toMatchObject({ generation: 1, tunnels: [{ tunnel: t1, pathState: 'up', childState: 'INSTALLED' }], drift: [], settled: true });
    }
  });

  it.each([0, 40, 1_500])('lose nothing when traffic moves to another tunnel, the peer getting its config %i ms later', async (laterMs) => {
    const { net, a, b, lost, runFor } = await startPair();
    await a.want(configOf(berlin, [t2], [[t2]]), 2);
    await runFor(laterMs);
    await b.want(configOf(paris, [t2], [[t2]]), 2);
    await runFor(6_000);
    expect(lost).toEqual([]);
    expect([...net.machine(berlin).sas, ...net.machine(paris).sas]).toEqual([t2, t2]);
    expect([a.agent.runtime().settled, b.agent.runtime().settled]).toEqual([true, true]);
  });

  it('keep the old tunnel when the new one never comes up, and say so', async () => {
    const { net, a, b, lost, runFor } = await startPair();
    net.path(t2).down = true;
    await a.want(configOf(berlin, [t2], [[t2]]), 2);
    await b.want(configOf(paris, [t2], [[t2]]), 2);
    await runFor(15_000);
    expect(lost).toEqual([]);
    expect(a.agent.runtime().drift.join('\n')).toContain(`tunnel ${t2} has no SA`);
  });

  it.each(['blackhole'] as const)('fail over to the backup within (downAfter + 1) probe intervals on a %s', async () => {
    const { clock, net, a, lost, runFor } = await startPair([[t1, t2]], [t1, t2]);
    await runFor(13);
    net.path(t1).down = true;
    const cutAtMs = clock.monotonicMs();
    await runFor(1_000);
    const outage = lost.length === 0 ? 0 : lost.at(-1)!.atMs - cutAtMs;
    expect(lost.length).toBeGreaterThan(0);
    expect(outage).toBeLessThanOrEqual(200);
    expect(a.sent.filter(({ type }) => type === 'event')).toContainEqual({ type: 'event', event: { kind: 'path-down', tunnel: t1, at: expect.any(Number) as number, lanesSwitched: 1 } });
    net.path(t1).down = false;
    lost.length = 0;
    await runFor(3_000);
    expect(lost).toEqual([]);
    expect([...net.machine(berlin).lanes.values()].map((lane) => lane.active)).toEqual([t1]);
  });

  it('hold a path down also when its SA was made anew, and tell nothing of tunnels that are not wanted', async () => {
    const { clock, net, a, b, lost, runFor } = await startPair([[t1, t2]], [t1, t2]);
    net.path(t1).down = true;
    await runFor(500);
    for (const node of [berlin, paris]) {
      net.machine(node).sas.delete(t1);
      net.machine(node).changed();
    }
    await runFor(1_000);
    net.path(t1).down = false;
    lost.length = 0;
    a.sent.length = 0;
    await runFor(900);
    expect([...net.machine(berlin).lanes.values()].map((lane) => lane.active)).toEqual([t2]);
    await clock.advance(5_000);
    expect([...net.machine(berlin).lanes.values()].map((lane) => lane.active)).toEqual([t1]);
    expect(lost).toEqual([]);
    a.sent.length = 0;
    await a.want(configOf(berlin, [t2], [[t2]]), 2);
    await b.want(configOf(paris, [t2], [[t2]]), 2);
    await runFor(3_000);
    expect(a.sent.filter(({ type }) => type === 'event')).toEqual([]);
  });

  it('switch lanes in the same turn as the verdict, before anything that waits', async () => {
    const { net, runFor } = await startPair([[t1, t2]], [t1, t2]);
    net.machine(berlin).calls.length = 0;
    net.path(t1).down = true;
    await runFor(250);
    expect(net.machine(berlin).calls[0]).toMatch(new RegExp(`^switch \\d+ ${t2}$`));
  });

  it('use another lane of the same traffic when a lane has no tunnel left', async () => {
    const { net, runFor, lost } = await startPair([[t1], [t2]], [t1, t2]);
    net.path(t1).down = true;
    await runFor(250);
    lost.length = 0;
    await runFor(1_000);
    expect(lost).toEqual([]);
    expect([...net.machine(berlin).lanes.values()].map((lane) => lane.active)).toEqual([t2, t2]);
  });

  it.each([true, false])('lose nothing when an agent restarts (killed: %s)', async (abrupt) => {
    const { clock, net, a, lost, runFor } = await startPair([[t1, t2]], [t1, t2]);
    net.machine(berlin).calls.length = 0;
    await a.agent.stop({ abrupt });
    await runFor(3_000);
    await a.restart(abrupt);
    await runFor(3_000);
    expect(lost).toEqual([]);
    expect(net.machine(berlin).calls.filter((call) => /terminate|unload|initiate/.test(call))).toEqual([]);
    expect(a.agent.runtime().generation).toBe(1);
    await clock.advance(2_000);
    expect(a.agent.runtime().settled).toBe(true);
  });

  it('go on after an agent was killed in the middle of a move', async () => {
    for (const killAfterMs of [1, 20, 45, 52, 55, 58, 62, 70, 90, 400, 700]) {
      const { a, b, net, lost, runFor } = await startPair();
      await a.want(configOf(berlin, [t2], [[t2]]), 2);
      await b.want(configOf(paris, [t2], [[t2]]), 2);
      await runFor(killAfterMs);
      await a.agent.stop({ abrupt: true });
      await runFor(1_000);
      await a.restart(true);
      await runFor(8_000);
      expect({ killAfterMs, lost: lost.length }).toEqual({ killAfterMs, lost: 0 });
      expect([...net.machine(berlin).sas]).toEqual([t2]);
    }
  });

  it('come back after a daemon restart, with its credentials', async () => {
    const { clock, net, a } = await startPair();
    const machine = net.machine(berlin);
    machine.killDaemon();
    net.machine(paris).sas.clear();
    await clock.advance(1_500);
    expect(a.agent.runtime().drift).toContain('the IKE daemon does not answer');
    machine.startDaemon();
    await clock.advance(3_000);
    expect(machine.credentials).toEqual(credentials);
    expect(a.agent.runtime()).toMatchObject({ drift: [], tunnels: [{ pathState: 'up' }] });
  });

  it('repeat with pauses while the kernel refuses, and say why', async () => {
    const { clock, net, a } = await startPair();
    net.machine(berlin).applyError = new Error('nft: table is busy');
    await a.want(configOf(berlin, [t1, t3], [[t1]]), 2);
    await clock.advance(2_000);
    expect(a.agent.runtime().drift.join()).toContain('nft: table is busy');
    net.machine(berlin).applyError = null;
    await clock.advance(12_000);
    expect(a.agent.runtime().drift).toEqual([`tunnel ${t3} has no SA`]);
  });

  it('set right within 5 s what somebody else changed, say so once, and lose nothing meanwhile', async () => {
    const { clock, net, a, lost, runFor } = await startPair([[t1, t2]], [t1, t2]);
    await runFor(3_000);
    a.sent.length = 0;
    net.machine(berlin).calls.length = 0;
    net.machine(berlin).disturb('nft ruleset replaced');
    net.machine(berlin).disturb('guard: 10.0.0.0/8 is unreachable but through tunnels');
    await runFor(5_000);
    expect(lost).toEqual([]);
    expect(net.machine(berlin).calls).toEqual(['apply']);
    expect(a.sent.filter(({ type }) => type === 'event')).toEqual([
      { type: 'event', event: { kind: 'drift', at: expect.any(Number) as number, changes: ['nft ruleset replaced', 'guard: 10.0.0.0/8 is unreachable but through tunnels'] } },
    ]);
    expect(a.agent.runtime()).toMatchObject({ repairs: 1, settled: true });
    expect(a.sent.filter(({ type }) => type === 'status').at(-1)).toMatchObject({ repairs: 1 });
    await clock.advance(60_000);
    expect(a.agent.runtime().repairs).toBe(1);
  });

  it('compare the kernel at most every 2 s, however often others change it', async () => {
    const { clock, net } = await startPair([[t1, t2]], [t1, t2]);
    await clock.advance(5_000);
    net.machine(berlin).calls.length = 0;
    for (let tick = 0; tick < 100; tick++) {
      net.machine(berlin).disturb(`route ${tick} replaced`);
      await clock.advance(100);
    }
    const applies = net.machine(berlin).calls.filter((call) => call === 'apply').length;
    expect(applies).toBeGreaterThanOrEqual(4);
    expect(applies).toBeLessThanOrEqual(6);
  });

  it('have rules that all went back at once, but fight nobody over them more than four times a second', async () => {
    const { clock, net } = await startPair([[t1, t2]], [t1, t2]);
    await clock.advance(5_000);
    net.machine(berlin).calls.length = 0;
    net.machine(berlin).disturb('route replaced');
    net.machine(berlin).disturb('nft ruleset replaced', true);
    await clock.advance(20);
    expect(net.machine(berlin).calls).toEqual(['apply']);
    for (let tick = 0; tick < 100; tick++) {
      net.machine(berlin).disturb('nft ruleset replaced', true);
      await clock.advance(20);
    }
    const applies = net.machine(berlin).calls.filter((call) => call === 'apply').length;
    expect(applies).toBeGreaterThanOrEqual(6);
    expect(applies).toBeLessThanOrEqual(9);
  });

  it('take what comes with a restart of the daemon for no change of somebody else', async () => {
    const { clock, net, a } = await startPair();
    net.machine(berlin).killDaemon();
    net.machine(berlin).disturb('interface removed');
    net.machine(paris).sas.clear();
    await clock.advance(1_500);
    net.machine(berlin).startDaemon();
    await clock.advance(3_000);
    expect(a.agent.runtime()).toMatchObject({ repairs: 0, drift: [] });
  });

  it('hand a renewed certificate to the daemon and touch no SA', async () => {
    const { clock, net, a } = await startPair();
    net.machine(berlin).calls.length = 0;
    a.agent.useCredentials({ ...credentials, certificatePem: 'renewed' });
    await clock.advance(100);
    expect(net.machine(berlin).calls).toEqual(['load-credentials']);
    expect(net.machine(berlin).credentials?.certificatePem).toBe('renewed');
  });
});

describe('an agent that is offered a config', () => {
  const good = configOf(berlin, [t1], [[t1]]);

  it.each([
    { title: 'an older generation', code: 'AGENT_PLAN_STALE', config: good, generation: 4 },
    { title: 'another commit of the same generation', code: 'AGENT_PLAN_STALE', config: { ...good, sampleIntervalMs: 9_000 }, generation: 5 },
    { title: 'a config of another node', code: 'AGENT_PLAN_INVALID', config: configOf(paris, [t1], [[t1]]), generation: 6 },
    { title: 'a weak cipher', code: 'AGENT_FLOOR_REFUSED', config: { ...good, tunnels: [{ ...tunnelOf(berlin, t1), esp: [{ ...tunnelOf(berlin, t1).esp[0]!, encryption: 'null' as const }] }] }, generation: 6 },
    { title: 'a mesh that is open to everything', code: 'AGENT_FLOOR_REFUSED', config: { ...good, allow: [{ from: ['0.0.0.0/0'], to: ['10.2.0.0/24'] }] }, generation: 6 },
    { title: 'two sites that share addresses', code: 'AGENT_PLAN_INVALID', config: { ...good, sites: [...good.sites, { id: siteId('rome'), prefixes: ['10.2.0.128/25'] }] }, generation: 6 },
    { title: 'one tunnel twice', code: 'AGENT_PLAN_INVALID', config: { ...good, tunnels: [tunnelOf(berlin, t1), tunnelOf(berlin, t1)] }, generation: 6 },
    { title: 'a management path that is gone', code: 'AGENT_FLOOR_REFUSED', config: { ...good, protectedPrefixes: [...good.protectedPrefixes, '100.64.0.0/10'] }, generation: 6 },
    { title: 'a generation below zero', code: 'AGENT_PLAN_STALE', config: good, generation: -1 },
    { title: 'fewer protected prefixes', code: 'AGENT_FLOOR_REFUSED', config: { ...good, protectedPrefixes: ['10.0.0.0/9'] }, generation: 6 },
  ])('refuses $title with $code, keeps its state byte for byte and reports it', async ({ code, config, generation }) => {
    const clock = new VirtualClock();
    const net = createTestNet(clock);
    const node = await startNode(net, clock, berlin);
    await node.want(good, 5);
    await clock.advance(1_000);
    const machine = net.machine(berlin);
    const before = JSON.stringify([machine.wanted, [...machine.connections], node.agent.runtime()]);
    machine.calls.length = 0;
    await node.want(config, generation, 'other');
    await clock.advance(60);
    expect(machine.calls).toEqual([]);
    const after = node.agent.runtime();
    expect(after.drift.shift()).toContain(code);
    expect(JSON.stringify([machine.wanted, [...machine.connections], after])).toBe(before);
    expect(JSON.stringify(node.sent.filter(({ type }) => type === 'status').at(-1))).toContain(code);
  });

  it('refuses one whose bytes were changed', async () => {
    const clock = new VirtualClock();
    const node = await startNode(createTestNet(clock), clock, berlin);
    const signed = signedForTest(good, 5);
    await node.agent.receive({ type: 'desired', config: { ...signed, blob: signed.blob.replace(/^./, 'A') } });
    expect(node.agent.runtime()).toMatchObject({ generation: 0, commit: null });
  });

  it('takes the same one again without a word, and forgets a refusal when it does', async () => {
    const clock = new VirtualClock();
    const node = await startNode(createTestNet(clock), clock, berlin);
    await node.want(good, 5);
    await node.want(good, 4, 'older');
    expect(node.agent.runtime().drift.join()).toContain('AGENT_PLAN_STALE');
    await node.want(good, 5);
    expect(node.agent.runtime().drift.join()).not.toContain('AGENT_PLAN_STALE');
  });

  it('takes it after all once the full disk that it could not be kept on has space again, though it is not sent again', async () => {
    const clock = new VirtualClock();
    const net = createTestNet(clock);
    const kept = createMemoryConfigStore();
    let isFull = true;
    const configs = { load: () => kept.load(), save: (stored: StoredConfig) => (isFull ? Promise.reject(new Error('ENOSPC: no space left on device')) : kept.save(stored)) };
    const agent = createAgent({ node: berlin, stateDir: '/nowhere', ports: net.ports(berlin), clock, log, credentials, verify: verifyForTest, send: () => undefined, storage: { configs, outbox: createMemoryOutbox() } });
    await agent.start();
    await agent.receive({ type: 'desired', config: signedForTest(good, 5) });
    await clock.advance(20_000);
    expect(agent.runtime()).toMatchObject({ generation: 0, drift: [expect.stringContaining('no space left') as string, 'no config yet'] });
    isFull = false;
    await clock.advance(6_000);
    expect(agent.runtime()).toMatchObject({ generation: 5 });
    expect(agent.runtime().drift.join()).not.toContain('refused');
    await agent.stop();
  });

  it('runs its stored config later when it cannot be verified at first, without an engine', async () => {
    const clock = new VirtualClock();
    const net = createTestNet(clock);
    const configs = createMemoryConfigStore();
    const signed = signedForTest(good, 5);
    await configs.save({ generation: 5, commit: signed.commit, signed, earlier: [] });
    let isTmpFull = true;
    const verify: typeof verifyForTest = (config) => (isTmpFull ? Promise.reject(new Error('ENOSPC: no space left on device, mkdtemp')) : verifyForTest(config));
    const agent = createAgent({ node: berlin, stateDir: '/nowhere', ports: net.ports(berlin), clock, log, credentials, verify, send: () => undefined, storage: { configs, outbox: createMemoryOutbox() } });
    await agent.start();
    await clock.advance(12_000);
    expect(agent.runtime().generation).toBe(0);
    isTmpFull = false;
    await clock.advance(6_000);
    expect(agent.runtime().generation).toBe(5);
    await agent.stop();
  });

  it('does not run what it could not keep', async () => {
    const folder = await mkdtemp(join(tmpdir(), 'agent-'));
    folders.push(folder);
    const clock = new VirtualClock();
    const net = createTestNet(clock);
    const configs = { load: () => Promise.resolve([]), save: () => Promise.reject(new Error('no space left on device')) };
    const agent = createAgent({ node: berlin, stateDir: folder, ports: net.ports(berlin), clock, log, credentials, verify: verifyForTest, send: () => undefined, storage: { configs, outbox: createMemoryOutbox() } });
    await agent.start();
    await agent.receive({ type: 'desired', config: signedForTest(good, 5) });
    await clock.advance(100);
    expect(agent.runtime().generation).toBe(0);
    expect(net.machine(berlin).calls).toEqual([]);
  });
});
