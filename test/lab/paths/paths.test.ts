import { spawn } from 'node:child_process';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { runCommandText } from '../../../src/base/index.ts';
import { loadIntent } from '../../../src/intent/index.ts';
import { createBenchMesh, FAR, NEAR } from '../../../src/lab/bench/bench-mesh.ts';
import { createLabWorld, type LabWorld } from '../../../src/lab/lab-world.ts';
import { isLabPossible } from '../../../src/lab/possible.ts';
import type { Sender } from '../../../src/lab/world.ts';
import { classId, nodeId, type PathId } from '../../../src/model/index.ts';
import { findOpa } from '../../../src/policy/index.ts';
import { build } from '../world/built.ts';

const possible = await isLabPossible();
const [NEAR_NODE, FAR_NODE] = [nodeId('near-gw1'), nodeId('far-gw1')];
const GATEWAYS = [NEAR_NODE, FAR_NODE];
/** What a path of 1380 bytes leaves a packet: IP 20, UDP 8, ESP 8 + 8 + 16 and 2 of padding, VXLAN 50. */
const NARROW_WIRE_BYTES = 1380;
const NARROW_BYTES = 1268;
const TCP_BYTES = 400_000;

/** About 100 packets a second and stream. */
const MBPS = (200 * 160 * 8) / 1e6;

/**
 * Story: an office whose two uplinks are both behind a NAT router of their provider's, and a site with one uplink that both tunnels
 * end at. A router forgets its table, a provider's path loses large packets without a word, and one uplink dies.
 * Set-up: engine, agents, strongSwan, streams each way, real TCP between the hosts. What leaked is read off the WAN.
 */
