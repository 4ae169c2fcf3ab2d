import { ForemeshError, messageOf } from '../base/index.ts';
import type { CommitInfo } from '../git/index.ts';
import type { Changeset, Intent, LiveTrailers, Plan, PlanReport, Veto } from '../model/index.ts';
import type { EngineDeps } from './deps.ts';
import { emptyTree, readTreePlan, type TreePlan } from './live-plan.ts';
import type { LiveState, SignedCommit } from './live-state.ts';
import type { LiveCommit } from './live-writer.ts';
import { headlineOf, oneLine } from './messages.ts';
import type { MainState } from './main-state.ts';
import { mergeVetoes, standingVetoes, vetoesOf } from './veto.ts';

export type Answer = { kind: 'answer'; commit: LiveCommit; plan: Plan; vetoes: Veto[] } | { kind: 'refused'; reason: string };

type Followed = Extract<LiveState, { kind: 'followed' }>;
type AnswerDeps = Pick<EngineDeps, 'repository' | 'planning' | 'signer'>;

/**
 * The engine's answer to what people pushed to mesh/live: a signed commit with the same plan, the next generation and
 * a veto for every change that was taken back. Refused, and nodes keep what they run, when the tree holds no plan, or
 * one that the check or the policy refuses.
 * @param intents  candidates to render with, the best first; the first that the plan is sound under is used
 */
export async function answerPeople(deps: AnswerDeps, live: Followed, main: MainState, intents: readonly Intent[], now: number): Promise<Answer> {
  let tree: TreePlan;
  try {
    tree = await readTreePlan(deps, live.tip);
  } catch (error) {
    if (error instanceof ForemeshError && error.code !== 'GIT_FAILED') return { kind: 'refused', reason: messageOf(error) };
    throw error;
  }
  const intent = intents.find((candidate) => errorsOf(deps, candidate, tree.plan).length === 0);
  if (!intent) {
    const first = intents[0] ? errorsOf(deps, intents[0], tree.plan)[0] : undefined;
    return { kind: 'refused', reason: `the plan that was pushed is not sound: ${first?.what ?? 'no intent to check it against'}` };
  }
  const before = live.signed ? await readTreePlan(deps, live.signed.sha) : emptyTree(intent);
  const report = emptyReport(now);
  const verdict = await main.evaluate('plan', deps.planning.planInput(intent, tree.plan, before.plan, report, now));
  if (verdict.decision === 'deny') return { kind: 'refused', reason: `the plan that was pushed is denied: ${verdict.reasons.map(({ message }) => message).join('; ')}` };

  const isMerge = await isProposalMerge(deps, live.people);
  const takenBack = deps.planning.diff(intent, tree.plan, before.plan, null);
  const undone = live.signed && !isMerge ? vetoesOf(takenBack, revertedCommit(live.people) ?? live.signed.sha, now + intent.mesh.vetoMs) : [];
  const vetoes = mergeVetoes(standingVetoes(tree.plan.vetoes, now, null, intent), undone);
  const plan: Plan = { ...tree.plan, overrides: tree.plan.overrides.filter(({ until }) => until > now), vetoes };
  return { kind: 'answer', plan, vetoes, commit: answerCommit({ deps, live, main, intent, plan, tree, takenBack, isMerge, report, now }) };
}

interface AnswerParts {
  deps: AnswerDeps;
  live: Followed;
  main: MainState;
  intent: Intent;
  plan: Plan;
  tree: TreePlan;
  takenBack: Changeset;
  isMerge: boolean;
  report: PlanReport;
  now: number;
}

function answerCommit({ deps, live, main, intent, plan, tree, takenBack, isMerge, report, now }: AnswerParts): LiveCommit {
  const who = oneLine(live.people.at(-1)?.author ?? 'someone').slice(0, 80);
  const cause = isMerge ? `merged by ${who}` : `taken back by ${who}: ${headlineOf(takenBack)}`;
  const trailers: LiveTrailers = {
    generation: nextGeneration(live.signed, live.commits),
    parent: live.tip,
    intent: intent.commit ?? 'none',
    policy: main.policyDigest,
    forecast: 'none',
    telemetry: 'none',
    decision: isMerge ? 'reviewed' : 'reverted',
    cause,
  };
  const files = new Map(deps.planning.renderFiles(intent, plan, report));
  // nothing was planned, so the report that came with the plan still says why it is as it is
  const reportText = tree.files.get('plan/report.md');
  if (reportText !== undefined) files.set('plan/report.md', reportText);
  const standing = plan.vetoes.map((veto) => `veto until ${new Date(veto.until).toISOString()}: ${oneLine(veto.what)}`);
  return {
    parent: live.tip,
    proposalHead: null,
    files,
    trailers,
    message: (trailerText) => `mesh: ${cause.slice(0, 90)}\n\n${['Nodes run this tree from now on.', ...standing].join('\n')}\n\n${trailerText}\n`,
    record: { schema: 'foremesh/record/v1', kind: 'answer', intent, plan, reportText: files.get('plan/report.md') ?? '' },
    now,
  };
}

/** One above everything on the branch, also above what an earlier key signed: agents refuse older generations. */
export function nextGeneration(signed: SignedCommit | null, commits: readonly CommitInfo[]): number {
  const highest = signed?.generation ?? Math.max(0, ...commits.map(({ trailers }) => trailers?.generation ?? 0));
  return highest + 1;
}

/** A report for a plan that was not planned just now. */
export function emptyReport(plannedAt: number): PlanReport {
  return { plannedAt, forecastModel: 'none', demands: [], tunnels: [], removed: [], unplaced: [], refused: [], waiting: [], usdPerMonth: 0 };
}

function errorsOf(deps: AnswerDeps, intent: Intent, plan: Plan): { what: string }[] {
  return deps.planning.checkPlan(intent, plan).filter(({ severity }) => severity === 'error');
}

/** True when a person merged a proposal with the forge's own button: that is consent, not a revert. */
async function isProposalMerge(deps: AnswerDeps, people: readonly CommitInfo[]): Promise<boolean> {
  for (const commit of people) {
    for (const parent of commit.parents.slice(1)) {
      const signature = await deps.repository.verify(parent, deps.signer.signersFile);
      if (signature?.signer === deps.signer.identity) return true;
    }
  }
  return false;
}

/** The commit that `git revert` named; the last one when there are several. */
function revertedCommit(people: readonly CommitInfo[]): string | null {
  for (const commit of people.toReversed()) {
    const match = /This reverts commit ([0-9a-f]{40})/.exec(commit.body);
    if (match) return match[1]!;
  }
  return null;
}
