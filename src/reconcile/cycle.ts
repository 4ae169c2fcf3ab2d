import { Stalled, Waiting } from '../base/index.ts';
import type { Cause } from '../model/index.ts';
import { answerPeople } from './answer.ts';
import { applyProposal, sortProposals, type ApprovedProposal } from './approvals.ts';
import { LIVE_BRANCH } from './deps.ts';
import { emptyTree, readTreePlan, type TreePlan } from './live-plan.ts';
import { autoChangesLastHour, type LiveState, type SignedCommit } from './live-state.ts';
import type { MainState } from './main-state.ts';
import { forecastDemand, observeNetwork } from './observe.ts';
import type { Request } from './requests.ts';
import { reachDecision, type Reached } from './reach-decision.ts';
import type { CycleContext } from './state.ts';

export type CycleOutcome =
  | { kind: 'none' }
  | { kind: 'commit'; commit: SignedCommit }
  | { kind: 'proposal'; proposal: number | null }
  | { kind: 'blocked'; reasons: string[] }
  | { kind: 'frozen'; reason: string };

/** The end of a cycle: what it did in all, and what came of the wishes it was given. */
export interface CycleEnd {
  outcome: CycleOutcome;
  /** How the wishes fared; null when the cycle did not get to them. */
  requests: Reached['requests'] | null;
}

type Attempt = { kind: 'done'; end: CycleEnd } | { kind: 'again' } | { kind: 'committed'; commit: SignedCommit; requests: Reached['requests'] | null };

/** A push may lose against another one this often, and a cycle write this many commits, before it gives way to the next. */
const ATTEMPTS_MAX = 6;
const RETRY_MS = 2000;

/**
 * One round of the loop: look, answer people, apply what was approved, decide, act. Starts over when mesh/live moved
 * meanwhile, and after a commit that answers people or leaves a question open. Safe to end at any point and begin again.
 */
export async function runCycle(context: CycleContext, hint: Cause | null, requests: readonly Request[]): Promise<CycleEnd> {
  let written: SignedCommit | null = null;
  let answered: Reached['requests'] | null = null;
  for (let attempt = 0; attempt < ATTEMPTS_MAX; attempt++) {
    const result = await attemptCycle(context, hint, answered === null ? requests : []);
    if (result.kind === 'done') {
      const outcome: CycleOutcome = written && result.end.outcome.kind === 'none' ? { kind: 'commit', commit: written } : result.end.outcome;
      return { outcome, requests: answered ?? result.end.requests };
    }
    if (result.kind === 'committed') {
      written = result.commit;
      answered ??= result.requests;
    }
  }
  if (written) return { outcome: { kind: 'commit', commit: written }, requests: answered };
  throw new Waiting('GIT_REF_MOVED', RETRY_MS, { what: `mesh/live moved ${ATTEMPTS_MAX} times while a plan was made`, fix: 'nothing to do: the next cycle tries again' });
}

async function attemptCycle(context: CycleContext, hint: Cause | null, requests: readonly Request[]): Promise<Attempt> {
  const { deps, state, checkpoint } = context;
  await deps.repository.fetch();
  await checkpoint('fetched');
  const live = await context.liveReader.read(await deps.repository.resolve(LIVE_BRANCH));
  const signed = live.kind === 'none' ? null : live.signed;
  state.live = signed;
  if (live.kind === 'frozen') return freeze(context, signed, live.reason);
  const main = await readMain(context, live);
  await checkpoint('loaded');
  if (live.kind === 'followed' && (live.people.length > 0 || signed === null)) return answer(context, live, main);
  state.frozen = null;
  return plan(context, { hint, requests, live, main, signed });
}

/** Keeps what nodes run as it is until a person has looked at the branch. */
async function freeze(context: CycleContext, signed: SignedCommit | null, reason: string): Promise<Attempt> {
  if (context.state.frozen !== reason) context.log.error({ reason }, 'mesh/live is frozen');
  context.state.frozen = reason;
  if (signed) await context.writer.publish(signed);
  return { kind: 'done', end: { outcome: { kind: 'frozen', reason }, requests: null } };
}

