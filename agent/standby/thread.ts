import { MessageChannel, type MessagePort } from 'node:worker_threads';
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
  /** Has `serveStandby` (serve.ts) run with these in the thread of probes and fail-over, whose end ends the agent. */
  serve: (port: MessagePort, settings: StandbyWorkerSettings) => void;
}

/**
 * The LAN side in the thread of probes and fail-over, so that however long the agent's own thread is busy, heartbeats are
 * sent and the address is taken over in time. A thread for it alone would cost each such gateway 13 MB. It begins with the
 * first config that shares the address; a gateway that is alone at its site has none.
 */
export function startStandbyThread(options: StandbyThreadOptions, first: Credentials, onView: (view: StandbyView) => void): Standby {
  const { node, port, log, serve } = options;
  let credentials = first;
  let link: MessagePort | null = null;
  let view = NO_LAN_SHARED;
  let reach = 0;
  let revoked: readonly string[] = [];
  let isClosed = false;
  let closed = (): void => undefined;

  const order = (message: StandbyOrder): void => link?.postMessage(message, []);

  function start(): MessagePort {
    const { port1: here, port2: there } = new MessageChannel();
    here.on('message', (news: StandbyNews) => {
      if (news.kind === 'log') return log[news.level](news.fields, news.message);
      if (news.kind === 'closed') return closed();
      view = news.view;
      onView(view);
    });
    here.on('close', () => closed());
    serve(there, { node, port, credentials });
    return here;
  }

  return {
    configure(settings) {
      if (!link && settings === null) return;
      link ??= start();
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
      if (isClosed || !link) return;
      const ended = new Promise<void>((resolve) => {
        closed = resolve;
      });
      order({ kind: 'close', pauseMs });
      await ended;
      isClosed = true;
      link.close();
    },
  };
}
