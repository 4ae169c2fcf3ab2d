import { mkdir } from 'node:fs/promises';
import { isAbsolute, join } from 'node:path';
import { ForemeshError, readFileIfExists, runGit, runGitBytes, runGitText, Waiting, type SourceFile } from '../base/index.ts';
import type { NodeId, SignedConfig } from '../model/index.ts';
import { readLog, verifyCommit, writeCommit, type CommitInfo, type CommitSigning } from './commits.ts';
import { isAncestor, pushRefs, type RefUpdate } from './push.ts';
import { checkRemote, checkSha, isSha, parseRevision } from './refs.ts';
import { readObjects, readTreeFile, readTreeFolder, writeTree } from './trees.ts';

export interface RepositoryOptions {
  /** Our own bare mirror; made when it is not there. Absolute. */
  dir: string;
  /** The forge's repository; see `checkRemote`. */
  remote: string;
  /** Signs every commit we make; without it commits are unsigned. */
  signing?: CommitSigning;
}

/** One repository through our own bare mirror of it. Nothing is ever checked out. */
export interface Repository {
  /** Brings refs/heads/* and refs/mesh/* as they are at the remote, deletions included. @throws Waiting GIT_FAILED when it cannot be reached */
  fetch(): Promise<void>;
  /**
   * The commit behind a branch (`main`, `mesh/live`), a full ref, or a commit id (≥ 7 hex), each with `~N`; null when there is none.
   * A short name is a branch and nothing else, so no pushed ref such as `refs/mesh/live` can stand in for it.
   */
  resolve(ref: string): Promise<string | null>;
  readFolder(commit: string, folder: string): Promise<SourceFile[]>;
  readFile(commit: string, path: string): Promise<string | null>;
  /** Writes a commit whose tree is `baseTree` (null: empty) with everything below `replace.folder` replaced by `replace.files`, whose keys are paths from the root. */
  commit(options: CommitOptions): Promise<string>;
  /** Moves all refs or none, each only from its expected value; the mirror follows. */
  push(updates: readonly RefUpdate[]): Promise<'pushed' | 'moved'>;
  log(range: { from: string | null; to: string }): Promise<CommitInfo[]>;
  isAncestor(older: string, newer: string): Promise<boolean>;
  /** Who signed it, or null; see `verifyCommit`. */
  verify(commit: string, allowedSignersFile: string): Promise<{ signer: string } | null>;
  /** The config of one node with the Git objects that prove it. @throws ForemeshError GIT_FAILED when the commit has none for it */
  prove(commit: string, node: NodeId): Promise<SignedConfig>;
}

export interface CommitOptions {
  parents: readonly string[];
  baseTree: string | null;
  replace: { folder: string; files: ReadonlyMap<string, string> };
  message: string;
  author: string;
  at: number;
}

/** Opens (or makes) the mirror; does not talk to the remote. @throws ForemeshError GIT_REF_REFUSED for an unacceptable remote */
export async function openRepository(options: RepositoryOptions): Promise<Repository> {
  const { dir } = options;
  const remote = checkRemote(options.remote);
  if (!isAbsolute(dir)) throw new ForemeshError('GIT_REF_REFUSED', { what: `the mirror's folder ${dir} is not absolute`, fix: 'give an absolute path' });
  if ((await readFileIfExists(join(dir, 'HEAD'))) === null) await initBare(dir);
  const inOrder = createQueue();
  return {
    fetch: () => inOrder(() => fetchAll(dir, remote)),
    resolve: (ref) => resolve(dir, ref),
    readFolder: (commit, folder) => readTreeFolder(dir, commit, folder),
    readFile: (commit, path) => readTreeFile(dir, commit, path),
    async commit({ baseTree, replace, ...rest }) {
      const tree = await writeTree(dir, baseTree, replace.folder, replace.files);
      return writeCommit(dir, { tree, ...rest }, options.signing ?? null);
    },
    push: (updates) =>
      inOrder(async () => {
        const result = await pushRefs(dir, remote, updates);
        if (result === 'pushed') await followPush(dir, updates);
        return result;
      }),
    log: ({ from, to }) => readLog(dir, from, to),
    isAncestor: (older, newer) => isAncestor(dir, older, newer),
    verify: (commit, allowedSignersFile) => verifyCommit(dir, commit, allowedSignersFile),
    prove: (commit, node) => prove(dir, commit, node),
  };
}

