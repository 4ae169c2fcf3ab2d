import { createTwoFilesPatch } from 'diff';
import { ForemeshError } from '../base/index.ts';
import type { Change } from '../forge/index.ts';
import type { Verdict } from '../model/index.ts';
import { LIVE_BRANCH, type EngineDeps } from './deps.ts';
import { readTreePlan } from './live-plan.ts';
import { readMarker, type ProposalMarker } from './proposal-marker.ts';
import { proposalKey } from './proposals.ts';
import type { RecordStore } from './records.ts';

/** One proposal as a reviewer needs it: what it changes, why it asks, and what was said. */
export interface ProposalDetail {
  id: number;
  state: Change['state'];
  /** What the engine did with it; null while it is open, and when a person closed or merged it. */
  ended: 'withdrawn' | 'rejected' | 'applied' | null;
  scope: string;
  cause: string;
  title: string;
  body: string;
  url: string | null;
  /** An approval counts for exactly this commit. */
  headSha: string;
  base: string;
  mergeSha: string | null;
  reviews: { by: string; verdict: string; sha: string; dismissed: boolean }[];
  /** As it was judged when it was proposed; null when that is not recorded here. */
  verdict: Verdict | null;
  /** Unified diff of plan/mesh.yaml and the node files. */
  diff: string;
  report: string;
}

/** Longest diff that is shown; the forge and git have all of it. */
const DIFF_CHARS_MAX = 200_000;

export type ProposalSummary = Pick<ProposalDetail, 'id' | 'state' | 'ended' | 'scope' | 'cause' | 'title' | 'url' | 'headSha' | 'base' | 'mergeSha'>;

/** Newest first. */
export async function listProposals(deps: Pick<EngineDeps, 'forge'>, which: 'open' | 'all'): Promise<ProposalSummary[]> {
  const changes = await deps.forge.find({ base: LIVE_BRANCH, state: which });
  return changes.flatMap((change) => {
    const marker = readMarker(change.body);
    return marker ? [summaryOf(change, marker)] : [];
  });
}

/** @throws ForemeshError API_NOT_FOUND when there is no such proposal of the engine */
export async function readProposal(deps: Pick<EngineDeps, 'forge' | 'repository' | 'planning'>, records: RecordStore, id: number): Promise<ProposalDetail> {
  const change = await deps.forge.get(id);
  const marker = readMarker(change.body);
  if (!marker) throw new ForemeshError('API_NOT_FOUND', { what: `change ${id} is not a proposal of the engine`, fix: 'foremesh proposal list shows them' });
  await deps.repository.fetch();
  const [files, reviews, record] = await Promise.all([filesOf(deps, marker, change), deps.forge.reviews(id), records.load(proposalKey(marker))]);
  return {
    ...summaryOf(change, marker),
    body: change.body,
    reviews: reviews.map(({ by, verdict, sha, dismissed }) => ({ by, verdict, sha, dismissed })),
    verdict: record?.kind === 'decision' ? record.verdict : null,
    diff: diffText(files.before, files.after),
    report: files.after.get('plan/report.md') ?? '',
  };
}

function summaryOf(change: Change, marker: ProposalMarker): ProposalSummary {
  const { id, state, title, url, headSha, mergeSha } = change;
  return { id, state, ended: marker.ended ?? null, scope: marker.scope, cause: marker.cause, title, url, headSha, base: marker.base, mergeSha };
}

async function filesOf(deps: Pick<EngineDeps, 'repository' | 'planning'>, marker: ProposalMarker, change: Change): Promise<{ before: Map<string, string>; after: Map<string, string> }> {
  try {
    const before = marker.base === 'none' ? new Map<string, string>() : (await readTreePlan(deps, marker.base)).files;
    return { before, after: (await readTreePlan(deps, change.headSha)).files };
  } catch (error) {
    // the branch of a closed proposal is gone, and a fresh mirror never had its commits
    if (error instanceof ForemeshError && change.state !== 'open') return { before: new Map(), after: new Map() };
    throw error;
  }
}

function diffText(before: ReadonlyMap<string, string>, after: ReadonlyMap<string, string>): string {
  const names = [...new Set([...before.keys(), ...after.keys()])].filter((file) => file !== 'plan/report.md' && before.get(file) !== after.get(file)).sort();
  let text = '';
  for (const file of names) {
    text += createTwoFilesPatch(`a/${file}`, `b/${file}`, before.get(file) ?? '', after.get(file) ?? '', '', '', { context: 3 });
    if (text.length > DIFF_CHARS_MAX) return `${text.slice(0, DIFF_CHARS_MAX)}\n… ${names.length} files in all; git diff shows the rest\n`;
  }
  return text;
}
