import { lstat, readFile, readdir, writeFile } from 'node:fs/promises';
import { join, relative } from 'node:path';
import type { SourceFile } from '../../base/index.ts';
import { createMeshRepository, type MeshRepository } from '../mesh-repository.ts';
import { openPersonClone, type PersonGit } from '../person.ts';

/** A mesh repository as a team has it: the forge, and a person's clone of it. */
export interface TeamRepository extends MeshRepository {
  cloneDir: string;
  git: PersonGit;
  /** Edits a file of the clone; throws when the old text is not there, so that a demo never edits nothing. */
  replace(file: string, from: string, to: string): Promise<void>;
  commitAll(message: string): Promise<string>;
}

/**
 * Makes the forge with `mesh-config/` and `policies/` of a folder, and a clone of it.
 * @param meshYaml  text of mesh-config/mesh.yaml instead of the one in sourceDir
 */
export async function makeTeamRepository(options: { dir: string; sourceDir: string; meshYaml: string; at: number }): Promise<TeamRepository> {
  const shipped = [...(await readTree(options.sourceDir, 'mesh-config')), ...(await readTree(options.sourceDir, 'policies'))];
  const files = shipped.map((one) => (one.file === 'mesh-config/mesh.yaml' ? { ...one, text: options.meshYaml } : one));
  const forge = await createMeshRepository({ dir: options.dir, files, at: options.at });
  const cloneDir = join(options.dir, 'clone');
  const git = await openPersonClone(forge.forgeDir, cloneDir);
  return {
    ...forge,
    cloneDir,
    git,
    async replace(file, from, to) {
      const path = join(cloneDir, file);
      const text = await readFile(path, 'utf8');
      if (!text.includes(from)) throw new Error(`${file} does not hold ${JSON.stringify(from)}`);
      await writeFile(path, text.replace(from, to));
    },
    async commitAll(message) {
      await git('add', '-A');
      await git('commit', '-q', '-m', message);
      return git('rev-parse', 'HEAD');
    },
  };
}

async function readTree(root: string, folder: string): Promise<SourceFile[]> {
  const files: SourceFile[] = [];
  for (const name of (await readdir(join(root, folder))).sort()) {
    const path = join(root, folder, name);
    const stat = await lstat(path);
    if (stat.isDirectory()) files.push(...(await readTree(root, join(folder, name))));
    else if (stat.isFile()) files.push({ file: relative(root, path), text: await readFile(path, 'utf8') });
  }
  return files;
}
