import { type ChildProcess, spawn } from 'node:child_process';
import { createHash, X509Certificate } from 'node:crypto';
import { once } from 'node:events';
import { mkdir, writeFile } from 'node:fs/promises';
import { connect } from 'node:net';
import { dirname, join } from 'node:path';
import { text } from 'node:stream/consumers';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { AgentRuntime } from '../../agent/index.ts';
import { sectionsOf, textAt, ViciConnection } from '../../agent/vici/index.ts';
import { runCommandText, sleep, systemClock } from '../../src/base/index.ts';
import { classId, nodeId, siteId } from '../../src/model/index.ts';
import { DRIVER, type Gateway, inside, issueCredentials, MARK1, type Pair, ping, sentPerTunnel, startDaemon, startPair, T1, T2, underlayAt, until, wantedOf } from '../lab/adapters/support.ts';
import type { AgentTask } from './agent-process.ts';

/** What an uplink of 1500 bytes leaves a packet: IP 20, UDP 8, ESP 8 + 8 + 16 and 2 of padding. */
const WHOLE_BYTES = 1438;
/** A path that is narrower than its uplinks, and what it leaves a packet that is in no UDP. */
const NARROW_WIRE_BYTES = 1380;
const NARROW_BYTES = 1326;

/** The whole agent on two gateways, with real probes through real SAs of the kernel, keyed with a pre-shared post-quantum key besides. The steps build on each other. */
describe('two agents with XFRM interfaces', () => {
  let pair: Pair;
  const agents: Partial<Record<Gateway['name'], ChildProcess>> = {};
  const tasks: Partial<Record<Gateway['name'], AgentTask>> = {};
  /** Packets that the guard had stopped at each gateway by the time the tunnels were up; from then on none gets as far as that. */
  const stopped: Partial<Record<Gateway['name'], number>> = {};
  beforeAll(async () => {
    pair = await startPair();
    for (const gateway of [pair.a, pair.b]) {
      tasks[gateway.name] = await taskOf(gateway);
      agents[gateway.name] = await startAgent(gateway, tasks[gateway.name]!);
    }
  });
  afterAll(async () => {
    for (const agent of Object.values(agents)) agent?.kill('SIGKILL');
    await pair?.close();
  });

  const carries = async (count = 3): Promise<boolean> => (await ping(pair.a, '10.92.0.10', count, 0.02)).received === count;
  const usesFirst = async (): Promise<boolean> => (await inside(pair.a.namespace, 'ip', 'route', 'show', 'table', String(MARK1))).includes(`dev ${T1}`);
  /** What the agent at `a` knows of each tunnel's path, bytes. */
  const measured = async (): Promise<(number | null)[]> => (await statusOf(pair.a)).tunnels.map(({ mtuBytes }) => mtuBytes);
  const ikeIds = async (): Promise<number[]> => (await pair.a.ipsec.listSas()).map(({ ikeId }) => ikeId);
  const bothUp = async (): Promise<boolean> => (await pair.a.ipsec.listSas().catch(() => [])).filter(({ childState }) => childState === 'INSTALLED').length === 2;
  /** Hands an agent something else to do. */
  const change = async (gateway: Gateway, changes: Partial<AgentTask>): Promise<void> => {
    tasks[gateway.name] = { ...tasks[gateway.name]!, ...changes };
    await writeTask(gateway, tasks[gateway.name]!);
    agents[gateway.name]!.kill('SIGHUP');
  };
  /** Pings, one packet every 10 ms where the machine can, for as long as something takes. */
  const pingUntil = async (work: () => Promise<void>): Promise<{ sent: number; received: number }> => {
    const sum = { sent: 0, received: 0 };
    const state = { isDone: false };
    const working = work().finally(() => {
      state.isDone = true;
    });
    do {
      const { sent, received } = await ping(pair.a, '10.92.0.10', 100, 0.01);
      sum.sent += sent;
      sum.received += received;
    } while (!state.isDone || sum.sent < 200);
    await working;
    return sum;
  };
  const nothingInClear = async (): Promise<void> => {
    for (const gateway of [pair.a, pair.b]) {
      expect((await underlayAt(gateway)).clear).toBe(0);
      expect((await gateway.dataplane.counters()).leakPackets).toBe(stopped[gateway.name]);
    }
  };

  it('bring tunnels up from nothing and carry packets', async () => {
    await until(() => carries(), 120_000);
    await until(bothUp, 60_000);
    expect((await pair.a.ipsec.listSas()).map(({ tunnel, childState }) => `${tunnel} ${childState}`)).toEqual([`${T1} INSTALLED`, `${T2} INSTALLED`]);
    await until(usesFirst, 60_000);
    expect(new Set(await mixedIn(pair.a))).toEqual(new Set(['yes']));
    for (const gateway of [pair.a, pair.b]) stopped[gateway.name] = (await gateway.dataplane.counters()).leakPackets;
    await nothingInClear();
  });

  it('leave a path that died silently, by themselves, and come back to it', async () => {
    const [, before] = await sentPerTunnel(pair.a);
    const pinging = ping(pair.a, '10.92.0.10', 300, 0.01);
    await sleep(systemClock, 500);
    for (const { namespace } of [pair.a, pair.b]) await inside(namespace, 'nft', 'insert rule inet watch arrive iifname isp1 drop');
    const { sent, received } = await pinging;
    expect(sent).toBe(300);
    // 0.2 s on real hardware; a guest without its own processor takes longer
    expect(received).toBeGreaterThanOrEqual(200);
    expect((await sentPerTunnel(pair.a))[1]).toBeGreaterThan(before);
    for (const { namespace } of [pair.a, pair.b]) await inside(namespace, 'bash', '-c', 'nft delete rule inet watch arrive handle $(nft -a list chain inet watch arrive | sed -n "s/.*drop # handle //p")');
    await until(usesFirst, 30_000);
    expect(await carries()).toBe(true);
    await nothingInClear();
  });

  it('move both tunnels to new certificates, under traffic, and lose nothing', async () => {
    const before = await ikeIds();
    const next = await issueAgain(pair);
    const areNew = async (): Promise<boolean> => (await pair.a.ipsec.listSas()).every(({ ikeId, besides, childState }) => !before.includes(ikeId) && besides === 0 && childState === 'INSTALLED');
    const { sent, received } = await pingUntil(async () => {
      for (const gateway of [pair.a, pair.b]) await change(gateway, { credentials: next[gateway.name] });
      await until(areNew, 120_000);
    });
    expect(sent).toBeGreaterThanOrEqual(200);
    expect(received).toBe(sent);
    expect(await ikeIds()).toHaveLength(2);
    expect(new Set(await mixedIn(pair.a))).toEqual(new Set(['yes']));
    await nothingInClear();
  });

  it('take up what is there when one of them was killed and starts again, and lose nothing', async () => {
    await until(usesFirst, 30_000);
    const before = await ikeIds();
    const pinging = ping(pair.a, '10.92.0.10', 800, 0.01);
    await endAgent(agents.a!);
    agents.a = await startAgent(pair.a, tasks.a!);
    expect(await pinging).toEqual({ sent: 800, received: 800 });
    await until(() => statusOf(pair.a).then(({ settled }) => settled, () => false), 120_000);
    expect(await ikeIds()).toEqual(before);
    await nothingInClear();
  });

  it('go on while the daemon is killed and starts again, and get their SAs back', async () => {
    const pinging = ping(pair.a, '10.92.0.10', 800, 0.01);
    await sleep(systemClock, 300);
    await pair.a.charon.kill();
    pair.a.charon = await startDaemon(pair.a);
    await until(bothUp, 30_000);
    const { sent, received } = await pinging;
    expect(sent).toBe(800);
    expect(received).toBeGreaterThanOrEqual(780);
    await nothingInClear();
  });

  it('put queues at an uplink when they are told to, and lose nothing', async () => {
    const { config } = tasks.a!;
    const { shaping } = wantedOf('a', { shaping: { rateKbps: 10_000, voiceDscp: 34 } }).config;
    const pinging = ping(pair.a, '10.92.0.10', 300, 0.01);
    await change(pair.a, { generation: 2, config: { ...config, ...(shaping ? { shaping } : {}) } });
    await until(async () => (await inside(pair.a.namespace, 'tc', 'qdisc', 'show', 'dev', 'isp1')).includes('qdisc htb fa00:'), 30_000);
    expect(await pinging).toEqual({ sent: 300, received: 300 });
    expect(await inside(pair.a.namespace, 'tc', '-s', 'class', 'show', 'dev', 'isp1')).toMatch(/class htb fa00:[\s\S]*rate 10Mbit/);
    await nothingInClear();
  });

  it('measure the path of a tunnel that swallows large packets, and fit what hosts send to it', async () => {
    await until(async () => (await measured()).every((bytes) => bytes === WHOLE_BYTES), 60_000);
    for (const { namespace } of [pair.a, pair.b]) await inside(namespace, 'nft', `insert rule inet watch arrive iifname isp1 ip length > ${NARROW_WIRE_BYTES} drop`);
    await until(async () => (await measured())[0] === NARROW_BYTES, 120_000);
    expect((await measured())[1]).toBe(WHOLE_BYTES);
    const isFitted = new RegExp(`dev ${T1} .*mtu ${NARROW_BYTES}\\b`);
    await until(async () => isFitted.test(await inside(pair.a.namespace, 'ip', 'route', 'show', 'table', String(MARK1))), 30_000);
    const largest = (bytes: number, fragment: 'do' | 'dont'): Promise<string> => inside(pair.a.hostNamespace, 'ping', '-n', '-q', '-M', fragment, '-c', '3', '-i', '0.1', '-W', '2', '-s', String(bytes - 28), '10.92.0.10');
    expect(await largest(NARROW_BYTES + 1, 'do')).toContain(' 0 received');
    expect(await largest(NARROW_BYTES, 'do')).toContain(' 3 received');
    expect(await largest(WHOLE_BYTES, 'dont')).toContain(' 3 received');
    await nothingInClear();
  });

  it('let nothing out in clear text when a daemon was killed and its SAs are taken from the kernel, and come back', async () => {
    await pair.a.charon.kill();
    await inside(pair.a.namespace, 'ip', 'xfrm', 'state', 'flush');
    await inside(pair.a.namespace, 'ip', 'xfrm', 'policy', 'flush');
    const { esp } = await underlayAt(pair.b);
    expect(await ping(pair.a, '10.92.0.10', 50, 0.01)).toEqual({ sent: 50, received: 0 });
    await nothingInClear();
    expect((await underlayAt(pair.b)).esp).toBe(esp);
    pair.a.charon = await startDaemon(pair.a);
    await until(() => carries(), 40_000);
    await nothingInClear();
  });

  it('end their tunnels with a node that is revoked, and none comes up again', async () => {
    const revocations = await revoke(pair, tasks.a!.credentials.certificatePem);
    await change(pair.b, { revocations });
    await until(async () => (await pair.b.ipsec.listSas()).every(({ childState }) => childState !== 'INSTALLED'), 30_000);
    await sleep(systemClock, 3000); // both ends try
    expect((await pair.b.ipsec.listSas()).filter(({ childState }) => childState !== null)).toEqual([]);
    expect(await ping(pair.a, '10.92.0.10', 20, 0.02)).toEqual({ sent: 20, received: 0 });
    await nothingInClear();
  });
});

