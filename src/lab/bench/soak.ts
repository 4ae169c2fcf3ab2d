import { createRng, ForemeshError, messageOf, runCommandText, type Rng } from '../../base/index.ts';
import type { NodeId } from '../../model/index.ts';
import { gatewayOf } from '../gateway-process.ts';
import { createLabWorld, type LabWorld } from '../lab-world.ts';
import { findProcess, killMarked } from '../run/index.ts';
import { createBenchMesh } from './bench-mesh.ts';
import { streamSpecs, waitUntilSettled } from './failover.ts';
import { spreadOf, type Spread } from './statistics.ts';
import { createStreams, type Streams } from './streams.ts';

export interface SoakOptions {
  /** Of each victim. */
  rounds: number;
  victims: readonly SoakVictim[];
  seed: string;
  /** One line a round. */
  onProgress: (text: string) => void;
  signal?: AbortSignal;
}

export interface SoakVictimResult {
  rounds: number;
  /** From the deed until what ends it is there again: the process, the rules, the guards. */
  backMs: Spread;
  /** From the deed until every agent has nothing left to do and every tunnel is up; longer when the engine answered fallen paths with other tunnels. */
  settledMs: Spread;
  lostPackets: Pick<Spread, 'p50' | 'p99' | 'max'>;
  lostPacketsTotal: number;
  sentPackets: number;
  /** Packets of hosts that the WAN saw unencrypted; must be 0. */
  clearTextPackets: number;
  /** Packets that only the anti-leak chain stopped; 0 while the guard routes are in place. */
  leakPackets: number;
  /** Rounds that did not settle, with the reason. */
  broken: string[];
}

export interface SoakResult {
  schema: 'foremesh/bench-soak/v1';
  victims: Record<string, SoakVictimResult>;
}

/** What is done to a gateway; ends when whoever looks after processes on a real one (systemd) would have started it again. */
const DEEDS = {
  /** kill -9 of the agent, started again within 1.5 s. */
  agent: (world, node, rng) => killAndRestart(world, { kind: 'agent', node }, 'SIGKILL', rng),
  /** kill -9 of charon: its SAs, its device and every tunnel interface of the node are gone with it. */
  daemon: (world, node, rng) => killAndRestart(world, { kind: 'daemon', node }, 'SIGKILL', rng),
  /** The same by SIGTERM: charon tells its peers and takes its routes away itself. */
  'daemon-term': (world, node, rng) => killAndRestart(world, { kind: 'daemon', node }, 'SIGTERM', rng),
  /** Somebody deletes all our rules; ends when they are back. */
  async rules(world, node) {
    await inNode(world, node, 'nft', 'delete', 'table', 'inet', 'foremesh');
    await untilSaid(world, node, ['nft', 'list', 'tables'], 'table inet foremesh');
  },
  /** Somebody deletes the guard routes; ends when they are back. */
  async guards(world, node) {
    await inNode(world, node, 'ip', 'route', 'flush', 'type', 'unreachable', 'metric', '9999');
    await untilSaid(world, node, ['ip', 'route', 'show', 'type', 'unreachable'], 'metric 9999');
  },
  engine: (world, _node, rng) => killAndRestart(world, { kind: 'engine' }, 'SIGKILL', rng),
} satisfies Record<string, (world: LabWorld, node: NodeId, rng: Rng) => Promise<void>>;

export type SoakVictim = keyof typeof DEEDS;
export const SOAK_VICTIMS = Object.keys(DEEDS) as SoakVictim[];

const REPAIR_LIMIT_MS = 10_000;
const PAUSE_MAX_MS = 1_500;
const DEED_AFTER_MAX_MS = 1_000;
/** An agent that is to set something right must have had the time to begin. */
const NOTICE_MS = 400;

/** The same on a mesh of its own. @throws ForemeshError LAB_NOT_POSSIBLE, LAB_FAILED */
export async function benchSoak(options: SoakOptions & { sourceDir: string; opa: string }): Promise<SoakResult> {
  const { signal, seed } = options;
  const mesh = await createBenchMesh(options.sourceDir, { intervalMs: 50, downAfter: 3 });
  const world = await createLabWorld({ intent: mesh.intent, repository: { files: mesh.files }, opa: options.opa, seed, ...(signal ? { signal } : {}) });
  try {
    await waitUntilSettled(world);
    return await soakWorld(world, options, await createStreams(world, streamSpecs()));
  } finally {
    await world.close();
  }
}

/**
 * Does harm at random moments, one deed a round, in turns, to a real mesh of two sites in namespaces under two streams
 * of 1000 packets a second; and counts what it cost at the receivers and what the WAN saw in clear text.
 */
