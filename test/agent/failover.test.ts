import { createSocket } from 'node:dgram';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { createFailover, type FailoverEvents, type startFailoverThread } from '../../agent/failover/index.ts';
import type { LaneWanted, ProbePort } from '../../agent/ports.ts';
import type { startStandbyThread } from '../../agent/standby/index.ts';
import { createLog, createRng, sleep, systemClock, VirtualClock } from '../../src/base/index.ts';
import { createNodeKey, openAuthority } from '../../src/ca/index.ts';
import type { PathState, Steering, TunnelId } from '../../src/model/index.ts';
import { classId, nodeId, siteId } from '../../src/model/index.ts';
import { t1, t2 } from '../support/node-configs.ts';
import { type CompiledSources, compileSources } from '../support/compiled.ts';

const log = createLog('test', 'silent');
const PREFIXES = ['10.2.0.0/16'];
const PROBE = { intervalMs: 50, downAfter: 3, holdDownMs: 1_000, holdDownMaxMs: 1_000 };
/** The tunnel of another gateway of the peer's site. */
const t3 = 't-00000003' as TunnelId;
const steering: Steering[] = [{ to: siteId('paris'), prefixes: PREFIXES, classId: classId('voice'), lanes: [{ mark: 7, weight: 100, tunnels: [t1, t2, t3] }] }];

/** One end, with every probe echoed by the other end's own session unless its tunnel is cut. */
async function startEnd(tunnels: TunnelId[] = [t1, t2]) {
  const clock = new VirtualClock();
  const cut = new Set<TunnelId>();
  const delaysMs = new Map<TunnelId, number>();
  const answers = new Map<TunnelId, number>();
  const heard: string[] = [];
  const events: FailoverEvents = {
    onVerdict: (tunnel, from, to, lanesSwitched) => heard.push(`${tunnel} ${from}→${to} ${lanesSwitched}`),
    onSwitch: (lanes, number) => heard.push(`#${number} ${lanes.map(({ mark, active }) => `${mark}→${active}`).join()}`),
    onWish: () => undefined,
  };
  const quiet: FailoverEvents = { onVerdict: () => undefined, onSwitch: () => undefined, onWish: () => undefined };
  const written: LaneWanted[][] = [];
  const sockets = new Map<string, (packet: Uint8Array) => void>();
  const portOf = (end: string, other: string): ProbePort => ({
    open: (tunnel, _local, _remote, onPacket) => {
      sockets.set(`${end} ${tunnel}`, onPacket);
      return Promise.resolve({
        send: (packet) => {
          if (end === 'here') answers.set(tunnel, (answers.get(tunnel) ?? 0) + 1);
          if (!cut.has(tunnel)) clock.setTimer(delaysMs.get(tunnel) ?? 5, () => sockets.get(`${other} ${tunnel}`)?.(packet));
        },
        close: () => void sockets.delete(`${end} ${tunnel}`),
      });
    },
  });
  const lanes = { switchLanes: (switched: readonly LaneWanted[]) => void written.push([...switched]), renew: () => undefined, close: () => undefined };
  const here = createFailover({ probes: portOf('here', 'there'), traffic: { counts: () => null }, lanes, clock, rng: createRng('here'), log, events });
  const startPeer = async (life: string) => {
    const peer = createFailover({ probes: portOf('there', 'here'), traffic: { counts: () => null }, lanes: { ...lanes, switchLanes: () => undefined }, clock, rng: createRng(life), log, events: quiet });
    for (const tunnel of tunnels) await peer.startProbe(tunnel, 'a', 'b', PROBE);
    return peer;
  };
  for (const tunnel of tunnels) await here.startProbe(tunnel, 'a', 'b', PROBE);
  const there = await startPeer('there');
  await clock.advance(1_000);
  heard.length = 0;
  const tableOf = (active: TunnelId, switchesKnown: number) => ({
    inForce: steering,
    tunnels: tunnels.map((tunnel) => ({ tunnel, remoteOverlay: '172.30.0.1' })),
    adopted: [],
    lanes: [{ mark: 7, prefixes: PREFIXES, active }],
    switchesKnown,
  });
  return { clock, cut, delaysMs, answers, heard, here, there, startPeer, written, tableOf };
}

