import { watch } from 'node:fs';
import { mkdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { buildServer, ensureApiToken, listenApi } from '../api/index.ts';
import { createLog, ForemeshError, messageOf, systemClock, writeFileAtomic, type Cancel, type Log } from '../base/index.ts';
import { openAuthority } from '../ca/index.ts';
import { createAgentHub, listenChannel } from '../channel/index.ts';
import { createForecaster } from '../forecast/index.ts';
import { createLocalForge } from '../forge/index.ts';
import { allowedSignersLine, ensureSigningKey, openRepository } from '../git/index.ts';
import { loadIntent } from '../intent/index.ts';
import { compilePolicy, createPolicyRunner, findOpa } from '../policy/index.ts';
import { createEngine, createHistory, planningStages } from '../reconcile/index.ts';
import { openDuckDbStore } from '../telemetry/index.ts';
import type { ServeConfig } from './serve-config.ts';

export { checkServeConfig, loadServeConfig, type ServeConfig } from './serve-config.ts';

/** The name under which the engine signs; agents trust exactly this one. */
export const ENGINE_IDENTITY = 'engine@foremesh';
const DEFAULT_HISTORY_DAYS = 14;
const DEFAULT_SEED = 'foremesh';

/** What `stateDir/ready.json` says once the engine can be reached. */
export interface ReadyNote {
  pid: number;
  api: string;
  channel: { address: string; port: number };
  startedAt: string;
}

/**
 * Runs the engine until the signal: opens its state, listens to agents and to the API, then cycles. Resolves when
 * everything is closed again. Ended with SIGKILL instead, it goes on at the next start where it was.
 * @throws ForemeshError when something it needs is missing or taken; nothing is left open then
 */
export async function serve(config: ServeConfig, signal: AbortSignal): Promise<void> {
  const log = createLog('engine', undefined, config.logFile);
  const closers: (() => Promise<void> | void)[] = [];
  try {
    await start(config, log, signal, closers);
  } finally {
    for (const close of closers.reverse()) {
      await Promise.resolve(close()).catch((error: unknown) => log.error({ error: messageOf(error) }, 'a part did not close well'));
    }
  }
}

async function start(config: ServeConfig, log: Log, signal: AbortSignal, closers: (() => Promise<void> | void)[]): Promise<void> {
  const { stateDir } = config;
  const clock = systemClock;
  const seed = config.seed ?? DEFAULT_SEED;
  await mkdir(stateDir, { recursive: true, mode: 0o700 });
  const opa = config.opa ?? (await findOpa());
  const key = await ensureSigningKey(join(stateDir, 'keys'), ENGINE_IDENTITY);
  const signersFile = join(stateDir, 'keys', 'allowed_signers');
  await writeFileAtomic(signersFile, `${allowedSignersLine(ENGINE_IDENTITY, key.publicKey)}\n`);

  const forgeDir = localForgeDir(config.repository);
  const repository = await openRepository({ dir: join(stateDir, 'mirror.git'), remote: config.repository, signing: { privateKeyFile: key.privateKeyFile, identity: ENGINE_IDENTITY } });
  const forge = createLocalForge({ dir: forgeDir, clock, log });
  const store = await openDuckDbStore(join(stateDir, 'telemetry.duckdb'));
  closers.push(() => store.close());
  const forecaster = await createForecaster({});
  closers.push(() => forecaster.close());
  const authority = await openAuthority({ dir: join(stateDir, 'ca'), clock });
  const hub = createAgentHub({ store, clock, log });

  const engine = await createEngine({
    clock,
    log,
    seed,
    stateDir,
    repository,
    forge,
    store,
    forecaster,
    hub,
    policy: { compile: (files) => compilePolicy(files, opa), run: (policy) => createPolicyRunner(policy) },
    loadIntent,
    planning: planningStages,
    signer: { identity: ENGINE_IDENTITY, signersFile },
    history: createHistory({ stateDir, days: config.historyDays ?? DEFAULT_HISTORY_DAYS, seed }),
    isFirstPlanAfterTraining: config.firstPlanAfterTraining ?? false,
    ...(config.mainBranch === undefined ? {} : { mainBranch: config.mainBranch }),
  });
  closers.push(() => engine.close());

  const token = await ensureApiToken(stateDir);
  let counters = (): Record<string, number> => ({});
  const server = await buildServer({ engine, channelCounters: () => counters(), clock, log, token, addReview: (id, review) => forge.addReview(id, review), signers: () => readFile(signersFile, 'utf8'), createJoinToken: (node, ttlMs) => authority.createJoinToken(node, ttlMs), askToRenew: (node) => hub.askToRenew(node), revoke: (node, why, by) => authority.revoke(node, why, by), revocations: () => authority.revocations() });
  const api = await listenApi(server, config.api.port === undefined ? { socket: config.api.socket ?? join(stateDir, 'api.sock') } : { port: config.api.port });
  closers.push(() => api.close());
  const channel = await listenChannel({ hub, authority, hosts: config.channel.hosts, address: config.channel.address, port: config.channel.port, signersFile, clock, log });
  counters = () => ({ ...channel.counters() });
  closers.push(() => channel.close());
  closers.push(watchForge(forgeDir, () => engine.wake('intent'), log));

  const note: ReadyNote = { pid: process.pid, api: api.address, channel: { address: config.channel.address, port: channel.port }, startedAt: new Date(clock.now()).toISOString() };
  await writeFileAtomic(join(stateDir, 'ready.json'), `${JSON.stringify(note)}\n`);
  process.stderr.write(`foremesh: engine ready; api ${api.address}, agents ${config.channel.address}:${channel.port}, repository ${config.repository}\n`);
  await engine.run(signal);
}

/** The folder of the local forge. */
function localForgeDir(repository: string): string {
  if (repository.startsWith('/')) return repository;
  if (repository.startsWith('file://')) return fileURLToPath(repository);
  throw new ForemeshError('CLI_USAGE', {
    what: `${repository.split('?')[0]} is not on this machine`,
    fix: 'give the path of a bare repository (foremesh init makes one); forges on other machines come with their adapters',
  });
}

/** Looks at once when somebody pushes to the forge on this machine, rather than at the next cycle. */
function watchForge(dir: string, wake: () => void, log: Log): Cancel {
  const watcher = watch(join(dir, 'refs'), { recursive: true }, (_event, file) => {
    if (file !== null && !file.endsWith('.lock')) wake();
  });
  watcher.on('error', (error) => log.warn({ error: messageOf(error) }, 'pushes are noticed at the next cycle only'));
  return () => watcher.close();
}
