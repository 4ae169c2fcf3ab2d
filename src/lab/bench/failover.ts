import { ForemeshError, messageOf, roundTo } from '../../base/index.ts';
import { classId, nodesOf, type PathId } from '../../model/index.ts';
import { createLabWorld, type LabWorld } from '../lab-world.ts';
import type { PathProfile, SenderSpec } from '../world.ts';
import { type BenchMeshKind, createBenchMesh, FAR, NEAR } from './bench-mesh.ts';
import { countFalseFailovers } from './false-failovers.ts';
import { type DeathScenario, GATEWAYS, killOwner, type OwnerDeath } from './gateways.ts';
import { watchDaemonSwitch } from './daemon-switch.ts';
import { PLANNED, type PlannedScenario } from './planned.ts';
import { spreadOf, type Spread } from './statistics.ts';
import { createStreams, type Hole, type Streams } from './streams.ts';

export interface FailoverBenchOptions {
  runs: number;
  /** Default: all. */
  scenarios: readonly ScenarioName[];
  sourceDir: string;
  opa: string;
  seed: string;
  probe: { intervalMs: number; downAfter: number };
  /** Virtual hours for each loss in the count of false fail-overs; 0 leaves them out. */
  falseHours: number;
  /** One line a trial. */
  onProgress: (text: string) => void;
  signal?: AbortSignal;
}

export interface ScenarioResult {
  runs: number;
  outageMs: Spread;
  lostPackets: Pick<Spread, 'p50' | 'p99' | 'max'>;
  /** All trials together. */
  sentPackets: number;
  lostPacketsTotal: number;
  duplicated: number;
  clearTextPackets: number;
  /** Trials that could not be judged, with the reason. */
  broken: string[];
}

export interface FailoverBenchResult {
  schema: 'foremesh/bench-failover/v1';
  probe: { intervalMs: number; downAfter: number };
  packetsPerSecond: number;
  scenarios: Record<string, ScenarioResult>;
  /** Per path and hour, by loss of each direction in per cent. */
  falseFailovers: Record<string, number>;
}

/** A fault on the path in use; `measure` says from which packets the outage is read. */
interface FaultScenario {
  kind: 'fault';
  profile: Partial<PathProfile>;
  direction: 'both' | 'forward';
  /** `gap`: the longest silence at a receiver. `left`: until the faulty path no longer carries the streams, as the WAN counts. */
  measure: 'gap' | 'left';
  lastsMs: number;
  /** Agents are dead and routes follow what charon says of its SAs. */
  daemonAlone?: boolean;
  /** The streams are of the class that is sent twice. */
  sentTwice?: boolean;
}

const FAULTS = {
  blackhole: { kind: 'fault', profile: { down: true }, direction: 'both', measure: 'gap', lastsMs: 1500 },
  'one-way': { kind: 'fault', profile: { down: true }, direction: 'forward', measure: 'gap', lastsMs: 1500 },
  'brownout-loss': { kind: 'fault', profile: { lossRatio: 0.2 }, direction: 'both', measure: 'left', lastsMs: 8000 },
  'brownout-delay': { kind: 'fault', profile: { delayMs: 80 }, direction: 'both', measure: 'left', lastsMs: 8000 },
  'duplicate-class': { kind: 'fault', profile: { down: true }, direction: 'both', measure: 'gap', lastsMs: 1500, sentTwice: true },
  'ike-dpd': { kind: 'fault', profile: { down: true }, direction: 'both', measure: 'gap', lastsMs: 12_000, daemonAlone: true },
} satisfies Record<string, FaultScenario>;

export type ScenarioName = keyof typeof FAULTS | keyof typeof PLANNED | keyof typeof GATEWAYS;
const SCENARIOS: Record<string, FaultScenario | PlannedScenario | DeathScenario> = { ...FAULTS, ...PLANNED, ...GATEWAYS };
export const FAILOVER_SCENARIOS = Object.keys(SCENARIOS) as ScenarioName[];

const LOSSES = [0.001, 0.02];
/** 160 byte packets, as of a call, both ways. */
const PACKET_BYTES = 160;
const PACKETS_PER_SECOND = 1000;
const SETTLE_LIMIT_MS = 30_000;

interface Trial {
  outageMs: number;
  sent: number;
  lost: number;
  duplicated: number;
  holes: Hole[];
}

/**
 * Measures how long and how many packets a change costs, on a real mesh of two sites in namespaces of this machine. Outage
 * and loss are read from the receivers and from the emulated WAN, never from our agents. Faults are judged with the engine
 * dead: what is measured is what gateways do alone.
 * @throws ForemeshError LAB_NOT_POSSIBLE, LAB_FAILED
 */
