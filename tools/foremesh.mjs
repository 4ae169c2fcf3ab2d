#!/usr/bin/env node
// `foremesh ARGS` from a bare clone: gets ready what the command needs, then runs it in this process.
import { spawnSync } from 'node:child_process';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { BootstrapError, ROOT, ensureBaseProgrammes, ensureBuild, ensureDependencies, ensureNode, ensureOpa, ensureSystemPackages, findOnPath, say } from './bootstrap.mjs';

const args = process.argv.slice(2);
const wantsLab = (args[0] === 'demo' && !args.includes('--simulated') && !args.includes('--help')) || args[0] === 'lab';

// npm runs scripts in the package's folder; paths on the command line are meant from where it was typed
if (process.env.npm_lifecycle_event === 'foremesh' && process.env.INIT_CWD) process.chdir(process.env.INIT_CWD);

try {
  ensureNode();
  becomeRootForLab();
  ensureBaseProgrammes();
  ensureDependencies();
  ensureBuild();
  process.env.FOREMESH_OPA = await ensureOpa();
  if (wantsLab && process.platform === 'linux' && process.getuid?.() === 0) ensureSystemPackages();
} catch (error) {
  if (!(error instanceof BootstrapError)) throw error;
  say(error.message);
  process.exit(2);
}
await import(pathToFileURL(join(ROOT, 'dist', 'src', 'cli', 'main.js')).href);

/** The lab needs root. With a sudo that asks nothing we start again under it; otherwise the command itself says what it does instead. */
function becomeRootForLab() {
  if (!wantsLab || process.platform !== 'linux' || process.getuid?.() === 0) return;
  const sudo = findOnPath('sudo');
  if (!sudo || spawnSync(sudo, ['-n', 'true'], { stdio: 'ignore' }).status !== 0) return;
  say('namespaces need root: starting again with sudo');
  const result = spawnSync(sudo, ['-n', '-E', process.execPath, ...process.argv.slice(1)], { stdio: 'inherit' });
  process.exit(result.status ?? 1);
}
