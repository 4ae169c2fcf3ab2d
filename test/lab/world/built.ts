import { resolve } from 'node:path';
import { runCommandText } from '../../../src/base/index.ts';

const ROOT = resolve(import.meta.dirname, '../../..');

/** Compiles src/ and agent/ to dist/, which the lab's processes run from; types are checked elsewhere. About a second. */
export async function build(): Promise<void> {
  await runCommandText(process.execPath, ['node_modules/typescript/bin/tsc', '-p', 'tsconfig.build.json', '--noCheck'], { cwd: ROOT });
}
