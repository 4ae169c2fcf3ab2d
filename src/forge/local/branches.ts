import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { ForemeshError, runGit, runGitText } from '../../base/index.ts';
import type { ChangeRecord } from './record.ts';

const SIGNERS_FILE = 'mesh-config/allowed_signers';

/** The forge's branches, as they are at this moment. */
export interface Branches {
  defaultBranch(): Promise<string>;
  /** Tip of a branch, or null. @throws ForemeshError FORGE_REFUSED for what is not a branch name */
  tip(branch: string): Promise<string | null>;
  isAncestor(older: string, newer: string): Promise<boolean>;
  /** The record as a reader should see it: while it is open, head as the branch is now; merged once base has taken the head in. */
  refresh(record: ChangeRecord): Promise<ChangeRecord>;
  /** Calls `use` with a file that holds mesh-config/allowed_signers of the default branch as it is now (empty when there is none). */
  withSigners<T>(use: (file: string, text: string) => Promise<T>): Promise<T>;
}

export function createBranches(gitDir: string): Branches {
  async function defaultBranch(): Promise<string> {
    return (await runGitText(gitDir, ['symbolic-ref', 'HEAD'])).replace(/^refs\/heads\//, '');
  }

  async function tip(branch: string): Promise<string | null> {
    const result = await runGit(gitDir, ['rev-parse', '--verify', '--quiet', '--end-of-options', `${branchRef(branch)}^{commit}`]);
    return result.exitCode === 0 ? result.stdout.toString('utf8').trim() : null;
  }

  async function isAncestor(older: string, newer: string): Promise<boolean> {
    return (await runGit(gitDir, ['merge-base', '--is-ancestor', older, newer])).exitCode === 0;
  }

  async function refresh(record: ChangeRecord): Promise<ChangeRecord> {
    if (record.state !== 'open') return record;
    const headSha = (await tip(record.head)) ?? record.headSha;
    const baseSha = (await tip(record.base)) ?? record.baseSha;
    const isTaken = headSha !== record.baseSha && (await isAncestor(headSha, baseSha)) && !(await isAncestor(headSha, record.baseSha));
    if (!isTaken) return { ...record, headSha };
    return { ...record, headSha, state: 'merged', mergeSha: await mergeCommit(headSha, baseSha) };
  }

  /** The commit by which the first-parent line of `base` took `head` in: a merge, or `head` itself after a fast-forward. */
  async function mergeCommit(head: string, base: string): Promise<string> {
    const lines = (await runGitText(gitDir, ['rev-list', '--parents', '--first-parent', '--ancestry-path', `${head}..${base}`])).split('\n');
    const [oldest = '', firstParent] = (lines.at(-1) ?? '').split(' ');
    return oldest === '' || firstParent === head ? head : oldest;
  }

  async function withSigners<T>(use: (file: string, text: string) => Promise<T>): Promise<T> {
    const tree = await tip(await defaultBranch());
    const entry = tree === null ? '' : await runGitText(gitDir, ['ls-tree', '--full-tree', tree, '--', SIGNERS_FILE]);
    const blob = /^100(?:644|755) blob ([0-9a-f]{40})\t/.exec(entry)?.[1];
    const text = blob === undefined ? '' : await runGitText(gitDir, ['cat-file', 'blob', blob]);
    const folder = await mkdtemp(join(tmpdir(), 'foremesh-signers-'));
    try {
      const file = join(folder, 'allowed_signers');
      await writeFile(file, `${text}\n`, { mode: 0o600 });
      return await use(file, text);
    } finally {
      await rm(folder, { recursive: true, force: true });
    }
  }

  return { defaultBranch, tip, isAncestor, refresh, withSigners };
}

export function branchRef(branch: string): string {
  const isPlain = branch.length <= 200 && branch.split('/').every((part) => /^[A-Za-z0-9_+][A-Za-z0-9._+@=-]*$/.test(part) && !part.includes('..') && !part.endsWith('.lock'));
  if (isPlain) return `refs/heads/${branch}`;
  throw new ForemeshError('FORGE_REFUSED', { what: `${JSON.stringify(branch.slice(0, 100))} is not a branch name`, fix: 'use letters, digits and . _ / -' });
}
