import { mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { ForemeshError, readFileIfExists, sleep, type SourceFile } from '../base/index.ts';
import type { NodeId } from '../model/index.ts';
import { type EngineCommand, engineApi, engineStateDir, engineUrl, ensureEngine, serveCommand, writeEngineConfig } from './engine-process.ts';
import { describeGateway, ensureAgent, ensureDaemon, gatewayFiles, gatewayOf, type LabNodeRuntime, readNodeRuntime, writeAgentConfig } from './gateway-process.ts';
import { allEnded, inGroups } from './in-groups.ts';
import { createMeshRepository, type MeshRepository } from './mesh-repository.ts';
import type { GatewayLayout } from './net/index.ts';
import { attachNetwork, type LabNetwork, type NetworkOptions, startNetwork } from './network.ts';
import { killGateway, reviveGateway, setLanLink } from './gateway-power.ts';
import { isLabPossible } from './possible.ts';
import { underlayReport } from './relay/index.ts';
import { cleanUpAbandoned, findProcess, killMarked } from './run/index.ts';
import { listTunnels, type ListedTunnel } from './sas.ts';
import { findTunnel, measureThroughput } from './throughput.ts';
import type { World } from './world.ts';

export interface LabWorldOptions extends NetworkOptions {
  /** What `main` begins with (`mesh-config/**`, `policies/**`), or a forge that has it already. */
  repository: { files: readonly SourceFile[] } | MeshRepository;
  /** Program `opa` for the engine. */
  opa: string;
  /** The first plan waits for the models; by default it comes at once. */
  firstPlanAfterTraining?: boolean;
  /** Called with the engine's state folder before the engine starts, e.g. to put a recorded history there. */
  prepareEngine?: (stateDir: string) => Promise<void>;
  /** Instead of `foremesh serve`. */
  engineCommand?: EngineCommand;
  /** False: gateways run daemons but no agents (and no engine is needed for join tokens). Default: true. */
  agents?: boolean;
  /** One line per step, for progress. */
  onStep?: (text: string) => void;
}

/** A `World` of real namespaces, daemons, agents and packets, and what the lab alone can tell. */
export interface LabWorld extends World {
  readonly kind: 'lab';
  readonly id: string;
  readonly network: LabNetwork;
  /** SAs with their addresses, as charon lists them; [] when the daemon does not run. */
  listTunnels(node: NodeId): Promise<ListedTunnel[]>;
  nodeState(node: NodeId): Promise<LabNodeRuntime>;
}

/** What another process needs besides the network's record. */
interface WorldFile {
  forgeDir: string;
  operatorKeyFile: string;
  detached: boolean;
}

/** Two cores gain nothing from more. */
const AT_ONCE = 3;
const STEP_MS = 50;

/**
 * Brings up the real lab: network, daemons, engine, agents; returns when the engine's API answers and every agent has
 * joined and is connected to it (tunnels come with the first plan). Labs whose owner died are cleaned up first.
 * @throws ForemeshError LAB_NOT_POSSIBLE with the reason in one line; LAB_FAILED, and nothing is left then
 */
export async function createLabWorld(options: LabWorldOptions): Promise<LabWorld> {
  const step = options.onStep ?? (() => undefined);
  const possible = await isLabPossible();
  if (!possible.possible) throw new ForemeshError('LAB_NOT_POSSIBLE', { what: possible.reason, fix: 'use the simulated network: --simulated' });
  step('network namespaces and WAN');
  const network = await startNetwork(options);
  try {
    await cleanUpAbandoned(network.clock);
    const repository = 'files' in options.repository ? await createMeshRepository({ dir: join(network.folder, 'repository'), files: options.repository.files, at: network.clock.now() }) : options.repository;
    const file: WorldFile = { forgeDir: repository.forgeDir, operatorKeyFile: repository.operatorKeyFile, detached: options.detached ?? false };
    await writeFile(join(network.folder, 'world.json'), JSON.stringify(file), { mode: 0o600 });
    await writeEngineConfig(network, { firstPlanAfterTraining: options.firstPlanAfterTraining ?? false, forgeDir: repository.forgeDir, opa: options.opa, seed: options.seed ?? network.id });
    await mkdir(join(network.folder, 'nodes'), { recursive: true });
    await mkdir(engineStateDir(network), { recursive: true, mode: 0o700 });
    await options.prepareEngine?.(engineStateDir(network));
    options.signal?.throwIfAborted();
    step('IKE daemons and engine');
    const nodes = network.layout.gateways.map((gateway) => gateway.node);
    await allEnded([
      inGroups(nodes, AT_ONCE, (node) => ensureDaemon(network, node, file.detached)),
      options.agents === false && !options.engineCommand ? Promise.resolve() : ensureEngine(network, options.engineCommand ?? serveCommand, options.signal),
    ]);
    const world = buildWorld(network, file, options.engineCommand ?? serveCommand);
    if (options.agents !== false) {
      step('agents');
      await inGroups(nodes, AT_ONCE, (node) => enrolAgent(world, node));
      await waitForAgents(world, nodes, options.signal);
    }
    options.signal?.throwIfAborted();
    return world;
  } catch (cause) {
    await network.close();
    throw cause;
  }
}

/** The world of a lab that another process started. @throws ForemeshError LAB_FAILED when there is none of that id */
export async function attachLabWorld(id: string): Promise<LabWorld> {
  const network = await attachNetwork(id);
  const text = await readFileIfExists(join(network.folder, 'world.json'));
  if (text === null) throw new ForemeshError('LAB_FAILED', { what: `lab "${id}" has a network but no engine`, fix: `foremesh lab down ${id}, then up again` });
  return buildWorld(network, JSON.parse(text) as WorldFile, serveCommand);
}

function buildWorld(network: LabNetwork, file: WorldFile, engineCommand: EngineCommand): LabWorld {
  const { clock, layout } = network;
  const files = (node: NodeId): ReturnType<typeof gatewayFiles> => gatewayFiles(network, gatewayOf(network, node).node);
  const listAt = async (node: NodeId): Promise<ListedTunnel[]> => {
    try {
      return await listTunnels(files(node).viciSocket, clock);
    } catch (cause) {
      if (cause instanceof ForemeshError && cause.code === 'VICI_CLOSED') return []; // a daemon that does not run has no SAs
      throw cause;
    }
  };
  const roleOf = (what: Parameters<World['kill']>[0]): string => (what.kind === 'engine' ? 'engine' : `${what.kind === 'agent' ? 'agent' : 'charon'}.${what.node}`);

  return {
    kind: 'lab',
    id: network.id,
    network,
    clock,
    forgeDir: file.forgeDir,
    operatorKeyFile: file.operatorKeyFile,
    api: engineApi(network),
    pass: (durationMs) => sleep(clock, durationMs),
    async until(check, limitMs) {
      const deadlineMs = clock.monotonicMs() + limitMs;
      for (;;) {
        const found = await check();
        if (found !== null && found !== undefined && found !== false) return found;
        if (clock.monotonicMs() >= deadlineMs) return null;
        await sleep(clock, STEP_MS);
      }
    },
    startSender: (spec) => network.startSender(spec),
    underlay: async () => underlayReport(await network.report()),
    setPath: (path, profile, direction) => network.setPath(path, profile, direction),
    listTunnels: listAt,
    listSas: async (node) => (await listAt(node)).map(({ tunnel, peer, ikeState, childState, ikeSuite, espSuite, packetsIn, packetsOut }) => ({ tunnel, peer, ikeState, childState, ikeSuite, espSuite, packetsIn, packetsOut })),
    ping: (from, to, count) => network.ping(from, to, count),
    async throughput(tunnel, durationMs, targetMbps) {
      const listed = new Map<GatewayLayout, ListedTunnel[]>();
      for (const gateway of layout.gateways) listed.set(gateway, await listAt(gateway.node));
      return measureThroughput(findTunnel(tunnel, listed), durationMs, targetMbps, clock);
    },
    inventory: () => Promise.all(layout.gateways.map((gateway) => describeGateway(network, gateway))),
    nodeState: (node) => readNodeRuntime(files(node).agentSocket),
    async kill(what) {
      if (what.kind === 'node') return killGateway(network, what.node);
      const running = await findProcess(network.id, roleOf(what));
      if (running) await killMarked(running, clock);
    },
    setLan: (node, isConnected) => setLanLink(network, node, isConnected),
    async restart(what) {
      if (what.kind === 'node') return reviveGateway(network, what.node, file.detached);
      const running = await findProcess(network.id, roleOf(what));
      if (running) await killMarked(running, clock);
      if (what.kind === 'engine') return ensureEngine(network, engineCommand);
      return what.kind === 'agent' ? ensureAgent(network, what.node) : ensureDaemon(network, what.node, file.detached);
    },
    close: () => network.close(),
  };
}

/** A one-time token from the engine, then the agent's first start: it makes its key and has it signed over the channel. */
async function enrolAgent(world: LabWorld, node: NodeId): Promise<void> {
  const answer = await world.api.request('POST', '/v1/join-tokens', { node });
  const token = (answer.body as { token?: unknown } | null)?.token;
  if (answer.status >= 300 || typeof token !== 'string') {
    throw new ForemeshError('LAB_FAILED', { what: `the engine gave no join token for ${node}: ${answer.status}`, fix: 'see logs/engine.log of the lab' });
  }
  const files = gatewayFiles(world.network, node);
  await mkdir(files.agentStateDir, { recursive: true, mode: 0o700 });
  await writeAgentConfig(files.agentConfig, { node, stateDir: files.agentStateDir, engine: engineUrl(world.network), viciSocket: files.viciSocket, joinToken: token });
  await ensureAgent(world.network, node);
}

const JOIN_LIMIT_MS = 90_000;

/** @throws ForemeshError LAB_FAILED naming the agents that have not joined in time */
async function waitForAgents(world: LabWorld, nodes: readonly NodeId[], signal: AbortSignal | undefined): Promise<void> {
  const missing = new Set(nodes);
  const allConnected = await world.until(async () => {
    signal?.throwIfAborted();
    for (const node of missing) {
      const runtime = await world.nodeState(node).catch(() => null); // its socket comes a moment after its start
      if (runtime?.connected === true) missing.delete(node);
    }
    return missing.size === 0;
  }, JOIN_LIMIT_MS);
  if (!allConnected) throw new ForemeshError('LAB_FAILED', { what: `no connection to the engine: ${[...missing].join(', ')}`, fix: 'see logs/agent.*.log and logs/engine.log of the lab' });
}
