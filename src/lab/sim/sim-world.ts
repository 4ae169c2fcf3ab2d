import { X509Certificate } from 'node:crypto';
import { mkdir, mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { AGENT_VERSION, createAgent, createMemoryConfigStore, createMemoryOutbox, type Agent, type ConfigStore, type Credentials, type Outbox } from '../../../agent/index.ts';
import { createVerifier } from '../../../agent/sync/index.ts';
import { createLog, createRng, ForemeshError, VirtualClock, type Log, type Rng } from '../../base/index.ts';
import { createNodeKey, openAuthority, type Authority } from '../../ca/index.ts';
import { createInlineForecaster, type Forecaster } from '../../forecast/index.ts';
import { nodesOf, reachableAddress, uplinksOfPath, type Cause, type Intent, type NodeId, type PathId, type SiteId, type UplinkId } from '../../model/index.ts';
import type { Checkpoint } from '../../reconcile/index.ts';
import { createMemoryStore, type TelemetryStore } from '../../telemetry/index.ts';
import { defaultProfiles } from '../net/index.ts';
import type { PathProfile, PingReport, Sender, World } from '../world.ts';
import { SIM_ENGINE_IDENTITY, startSimEngine, type SimEngine } from './engine.ts';
import { SimGateway, type SimMesh } from './gateway.ts';
import type { HostPacket } from './kernel.ts';
import { SimLan } from './lan.ts';
import { SimChannel } from './messages.ts';
import { SimSender } from './traffic.ts';
import { SimWan } from './wan.ts';

export interface SimWorldOptions {
  intent: Intent;
  forgeDir: string;
  operatorKeyFile: string;
  opa: string;
  seed: string;
  /** Virtual time to begin at, epoch ms. */
  startAt: number;
  /** For the engine's state; a temporary folder otherwise. */
  dir?: string;
  historyDays?: number;
  /** Called with the engine's state folder before it starts, e.g. to put a recorded history there. */
  prepare?: (stateDir: string) => Promise<void>;
  forecaster?: Forecaster;
  checkpoint?: (name: Checkpoint) => void | Promise<void>;
  log?: Log;
}

export interface SimWorld extends World {
  readonly kind: 'simulated';
  readonly clock: VirtualClock;
  readonly engineStateDir: string;
  /** Runs a cycle now, at standing time. */
  cycle(cause?: Cause): Promise<void>;
}

interface SimNode {
  node: NodeId;
  gateway: SimGateway;
  channel: SimChannel;
  credentials: Credentials;
  configs: ConfigStore;
  outbox: Outbox;
  agent: Agent | null;
}

/** Between two looks at the channel; no message waits longer than this. */
const STEP_MS = 20;
const FAR: PathProfile = { delayMs: 20, jitterMs: 0.5, lossRatio: 0, bandwidthMbps: 0, down: false };

/**
 * The whole mesh in one process on virtual time: the real engine (Git, Rego, model, API), the real agents, and a network
 * of packets behind the agents' ports. The same options and seed give the same run.
 */
export async function createSimWorld(options: SimWorldOptions): Promise<SimWorld> {
  const dir = options.dir ?? (await mkdtemp(join(tmpdir(), 'foremesh-sim-')));
  const clock = new VirtualClock(options.startAt);
  const log = options.log ?? createLog('sim', 'silent');
  const rng = createRng(options.seed);
  const stateDir = join(dir, 'engine');
  await mkdir(stateDir, { recursive: true, mode: 0o700 });
  await options.prepare?.(stateDir);
  const store = createMemoryStore({ clock });
  const authority = await openAuthority({ dir: join(stateDir, 'ca'), clock });
  const forecaster = options.forecaster ?? (await createInlineForecaster({}));
  const startEngine = (): Promise<SimEngine> =>
    startSimEngine({ clock, log, seed: options.seed, stateDir, forgeDir: options.forgeDir, opa: options.opa, store, forecaster, authority, historyDays: options.historyDays ?? 7, ...(options.checkpoint ? { checkpoint: options.checkpoint } : {}) });
  return new Simulation({ options, dir, stateDir, clock, log, rng, store, authority, forecaster, engine: await startEngine(), startEngine }).start();
}

interface SimulationParts {
  options: SimWorldOptions;
  dir: string;
  stateDir: string;
  clock: VirtualClock;
  log: Log;
  rng: Rng;
  store: TelemetryStore;
  authority: Authority;
  forecaster: Forecaster;
  engine: SimEngine;
  startEngine: () => Promise<SimEngine>;
}

class Simulation implements SimWorld {
  readonly kind = 'simulated';
  readonly clock: VirtualClock;
  readonly forgeDir: string;
  readonly operatorKeyFile: string;
  readonly engineStateDir: string;
  readonly api: World['api'];
  readonly #parts: SimulationParts;
  readonly #wan: SimWan;
  readonly #nodes = new Map<NodeId, SimNode>();
  readonly #gateways = new Map<NodeId, SimGateway>();
  readonly #senders = new Set<Sender>();
  #engine: SimEngine | null;
  #nextCycleAt: number;
  #wantedCause: Cause | null = null;
  #isClosed = false;

  constructor(parts: SimulationParts) {
    this.#parts = parts;
    this.clock = parts.clock;
    this.forgeDir = parts.options.forgeDir;
    this.operatorKeyFile = parts.options.operatorKeyFile;
    this.engineStateDir = parts.stateDir;
    this.#engine = parts.engine;
    this.#nextCycleAt = parts.clock.now();
    this.#wan = this.#makeWan();
    this.api = { request: (method, path, body) => this.#request(method, path, body) };
  }

  async start(): Promise<SimWorld> {
    const { intent } = this.#parts.options;
    const addresses = new Map<string, UplinkId>(nodesOf(intent).flatMap((node) => node.uplinks.flatMap((uplink) => [uplink.address, reachableAddress(uplink) ?? uplink.address].map((address) => [address, uplink.id] as const))));
    const lans = new Map(intent.sites.map(({ id }) => [id, new SimLan(this.clock)]));
    const mesh: SimMesh = { clock: this.clock, seed: this.#parts.options.seed, log: this.#parts.log, wan: this.#wan, daemons: new Map(), kernels: new Map(), gateways: this.#gateways, addresses, lans, toHost: (_site, packet) => packet.arrive() };
    for (const { id, site } of nodesOf(intent)) {
      const gateway = new SimGateway(id, site, mesh);
      this.#nodes.set(id, {
        node: id,
        gateway,
        channel: new SimChannel(id),
        credentials: await this.#enrol(id),
        configs: createMemoryConfigStore(),
        outbox: createMemoryOutbox(),
        agent: null,
      });
    }
    this.#listen();
    for (const node of this.#nodes.values()) await this.#startAgent(node);
    await this.#deliverAll();
    return this;
  }

  async pass(durationMs: number): Promise<void> {
    const untilAt = this.clock.now() + durationMs;
    while (this.clock.now() < untilAt) {
      await this.clock.advance(Math.min(STEP_MS, untilAt - this.clock.now()));
      await this.#deliverAll();
      if (this.#engine && (this.#wantedCause !== null || this.clock.now() >= this.#nextCycleAt)) await this.cycle(this.#wantedCause ?? undefined);
    }
  }

  async until<T>(check: () => Promise<T | null | undefined | false> | T | null | undefined | false, limitMs: number): Promise<T | null> {
    const deadlineAt = this.clock.now() + limitMs;
    for (;;) {
      const found = await check();
      if (found !== null && found !== undefined && found !== false) return found;
      if (this.clock.now() >= deadlineAt) return null;
      await this.pass(100);
    }
  }

  async cycle(cause?: Cause): Promise<void> {
    if (!this.#engine) return;
    this.#wantedCause = null;
    this.#nextCycleAt = this.clock.now() + this.#parts.options.intent.mesh.cycleMs;
    await this.#engine.engine.cycle(cause);
    await this.#engine.engine.trained();
    await this.#deliverAll();
  }

  async startSender(spec: Parameters<World['startSender']>[0]): Promise<Sender> {
    const sender = new SimSender(spec, this.clock, (packet) => this.#fromHost(packet));
    this.#senders.add(sender);
    return sender;
  }

  async underlay(): ReturnType<World['underlay']> {
    return this.#wan.report();
  }

  async setPath(path: PathId, profile: Partial<PathProfile>, direction: 'both' | 'forward' | 'reverse' = 'both'): Promise<void> {
    const [a, b] = uplinksOfPath(path);
    const directions = { both: [`${a}>${b}`, `${b}>${a}`], forward: [`${a}>${b}`], reverse: [`${b}>${a}`] };
    this.#wan.setProfile(path, profile, directions[direction]);
  }

  async listSas(node: NodeId): ReturnType<World['listSas']> {
    return this.#node(node).gateway.listSas();
  }

  async ping(from: SiteId, to: SiteId, count: number): Promise<PingReport> {
    const roundTripsMs: number[] = [];
    for (let index = 0; index < count; index++) {
      const sentMs = this.clock.monotonicMs();
      const echo = (one: SiteId, other: SiteId, arrive: () => void): HostPacket => ({ from: one, to: other, protocol: 'icmp', port: 0, flow: 'ping', bytes: 84, arrive });
      this.#fromHost(echo(from, to, () => this.#fromHost(echo(to, from, () => roundTripsMs.push(this.clock.monotonicMs() - sentMs)))));
      await this.pass(200);
    }
    await this.pass(300);
    const mean = roundTripsMs.reduce((sum, ms) => sum + ms, 0) / roundTripsMs.length;
    return { sent: count, received: roundTripsMs.length, latencyMs: roundTripsMs.length > 0 ? mean : null };
  }

  async throughput(tunnel: Parameters<World['throughput']>[0], durationMs: number, targetMbps: number): Promise<{ mbps: number; lostRatio: number }> {
    const from = [...this.#nodes.values()].find(({ gateway }) => gateway.listSas().some((sa) => sa.tunnel === tunnel));
    if (!from) throw new ForemeshError('LAB_FAILED', { what: `tunnel ${tunnel} is not up anywhere`, fix: 'wait until its SA is established' });
    const bytes = 1200;
    const intervalMs = (bytes * 8) / (targetMbps * 1000);
    let sent = 0;
    let received = 0;
    let stopped = false;
    const send = (): void => {
      if (stopped) return;
      sent++;
      from.gateway.sendThroughTunnel(tunnel, bytes, () => received++);
      this.clock.setTimer(intervalMs, send);
    };
    send();
    await this.pass(durationMs);
    stopped = true;
    await this.pass(300);
    return { mbps: (received * bytes * 8) / (durationMs * 1000), lostRatio: sent > 0 ? 1 - received / sent : 0 };
  }

  async inventory(): ReturnType<World['inventory']> {
    return [...this.#nodes.values()].map(({ node, credentials }) => {
      const certificate = new X509Certificate(credentials.certificatePem);
      return { node, where: 'this process', daemon: 'simulated IKEv2', certificate: `${certificate.subject.replaceAll('\n', ' ')}, by ${certificate.issuer.replaceAll('\n', ' ')}` };
    });
  }

  async nodeState(node: NodeId): ReturnType<World['nodeState']> {
    const { agent } = this.#node(node);
    if (!agent) throw new ForemeshError('LAB_FAILED', { what: `the agent of ${node} does not run`, fix: 'restart it' });
    return agent.runtime();
  }

  async kill(what: Parameters<World['kill']>[0]): Promise<void> {
    if (what.kind === 'engine') {
      for (const { channel } of this.#nodes.values()) channel.disconnect();
      await this.#engine?.close();
      this.#engine = null;
      return;
    }
    const node = this.#node(what.node);
    if (what.kind === 'daemon') return node.gateway.killDaemon();
    node.channel.disconnect();
    await node.agent?.stop({ abrupt: true });
    node.agent = null;
    if (what.kind === 'node') node.gateway.powerOff();
  }

  async setLan(node: NodeId, isConnected: boolean): Promise<void> {
    this.#node(node).gateway.setLan(isConnected);
  }

  async restart(what: Parameters<World['restart']>[0]): Promise<void> {
    await this.kill(what);
    if (what.kind === 'engine') {
      this.#engine = await this.#parts.startEngine();
      this.#nextCycleAt = this.clock.now();
      this.#listen();
      for (const node of this.#nodes.values()) if (node.agent) node.channel.connect(this.#engine.hub, node.agent, AGENT_VERSION);
    } else if (what.kind === 'daemon') this.#node(what.node).gateway.startDaemon();
    else {
      if (what.kind === 'node') this.#node(what.node).gateway.powerOn();
      await this.#startAgent(this.#node(what.node));
    }
    await this.#deliverAll();
  }

  async close(): Promise<void> {
    if (this.#isClosed) return;
    this.#isClosed = true;
    for (const sender of this.#senders) await sender.stop();
    for (const node of this.#nodes.values()) {
      node.channel.disconnect();
      await node.agent?.stop();
    }
    await this.#engine?.close();
    await this.#parts.forecaster.close();
    await this.#parts.store.close();
    await rm(this.#parts.dir, { recursive: true, force: true });
  }

  /** A path failure wakes the engine at once, as its own loop does. */
  #listen(): void {
    this.#engine?.hub.onEvent((_node, event) => {
      if (event.kind === 'drift') return;
      this.#wantedCause = event.kind === 'path-down' ? 'failure' : (this.#wantedCause ?? 'forecast');
    });
  }

  async #startAgent(node: SimNode): Promise<void> {
    const verify = createVerifier({ node: node.node, allowedSignersFile: join(this.#parts.stateDir, 'keys', 'allowed_signers'), signerIdentity: SIM_ENGINE_IDENTITY });
    const agent = createAgent({
      node: node.node,
      stateDir: join(this.#parts.dir, 'nodes', node.node),
      ports: node.gateway.ports,
      clock: this.clock,
      log: this.#parts.log,
      credentials: node.credentials,
      verify,
      send: (message) => node.channel.send(message),
      storage: { configs: node.configs, outbox: node.outbox },
    });
    node.agent = agent;
    await agent.start();
    if (this.#engine) node.channel.connect(this.#engine.hub, agent, AGENT_VERSION);
  }

  async #enrol(node: NodeId): Promise<Credentials> {
    const { authority } = this.#parts;
    const key = await createNodeKey();
    const token = await authority.createJoinToken(node, 60_000);
    const { certificatePem, caPem } = await authority.enrol(token, await key.csrPem(node));
    return { caPem, certificatePem, privateKeyPem: key.privateKeyPem };
  }

  async #deliverAll(): Promise<void> {
    for (let any = true; any; ) {
      any = false;
      for (const { channel } of this.#nodes.values()) any = (await channel.deliver()) || any;
    }
  }

  /** Requests that become commits wait for a cycle; time stands still for the person who asks. */
  async #request(method: string, path: string, body?: unknown): Promise<{ status: number; body: unknown }> {
    if (!this.#engine) throw new ForemeshError('API_UNREACHABLE', { what: 'the engine does not run', fix: 'restart it' });
    const answer = this.#engine.request(method, path, body);
    const waitsForCycle = method !== 'GET' && /^\/v1\/(overrides|vetoes)/.test(path);
    const result = waitsForCycle ? await this.#cycleUntil(answer) : await answer;
    await this.#deliverAll();
    return result;
  }

  async #cycleUntil<T>(answer: Promise<T>): Promise<T> {
    const progress = { isAnswered: false };
    void answer.finally(() => {
      progress.isAnswered = true;
    });
    while (!progress.isAnswered) {
      await new Promise((resolve) => setImmediate(resolve));
      await this.cycle('override');
    }
    return answer;
  }

  #fromHost(packet: HostPacket): void {
    const serving = nodesOf(this.#parts.options.intent).find(({ site, id }) => site === packet.from && this.#gateways.get(id)?.serves(`${packet.port} ${packet.flow}`));
    if (serving) this.#gateways.get(serving.id)?.forward(packet);
  }

  #node(id: NodeId): SimNode {
    const node = this.#nodes.get(id);
    if (!node) throw new ForemeshError('LAB_FAILED', { what: `there is no node ${id}`, fix: `use one of ${[...this.#nodes.keys()].join(', ')}` });
    return node;
  }

  #makeWan(): SimWan {
    const { intent } = this.#parts.options;
    const rates = new Map(nodesOf(intent).flatMap((node) => node.uplinks.map((uplink) => [uplink.id, { upMbps: uplink.upMbps, downMbps: uplink.downMbps }] as const)));
    const profiles = new Map(defaultProfiles(intent).map(({ path, forward }) => [path, forward]));
    return new SimWan({ clock: this.clock, rng: this.#parts.rng.fork('wan'), rates, profileOf: (path) => profiles.get(path) ?? FAR });
  }
}