/** When main holds nothing sound at all, nodes still get what was decided last. */
async function readMain(context: CycleContext, live: Exclude<LiveState, { kind: 'frozen' }>): Promise<MainState> {
  const { deps, state } = context;
  const signed = live.kind === 'none' ? null : live.signed;
  try {
    const tip = await deps.repository.resolve(deps.mainBranch ?? 'main');
    state.main = await context.mainReader.read(tip, signed?.trailers ?? null, deps.clock.now());
    state.findings = state.main.findings;
    return state.main;
  } catch (error) {
    if (error instanceof Stalled && signed) await context.writer.publish(signed);
    throw error;
  }
}

async function answer(context: CycleContext, live: Extract<LiveState, { kind: 'followed' }>, main: MainState): Promise<Attempt> {
  const applied = live.signed ? await context.mainReader.intentAt(live.signed.trailers.intent) : null;
  const intents = [...(applied ? [applied] : []), main.intent];
  const result = await answerPeople(context.deps, live, main, intents, context.deps.clock.now());
  if (result.kind === 'refused') return freeze(context, live.signed, result.reason);
  const commit = await context.writer.write(result.commit);
  if (commit === 'moved') return { kind: 'again' };
  context.state.live = commit;
  context.state.plan = result.plan;
  await context.writer.publish(commit);
  return { kind: 'committed', commit, requests: null };
}

interface PlanRound {
  hint: Cause | null;
  requests: readonly Request[];
  live: Exclude<LiveState, { kind: 'frozen' }>;
  main: MainState;
  signed: SignedCommit | null;
}

async function plan(context: CycleContext, { hint, requests, live, main, signed }: PlanRound): Promise<Attempt> {
  const { deps, state, checkpoint } = context;
  const now = deps.clock.now();
  const tree: TreePlan = signed ? await readTreePlan(deps, signed.sha) : emptyTree(main.intent);
  state.plan = tree.plan;
  if (signed) {
    await context.liveReader.remember(signed);
    await context.writer.publish(signed);
  }
  context.trainer.ensure(main.intent, now);
  if (!signed && deps.isFirstPlanAfterTraining && context.trainer.isBusy()) return { kind: 'done', end: { outcome: { kind: 'none' }, requests: null } };

  const { approved, open: proposals } = await sortProposals(context, await context.desk.list(), main, live);
  state.proposals = proposals;
  const merged = await mergeExact(context, approved, main, signed, tree, live);
  if (merged) return merged;

  state.observation = await observeNetwork(context, main.intent, now);
  // First, so that the forecast of demand is told of paths up to its last slot.
  state.pathForecast = await context.outlook.forecast(main.intent, now);
  state.forecast = await forecastDemand(context, main.intent, state.observation, now);
  if (live.kind === 'followed') await context.hindsight.account({ commits: live.commits, plan: tree.plan, intent: main.intent, observation: state.observation, now });
  await checkpoint('observed');
  state.changesLastHour = live.kind === 'followed' ? autoChangesLastHour(live.commits, now) : 0;

  const reached = await reachDecision(context, { hint, requests, main, signed, tree, approved, proposals, now });
  await checkpoint('decided');
  if (reached.kind === 'moved') return { kind: 'again' };
  if (reached.kind === 'committed') {
    await context.writer.publish(reached.commit);
    if (reached.isFinal) return { kind: 'done', end: { outcome: { kind: 'commit', commit: reached.commit }, requests: reached.requests } };
    return { kind: 'committed', commit: reached.commit, requests: reached.requests };
  }
  state.proposals = await context.desk.list();
  return { kind: 'done', end: { outcome: reached.outcome, requests: reached.requests } };
}

/** A proposal that was approved against the very plan that is live goes in as it was seen. */
async function mergeExact(
  context: CycleContext,
  approved: readonly ApprovedProposal[],
  main: MainState,
  signed: SignedCommit | null,
  tree: TreePlan,
  live: Exclude<LiveState, { kind: 'frozen' }>,
): Promise<Attempt | null> {
  const exact = approved.find(({ isCurrent }) => isCurrent);
  if (!exact || !signed) return null;
  const commit = await applyProposal(context, exact, main, signed, tree, live);
  if (commit === null) return null;
  if (commit === 'moved') return { kind: 'again' };
  await context.checkpoint('merged');
  context.state.live = commit;
  await context.writer.publish(commit);
  await context.desk.settle(exact.proposal, commit.sha);
  return { kind: 'committed', commit, requests: null };
}
