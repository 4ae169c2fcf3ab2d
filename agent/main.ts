import { mkdir } from 'node:fs/promises';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { createAnchoredClock, createLog, ForemeshError, keepCommandHelper, type Log, messageOf, systemClock } from '../src/base/index.ts';
import { localMachine } from './dataplane/index.ts';
import { isTunnelId } from './driver.ts';
import { resolveDriver } from './driver-choice.ts';
import { AGENT_VERSION, createAgent } from './agent.ts';
import { obtainIdentity } from './identity.ts';
import { createMachinePorts } from './machine-ports.ts';
import { type AgentSettings, readSettings } from './settings.ts';
import { runSetup, SETUP_COMMANDS } from './setup/index.ts';
import { listenStatus } from './status-socket.ts';
import { connectChannel, createPpkKeeper, createRevocationGuard, CREDENTIAL_FILES, createVerifier, fetchPpk, openRenewalNote } from './sync/index.ts';

const USAGE = `usage: foremesh agent --config FILE [--clear]
       foremesh agent install|doctor [--help]

Runs the endpoint agent of one gateway. SIGTERM or SIGINT ends it and leaves forwarding as it is.
  --config FILE   YAML or JSON: node, stateDir, engine, joinTokenFile, viciSocket, probePort, heartbeatPort, driver, management, logLevel
  --clear         ends this node's tunnels and takes its rules, routes and interfaces away instead
`;
/** A stop that takes longer is cut short: forwarding does not depend on it, ms. */
const STOP_LIMIT_MS = 5_000;

process.exit(await main(process.argv.slice(2)));

/** Resolves with the exit code when the agent has ended. */
async function main(args: string[]): Promise<number> {
  try {
    const setup = SETUP_COMMANDS.find((command) => command === args[0]);
    if (setup) return await runSetup(setup, args.slice(1));
    const { values } = parseArgs({ args, options: { config: { type: 'string' }, clear: { type: 'boolean', default: false }, help: { type: 'boolean', default: false } } });
    if (values.help) return said(process.stdout, USAGE, 0);
    if (values.config === undefined) return said(process.stderr, USAGE, 2);
    const settings = await readSettings(values.config);
    const log = createLog(`agent ${settings.node}`, settings.logLevel);
    await (values.clear ? clear(settings, log) : run(settings, log));
    return 0;
  } catch (cause) {
    return said(process.stderr, `${messageOf(cause)}\n`, cause instanceof ForemeshError ? cause.exitCode : 2);
  }
}

async function run(settings: AgentSettings, log: Log): Promise<void> {
  keepCommandHelper(0); // ip and nft may wait; packets and probes may not
  const { node, stateDir } = settings;
  await mkdir(stateDir, { recursive: true, mode: 0o700 });
  let runtime = (): unknown => ({ node, generation: 0, commit: null, tunnels: [], leakPackets: 0, holdsLan: false, lanAddresses: [], repairs: 0, configSignedAt: null, engineSilentMs: 0, alarms: [], drift: ['not joined yet'], connected: false, settled: false });
  const statusSocket = await listenStatus(join(stateDir, 'agent.sock'), () => runtime(), log);
  const ended = endSignal();
  const clock = createAnchoredClock(systemClock);
  const identity = await Promise.race([obtainIdentity(settings, clock, log), ended]);
  if (identity === 'ended') return statusSocket.close();

  const driver = await Promise.race([resolveDriver(settings.driver, { ...settings, machine: localMachine, clock: systemClock, log }), ended]);
  if (driver === 'ended') return statusSocket.close();

  const ports = createMachinePorts(settings, driver, log);
  const ppks = createPpkKeeper({ stateDir, node, fetch: (peer) => fetchPpk({ engine: settings.engine, credentials: identity.current(), peer }), clock: systemClock, log });
  const agent = createAgent({
    node,
    stateDir,
    ports,
    clock: systemClock,
    log,
    credentials: identity.current(),
    engineHost: settings.engine.host,
    verify: createVerifier({ node, allowedSignersFile: join(stateDir, CREDENTIAL_FILES.signers), signerIdentity: settings.engineIdentity }),
    send: (message) => void channel.send(message),
    ppks,
    revocations: createRevocationGuard({ stateDir, ipsec: ports.ipsec, caPem: () => identity.current().caPem, onRevoked: (nodes) => ppks.forget(nodes), clock: systemClock, log }),
    renewal: await openRenewalNote(stateDir, log),
    renewCertificate: () => identity.renewNow(),
  });
  runtime = () => agent.runtime();
  await agent.start();
  const channel = connectChannel({
    ...settings.engine,
    node,
    credentials: () => identity.current(),
    clock: systemClock,
    log,
    onMessage: (message) => void agent.receive(message),
    onOpen() {
      const { generation, commit } = agent.runtime();
      channel.send({ type: 'hello', node, version: AGENT_VERSION, generation, commit });
      agent.connected();
      identity.refreshSigners();
    },
    onClose: () => agent.disconnected(),
  });
  identity.keepFresh((credentials) => agent.useCredentials(credentials));

  await ended;
  log.info('the agent stops; forwarding stays as it is');
  identity.stop();
  channel.close();
  await withinLimit(agent.stop());
  await Promise.all([ports.ipsec.close(), statusSocket.close()]);
}

/** Ends our SAs and takes all of our kernel state away; what is stored stays, so the node can come back. */
async function clear(settings: AgentSettings, log: Log): Promise<void> {
  await mkdir(settings.stateDir, { recursive: true, mode: 0o700 });
  const statusSocket = await listenStatus(join(settings.stateDir, 'agent.sock'), () => ({ clearing: true }), log); // refused while an agent runs
  const { ipsec, dataplane } = createMachinePorts(settings, 'libipsec', log); // what there is goes, whichever driver made it
  try {
    for (const { tunnel } of (await ipsec.listSas()).filter((sa) => isTunnelId(sa.tunnel))) await ipsec.terminate(tunnel);
    for (const tunnel of (await ipsec.listConnections()).filter(isTunnelId)) await ipsec.unloadConnection(tunnel);
  } catch (cause) {
    log.warn({ error: messageOf(cause) }, 'the IKE daemon does not answer: its tunnels, if any, were not ended');
  }
  await dataplane.clear();
  await Promise.all([ipsec.close(), statusSocket.close()]);
}

function endSignal(): Promise<'ended'> {
  return new Promise((resolve) => {
    for (const signal of ['SIGTERM', 'SIGINT'] as const) process.once(signal, () => resolve('ended'));
  });
}

async function withinLimit(work: Promise<void>): Promise<void> {
  let cancel = (): void => undefined;
  const limit = new Promise<void>((resolve) => {
    cancel = systemClock.setTimer(STOP_LIMIT_MS, resolve);
  });
  await Promise.race([work, limit]);
  cancel();
}

function said(stream: NodeJS.WriteStream, text: string, exitCode: number): number {
  stream.write(text);
  return exitCode;
}
