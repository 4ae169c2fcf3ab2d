import { Worker } from 'node:worker_threads';
import type { Log } from '../../src/base/index.ts';
import type { NodeId } from '../../src/model/index.ts';
import type { Credentials } from '../ports.ts';
import type { StandbyNews, StandbyOrder, StandbyWorkerSettings } from './messages.ts';
import { NO_LAN_SHARED, type Standby, type StandbyView } from './standby.ts';

export interface StandbyThreadOptions {
  node: NodeId;
  /** UDP port of heartbeats; the same on every node. */
  port: number;
  log: Log;
  /** The thread is gone, which it never should: nobody would give the LAN address up. */
  onEnd: (cause: Error) => void;
}

/** Its heap holds a few packets, MB. */
const HEAP_MAX_MB = 32;
const YOUNG_MAX_MB = 4;

/**
 * The LAN side in a thread of its own, so that however long the agent's own thread is busy, heartbeats are sent and the
 * address is taken over in time. The thread begins with the first config that shares the address; a gateway that is
 * alone at its site has none.
 */
export function startStandbyThread(options: StandbyThreadOptions, first: Credentials, onView: (view: StandbyView) => void): Standby {
  const { node, port, log, onEnd } = options;
  let credentials = first;
  let worker: Worker | null = null;
  let view = NO_LAN_SHARED;
  let reach = 0;
  let revoked: readonly string[] = [];
  let isClosed = false;
  let closed = (): void => undefined;

  const order = (message: StandbyOrder): void => worker?.postMessage(message, []);

  function start(): Worker {
    const workerData: StandbyWorkerSettings = { node, port, credentials };
    const begun = new Worker(new URL('./worker.js', import.meta.url), { workerData, resourceLimits: { maxOldGenerationSizeMb: HEAP_MAX_MB, maxYoungGenerationSizeMb: YOUNG_MAX_MB } });
    begun.on('message', (news: StandbyNews) => {
      if (news.kind === 'log') return log[news.level](news.fields, news.message);
      if (news.kind === 'closed') return closed();
      view = news.view;
      onView(view);
    });
    const end = (cause: Error): void => {
      if (!isClosed) onEnd(cause);
      closed();
      isClosed = true;
    };
    begun.on('error', end);
    begun.on('exit', (code) => end(new Error(`the standby thread ended with ${code}`)));
    return begun;
  }

  return {
    configure(settings) {
      if (!worker && settings === null) return;
      worker ??= start();
      order({ kind: 'revoked', keysSha256: revoked });
      order({ kind: 'configure', settings });
      order({ kind: 'reach', sites: reach });
    },
    useCredentials(next) {
      credentials = next;
      order({ kind: 'credentials', credentials });
    },
    setRevoked(keysSha256) {
      revoked = keysSha256;
      order({ kind: 'revoked', keysSha256 });
    },
    setReach(sites) {
      if (sites === reach) return;
      reach = sites;
      order({ kind: 'reach', sites });
    },
    view: () => view,
    async close(pauseMs) {
      if (isClosed || !worker) return;
      const ended = new Promise<void>((resolve) => {
        closed = resolve;
      });
      order({ kind: 'close', pauseMs });
      await ended;
      isClosed = true;
      await worker.terminate();
    },
  };
}
