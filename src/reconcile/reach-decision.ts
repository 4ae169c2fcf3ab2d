import { compareText, digest } from '../base/index.ts';
import type { Cause, Changeset, Intent, LiveTrailers, Veto } from '../model/index.ts';
import type { ApprovedProposal } from './approvals.ts';
import { emptyReport, nextGeneration } from './answer.ts';
import type { CycleOutcome } from './cycle.ts';
import { decide, forecastDigest, HELD_BACK_UNTIL, type Decision, type DecisionInputs } from './decide.ts';
import { planDigest, readTreePlan, type TreePlan } from './live-plan.ts';
import type { SignedCommit } from './live-state.ts';
import { intentDigest, type MainState } from './main-state.ts';
import { causeLine, planMessage, verdictLine } from './messages.ts';
import { hasFailure } from './observe.ts';
import { decisivePart } from './path-outlook.ts';
import { scopeOf, type ProposalScope } from './proposal-marker.ts';
import type { Proposal, WantedProposal } from './proposals.ts';
import { applyRequests, requestsOf, standingOverrides, type Request } from './requests.ts';
import type { CycleContext, LastDecision } from './state.ts';
import { standingVetoes, vetoesOf } from './veto.ts';

export interface Round {
  hint: Cause | null;
  requests: readonly Request[];
  main: MainState;
  signed: SignedCommit | null;
  tree: TreePlan;
  approved: readonly ApprovedProposal[];
  proposals: readonly Proposal[];
  now: number;
}

/** What became of the wishes of this round. */
export type RequestFate = { kind: 'applied'; commit: SignedCommit | null } | { kind: 'proposed'; proposal: number | null } | { kind: 'refused'; why: string };

export type Reached =
  | { kind: 'moved'; requests: RequestFate | null }
  /** `isFinal`: nothing else is left to look at in this cycle. */
  | { kind: 'committed'; commit: SignedCommit; requests: RequestFate | null; isFinal: boolean }
  | { kind: 'settled'; outcome: CycleOutcome; requests: RequestFate };

/**
 * Decides under main's intent and acts on it. When that has to wait for a person, or is refused, what is small and
 * allowed goes ahead meanwhile: planned under the intent that is applied, or around the changes that wait already.
 */
export async function reachDecision(context: CycleContext, round: Round): Promise<Reached> {
  const { main, signed, now } = round;
  const applied = signed ? await context.mainReader.intentAt(signed.trailers.intent) : null;
  const carried = await carriedRequests(context, round);
  const other = otherCause(context, round, applied, carried);
  const isIntentNew = applied !== null && intentDigest(applied) !== main.intentDigest && context.state.settled?.intentDigest !== main.intentDigest;
  const cause: Cause = isInitial(round) ? 'initial' : isIntentNew ? 'intent' : other;

  const inputs = await withHeldBack(context, round, await inputsFor(context, round, main.intent, applied, cause, carried), applied);
  const decision = await judge(context, inputs, main);
  remember(context, decision, now);
  if (decision.kind === 'none') {
    context.state.settled = { intentDigest: main.intentDigest, policyDigest: main.policyDigest };
    await context.desk.ensure(round.proposals, [], new Set());
    return { kind: 'settled', outcome: { kind: 'none' }, requests: { kind: 'applied', commit: signed } };
  }
  if (decision.kind === 'commit') return commitDecision(context, round, inputs, decision, true);
  if (decision.kind === 'proposal' && signed === null) return commitBase(context, round);

  const wanted: WantedProposal[] = [];
  const keep = new Set<ProposalScope>();
  if (decision.kind === 'proposal') wanted.push({ decision, inputs });
  else keep.add(scopeOf(cause));

  const meanwhile = await planMeanwhile(context, round, inputs, decision, applied, other, carried);
  if (meanwhile?.decision.kind === 'commit') return commitDecision(context, round, meanwhile.inputs, meanwhile.decision, false);
  if (meanwhile?.decision.kind === 'proposal' && scopeOf(meanwhile.inputs.cause) !== scopeOf(cause)) {
    wanted.push({ decision: meanwhile.decision, inputs: meanwhile.inputs });
  }
  const numbers = await context.desk.ensure(round.proposals, wanted, keep);
  return report(context, decision, numbers.get(scopeOf(cause)) ?? null);
}

async function judge(context: CycleContext, inputs: DecisionInputs, main: MainState): Promise<Decision> {
  return decide(inputs, { ...context.deps.planning, evaluate: main.evaluate });
}

function report(context: CycleContext, decision: Extract<Decision, { kind: 'proposal' | 'blocked' }>, proposal: number | null): Reached {
  const last = context.state.decisions.at(-1);
  if (last) last.proposal = proposal;
  const reasons = decision.verdict.reasons.map(({ code, message }) => `${code}: ${message}`);
  if (decision.kind === 'blocked') {
    context.log.warn({ why: decision.why, reasons }, 'the plan is refused; the last good one stays');
    return { kind: 'settled', outcome: { kind: 'blocked', reasons }, requests: { kind: 'refused', why: verdictLine(decision.verdict) } };
  }
  const requests: RequestFate = proposal === null ? { kind: 'refused', why: 'a person has refused this change before' } : { kind: 'proposed', proposal };
  return { kind: 'settled', outcome: { kind: 'proposal', proposal }, requests };
}

