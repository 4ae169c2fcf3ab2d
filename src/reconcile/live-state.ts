import { join } from 'node:path';
import { ForemeshError, readFileIfExists, writeFileAtomic } from '../base/index.ts';
import type { CommitInfo } from '../git/index.ts';
import type { LiveTrailers } from '../model/index.ts';
import type { EngineDeps } from './deps.ts';

/** A commit on mesh/live with the engine's own, verified signature. */
export interface SignedCommit {
  sha: string;
  generation: number;
  trailers: LiveTrailers;
}

export type LiveState =
  | { kind: 'none' }
  | {
      kind: 'followed';
      tip: string;
      /** Newest commit that the engine signed; null when it signed none of them (a lost key, a hand-made branch). */
      signed: SignedCommit | null;
      /** What people pushed on top of it, oldest first. */
      people: CommitInfo[];
      /** First-parent history, newest first. */
      commits: readonly CommitInfo[];
    }
  | { kind: 'frozen'; signed: SignedCommit | null; reason: string };

export interface LiveReader {
  /** The state of mesh/live at `tip`. Frozen when the branch no longer contains what was published last. */
  read(tip: string | null): Promise<LiveState>;
  /** Remembers on disk, fsynced, what was published, so that a rewritten branch is noticed after a restart as well. */
  remember(commit: SignedCommit): Promise<void>;
}

/** Follows mesh/live. Verified signatures are remembered, so each commit is verified once a process. */
export function createLiveReader(deps: Pick<EngineDeps, 'repository' | 'signer' | 'stateDir'>): LiveReader {
  const headFile = join(deps.stateDir, 'live-head.json');
  const verified = new Map<string, boolean>();
  let remembered: SignedCommit | null | undefined;
  let known: { tip: string; commits: CommitInfo[] } | null = null;

  async function read(tip: string | null): Promise<LiveState> {
    remembered ??= await loadHead(headFile);
    if (tip === null) return remembered ? frozen(remembered, 'mesh/live was deleted') : { kind: 'none' };
    if (remembered && remembered.sha !== tip && !(await contains(remembered.sha, tip))) {
      return frozen(remembered, `mesh/live was rewritten: ${tip.slice(0, 12)} does not contain the published ${remembered.sha.slice(0, 12)}`);
    }
    const commits = await history(tip);
    const people: CommitInfo[] = [];
    for (const commit of commits) {
      if (await isSigned(commit)) return { kind: 'followed', tip, signed: signedOf(commit), people: people.reverse(), commits };
      people.push(commit);
    }
    return { kind: 'followed', tip, signed: null, people: people.reverse(), commits };
  }

  async function history(tip: string): Promise<CommitInfo[]> {
    if (known?.tip === tip) return known.commits;
    const isContinued = known !== null && (await contains(known.tip, tip));
    const newer = await deps.repository.log({ from: isContinued ? known!.tip : null, to: tip });
    known = { tip, commits: isContinued ? [...newer, ...known!.commits] : newer };
    return known.commits;
  }

  async function isSigned(commit: CommitInfo): Promise<boolean> {
    if (commit.trailers === null) return false;
    const cached = verified.get(commit.sha);
    if (cached !== undefined) return cached;
    const signature = await deps.repository.verify(commit.sha, deps.signer.signersFile);
    const isOurs = signature?.signer === deps.signer.identity;
    verified.set(commit.sha, isOurs);
    return isOurs;
  }

  async function contains(older: string, newer: string): Promise<boolean> {
    try {
      return await deps.repository.isAncestor(older, newer);
    } catch (error) {
      if (error instanceof ForemeshError && error.code === 'GIT_FAILED') return false; // a mirror made anew lacks a commit that the rewritten branch lacks too
      throw error;
    }
  }

  return {
    read,
    async remember(commit) {
      if (remembered?.sha === commit.sha) return;
      await writeFileAtomic(headFile, `${JSON.stringify(commit)}\n`, 0o600);
      remembered = commit;
    },
  };
}

/** Commits that the engine made on its own within the last hour before `now`: the blast radius counts them. */
export function autoChangesLastHour(commits: readonly CommitInfo[], now: number): number {
  return commits.filter(({ at, trailers }) => trailers?.decision === 'auto' && at > now - 3_600_000 && at <= now).length;
}

function signedOf(commit: CommitInfo): SignedCommit {
  const trailers = commit.trailers!;
  return { sha: commit.sha, generation: trailers.generation, trailers };
}

function frozen(signed: SignedCommit, what: string): LiveState {
  return { kind: 'frozen', signed, reason: `${what}; nodes keep generation ${signed.generation} (${signed.sha.slice(0, 12)})` };
}

async function loadHead(file: string): Promise<SignedCommit | null> {
  const text = await readFileIfExists(file);
  if (text === null) return null;
  try {
    return JSON.parse(text) as SignedCommit;
  } catch (cause) {
    throw new ForemeshError('STATE_DAMAGED', { what: `${file} cannot be read`, fix: 'remove it after making sure that mesh/live was not rewritten', cause });
  }
}
