import { type ChildProcess, spawn } from 'node:child_process';
import { mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { sleep, systemClock } from '../../src/base/index.ts';
import { classId, siteId } from '../../src/model/index.ts';
import { DRIVER, type Gateway, inside, MARK1, type Pair, ping, sentPerTunnel, startDaemon, startPair, T1, T2, underlayAt, until, wantedOf } from '../lab/adapters/support.ts';
import type { AgentTask } from './agent-process.ts';

/** The whole agent on two gateways, with real probes through real SAs of the kernel. */
describe('two agents with XFRM interfaces', () => {
  let pair: Pair;
  const agents: ChildProcess[] = [];
  const carries = async (count = 3): Promise<boolean> => (await ping(pair.a, '10.92.0.10', count, 0.02)).received === count;
  beforeAll(async () => {
    pair = await startPair();
    for (const gateway of [pair.a, pair.b]) agents.push(await startAgent(gateway));
  });
  afterAll(async () => {
    for (const agent of agents) agent.kill('SIGKILL');
    await pair?.close();
  });

  it('bring tunnels up from nothing and carry packets', async () => {
    await until(() => carries(), 60_000);
    expect((await pair.a.ipsec.listSas()).map(({ tunnel, childState }) => `${tunnel} ${childState}`)).toEqual([`${T1} INSTALLED`, `${T2} INSTALLED`]);
    await until(async () => (await inside(pair.a.namespace, 'ip', 'route', 'show', 'table', String(MARK1))).includes(`dev ${T1}`), 20_000);
    expect((await underlayAt(pair.b)).clear).toBe(0);
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
    await until(async () => (await inside(pair.a.namespace, 'ip', 'route', 'show', 'table', String(MARK1))).includes(`dev ${T1}`), 30_000);
    expect(await carries()).toBe(true);
  });

  it('go on while the daemon is killed and starts again, and get their SAs back', async () => {
    const pinging = ping(pair.a, '10.92.0.10', 800, 0.01);
    await sleep(systemClock, 300);
    await pair.a.charon.kill();
    pair.a.charon = await startDaemon(pair.a);
    await until(async () => (await pair.a.ipsec.listSas().catch(() => [])).filter(({ childState }) => childState === 'INSTALLED').length === 2, 30_000);
    const { sent, received } = await pinging;
    expect(sent).toBe(800);
    expect(received).toBeGreaterThanOrEqual(780);
    expect((await underlayAt(pair.b)).clear).toBe(0);
    expect((await pair.a.dataplane.counters()).leakPackets).toBe(0);
  });
});

async function startAgent(gateway: Gateway): Promise<ChildProcess> {
  const { config } = wantedOf(gateway.name);
  const [to, prefixes] = gateway.name === 'a' ? [siteId('beta'), ['10.92.0.0/24']] : [siteId('alpha'), ['10.91.0.0/24']];
  const steering = ['bulk', 'voice'].map((name) => ({ to, prefixes, classId: classId(name), lanes: [{ mark: MARK1, weight: 100, tunnels: [T1, T2] }] }));
  const stateDir = join(gateway.dir, 'agent');
  await mkdir(stateDir, { recursive: true });
  const task: AgentTask = { node: config.node, stateDir, viciSocket: gateway.charon.socketPath, driver: DRIVER, config: { ...config, steering }, credentials: gateway.credentials };
  const file = join(gateway.dir, 'task.json');
  await writeFile(file, JSON.stringify(task), { mode: 0o600 });
  return spawn('ip', ['netns', 'exec', gateway.namespace, process.execPath, fileURLToPath(new URL('./agent-process.js', import.meta.url)), file], { stdio: ['ignore', 'inherit', 'inherit'] });
}
