import { ForemeshError, runGit, Waiting } from '../base/index.ts';
import { checkRef, checkSha, PROPOSAL_BRANCHES } from './refs.ts';

/** One ref to move: from `oldSha` (null: must not exist) to `newSha` (null: delete). */
export interface RefUpdate {
  ref: string;
  oldSha: string | null;
  newSha: string | null;
}

const RETRY_MS = 5000;
/** What git says on the ref's line when it saw that another writer was faster … */
const MOVED = /stale info|fetch first|non-fast-forward|already exists|needs force|failed to lock|failed to update ref|incorrect old value/i;
/** … and in the remote's messages when both passed that check and one lost at the lock (the line then says only "failed"). */
const LOST_RACE = /cannot lock ref|incorrect old value|reference already exists/i;

/**
 * Moves all refs at the remote or none, each only from its expected value.
 * @returns `moved` when at least one was not where it was expected: fetch and decide again
 * @throws Waiting GIT_FAILED when the remote cannot be reached; ForemeshError GIT_REF_REFUSED when it does not want the update
 */
export async function pushRefs(gitDir: string, remote: string, updates: readonly RefUpdate[]): Promise<'pushed' | 'moved'> {
  if (updates.length === 0) return 'pushed';
  for (const update of updates) await checkForward(gitDir, update);
  const leases = updates.map((update) => `--force-with-lease=${checkRef(update.ref)}:${update.oldSha === null ? '' : checkSha(update.oldSha)}`);
  const refspecs = updates.map((update) => `${update.newSha === null ? '' : checkSha(update.newSha)}:${update.ref}`);
  const args = ['push', '--porcelain', '--atomic', '--no-verify', '--no-signed', '--recurse-submodules=no', ...leases, '--', remote, ...refspecs];
  const result = await runGit(gitDir, args, { timeoutMs: 120_000 });
  if (result.exitCode === 0) return 'pushed';
  const refusals = result.stdout.toString('utf8').split('\n').filter((line) => line.startsWith('!'));
  const said = result.stderr.trim().slice(-400);
  if (refusals.some((line) => MOVED.test(line)) || (refusals.length > 0 && LOST_RACE.test(said))) return 'moved';
  if (refusals.length === 0) {
    throw new Waiting('GIT_FAILED', RETRY_MS, { what: `push did not reach the repository: ${said}`, fix: 'see that it exists and that we may write to it' });
  }
  throw new ForemeshError('GIT_REF_REFUSED', {
    what: `the repository refused ${updates.map((update) => update.ref).join(', ')}: ${said}`,
    fix: 'look at its branch protection and hooks',
  });
}

/** A lease alone would let an unrelated commit replace a branch, so a branch also has to move forward; proposals are rebuilt instead. */
async function checkForward(gitDir: string, update: RefUpdate): Promise<void> {
  if (update.oldSha === null || update.newSha === null) return;
  if (!update.ref.startsWith('refs/heads/') || update.ref.startsWith(PROPOSAL_BRANCHES)) return;
  if (await isAncestor(gitDir, update.oldSha, update.newSha)) return;
  throw new ForemeshError('GIT_REF_MOVED', {
    what: `${update.newSha.slice(0, 12)} does not descend from ${update.oldSha.slice(0, 12)}, so ${update.ref} must not move to it`,
    fix: 'fetch, and compute the change again on the newest commit',
  });
}

/** True when `older` is `newer` or one of its ancestors. @throws ForemeshError GIT_FAILED when one of them is not there */
export async function isAncestor(gitDir: string, older: string, newer: string): Promise<boolean> {
  const result = await runGit(gitDir, ['merge-base', '--is-ancestor', checkSha(older), checkSha(newer)]);
  if (result.exitCode === 0 || result.exitCode === 1) return result.exitCode === 0;
  throw new ForemeshError('GIT_FAILED', { what: `cannot compare ${older} with ${newer}: ${result.stderr.trim().slice(-300)}`, fix: 'fetch first' });
}
