import { setPriority } from 'node:os';
import { parentPort, workerData } from 'node:worker_threads';
import { type Log, systemClock } from '../../src/base/index.ts';
import { localMachine } from '../dataplane/machine.ts';
import { createKernelLan } from './lan-port.ts';
import type { StandbyNews, StandbyOrder, StandbyWorkerSettings } from './messages.ts';
import { createStandby } from './standby.ts';

/** The thread's side: heartbeats, the decision and the LAN address live here, and nothing else does. */

/** As urgent as probes: a late heartbeat is a death to the others. */
const NICE = -12;

raisePriority();
const port = parentPort!;
const { node, port: udpPort, credentials } = workerData as StandbyWorkerSettings;
const tell = (news: StandbyNews): void => port.postMessage(news);
const log = relayedLog();
const standby = createStandby({
  node,
  lan: createKernelLan({ port: udpPort, machine: localMachine, clock: systemClock, log }),
  clock: systemClock,
  log,
  credentials,
  onView: (view) => tell({ kind: 'view', view }),
});

port.on('message', (order: StandbyOrder) => {
  switch (order.kind) {
    case 'configure':
      return standby.configure(order.settings);
    case 'credentials':
      return standby.useCredentials(order.credentials);
    case 'reach':
      return standby.setReach(order.sites);
    case 'close':
      return void standby.close(order.pauseMs).then(() => tell({ kind: 'closed' }));
  }
});

/** One stream of log lines a process: this thread's go through the agent's own log. */
function relayedLog(): Log {
  const say =
    (level: 'debug' | 'info' | 'warn' | 'error') =>
    (first: object | string, message?: string): void =>
      tell({ kind: 'log', level, fields: typeof first === 'string' ? {} : first, message: message ?? (typeof first === 'string' ? first : '') });
  return { debug: say('debug'), info: say('info'), warn: say('warn'), error: say('error') } as unknown as Log;
}

function raisePriority(): void {
  try {
    setPriority(NICE); // on Linux of this thread alone
  } catch {
    // not allowed to: it works as urgently as the rest of the agent
  }
}
