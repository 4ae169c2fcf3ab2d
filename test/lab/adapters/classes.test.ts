import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { DEDUPLICATED_COUNTER } from '../../../agent/dataplane/index.ts';
import type { DataplaneWanted, LaneWanted } from '../../../agent/ports.ts';
import { systemClock } from '../../../src/base/index.ts';
import { connectionOf, DRIVER, establish, type Gateway, inside, MARK1, MARK2, type Pair, ping, sendDatagrams, sentPerTunnel, startPair, switchLanes, T1, T2, underlayAt, until, wantedOf } from './support.ts';

/** Where the queues of the first uplink are. */
const SHAPED = DRIVER === 'xfrm' ? 'isp1' : 'ipsec0';

/** What the rules for classes do to packets between two gateways with real daemons. The steps build on each other. */
describe('classes between two gateways', () => {
  let pair: Pair;
  beforeAll(async () => {
    pair = await startPair();
    await establish(pair);
    await watchHost(pair.b);
  });
  afterAll(() => pair?.close());

  it('a class that is sent twice goes over both tunnels, and each packet is passed on once', async () => {
    for (const gateway of [pair.b, pair.a]) {
      await gateway.dataplane.apply(sentTwice(gateway));
      expect(await gateway.dataplane.apply(sentTwice(gateway))).toEqual([]);
    }
    const before = await sentPerTunnel(pair.a);
    await sendDatagrams(pair.a, '10.92.0.10', 5004, 100);
    expect(await sentPerTunnel(pair.a)).toEqual([before[0] + 100, before[1] + 100]);
    expect(await arrived(pair.b)).toEqual({ datagrams: 100, withCopyBit: 0 });
    expect(await deduplicated(pair.b)).toBe(100);
  });

  it('equal packets of a host are not taken for copies, although they have no identification', async () => {
    await sendEqualDatagrams(pair.a, '10.92.0.10', 5005, 200);
    expect(await arrived(pair.b)).toEqual({ datagrams: 300, withCopyBit: 0 });
    expect(await deduplicated(pair.b)).toBe(300);
  });

  it('other classes are sent once, and so is what may not be forwarded: not at all', async () => {
    const before = await sentPerTunnel(pair.a);
    await sendDatagrams(pair.a, '10.92.0.10', 9000, 20);
    expect(await sentPerTunnel(pair.a)).toEqual([before[0] + 20, before[1]]);
    await sendDatagrams(pair.a, '10.94.0.10', 5004, 20);
    expect(await sentPerTunnel(pair.a)).toEqual([before[0] + 20, before[1]]);
  });

  it('TCP and pings of such a class come through unharmed, both ways', async () => {
    const all: ('voice' | 'bulk')[] = ['voice', 'bulk'];
    for (const gateway of [pair.b, pair.a]) await gateway.dataplane.apply(sentTwice(gateway, all));
    expect(await ping(pair.a, '10.92.0.10', 20, 0.01)).toEqual({ sent: 20, received: 20 });
    const before = { copies: await deduplicated(pair.b), back: await deduplicated(pair.a) };
    expect(await bytesOverTcp(pair, 2_000_000)).toBe(2_000_000);
    expect((await deduplicated(pair.b)) - before.copies).toBeGreaterThan(1000);
    expect((await deduplicated(pair.a)) - before.back).toBeGreaterThan(100); // acknowledgements
    for (const gateway of [pair.b, pair.a]) await gateway.dataplane.apply(sentTwice(gateway));
  });

  it('nothing is lost when either path dies, long before anybody notices', async () => {
    for (const cable of ['isp2', 'isp1']) {
      const before = (await arrived(pair.b)).datagrams;
      const sending = sendEqualDatagrams(pair.a, '10.92.0.10', 5006, 400);
      await cut(pair.b, cable);
      await sending;
      expect((await arrived(pair.b)).datagrams - before).toBe(400);
      await mend(pair.b);
    }
  });

  it('nothing is lost or doubled while lanes and copies change places', async () => {
    const before = (await arrived(pair.b)).datagrams;
    const sending = sendEqualDatagrams(pair.a, '10.92.0.10', 5007, 400);
    const lane = sentTwice(pair.a).lanes[1]!;
    for (const [active, copy] of [[T1, T2], [T2, T1], [T1, null], [T2, T1]] as const) switchLanes(pair.a, [{ ...lane, active, copy }]);
    await sending;
    expect((await arrived(pair.b)).datagrams - before).toBe(400);
  });

  it('without a second tunnel packets are sent once, and nothing follows the default route', async () => {
    const wanted = sentTwice(pair.a);
    await pair.a.dataplane.apply({ ...wanted, lanes: wanted.lanes.map((lane) => (lane.mark === MARK2 ? { ...lane, copy: null } : lane)) });
    const [before, [first, second]] = [await arrived(pair.b), await sentPerTunnel(pair.a)];
    await sendDatagrams(pair.a, '10.92.0.10', 5004, 50);
    expect((await arrived(pair.b)).datagrams - before.datagrams).toBe(50);
    expect(await sentPerTunnel(pair.a)).toEqual([first, second + 50]);
    await inside(pair.a.namespace, 'ip', 'route', 'flush', 'root', '240.0.0.0/4', 'metric', '0');
    await sendDatagrams(pair.a, '10.92.0.10', 5004, 20);
    expect((await underlayAt(pair.b)).clear).toBe(0);
    expect((await pair.a.dataplane.counters()).leakPackets).toBe(0);
  });

  it('nothing of it is left when no class is sent twice any more', async () => {
    await pair.a.dataplane.apply(wantedOf('a'));
    expect(await inside(pair.a.namespace, 'ip', 'route', 'show', 'root', '240.0.0.0/4')).toBe('');
    expect(await inside(pair.a.namespace, 'nft', 'list', 'tables', 'ip')).toBe('');
    expect(await pair.a.dataplane.apply(wantedOf('a'))).toEqual([]);
  });

  it('a class is told by destination and by a mark that something else has set', async () => {
    const wanted = wantedOf('a');
    const [voice, bulk] = wanted.config.classes;
    const byMark = { ...voice!, match: [{ protocol: 'any' as const, ports: [], dscp: [], prefixes: ['10.92.0.0/25'], fwmark: 7 }] };
    await pair.a.dataplane.apply({ ...wanted, config: { ...wanted.config, classes: [byMark, bulk!] } });
    const before = await sentPerTunnel(pair.a);
    await sendDatagrams(pair.a, '10.92.0.10', 5004, 10);
    expect(await sentPerTunnel(pair.a)).toEqual([before[0] + 10, before[1]]);
    await inside(pair.a.namespace, 'nft', 'add table inet other; add chain inet other label { type filter hook prerouting priority -200; }; add rule inet other label udp dport 5004 meta mark set 7');
    await sendDatagrams(pair.a, '10.92.0.10', 5004, 10);
    await inside(pair.a.namespace, 'nft', 'delete table inet other');
    expect(await sentPerTunnel(pair.a)).toEqual([before[0] + 10, before[1] + 10]);
  });

  it('a full uplink delays and drops the least urgent class, and nothing of the most urgent; probes go past the queues', async () => {
    const wanted = oneUplink(pair.a);
    expect(await pair.a.dataplane.apply(wanted)).toContain(`queues of ${SHAPED} set`);
    expect(await pair.a.dataplane.apply(wanted)).toEqual([]);
    await inside(pair.b.hostNamespace, 'nft', 'add rule inet watch arrive udp dport 9000 counter name bulk; add rule inet watch arrive udp dport 5008 ip dscp 34 counter name rewritten');
    const before = await arrived(pair.b);
    const [, , overlays] = await Promise.all([
      sendEqualDatagrams(pair.a, '10.92.0.10', 9000, 1000, 1000), // 8 Mbit/s through 2
      sendEqualDatagrams(pair.a, '10.92.0.10', 5008, 300, 100),
      inside(pair.a.namespace, 'ping', '-q', '-c', '50', '-i', '0.02', '-W', '1', '-I', connectionOf('a', 1).localOverlay, connectionOf('a', 1).remoteOverlay),
    ]);
    expect(overlays).toContain('50 received');
    const counters = await countersOf(pair.b.hostNamespace, 'watch');
    expect((await arrived(pair.b)).datagrams - before.datagrams).toBe(300);
    expect(counters.get('rewritten')).toBe(300);
    const dropped = async (name: string): Promise<number> => (await pair.a.dataplane.counters()).shaped.find(({ classId }) => classId === name)?.droppedPackets ?? -1;
    expect(await dropped('voice')).toBe(0);
    // fq_codel drops what waits, too: what does not come was dropped, when the queue is empty
    const bulkArrived = async (): Promise<number> => (await countersOf(pair.b.hostNamespace, 'watch')).get('bulk') ?? -1;
    await until(async () => (await bulkArrived()) + (await dropped('bulk')) === 1000, 5000);
    expect(await dropped('bulk')).toBeGreaterThan(200);
  });

  it('a class has its share although a more urgent one wants everything, and all of it when nobody else wants any', async () => {
    const wanted = oneUplink(pair.a);
    const [shaping] = wanted.config.shaping!;
    const classes = shaping!.classes.map((each) => ({ ...each, rateKbps: each.priority === 0 ? 20 : 600 })); // bulk is sure of 30 %
    await pair.a.dataplane.apply({ ...wanted, config: { ...wanted.config, shaping: [{ ...shaping!, classes }] } });
    const sendBoth = async (ports: readonly number[]): Promise<{ bulk: number; voice: number; seconds: number }> => {
      const count = async () => ({ bulk: (await countersOf(pair.b.hostNamespace, 'watch')).get('bulk') ?? 0, voice: (await arrived(pair.b)).datagrams });
      const before = await count();
      const startedAtMs = systemClock.monotonicMs();
      await Promise.all(ports.map((port) => sendEqualDatagrams(pair.a, '10.92.0.10', port, 1000, 1000)));
      const after = await count();
      return { bulk: after.bulk - before.bulk, voice: after.voice - before.voice, seconds: (systemClock.monotonicMs() - startedAtMs) / 1000 };
    };
    const contended = await sendBoth([9000, 5009]);
    expect(contended.bulk / (contended.bulk + contended.voice)).toBeGreaterThan(0.2);
    expect(contended.bulk / (contended.bulk + contended.voice)).toBeLessThan(0.45);
    const alone = await sendBoth([9000]);
    expect(alone.bulk / alone.seconds).toBeGreaterThan((1.8 * contended.bulk) / contended.seconds);
  });

  it('other rates are set without making the queues anew, and none are left when they are not wanted', async () => {
    const drops = async (): Promise<number> => (await pair.a.dataplane.counters()).shaped.reduce((sum, { droppedPackets }) => sum + droppedPackets, 0);
    const before = await drops();
    const faster = oneUplink(pair.a, 20_000);
    expect(await pair.a.dataplane.apply(faster)).toEqual([`queues of ${SHAPED} set`]);
    expect(await pair.a.dataplane.apply(faster)).toEqual([]);
    expect(await drops()).toBe(before);
    await pair.a.dataplane.apply(wantedOf('a'));
    expect(await inside(pair.a.namespace, 'tc', 'qdisc', 'show', 'dev', SHAPED)).not.toContain('htb');
    expect((await pair.a.dataplane.counters()).shaped).toEqual([]);
  });
});