export async function soakWorld(world: LabWorld, options: SoakOptions, streams: Streams): Promise<SoakResult> {
  const { rounds, victims, onProgress, signal } = options;
  const rng = createRng(options.seed).fork('soak');
  const done = new Map<SoakVictim, Round[]>(victims.map((victim) => [victim, []]));
  for (let round = 1; round <= rounds; round++) {
    for (const victim of victims) {
      signal?.throwIfAborted();
      const result = await runRound(world, streams, victim, rng);
      done.get(victim)!.push(result);
      onProgress(`${victim} ${round}/${rounds}: ${result.broken ?? `back after ${Math.round(result.backMs)} ms, settled after ${Math.round(result.settledMs)} ms`}, ${result.lost} lost, ${result.clearText} in clear text`);
    }
  }
  return { schema: 'foremesh/bench-soak/v1', victims: Object.fromEntries([...done].map(([victim, all]) => [victim, summarise(all)])) };
}

interface Round {
  backMs: number;
  settledMs: number;
  lost: number;
  sent: number;
  clearText: number;
  leaks: number;
  broken: string | null;
}

async function runRound(world: LabWorld, streams: Streams, victim: SoakVictim, rng: Rng): Promise<Round> {
  const node = rng.next() < 0.5 ? world.network.layout.gateways[0]!.node : world.network.layout.gateways[1]!.node;
  const clearBefore = (await world.underlay()).clearTextPackets;
  await streams.reset();
  await world.pass(200 + rng.next() * DEED_AFTER_MAX_MS);
  const atMs = world.clock.monotonicMs();
  let broken: string | null = null;
  let backMs = Number.NaN;
  try {
    await DEEDS[victim](world, node, rng);
    backMs = world.clock.monotonicMs() - atMs;
    await world.pass(NOTICE_MS);
    await waitUntilSettled(world);
  } catch (cause) {
    if (!(cause instanceof ForemeshError)) throw cause;
    broken = messageOf(cause);
  }
  const settledMs = world.clock.monotonicMs() - atMs;
  await world.pass(500);
  const { sent, lost } = await streams.count();
  return { backMs, settledMs, lost, sent, clearText: (await world.underlay()).clearTextPackets - clearBefore, leaks: await leaksOf(world), broken };
}

async function killAndRestart(world: LabWorld, what: Parameters<LabWorld['kill']>[0], signal: 'SIGKILL' | 'SIGTERM', rng: Rng): Promise<void> {
  const role = what.kind === 'engine' ? 'engine' : `${what.kind === 'agent' ? 'agent' : 'charon'}.${what.node}`;
  const running = await findProcess(world.network.id, role);
  if (running) await killMarked(running, world.clock, signal);
  await world.pass(rng.next() * PAUSE_MAX_MS);
  await world.restart(what);
}

function inNode(world: LabWorld, node: NodeId, ...command: string[]): Promise<string> {
  return runCommandText('ip', ['netns', 'exec', gatewayOf(world.network, node).namespace, ...command]);
}

async function untilSaid(world: LabWorld, node: NodeId, command: string[], text: string): Promise<void> {
  const found = await world.until(async () => (await inNode(world, node, ...command)).includes(text), REPAIR_LIMIT_MS);
  if (!found) throw new ForemeshError('LAB_FAILED', { what: `${node} did not repair: no "${text}" after ${REPAIR_LIMIT_MS / 1000} s`, fix: 'see its agent’s log' });
}

/** As the kernels count them; a deleted table began again at 0. */
async function leaksOf(world: LabWorld): Promise<number> {
  const counts = await Promise.all(world.network.layout.gateways.map(async ({ namespace }) => {
    const text = await runCommandText('ip', ['netns', 'exec', namespace, 'nft', '-j', 'list', 'counter', 'inet', 'foremesh', 'leak']);
    const { nftables } = JSON.parse(text) as { nftables: { counter?: { packets: number } }[] };
    return nftables.find(({ counter }) => counter)?.counter?.packets ?? 0;
  }));
  return counts.reduce((sum, count) => sum + count, 0);
}

function summarise(rounds: readonly Round[]): SoakVictimResult {
  const { p50, p99, max } = spreadOf(rounds.map(({ lost }) => lost));
  const whole = rounds.filter(({ broken }) => broken === null);
  const sum = (key: 'sent' | 'lost' | 'clearText'): number => rounds.reduce((total, round) => total + round[key], 0);
  return {
    rounds: rounds.length,
    backMs: spreadOf(whole.map(({ backMs }) => Math.round(backMs))),
    settledMs: spreadOf(whole.map(({ settledMs }) => Math.round(settledMs))),
    lostPackets: { p50, p99, max },
    lostPacketsTotal: sum('lost'),
    sentPackets: sum('sent'),
    clearTextPackets: sum('clearText'),
    leakPackets: Math.max(0, ...rounds.map(({ leaks }) => leaks)),
    broken: rounds.flatMap(({ broken }) => broken ?? []),
  };
}
