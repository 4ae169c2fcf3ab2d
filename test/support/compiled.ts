import { mkdtemp, mkdir, rm } from 'node:fs/promises';
import { join, resolve } from 'node:path';
import { runCommand } from '../../src/base/index.ts';

/** Compiled JavaScript of some of our sources, for tests that need a child process or a worker: Node 20 runs no TypeScript. */
export interface CompiledSources {
  /** Mirrors the repository: `join(dir, 'src/telemetry/index.js')`. */
  dir: string;
  remove(): Promise<void>;
}

/** Compiles the given entry files and what they import into a fresh folder below node_modules, where packages resolve. */
export async function compileSources(entries: readonly string[]): Promise<CompiledSources> {
  const root = resolve(import.meta.dirname, '../..');
  const cache = join(root, 'node_modules/.cache');
  await mkdir(cache, { recursive: true });
  const dir = await mkdtemp(join(cache, 'foremesh-test-'));
  const options = ['--noEmit', 'false', '--outDir', dir, '--rootDir', root, '--target', 'ES2023', '--lib', 'ES2023', '--types', 'node', '--module', 'NodeNext', '--moduleResolution', 'NodeNext'];
  const flags = ['--skipLibCheck', '--rewriteRelativeImportExtensions', '--allowImportingTsExtensions', '--noCheck', '--ignoreConfig'];
  const result = await runCommand(process.execPath, [join(root, 'node_modules/typescript/bin/tsc'), ...options, ...flags, ...entries.map((entry) => join(root, entry))], { cwd: root });
  if (result.exitCode !== 0) throw new Error(`tsc ended with ${result.exitCode}: ${result.stdout.toString('utf8')}${result.stderr}`);
  return { dir, remove: () => rm(dir, { recursive: true, force: true }) };
}