/** Both classes through tunnel 1, with queues at its uplink. */
function oneUplink(gateway: Gateway, rateKbps = 2000): DataplaneWanted {
  const wanted = wantedOf(gateway.name, { shaping: { rateKbps, voiceDscp: 34 } });
  return { ...wanted, lanes: wanted.lanes.map((lane) => ({ ...lane, active: T1 })) };
}

/** Voice through tunnel 2 and its copies through tunnel 1; bulk, when it is to be sent twice, the other way round. */
function sentTwice(gateway: Gateway, duplicate: ('voice' | 'bulk')[] = ['voice']): DataplaneWanted {
  const wanted = wantedOf(gateway.name, { duplicate });
  const withCopy = (lane: LaneWanted): LaneWanted => {
    if (lane.mark === MARK2) return { ...lane, copy: T1 };
    return lane.mark === MARK1 && duplicate.includes('bulk') ? { ...lane, copy: T2 } : lane;
  };
  return { ...wanted, lanes: wanted.lanes.map(withCopy) };
}

/** Counts at the host what comes for voice's ports, and what still has the bit that tells a copy. */
async function watchHost(gateway: Gateway): Promise<void> {
  const chain = 'add chain inet watch arrive { type filter hook input priority 0; }';
  const rules = ['add rule inet watch arrive udp dport 5000-5099 counter name datagrams', 'add rule inet watch arrive ip frag-off & 0x8000 != 0 counter name marked'];
  await inside(gateway.hostNamespace, 'nft', ['add table inet watch', 'add counter inet watch datagrams', 'add counter inet watch marked', 'add counter inet watch bulk', 'add counter inet watch rewritten', chain, ...rules].join('; '));
}