async function taskOf(gateway: Gateway): Promise<AgentTask> {
  const { config } = wantedOf(gateway.name);
  const [to, prefixes] = gateway.name === 'a' ? [siteId('beta'), ['10.92.0.0/24']] : [siteId('alpha'), ['10.91.0.0/24']];
  const steering = ['bulk', 'voice'].map((name) => ({ to, prefixes, classId: classId(name), lanes: [{ mark: MARK1, weight: 100, tunnels: [T1, T2] }] }));
  const tunnels = config.tunnels.map((tunnel) => ({ ...tunnel, postQuantum: 'ppk' as const }));
  const stateDir = join(gateway.dir, 'agent');
  await mkdir(stateDir, { recursive: true });
  const key = { id: 'foremesh-ppk-1', secret: Buffer.alloc(32, 7).toString('base64') };
  await writeFile(join(stateDir, 'ppks.json'), JSON.stringify({ schema: 'foremesh/node-ppks/v1', keys: [[tunnels[0]!.peer, key]] }), { mode: 0o600 });
  return { node: config.node, stateDir, viciSocket: gateway.charon.socketPath, driver: DRIVER, generation: 1, config: { ...config, tunnels, steering }, credentials: gateway.credentials, revocations: null };
}

async function writeTask(gateway: Gateway, task: AgentTask): Promise<string> {
  const file = join(gateway.dir, 'task.json');
  await writeFile(file, JSON.stringify(task), { mode: 0o600 });
  return file;
}

