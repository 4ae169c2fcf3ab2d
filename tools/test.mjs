// `npm test`: everything, from a bare clone. Unit and simulation tests run anywhere; the lab ones need Linux and root, and
// are skipped with a reason elsewhere. Ends with `N passed, N failed, N skipped`. Arguments go to vitest.
import { spawnSync } from 'node:child_process';
import { existsSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { BootstrapError, ROOT, ensureBaseProgrammes, ensureBuild, ensureDependencies, ensureNode, ensureOpa, ensureSystemPackages, say } from './bootstrap.mjs';

/** On all cores: left to itself vitest keeps one free, which is half of a machine with two. */
const UNIT = ['--project', 'unit', '--maxWorkers', '100%'];

const folder = mkdtempSync(join(tmpdir(), 'foremesh-test-'));
let exitCode = 2;
try {
  ensureNode();
  const isLabPossible = process.platform === 'linux' && process.getuid?.() === 0 && ensureSystemPackages();
  ensureBaseProgrammes();
  ensureDependencies();
  ensureBuild();
  process.env.FOREMESH_OPA = await ensureOpa();
  exitCode = runTests(isLabPossible);
} catch (error) {
  if (!(error instanceof BootstrapError)) throw error;
  say(error.message);
} finally {
  rmSync(folder, { recursive: true, force: true });
}
process.exit(exitCode);

/** The lab has the machine to itself, after everything else: timing is what it is about. */
function runTests(isLabPossible) {
  if (!isLabPossible) say('the lab tests need Linux, root and strongSwan: skipped here');
  const chosen = process.argv.slice(2);
  const projects = chosen.includes('--project') ? [[]] : isLabPossible ? [UNIT, ['--project', 'lab']] : [UNIT];
  const totals = { passed: 0, failed: 0, skipped: 0 };
  for (const project of projects) {
    const counts = runVitest([...project, ...chosen]);
    for (const name of Object.keys(totals)) totals[name] += counts[name];
  }
  const isIncomplete = process.env.CI === 'true' && (totals.skipped > 0 || !isLabPossible);
  if (isIncomplete) say('in CI nothing may be skipped, the lab least of all');
  process.stdout.write(`${totals.passed} passed, ${totals.failed} failed, ${totals.skipped} skipped\n`);
  return totals.failed > 0 || isIncomplete ? 1 : 0;
}

/** Counts of one run; a suite that broke before its first test, or a runner that died, counts as a failure. */
function runVitest(args) {
  const report = join(folder, 'report.json');
  rmSync(report, { force: true });
  const vitest = join(ROOT, 'node_modules', 'vitest', 'vitest.mjs');
  const result = spawnSync(process.execPath, [vitest, 'run', '--passWithNoTests', '--reporter=default', '--reporter=json', `--outputFile.json=${report}`, ...args], { cwd: ROOT, stdio: 'inherit', env: process.env });
  if (!existsSync(report)) return { passed: 0, failed: 1, skipped: 0 };
  const counts = JSON.parse(readFileSync(report, 'utf8'));
  const failed = counts.numFailedTests + (counts.numFailedTests === 0 && counts.numFailedTestSuites > 0 ? 1 : 0);
  return { passed: counts.numPassedTests, failed: failed === 0 && result.status !== 0 ? 1 : failed, skipped: counts.numPendingTests + counts.numTodoTests };
}
