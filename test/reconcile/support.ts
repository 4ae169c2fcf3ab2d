import { mkdir, mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { createLog, digest, readSourceFolder, runCommandText, VirtualClock, writeFileAtomic, type SourceFile } from '../../src/base/index.ts';
import { createLocalForge, signReview, type LocalForge } from '../../src/forge/index.ts';
import { allowedSignersLine, ensureSigningKey, initForge, openRepository, type Repository } from '../../src/git/index.ts';
import { loadIntent } from '../../src/intent/index.ts';
import { pathId, type DemandForecast, type Forecast, type NodeId, type NodeStatus, type PathId, type SignedConfig, type StatusMessage, type TunnelId, type EventMessage, type UplinkId } from '../../src/model/index.ts';
import { compilePolicy, createPolicyRunner, findOpa, type CompiledPolicy, type PolicyRunner } from '../../src/policy/index.ts';
import { createEngine, planningStages, type Checkpoint, type Engine, type EngineDeps } from '../../src/reconcile/index.ts';
import { createMemoryStore, type TelemetryStore } from '../../src/telemetry/index.ts';

export const REPOSITORY_ROOT = join(import.meta.dirname, '..', '..');
export const ENGINE_IDENTITY = 'engine@foremesh';
export const REVIEWER = 'alice@example.com';
/** A demand that needs a tunnel which the first plan does not have. */
export const SHOP_TO_PARIS = 'hamburg>paris#business';
export const HOUR_MS = 3_600_000;
export const path = (one: string, other: string): PathId => pathId(one as UplinkId, other as UplinkId);
/** A Monday, at a slot border. */
export const START_AT = Date.UTC(2026, 0, 5, 9);

/** A forge on disk with a person's working tree, and engines on one state folder: as much of a mesh as an engine sees. */
export interface TestMesh {
  clock: VirtualClock;
  dir: string;
  stateDir: string;
  forgeDir: string;
  forge: LocalForge;
  repository: Repository;
  store: TelemetryStore;
  hub: TestHub;
  /** What the next forecasts say, Mbit/s by `from>to#class`; anything else is 0. */
  demand: Map<string, number>;
  engine(options?: { checkpoint?: (name: Checkpoint) => void | Promise<void>; deps?: Partial<EngineDeps> }): Promise<Engine>;
  /** A person's git, in a working tree of the forge. */
  git(...args: string[]): Promise<string>;
  /** Edits files of main as a person and pushes; a null text removes the file. */
  pushMain(files: Record<string, string | null>, message?: string): Promise<string>;
  /** Engine commits on mesh/live, oldest first: generation, decision, cause. */
  history(): Promise<{ sha: string; generation: number | null; decision: string | null; cause: string | null; parents: string[] }[]>;
  review(id: number, verdict: 'approve' | 'block'): Promise<void>;
  close(): Promise<void>;
}

export interface TestHub {
  published: ReadonlyMap<NodeId, SignedConfig>[];
  statuses: NodeStatus[];
  tunnels: Map<NodeId, StatusMessage>;
  emit(node: NodeId, event: EventMessage['event']): void;
  asHub: EngineDeps['hub'];
}

/** The shop's gateway is full in the example, and a new tunnel there costs a standby gateway its own; with room it does not. */
export function withRoomAtTheShop(file: string, text: string): string {
  return file === 'mesh-config/sites/hamburg.yaml' ? text.replace('tunnelsMax: 3', 'tunnelsMax: 6') : text;
}

/** The example mesh and the shipped policies, in a forge of their own. @param edit  changes files of main before the first push */
export async function createTestMesh(edit: (file: string, text: string) => string | null = (_file, text) => text): Promise<TestMesh> {
  const clock = new VirtualClock(START_AT);
  const dir = await mkdtemp(join(tmpdir(), 'foremesh-engine-'));
  const [forgeDir, stateDir, workDir] = [join(dir, 'forge.git'), join(dir, 'state'), join(dir, 'work')];
  await mkdir(stateDir, { recursive: true });
  await initForge(forgeDir);
  const log = createLog('test', process.env['FOREMESH_TEST_LOG'] ?? 'silent');
  const key = await ensureSigningKey(join(stateDir, 'keys'), ENGINE_IDENTITY);
  const signersFile = join(stateDir, 'keys', 'allowed_signers');
  await writeFileAtomic(signersFile, `${allowedSignersLine(ENGINE_IDENTITY, key.publicKey)}\n`);
  const reviewer = await ensureSigningKey(join(dir, 'alice'), REVIEWER);
  const repository = await openRepository({ dir: join(stateDir, 'mirror.git'), remote: forgeDir, signing: { privateKeyFile: key.privateKeyFile, identity: ENGINE_IDENTITY } });
  const forge = createLocalForge({ dir: forgeDir, clock, log });
  const store = createMemoryStore({ clock });
  const demand = new Map<string, number>();
  const hub = createTestHub();
  const opa = await findOpa();
  const engines: Engine[] = [];

  const git = (...args: string[]): Promise<string> =>
    runCommandText('git', ['-C', workDir, '-c', 'user.name=Alice', '-c', `user.email=${REVIEWER}`, '-c', 'commit.gpgsign=false', ...args], {
      env: { ...process.env, GIT_CONFIG_GLOBAL: '/dev/null', GIT_CONFIG_NOSYSTEM: '1' },
    });
  await mkdir(workDir, { recursive: true });
  await git('init', '--quiet', '--initial-branch=main');
  await git('remote', 'add', 'origin', forgeDir);

  async function pushMain(files: Record<string, string | null>, message = 'edit'): Promise<string> {
    await git('checkout', '--quiet', 'main').catch(() => ''); // the very first push has no branch to go to yet
    for (const [file, text] of Object.entries(files)) {
      if (text === null) await git('rm', '--quiet', file);
      else {
        await mkdir(dirname(join(workDir, file)), { recursive: true });
        await writeFileAtomic(join(workDir, file), text);
        await git('add', file);
      }
    }
    await git('commit', '--quiet', '-m', message);
    await git('push', '--quiet', 'origin', 'main');
    return (await git('rev-parse', 'HEAD')).trim();
  }

  const files = await exampleFiles();
  const edited = files.flatMap(({ file, text }) => {
    // the demands of these tests were made for lines twice as wide as the example's
    const next = edit(file, file.endsWith('/berlin.yaml') ? text.replaceAll('10Mbps', '20Mbps') : text);
    return next === null ? [] : [[file, next] as const];
  });
  await pushMain({ ...Object.fromEntries(edited), 'mesh-config/allowed_signers': `${allowedSignersLine(REVIEWER, reviewer.publicKey, ['git', 'foremesh-review'])}\n` }, 'start');

  return {
    clock,
    dir,
    stateDir,
    forgeDir,
    forge,
    repository,
    store,
    hub,
    demand,
    git,
    pushMain,
    async engine(options = {}) {
      const engine = await createEngine({
        clock,
        log,
        seed: 'test',
        stateDir,
        repository,
        forge,
        store,
        forecaster: fixedForecaster(demand),
        hub: hub.asHub,
        policy: { compile: (sources) => compileOnce(sources, opa), run: runOnce },
        loadIntent,
        planning: planningStages,
        signer: { identity: ENGINE_IDENTITY, signersFile },
        history: () => ({ series: [], endAt: START_AT }),
        ...(options.checkpoint ? { checkpoint: options.checkpoint } : {}),
        ...options.deps,
      });
      engines.push(engine);
      return engine;
    },
    async history() {
      await repository.fetch();
      const tip = await repository.resolve('mesh/live');
      if (tip === null) return [];
      const commits = (await repository.log({ from: null, to: tip })).toReversed();
      return commits.map(({ sha, trailers, parents }) => ({ sha, generation: trailers?.generation ?? null, decision: trailers?.decision ?? null, cause: trailers?.cause ?? null, parents }));
    },
    async review(id, verdict) {
      const { headSha } = await forge.get(id);
      await forge.addReview(id, await signReview(id, { by: REVIEWER, verdict, sha: headSha, at: clock.now() }, reviewer.privateKeyFile));
    },
    async close() {
      await Promise.all(engines.map((engine) => engine.close()));
      await store.close();
      await rm(dir, { recursive: true, force: true });
    },
  };
}

async function exampleFiles(): Promise<SourceFile[]> {
  const config = await readSourceFolder(REPOSITORY_ROOT, 'mesh-config', ['.yaml']);
  const policies = await readSourceFolder(REPOSITORY_ROOT, 'policies', ['.rego']);
  return [...config, ...policies.filter(({ file }) => !file.endsWith('_test.rego'))];
}

export async function exampleFile(file: string): Promise<string> {
  return readFile(join(REPOSITORY_ROOT, file), 'utf8');
}

const compiled = new Map<string, ReturnType<typeof compilePolicy>>();

/** Compiling takes a good part of a second, and most tests use the same policies. */
function compileOnce(sources: readonly SourceFile[], opa: string): ReturnType<typeof compilePolicy> {
  const key = digest(sources.map(({ file, text }) => [file, text]));
  const known = compiled.get(key) ?? compilePolicy(sources, opa);
  compiled.set(key, known);
  return known;
}

const runners = new Map<string, ReturnType<typeof createPolicyRunner>>();

/** The engines of a test file share one thread per policy, which vitest ends with the file. */
async function runOnce(policy: CompiledPolicy): Promise<PolicyRunner> {
  const known = runners.get(policy.digest) ?? createPolicyRunner(policy, { timeoutMs: 10_000 });
  runners.set(policy.digest, known);
  const runner = await known;
  return { evaluate: (question, input) => runner.evaluate(question, input), close: () => Promise.resolve() };
}

function createTestHub(): TestHub {
  const listeners = new Set<(node: NodeId, event: EventMessage['event']) => void>();
  const hub: TestHub = {
    published: [],
    statuses: [],
    tunnels: new Map(),
    emit: (node, event) => {
      for (const listener of listeners) listener(node, event);
    },
    asHub: {
      publish: (configs) => {
        hub.published.push(configs);
      },
      nodes: () => hub.statuses,
      tunnelStatuses: () => hub.tunnels,
      droppedSamples: () => 0,
      onEvent: (listener) => {
        listeners.add(listener);
        return () => listeners.delete(listener);
      },
    },
  };
  return hub;
}

/** Says what the test says: a flat forecast out of `demand`. */
function fixedForecaster(demand: ReadonlyMap<string, number>): EngineDeps['forecaster'] {
  return {
    train: () => Promise.resolve({ backtest: [], serving: [], digest: 'sha256:none' }),
    forecast: (observation, settings) => {
      const demands = observation.demands.map(({ from, to, classId }): DemandForecast => {
        const mbps = demand.get(`${from}>${to}#${classId}`) ?? 0;
        const slots = Array.from({ length: settings.horizonSlots }, (_, index) => ({ startAt: observation.lastSlotEndAt + index * settings.slotMs, p50: mbps, p90: mbps, p95: mbps }));
        return { from, to, classId, slots };
      });
      const forecast: Forecast = { madeAt: observation.observedAt, slotMs: settings.slotMs, model: 'fixed', backtest: [{ model: 'fixed', wape: 0.1, pinball: 0.1, coverageP95: 0.95 }], demands };
      return Promise.resolve(forecast);
    },
    dump: () => Promise.resolve(null),
    restore: () => Promise.reject(new Error('nothing to take up')),
    exportOnnx: () => Promise.reject(new Error('nothing to export')),
    inspect: () => Promise.reject(new Error('nothing to look at')),
    close: () => Promise.resolve(),
  };
}

export type { TunnelId };