async function startAgent(gateway: Gateway, task: AgentTask): Promise<ChildProcess> {
  const file = await writeTask(gateway, task);
  return spawn('ip', ['netns', 'exec', gateway.namespace, process.execPath, fileURLToPath(new URL('./agent-process.js', import.meta.url)), file], { stdio: ['ignore', 'inherit', 'inherit'] });
}

async function endAgent(agent: ChildProcess): Promise<void> {
  const ended = once(agent, 'exit');
  agent.kill('SIGKILL');
  await ended;
}

/** What an agent says of itself. */
async function statusOf(gateway: Gateway): Promise<AgentRuntime> {
  return JSON.parse(await text(connect(join(gateway.dir, 'agent', 'agent.sock')))) as AgentRuntime;
}

/** For each IKE SA of a gateway, whether a post-quantum key was mixed in, in the daemon's words. */
async function mixedIn(gateway: Gateway): Promise<(string | null)[]> {
  const connection = await ViciConnection.open(gateway.charon.socketPath, systemClock);
  try {
    const found: (string | null)[] = [];
    for await (const event of connection.stream('list-sas', 'list-sa')) for (const [, ike] of sectionsOf(event)) found.push(textAt(ike, 'ppk'));
    return found;
  } finally {
    connection.close();
  }
}

/** Further certificates of the same CA, for new keys. */
async function issueAgain(pair: Pair): ReturnType<typeof issueCredentials> {
  return issueCredentials(dirname(pair.a.dir), { sameCa: true });
}

/** The CA's list with this certificate on it. */
async function revoke(pair: Pair, certificatePem: string): Promise<NonNullable<AgentTask['revocations']>> {
  const dir = dirname(pair.a.dir);
  const file = join(dir, 'revoked.crt');
  await writeFile(file, certificatePem);
  const crlPem = await runCommandText('pki', ['--signcrl', '--cacert', join(dir, 'ca.crt'), '--cakey', join(dir, 'ca.key'), '--reason', 'key-compromise', '--cert', file, '--lifetime', '10', '--outform', 'pem']);
  return { type: 'revocations', number: 1, crlPem, revoked: [{ node: nodeId('gw-a'), keySha256: createHash('sha256').update(new X509Certificate(certificatePem).publicKey.export({ type: 'spki', format: 'der' })).digest('hex'), revokedAt: systemClock.now() }] };
}