/** Nothing of this mesh is live yet. */
function isInitial({ signed, tree }: Round): boolean {
  return signed === null || (signed.generation === 1 && tree.plan.tunnels.length === 0);
}

/** Why we would plan if main's intent were the applied one. */
function otherCause(context: CycleContext, { hint, requests, main, signed, tree, now }: Round, applied: Intent | null, carried: readonly Request[]): Cause {
  const { plan } = tree;
  if (requests.length > 0 || carried.length > 0) return 'override';
  if (context.state.observation && hasFailure(context.state.observation, plan)) return 'failure';
  const standing = standingVetoes(plan.vetoes, now, applied, main.intent);
  if (plan.overrides.some(({ until }) => until <= now) || standing.length < plan.vetoes.length) return 'expiry';
  const isPolicyNew = signed !== null && signed.trailers.policy !== main.policyDigest && context.state.settled?.policyDigest !== main.policyDigest;
  if (isPolicyNew) return 'policy';
  return hint === 'failure' ? 'failure' : 'forecast';
}

async function inputsFor(context: CycleContext, round: Round, intent: Intent, applied: Intent | null, cause: Cause, carried: readonly Request[]): Promise<DecisionInputs> {
  const { main, tree, signed, now, approved, requests } = round;
  const standing = {
    overrides: standingOverrides(tree.plan.overrides, main.overrides, now),
    vetoes: standingVetoes(tree.plan.vetoes, now, applied, intent),
  };
  const lists = applyRequests(standing, [...carried, ...requests]);
  return {
    schema: 'foremesh/decision-inputs/v1',
    intent,
    forecast: context.state.forecast,
    pathForecast: decisivePart(context.state.pathForecast, new Set(context.trust.view().quarantines.map(({ node }) => node))),
    forecastDrift: context.drift.drift(context.state.forecast),
    forecastConfidence: context.hindsight.health().confidence,
    forecastRegret: context.hindsight.regret(),
    forecastNotes: context.hindsight.notes(),
    observation: context.state.observation!,
    previous: tree.plan,
    previousFiles: tree.digests,
    parent: signed?.sha ?? 'none',
    overrides: lists.overrides,
    vetoes: lists.vetoes,
    heldBack: [],
    policyDigest: main.policyDigest,
    cause,
    now,
    seed: context.deps.seed,
    changesLastHour: context.state.changesLastHour,
    anomalies: context.anomalies.anomalies().filter(({ endedAt }) => endedAt === null),
    approved: await consentedTo(context, approvedFor(cause, approved), intent),
  };
}

/** Wishes in an open proposal have been heard, and stay until a person decides. */
async function carriedRequests(context: CycleContext, { proposals, now }: Round): Promise<Request[]> {
  const proposal = proposals.find(({ marker, state }) => marker.scope === 'override' && (state === 'open' || state === 'approved'));
  if (!proposal || proposal.marker.base === 'none') return [];
  const base = await readTreePlan(context.deps, proposal.marker.base);
  return requestsOf(base.plan, await context.desk.planOf(proposal), now);
}

async function planMeanwhile(
  context: CycleContext,
  round: Round,
  inputs: DecisionInputs,
  decision: Extract<Decision, { kind: 'proposal' | 'blocked' }>,
  applied: Intent | null,
  other: Cause,
  carried: readonly Request[],
): Promise<{ decision: Decision; inputs: DecisionInputs } | null> {
  if (inputs.cause === 'intent' && applied) {
    const under = await withHeldBack(context, round, await inputsFor(context, round, applied, applied, other, carried), applied);
    return { inputs: under, decision: await judge(context, under, round.main) };
  }
  if (decision.kind === 'blocked') return null;
  const waiting = round.proposals.find(({ marker, state }) => marker.scope === scopeOf(inputs.cause) && (state === 'open' || state === 'edited'));
  if (!waiting || waiting.marker.base === 'none') return null;
  // all but what waits already: that keeps a failure from queueing behind a question to a person
  const around: DecisionInputs = { ...inputs, heldBack: await askedBy(context, waiting, inputs.intent), approved: [] };
  return { inputs: around, decision: await judge(context, around, round.main) };
}

/**
 * A person's order is applied as it is, so nothing else may ride along with it: what waits for a person, or would have
 * to, is planned around.
 */
