import { readFileSync } from 'node:fs';
import type { DriverName } from '../../agent/driver.ts';
import { createAgent, type Credentials } from '../../agent/index.ts';
import { createMachinePorts } from '../../agent/machine-ports.ts';
import { parseSettings } from '../../agent/settings.ts';
import { createLog, systemClock } from '../../src/base/index.ts';
import type { NodeConfig, NodeId, SignedConfig } from '../../src/model/index.ts';

/** What the test hands over, as a file of JSON. */
export interface AgentTask {
  node: NodeId;
  stateDir: string;
  viciSocket: string;
  driver: DriverName;
  config: NodeConfig;
  credentials: Credentials;
}

/**
 * One agent with all its real ports, in the namespace that this process is in. Only the engine and its signature are
 * missing: the config is taken as it is given.
 */
const { node, stateDir, viciSocket, driver, config, credentials } = JSON.parse(readFileSync(process.argv[2] ?? '', 'utf8')) as AgentTask;
const log = createLog(`agent ${node}`, process.env['FOREMESH_LOG'] ?? 'silent');
const settings = await parseSettings(JSON.stringify({ node, stateDir, viciSocket, engine: '127.0.0.1:9', logLevel: 'silent' }), '/task.json');
const ports = createMachinePorts(settings, driver, log);
const agent = createAgent({ node, stateDir, ports, clock: systemClock, log, credentials, verify: () => Promise.resolve({ generation: 1, commit: '0'.repeat(40), signedAt: systemClock.now(), config }), send: () => undefined });
process.once('SIGTERM', () => process.exit(0));
await agent.start();
const signed: SignedConfig = { schema: 'foremesh/signed-config/v1', node, commit: '0'.repeat(40), commitObject: '', trees: ['', '', ''], blob: '' };
await agent.receive({ type: 'desired', config: signed });
