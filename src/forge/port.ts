import type { Finding } from '../base/index.ts';

export type Sha = string;
export type ReviewVerdict = 'approve' | 'block' | 'comment';

/** A pull request, whatever the forge calls it. While it is open, head and base are as the branches are now. */
export interface Change {
  id: number;
  /** Where a person can look at it; null when the forge has no pages. */
  url: string | null;
  state: 'open' | 'closed' | 'merged';
  head: string;
  headSha: Sha;
  base: string;
  baseSha: Sha;
  title: string;
  body: string;
  labels: string[];
  author: string;
  closedBy: string | null;
  mergeSha: Sha | null;
}

/** Why a merge did not happen. A value, since it is a normal answer: another cycle, another try, or a person. */
export type Refused = 'moved' | 'outdated' | 'approvals' | 'blocked' | 'checks' | 'conflict' | 'draft' | 'busy' | 'denied';

/** What one person last said. It counts for exactly the commit `sha`; `dismissed`: it no longer counts at all. */
export interface Review {
  by: string;
  verdict: ReviewVerdict;
  sha: Sha;
  dismissed: boolean;
}

export interface NewChange {
  /** Branch names, without refs/heads/. */
  head: string;
  base: string;
  title: string;
  body: string;
  labels: string[];
}

export interface ChangeEdit {
  title?: string;
  body?: string;
  labels?: string[];
  state?: 'open' | 'closed';
}

export interface MergeOrder {
  /** The commit that was judged and approved; any other head is refused as `moved`. */
  expectHead: Sha;
  method: 'squash' | 'merge';
  title: string;
  body: string;
}

export interface StatusReport {
  /** One name, one status per commit: `mesh/plan`, `mesh/applied`. */
  name: string;
  state: 'pending' | 'success' | 'failure' | 'error';
  summary: string;
  url?: string;
  annotations?: { path: string; line: number; level: 'notice' | 'warning' | 'failure'; message: string }[];
}

/** Something happened at the forge: look now rather than at the next cycle. Its content is never trusted further than that. */
export interface ForgeEvent {
  kind: 'push' | 'change' | 'review';
  change: number | null;
  ref: string | null;
}

/**
 * What a forge has and git has not, in ten calls. Content, branches, comparing and signing go through git, the same on every forge.
 * The forge's own protection is the second line: the caller checks approvals, head and base itself, in the same breath.
 */
export interface Forge {
  readonly kind: 'github' | 'gitea' | 'gitlab' | 'local';
  readonly can: { annotations: boolean; draft: boolean; closedBy: boolean; expectedHeadOnMerge: boolean };
  repo(): Promise<{ defaultBranch: string; cloneUrl: string; canPush: boolean }>;
  /** By branch names, newest first. */
  find(query: { head?: string; base?: string; state: 'open' | 'all' }): Promise<Change[]>;
  /** @throws ForemeshError FORGE_CHANGE_UNKNOWN */
  get(id: number): Promise<Change>;
  /** Opens a change, or gives the open one with the same head and base, untouched. @throws ForemeshError FORGE_REFUSED when there is nothing to merge */
  open(change: NewChange): Promise<Change>;
  /** Sets what is given and leaves the rest. Closing what is closed or merged changes nothing; merged stays merged. */
  edit(id: number, edit: ChangeEdit): Promise<Change>;
  /** The latest review of each person, by name. */
  reviews(id: number): Promise<Review[]>;
  /** Never throws on a refusal. Repeating it after it succeeded gives the same answer. */
  merge(id: number, order: MergeOrder): Promise<{ sha: Sha } | { refused: Refused; text: string }>;
  /** One comment per key, edited in place. */
  note(id: number, key: string, markdown: string): Promise<void>;
  /** A status on a commit, the newest per name. */
  report(sha: Sha, status: StatusReport): Promise<void>;
  /** Checks the sender's MAC, then reads a webhook; null: not from our forge, or none of our business. */
  event(headers: Readonly<Record<string, string>>, raw: Uint8Array): ForgeEvent | null;
}

/** Findings as annotations of a status, at their lines. */
export function annotationsOf(findings: readonly Finding[]): NonNullable<StatusReport['annotations']> {
  const levels = { error: 'failure', warning: 'warning', info: 'notice' } as const;
  return findings.flatMap(({ where, severity, code, what, fix }) =>
    where ? [{ path: where.file, line: where.line, level: levels[severity], message: `${code}  ${what}  fix: ${fix}` }] : [],
  );
}
