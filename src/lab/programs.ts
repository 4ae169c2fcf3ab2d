import { access } from 'node:fs/promises';
import { join, resolve } from 'node:path';
import { ForemeshError } from '../base/index.ts';

/** What runs as a process of its own, as files below `dist/`. */
export const PROGRAMS = {
  relay: 'src/lab/relay/main.js',
  sender: 'src/lab/traffic/sender-main.js',
  receiver: 'src/lab/traffic/receiver-main.js',
  agent: 'agent/main.js',
  cli: 'src/cli/main.js',
} as const;

export type ProgramName = keyof typeof PROGRAMS;

/** The compiled file of a program. @throws ForemeshError LAB_FAILED when it was not built */
export async function programFile(name: ProgramName): Promise<string> {
  const file = join(distFolder(), PROGRAMS[name]);
  try {
    await access(file);
  } catch (cause) {
    throw new ForemeshError('LAB_FAILED', { what: `${file} is not there`, fix: 'npm run build', cause });
  }
  return file;
}

/** Node 20 runs no TypeScript, so tests, which run from `src/`, start the compiled programs too. */
function distFolder(): string {
  const root = resolve(import.meta.dirname, '../..');
  return import.meta.filename.endsWith('.ts') ? join(root, 'dist') : root;
}
