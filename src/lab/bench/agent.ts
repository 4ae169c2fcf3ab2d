import { spawn, type ChildProcess } from 'node:child_process';
import { mkdir, mkdtemp, open, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { stringify } from 'yaml';
import { AGENT_NODE_FLAGS } from '../../../agent/ports.ts';
import { createCsr, createFileConfigStore, CREDENTIAL_FILES, ensureNodeKey } from '../../../agent/sync/index.ts';
import { createLog, ForemeshError, messageOf, roundTo, runCommand, runCommandText, sleep, systemClock } from '../../base/index.ts';
import { openAuthority, type Authority } from '../../ca/index.ts';
import { allowedSignersLine, ensureSigningKey, formatTrailers, initForge, openRepository } from '../../git/index.ts';
import type { NodeConfig, SignedConfig } from '../../model/index.ts';
import { startCharon, type Charon } from '../charon.ts';
import { readNodeRuntime, writeAgentConfig } from '../gateway-process.ts';
import { isLabPossible } from '../possible.ts';
import { programFile } from '../programs.ts';
import { countIkeSas, listTunnels } from '../sas.ts';
import { agentBenchConfig, type End, ENDS, uplinkAddresses } from './agent-config.ts';

export interface AgentBenchOptions {
  /** 2 … 4096 */
  tunnels: number;
  probe: { intervalMs: number; downAfter: number };
  /** How long the load is measured once all paths are up, ms. */
  loadMs: number;
  onProgress: (text: string) => void;
  signal?: AbortSignal;
}

export interface AgentBenchResult {
  schema: 'foremesh/bench-agent/v1';
  tunnels: number;
  probe: { intervalMs: number; downAfter: number };
  /** From the start of both agents' processes, daemons without anything loaded: all CHILD SAs installed at both ends, and all paths probed up at both. */
  installedMs: number;
  upMs: number;
  /** After a restart of one agent: all paths up there again, and IKE SAs that were there before and are no more, of `tunnels`. */
  adoptedMs: number;
  tornDown: number;
  /** Of one end's agent, its threads included, with every tunnel up and no traffic. */
  agent: { rssMb: number; cpuPercent: number };
}

const LIMIT_MS = 180_000;
/** An agent that has just started compiles what it runs often, once. */
const SETTLE_MS = 15_000;
const ENGINE_IDENTITY = 'engine@foremesh';
const DIGEST = `sha256:${'0'.repeat(64)}`;

interface Gateway {
  end: End;
  namespace: string;
  dir: string;
  charon: Charon;
  agent: ChildProcess | null;
}

/**
 * Two gateways joined by a cable, in namespaces of their own, with a real charon and a real agent each, that run a signed
 * config from disk: no engine. Measures how soon all tunnels are up from cold, and what an agent costs while it holds them.
 * @throws ForemeshError LAB_NOT_POSSIBLE, LAB_FAILED
 */
export async function benchAgent(options: AgentBenchOptions): Promise<AgentBenchResult> {
  const { tunnels, probe, onProgress, signal } = options;
  const possible = await isLabPossible();
  if (!possible.possible) throw new ForemeshError('LAB_NOT_POSSIBLE', { what: possible.reason, fix: 'run on Linux as root' });
  const dir = await mkdtemp(join(tmpdir(), 'fmb-'));
  const prefix = `fmb${process.pid}-`;
  const gateways: Gateway[] = [];
  try {
    onProgress(`two gateways, ${tunnels} tunnels`);
    await buildCable(prefix, tunnels);
    const configs = new Map(ENDS.map((end) => [end, agentBenchConfig(end, tunnels, probe)]));
    const prove = await signConfigs(join(dir, 'git'), [...configs.values()]);
    const authority = await openAuthority({ dir: join(dir, 'ca'), clock: systemClock });
    for (const end of ENDS) {
      const gateway = { end, namespace: `${prefix}${end}`, dir: join(dir, end), agent: null };
      await prepareState(gateway.dir, configs.get(end)!, await prove(configs.get(end)!), authority, join(dir, 'git', 'signers'));
      gateways.push({ ...gateway, charon: await startCharon({ namespace: gateway.namespace, dir: join(gateway.dir, 'charon'), niceness: -10 }) });
    }
    signal?.throwIfAborted();
    const startedMs = systemClock.monotonicMs();
    for (const gateway of gateways) await startAgent(gateway);
    await until(async () => (await Promise.all(gateways.map((gateway) => installedAt(gateway, tunnels)))).every((count) => count >= tunnels), signal);
    const installedMs = systemClock.monotonicMs() - startedMs;
    onProgress(`all SAs installed after ${Math.round(installedMs)} ms`);
    await until(async () => (await Promise.all(gateways.map(isUp))).every(Boolean), signal);
    const upMs = systemClock.monotonicMs() - startedMs;
    onProgress(`all paths up after ${Math.round(upMs)} ms`);
    await sleep(systemClock, SETTLE_MS);
    const agent = await loadOf(gateways[0]!.agent!.pid!, options.loadMs);
    onProgress(`agent: ${agent.rssMb} MB, ${agent.cpuPercent} % of a core`);
    const before = await ikeSasOf(gateways[0]!);
    const restartedMs = systemClock.monotonicMs();
    await stopAgent(gateways[0]!);
    await startAgent(gateways[0]!);
    await until(() => isUp(gateways[0]!), signal);
    const adoptedMs = systemClock.monotonicMs() - restartedMs;
    const after = await ikeSasOf(gateways[0]!);
    const tornDown = [...before].filter((id) => !after.has(id)).length;
    return { schema: 'foremesh/bench-agent/v1', tunnels, probe, installedMs: Math.round(installedMs), upMs: Math.round(upMs), adoptedMs: Math.round(adoptedMs), tornDown, agent };
  } finally {
    for (const gateway of gateways) {
      await stopAgent(gateway);
      await gateway.charon.kill();
    }
    for (const end of ENDS) await runCommand('ip', ['netns', 'del', `${prefix}${end}`]);
    await rm(dir, { recursive: true, force: true });
  }
}

async function buildCable(prefix: string, tunnels: number): Promise<void> {
  const names = ENDS.map((end) => `${prefix}${end}`);
  const batch = async (namespace: string | null, lines: readonly string[]): Promise<void> => {
    await runCommandText('ip', [...(namespace === null ? [] : ['-n', namespace]), '-batch', '-'], { stdin: `${lines.join('\n')}\n` });
  };
  await batch(null, names.map((name) => `netns add ${name}`));
  for (const name of names) {
    await runCommandText('ip', ['netns', 'exec', name, 'sysctl', '-qw', 'net.ipv6.conf.all.disable_ipv6=1', 'net.ipv6.conf.default.disable_ipv6=1', 'net.ipv4.ip_forward=1', 'net.ipv4.conf.all.rp_filter=0', 'net.ipv4.conf.default.rp_filter=0']);
  }
  await batch(null, [`link add wan netns ${names[0]} type veth peer name wan netns ${names[1]}`]);
  for (const [index, end] of ENDS.entries()) {
    await batch(names[index]!, ['link set lo up', 'link add lan type veth peer name host', 'link set lan up', 'link set host up', 'link set wan up', ...uplinkAddresses(end, tunnels).map((address) => `addr add ${address}/15 dev wan`)]);
  }
}

/** Puts the configs into a signed commit and gives the proof of each. */
async function signConfigs(dir: string, configs: readonly NodeConfig[]): Promise<(config: NodeConfig) => Promise<SignedConfig>> {
  await mkdir(dir, { recursive: true });
  await initForge(join(dir, 'forge.git'));
  const { privateKeyFile, publicKey } = await ensureSigningKey(join(dir, 'keys'), ENGINE_IDENTITY);
  await writeFile(join(dir, 'signers'), `${allowedSignersLine(ENGINE_IDENTITY, publicKey)}\n`);
  const repository = await openRepository({ dir: join(dir, 'mirror.git'), remote: join(dir, 'forge.git'), signing: { privateKeyFile, identity: ENGINE_IDENTITY } });
  const trailers = formatTrailers({ generation: 1, parent: 'none', intent: '0'.repeat(40), policy: DIGEST, forecast: DIGEST, telemetry: DIGEST, decision: 'auto', cause: 'bench' });
  const files = new Map(configs.map((config) => [`plan/nodes/${config.node}.yaml`, stringify(config, { aliasDuplicateObjects: false })]));
  const commit = await repository.commit({ parents: [], baseTree: null, replace: { folder: '', files }, message: `bench\n\n${trailers}\n`, author: `Foremesh <${ENGINE_IDENTITY}>`, at: systemClock.now() });
  return (config) => repository.prove(commit, config.node);
}

/** What an agent finds that has joined and has run this config before. */
async function prepareState(dir: string, config: NodeConfig, signed: SignedConfig, authority: Authority, signersFile: string): Promise<void> {
  const stateDir = join(dir, 'agent');
  await mkdir(stateDir, { recursive: true, mode: 0o700 });
  const key = await ensureNodeKey(stateDir);
  const { certificatePem, caPem } = await authority.renew(config.node, createCsr(key, config.node));
  await writeFile(join(stateDir, CREDENTIAL_FILES.certificate), certificatePem);
  await writeFile(join(stateDir, CREDENTIAL_FILES.ca), caPem);
  await writeFile(join(stateDir, CREDENTIAL_FILES.signers), await readFile(signersFile));
  await createFileConfigStore(stateDir, createLog('bench', 'silent')).save({ generation: 1, commit: signed.commit, signed, earlier: [] });
  // nobody listens there: an agent has to do without its engine
  await writeAgentConfig(join(dir, 'agent.json'), { node: config.node, stateDir, engine: 'https://127.0.0.1:9', viciSocket: join(dir, 'charon', 'charon.vici') });
}

async function startAgent(gateway: Gateway): Promise<void> {
  const output = await open(join(gateway.dir, 'agent.log'), 'a', 0o600);
  try {
    gateway.agent = spawn('setpriv', ['--pdeathsig', 'KILL', 'ip', 'netns', 'exec', gateway.namespace, process.execPath, ...AGENT_NODE_FLAGS, await programFile('agent'), '--config', join(gateway.dir, 'agent.json')], { stdio: ['ignore', output.fd, output.fd] });
  } finally {
    await output.close();
  }
}

async function stopAgent(gateway: Gateway): Promise<void> {
  const { agent } = gateway;
  gateway.agent = null;
  if (!agent || agent.exitCode !== null || agent.signalCode !== null) return;
  const ended = new Promise<void>((resolve) => agent.once('exit', () => resolve()));
  agent.kill('SIGTERM');
  await ended;
}

/** CHILD SAs that are installed, 0 while there are fewer than `wanted` IKE SAs: a list of all of them costs the daemon much, their number nothing. */
async function installedAt({ charon }: Gateway, wanted: number): Promise<number> {
  if ((await countIkeSas(charon.socketPath, systemClock)) < wanted) return 0;
  return (await listTunnels(charon.socketPath, systemClock)).filter(({ childState }) => childState === 'INSTALLED').length;
}

/** Names of a daemon's IKE SAs: another one for an SA that was made anew. */
async function ikeSasOf({ charon }: Gateway): Promise<Set<string>> {
  return new Set((await listTunnels(charon.socketPath, systemClock)).map(({ tunnel, ikeId }) => `${tunnel} ${ikeId}`));
}

async function isUp({ dir }: Gateway): Promise<boolean> {
  const runtime = await readNodeRuntime(join(dir, 'agent', 'agent.sock')).catch(() => null); // its socket comes a moment after its start
  return runtime !== null && runtime.tunnels.length > 0 && runtime.tunnels.every(({ pathState }) => pathState === 'up' || pathState === 'degraded'); // it answers; how well, on a machine that is all busy, is another matter
}

async function loadOf(pid: number, durationMs: number): Promise<AgentBenchResult['agent']> {
  const before = await cpuMsOf(pid);
  const sinceMs = systemClock.monotonicMs();
  await sleep(systemClock, durationMs);
  const cpuMs = (await cpuMsOf(pid)) - before;
  const rssKb = Number(/^VmRSS:\s+(\d+) kB/m.exec(await readFile(`/proc/${pid}/status`, 'utf8'))?.[1]);
  return { rssMb: roundTo(rssKb / 1024, 1), cpuPercent: roundTo((100 * cpuMs) / (systemClock.monotonicMs() - sinceMs), 1) };
}

/** Of all its threads; the kernel counts in hundredths of a second. */
async function cpuMsOf(pid: number): Promise<number> {
  const fields = (await readFile(`/proc/${pid}/stat`, 'utf8')).replace(/^.*\) /, '').split(' ');
  return (Number(fields[11]) + Number(fields[12])) * 10;
}

async function until(check: () => Promise<boolean>, signal: AbortSignal | undefined): Promise<void> {
  const deadlineMs = systemClock.monotonicMs() + LIMIT_MS;
  for (let last: unknown = null; ; ) {
    signal?.throwIfAborted();
    const beganMs = systemClock.monotonicMs();
    try {
      if (await check()) return;
    } catch (cause) {
      last = cause;
    }
    if (systemClock.monotonicMs() > deadlineMs) throw new ForemeshError('LAB_FAILED', { what: `not every tunnel was up after ${LIMIT_MS / 1000} s${last === null ? '' : `: ${messageOf(last)}`}`, fix: 'try fewer tunnels' });
    // looking costs the same processor that is measured
    await sleep(systemClock, Math.min(500, Math.max(50, 4 * (systemClock.monotonicMs() - beganMs))));
  }
}
