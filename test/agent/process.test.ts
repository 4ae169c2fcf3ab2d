import { spawn } from 'node:child_process';
import { mkdtemp, rm, stat, writeFile } from 'node:fs/promises';
import { connect } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { compileSources, type CompiledSources } from '../support/compiled.ts';
import { parseSettings } from '../../agent/settings.ts';

let root = '';
let compiled: CompiledSources;

beforeAll(async () => {
  root = await mkdtemp(join(tmpdir(), 'agent-process-'));
  compiled = await compileSources(['agent/main.ts']);
});
afterAll(async () => {
  await compiled.remove();
  await rm(root, { recursive: true, force: true });
});

interface Process {
  kill(signal: NodeJS.Signals): void;
  ended: Promise<{ exitCode: number | null; stderr: string }>;
}

function startAgent(...args: string[]): Process {
  const child = spawn(process.execPath, [join(compiled.dir, 'agent/main.js'), ...args], { stdio: ['ignore', 'pipe', 'pipe'] });
  let stderr = '';
  child.stderr.on('data', (chunk: Buffer) => (stderr += chunk.toString('utf8')));
  return { kill: (signal) => child.kill(signal), ended: new Promise((resolve) => child.on('close', (exitCode) => resolve({ exitCode, stderr }))) };
}

async function settingsFile(name: string, content: object): Promise<string> {
  const file = join(root, `${name}.json`);
  await writeFile(file, JSON.stringify(content));
  return file;
}

/** What the agent answers on its socket, asked until it does. */
async function readStatus(file: string): Promise<unknown> {
  for (;;) {
    const text = await new Promise<string>((resolve) => {
      const socket = connect(file);
      let answer = '';
      socket.on('data', (chunk: Buffer) => (answer += chunk.toString('utf8')));
      socket.on('error', () => resolve(''));
      socket.on('close', () => resolve(answer));
    });
    if (text !== '') return JSON.parse(text);
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
}

describe('the settings of an agent', () => {
  it('come from YAML or JSON, the engine as a URL, as host:port or in two parts', async () => {
    const forms = ['engine: https://10.9.0.1:8443', 'engine: 10.9.0.1:8443', 'engine: { host: 10.9.0.1, port: 8443 }', 'engine: 10.9.0.1'];
    for (const engine of forms) {
      const settings = await parseSettings(`node: berlin-gw1\nstateDir: state\n${engine}\n`, '/etc/foremesh/agent.yaml');
      expect(settings).toMatchObject({ node: 'berlin-gw1', stateDir: '/etc/foremesh/state', engine: { host: '10.9.0.1', port: 8443 }, viciSocket: '/var/run/charon.vici', probePort: 8622, joinToken: null });
    }
  });

  it('are refused with everything that is wrong at once', async () => {
    const text = 'node: Berlin\nengine: [1]\nprobePort: 99999\ndriver: wireguard\nstatedir: x\nmanagement: [ssh]\nlogLevel: loud\n';
    await expect(parseSettings(text, 'agent.yaml')).rejects.toThrow(/AGENT_CONFIG_INVALID.*unknown key "statedir".*node:.*stateDir:.*engine:.*probePort:.*driver:.*management:.*logLevel:/);
  });
});

describe('the process of an agent', () => {
  it('says how it is used', async () => {
    expect(await startAgent().ended).toMatchObject({ exitCode: 2, stderr: expect.stringContaining('usage:') as string });
  });

  it('ends with the reason when it has neither certificate nor token', async () => {
    const file = await settingsFile('no-token', { node: 'berlin-gw1', stateDir: 'no-token', engine: '127.0.0.1:9', logLevel: 'silent' });
    const { exitCode, stderr } = await startAgent('--config', file).ended;
    expect(exitCode).toBe(1);
    expect(stderr).toMatch(/^CA_TOKEN_REFUSED .*no join token.*fix: make one/);
  });

  it('waits for an engine that is away, answers on its socket meanwhile, and lets no second agent in', async () => {
    const joinToken = `berlin-gw1.${'a'.repeat(64)}.${'b'.repeat(32)}`;
    const file = await settingsFile('waiting', { node: 'berlin-gw1', stateDir: 'waiting', engine: '127.0.0.1:9', joinToken, logLevel: 'info' });
    const first = startAgent('--config', file);
    const socket = join(root, 'waiting', 'agent.sock');
    expect(await readStatus(socket)).toMatchObject({ node: 'berlin-gw1', generation: 0, tunnels: [] });
    expect((await stat(socket)).mode & 0o777).toBe(0o600);
    const second = await startAgent('--config', file).ended;
    expect(second).toMatchObject({ exitCode: 1, stderr: expect.stringContaining('another agent runs') as string });
    first.kill('SIGTERM');
    const { exitCode, stderr } = await first.ended;
    expect(exitCode).toBe(0);
    expect(stderr).toContain('joining later');
    expect(stderr).not.toContain('b'.repeat(32));
  });
});
