// `npm test`: everything, from a bare clone. Unit and simulation tests run anywhere; the lab ones need Linux and root, and
// are skipped with a reason elsewhere. Ends with `N passed, N failed, N skipped`. Arguments go to vitest.
import { spawnSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { BootstrapError, ROOT, ensureBaseProgrammes, ensureBuild, ensureDependencies, ensureNode, ensureOpa, ensureSystemPackages, say } from './bootstrap.mjs';

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

function runTests(isLabPossible) {
  if (!isLabPossible) say('the lab tests need Linux, root and strongSwan: skipped here');
  const report = join(folder, 'report.json');
  const args = ['run', '--reporter=default', '--reporter=json', `--outputFile.json=${report}`, ...process.argv.slice(2)];
  if (!isLabPossible) args.push('--project', 'unit');
  const vitest = join(ROOT, 'node_modules', 'vitest', 'vitest.mjs');
  const result = spawnSync(process.execPath, [vitest, ...args], { cwd: ROOT, stdio: 'inherit', env: process.env });
  const counts = JSON.parse(readFileSync(report, 'utf8'));
  const skipped = counts.numPendingTests + counts.numTodoTests;
  const brokenSuites = counts.numFailedTestSuites > 0 && counts.numFailedTests === 0 ? 1 : 0;
  const failed = counts.numFailedTests + brokenSuites;
  const isBad = result.status !== 0 || failed > 0 || (process.env.CI === 'true' && (skipped > 0 || !isLabPossible));
  if (process.env.CI === 'true' && (skipped > 0 || !isLabPossible)) say('in CI nothing may be skipped, the lab least of all');
  process.stdout.write(`${counts.numPassedTests} passed, ${Math.max(failed, result.status !== 0 ? 1 : 0)} failed, ${skipped} skipped\n`);
  return isBad ? 1 : 0;
}