async function withHeldBack(context: CycleContext, round: Round, inputs: DecisionInputs, applied: Intent | null): Promise<DecisionInputs> {
  if (inputs.cause === 'expiry') {
    const waiting = round.proposals.find(({ marker }) => marker.scope === 'network' && marker.base !== 'none');
    return waiting ? { ...inputs, heldBack: await askedBy(context, waiting, inputs.intent) } : inputs;
  }
  if (inputs.cause !== 'override') return inputs;
  const without = await inputsFor(context, { ...round, requests: [] }, inputs.intent, applied, 'forecast', []);
  const decision = await judge(context, without, round.main);
  return decision.kind === 'proposal' ? { ...inputs, heldBack: vetoesOf(decision.changeset, 'none', HELD_BACK_UNTIL) } : inputs;
}

/** What an open proposal would change, as vetoes for one plan. */
async function askedBy(context: CycleContext, proposal: Proposal, intent: Intent): Promise<Veto[]> {
  return vetoesOf(await changesOf(context, proposal, intent), proposal.change.headSha, HELD_BACK_UNTIL);
}

async function changesOf(context: CycleContext, proposal: Proposal, intent: Intent): Promise<Changeset> {
  const base = await readTreePlan(context.deps, proposal.marker.base);
  return context.deps.planning.diff(intent, base.plan, await context.desk.planOf(proposal), null);
}

/** The approved proposal that answers this kind of question. */
function approvedFor(cause: Cause, approved: readonly ApprovedProposal[]): Proposal | null {
  return approved.find(({ proposal }) => proposal.marker.scope === scopeOf(cause))?.proposal ?? null;
}

/** Fingerprints of what a person said yes to, whatever has become of the plan around it since. */
async function consentedTo(context: CycleContext, proposal: Proposal | null, intent: Intent): Promise<string[]> {
  if (!proposal || proposal.marker.base === 'none' || proposal.marker.intentDigest !== intentDigest(intent)) return [];
  return (await changesOf(context, proposal, intent)).changes.map(({ fingerprint }) => fingerprint).sort(compareText);
}

async function commitDecision(
  context: CycleContext,
  round: Round,
  inputs: DecisionInputs,
  decision: Extract<Decision, { kind: 'commit' }>,
  isFinal: boolean,
): Promise<Reached> {
  const { signed, main } = round;
  const approved = decision.decision === 'reviewed' ? round.approved.find(({ proposal }) => proposal.marker.scope === scopeOf(inputs.cause)) : undefined;
  const trailers: LiveTrailers = {
    generation: nextGeneration(signed, []),
    parent: inputs.parent,
    intent: inputs.intent.commit ?? 'none',
    policy: main.policyDigest,
    forecast: forecastDigest(inputs),
    telemetry: digest(inputs.observation),
    decision: decision.decision,
    cause: causeLine(approved ? `${decision.cause}, approved by ${approved.by}` : decision.cause, decision.changeset),
  };
  const commit = await context.writer.write({
    parent: signed?.sha ?? null,
    proposalHead: approved?.proposal.change.headSha ?? null,
    files: decision.files,
    trailers,
    message: (trailerText) => planMessage(decision, trailerText),
    record: { schema: 'foremesh/record/v1', kind: 'decision', inputs, verdict: decision.verdict },
    now: round.now,
  });
  if (commit === 'moved') return { kind: 'moved', requests: null };
  context.state.live = commit;
  context.state.plan = decision.plan;
  context.state.report = decision.report;
  if (approved) await context.desk.settle(approved.proposal, commit.sha);
  return { kind: 'committed', commit, requests: { kind: 'applied', commit }, isFinal };
}

/** A first plan that needs a person needs a branch to be proposed against: the empty plan, under which nothing is forwarded. */
async function commitBase(context: CycleContext, round: Round): Promise<Reached> {
  const { main, tree, now } = round;
  const files = context.deps.planning.renderFiles(main.intent, tree.plan, emptyReport(now));
  const trailers: LiveTrailers = {
    generation: 1,
    parent: 'none',
    intent: main.intent.commit ?? 'none',
    policy: main.policyDigest,
    forecast: 'none',
    telemetry: 'none',
    decision: 'auto',
    cause: 'initial: the empty plan, which the first proposal starts from',
  };
  const commit = await context.writer.write({
    parent: null,
    proposalHead: null,
    files,
    trailers,
    message: (trailerText) => `mesh: the empty plan\n\nNo tunnels yet; the first plan is proposed against this.\n\n${trailerText}\n`,
    record: { schema: 'foremesh/record/v1', kind: 'answer', intent: main.intent, plan: tree.plan, reportText: files.get('plan/report.md') ?? '' },
    now,
  });
  if (commit === 'moved') return { kind: 'moved', requests: null };
  return { kind: 'committed', commit, requests: null, isFinal: false };
}

function remember(context: CycleContext, decision: Decision, at: number): void {
  context.state.report = decision.report;
  const last: LastDecision = { kind: decision.kind, cause: decision.cause, at, verdict: decision.verdict, changeset: decision.changeset, proposal: null };
  context.state.decisions = [...context.state.decisions.slice(-49), last];
  context.log.debug({ decision: decision.kind, cause: decision.cause, plan: planDigest(decision.plan), verdict: verdictLine(decision.verdict) }, 'decided');
}
