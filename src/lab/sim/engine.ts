import { mkdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { buildServer, ensureApiToken } from '../../api/index.ts';
import { writeFileAtomic, type Clock, type Log } from '../../base/index.ts';
import type { Authority } from '../../ca/index.ts';
import { createAgentHub, type AgentHub } from '../../channel/index.ts';
import type { Forecaster } from '../../forecast/index.ts';
import { createLocalForge } from '../../forge/index.ts';
import { allowedSignersLine, ensureSigningKey, openRepository } from '../../git/index.ts';
import { loadIntent } from '../../intent/index.ts';
import { compilePolicy, createPolicyRunner } from '../../policy/index.ts';
import { createEngine, createHistory, planningStages, type Checkpoint, type Engine } from '../../reconcile/index.ts';
import type { TelemetryStore } from '../../telemetry/index.ts';

/** The name under which the simulated engine signs. */
export const SIM_ENGINE_IDENTITY = 'engine@foremesh';

export interface SimEngine {
  engine: Engine;
  hub: AgentHub;
  signersFile: string;
  request(method: string, path: string, body?: unknown): Promise<{ status: number; body: unknown }>;
  close(): Promise<void>;
}

export interface SimEngineOptions {
  clock: Clock;
  log: Log;
  seed: string;
  stateDir: string;
  forgeDir: string;
  opa: string;
  /** These outlive an engine that is killed, as a disk does. */
  store: TelemetryStore;
  forecaster: Forecaster;
  authority: Authority;
  historyDays: number;
  checkpoint?: (name: Checkpoint) => void | Promise<void>;
}

/** The real engine, composed as `foremesh serve` does it, but for time, the store's memory and the sockets. */
export async function startSimEngine(options: SimEngineOptions): Promise<SimEngine> {
  const { clock, log, stateDir, seed } = options;
  await mkdir(stateDir, { recursive: true, mode: 0o700 });
  const key = await ensureSigningKey(join(stateDir, 'keys'), SIM_ENGINE_IDENTITY);
  const signersFile = join(stateDir, 'keys', 'allowed_signers');
  await writeFileAtomic(signersFile, `${allowedSignersLine(SIM_ENGINE_IDENTITY, key.publicKey)}\n`);
  const repository = await openRepository({ dir: join(stateDir, 'mirror.git'), remote: options.forgeDir, signing: { privateKeyFile: key.privateKeyFile, identity: SIM_ENGINE_IDENTITY } });
  const forge = createLocalForge({ dir: options.forgeDir, clock, log });
  const hub = createAgentHub({ store: options.store, clock, log });
  const engine = await createEngine({
    clock,
    log,
    seed,
    stateDir,
    repository,
    forge,
    store: options.store,
    forecaster: options.forecaster,
    hub,
    policy: { compile: (files) => compilePolicy(files, options.opa), run: (policy) => createPolicyRunner(policy) },
    loadIntent,
    planning: planningStages,
    signer: { identity: SIM_ENGINE_IDENTITY, signersFile },
    isFirstPlanAfterTraining: true,
    history: createHistory({ stateDir, days: options.historyDays, seed }),
    ...(options.checkpoint ? { checkpoint: options.checkpoint } : {}),
  });
  const token = await ensureApiToken(stateDir);
  const server = await buildServer({
    engine,
    clock,
    log,
    token,
    addReview: (id, review) => forge.addReview(id, review),
    signers: () => readFile(signersFile, 'utf8'),
    createJoinToken: (node, ttlMs) => options.authority.createJoinToken(node, ttlMs),
    askToRenew: (node) => hub.askToRenew(node), revoke: (node, why, by) => options.authority.revoke(node, why, by), revocations: () => options.authority.revocations(),
  });
  return {
    engine,
    hub,
    signersFile,
    async request(method, path, body) {
      const answer = await server.inject({
        method: method as 'GET',
        url: path,
        headers: { authorization: `Bearer ${token}` },
        ...(body === undefined ? {} : { payload: body as object }),
      });
      const isJson = String(answer.headers['content-type'] ?? '').includes('json');
      return { status: answer.statusCode, body: isJson && answer.body !== '' ? (JSON.parse(answer.body) as unknown) : answer.body };
    },
    async close() {
      await server.close();
      await engine.close();
    },
  };
}