export async function benchFailover(options: FailoverBenchOptions): Promise<FailoverBenchResult> {
  const { scenarios, onProgress, signal, probe } = options;
  const result: FailoverBenchResult = { schema: 'foremesh/bench-failover/v1', probe, packetsPerSecond: PACKETS_PER_SECOND, scenarios: {}, falseFailovers: {} };
  for (const lossRatio of options.falseHours > 0 ? LOSSES : []) {
    onProgress(`false fail-overs at ${lossRatio * 100} % loss`);
    result.falseFailovers[String(roundTo(lossRatio * 100, 3))] = await countFalseFailovers({ ...probe, holdDownMs: 1000, holdDownMaxMs: 1000 }, lossRatio, options.falseHours, options.seed, signal);
  }
  for (const kind of ['pair', 'fleeting', 'gateways'] as const) {
    const wanted = inOrder(scenarios.filter((name) => meshOf(name) === kind));
    if (wanted.length > 0) await benchOn(kind, wanted, options, result);
  }
  return result;
}

function meshOf(name: ScenarioName): BenchMeshKind {
  const scenario = SCENARIOS[name]!;
  if (name in GATEWAYS) return 'gateways';
  return scenario.kind === 'planned' && scenario.isFleeting ? 'fleeting' : 'pair';
}

/** The scenarios of one mesh, one after the other; their results go into `result`. */
async function benchOn(kind: BenchMeshKind, scenarios: readonly ScenarioName[], options: FailoverBenchOptions, result: FailoverBenchResult): Promise<void> {
  const { runs, onProgress, signal, probe } = options;
  const mesh = await createBenchMesh(options.sourceDir, probe, kind);
  const world = await createLabWorld({ intent: mesh.intent, repository: { files: mesh.files }, opa: options.opa, seed: options.seed, ...(signal ? { signal } : {}) });
  try {
    await waitUntilSettled(world);
    for (const name of scenarios) {
      const traffic = 'sentTwice' in SCENARIOS[name]! ? TWICE : ONCE;
      const streams = await createStreams(world, streamSpecs(traffic));
      const trials: Trial[] = [];
      const broken: string[] = [];
      const clearBefore = (await world.underlay()).clearTextPackets;
      const scenario = SCENARIOS[name]!;
      await prepare(world, scenario);
      for (let run = 1; run <= runs; run++) {
        signal?.throwIfAborted();
        try {
          const trial = await runTrial(world, streams, scenario, run);
          trials.push(trial);
          onProgress(`${name} ${run}/${runs}: ${Math.round(trial.outageMs)} ms, ${trial.lost} lost${scenario.kind === 'planned' ? describeHoles(trial.holes) : ''}`);
        } catch (cause) {
          signal?.throwIfAborted();
          broken.push(messageOf(cause));
          onProgress(`${name} ${run}/${runs}: ${messageOf(cause)}`);
        }
      }
      await streams.stop();
      result.scenarios[name] = summarise(trials, (await world.underlay()).clearTextPackets - clearBefore, broken);
    }
  } finally {
    await world.close();
  }
}

function runTrial(world: LabWorld, streams: Streams, scenario: FaultScenario | PlannedScenario | DeathScenario, run: number): Promise<Trial> {
  if (scenario.kind === 'fault') return runFault(world, streams, scenario);
  return scenario.kind === 'death' ? runDeath(world, streams, scenario) : runPlanned(world, streams, scenario, run);
}

/** Planned changes first, since they need the engine; what goes without agents last. */
function inOrder(names: readonly ScenarioName[]): ScenarioName[] {
  const rank = (name: ScenarioName): number => (SCENARIOS[name]!.kind === 'planned' ? 0 : 'daemonAlone' in SCENARIOS[name]! ? 2 : 1);
  return [...names].sort((left, right) => rank(left) - rank(right));
}

const ONCE = { classId: classId('voice'), port: 5000 };
const TWICE = { classId: classId('control'), port: 6000 };

/** 1000 packets a second each way. */
export function streamSpecs(traffic = ONCE): SenderSpec[] {
  return [specOf('there', NEAR, FAR, traffic), specOf('back', FAR, NEAR, traffic)];
}

function specOf(name: string, from: typeof NEAR, to: typeof FAR, traffic: typeof ONCE): SenderSpec {
  return { name, from, to, ...traffic, flows: 4, packetBytes: PACKET_BYTES, rate: { kind: 'constant', mbps: (PACKETS_PER_SECOND * PACKET_BYTES * 8) / 1e6 } };
}

async function prepare(world: LabWorld, scenario: FaultScenario | PlannedScenario | DeathScenario): Promise<void> {
  if (scenario.kind !== 'planned') await world.kill({ kind: 'engine' });
}

