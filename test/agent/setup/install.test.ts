import { chmod, mkdtemp, readFile, rm, stat, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { parseSettings } from '../../../agent/settings.ts';
import { install, type InstallOptions, installSteps, type InstallStep } from '../../../agent/setup/index.ts';

const TOKEN = `berlin-gw1.${'a'.repeat(64)}.secret-secret-secret-secret`;
const OPTIONS: InstallOptions = { node: 'berlin-gw1', engine: 'engine.example:8443', driver: 'auto', joinToken: TOKEN, stateDir: '/var/lib/foremesh', force: false };
const packagingFolder = resolve(import.meta.dirname, '../../../packaging');
const text = (name: string): Promise<string> => readFile(join(packagingFolder, name), 'utf8');
const packaging = { agentUnit: await text('foremesh-agent.service'), strongswanConf: await text('strongswan.d/foremesh.conf'), sysusersConf: await text('sysusers.d/foremesh.conf') };
const stepsOf = (difference: Partial<InstallOptions> = {}, program = '/usr/bin/foremesh-agent'): InstallStep[] => installSteps({ ...OPTIONS, ...difference }, packaging, program);
const fileOf = (steps: readonly InstallStep[], path: string): Extract<InstallStep, { kind: 'file' }> => steps.find((step): step is Extract<InstallStep, { kind: 'file' }> => step.kind === 'file' && step.path === path)!;

let root = '';
beforeAll(async () => {
  root = await mkdtemp(join(tmpdir(), 'agent-install-'));
});
afterAll(() => rm(root, { recursive: true, force: true }));

describe('what an installation writes', () => {
  it('is settings that the agent reads, with the token in a file of its own', async () => {
    const settings = fileOf(stepsOf(), '/etc/foremesh/agent.yaml');
    expect(settings.text).not.toContain('secret');
    expect(await parseSettings(settings.text, '/etc/foremesh/agent.yaml')).toMatchObject({ node: 'berlin-gw1', engine: { host: 'engine.example', port: 8443 }, driver: 'auto', stateDir: '/var/lib/foremesh' });
    expect(fileOf(stepsOf(), '/etc/foremesh/join-token')).toMatchObject({ mode: 0o400, owner: 'foremesh', isSecret: true });
  });

  it('has the settings last, which the unit waits for, and no unit where a package has brought one', () => {
    expect(stepsOf().at(-1)!.path).toBe('/etc/foremesh/agent.yaml');
    expect(packaging.agentUnit).toContain('ConditionPathExists=/etc/foremesh/agent.yaml');
    expect(stepsOf().some(({ path }) => path.endsWith('.service'))).toBe(false);
    const unit = fileOf(stepsOf({}, '/usr/bin/node /home/ann/foremesh/dist/agent/main.js'), '/etc/systemd/system/foremesh-agent.service').text;
    expect(unit).toContain('ExecStart=/usr/bin/node /home/ann/foremesh/dist/agent/main.js --config /etc/foremesh/agent.yaml');
    expect(unit).toContain('ProtectHome=read-only');
  });

  it('asks of the daemon what the driver needs', () => {
    const conf = (driver: InstallOptions['driver']): string => fileOf(stepsOf({ driver }), '/etc/strongswan.d/foremesh.conf').text;
    expect(conf('xfrm')).toMatch(/install_routes = no\n/);
    expect(conf('libipsec')).toMatch(/install_routes = yes\n/);
    expect(conf('libipsec')).toMatch(/kernel-libipsec \{\n +load = yes\n/);
    for (const driver of ['auto', 'xfrm', 'libipsec'] as const) expect(conf(driver).split('{')).toHaveLength(conf(driver).split('}').length);
  });

  it.each<[string, Partial<InstallOptions>]>([
    ['a name that is none', { node: 'Berlin; reboot' }],
    ['an engine that would change the settings', { engine: 'host\nviciSocket: /tmp/x' }],
    ['a token of another node', { joinToken: TOKEN.replace('berlin', 'paris') }],
    ['a state folder that leads elsewhere', { stateDir: '/var/lib/../../etc' }],
  ])('is nothing for %s', (_case, difference) => {
    expect(() => stepsOf(difference)).toThrow(/AGENT_CONFIG_INVALID/);
  });
});

describe('an installation', () => {
  it('writes files with their modes, and changes nothing the second time', async () => {
    const first = await install(stepsOf(), root);
    expect(new Set(first.map(({ did }) => did))).toEqual(new Set(['made']));
    for (const step of stepsOf()) expect((await stat(join(root, step.path))).mode & 0o777).toBe(step.mode);
    expect(new Set((await install(stepsOf(), root)).map(({ did }) => did))).toEqual(new Set(['kept']));
  });

  it('puts modes and texts right that were changed', async () => {
    await chmod(join(root, '/etc/foremesh/join-token'), 0o644);
    await writeFile(join(root, '/etc/strongswan.d/foremesh.conf'), 'charon {}\n');
    const changed = (await install(stepsOf(), root)).filter(({ did }) => did !== 'kept');
    expect(changed.map(({ path, did }) => `${did} ${path}`)).toEqual(['changed /etc/strongswan.d/foremesh.conf', 'changed /etc/foremesh/join-token']);
  });

  it('writes nothing at all when settings are there that say something else, unless it is forced', async () => {
    const other = { engine: 'other.example:8443', driver: 'libipsec' } as const;
    await expect(install(stepsOf(other), root)).rejects.toThrow(/AGENT_CONFIG_INVALID.*agent.yaml/);
    expect(await readFile(join(root, '/etc/strongswan.d/foremesh.conf'), 'utf8')).toContain('install_routes = no');
    await install(stepsOf({ ...other, force: true }), root);
    expect(await readFile(join(root, '/etc/foremesh/agent.yaml'), 'utf8')).toContain('other.example');
  });
});
