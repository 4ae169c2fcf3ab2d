import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { createViciClient } from '../../agent/vici/index.ts';
import { createLog, systemClock } from '../../src/base/index.ts';
import { MARK1, connectionOf, establish, inside, type Pair, ping, sentPerTunnel, startDaemon, startPair, switchLanes, T1, T2, underlayAt, until, wantedOf } from '../lab/adapters/support.ts';

/** What only ESP in the kernel does: the rest is in test/lab/adapters, which runs before this one with the same driver. */
describe('two gateways with XFRM interfaces', () => {
  let pair: Pair;
  beforeAll(async () => {
    pair = await startPair();
    await establish(pair);
    for (const gateway of [pair.a, pair.b]) await gateway.dataplane.apply(wantedOf(gateway.name));
  });
  afterAll(() => pair?.close());

  it('have an interface that knows its SAs, and no route or policy of the daemon beside it', async () => {
    const links = await inside(pair.a.namespace, 'ip', '-d', 'link', 'show', T1);
    expect(links).toContain('mtu 1438');
    expect(links).toMatch(/xfrm if_id 0xa001\b/);
    expect(await inside(pair.a.namespace, 'ip', 'route', 'show', 'table', '220')).toBe('');
    expect(await ping(pair.a, '10.92.0.10', 20, 0.01)).toEqual({ sent: 20, received: 20 });
    expect(await sentPerTunnel(pair.a)).toEqual([20, 0]);
  });

  it('take packets that fill the uplink to the last byte but the eight that UDP would need, and none beyond', async () => {
    await inside(pair.b.namespace, 'nft', 'add counter inet watch seen_full');
    await inside(pair.b.namespace, 'nft', 'insert rule inet watch sort ip length 1492 counter name seen_full');
    const probe = (payload: number): Promise<string> => inside(pair.a.hostNamespace, 'ping', '-n', '-q', '-M', 'do', '-c', '3', '-i', '0.05', '-W', '1', '-s', String(payload), '10.92.0.10');
    expect(await probe(1438 - 28)).toContain(' 3 received');
    expect(await inside(pair.b.namespace, 'nft', 'list', 'counter', 'inet', 'watch', 'seen_full')).toMatch(/packets 3 /);
    expect(await probe(1439 - 28)).toContain(' 0 received');
  });

  it('move all traffic to the other tunnel at once, and back, without a lost packet', async () => {
    const lane = { mark: MARK1, prefixes: ['10.92.0.0/24', '10.94.0.0/24'] };
    const pinging = ping(pair.a, '10.92.0.10', 300, 0.005);
    for (const active of [T2, T1, T2, T1]) {
      switchLanes(pair.a, [{ ...lane, active }]);
      await until(async () => (await inside(pair.a.namespace, 'ip', 'route', 'show', 'table', String(MARK1))).includes(`dev ${active}`), 2000);
    }
    expect(await pinging).toEqual({ sent: 300, received: 300 });
  });

  it('show a tunnel as installed at each moment of a rekey, and lose nothing', async () => {
    const raw = createViciClient({ socketPath: pair.a.charon.socketPath, clock: systemClock, log: createLog('raw', 'silent'), events: [], onEvent: () => undefined, setUp: () => Promise.resolve(), onUpDown: () => undefined });
    const pinging = ping(pair.a, '10.92.0.10', 200, 0.01);
    const states = new Set<string | null>();
    for (const what of ['child', 'ike', 'child', 'ike']) {
      await raw.request('rekey', { [what]: T1 });
      for (let look = 0; look < 10; look++) states.add((await pair.a.ipsec.listSas()).find((sa) => sa.tunnel === T1)?.childState ?? 'missing');
    }
    raw.close();
    expect(await pinging).toEqual({ sent: 200, received: 200 });
    expect([...states]).toEqual(['INSTALLED']);
  });

  it('hear on an overlay address its own tunnel and no other', async () => {
    const overlay = connectionOf('a', 1).localOverlay;
    const pingOverlay = (...from: string[]): Promise<string> => inside(pair.b.namespace, 'ping', '-n', '-q', '-c', '2', '-W', '1', '-i', '0.1', ...from, overlay);
    expect(await pingOverlay('-I', connectionOf('b', 1).localOverlay)).toContain(' 2 received');
    await inside(pair.b.namespace, 'ip', 'route', 'replace', `${overlay}/32`, 'dev', T2);
    expect(await pingOverlay('-I', connectionOf('b', 2).localOverlay)).toContain(' 0 received');
    // b puts its own route back
    expect((await pair.b.dataplane.apply(wantedOf('b'))).join()).toContain(`is reached through ${T1}`);
  });

  it('go on while their daemon is dead and starts again, and lose no more than what is on its way when the new SA takes over', async () => {
    const pinging = ping(pair.a, '10.92.0.10', 400, 0.01);
    await pair.a.charon.kill();
    pair.a.charon = await startDaemon(pair.a);
    await until(async () => pair.a.ipsec.listConnections().then((names) => names.length === 0, () => false));
    await establish(pair);
    const { sent, received } = await pinging;
    expect(sent).toBe(400);
    expect(received).toBeGreaterThanOrEqual(390);
    expect((await underlayAt(pair.b)).clear).toBe(0);
  });

  it('drop what goes to an interface whose SA is gone, and let none of it out', async () => {
    await pair.a.ipsec.terminate(T1);
    for (const gateway of [pair.a, pair.b]) await until(async () => (await gateway.ipsec.listSas()).length === 1);
    const before = await underlayAt(pair.b);
    expect(await ping(pair.a, '10.92.0.10', 10, 0.05)).toMatchObject({ received: 0 });
    const after = await underlayAt(pair.b);
    expect(after.clear).toBe(0);
    expect(after.esp).toBe(before.esp);
    expect((await pair.a.dataplane.counters()).leakPackets).toBe(0);
    expect(await inside(pair.a.namespace, 'cat', `/sys/class/net/${T1}/statistics/tx_errors`)).not.toBe('0\n');
  });
});