async function runFault(world: LabWorld, streams: Streams, scenario: FaultScenario): Promise<Trial> {
  await waitUntilSettled(world);
  const path = await streams.busiestPath();
  if (scenario.daemonAlone) for (const { node } of world.network.layout.gateways) await world.kill({ kind: 'agent', node });
  const switcher = scenario.daemonAlone ? await watchDaemonSwitch(world, path) : null;
  try {
    await streams.reset();
    await world.pass(300 + 50 * (world.clock.monotonicMs() % 1)); // not in step with the probes
    const faultAtMs = world.clock.monotonicMs();
    const before = await profilesOf(world, path);
    await world.setPath(path, scenario.profile, scenario.direction);
    const leftMs = scenario.measure === 'left' ? await timeUntilLeft(world, streams, path, faultAtMs, scenario.lastsMs) : null;
    await world.pass(Math.max(0, (leftMs === null ? scenario.lastsMs : leftMs + 700) - (world.clock.monotonicMs() - faultAtMs)));
    const counted = await streams.count();
    for (const direction of ['forward', 'reverse'] as const) await world.setPath(path, before[direction], direction);
    return { ...counted, outageMs: leftMs ?? counted.longestGapMs };
  } finally {
    await switcher?.close();
    // they bring up what the daemon has given up
    if (scenario.daemonAlone) for (const { node } of world.network.layout.gateways) await world.restart({ kind: 'agent', node });
  }
}

async function profilesOf(world: LabWorld, path: PathId): Promise<{ forward: PathProfile; reverse: PathProfile }> {
  const found = (await world.network.report()).paths.find((entry) => entry.path === path);
  if (!found) throw new ForemeshError('LAB_FAILED', { what: `there is no path ${path}`, fix: 'report this as a bug' });
  return found.profiles;
}

/** Looked at every 20 ms, which is how exact it is. @throws ForemeshError LAB_FAILED when it never leaves */
async function timeUntilLeft(world: LabWorld, streams: Streams, path: PathId, sinceMs: number, limitMs: number): Promise<number> {
  for (let previous = await streams.packetsOver(path); world.clock.monotonicMs() - sinceMs < limitMs; ) {
    const lookedMs = world.clock.monotonicMs();
    await world.pass(20);
    const now = await streams.packetsOver(path);
    const expected = (2 * PACKETS_PER_SECOND * (world.clock.monotonicMs() - lookedMs)) / 1000;
    if (now - previous < expected * 0.2) return lookedMs - sinceMs;
    previous = now;
  }
  throw new ForemeshError('LAB_FAILED', { what: `the traffic was still on ${path} after ${limitMs} ms`, fix: 'see the agents’ logs' });
}

async function runPlanned(world: LabWorld, streams: Streams, scenario: PlannedScenario, run: number): Promise<Trial> {
  await waitUntilSettled(world);
  await streams.reset();
  await world.pass(300);
  await scenario.run(world, run);
  await waitUntilSettled(world);
  await world.pass(500);
  const counted = await streams.count();
  return { ...counted, outageMs: counted.longestGapMs };
}

/** The gateway that owns the near LAN address dies; it comes back, and has the address again, before the next trial. */
async function runDeath(world: LabWorld, streams: Streams, scenario: DeathScenario): Promise<Trial> {
  await waitUntilSettled(world);
  await streams.reset();
  await world.pass(300 + 50 * (world.clock.monotonicMs() % 1)); // not in step with heartbeats and probes
  let death: OwnerDeath | null = null;
  try {
    death = await killOwner(world);
    await world.pass(scenario.lastsMs);
    const counted = await streams.count();
    return { ...counted, outageMs: counted.longestGapMs };
  } finally {
    await death?.revive();
  }
}

/** Every agent has nothing left to do and every tunnel is up and good for every class; a standby gateway has one, the others two. */
export async function waitUntilSettled(world: LabWorld): Promise<void> {
  const isSettled = async (): Promise<boolean> => {
    for (const { id: node, role } of nodesOf(world.network.intent)) {
      const runtime = await world.nodeState(node).catch(() => null); // an agent that starts has no socket yet
      if (!runtime?.settled || runtime.tunnels.length < (role === 'active' && world.network.layout.gateways.length === 2 ? 2 : 1) || runtime.tunnels.some(({ pathState, violated }) => pathState !== 'up' || violated.length > 0)) return false;
    }
    return true;
  };
  if (!(await world.until(isSettled, SETTLE_LIMIT_MS))) throw new ForemeshError('LAB_FAILED', { what: `not every tunnel is up after ${SETTLE_LIMIT_MS / 1000} s`, fix: 'see the agents’ logs' });
  await world.pass(300);
}

/** ` (there: 5 at 09:07:13.412)`; what a planned change loses must be found. */
function describeHoles(holes: readonly Hole[]): string {
  const texts = holes.slice(0, 10).map(({ stream, packets, at }) => `${stream}: ${packets} at ${new Date(at).toISOString().slice(11, 23)}`);
  return texts.length === 0 ? '' : ` (${texts.join(', ')})`;
}

function summarise(trials: readonly Trial[], clearTextPackets: number, broken: string[]): ScenarioResult {
  const { p50, p99, max } = spreadOf(trials.map(({ lost }) => lost));
  const sum = (key: 'sent' | 'lost' | 'duplicated'): number => trials.reduce((total, trial) => total + trial[key], 0);
  return {
    runs: trials.length,
    outageMs: spreadOf(trials.map(({ outageMs }) => Math.round(outageMs))),
    lostPackets: { p50, p99, max },
    sentPackets: sum('sent'),
    lostPacketsTotal: sum('lost'),
    duplicated: sum('duplicated'),
    clearTextPackets,
    broken,
  };
}
