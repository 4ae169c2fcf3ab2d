import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { ConnectionSpec, DataplaneWanted } from '../../agent/ports.ts';
import { connectionOf, type Gateway, inside, MARK1, type Pair, ping, sentPerTunnel, startPair, switchLanes, T1, T2, underlayAt, until, wantedOf } from '../lab/adapters/support.ts';

/** Hosts' networks, and the second cable, which is IPv6 outside. The first is IPv4. */
const LAN: Record<Gateway['name'], { prefix: string; gateway: string; host: string }> = {
  a: { prefix: 'fd00:91::/64', gateway: 'fd00:91::1', host: 'fd00:91::10' },
  b: { prefix: 'fd00:92::/64', gateway: 'fd00:92::1', host: 'fd00:92::10' },
};
const CABLE: Record<Gateway['name'], string> = { a: '2001:db8:2::1', b: '2001:db8:2::2' };
const FAR = ['10.92.0.10', LAN.b.host];
const LANE = { mark: MARK1, prefixes: ['10.92.0.0/24', '10.94.0.0/24', LAN.b.prefix] };
const other = (name: Gateway['name']): Gateway['name'] => (name === 'a' ? 'b' : 'a');

/** Hosts with IPv4 and IPv6 behind two gateways, over one tunnel of the kernel for each family outside. The steps build on each other. */
describe('two gateways with XFRM interfaces and both families', () => {
  let pair: Pair;
  beforeAll(async () => {
    pair = await startPair();
    for (const gateway of [pair.a, pair.b]) await addIpv6(gateway);
    for (const gateway of [pair.b, pair.a]) await gateway.dataplane.apply(withIpv6(gateway.name));
    for (const gateway of [pair.b, pair.a]) for (const index of [1, 2] as const) await gateway.ipsec.loadConnection(dualConnection(gateway.name, index));
    for (const tunnel of [T1, T2]) await pair.a.ipsec.initiate(tunnel);
    await until(async () => (await Promise.all(FAR.map((to) => ping(pair.a, to, 1)))).every(({ received }) => received === 1), 30_000);
  });
  afterAll(() => pair?.close());

  const nothingInClear = async (): Promise<void> => {
    for (const gateway of [pair.a, pair.b]) {
      expect((await underlayAt(gateway)).clear).toBe(0);
      expect((await gateway.dataplane.counters()).leakPackets).toBe(0);
    }
  };
  const both = async (count: number, intervalSeconds: number): Promise<{ sent: number; received: number }[]> => Promise.all(FAR.map((to) => ping(pair.a, to, count, intervalSeconds)));
  const all = (count: number): { sent: number; received: number }[] => FAR.map(() => ({ sent: count, received: count }));

  it('carry both families through one tunnel, over IPv4 and over IPv6, and nothing in clear text', async () => {
    for (const [active, index] of [[T1, 0], [T2, 1]] as const) {
      switchLanes(pair.a, [{ ...LANE, active }]);
      await until(async () => (await routesOf(pair.a, '-6')).includes(`dev ${active}`));
      const [sent, { esp }] = [await sentPerTunnel(pair.a), await underlayAt(pair.b)];
      expect(await both(20, 0.02)).toEqual(all(20));
      expect((await sentPerTunnel(pair.a))[index]).toBeGreaterThanOrEqual(sent[index] + 40);
      expect((await underlayAt(pair.b)).esp).toBeGreaterThanOrEqual(esp + 40);
    }
    await nothingInClear();
  });

  it('have nothing to change the second time', async () => {
    switchLanes(pair.a, [{ ...LANE, active: T1 }]);
    for (const gateway of [pair.a, pair.b]) expect(await gateway.dataplane.apply(withIpv6(gateway.name))).toEqual([]);
  });

  it('take IPv6 packets as large as the interface, and tell hosts when one is larger', async () => {
    const probe = (bytes: number): Promise<string> => inside(pair.a.hostNamespace, 'ping', '-n', '-M', 'do', '-c', '2', '-i', '0.2', '-W', '1', '-s', String(bytes - 48), LAN.b.host);
    expect(await probe(1438)).toContain(' 2 received');
    expect(await probe(1439)).toMatch(/Packet too big: mtu=1438[\s\S]* 0 received/);
    switchLanes(pair.a, [{ ...LANE, active: T2 }]);
    await until(async () => (await routesOf(pair.a, '-6')).includes(`dev ${T2}`));
    expect(await probe(1418)).toContain(' 2 received'); // an IPv6 header more outside
    expect(await probe(1419)).toContain(' 0 received');
  });

  it('move both families at once from one to the other, and lose nothing of either', async () => {
    const pinging = both(200, 0.01);
    for (const active of [T1, T2, T1]) {
      switchLanes(pair.a, [{ ...LANE, active }]);
      for (const family of ['-4', '-6'] as const) await until(async () => (await routesOf(pair.a, family)).includes(`dev ${active}`));
    }
    expect(await pinging).toEqual(all(200));
  });

  it('let no IPv6 out through a tunnel whose other end does not take it yet; it goes on with the next SA', async () => {
    await connectAnew(dualConnection('a', 1), connectionOf('b', 1));
    expect(await both(10, 0.05)).toEqual([{ sent: 10, received: 10 }, { sent: 10, received: 0 }]);
    await nothingInClear();
    await connectAnew(dualConnection('a', 1), dualConnection('b', 1));
    expect(await both(10, 0.05)).toEqual(all(10));
  });

  it('let neither family out when the SA is gone', async () => {
    await pair.a.ipsec.terminate(T1);
    for (const gateway of [pair.a, pair.b]) await until(async () => (await gateway.ipsec.listSas()).length === 1);
    const { esp } = await underlayAt(pair.b);
    expect(await both(10, 0.05)).toEqual(FAR.map(() => ({ sent: 10, received: 0 })));
    expect((await underlayAt(pair.b)).esp).toBe(esp);
    await nothingInClear();
  });

  /** Ends the first tunnel and brings it up again with these settings. */
  async function connectAnew(atA: ConnectionSpec, atB: ConnectionSpec): Promise<void> {
    await pair.a.ipsec.terminate(T1);
    for (const gateway of [pair.a, pair.b]) await until(async () => (await gateway.ipsec.listSas()).length === 1);
    await pair.b.ipsec.loadConnection(atB);
    await pair.a.ipsec.loadConnection(atA);
    await pair.a.ipsec.initiate(T1);
    for (const gateway of [pair.a, pair.b]) await until(async () => (await gateway.ipsec.listSas()).filter(({ childState }) => childState === 'INSTALLED').length === 2);
  }
});

