import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { ForemeshError, runGitBytes, runGitText, SOURCE_LIMITS, sortedBy, type SourceFile, type SourceLimits } from '../base/index.ts';
import { checkSha } from './refs.ts';

/** What the engine itself rendered may be larger than what people write: one file for each node of a large mesh. */
const RENDERED_LIMITS: SourceLimits = { fileBytesMax: 16_777_216, totalBytesMax: 134_217_728, filesMax: 10_000 };
const RENDERED_FOLDER = /^plan(?:\/|$)/;

interface TreeEntry {
  mode: string;
  type: string;
  sha: string;
  bytes: number;
  path: string;
}

/**
 * All files below a folder of a commit, sorted by path; [] when there is no such folder. Nothing is checked out.
 * @throws ForemeshError GIT_REF_REFUSED naming every symlink, submodule, too large, not UTF-8 or oddly named entry at once
 */
export async function readTreeFolder(gitDir: string, commit: string, folder: string): Promise<SourceFile[]> {
  const limits = limitsOf(folder);
  const entries = await listTree(gitDir, commit, `${checkPath(folder)}/`, true);
  const faults = entries.flatMap((entry) => faultOf(entry, limits.fileBytesMax));
  if (entries.length > limits.filesMax) faults.push(`${folder} holds ${entries.length} files, more than ${limits.filesMax}`);
  const bytes = entries.reduce((sum, entry) => sum + entry.bytes, 0);
  if (bytes > limits.totalBytesMax) faults.push(`${folder} holds ${bytes} bytes, more than ${limits.totalBytesMax}`);
  refuse(commit, faults);
  return readBlobs(gitDir, commit, sortedBy(entries, (entry) => entry.path));
}

/** One file's text, or null when the commit has no such file. @throws ForemeshError GIT_REF_REFUSED when it is not a plain UTF-8 file within the limits */
export async function readTreeFile(gitDir: string, commit: string, path: string): Promise<string | null> {
  const entry = (await listTree(gitDir, commit, checkPath(path), false)).find((candidate) => candidate.path === path);
  if (!entry || entry.type === 'tree') return null;
  refuse(commit, faultOf(entry, limitsOf(path).fileBytesMax));
  return (await readBlobs(gitDir, commit, [entry]))[0]!.text;
}

/**
 * Writes a tree that is `baseTree` (a tree or commit; null: empty) with everything below `folder` replaced by `files`, whose
 * keys are paths from the repository's root and must lie in the folder (`''`: the whole tree). Gives the tree's id.
 */
export async function writeTree(gitDir: string, baseTree: string | null, folder: string, files: ReadonlyMap<string, string>): Promise<string> {
  for (const path of files.keys()) {
    if (folder !== '' && !checkPath(path).startsWith(`${checkPath(folder)}/`)) {
      throw new ForemeshError('GIT_REF_REFUSED', { what: `${path} does not lie in ${folder}`, fix: 'give paths from the root of the repository' });
    }
  }
  const workFolder = await mkdtemp(join(tmpdir(), 'foremesh-tree-'));
  const index = { GIT_INDEX_FILE: join(workFolder, 'index') };
  try {
    const blobs = await hashFiles(gitDir, workFolder, [...files]);
    const old = baseTree === null || folder === '' ? [] : await listTree(gitDir, baseTree, '', true);
    const kept = old.filter(({ path }) => !path.startsWith(`${folder}/`));
    const lines = [...kept.map(({ mode, sha, path }) => `${mode} ${sha}\t${path}`), ...blobs.map((blob) => `100644 ${blob.sha}\t${blob.path}`)];
    await runGitBytes(gitDir, ['update-index', '-z', '--index-info'], { env: index, stdin: lines.map((line) => `${line}\0`).join('') });
    return await runGitText(gitDir, ['write-tree'], { env: index });
  } finally {
    await rm(workFolder, { recursive: true, force: true });
  }
}

