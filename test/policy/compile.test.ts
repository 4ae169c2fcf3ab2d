import { mkdtemp, rm, symlink, writeFile, mkdir } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { FindingsError, formatFinding, runCommand, type SourceFile } from '../../src/base/index.ts';
import { compilePolicy, findOpa, readPolicyFolder, testPolicy } from '../../src/policy/index.ts';
import { opaProgram, policySources } from './support.ts';

const shipped = await readPolicyFolder('.');

async function errorsOf(sources: readonly SourceFile[]): Promise<string[]> {
  const result = await compilePolicy(sources, opaProgram);
  return result.ok ? [] : result.findings.map((finding) => formatFinding(finding).split('   fix:')[0]!);
}

const withPlan = (body: string) => policySources({ plan: body });

describe('the shipped policies', () => {
  it('compile, pass their tests and are formatted', async () => {
    expect(await errorsOf(shipped)).toEqual([]);
    expect(await testPolicy(shipped, opaProgram)).toEqual([]);
    expect((await runCommand(opaProgram, ['fmt', '--fail', '--list', 'policies'])).stdout.toString()).toBe('');
  });

  it('have the same digest whatever the order of files, another for another rule, and the same for another test', async () => {
    const digestOf = async (sources: readonly SourceFile[]) => {
      const result = await compilePolicy(sources, opaProgram);
      return result.ok ? result.policy.digest : null;
    };
    const original = await digestOf(shipped);
    expect(original).toMatch(/^sha256:[0-9a-f]{64}$/);
    expect(await digestOf([...shipped].reverse())).toBe(original);
    expect(await digestOf(shipped.map((one) => (one.file.endsWith('change/rule.rego') ? { ...one, text: `${one.text}\n# changed\n` } : one)))).not.toBe(original);
    expect(await digestOf(shipped.map((one) => (one.file.endsWith('change/rule_test.rego') ? { ...one, text: `${one.text}\n# changed\n` } : one)))).toBe(original);
  });

  it('give every finding rule a title, a description, a code and a severity, and say of each code that it runs', async () => {
    const inspect = await runCommand(opaProgram, ['inspect', '--annotations', '--format', 'json', 'policies']);
    const { annotations } = JSON.parse(inspect.stdout.toString()) as { annotations: { path: { value: string }[]; location: { file: string }; annotations: { scope: string; title?: string; description?: string; custom?: { code?: string; severity?: string } } }[] };
    const rules = annotations.filter((one) => one.path.at(-1)!.value === 'findings');
    expect(rules.length).toBeGreaterThan(30);
    for (const { annotations: metadata } of rules) {
      expect(metadata).toMatchObject({ title: expect.any(String), description: expect.any(String), custom: { code: expect.stringMatching(/^[A-Z_]+$/), severity: expect.stringMatching(/^(error|warning|info)$/) } });
    }
    for (const question of ['intent', 'plan', 'change']) {
      const text = shipped.find(({ file }) => file === `policies/${question}/rule.rego`)!.text;
      const codes = rules.filter((one) => one.location.file.includes(`/${question}/`)).map((one) => one.annotations.custom!.code!);
      for (const code of codes) expect([code, text.split(`"${code}"`).length > 1]).toEqual([code, true]);
    }
  });
});

describe('compiling', () => {
  it('shows all errors with file, line and column', async () => {
    expect(await errorsOf(withPlan('import data.unused\n\nverdict := {"decision": z}\n'))).toEqual([
      'policies/plan/rule.rego:3:1  POLICY_INVALID  import data.unused unused',
      'policies/plan/rule.rego:5:25  POLICY_INVALID  var z is unsafe',
    ]);
  });

  it('refuses a syntax error', async () => {
    expect(await errorsOf(withPlan('verdict := {'))).toEqual([expect.stringMatching(/^policies\/plan\/rule\.rego:\d+:1 {2}POLICY_INVALID {2}.*eof/)]);
  });

  it('refuses recursion', async () => {
    expect((await errorsOf(withPlan('verdict := f(1)\n\nf(x) := g(x)\n\ng(x) := f(x)')))[0]).toMatch(/rule\.rego:[57]:1 .*recursive/);
  });

  it.each(['http.send({"url": "http://127.0.0.1/"})', 'opa.runtime()', 'time.now_ns()', 'rand.intn("x", 9)', 'regex.split("(a+)+$", "aaaa")', 'yaml.unmarshal("a: 1")', 'net.lookup_ip_addr("example.org")', 'uuid.rfc4122("x")', 'net.cidr_expand("10.0.0.0/8")'])(
    'refuses %s, which is not among the built-ins',
    async (call) => {
      expect((await errorsOf(withPlan(`verdict := ${call}`)))[0]).toMatch(/^policies\/plan\/rule\.rego:3:12 {2}POLICY_INVALID {2}.*undefined function/);
    },
  );

  it('refuses policies without one of the three entry points', async () => {
    expect((await errorsOf(policySources().slice(0, 2)))[0]).toMatch(/foremesh\/change\/verdict|foremesh\.change\.verdict/);
  });

  it('refuses to write outside its folder', async () => {
    for (const file of ['../evil.rego', '/etc/evil.rego', 'policies/../../evil.rego', 'policies/a b.rego']) {
      expect(await errorsOf([...policySources(), { file, text: 'package evil\n' }])).toEqual([expect.stringMatching(/POLICY_INVALID {2}the file name .* is not allowed/)]);
    }
  });

  it('refuses a tree without policies', async () => {
    expect(await errorsOf([])).toEqual(['POLICY_INVALID  there are no policies']);
  });
});