/** Addresses of the host and of the second cable; a provider would carry any IPv6 as well. */
async function addIpv6({ name, namespace, hostNamespace }: Gateway): Promise<void> {
  // what every IPv6 link has
  await inside(namespace, 'nft', 'insert rule inet watch sort icmpv6 type { nd-router-solicit, nd-neighbor-solicit, nd-neighbor-advert, mld-listener-report, mld2-listener-report } accept');
  for (const one of [namespace, hostNamespace]) await inside(one, 'sysctl', '-qw', 'net.ipv6.conf.default.disable_ipv6=0', 'net.ipv6.conf.all.disable_ipv6=0');
  await inside(hostNamespace, 'ip', 'addr', 'add', `${LAN[name].host}/64`, 'dev', 'eth0', 'nodad');
  await inside(hostNamespace, 'ip', 'route', 'add', '::/0', 'via', LAN[name].gateway, 'dev', 'eth0', 'onlink');
  await inside(namespace, 'ip', 'addr', 'add', `${CABLE[name]}/64`, 'dev', 'isp2', 'nodad');
  await inside(namespace, 'ip', 'route', 'add', '::/0', 'via', CABLE[other(name)], 'dev', 'isp2', 'onlink');
}

function dualConnection(name: Gateway['name'], index: 1 | 2): ConnectionSpec {
  const spec = { ...connectionOf(name, index), ipv6: true as const };
  return index === 1 ? spec : { ...spec, localAddress: CABLE[name], remoteAddress: CABLE[other(name)] };
}

function withIpv6(name: Gateway['name']): DataplaneWanted {
  const wanted = wantedOf(name);
  const { config } = wanted;
  const prefixes = { near: LAN[name].prefix, far: LAN[other(name)].prefix };
  const far = (given: readonly string[]): string[] => [...given, prefixes.far];
  const own = config.site;
  return {
    ...wanted,
    config: {
      ...config,
      lan: { ...config.lan, address6: `${LAN[name].gateway}/64`, prefixes: [...config.lan.prefixes, prefixes.near] },
      uplinks: config.uplinks.map((uplink) => (uplink.interface === 'isp2' ? { ...uplink, address: CABLE[name] } : uplink)),
      protectedPrefixes: [...config.protectedPrefixes, 'fd00::/8'],
      sites: config.sites.map((site) => (site.id === own ? { ...site, prefixes: [...site.prefixes, prefixes.near] } : site.id === wanted.steering[0]!.to ? { ...site, prefixes: far(site.prefixes) } : site)),
      tunnels: config.tunnels.map((tunnel, index) => (index === 0 ? tunnel : { ...tunnel, local: { ...tunnel.local, address: CABLE[name] }, remote: { ...tunnel.remote, address: CABLE[other(name)] } })),
      allow: [...config.allow, { from: [LAN.a.prefix], to: [LAN.b.prefix] }],
    },
    interfaces: wanted.interfaces.map((tunnel) => (tunnel.tunnel === T2 ? { ...tunnel, underlay: 'ipv6' as const } : tunnel)),
    lanes: wanted.lanes.map((lane) => ({ ...lane, prefixes: far(lane.prefixes) })),
    steering: wanted.steering.map((steering) => ({ ...steering, prefixes: far(steering.prefixes) })),
  };
}

async function routesOf({ namespace }: Gateway, family: '-4' | '-6'): Promise<string> {
  return inside(namespace, 'ip', family, 'route', 'show', 'table', String(MARK1));
}
