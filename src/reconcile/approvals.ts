import type { LiveTrailers } from '../model/index.ts';
import { emptyReport, nextGeneration } from './answer.ts';
import { readTreePlan, type TreePlan } from './live-plan.ts';
import type { LiveState, SignedCommit } from './live-state.ts';
import type { MainState } from './main-state.ts';
import { causeLine, planMessage } from './messages.ts';
import { proposalKey, type Proposal } from './proposals.ts';
import type { CycleContext } from './state.ts';

/** A proposal that a person consented to. */
export interface ApprovedProposal {
  proposal: Proposal;
  by: string;
  /** Its base is still the tip of mesh/live and its intent main's: it can be applied as it was seen. */
  isCurrent: boolean;
}

/** Sorts out what people said: rejected proposals are closed, applied ones that a crash left open are settled, the others come back. */
export async function sortProposals(
  { desk }: Pick<CycleContext, 'desk'>,
  proposals: readonly Proposal[],
  main: MainState,
  live: Exclude<LiveState, { kind: 'frozen' }>,
): Promise<{ approved: ApprovedProposal[]; open: Proposal[] }> {
  const tip = live.kind === 'followed' ? live.tip : 'none';
  const commits = live.kind === 'followed' ? live.commits : [];
  const approved: ApprovedProposal[] = [];
  const open: Proposal[] = [];
  for (const proposal of proposals) {
    const { change, marker } = proposal;
    const applied = commits.find(({ parents }) => parents.slice(1).includes(change.headSha));
    if (applied) await desk.settle(proposal, applied.sha);
    else if (proposal.state === 'rejected') await desk.reject(proposal);
    else {
      open.push(proposal);
      if (proposal.state !== 'approved') continue;
      const by = proposal.reviews.find(({ verdict, sha }) => verdict === 'approve' && sha === change.headSha)?.by ?? 'a person';
      approved.push({ proposal, by, isCurrent: marker.base === tip && marker.intentDigest === main.intentDigest });
    }
  }
  return { approved, open };
}

/**
 * Writes an approved proposal's own tree to mesh/live. Null when the plan is no longer sound or the policy has come to
 * deny it: the round then goes on and replaces or withdraws the proposal.
 */
export async function applyProposal(
  context: CycleContext,
  { proposal, by }: ApprovedProposal,
  main: MainState,
  signed: SignedCommit,
  tree: TreePlan,
  live: Exclude<LiveState, { kind: 'frozen' }>,
): Promise<SignedCommit | 'moved' | null> {
  const { deps, records, writer } = context;
  const { change, marker } = proposal;
  const now = deps.clock.now();
  const proposed = await readTreePlan(deps, change.headSha);
  const isSound = deps.planning.checkPlan(main.intent, proposed.plan).every(({ severity }) => severity !== 'error');
  const verdict = await main.evaluate('plan', deps.planning.planInput(main.intent, proposed.plan, tree.plan, emptyReport(now), now));
  if (!isSound || verdict.decision === 'deny') {
    await deps.forge.note(change.id, 'refused', `Approved by ${by}, but ${isSound ? 'the policy denies it by now' : 'it is not sound any more'}; it will be replaced.`);
    return null;
  }
  const changeset = deps.planning.diff(main.intent, tree.plan, proposed.plan, null);
  const trailers: LiveTrailers = {
    generation: nextGeneration(signed, live.kind === 'followed' ? live.commits : []),
    parent: signed.sha,
    intent: marker.intent,
    policy: main.policyDigest,
    forecast: marker.forecast,
    telemetry: marker.telemetry,
    decision: 'reviewed',
    cause: causeLine(`${marker.cause}, approved by ${by}`, changeset),
  };
  return writer.write({
    parent: signed.sha,
    proposalHead: change.headSha,
    files: proposed.files,
    trailers,
    message: (trailerText) => planMessage({ changeset, verdict, cause: marker.cause }, trailerText),
    record: await records.load(proposalKey(marker)),
    now,
  });
}