/** Makes an empty bare repository without sample hooks, open to its owner only. */
export async function initBare(dir: string): Promise<void> {
  await mkdir(dir, { recursive: true, mode: 0o700 });
  await runGitBytes(dir, ['init', '--quiet', '--bare', '--template=', '--object-format=sha1', '--initial-branch=main']);
}

async function fetchAll(dir: string, remote: string): Promise<void> {
  const refspecs = ['+refs/heads/*:refs/heads/*', '+refs/mesh/*:refs/mesh/*'];
  const args = ['fetch', '--quiet', '--atomic', '--prune', '--no-tags', '--no-recurse-submodules', '--no-write-fetch-head', '--', remote, ...refspecs];
  const result = await runGit(dir, args, { timeoutMs: 120_000 });
  if (result.exitCode === 0) return;
  throw new Waiting('GIT_FAILED', 5000, {
    what: `fetch failed: ${result.stderr.trim().slice(-400)}`,
    fix: 'see that the repository exists and that we may read it; the last good state is kept meanwhile',
  });
}

async function resolve(dir: string, ref: string): Promise<string | null> {
  const { name, back } = parseRevision(ref);
  const candidates = name.startsWith('refs/') ? [name] : [`refs/heads/${name}`, ...(/^[0-9a-f]{7,40}$/.test(name) ? [name] : [])];
  for (const candidate of candidates) {
    const revision = `${candidate}${back > 0 ? `~${back}` : ''}^{commit}`;
    const result = await runGit(dir, ['rev-parse', '--verify', '--quiet', '--end-of-options', revision]);
    const sha = result.stdout.toString('utf8').trim();
    if (result.exitCode === 0 && isSha(sha)) return sha;
  }
  return null;
}

/** After a push our mirror shows what the remote now has, without a fetch. */
async function followPush(dir: string, updates: readonly RefUpdate[]): Promise<void> {
  const lines = updates.map(({ ref, newSha }) => (newSha === null ? `delete ${ref}` : `update ${ref} ${newSha}`));
  await runGitText(dir, ['update-ref', '--stdin'], { stdin: `${lines.join('\n')}\n` });
}

async function prove(dir: string, commit: string, node: NodeId): Promise<SignedConfig> {
  checkSha(commit);
  const file = `plan/nodes/${node}.yaml`;
  const objects = await readObjects(dir, [commit, `${commit}^{tree}`, `${commit}:plan`, `${commit}:plan/nodes`, `${commit}:${file}`]);
  const types = ['commit', 'tree', 'tree', 'tree', 'blob'];
  const [commitObject, root, plan, nodes, blob] = objects.map((object, index) => {
    if (object && object.type === types[index]) return object.bytes.toString('base64');
    throw new ForemeshError('GIT_FAILED', { what: `commit ${commit.slice(0, 12)} has no ${file}`, fix: 'take a commit of mesh/live whose intent names this node' });
  }) as [string, string, string, string, string];
  return { schema: 'foremesh/signed-config/v1', node, commit, commitObject, trees: [root, plan, nodes], blob };
}

/** Runs tasks one after the other: fetch and push both move the mirror's refs. */
function createQueue(): <T>(task: () => Promise<T>) => Promise<T> {
  let last: Promise<unknown> = Promise.resolve();
  return (task) => {
    const next = last.then(task, task);
    last = next.catch(() => undefined); // the caller gets the error; the queue only waits for the end
    return next;
  };
}
