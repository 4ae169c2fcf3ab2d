import { mkdir, mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { FindingsError, messageOf, systemClock } from '../../base/index.ts';
import { loadIntent, readConfigFolder } from '../../intent/index.ts';
import { uplinksOfPath, type Intent, type PathId } from '../../model/index.ts';
import { createLabWorld, type LabWorld } from '../lab-world.ts';
import { isLabPossible } from '../possible.ts';
import { companionFolder, newLabId } from '../run/index.ts';
import { createSimWorld } from '../sim/index.ts';
import type { SenderSpec, World } from '../world.ts';
import { check, type Demo } from './demo.ts';
import { engineOf } from './engine-words.ts';
import { writeDemoHistory } from './history.ts';
import { makeTeamRepository, type TeamRepository } from './mesh-repository.ts';
import { watchPeak } from './peak-watch.ts';
import type { Screen } from './screen.ts';
import { DAY_MS, DEMO_MESH_YAML, PEAK_PAIR, sendersOf } from './settings.ts';
import { firstPathLimit } from './steps/peak.ts';
import { STORY } from './story.ts';
import { showSummary } from './summary.ts';

export interface DemoOptions {
  world: 'lab' | 'simulated';
  /** Folder with mesh-config/ and policies/. */
  sourceDir: string;
  opa: string;
  seed: string;
  screen: Screen;
  /** Called with the engine's state folder before it starts, e.g. to give it a past of its own. */
  prepareEngine?: (stateDir: string) => Promise<void>;
  /** Lab only: everything stays up when the demo ends. */
  stay?: boolean;
  signal?: AbortSignal;
}

export interface DemoResult {
  facts: ReadonlyMap<string, number | string>;
  failures: readonly string[];
}

/** A demo that stands ready: the world is up, no step has been told yet. */
export interface PreparedDemo {
  demo: Demo;
  /** Ends the world (unless it stays) and removes the demo's files. */
  close(): Promise<void>;
}

/** At which part of the day the world begins; chosen so that the morning rise comes when step 5 does, as it is timed on two cores. */
const START_FRACTION = { lab: 0.81, simulated: 0.02 };
/** Simulated time begins here, so that a simulated demo is the same every time. */
const SIM_START_AT = Date.UTC(2026, 0, 5, 8);

/** Tells the whole story and prints the summary. Leaves nothing behind, also when aborted, unless it is told to stay. */
export async function runDemo(options: DemoOptions): Promise<DemoResult> {
  const { screen } = options;
  const startMs = systemClock.monotonicMs();
  screen.title(`Foremesh: forecast, plan, policy, GitOps and IPsec${options.world === 'simulated' ? ' — SIMULATED NETWORK: one process, virtual time' : ' — real tunnels between network namespaces of this machine'}`);
  const prepared = await prepareDemo(options);
  const { demo } = prepared;
  try {
    for (const [index, step] of STORY.entries()) {
      options.signal?.throwIfAborted();
      screen.step(index + 1, STORY.length, step.title);
      try {
        await abortable(step.run(demo), options.signal);
      } catch (cause) {
        if (options.signal?.aborted) throw cause;
        check(demo, false, `step ${index + 1} broke: ${messageOf(cause)}`);
      }
      if (index === 2) startPeakWatch(demo);
    }
    await showSummary(demo, systemClock.monotonicMs() - startMs);
    if (options.stay) showWayAround(demo);
    return { facts: demo.facts, failures: demo.failures };
  } finally {
    await prepared.close();
  }
}

/** Makes repository and world, for the whole story or for single steps of it. */
export async function prepareDemo(options: DemoOptions): Promise<PreparedDemo> {
  const labId = newLabId();
  const dir = options.world === 'lab' ? companionFolder(labId) : await mkdtemp(join(tmpdir(), 'foremesh-demo-'));
  await mkdir(dir, { recursive: true, mode: 0o700 });
  let world: World | null = null;
  try {
    const now = options.world === 'simulated' ? SIM_START_AT : systemClock.now();
    const repository = await makeTeamRepository({ dir: join(dir, 'repository'), sourceDir: options.sourceDir, meshYaml: DEMO_MESH_YAML, at: now });
    const intent = await readIntent(repository);
    const phaseMs = phaseFor(now, START_FRACTION[options.world]);
    const senderSpecs = sendersOf(phaseMs);
    options.screen.busy('building the mesh');
    world = await createWorld(options, { labId, repository, intent, now, phaseMs, senderSpecs });
    const up = world;
    const demo: Demo = { world: up, repository, intent, screen: options.screen, engine: engineOf(up), senders: new Map(), senderSpecs, peak: null, facts: new Map(), failures: [] };
    return {
      demo,
      async close() {
        demo.peak?.stop();
        if (options.stay && !options.signal?.aborted) return;
        await up.close();
        await rm(dir, { recursive: true, force: true });
      },
    };
  } catch (cause) {
    await world?.close();
    await rm(dir, { recursive: true, force: true });
    throw cause;
  }
}

/** From the moment the senders run; the rise may come sooner than its step. */
export function startPeakWatch(demo: Demo): void {
  const sender = demo.senders.get('reports');
  if (!sender) return;
  const isCandidate = (path: PathId): boolean => {
    const sites = uplinksOfPath(path).map((uplink) => uplink.slice(0, uplink.lastIndexOf('-gw')));
    return sites.includes(PEAK_PAIR.from) && sites.includes(PEAK_PAIR.to);
  };
  demo.peak = watchPeak(demo.world, sender, isCandidate, firstPathLimit(demo));
}

interface WorldParts {
  labId: string;
  repository: TeamRepository;
  intent: Intent;
  now: number;
  phaseMs: number;
  senderSpecs: readonly SenderSpec[];
}

async function createWorld(options: DemoOptions, parts: WorldParts): Promise<World> {
  const { labId, repository, intent, now, phaseMs, senderSpecs } = parts;
  const prepareEngine = async (stateDir: string): Promise<void> => {
    await writeDemoHistory({ stateDir, senders: senderSpecs, now, phaseMs, seed: options.seed });
    await options.prepareEngine?.(stateDir);
  };
  if (options.world === 'simulated') {
    return createSimWorld({ intent, forgeDir: repository.forgeDir, operatorKeyFile: repository.operatorKeyFile, opa: options.opa, seed: options.seed, startAt: now, prepare: prepareEngine });
  }
  return createLabWorld({
    id: labId,
    intent,
    repository,
    opa: options.opa,
    seed: options.seed,
    detached: options.stay ?? false,
    prepareEngine,
    firstPlanAfterTraining: true,
    onStep: (text) => options.screen.busy(text),
    ...(options.signal ? { signal: options.signal } : {}),
  });
}

async function readIntent(repository: TeamRepository): Promise<Intent> {
  const result = loadIntent(await readConfigFolder(repository.cloneDir), await repository.git('rev-parse', 'main'));
  if (!result.ok) throw new FindingsError(result.findings);
  return result.value.intent;
}

/** What to add to the clock so that the day stands at `fraction` now. */
function phaseFor(now: number, fraction: number): number {
  return (((fraction * DAY_MS - (now % DAY_MS)) % DAY_MS) + DAY_MS) % DAY_MS;
}

async function abortable<T>(work: Promise<T>, signal: AbortSignal | undefined): Promise<T> {
  if (!signal) return work;
  return new Promise<T>((resolve, reject) => {
    const stop = (): void => reject(signal.reason as Error);
    signal.addEventListener('abort', stop, { once: true });
    void work.then(resolve, reject).finally(() => signal.removeEventListener('abort', stop));
  });
}

function showWayAround(demo: Demo): void {
  const { screen, world, repository } = demo;
  if (world.kind !== 'lab') return;
  const { id, network } = world as LabWorld;
  const state = `${network.folder}/engine`;
  screen.title('');
  screen.title('The mesh stays up. To explore it:');
  for (const line of [
    `export FOREMESH_STATE=${state}`,
    'npm run -s foremesh -- status',
    'npm run -s foremesh -- forecast show',
    'npm run -s foremesh -- explain "berlin>aws-fra"',
    `npm run -s foremesh -- lab status ${id}`,
    `git -C ${repository.cloneDir} log --oneline origin/mesh/live`,
    `npm run -s foremesh -- lab down ${id}     # takes everything away`,
  ]) {
    screen.command(line);
  }
}

export { isLabPossible };