async function arrived(gateway: Gateway): Promise<{ datagrams: number; withCopyBit: number }> {
  const counters = await countersOf(gateway.hostNamespace, 'watch');
  return { datagrams: counters.get('datagrams') ?? -1, withCopyBit: counters.get('marked') ?? -1 };
}

async function deduplicated(gateway: Gateway): Promise<number> {
  return (await countersOf(gateway.namespace, 'foremesh')).get(DEDUPLICATED_COUNTER) ?? -1;
}

async function countersOf(namespace: string, table: string): Promise<Map<string, number>> {
  const listing = JSON.parse(await inside(namespace, 'nft', '-j', 'list', 'counters', 'table', 'inet', table)) as { nftables: { counter?: { name: string; packets: number } }[] };
  return new Map(listing.nftables.flatMap(({ counter }) => (counter ? [[counter.name, counter.packets]] : [])));
}

/** From one port and with one content, a millisecond apart; their IP identification is 0, since nothing may fragment them. */
async function sendEqualDatagrams(from: Gateway, to: string, port: number, count: number, bytes = 4): Promise<void> {
  const script = `const s=require('dgram').createSocket('udp4');const b=Buffer.alloc(${bytes},'x');let n=0;const go=()=>{s.send(b,${port},'${to}');if(++n<${count})setTimeout(go,1);else setTimeout(()=>s.close(),200)};go()`;
  await inside(from.hostNamespace, process.execPath, '-e', script);
}

/** Lets nothing in that comes over one cable; the far end does not notice. */
async function cut(gateway: Gateway, cable: string): Promise<void> {
  await inside(gateway.namespace, 'nft', `add table inet cut; add chain inet cut arrive { type filter hook prerouting priority -500; }; add rule inet cut arrive iifname "${cable}" drop`);
}

async function mend(gateway: Gateway): Promise<void> {
  await inside(gateway.namespace, 'nft', 'delete table inet cut');
}

/** What a server at host-b has received when the client at host-a is done. */
async function bytesOverTcp(pair: Pair, bytes: number): Promise<number> {
  const server = "let n=0;require('net').createServer((s)=>s.on('data',(d)=>n+=d.length).on('end',()=>{console.log(n);process.exit()})).listen(7000)";
  const received = inside(pair.b.hostNamespace, process.execPath, '-e', server);
  await inside(pair.a.hostNamespace, 'bash', '-c', `for i in $(seq 100); do head -c ${bytes} /dev/zero 2>/dev/null >/dev/tcp/10.92.0.10/7000 && exit; sleep 0.05; done 2>/dev/null`);
  return Number(await received);
}
