import { lstat, readFile, readdir, writeFile } from 'node:fs/promises';
import { join, relative } from 'node:path';
import { runCommandText, type SourceFile } from '../../base/index.ts';
import { createMeshRepository, OPERATOR, type MeshRepository } from '../mesh-repository.ts';

/** A mesh repository as a team has it: the forge, and a person's clone of it. */
export interface TeamRepository extends MeshRepository {
  cloneDir: string;
  /** Plain git in the clone, as the person. Gives stdout without the last newline. */
  git(...args: string[]): Promise<string>;
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
  await runCommandText('git', ['clone', '-q', '--branch', 'main', forge.forgeDir, cloneDir], { env: personEnvironment() });
  const git = async (...args: string[]): Promise<string> => (await runCommandText('git', ['-C', cloneDir, ...args], { env: personEnvironment() })).trimEnd();
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

/** A person's git, without anything of this machine's settings. */
function personEnvironment(): NodeJS.ProcessEnv {
  return {
    PATH: process.env['PATH'],
    HOME: '/nonexistent',
    GIT_CONFIG_NOSYSTEM: '1',
    GIT_CONFIG_GLOBAL: '/dev/null',
    GIT_TERMINAL_PROMPT: '0',
    GIT_AUTHOR_NAME: 'Ada',
    GIT_AUTHOR_EMAIL: OPERATOR,
    GIT_COMMITTER_NAME: 'Ada',
    GIT_COMMITTER_EMAIL: OPERATOR,
    GIT_EDITOR: 'true',
  };
}
