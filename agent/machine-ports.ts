import { randomBytes } from 'node:crypto';
import { type Log, messageOf, systemClock } from '../src/base/index.ts';
import { createDataplanePort, createNamePort, createPinger, localMachine } from './dataplane/index.ts';
import type { DriverName } from './driver.ts';
import { type FailoverThread, startFailoverThread } from './failover/index.ts';
import type { AgentPorts } from './ports.ts';
import { createProcHost } from './posture/index.ts';
import type { AgentSettings } from './settings.ts';
import { startStandbyThread } from './standby/index.ts';
import { createIpsecPort } from './vici/index.ts';

/** The ports of a real gateway: strongSwan, kernel and the fast thread of this machine, which takes the process with it when it ends. */
export function createMachinePorts(settings: AgentSettings, driver: DriverName, log: Log) {
  const management = [...settings.management, { protocol: 'tcp' as const, port: settings.engine.port }];
  let thread: FailoverThread | null = null;
  return {
    ipsec: createIpsecPort({ socketPath: settings.viciSocket, driver, clock: systemClock, log }),
    host: createProcHost(),
    ping: createPinger(localMachine, systemClock, log),
    names: createNamePort(localMachine),
    dataplane: createDataplanePort({ driver, log, clock: systemClock, management, onInterfacesChanged: () => thread?.renewLanes() }),
    failover: (events) => {
      thread = startFailoverThread({ driver, probePort: settings.probePort, seed: randomBytes(16).toString('hex'), logLevel: settings.logLevel, log, onEnd: die }, events);
      return thread;
    },
    standby: (credentials, onView) => startStandbyThread({ node: settings.node, port: settings.heartbeatPort, log, serve: (port, lan) => thread?.serveStandby(port, lan) }, credentials, onView),
  } satisfies AgentPorts;

  /** Half an agent is worse than one that is started anew. */
  function die(cause: Error): void {
    log.fatal({ error: messageOf(cause) }, 'the thread of probes and fail-over is gone: the agent ends, forwarding stays as it is');
    process.exit(70);
  }
}
