import { type MessagePort, Worker } from 'node:worker_threads';
import { type ErrorCode, ForemeshError, type Log } from '../../src/base/index.ts';
import type { TunnelId } from '../../src/model/index.ts';
import type { PathWindow, ProbeView } from '../probe/index.ts';
import type { StandbyWorkerSettings } from '../standby/messages.ts';
import type { Failover, FailoverEvents } from './failover.ts';
import type { FailoverNews, FailoverOrder, RunView, WorkerSettings } from './messages.ts';

export interface FailoverThreadOptions extends WorkerSettings {
  log: Log;
  /** The thread is gone, which it never should: probes and fast switches are gone with it. */
  onEnd: (cause: Error) => void;
}

export interface FailoverThread extends Failover {
  /** Runs the LAN side (`serveStandby`) in the same thread; it is to be closed before or together with this. */
  serveStandby(port: MessagePort, settings: StandbyWorkerSettings): void;
}

/** Its heap holds windows and a few hundred packets; more is a leak, MB. */
const HEAP_MAX_MB = 48;
/** Packets live for a moment: a small nursery costs a little more collecting and saves 15 MB, MB. */
const YOUNG_MAX_MB = 4;

/**
 * A fail-over in a thread of its own, with its sockets and its route writer: however long the agent's own thread is busy
 * with a config, a handshake or a collection of garbage, probes are sent and answered and lanes are switched. `views` are
 * at most 100 ms old; a verdict is told with the views that belong to it.
 */
export function startFailoverThread(options: FailoverThreadOptions, events: FailoverEvents): FailoverThread {
  const { log, onEnd, ...settings } = options;
  const worker = new Worker(new URL('./worker.js', import.meta.url), { workerData: settings, resourceLimits: { maxOldGenerationSizeMb: HEAP_MAX_MB, maxYoungGenerationSizeMb: YOUNG_MAX_MB } });
  const waiting = new Map<number, { resolve: (value: ReadonlyMap<TunnelId, PathWindow> | null) => void; reject: (cause: Error) => void }>();
  const runs = new Map<TunnelId, { run: number; ends: string }>();
  let views = new Map<TunnelId, ProbeView>();
  let calls = 0;
  let lastRun = 0;
  let isClosed = false;

  const order = (message: FailoverOrder): void => worker.postMessage(message, []);
  const ask = (make: (call: number) => FailoverOrder): Promise<ReadonlyMap<TunnelId, PathWindow> | null> =>
    new Promise((resolve, reject) => {
      const call = ++calls;
      waiting.set(call, { resolve, reject });
      order(make(call));
    });

  function see(said: readonly RunView[]): void {
    views = new Map(said.filter(({ tunnel, run }) => runs.get(tunnel)?.run === run).map(({ tunnel, view }) => [tunnel, view]));
  }

  worker.on('message', (news: FailoverNews) => {
    switch (news.kind) {
      case 'views':
        return see(news.views);
      case 'verdict':
        see(news.views);
        return events.onVerdict(news.tunnel, news.from, news.to, news.lanesSwitched);
      case 'wish':
        see(news.views);
        return events.onWish();
      case 'switch':
        return events.onSwitch(news.lanes, news.number);
      case 'log':
        return log[news.level](news.fields, news.message);
      case 'answer':
        waiting.get(news.call)?.resolve(news.value);
        return void waiting.delete(news.call);
      case 'failure':
        waiting.get(news.call)?.reject(new ForemeshError(news.code as ErrorCode, { what: news.what, fix: news.fix }));
        return void waiting.delete(news.call);
    }
  });
  const end = (cause: Error): void => {
    for (const { reject } of waiting.values()) reject(cause);
    waiting.clear();
    if (!isClosed) onEnd(cause);
    isClosed = true;
  };
  worker.on('error', end);
  worker.on('exit', (code) => end(new Error(`the fail-over thread ended with ${code}`)));

  return {
    async startProbe(tunnel, localOverlay, remoteOverlay, probe) {
      const ends = `${localOverlay} ${remoteOverlay}`;
      const known = runs.get(tunnel);
      const run = known?.ends === ends ? known.run : ++lastRun;
      runs.set(tunnel, { run, ends });
      try {
        await ask((call) => ({ kind: 'start-probe', call, run, tunnel, localOverlay, remoteOverlay, settings: probe }));
      } catch (cause) {
        if (runs.get(tunnel)?.run === run) runs.delete(tunnel);
        throw cause;
      }
    },
    stopProbe(tunnel) {
      runs.delete(tunnel);
      views.delete(tunnel);
      order({ kind: 'stop-probe', tunnel });
    },
    views: () => views,
    setLanes: (table) => order({ kind: 'lanes', table }),
    setRenews: (tunnels) => order({ kind: 'renews', tunnels }),
    setLame: (lame) => order({ kind: 'lame', lame }),
    renewLanes: () => order({ kind: 'renew-lanes' }),
    serveStandby: (port, standby) => worker.postMessage({ kind: 'standby', port, settings: standby } satisfies FailoverOrder, [port]),
    takeWindows: async (tunnels) => (isClosed ? null : await ask((call) => ({ kind: 'windows', call, tunnels }))) ?? new Map(),
    async close(pauseMs) {
      if (isClosed) return;
      await ask((call) => ({ kind: 'close', call, pauseMs }));
      isClosed = true;
      await worker.terminate();
    },
  };
}
