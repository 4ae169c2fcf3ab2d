import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { runCommandText, runGitText } from '../../src/base/index.ts';
import { allowedSignersLine, ensureSigningKey, initForge, openRepository, type Repository } from '../../src/git/index.ts';
import type { LiveTrailers } from '../../src/model/index.ts';

export const ENGINE = 'engine@foremesh';
export const AUTHOR = `Foremesh <${ENGINE}>`;
export const AT = Date.UTC(2026, 0, 5);

export interface GitFixture {
  folder: string;
  forgeDir: string;
  repository: Repository;
  allowedSignersFile: string;
  privateKeyFile: string;
  publicKey: string;
  /** Raw plumbing at the forge, as an attacker or another program would use it. */
  forgeGit(args: string[], stdin?: string | Uint8Array): Promise<string>;
  /** A commit with these files as the whole tree. */
  commit(files: Record<string, string>, options?: { parents?: string[]; message?: string; at?: number }): Promise<string>;
  close(): Promise<void>;
}

/** A bare forge and the engine's mirror of it, in a temporary folder, with a signing key. */
export async function createGitFixture(): Promise<GitFixture> {
  const folder = await mkdtemp(join(tmpdir(), 'foremesh-git-test-'));
  const forgeDir = join(folder, 'forge.git');
  await initForge(forgeDir);
  const { privateKeyFile, publicKey } = await ensureSigningKey(join(folder, 'keys'), ENGINE);
  const allowedSignersFile = join(folder, 'allowed_signers');
  await writeFile(allowedSignersFile, `${allowedSignersLine(ENGINE, publicKey)}\n`);
  const signing = { privateKeyFile, identity: ENGINE };
  const repository = await openRepository({ dir: join(folder, 'mirror.git'), remote: forgeDir, signing });
  return {
    folder,
    forgeDir,
    repository,
    allowedSignersFile,
    privateKeyFile,
    publicKey,
    forgeGit: (args, stdin) => runGitText(forgeDir, args, stdin === undefined ? {} : { stdin }),
    commit: (files, options = {}) =>
      repository.commit({
        parents: options.parents ?? [],
        baseTree: null,
        replace: { folder: '', files: new Map(Object.entries(files)) },
        message: options.message ?? 'a change',
        author: AUTHOR,
        at: options.at ?? AT,
      }),
    close: () => rm(folder, { recursive: true, force: true }),
  };
}

export async function createSshKey(folder: string, name: string): Promise<{ file: string; publicKey: string }> {
  const file = join(folder, name);
  await runCommandText('ssh-keygen', ['-q', '-t', 'ed25519', '-N', '', '-C', name, '-f', file]);
  return { file, publicKey: (await runCommandText('ssh-keygen', ['-y', '-f', file])).trim() };
}

export function exampleTrailers(changes: Partial<LiveTrailers> = {}): LiveTrailers {
  const digest = `sha256:${'ab'.repeat(32)}`;
  return { generation: 7, parent: 'none', intent: 'c'.repeat(40), policy: digest, forecast: digest, telemetry: digest, decision: 'auto', cause: 'demand rises on berlin>paris', ...changes };
}