describe('testing', () => {
  const tested = (body: string): SourceFile[] => [...policySources(), { file: 'policies/plan/rule_test.rego', text: `package foremesh.plan_test\n\n${body}\n` }];

  it('gives each failing, skipped and broken test as a finding with its place', async () => {
    const findings = await testPolicy(tested('test_good if 1 == 1\n\ntest_bad if 1 == 2\n\ntodo_test_later if 1 == 1\n'), opaProgram);
    expect(findings.map((finding) => formatFinding(finding).split('   fix:')[0])).toEqual([
      'policies/plan/rule_test.rego:5:1  POLICY_INVALID  test test_bad fails',
      'policies/plan/rule_test.rego:7:1  POLICY_INVALID  test todo_test_later is skipped',
    ]);
  });

  it('does not let a test reach the network', async () => {
    const [finding] = await testPolicy(tested('test_leak if http.send({"url": "http://127.0.0.1/", "method": "get"}).status_code == 200'), opaProgram);
    expect(finding).toMatchObject({ code: 'POLICY_INVALID', where: { file: 'policies/plan/rule_test.rego', line: 3 } });
  });

  it('says of a test that does not end that it took too long, and lets the others count', async () => {
    const endless = 'test_endless if count([1 | some i in numbers.range(1, 2000); some j in numbers.range(1, 2000); some k in numbers.range(1, 2000); i + j + k > 0]) == 0';
    const findings = await testPolicy(tested(`${endless}\n\ntest_bad if 1 == 2\n`), opaProgram, 1500);
    expect(findings.map((finding) => formatFinding(finding).split('   fix:')[0])).toEqual([
      'policies/plan/rule_test.rego:3:1  POLICY_INVALID  test test_endless did not end within 1.5 s',
      'policies/plan/rule_test.rego:5:1  POLICY_INVALID  test test_bad fails',
    ]);
    expect(findings[0]!.fix).toContain('less busy');
  });

  it('warns of policies without tests', async () => {
    expect(await testPolicy(policySources(), opaProgram)).toEqual([expect.objectContaining({ severity: 'warning', what: 'the policies have no tests' })]);
  });
});

describe('reading and finding', () => {
  it('does not follow a symbolic link out of the policies', async () => {
    const dir = await mkdtemp(join(tmpdir(), 'foremesh-test-'));
    try {
      await mkdir(join(dir, 'policies'));
      await symlink('/etc/hostname', join(dir, 'policies', 'evil.rego'));
      await expect(readPolicyFolder(dir)).rejects.toBeInstanceOf(FindingsError);
    } finally {
      await rm(dir, { recursive: true });
    }
  });

  it('finds OPA by FOREMESH_OPA, then PATH, then the cache, and skips what is no OPA', async () => {
    const dir = await mkdtemp(join(tmpdir(), 'foremesh-test-'));
    try {
      const fake = async (folder: string, version: string) => {
        await mkdir(join(dir, folder), { recursive: true });
        await writeFile(join(dir, folder, 'opa'), `#!/bin/sh\necho 'Version: ${version}'\n`, { mode: 0o755 });
        return join(dir, folder, 'opa');
      };
      const env = { PATH: join(dir, 'path'), XDG_CACHE_HOME: join(dir, 'cache') };
      await expect(findOpa(env)).rejects.toMatchObject({ code: 'TOOL_MISSING' });
      const cached = await fake('cache/foremesh/opa-1.22.2', '1.22.2');
      await fake('path', '0.68.0');
      expect(await findOpa(env)).toBe(cached);
      const onPath = await fake('path', '1.9.0');
      expect(await findOpa(env)).toBe(onPath);
      const named = await fake('named', '1.22.2');
      expect(await findOpa({ ...env, FOREMESH_OPA: named })).toBe(named);
      await expect(findOpa({ ...env, FOREMESH_OPA: join(dir, 'nothing') })).rejects.toMatchObject({ code: 'TOOL_MISSING' });
    } finally {
      await rm(dir, { recursive: true });
    }
  });
});
