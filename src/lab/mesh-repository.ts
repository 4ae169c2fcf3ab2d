import { mkdir, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { ForemeshError, type SourceFile } from '../base/index.ts';
import { allowedSignersLine, ensureSigningKey, initForge, openRepository } from '../git/index.ts';

/** A new mesh repository on the local forge, and the key of the person who may approve in it. */
export interface MeshRepository {
  forgeDir: string;
  operatorKeyFile: string;
}

export const OPERATOR = 'operator@foremesh.example';
const SIGNERS_FILE = 'mesh-config/allowed_signers';

/**
 * Makes a bare forge in `dir` whose `main` holds the given files (`mesh-config/**`, `policies/**`) and, in
 * `mesh-config/allowed_signers`, the operator's fresh key besides whoever is in it already.
 */
export async function createMeshRepository(options: { dir: string; files: readonly SourceFile[]; at: number }): Promise<MeshRepository> {
  const { dir, files, at } = options;
  const forgeDir = join(dir, 'forge.git');
  const { privateKeyFile, publicKey } = await ensureSigningKey(join(dir, 'operator'), OPERATOR);
  await initForge(forgeDir);
  const known = files.find((one) => one.file === SIGNERS_FILE)?.text.trim();
  const signers = [...(known ? [known] : []), allowedSignersLine(OPERATOR, publicKey, ['git', 'foremesh-review'])].join('\n');
  const tree = new Map([...files.map((one) => [one.file, one.text] as const), [SIGNERS_FILE, `${signers}\n`] as const]);
  await mkdir(dir, { recursive: true, mode: 0o700 });
  const mirror = join(dir, 'first-commit.git');
  const repository = await openRepository({ dir: mirror, remote: forgeDir });
  const commit = await repository.commit({ parents: [], baseTree: null, replace: { folder: '', files: tree }, message: 'mesh: the example network and its policies\n', author: `Operator <${OPERATOR}>`, at });
  const pushed = await repository.push([{ ref: 'refs/heads/main', oldSha: null, newSha: commit }]);
  await rm(mirror, { recursive: true, force: true });
  if (pushed !== 'pushed') throw new ForemeshError('LAB_FAILED', { what: `main exists already in ${forgeDir}`, fix: 'use an empty folder' });
  return { forgeDir, operatorKeyFile: privateKeyFile };
}