/** Objects by name (`<sha>`, `<sha>^{tree}`, `<sha>:path`), raw and in order, by one process; null where there is none. */
export async function readObjects(gitDir: string, names: readonly string[]): Promise<({ type: string; bytes: Buffer } | null)[]> {
  if (names.length === 0) return [];
  const output = await runGitBytes(gitDir, ['cat-file', '--batch'], { stdin: names.map((name) => `${name}\n`).join('') });
  let offset = 0;
  return names.map(() => {
    const end = output.indexOf(10, offset);
    const [, type, size] = /^[0-9a-f]{40} (\w+) ([0-9]+)$/.exec(output.toString('latin1', offset, end)) ?? [];
    offset = end + 1;
    if (type === undefined) return null;
    const bytes = output.subarray(offset, offset + Number(size));
    offset += Number(size) + 1;
    return { type, bytes };
  });
}

/** The same path. @throws ForemeshError GIT_REF_REFUSED for `..`, `.git`, an empty part, a leading / or -, or a control character */
export function checkPath(path: string): string {
  const isPlain = path.length <= 1000 && !/[\p{Cc}\\]/u.test(path) && !path.startsWith('-');
  if (isPlain && path.split('/').every((part) => part !== '' && part !== '.' && part !== '..' && part.toLowerCase() !== '.git')) return path;
  throw new ForemeshError('GIT_REF_REFUSED', { what: `${JSON.stringify(path.slice(0, 100))} is not a path in a repository`, fix: 'use a relative path without .. and .git' });
}

function limitsOf(path: string): SourceLimits {
  return RENDERED_FOLDER.test(path) ? RENDERED_LIMITS : SOURCE_LIMITS;
}

async function listTree(gitDir: string, treeish: string, path: string, isDeep: boolean): Promise<TreeEntry[]> {
  const args = ['ls-tree', '-z', '-l', '--full-tree', ...(isDeep ? ['-r'] : []), checkSha(treeish), ...(path === '' ? [] : ['--', path])];
  const output = (await runGitBytes(gitDir, args)).toString('utf8');
  return output.split('\0').filter((line) => line !== '').map((line) => {
    const tab = line.indexOf('\t');
    const [mode = '', type = '', sha = '', size = '-'] = line.slice(0, tab).split(/ +/);
    return { mode, type, sha, bytes: size === '-' ? 0 : Number(size), path: line.slice(tab + 1) };
  });
}

function faultOf(entry: TreeEntry, bytesMax: number): string[] {
  const kinds: Record<string, string> = { '120000': 'a symbolic link', '160000': 'a submodule' };
  if (entry.mode !== '100644' && entry.mode !== '100755') return [`${entry.path} is ${kinds[entry.mode] ?? `an entry of mode ${entry.mode}`}`];
  if (entry.bytes > bytesMax) return [`${entry.path} has ${entry.bytes} bytes, more than ${bytesMax}`];
  return /[\p{Cc}\\\uFFFD]/u.test(entry.path) ? [`${JSON.stringify(entry.path)} is not a plain file name`] : [];
}

function refuse(commit: string, faults: readonly string[]): void {
  if (faults.length === 0) return;
  const more = faults.length > 10 ? `; and ${faults.length - 10} more` : '';
  throw new ForemeshError('GIT_REF_REFUSED', {
    what: `commit ${commit.slice(0, 12)}: ${faults.slice(0, 10).join('; ')}${more}`,
    fix: 'keep plain UTF-8 files of moderate size only, and take the others out of the repository',
  });
}

async function readBlobs(gitDir: string, commit: string, entries: readonly TreeEntry[]): Promise<SourceFile[]> {
  const objects = await readObjects(gitDir, entries.map((entry) => entry.sha));
  const decoder = new TextDecoder('utf-8', { fatal: true });
  const faults: string[] = [];
  const files = entries.map((entry, index) => {
    try {
      return { file: entry.path, text: decoder.decode(objects[index]?.bytes) };
    } catch {
      faults.push(`${entry.path} is not UTF-8`); // reported with all others below
      return { file: entry.path, text: '' };
    }
  });
  refuse(commit, faults);
  return files;
}

async function hashFiles(gitDir: string, folder: string, files: readonly [string, string][]): Promise<{ path: string; sha: string }[]> {
  if (files.length === 0) return [];
  const paths = files.map((_, index) => join(folder, `blob-${index}`));
  for (const [index, [, text]] of files.entries()) await writeFile(paths[index]!, text);
  const output = await runGitText(gitDir, ['hash-object', '-w', '--no-filters', '--stdin-paths'], { stdin: paths.map((path) => `${path}\n`).join('') });
  return output.split('\n').map((sha, index) => ({ path: files[index]![0], sha }));
}
