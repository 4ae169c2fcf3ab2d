import { spawn, type ChildProcess } from 'node:child_process';
import { mkdir, mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { createApiClient } from '../../src/api/index.ts';
import { readFileIfExists, readSourceFolder, runCommandText, writeFileAtomic } from '../../src/base/index.ts';
import { initForge, openRepository, type Repository } from '../../src/git/index.ts';
import { checkServeConfig, loadServeConfig, type ServeConfig } from '../../src/cli/serve.ts';

const ROOT = join(import.meta.dirname, '..', '..');

describe('the settings of serve', () => {
  it.each([
    ['nothing', {}],
    ['an unknown key', { stateDir: '/x', repository: '/r', channel: { address: '::', port: 1, hosts: ['h'] }, api: {}, debug: true }],
    ['a port as text', { stateDir: '/x', repository: '/r', channel: { address: '::', port: '1', hosts: ['h'] }, api: {} }],
    ['no host', { stateDir: '/x', repository: '/r', channel: { address: '::', port: 1, hosts: [] }, api: {} }],
    ['a list', []],
  ])('are refused with %s, naming what is wrong', (_what, value) => {
    expect(() => checkServeConfig(value, 'engine.json')).toThrow(/engine\.json/);
  });

  it('may be JSON or YAML, with all faults in one message', async () => {
    const dir = await mkdtemp(join(tmpdir(), 'foremesh-config-'));
    await writeFileAtomic(join(dir, 'engine.yaml'), 'stateDir: /tmp/x\nrepository: /tmp/r\nchannel: { address: 127.0.0.1, port: 0, hosts: [localhost] }\napi: {}\n');
    expect(await loadServeConfig(join(dir, 'engine.yaml'))).toMatchObject({ stateDir: '/tmp/x', api: {} });
    await writeFileAtomic(join(dir, 'engine.json'), '{"stateDir": 5, "api": {"port": -1}}');
    await expect(loadServeConfig(join(dir, 'engine.json'))).rejects.toMatchObject({ code: 'CLI_USAGE', what: expect.stringMatching(/repository.*channel.*stateDir.*api\.port/s) as string });
    await expect(loadServeConfig(join(dir, 'none.json'))).rejects.toMatchObject({ code: 'CLI_USAGE' });
    await rm(dir, { recursive: true });
  });
});

describe('the engine process', () => {
  let dir: string;
  let built: string;
  let config: ServeConfig;
  let observer: Repository;
  const children = new Set<ChildProcess>();

  beforeAll(async () => {
    dir = await mkdtemp(join(tmpdir(), 'foremesh-serve-'));
    // inside the project, so that the compiled files find its dependencies
    built = join(ROOT, 'node_modules', '.cache', `foremesh-serve-test-${process.pid}`);
    await runCommandText(process.execPath, [join(ROOT, 'node_modules/typescript/bin/tsc'), '-p', join(ROOT, 'tsconfig.build.json'), '--outDir', built]);
    await initForge(join(dir, 'forge.git'));
    await git('init', '--quiet', '--initial-branch=main');
    await git('remote', 'add', 'origin', join(dir, 'forge.git'));
    const files = [...(await readSourceFolder(ROOT, 'mesh-config', ['.yaml'])), ...(await readSourceFolder(ROOT, 'policies', ['.rego']))];
    await push(Object.fromEntries(files.map(({ file, text }) => [file, file === 'mesh-config/mesh.yaml' ? text.replace('cycle: 60s', 'cycle: 1s') : text])));
    config = checkServeConfig({
      stateDir: join(dir, 'state'),
      repository: join(dir, 'forge.git'),
      channel: { address: '127.0.0.1', port: 0, hosts: ['localhost', '127.0.0.1'] },
      api: {},
      historyDays: 2,
      logFile: join(dir, 'engine.log'),
    });
    observer = await openRepository({ dir: join(dir, 'observer.git'), remote: join(dir, 'forge.git') });
  }, 120_000);

  afterAll(async () => {
    for (const child of children) child.kill('SIGKILL');
    await rm(dir, { recursive: true, force: true });
    await rm(built, { recursive: true, force: true });
  });

  async function git(...args: string[]): Promise<string> {
    await mkdir(join(dir, 'work'), { recursive: true });
    return runCommandText('git', ['-C', join(dir, 'work'), '-c', 'user.name=Alice', '-c', 'user.email=alice@example.com', ...args], { env: { ...process.env, GIT_CONFIG_GLOBAL: '/dev/null' } });
  }

  async function push(files: Record<string, string>): Promise<void> {
    for (const [file, text] of Object.entries(files)) await writeFileAtomic(join(dir, 'work', file), text);
    await git('add', '.');
    await git('commit', '--quiet', '-m', 'edit');
    await git('push', '--quiet', 'origin', 'main');
  }

  function start(): { child: ChildProcess; ended: Promise<number | null>; stderr: () => string } {
    const script = `
      import { serve } from ${JSON.stringify(join(built, 'src/cli/serve.js'))};
      const end = new AbortController();
      process.once('SIGTERM', () => end.abort());
      await serve(${JSON.stringify(config)}, end.signal);
      process.exit(0);`;
    const child = spawn(process.execPath, ['--input-type=module', '-e', script], { stdio: ['ignore', 'ignore', 'pipe'] });
    children.add(child);
    let text = '';
    child.stderr.on('data', (chunk: Buffer) => {
      text += chunk.toString();
    });
    const ended = new Promise<number | null>((resolve) => {
      child.on('exit', (code) => {
        children.delete(child);
        resolve(code);
      });
    });
    return { child, ended, stderr: () => text };
  }

  async function until<T>(check: () => Promise<T | null | false>, limitMs: number): Promise<T> {
    const deadline = performance.now() + limitMs;
    for (;;) {
      const value = await check();
      if (value) return value;
      if (performance.now() > deadline) throw new Error(`nothing within ${limitMs} ms: ${((await readFileIfExists(join(dir, 'engine.log'))) ?? '').slice(-2000)}`);
      await delay(100);
    }
  }

  async function history(): Promise<{ generation: number; tree: string }[]> {
    await observer.fetch();
    const tip = await observer.resolve('mesh/live');
    if (!tip) return [];
    const commits = (await observer.log({ from: null, to: tip })).toReversed();
    return commits.map(({ trailers, tree }) => ({ generation: trailers!.generation, tree }));
  }

  const liveNode = async (): Promise<string> => {
    await observer.fetch();
    const tip = await observer.resolve('mesh/live');
    return tip ? ((await observer.readFile(tip, 'plan/nodes/berlin-gw1.yaml')) ?? '') : '';
  };

  it('starts, answers its API, and ends on SIGTERM with nothing left open', { timeout: 180_000 }, async () => {
    const engine = start();
    await until(async () => (await history()).length > 0, 120_000);
    const ready = JSON.parse(await until(() => readFileIfExists(join(dir, 'state', 'ready.json')), 10_000)) as { api: string; channel: { port: number } };
    expect(ready.channel.port).toBeGreaterThan(0);
    expect(engine.stderr()).toContain('foremesh: engine ready; api unix:');
    const token = (await readFile(join(dir, 'state', 'api-token'), 'utf8')).trim();
    const client = createApiClient({ socket: join(dir, 'state', 'api.sock'), token });
    expect(await client.request('GET', '/v1/status')).toMatchObject({ status: 200, body: { mesh: 'example' } });
    const answer = (await client.request('POST', '/v1/join-tokens', { node: 'berlin-gw1' })) as { status: number; body: { token: string } };
    expect(answer.status).toBe(201);
    expect(answer.body.token).toMatch(/^berlin-gw1\./);
    const log = await readFile(join(dir, 'engine.log'), 'utf8');
    expect(log).not.toContain(token);
    expect(log).not.toContain(answer.body.token);
    engine.child.kill('SIGTERM');
    expect(await engine.ended).toBe(0);
  });

  it('killed with SIGKILL again and again while main changes, ends with every change once', { timeout: 300_000 }, async () => {
    const meshFile = await readFile(join(dir, 'work', 'mesh-config', 'mesh.yaml'), 'utf8');
    let engine = start();
    for (const [round, waitMs] of [400, 1500, 2500, 3500].entries()) {
      await push({ 'mesh-config/mesh.yaml': meshFile.replace('interval: 50ms', `interval: ${60 + round}ms`) });
      await delay(waitMs);
      engine.child.kill('SIGKILL');
      await engine.ended;
      engine = start();
    }
    await until(async () => (await liveNode()).includes('intervalMs: 63'), 120_000);
    await until(() => Promise.resolve(engine.stderr().includes('engine ready')), 60_000);
    await delay(1500);
    engine.child.kill('SIGTERM');
    expect(await engine.ended).toBe(0);
    const commits = await history();
    expect(commits.map(({ generation }) => generation)).toEqual(commits.map((_, index) => index + 1));
    expect(new Set(commits.map(({ tree }) => tree)).size).toBe(commits.length);
    expect(commits.length).toBeGreaterThanOrEqual(2);
    expect(commits.length).toBeLessThanOrEqual(5);
  });
});

