import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import type { DriverName } from '../../agent/driver.ts';
import { createAgent, type Credentials } from '../../agent/index.ts';
import { createMachinePorts } from '../../agent/machine-ports.ts';
import { parseSettings } from '../../agent/settings.ts';
import { listenStatus } from '../../agent/status-socket.ts';
import { createPpkKeeper, createRevocationGuard } from '../../agent/sync/index.ts';
import { createLog, systemClock } from '../../src/base/index.ts';
import type { NodeConfig, NodeId, RevocationsMessage, SignedConfig } from '../../src/model/index.ts';

/** What the test hands over, as a file of JSON; read again at each SIGHUP. */
export interface AgentTask {
  node: NodeId;
  stateDir: string;
  viciSocket: string;
  driver: DriverName;
  generation: number;
  config: NodeConfig;
  credentials: Credentials;
  revocations: RevocationsMessage | null;
}

/**
 * One agent with all its real ports, in the namespace that this process is in. Only the engine and its signature are
 * missing: config, certificate and revocations are taken as they are given.
 */
const readTask = (): AgentTask => JSON.parse(readFileSync(process.argv[2] ?? '', 'utf8')) as AgentTask;
let task = readTask();
const { node, stateDir, viciSocket, driver } = task;
const log = createLog(`agent ${node}`, process.env['FOREMESH_LOG'] ?? 'silent');
const settings = await parseSettings(JSON.stringify({ node, stateDir, viciSocket, engine: '127.0.0.1:9', logLevel: 'silent' }), '/task.json');
const ports = createMachinePorts(settings, driver, log);
const ppks = createPpkKeeper({ stateDir, node, fetch: () => Promise.reject(new Error('there is no engine')), clock: systemClock, log });
const agent = createAgent({
  node,
  stateDir,
  ports,
  clock: systemClock,
  log,
  credentials: task.credentials,
  verify: ({ commit }) => Promise.resolve({ generation: Number(commit), commit, signedAt: systemClock.now(), config: task.config }),
  send: () => undefined,
  ppks,
  revocations: createRevocationGuard({ stateDir, ipsec: ports.ipsec, caPem: () => task.credentials.caPem, clock: systemClock, log }),
});
process.once('SIGTERM', () => process.exit(0));
process.on('SIGHUP', () => void takeUp(task));
await listenStatus(join(stateDir, 'agent.sock'), () => agent.runtime(), log);
await agent.start();
await takeUp(null);

async function takeUp(before: AgentTask | null): Promise<void> {
  if (before !== null) task = readTask();
  if (before !== null && before.credentials.certificatePem !== task.credentials.certificatePem) agent.useCredentials(task.credentials);
  if (before?.generation !== task.generation) await agent.receive({ type: 'desired', config: signedOf(task.generation) });
  if (task.revocations !== null && before?.revocations?.number !== task.revocations.number) await agent.receive(task.revocations);
}

function signedOf(generation: number): SignedConfig {
  return { schema: 'foremesh/signed-config/v1', node, commit: String(generation), commitObject: '', trees: ['', '', ''], blob: '' };
}
