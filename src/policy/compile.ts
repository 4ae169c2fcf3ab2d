import { mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { digest, readSourceFolder, runCommand, sortedBy, type CommandResult, type Finding, type SourceFile } from '../base/index.ts';
import { readFromBundle } from './bundle.ts';
import { reducedCapabilities } from './capabilities.ts';
import { QUESTIONS } from './verdict.ts';

/** Rules as WASM, ready for `createPolicyRunner`. */
export interface CompiledPolicy {
  wasm: Uint8Array;
  /** Of the rules' paths and bytes (tests left out): the same sources give the same digest on every machine. */
  digest: string;
  /** The rule files, sorted. */
  files: string[];
}

const COMMAND_TIMEOUT_MS = 60_000;
/** For a test that never ends, not for one that is slow: the longest shipped one takes a second, and half a minute on a machine that is busy with ten other things. */
const TEST_LIMIT_MS = 120_000;
const SAFE_PATH = /^(?!.*(?:^|\/)\.{1,2}(?:\/|$))[A-Za-z0-9_][A-Za-z0-9._/-]{0,200}$/;

/**
 * Checks (`opa check --strict`, tests included) and compiles Rego to WASM with the built-ins of `capabilities.ts` only.
 * Other files than `.rego` are ignored.
 * @returns all errors of the check, or of the build, with file, line and column
 * @throws ForemeshError TOOL_MISSING when `opaProgram` cannot be started
 */
export async function compilePolicy(files: readonly SourceFile[], opaProgram: string): Promise<{ ok: true; policy: CompiledPolicy } | { ok: false; findings: Finding[] }> {
  const sources = regoOf(files);
  const refused = refusedPaths(sources);
  if (refused.length > 0) return { ok: false, findings: refused };
  return await inTemporaryFolder(sources, opaProgram, async (folder) => {
    const check = await opa(opaProgram, folder, ['check', '--strict', '--format', 'json', '--max-errors', '100', ...LIMITS, 'src']);
    if (check.exitCode !== 0) return { ok: false, findings: await allFindings(check, () => opa(opaProgram, folder, ['check', '--format', 'json', '--max-errors', '100', ...LIMITS, 'src'])) };
    const entrypoints = QUESTIONS.flatMap((question) => ['--entrypoint', `foremesh/${question}/verdict`]);
    const build = await opa(opaProgram, folder, ['build', '--target', 'wasm', ...entrypoints, ...LIMITS, '--ignore', '*_test.rego', '--output', 'bundle.tar.gz', 'src']);
    if (build.exitCode !== 0) return { ok: false, findings: findingsOf(build) };
    const wasm = readFromBundle(await readFile(join(folder, 'bundle.tar.gz')), 'policy.wasm');
    if (wasm === null) return { ok: false, findings: [finding('opa build made no WASM', null)] };
    const rules = sources.filter(({ file }) => !isTest(file));
    return { ok: true, policy: { wasm: new Uint8Array(wasm), digest: digest(rules.map(({ file, text }) => [file, digest(text)])), files: rules.map(({ file }) => file) } };
  });
}

/**
 * Runs the Rego tests (`opa test`) with the same reduced built-ins.
 * @param testLimitMs  for each test, by the wall clock; all of them together have four times as long, and a minute
 * @returns a finding for each test that fails, errs or is skipped, and one when there is none at all; [] when all pass
 */
export async function testPolicy(files: readonly SourceFile[], opaProgram: string, testLimitMs = TEST_LIMIT_MS): Promise<Finding[]> {
  const sources = regoOf(files);
  const refused = refusedPaths(sources);
  if (refused.length > 0) return refused;
  if (!sources.some(({ file }) => isTest(file))) return [{ ...finding('the policies have no tests', null), severity: 'warning', fix: 'add rule_test.rego beside each rule.rego' }];
  return await inTemporaryFolder(sources, opaProgram, async (folder) => {
    const result = await opa(opaProgram, folder, ['test', '--format', 'json', '--timeout', `${testLimitMs}ms`, ...LIMITS, 'src'], COMMAND_TIMEOUT_MS + 4 * testLimitMs);
    const tests = parseJson(result.stdout.toString('utf8'));
    if (!Array.isArray(tests)) return findingsOf(result);
    const inOrder = sortedBy(tests as TestResult[], ({ location, name }) => `${location?.file ?? ''} ${String(location?.row ?? 0).padStart(8, '0')} ${name ?? ''}`);
    return inOrder.flatMap((test) => {
      const outcome = outcomeOf(test, testLimitMs);
      return outcome === null ? [] : [{ ...finding(`test ${test.name ?? '?'} ${outcome.what}`, test.location), fix: outcome.fix }];
    });
  });
}

/** Null for a test that passes. */
function outcomeOf({ fail, error, skip }: TestResult, testLimitMs: number): { what: string; fix: string } | null {
  const fix = 'run opa test -v on the policies, then correct the rule or the test';
  if (fail) return { what: 'fails', fix };
  if (error && /deadline exceeded/.test(error.message ?? '')) return { what: `did not end within ${testLimitMs / 1000} s`, fix: 'make the test smaller, or run it again on a machine that is less busy' };
  if (error) return { what: `could not run: ${error.message ?? 'unknown error'}`, fix };
  return skip ? { what: 'is skipped', fix } : null;
}

/** The Rego files below `dir/policies`, tests included; paths relative to `dir`. @throws FindingsError as `readSourceFolder` */
export function readPolicyFolder(dir: string): Promise<SourceFile[]> {
  return readSourceFolder(dir, 'policies', ['.rego']);
}

const LIMITS = ['--capabilities', 'capabilities.json'];

interface OpaLocation {
  file?: string;
  row?: number;
  col?: number;
}

interface TestResult {
  name?: string;
  location?: OpaLocation;
  fail?: boolean;
  skip?: boolean;
  error?: { message?: string };
}

function regoOf(files: readonly SourceFile[]): SourceFile[] {
  return sortedBy(files.filter(({ file }) => file.endsWith('.rego')), ({ file }) => file);
}

function refusedPaths(sources: readonly SourceFile[]): Finding[] {
  if (sources.length === 0) return [{ ...finding('there are no policies', null), fix: 'add policies/intent, policies/plan and policies/change (foremesh init writes them)' }];
  return sources.filter(({ file }) => !SAFE_PATH.test(file)).map(({ file }) => ({ ...finding(`the file name ${JSON.stringify(file.slice(0, 80))} is not allowed`, null), fix: 'use letters, digits, - and _' }));
}

function isTest(file: string): boolean {
  return file.endsWith('_test.rego');
}

async function inTemporaryFolder<T>(sources: readonly SourceFile[], opaProgram: string, work: (folder: string) => Promise<T>): Promise<T> {
  const folder = await mkdtemp(join(tmpdir(), 'foremesh-policy-'));
  try {
    await writeFile(join(folder, 'capabilities.json'), await reducedCapabilities(opaProgram));
    for (const { file, text } of sources) {
      await mkdir(dirname(join(folder, 'src', file)), { recursive: true });
      await writeFile(join(folder, 'src', file), text);
    }
    return await work(folder);
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
}

/** No environment: rules and their tests have nothing to read there. */
function opa(program: string, cwd: string, args: readonly string[], timeoutMs = COMMAND_TIMEOUT_MS): Promise<CommandResult> {
  return runCommand(program, args, { cwd, env: { HOME: cwd }, timeoutMs });
}

/** Some versions of OPA stop after the strict errors: what a plain check finds belongs to the same answer. */
async function allFindings(strict: CommandResult, plainCheck: () => Promise<CommandResult>): Promise<Finding[]> {
  const plain = await plainCheck();
  const found = [...findingsOf(strict), ...(plain.exitCode === 0 ? [] : findingsOf(plain))];
  return sortedBy(distinct(found), ({ where }) => `${where?.file ?? ''} ${String(where?.line ?? 0).padStart(8, '0')} ${String(where?.column ?? 0).padStart(8, '0')}`);
}

/** OPA's errors as findings; they come as JSON or, from some commands, as `file:row: code: message` lines. */
function findingsOf(result: CommandResult): Finding[] {
  const parsed = parseJson(result.stderr) as { errors?: { message?: string; location?: OpaLocation }[] } | null;
  if (parsed && Array.isArray(parsed.errors) && parsed.errors.length > 0) {
    return distinct(parsed.errors.map((error) => finding(error.message ?? 'unknown error', error.location)));
  }
  const lines = `${result.stderr}\n${result.stdout.toString('utf8')}`.split('\n').filter((line) => line.trim() !== '').slice(0, 20);
  const located = lines.flatMap((line) => {
    const match = /src\/(\S+?\.rego):(\d+): (?:\w+: )?(.*)$/.exec(line);
    return match ? [finding(match[3]!, { file: `src/${match[1]!}`, row: Number(match[2]), col: 1 })] : [];
  });
  return located.length > 0 ? distinct(located) : [finding(lines.join(' ').slice(0, 400) || `opa ended with ${result.exitCode}`, null)];
}

function finding(what: string, location: OpaLocation | null | undefined): Finding {
  const file = location?.file?.replace(/^.*?src\//, '');
  return {
    code: 'POLICY_INVALID',
    severity: 'error',
    what: what.slice(0, 400),
    where: file ? { file, line: Math.max(1, location?.row ?? 1), column: Math.max(1, location?.col ?? 1) } : null,
    fix: /undefined function/.test(what) ? 'use only built-ins that are pure and bounded (the network, time and chance are not there); see src/policy/capabilities.ts' : 'correct the Rego; opa check --strict policies shows the same',
  };
}

function distinct(findings: readonly Finding[]): Finding[] {
  return [...new Map(findings.map((one) => [`${one.where?.file ?? ''}:${one.where?.line ?? 0}:${one.where?.column ?? 0}`, one])).values()];
}

function parseJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return null; // not JSON is the answer, not an error
  }
}
