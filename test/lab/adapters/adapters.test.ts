import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { createViciClient, readListedSas } from '../../../agent/vici/index.ts';
import { createLog, readFileIfExists, runCommandText, sleep, systemClock } from '../../../src/base/index.ts';
import { connectionOf, DRIVER, establish, inside, MARK1, MARK2, type Pair, ping, sendDatagrams, sentPerTunnel, startDaemon, startPair, switchLanes, T1, T2, underlayAt, until, wantedOf } from './support.ts';

/**
 * The real ports on two gateways joined by two cables: real daemons, real kernel, two tunnels. The steps build on each
 * other, as they do on a gateway. What counts is what arrived at the other end.
 */
describe(`two gateways with the real adapters and ${DRIVER}`, () => {
  let pair: Pair;
  beforeAll(async () => {
    pair = await startPair();
  });
  afterAll(() => pair?.close());

  it('guard the protected prefixes before there is any tunnel', async () => {
    expect(await ping(pair.a, '10.92.0.10')).toMatchObject({ received: 0 });
    expect(await underlayAt(pair.b)).toEqual({ esp: 0, ike: 0, clear: 0 });
    expect((await pair.a.dataplane.counters()).leakPackets).toBe(0);
    expect(await inside(pair.a.namespace, 'ip', 'route', 'show', 'type', 'unreachable')).toContain('10.0.0.0/8 metric 9999');
  });

  it('bring two tunnels up, each once, however often they are asked', async () => {
    for (const gateway of [pair.b, pair.a]) for (const index of [1, 2] as const) await gateway.ipsec.loadConnection(connectionOf(gateway.name, index));
    expect(await pair.a.ipsec.listConnections()).toEqual([T1, T2]);
    await Promise.all([T1, T2, T1, T2, T1].map((tunnel) => pair.a.ipsec.initiate(tunnel)));
    for (const gateway of [pair.a, pair.b]) await until(async () => (await gateway.ipsec.listSas()).filter((sa) => sa.childState === 'INSTALLED').length === 2);
    await Promise.all([T1, T2].map((tunnel) => pair.a.ipsec.initiate(tunnel)));
    expect(await countSas(pair)).toBe(2);
    expect(await pair.a.ipsec.listSas()).toMatchObject([T1, T2].map((tunnel) => ({ tunnel, ikeState: 'ESTABLISHED', childState: 'INSTALLED', ikeSuite: 'aes128gcm16-prfsha256-x25519', espSuite: 'aes128gcm16' })));
  });

  it('make interfaces, lanes and rules, and have nothing to do the second time', async () => {
    for (const gateway of [pair.a, pair.b]) {
      const said = await gateway.dataplane.apply(wantedOf(gateway.name));
      expect(said).toContain(`interface ${T1} made`);
      expect(said).toContain(`lane ${MARK2} through ${T2}`);
      expect(await gateway.dataplane.apply(wantedOf(gateway.name))).toEqual([]);
      expect((await gateway.dataplane.tunnelCounters()).map(({ tunnel }) => tunnel)).toEqual([T1, T2]);
    }
  });

  it('carry packets from host to host, inside ESP and nothing else', async () => {
    const before = await underlayAt(pair.b);
    expect(await ping(pair.a, '10.92.0.10', 20, 0.01)).toEqual({ sent: 20, received: 20 });
    const after = await underlayAt(pair.b);
    expect(after.esp - before.esp).toBeGreaterThanOrEqual(20);
    expect(after.clear).toBe(0);
    expect((await underlayAt(pair.a)).clear).toBe(0);
  });

  it('put each class on its own lane', async () => {
    const [first, second] = await sentPerTunnel(pair.a);
    await sendDatagrams(pair.a, '10.92.0.10', 5004, 30);
    expect(await sentPerTunnel(pair.a)).toEqual([first, second + 30]);
    await sendDatagrams(pair.a, '10.92.0.10', 9000, 20);
    expect(await sentPerTunnel(pair.a)).toEqual([first + 20, second + 30]);
  });

  it('spread flows over lanes by weight, and keep each flow on one, also over a new ruleset', async () => {
    const spread = wantedOf('a', { bulkWeights: [70, 30] });
    await pair.a.dataplane.apply(spread);
    const [first, second] = await sentPerTunnel(pair.a);
    await sendDatagrams(pair.a, '10.92.0.10', 9000, 300);
    const [firstAfter, secondAfter] = await sentPerTunnel(pair.a);
    expect(firstAfter - first + (secondAfter - second)).toBe(300);
    expect((secondAfter - second) / 300).toBeGreaterThan(0.2);
    expect((secondAfter - second) / 300).toBeLessThan(0.4);

    const oneFlow = async (): Promise<[number, number]> => {
      const [one, other] = await sentPerTunnel(pair.a);
      await inside(pair.a.hostNamespace, 'bash', '-c', 'exec 3<>/dev/udp/10.92.0.10/9001; for i in $(seq 20); do echo x >&3; done 2>/dev/null; true');
      const [oneAfter, otherAfter] = await sentPerTunnel(pair.a);
      return [oneAfter - one, otherAfter - other];
    };
    // some may not be sent at all: the host hears that nobody listens
    const [one, other] = await oneFlow();
    expect([one, other]).toContain(0);
    expect(one + other).toBeGreaterThan(10);
    // the ping has no ports: its addresses decide, before and after the rules were written anew
    const lanesOfPing = async (): Promise<boolean[]> => {
      const before = await sentPerTunnel(pair.a);
      await ping(pair.a, '10.92.0.10', 10, 0.01);
      return (await sentPerTunnel(pair.a)).map((count, index) => count === (before[index] ?? 0) + 10);
    };
    const lanes = await lanesOfPing();
    expect(lanes.filter((isUsed) => isUsed)).toHaveLength(1);
    await inside(pair.a.namespace, 'bash', '-c', 'nft flush chain inet foremesh "$(nft list chains inet | grep -o "c_beta__bulk[^ ]*")"');
    expect(await pair.a.dataplane.apply(spread)).toEqual([expect.stringContaining('nft ruleset replaced') as string]);
    expect(await lanesOfPing()).toEqual(lanes);
    await pair.a.dataplane.apply(wantedOf('a'));
  });

  it('lay the rules anew after other hands were in them, and no packet meets half of them', async () => {
    const pinging = ping(pair.a, '10.92.0.10', 4000, 0.001);
    for (let round = 0; round < 15; round++) {
      await inside(pair.a.namespace, 'nft', 'add', 'rule', 'inet', 'foremesh', 'clamp', 'counter');
      expect(await pair.a.dataplane.apply(wantedOf('a'))).toEqual([expect.stringContaining('nft ruleset replaced') as string]);
    }
    const { sent, received } = await pinging;
    expect(sent - received).toBe(0);
  });

  it('move a lane to the other tunnel at once and without a lost packet', async () => {
    const pinging = ping(pair.a, '10.92.0.10', 400, 0.005);
    const [firstBefore, secondBefore] = await sentPerTunnel(pair.a);
    switchLanes(pair.a, [{ mark: MARK1, prefixes: ['10.92.0.0/24', '10.94.0.0/24'], active: T2 }]);
    expect(await pinging).toEqual({ sent: 400, received: 400 });
    const [first, second] = await sentPerTunnel(pair.a);
    expect(second - secondBefore).toBeGreaterThan(200);
    expect(first - firstBefore).toBeLessThan(200);
    await ping(pair.a, '10.92.0.10', 5);
    expect((await sentPerTunnel(pair.a))[0]).toBe(first);
    // the next apply still wants tunnel 1
    expect(await pair.a.dataplane.apply(wantedOf('a'))).toEqual([`lane ${MARK1} through ${T1}`]);
  });

  it('keep a lane where the fast switch put it while an apply was under way', async () => {
    const lane = { mark: MARK1, prefixes: ['10.92.0.0/24', '10.94.0.0/24'], active: T1 };
    switchLanes(pair.a, [{ ...lane, active: T2 }]);
    const applying = pair.a.dataplane.apply(wantedOf('a'));
    switchLanes(pair.a, [{ ...lane, active: null }]);
    await applying;
    const routes = (): Promise<string> => inside(pair.a.namespace, 'ip', 'route', 'show', 'table', String(MARK1));
    await until(async () => (await routes()).includes('unreachable 10.92.0.0/24'), 2000);
    switchLanes(pair.a, [lane]);
    await until(async () => (await routes()).includes(`dev ${T1}`), 2000);
  });

  it('switch lanes also after the switcher was killed', async () => {
    for (const pid of await switchersOf(pair.a.namespace)) process.kill(pid, 'SIGKILL');
    await until(async () => (await switchersOf(pair.a.namespace)).length === 1, 2000);
    switchLanes(pair.a, [{ mark: MARK1, prefixes: ['10.92.0.0/24'], active: T2 }]);
    await until(async () => (await inside(pair.a.namespace, 'ip', 'route', 'show', 'table', String(MARK1))).includes(`dev ${T2}`), 2000);
    await pair.a.dataplane.apply(wantedOf('a'));
  });

  it('tell what the daemon would not take, in its words, and keep what it had', async () => {
    const wrong = { ...connectionOf('a', 1), ike: [{ ...connectionOf('a', 1).ike[0]!, encryption: 'rot13' as never }] };
    await expect(pair.a.ipsec.loadConnection(wrong)).rejects.toMatchObject({ code: 'VICI_FAILED', what: expect.stringContaining('invalid value for: proposals') as string });
    expect(await pair.a.ipsec.listConnections()).toEqual([T1, T2]);
  });

  it('know whether the daemon has ML-KEM: it takes proposals with it exactly then', async () => {
    const hybrid = { ...connectionOf('a', 1), tunnel: 't-0000beef' as typeof T1, mlKem: 'required' as const };
    const isTaken = await pair.a.ipsec.loadConnection(hybrid).then(() => true, () => false);
    expect(pair.a.ipsec.ike?.()).toMatchObject({ version: expect.stringMatching(/^\d+\.\d+/) as string, mlKem: isTaken });
    if (isTaken) await pair.a.ipsec.unloadConnection(hybrid.tunnel);
    expect(await pair.a.ipsec.listConnections()).toEqual([T1, T2]);
  });

  it('give up an exchange that nobody answers', async () => {
    const nobody = { ...connectionOf('a', 1), tunnel: 't-0000dead' as typeof T1, remoteAddress: '100.64.1.77' };
    await pair.a.ipsec.loadConnection(nobody);
    await pair.a.ipsec.initiate(nobody.tunnel);
    const states = async (): Promise<string[]> => (await pair.a.ipsec.listSas()).filter((sa) => sa.tunnel === nobody.tunnel).map((sa) => sa.ikeState);
    await until(async () => (await states())[0] === 'CONNECTING');
    await pair.a.ipsec.initiate(nobody.tunnel);
    await pair.a.ipsec.unloadConnection(nobody.tunnel);
    await pair.a.ipsec.terminate(nobody.tunnel);
    await until(async () => (await states()).length === 0);
    expect(await pair.a.ipsec.listConnections()).toEqual([T1, T2]);
  });

  it('do not forward a pair that is not allowed, and do so once it is', async () => {
    expect(await ping(pair.a, '10.94.0.10', 2)).toMatchObject({ received: 0 });
    await pair.a.dataplane.apply(wantedOf('a', { allowDelta: true }));
    await pair.b.dataplane.apply(wantedOf('b', { allowDelta: true }));
    expect(await ping(pair.a, '10.94.0.10', 2)).toMatchObject({ received: 2 });
    for (const gateway of [pair.a, pair.b]) await gateway.dataplane.apply(wantedOf(gateway.name));
    expect(await ping(pair.a, '10.94.0.10', 2)).toMatchObject({ received: 0 });
  });

  it('count what hosts offer, also to where nothing leads, and over rulesets', async () => {
    const offered = async (to: string, classId: string): Promise<number> => (await pair.a.dataplane.counters()).offered.find((one) => one.to === to && one.classId === classId)?.packets ?? -1;
    const before = [await offered('gamma-2', 'voice'), await offered('gamma-2', 'bulk'), await offered('beta', 'voice')];
    await sendDatagrams(pair.a, '10.93.0.10', 5001, 7);
    await sendDatagrams(pair.a, '10.93.0.10', 7777, 5);
    expect([await offered('gamma-2', 'voice'), await offered('gamma-2', 'bulk'), await offered('beta', 'voice')]).toEqual([before[0]! + 7, before[1]! + 5, before[2]!]);
    await pair.a.dataplane.apply(wantedOf('a', { bulkWeights: [50, 50] }));
    await pair.a.dataplane.apply(wantedOf('a'));
    expect(await offered('gamma-2', 'voice')).toBe(before[0]! + 7);
    expect((await pair.b.dataplane.counters()).offered.find((one) => one.to === 'gamma-2')?.packets).toBe(0);
  });

  it('show the SA as installed at each moment of a rekey, and lose nothing', async () => {
    const raw = createViciClient({ socketPath: pair.a.charon.socketPath, clock: systemClock, log: createLog('raw', 'silent'), events: [], onEvent: () => undefined, setUp: () => Promise.resolve(), onUpDown: () => undefined });
    const pinging = ping(pair.a, '10.92.0.10', 200, 0.005);
    const states = new Set<string | null>();
    for (let rekey = 0; rekey < 8; rekey++) {
      await raw.request('rekey', { child: T1 });
      await raw.request('rekey', { ike: T1 });
      for (let look = 0; look < 40; look++) states.add((await pair.a.ipsec.listSas()).find((sa) => sa.tunnel === T1)?.childState ?? 'missing');
    }
    raw.close();
    expect(await pinging).toEqual({ sent: 200, received: 200 });
    expect([...states]).toEqual(['INSTALLED']);
  });

  it('hand the LAN address over and tell the LAN', async () => {
    const mac = async (): Promise<string> => /lladdr (\S+)/.exec(await inside(pair.a.hostNamespace, 'ip', 'neigh', 'show', '10.91.0.1'))?.[1] ?? '';
    const right = await mac();
    expect(await pair.a.dataplane.apply(wantedOf('a', { serving: false }))).toEqual(['LAN address 10.91.0.1/24 given up']);
    await inside(pair.a.hostNamespace, 'ip', 'neigh', 'replace', '10.91.0.1', 'lladdr', '02:00:00:00:00:99', 'dev', 'eth0', 'nud', 'stale');
    expect(await pair.a.dataplane.apply(wantedOf('a'))).toEqual(['LAN address 10.91.0.1/24 taken']);
    await until(async () => (await mac()) === right, 2000);
    expect(await ping(pair.a, '10.92.0.10')).toMatchObject({ received: 3 });
  });

  it('are told within a second when somebody takes rules, routes, neighbours or settings, and put them back without a loss', async () => {
    const { a } = pair;
    let news = 0;
    let losses = 0;
    const stop = a.dataplane.onChange((isLoss) => {
      news++;
      if (isLoss) losses++;
    });
    await sleep(systemClock, 500); // the watchers start
    const overlay = connectionOf('b', 1).localOverlay;
    for (const [says, ...command] of [
      ['nft ruleset replaced', 'nft', 'delete', 'table', 'inet', 'foremesh'],
      [`lane ${MARK1}`, 'ip', 'route', 'del', '10.92.0.0/24', 'table', String(MARK1)],
      [`lane ${MARK2} has a table`, 'ip', 'rule', 'del', 'fwmark', String(MARK2)],
      DRIVER === 'xfrm'
        ? [`overlay address ${overlay} is reached through ${T1}`, 'ip', 'route', 'del', `${overlay}/32`, 'dev', T1]
        : [`neighbour ${overlay} of ${T1} set`, 'ip', 'neigh', 'del', overlay, 'dev', T1],
      ['rp_filter = 0', 'sysctl', '-qw', 'net.ipv4.conf.lan.rp_filter=1'],
    ] as const) {
      await sleep(systemClock, 300); // what the last repair set off
      news = losses = 0;
      await inside(a.namespace, ...command);
      await until(() => Promise.resolve(news > 0), 1000);
      expect([says, losses]).toEqual([says, says === 'nft ruleset replaced' ? 1 : 0]);
      expect((await a.dataplane.apply(wantedOf('a'))).join('\n')).toContain(says);
      expect(await a.dataplane.apply(wantedOf('a'))).toEqual([]);
      expect(await ping(a, '10.92.0.10')).toMatchObject({ received: 3 });
    }
    news = 0;
    for (const pid of await watchersOf(a.namespace)) process.kill(pid, 'SIGKILL');
    await until(() => Promise.resolve(news > 0), 1000);
    await until(async () => (await watchersOf(a.namespace)).length === 2, 3000);
    stop();
    await until(async () => (await watchersOf(a.namespace)).length === 0, 1000);
  });

  it('let nothing out in clear text when the daemon dies; what the kernel encrypts goes on', async () => {
    const kernelGoesOn = DRIVER === 'xfrm';
    const news: boolean[] = [];
    const stop = pair.a.ipsec.onChange(() => news.push(true));
    await pair.a.charon.kill();
    expect(await ping(pair.a, '10.92.0.10', 20, 0.01)).toMatchObject({ received: kernelGoesOn ? 20 : 0 });
    await sendDatagrams(pair.a, '10.92.0.10', 5004, 20);
    expect((await pair.a.dataplane.tunnelCounters()).map(({ tunnel }) => tunnel)).toEqual(kernelGoesOn ? [T1, T2] : []);
    const said = await pair.a.dataplane.apply(wantedOf('a'));
    expect(said.at(-1)).toBe(kernelGoesOn ? undefined : `waiting for ipsec0: ${T1}, ${T2}`);
    expect(await ping(pair.a, '10.92.0.10', 5, 0.01)).toMatchObject({ received: kernelGoesOn ? 5 : 0 });
    expect((await underlayAt(pair.b)).clear).toBe(0);
    expect((await pair.a.dataplane.counters()).leakPackets).toBe(0);
    await until(() => Promise.resolve(news.length > 0));
    stop();
    await expect(pair.a.ipsec.listSas()).rejects.toMatchObject({ code: 'VICI_CLOSED' });
  });

  it('still let nothing out when somebody takes the guard away, and put it back', async () => {
    await inside(pair.a.namespace, 'ip', 'route', 'del', 'unreachable', '10.0.0.0/8', 'metric', '9999');
    for (const mark of [MARK1, MARK2]) await inside(pair.a.namespace, 'ip', 'route', 'flush', 'table', String(mark));
    expect(await inside(pair.a.namespace, 'ip', 'route', 'get', '10.92.0.10')).toContain('dev isp1');
    await ping(pair.a, '10.92.0.10', 5, 0.01);
    await inside(pair.a.namespace, 'ping', '-c', '2', '-W', '1', '-i', '0.1', '10.92.0.10');
    expect((await pair.a.dataplane.counters()).leakPackets).toBe(7);
    expect((await underlayAt(pair.b)).clear).toBe(0);
    expect(await pair.a.dataplane.apply(wantedOf('a'))).toContain('guard: 10.0.0.0/8 is unreachable but through tunnels');
  });

  it('have everything again after the daemon came back and all was applied again', async () => {
    const came = new Promise<void>((resolve) => {
      const stop = pair.a.ipsec.onChange(() => {
        stop();
        resolve();
      });
    });
    pair.a.charon = await startDaemon(pair.a);
    await came;
    expect(await pair.a.ipsec.listConnections()).toEqual([]);
    await establish(pair);
    const said = await pair.a.dataplane.apply(wantedOf('a'));
    if (DRIVER === 'libipsec') expect(said).toContain(`interface ${T1} made`);
    expect(await pair.a.dataplane.apply(wantedOf('a'))).toEqual([]);
    expect(await ping(pair.a, '10.92.0.10', 20, 0.01)).toEqual({ sent: 20, received: 20 });
    expect((await underlayAt(pair.b)).clear).toBe(0);
  });

  it('take a tunnel away without touching the other', async () => {
    const pinging = ping(pair.a, '10.92.0.10', 200, 0.005);
    const lanes = [MARK1, MARK2].map((mark) => ({ mark, prefixes: ['10.92.0.0/24'], active: T1 }));
    await pair.a.dataplane.apply({ ...wantedOf('a', { tunnels: [1], lanes }), overlayAddresses: [connectionOf('a', 1).localOverlay] });
    await pair.a.ipsec.terminate(T2);
    await pair.a.ipsec.unloadConnection(T2);
    await pair.a.ipsec.terminate(T2);
    await pair.a.ipsec.unloadConnection(T2);
    expect(await pinging).toEqual({ sent: 200, received: 200 });
    expect(await pair.a.ipsec.listConnections()).toEqual([T1]);
    await until(async () => (await pair.a.ipsec.listSas()).length === 1);
    expect((await pair.a.dataplane.tunnelCounters()).map(({ tunnel }) => tunnel)).toEqual([T1]);
  });

  it('leave nothing behind when cleared, and refuse what comes to an overlay address in clear text', async () => {
    await pair.b.dataplane.clear();
    expect((await pair.b.dataplane.tunnelCounters()).map(({ tunnel }) => tunnel)).toEqual([]);
    expect(await inside(pair.b.namespace, 'nft', 'list', 'tables')).toBe('table inet watch\n');
    expect(await inside(pair.b.namespace, 'ip', 'rule', 'show')).not.toContain('fwmark 0x3e9');
    expect(await inside(pair.b.namespace, 'ip', 'route', 'show', 'type', 'unreachable')).toBe('');
    expect(await inside(pair.b.namespace, 'ip', '-4', 'addr', 'show', 'dev', 'lo')).not.toContain('172.31');
    await pair.b.charon.stop();
    const overlay = connectionOf('a', 1).localOverlay;
    const pingOverlay = (): Promise<string> => inside(pair.b.namespace, 'ping', '-c', '2', '-W', '1', '-i', '0.1', overlay);
    expect(await pingOverlay()).toContain(' 0 received');
    await pair.a.dataplane.clear();
    await inside(pair.a.namespace, 'ip', 'addr', 'add', `${overlay}/32`, 'dev', 'lo');
    expect(await pingOverlay()).toContain(' 2 received');
  });
});

