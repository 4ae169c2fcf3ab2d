import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { runCommand } from '../../src/base/index.ts';

const root = resolve(import.meta.dirname, '..', '..');
let dir: string;

beforeAll(async () => {
  dir = await mkdtemp(join(tmpdir(), 'foremesh-cli-'));
});
afterAll(() => rm(dir, { recursive: true, force: true }));

/** The command as a user of the clone runs it. */
async function foremesh(...args: string[]): Promise<{ exitCode: number; stdout: string; stderr: string }> {
  const result = await runCommand(process.execPath, [join(root, 'tools', 'foremesh.mjs'), ...args], { cwd: dir, env: { ...process.env, NO_COLOR: '1' }, timeoutMs: 120_000 });
  return { exitCode: result.exitCode, stdout: result.stdout.toString('utf8'), stderr: result.stderr };
}

describe('the command line', () => {
  it('makes a repository that its own check finds clean and its own plan can plan', async () => {
    expect((await foremesh('init', 'mesh')).exitCode).toBe(0);
    const check = await foremesh('check', 'mesh', '--output', 'json');
    const { schema, findings } = JSON.parse(check.stdout) as { schema: string; findings: { severity: string }[] };
    expect({ exitCode: check.exitCode, schema, errors: findings.filter(({ severity }) => severity === 'error') }).toEqual({ exitCode: 0, schema: 'foremesh/check/v1', errors: [] });
    const plan = await foremesh('plan', 'mesh', '--detailed-exitcode');
    expect(plan.exitCode).toBe(2);
    expect(plan.stdout).toMatch(/Plan: \d+ to add, 0 to move, 0 to remove/);
    expect(plan.stdout).toContain('Proven: all that is wanted is carried within the limits.');
    expect((await foremesh('plan', 'mesh')).exitCode).toBe(0);
  });

  it('exports the planning problem of a repository, for the bench and for other programs', async () => {
    expect((await foremesh('plan', 'mesh', '--export-instance', 'mesh.json')).exitCode).toBe(0);
    const bench = await foremesh('bench', 'planner', '--instance', 'mesh.json', '--output', 'json');
    const { worth, bound } = JSON.parse(bench.stdout) as { worth: number; bound: number };
    expect(bench.exitCode).toBe(0);
    expect(bound).toBeGreaterThan(0);
    expect(worth).toBeCloseTo(bound, 4);
  });

  it('refuses to scaffold into a folder that holds something', async () => {
    const again = await foremesh('init', 'mesh');
    expect({ exitCode: again.exitCode, stderr: again.stderr }).toEqual({ exitCode: 1, stderr: expect.stringContaining('CLI_USAGE') as string });
  });

  it('shows a weak cipher with file, line and column in every format, and exits with 1', async () => {
    const file = join(dir, 'mesh', 'mesh-config', 'security.yaml');
    const good = await readFile(file, 'utf8');
    await writeFile(file, good.replace('encryption: aes128gcm16, prf', 'encryption: 3des, integrity: sha256, prf'));
    const line = good.split('\n').findIndex((text) => text.includes('encryption: aes128gcm16, prf')) + 1;
    const text = await foremesh('check', 'mesh');
    expect(text.exitCode).toBe(1);
    expect(text.stdout).toMatch(new RegExp(`mesh-config/security\\.yaml:${line}:\\d+  INTENT_CIPHER_WEAK .* fix: `));
    expect((await foremesh('check', 'mesh', '-o', 'github')).stdout).toMatch(new RegExp(`^::error file=mesh-config/security\\.yaml,line=${line},col=\\d+,title=INTENT_CIPHER_WEAK::`, 'm'));
    const sarif = JSON.parse((await foremesh('check', 'mesh', '-o', 'sarif')).stdout) as { version: string; runs: { results: { ruleId: string }[] }[] };
    expect(sarif.version).toBe('2.1.0');
    expect(sarif.runs[0]!.results.map(({ ruleId }) => ruleId)).toContain('INTENT_CIPHER_WEAK');
    expect((await foremesh('check', 'mesh', '-o', 'junit')).stdout).toContain('<failure message=');
    expect((await foremesh('plan', 'mesh')).exitCode).toBe(1);
    await writeFile(file, good);
  });

  it('keeps its progress to itself where stderr is no terminal', async () => {
    const file = join(dir, 'demands.csv');
    await writeFile(file, ['timestamp,a>b,b>a', ...Array.from({ length: 40 }, (_, row) => `${row},${row % 9},${row % 4}`)].join('\n'));
    const { exitCode, stdout, stderr } = await foremesh('bench', 'forecast', '--data', file, '--horizon', '15m', '--model', 'ewma', '-o', 'json');
    expect({ exitCode, stderr }).toEqual({ exitCode: 0, stderr: '' });
    expect(JSON.parse(stdout)).toMatchObject({ schema: 'foremesh/bench-forecast/v1', pairs: 2, rows: 40 });
  });

  it('says in one line what is wrong with a command, and how to fix it', async () => {
    const status = await foremesh('status', '--token-file', join(dir, 'nothing'));
    expect(status.exitCode).toBe(1);
    expect(status.stderr).toMatch(/API_UNAUTHORIZED .*\n\s+fix: /);
    expect((await foremesh('nonsense')).exitCode).toBe(1);
    const check = await foremesh('check', join(dir, 'nothing'));
    expect(check).toMatchObject({ exitCode: 2, stdout: '', stderr: expect.stringMatching(/REPOSITORY_MISSING .*nothing is no folder\n\s+fix: /) as string });
  });
});
