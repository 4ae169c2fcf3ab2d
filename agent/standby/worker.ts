import { parentPort, workerData } from 'node:worker_threads';
import { systemClock } from '../../src/base/index.ts';
import { localMachine } from '../dataplane/machine.ts';
import { createKernelLan } from './lan-port.ts';
import type { StandbyNews, StandbyOrder, StandbyWorkerSettings } from './messages.ts';
import { createStandby } from './standby.ts';
import { raisePriority, relayedLog } from '../worker-thread.ts';

/** The thread's side: heartbeats, the decision and the LAN address live here, and nothing else does. */

/** As urgent as probes: a late heartbeat is a death to the others. */
const NICE = -12;

raisePriority(NICE);
const port = parentPort!;
const { node, port: udpPort, credentials } = workerData as StandbyWorkerSettings;
const tell = (news: StandbyNews): void => port.postMessage(news);
const log = relayedLog(tell);
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
    case 'revoked':
      return standby.setRevoked(order.keysSha256);
    case 'reach':
      return standby.setReach(order.sites);
    case 'close':
      return void standby.close(order.pauseMs).then(() => tell({ kind: 'closed' }));
  }
});