/** The running `ip -batch -` of a gateway's port: the last program of its chain. */
async function switchersOf(namespace: string): Promise<number[]> {
  const pids = (await runCommandText('ip', ['netns', 'pids', namespace])).split('\n').filter((line) => line !== '');
  const commands = await Promise.all(pids.map(async (pid) => ({ pid: Number(pid), command: (await readFileIfExists(`/proc/${pid}/cmdline`)) ?? '' })));
  return commands.filter(({ command }) => command.startsWith('ip\0-force')).map(({ pid }) => pid);
}

/** The running `ip monitor` and `nft monitor` of a gateway's port. */
async function watchersOf(namespace: string): Promise<number[]> {
  const pids = (await runCommandText('ip', ['netns', 'pids', namespace])).split('\n').filter((line) => line !== '');
  const commands = await Promise.all(pids.map(async (pid) => ({ pid: Number(pid), command: (await readFileIfExists(`/proc/${pid}/cmdline`)) ?? '' })));
  return commands.filter(({ command }) => /^(?:ip|nft)\0monitor/.test(command)).map(({ pid }) => pid);
}

/** IKE SAs at a, all of them, also two of one tunnel. */
async function countSas(pair: Pair): Promise<number> {
  const raw = createViciClient({ socketPath: pair.a.charon.socketPath, clock: systemClock, log: createLog('raw', 'silent'), events: [], onEvent: () => undefined, setUp: () => Promise.resolve(), onUpDown: () => undefined });
  let count = 0;
  for await (const event of raw.stream('list-sas', 'list-sa')) count += readListedSas(event).length;
  raw.close();
  return count;
}
