import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { createApiClient } from '../api/index.ts';
import { ForemeshError, messageOf, readFileIfExists, sleep } from '../base/index.ts';
import type { LabNetwork } from './network.ts';
import { programFile } from './programs.ts';
import { findProcess, isAlive } from './run/index.ts';
import type { World } from './world.ts';

/** The engine's port for agents, on the management network. */
export const CHANNEL_PORT = 7443;

/** What `foremesh serve --config` is told: a JSON file. */
export interface EngineConfigFile {
  stateDir: string;
  repository: string;
  channel: { address: string; port: number; hosts: string[] };
  api: { socket: string };
  opa: string;
  firstPlanAfterTraining: boolean;
  seed: string;
  logFile: string;
}

/** A program and its arguments that serve the engine's API and channel as the config file says. */
export type EngineCommand = (configFile: string) => Promise<{ program: string; args: string[] }>;

export const serveCommand: EngineCommand = async (configFile) => ({ program: process.execPath, args: [await programFile('cli'), 'serve', '--config', configFile] });

export function engineStateDir(network: LabNetwork): string {
  return join(network.folder, 'engine');
}

export function engineSocket(network: LabNetwork): string {
  return join(engineStateDir(network), 'api.sock');
}

/** Where agents find the engine. */
export function engineUrl(network: LabNetwork): string {
  return `https://${network.layout.engineAddress}:${CHANNEL_PORT}`;
}

export async function writeEngineConfig(network: LabNetwork, options: { forgeDir: string; opa: string; seed: string; firstPlanAfterTraining: boolean }): Promise<string> {
  const file = join(network.folder, 'engine.json');
  const config: EngineConfigFile = {
    stateDir: engineStateDir(network),
    repository: options.forgeDir,
    channel: { address: network.layout.engineAddress, port: CHANNEL_PORT, hosts: [network.layout.engineAddress] },
    api: { socket: engineSocket(network) },
    opa: options.opa,
    firstPlanAfterTraining: options.firstPlanAfterTraining,
    seed: options.seed,
    logFile: join(network.folder, 'logs', 'engine.json.log'),
  };
  await writeFile(file, JSON.stringify(config, null, 2), { mode: 0o600 });
  return file;
}

/** Starts the engine, unless it runs, and waits until its API answers. @throws ForemeshError LAB_FAILED with the end of its log */
export async function ensureEngine(network: LabNetwork, command: EngineCommand, signal?: AbortSignal): Promise<void> {
  const running = await findProcess(network.id, 'engine');
  if (!running || !isAlive(running)) {
    const { program, args } = await command(join(network.folder, 'engine.json'));
    await network.spawn('engine', network.layout.managementNamespace, program, args, -5);
  }
  await waitForApi(network, signal);
}

const READY_LIMIT_MS = 60_000;

async function waitForApi(network: LabNetwork, signal: AbortSignal | undefined): Promise<void> {
  const deadlineMs = network.clock.monotonicMs() + READY_LIMIT_MS;
  const api = engineApi(network);
  for (;;) {
    signal?.throwIfAborted();
    const answer = await api.request('GET', '/v1/status').catch(messageOf);
    if (typeof answer !== 'string' && answer.status < 500) return;
    const running = await findProcess(network.id, 'engine');
    const ended = !running || !isAlive(running);
    if (ended || network.clock.monotonicMs() > deadlineMs) {
      const log = (await readFileIfExists(join(network.folder, 'logs', 'engine.log'))) ?? '';
      throw new ForemeshError('LAB_FAILED', { what: `the engine ${ended ? 'ended' : 'does not answer'}: ${log.trim().slice(-400)}`, fix: `read ${join(network.folder, 'logs')}` });
    }
    await sleep(network.clock, 50);
  }
}

/** Calls to the engine's API over its unix socket, with the token that it keeps in its state folder. */
export function engineApi(network: LabNetwork): World['api'] {
  return {
    async request(method, path, body) {
      const token = (await readFileIfExists(join(engineStateDir(network), 'api-token')))?.trim() ?? ''; // none yet: it is refused, or not there
      return createApiClient({ socket: engineSocket(network), token }).request(method, path, body);
    },
  };
}