describe('the fail-over', () => {
  it('switches lanes in the turn of the verdict, and tells of the switch before it tells of the verdict', async () => {
    const { clock, cut, heard, here, written, tableOf } = await startEnd();
    here.setLanes(tableOf(t1, 0));
    expect(written).toEqual([]);
    cut.add(t1);
    await clock.advance(300);
    expect(heard).toEqual([`#1 7→${t2}`, `${t1} up→down 1`]);
    expect(written).toEqual([[{ mark: 7, prefixes: PREFIXES, active: t2 }]]);
  });

  it('writes a lane again that an apply, decided before the switch, has put back', async () => {
    const { clock, cut, heard, here, written, tableOf } = await startEnd();
    here.setLanes(tableOf(t1, 0));
    cut.add(t1);
    await clock.advance(300);
    here.setLanes(tableOf(t1, 0));
    expect(written.at(-1)).toEqual([{ mark: 7, prefixes: PREFIXES, active: t2 }]);
    expect(written).toHaveLength(2);
    here.setLanes(tableOf(t2, 2));
    expect(written).toHaveLength(2);
    expect(heard.at(-1)).toBe(`#2 7→${t2}`);
  });

  it('corrects lanes of an apply at once when probes know better', async () => {
    const { clock, cut, here, written, tableOf } = await startEnd();
    cut.add(t1);
    await clock.advance(300);
    here.setLanes(tableOf(t1, 0));
    expect(written).toEqual([[{ mark: 7, prefixes: PREFIXES, active: t2 }]]);
  });
});

describe('the fail-over, when all tunnels of a peer fall silent at once,', () => {
  it('stays where it is: its agent died, what is sent still arrives, and nothing else is better', async () => {
    const { clock, heard, here, there, startPeer, written, tableOf } = await startEnd();
    here.setLanes(tableOf(t1, 0));
    await clock.advance(777);
    await there.close(0);
    await clock.advance(1_200);
    expect(heard.filter((text) => text.includes('up→down')).sort()).toEqual([`${t1} up→down 0`, `${t2} up→down 0`].sort());
    await startPeer('the next life');
    await clock.advance(3_000);
    expect(heard.filter((text) => text.includes('down→up'))).toHaveLength(2);
    expect(written).toEqual([]);
  });

  it.each([0, 13, 29, 41, 120, 170])('stays also when it dies %i ms later, whatever was asked last', async (laterMs) => {
    const { clock, here, there, written, tableOf } = await startEnd();
    here.setLanes(tableOf(t1, 0));
    await clock.advance(600 + laterMs);
    await there.close(0);
    await clock.advance(2_000);
    expect(written).toEqual([]);
  });

  it('stays also when the paths are back one after the other', async () => {
    const { clock, cut, delaysMs, heard, here, written, tableOf } = await startEnd();
    here.setLanes(tableOf(t1, 0));
    await clock.advance(600);
    cut.add(t1).add(t2);
    await clock.advance(2_000);
    delaysMs.set(t1, 20);
    cut.delete(t2);
    await clock.advance(20);
    cut.delete(t1);
    await clock.advance(3_000);
    expect(heard.filter((text) => text.includes('down→up'))).toEqual([`${t2} down→up 0`, `${t1} down→up 0`]);
    expect(written).toEqual([]);
  });

  it('leaves a path that was about to be back and fell silent again, for one that is', async () => {
    const { clock, cut, heard, here, tableOf } = await startEnd();
    here.setLanes(tableOf(t1, 0));
    await clock.advance(600);
    cut.add(t1).add(t2);
    await clock.advance(2_000);
    cut.clear();
    await clock.advance(980);
    cut.add(t1);
    await clock.advance(400);
    expect(heard.filter((text) => text.startsWith('#'))).toEqual([`#1 7→${t2}`]);
  });

  it('goes straight to another gateway of the site that answers, once, and no later than before', async () => {
    const { clock, cut, heard, here, written, tableOf } = await startEnd([t1, t2, t3]);
    here.setLanes(tableOf(t1, 0));
    await clock.advance(600);
    cut.add(t1).add(t2);
    await clock.advance(350);
    expect(heard.filter((text) => text.startsWith('#'))).toEqual([`#1 7→${t3}`]);
    expect(written).toHaveLength(1);
  });

  it('leaves a dead path as soon as it is down, for one that has just answered', async () => {
    const { clock, cut, answers, heard, here, tableOf } = await startEnd();
    here.setLanes(tableOf(t1, 0));
    await clock.advance(600);
    const before = answers.get(t2)!;
    cut.add(t1);
    await clock.advance(180);
    expect(heard).toEqual([`#1 7→${t2}`, `${t1} up→down 1`]);
    expect(answers.get(t2)! - before).toBeLessThan(10);
  });

  it('waits for the answer of a slow path no longer than its round trip', async () => {
    const { clock, cut, delaysMs, heard, here, tableOf } = await startEnd();
    delaysMs.set(t2, 120);
    here.setLanes(tableOf(t1, 0));
    await clock.advance(6_000);
    heard.length = 0;
    cut.add(t1);
    await clock.advance(180);
    expect(heard).toEqual([`${t1} up→down 0`]);
    await clock.advance(200);
    expect(heard).toEqual([`${t1} up→down 0`, `#1 7→${t2}`]);
  });
});

