import type { MessagePort } from 'node:worker_threads';
import { systemClock } from '../../src/base/index.ts';
import { localMachine } from '../dataplane/machine.ts';
import { createKernelLan } from './lan-port.ts';
import type { StandbyNews, StandbyOrder, StandbyWorkerSettings } from './messages.ts';
import { createStandby } from './standby.ts';
import { relayedLog } from '../worker-thread.ts';

/**
 * The thread's side: heartbeats, the decision and the LAN address live here, beside the probes. Resolves when it was
 * told to close and has done so.
 */
export function serveStandby(port: MessagePort, { node, port: udpPort, credentials }: StandbyWorkerSettings): Promise<void> {
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
  return new Promise((closed) => {
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
          return void standby.close(order.pauseMs).then(() => {
            tell({ kind: 'closed' });
            closed();
          });
      }
    });
  });
}