describe.skipIf(!possible.possible)('paths of a running mesh', () => {
  let world: LabWorld;
  let paths: PathId[];
  let streams: Sender[];

  beforeAll(async () => {
    await build();
    const { files: usual } = await createBenchMesh(process.cwd(), { intervalMs: 100, downAfter: 3 });
    const files = usual.map(({ file, text }) => ({ file, text: text.replace('address: 100.64.1.1,', 'address: 192.168.7.2, nat: {},').replace('address: 100.64.2.1,', 'address: 192.168.8.2, nat: {},').replace(/.*100\.64\.2\.2.*\n/, '') }));
    const loaded = loadIntent(files.filter(({ file }) => file.startsWith('mesh-config/')), null);
    if (!loaded.ok) throw new Error(JSON.stringify(loaded.findings));
    world = await createLabWorld({ intent: loaded.value.intent, repository: { files }, opa: await findOpa(), seed: 'paths' });
    const up = await world.until(async () => (await states()).every((state) => state.settled && state.tunnels.length > 1 && state.tunnels.every(({ pathState, mtuBytes }) => pathState === 'up' && mtuBytes !== null)), 30_000);
    expect(up).toBe(true);
    paths = (await states())[0]!.tunnels.map(({ path }) => path);
    streams = [];
    for (const [from, to] of [[NEAR, FAR], [FAR, NEAR]] as const) {
      streams.push(await world.startSender({ name: from, from, to, classId: classId('voice'), port: 5000, flows: 2, packetBytes: 160, rate: { kind: 'constant', mbps: MBPS } }));
    }
  });
  afterAll(() => world?.close());

  it('stand between one uplink and two that are behind NAT, each with an SA of its own at both ends', async () => {
    const [near, far] = await Promise.all(GATEWAYS.map((node) => world.listTunnels(node)));
    expect(near!.map(({ tunnel, childState, localAddress, remoteAddress }) => [tunnel, childState, localAddress, remoteAddress])).toEqual([
      [expect.any(String), 'INSTALLED', expect.stringMatching(/^192\.168\.[78]\.2$/), '100.64.1.2'],
      [expect.any(String), 'INSTALLED', expect.stringMatching(/^192\.168\.[78]\.2$/), '100.64.1.2'],
    ]);
    const publicOf = (local: string): string | undefined => routers().find(({ address }) => address === local)?.publicAddress;
    expect(far!.map(({ tunnel, childState, remoteAddress, peer }) => [tunnel, childState, remoteAddress, peer])).toEqual(near!.map(({ tunnel, localAddress }) => [tunnel, 'INSTALLED', publicOf(localAddress), NEAR_NODE]));
  });

  it('carry packets as large as their interfaces take, which both ends have measured', async () => {
    expect((await states()).flatMap(({ tunnels }) => tunnels.map(({ mtuBytes }) => mtuBytes))).toEqual([1350, 1350, 1350, 1350]);
    expect((await states()).flatMap(({ alarms }) => alarms)).toEqual([]);
  });

  it('that swallow large packets are measured, and a TCP connection goes on through them, also one that was open before', async () => {
    const open = await openConnection();
    for (const path of paths) await world.setPath(path, { mtuBytes: NARROW_WIRE_BYTES });
    const sending = open.send(); // whose losses have the sizes looked at
    const isFitted = await world.until(async () => (await states()).every(({ tunnels }) => tunnels.every(({ mtuBytes }) => mtuBytes !== null && mtuBytes <= NARROW_BYTES && mtuBytes > NARROW_BYTES - 4)), 15_000);
    expect(isFitted).toBe(true);
    const alarms = (await states()).map((state) => state.alarms.filter((alarm) => /^path .* carries packets of 126\d bytes at most, its uplink's interface allows 1350/.test(alarm)).length);
    expect(alarms).toEqual([2, 2]);
    expect(await sending).toBe(TCP_BYTES);
    expect(await (await openConnection()).send()).toBe(TCP_BYTES);
    expect(await world.underlay()).toMatchObject({ clearTextPackets: 0, clearTextSeen: [] });
  });

  it('carry traffic again soon after a router has forgotten its table, with the same keys', async () => {
    const keys = await ikeIds();
    await clean();
    for (const { namespace } of routers()) await runCommandText('ip', ['netns', 'exec', namespace, 'conntrack', '-F']);
    const isFlowing = await world.until(async () => {
      const before = await received();
      await world.pass(300);
      return (await received()).every((count, index) => count - before[index]! > 15);
    }, 8_000);
    expect(isFlowing).toBe(true);
    const silences = await Promise.all(streams.map(async (stream) => Math.round((await stream.report()).longestGapMs)));
    console.log(`after the NAT forgot: longest silence ${silences.join(' and ')} ms`);
    expect(Math.max(...silences)).toBeLessThan(5_000);
    expect(await ikeIds()).toEqual(keys);
  });

  it('are left for the other one when one dies', async () => {
    // the other path may find its way back through the NAT later than the one that was asked for above
    const isWhole = await world.until(async () => (await states()).every(({ settled, tunnels }) => settled && tunnels.every(({ pathState }) => pathState === 'up')), 20_000);
    expect(isWhole).toBe(true);
    const used = (await world.underlay()).paths;
    await clean();
    const busiest = await busiestPath(used);
    await world.setPath(busiest, { down: true });
    await world.pass(2_500);
    for (const stream of streams) {
      const { longestGapMs, received } = await stream.report();
      expect(longestGapMs).toBeLessThan(1_500);
      expect(received).toBeGreaterThan(100);
    }
    expect(await world.underlay()).toMatchObject({ clearTextPackets: 0, clearTextSeen: [] });
  });

  function routers() {
    return world.network.layout.gateways.flatMap(({ uplinks }) => uplinks.flatMap(({ address, nat }) => (nat ? [{ address, ...nat }] : [])));
  }

  async function ikeIds(): Promise<number[]> {
    return (await world.listTunnels(FAR_NODE)).map(({ ikeId }) => ikeId);
  }

  /** Streams arrive, and are counted from here. */
  async function clean(): Promise<void> {
    for (const stream of streams) await stream.reset();
    await world.pass(1_200);
    for (const count of await received()) expect(count).toBeGreaterThan(30);
    for (const stream of streams) await stream.reset();
  }

  function received(): Promise<number[]> {
    return Promise.all(streams.map(async (stream) => (await stream.report()).received));
  }

  async function busiestPath(before: Awaited<ReturnType<LabWorld['underlay']>>['paths']): Promise<PathId> {
    const sent = (await world.underlay()).paths.map(({ path, espPackets }) => ({ path, packets: espPackets - (before.find((one) => one.path === path)?.espPackets ?? 0) }));
    return sent.sort((one, other) => other.packets - one.packets)[0]!.path;
  }

  async function states() {
    return Promise.all(GATEWAYS.map((node) => world.nodeState(node)));
  }

  /** A TCP connection from the near host to the far one; `send` sends and gives how many bytes arrived and were acknowledged. */
  async function openConnection(): Promise<{ send(): Promise<number> }> {
    const [near, far] = [NEAR, FAR].map((site) => world.network.layout.hosts.find((host) => host.site === site)!);
    const server = `require('net').createServer((socket)=>{let n=0;socket.on('data',(d)=>{n+=d.length;if(n>=${TCP_BYTES})socket.end(String(n))})}).listen(0,'0.0.0.0',function(){console.log(this.address().port)});setTimeout(()=>process.exit(),20000)`;
    const listening = spawn('ip', ['netns', 'exec', far!.namespace, process.execPath, '-e', server]);
    const port = Number(await firstLine(listening));
    const client = `const s=require('net').connect(${port},'${far!.address}',()=>console.log('open'));let t='';s.on('data',(d)=>t+=d);s.on('end',()=>{console.log(t);process.exit()});process.stdin.once('data',()=>s.write(Buffer.alloc(${TCP_BYTES})));setTimeout(()=>process.exit(),20000)`;
    const connected = spawn('ip', ['netns', 'exec', near!.namespace, process.execPath, '-e', client]);
    expect(await firstLine(connected)).toBe('open');
    return {
      async send() {
        connected.stdin.write('go\n');
        const arrived = Number(await firstLine(connected));
        listening.kill();
        return arrived;
      },
    };
  }
});

function firstLine(child: ReturnType<typeof spawn>): Promise<string> {
  return new Promise((resolve) => {
    child.stdout!.once('data', (data: Buffer) => resolve(data.toString().trim()));
    child.once('exit', () => resolve(''));
  });
}