describe('the fail-over thread', () => {
  let compiled: CompiledSources;
  beforeAll(async () => {
    compiled = await compileSources(['agent/failover/index.ts', 'agent/failover/worker.ts', 'agent/standby/index.ts']);
  });
  afterAll(() => compiled.remove());

  it('goes on probing and judging while the agent’s own thread stands still, and tells a verdict with its views', async () => {
    const { startFailoverThread: start } = (await import(join(compiled.dir, 'agent/failover/index.js'))) as { startFailoverThread: typeof startFailoverThread };
    const port = await freePort();
    const verdicts: string[] = [];
    const ends = ['127.0.7.1', '127.0.7.2'].map((local, index) => {
      const events: FailoverEvents = { onVerdict: (_tunnel: TunnelId, from: PathState, to: PathState) => verdicts.push(`${index} ${from}→${to} ${ends[index]!.failover.views().get(t1)?.state}`), onSwitch: () => undefined, onWish: () => undefined };
      return { local, failover: start({ driver: 'libipsec', probePort: port, seed: `thread ${index}`, logLevel: 'silent', log, onEnd: (cause) => verdicts.push(cause.message) }, events) };
    });
    const [one, other] = ends as [(typeof ends)[number], (typeof ends)[number]];
    await Promise.all([one.failover.startProbe(t1, one.local, other.local, PROBE), other.failover.startProbe(t1, other.local, one.local, PROBE)]);
    const isUp = (index: number): boolean => verdicts.findLast((verdict) => verdict.startsWith(`${index} `))?.endsWith('→up up') === true;
    while (!isUp(0) || !isUp(1)) await sleep(systemClock, 10);
    // the peer goes, and this thread stands still for a second: the verdict is there when it wakes, for it was not made here
    const closing = other.failover.close(0);
    const untilMs = systemClock.monotonicMs() + 1_000;
    while (systemClock.monotonicMs() < untilMs) Math.sqrt(untilMs); // busy: no timer and no message of this thread
    await sleep(systemClock, 20);
    expect(verdicts.findLast((verdict) => verdict.startsWith('0 '))).toMatch(/→down down$/);
    await closing;
    await expect(one.failover.startProbe(t2, '192.0.2.1', other.local, PROBE)).rejects.toMatchObject({ code: 'PROBE_FAILED' });
    one.failover.stopProbe(t1);
    expect(one.failover.views().size).toBe(0);
    await one.failover.close(0);
  });

  it('has the LAN side in it, which greets its partners and closes with it', async () => {
    const { startFailoverThread: start } = (await import(join(compiled.dir, 'agent/failover/index.js'))) as { startFailoverThread: typeof startFailoverThread };
    const { startStandbyThread: startLan } = (await import(join(compiled.dir, 'agent/standby/index.js'))) as { startStandbyThread: typeof startStandbyThread };
    const ends: string[] = [];
    const events: FailoverEvents = { onVerdict: () => undefined, onSwitch: () => undefined, onWish: () => undefined };
    const failover = start({ driver: 'libipsec', probePort: await freePort(), seed: 'lan', logLevel: 'silent', log, onEnd: (cause) => ends.push(cause.message) }, events);
    const partner = createSocket('udp4');
    const hellos: string[] = [];
    partner.on('message', (packet, from) => hellos.push(`${from.address} ${packet.toString('latin1', 0, 4)}`));
    const port = await freePort();
    await new Promise<void>((resolve) => partner.bind(port, '127.0.7.2', resolve));
    const key = await createNodeKey();
    const node = nodeId('berlin-gw1');
    const folder = await mkdtemp(join(tmpdir(), 'foremesh-thread-'));
    const authority = await openAuthority({ dir: folder, clock: systemClock });
    const certificate = await authority.renew(node, await key.csrPem(node));
    const standby = startLan({ node, port, log, serve: (link, settings) => failover.serveStandby(link, settings) }, { ...certificate, privateKeyPem: key.privateKeyPem }, () => undefined);
    standby.configure(null); // a gateway that is alone at its site
    await sleep(systemClock, 50);
    expect(hellos).toEqual([]);
    const members = [{ node, address: '127.0.7.1' }, { node: nodeId('berlin-gw2'), address: '127.0.7.2' }];
    standby.configure({ generation: 1, holdDownMaxMs: 0, interface: 'fm-none0', address: '127.0.7.9', prefixes: ['127.0.7.0/24'], shared: { preferred: node, members, heartbeat: { intervalMs: 20, missedMax: 3, holdDownMs: 0 } } });
    while (hellos.length === 0) await sleep(systemClock, 10);
    expect(hellos[0]).toBe('127.0.7.1 FMLN');
    await Promise.all([standby.close(100), failover.close(100)]);
    expect(ends).toEqual([]);
    partner.close();
    await rm(folder, { recursive: true, force: true });
  });
});

function freePort(): Promise<number> {
  const socket = createSocket('udp4');
  return new Promise((resolve) => {
    socket.bind(0, '127.0.7.1', () => {
      const { port } = socket.address();
      socket.close(() => resolve(port));
    });
  });
}
