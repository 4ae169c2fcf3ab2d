import { parentPort, workerData } from 'node:worker_threads';
import { createRng, ForemeshError, messageOf, sleep, systemClock } from '../../src/base/index.ts';
import type { TunnelId } from '../../src/model/index.ts';
import { createLaneWriter } from '../dataplane/lane-writer.ts';
import { localMachine } from '../dataplane/machine.ts';
import { createSysCounter } from '../dataplane/sys-counter.ts';
import { createTrafficCounter } from '../dataplane/traffic-counter.ts';
import { isSameView, type PathWindow } from '../probe/index.ts';
import { createUdpProbePort } from '../probe/udp-socket.ts';
import { createFailover } from './failover.ts';
import type { FailoverNews, FailoverOrder, RunView, WorkerSettings } from './messages.ts';
import { raisePriority, relayedLog } from '../worker-thread.ts';

/** The thread's side: sockets, timers and the route writer live here, the LAN side where a gateway has one, and nothing else does. */

/** Before everything else on the gateway but what carries packets: a late echo is a loss to the peer. */
const NICE = -12;
/** What changes without a verdict (the peer's word on what it uses) is told this often, ms. */
const VIEWS_MS = 100;

raisePriority(NICE);
const port = parentPort!;
const settings = workerData as WorkerSettings;
const tell = (news: FailoverNews): void => port.postMessage(news);
const log = relayedLog(tell);
/** The LAN side may say goodbye this long after the probes, ms. */
const STANDBY_CLOSE_MS = 500;

const runs = new Map<TunnelId, number>();
/** Settled once the LAN side has closed, or while there is none. */
let standbyClosed: Promise<void> = Promise.resolve();
let told: readonly RunView[] = [];
const failover = createFailover({
  probes: createUdpProbePort({ port: settings.probePort }),
  traffic: createSysCounter(systemClock, createTrafficCounter(systemClock)),
  lanes: createLaneWriter({ driver: settings.driver, machine: localMachine, clock: systemClock, log }),
  clock: systemClock,
  rng: createRng(settings.seed),
  log,
  events: {
    onVerdict: (tunnel, from, to, lanesSwitched) => tell({ kind: 'verdict', tunnel, from, to, lanesSwitched, views: viewsNow() }),
    onSwitch: (lanes, number) => tell({ kind: 'switch', lanes, number }),
    onWish: () => tell({ kind: 'wish', views: viewsNow() }),
  },
});

port.on('message', (order: FailoverOrder) => {
  switch (order.kind) {
    case 'start-probe':
      runs.set(order.tunnel, order.run);
      return answer(order.call, failover.startProbe(order.tunnel, order.localOverlay, order.remoteOverlay, order.settings).then(() => null), true);
    case 'stop-probe':
      runs.delete(order.tunnel);
      return failover.stopProbe(order.tunnel);
    case 'lanes':
      return failover.setLanes(order.table);
    case 'renews':
      return failover.setRenews(order.tunnels);
    case 'lame':
      return failover.setLame(order.lame);
    case 'renew-lanes':
      return failover.renewLanes();
    case 'standby':
      standbyClosed = serveLan(order);
      return;
    case 'windows':
      return answer(order.call, failover.takeWindows(order.tunnels), false);
    case 'close':
      return answer(order.call, closeAll(order.pauseMs), false);
  }
});
systemClock.setTimer(VIEWS_MS, watchViews);

/** Loaded only where it is needed. */
async function serveLan({ port: link, settings: lan }: Extract<FailoverOrder, { kind: 'standby' }>): Promise<void> {
  const { serveStandby } = await import('../standby/serve.ts');
  await serveStandby(link, lan);
}

async function closeAll(pauseMs: number): Promise<null> {
  await failover.close(pauseMs);
  await Promise.race([standbyClosed, sleep(systemClock, STANDBY_CLOSE_MS)]);
  return null;
}

function answer(call: number, result: Promise<ReadonlyMap<TunnelId, PathWindow> | null>, withViews: boolean): void {
  result.then(
    (value) => {
      if (withViews) tell({ kind: 'views', views: viewsNow() });
      tell({ kind: 'answer', call, value });
    },
    (cause: unknown) => {
      const known = cause instanceof ForemeshError ? cause : null;
      tell({ kind: 'failure', call, code: known?.code ?? 'PROBE_FAILED', what: known?.what ?? messageOf(cause), fix: known?.fix ?? 'nothing, if it happens once' });
    },
  );
}

function viewsNow(): RunView[] {
  return [...failover.views()].map(([tunnel, view]) => ({ tunnel, run: runs.get(tunnel) ?? 0, view }));
}

function watchViews(): void {
  const views = viewsNow();
  if (views.length !== told.length || views.some((run, at) => !isSameRun(run, told[at]!))) tell({ kind: 'views', views }); // made in the same order each time
  told = views;
  systemClock.setTimer(VIEWS_MS, watchViews);
}

function isSameRun(one: RunView, other: RunView): boolean {
  return one.tunnel === other.tunnel && one.run === other.run && isSameView(one.view, other.view);
}
