import { createSocket } from 'node:dgram';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { createFailover, type FailoverEvents, type startFailoverThread } from '../../agent/failover/index.ts';
import type { LaneWanted, ProbePort } from '../../agent/ports.ts';
import { createLog, createRng, sleep, systemClock, VirtualClock } from '../../src/base/index.ts';
import type { PathState, Steering, TunnelId } from '../../src/model/index.ts';
import { classId, siteId } from '../../src/model/index.ts';
import { t1, t2 } from '../support/node-configs.ts';
import { type CompiledSources, compileSources } from '../support/compiled.ts';

const log = createLog('test', 'silent');
const PREFIXES = ['10.2.0.0/16'];
const PROBE = { intervalMs: 50, downAfter: 3, holdDownMs: 1_000, holdDownMaxMs: 1_000 };
const steering: Steering[] = [{ to: siteId('paris'), prefixes: PREFIXES, classId: classId('voice'), lanes: [{ mark: 7, weight: 100, tunnels: [t1, t2] }] }];

/** One end, with every probe echoed by the other end's own session unless its tunnel is cut. */
async function startEnd() {
  const clock = new VirtualClock();
  const cut = new Set<TunnelId>();
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
          if (!cut.has(tunnel)) clock.setTimer(5, () => sockets.get(`${other} ${tunnel}`)?.(packet));
        },
        close: () => void sockets.delete(`${end} ${tunnel}`),
      });
    },
  });
  const lanes = { switchLanes: (switched: readonly LaneWanted[]) => void written.push([...switched]), renew: () => undefined, close: () => undefined };
  const here = createFailover({ probes: portOf('here', 'there'), traffic: { counts: () => null }, lanes, clock, rng: createRng('here'), log, events });
  const there = createFailover({ probes: portOf('there', 'here'), traffic: { counts: () => null }, lanes: { ...lanes, switchLanes: () => undefined }, clock, rng: createRng('there'), log, events: quiet });
  for (const tunnel of [t1, t2]) for (const end of [here, there]) await end.startProbe(tunnel, 'a', 'b', PROBE);
  await clock.advance(1_000);
  heard.length = 0;
  const tableOf = (active: TunnelId, switchesKnown: number) => ({
    inForce: steering,
    tunnels: [t1, t2].map((tunnel) => ({ tunnel, remoteOverlay: '172.30.0.1' })),
    adopted: [],
    lanes: [{ mark: 7, prefixes: PREFIXES, active }],
    switchesKnown,
  });
  return { clock, cut, heard, here, written, tableOf };
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

describe('the fail-over thread', () => {
  let compiled: CompiledSources;
  beforeAll(async () => {
    compiled = await compileSources(['agent/failover/index.ts', 'agent/failover/worker.ts']);
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
