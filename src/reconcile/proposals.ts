import { digest } from '../base/index.ts';
import type { Change } from '../forge/index.ts';
import type { Plan } from '../model/index.ts';
import { LIVE_BRANCH, PROPOSAL_PREFIX, type Checkpoint, type EngineDeps } from './deps.ts';
import { forecastDigest, type Decision, type DecisionInputs } from './decide.ts';
import { planDigest, readTreePlan } from './live-plan.ts';
import { intentDigest } from './main-state.ts';
import { headlineOf, planMessage, proposalText } from './messages.ts';
import { readMarker, SCOPES, scopeOf, withMarker, type ProposalMarker, type ProposalScope } from './proposal-marker.ts';
import type { RecordStore } from './records.ts';

export type ProposalState = 'open' | 'approved' | 'edited' | 'rejected';

/** One question to people, as it stands at the forge. */
export interface Proposal {
  change: Change;
  marker: ProposalMarker;
  /** `edited`: a person pushed to its branch, so it is theirs. */
  state: ProposalState;
  reviews: { by: string; verdict: 'approve' | 'block' | 'comment'; sha: string }[];
}

export interface WantedProposal {
  decision: Extract<Decision, { kind: 'proposal' }>;
  inputs: DecisionInputs;
}

export interface ProposalDesk {
  /** Open proposals of the engine, with the reviews that count: given on exactly the present head. */
  list(): Promise<Proposal[]>;
  /** The plan that a proposal offers. */
  planOf(proposal: Proposal): Promise<Plan>;
  /** Opens, updates in place and withdraws, so that the open ones are those wanted. `keep`: scopes without an answer this time. */
  ensure(open: readonly Proposal[], wanted: readonly WantedProposal[], keep: ReadonlySet<ProposalScope>): Promise<Map<ProposalScope, number | null>>;
  /** A person said no: closed, and quiet until the question changes. */
  reject(proposal: Proposal): Promise<void>;
  /** It became this commit on mesh/live. */
  settle(proposal: Proposal, commit: string): Promise<void>;
}

type DeskDeps = Pick<EngineDeps, 'repository' | 'forge' | 'planning' | 'signer' | 'clock' | 'log'>;

/** Keeps one open proposal per scope on branch `mesh/plan/<scope>`. All it knows is at the forge, so a restart loses nothing. */
export function createProposalDesk(deps: DeskDeps, records: RecordStore, checkpoint: (name: Checkpoint) => Promise<void>): ProposalDesk {
  const { repository, forge } = deps;
  const noted = new Set<string>();
  /** False while branches and proposals may be out of step: at the start, and after an effect that did not come to its end. */
  let isSwept = false;

  async function list(): Promise<Proposal[]> {
    const proposals: Proposal[] = [];
    for (const change of await forge.find({ base: LIVE_BRANCH, state: 'all' })) {
      const marker = isOurs(change) ? readMarker(change.body) : null;
      if (!marker || marker.ended !== undefined) continue;
      if (change.state === 'open') proposals.push(await judgeReviews(change, marker));
      // a crash came between the merge and its tidying up, or a person merged it at the forge
      if (change.state === 'merged') await close({ change, marker, state: 'approved', reviews: [] }, 'applied', `Applied as ${change.mergeSha ?? 'a commit on mesh/live'}.`);
    }
    if (!isSwept) await sweep(proposals);
    return proposals;
  }

  /** Takes away our branches that have no open proposal: a crash came before one was opened, or after it was closed. */
  async function sweep(open: readonly Proposal[]): Promise<void> {
    for (const scope of SCOPES.filter((entry) => !open.some(({ marker }) => marker.scope === entry))) {
      const ref = `refs/heads/${PROPOSAL_PREFIX}${scope}`;
      const tip = await repository.resolve(ref);
      const isOwn = tip !== null && (await repository.verify(tip, deps.signer.signersFile))?.signer === deps.signer.identity;
      if (isOwn) await repository.push([{ ref, oldSha: tip, newSha: null }]);
    }
    isSwept = true;
  }

  async function judgeReviews(change: Change, marker: ProposalMarker): Promise<Proposal> {
    const head = (await repository.resolve(`refs/heads/${change.head}`)) ?? change.headSha;
    const signature = await repository.verify(head, deps.signer.signersFile);
    const reviews = (await forge.reviews(change.id)).filter((review) => !review.dismissed).map(({ by, verdict, sha }) => ({ by, verdict, sha }));
    const onHead = reviews.filter(({ sha }) => sha === head);
    const isEdited = signature?.signer !== deps.signer.identity;
    const state = isEdited ? 'edited' : onHead.some(({ verdict }) => verdict === 'block') ? 'rejected' : onHead.some(({ verdict }) => verdict === 'approve') ? 'approved' : 'open';
    return { change: { ...change, headSha: head }, marker, state, reviews };
  }

  async function ensure(open: readonly Proposal[], wanted: readonly WantedProposal[], keep: ReadonlySet<ProposalScope>): Promise<Map<ProposalScope, number | null>> {
    const numbers = new Map<ProposalScope, number | null>();
    for (const want of wanted) {
      const scope = scopeOf(want.inputs.cause);
      numbers.set(scope, await ensureOne(open.find(({ marker }) => marker.scope === scope) ?? null, want, scope));
    }
    for (const proposal of open) {
      if (!numbers.has(proposal.marker.scope) && !keep.has(proposal.marker.scope)) await withdraw(proposal);
    }
    return numbers;
  }

  async function ensureOne(open: Proposal | null, want: WantedProposal, scope: ProposalScope): Promise<number | null> {
    const marker = markerOf(want, scope);
    if (open?.state === 'edited') {
      if (!noted.has(open.change.headSha)) await forge.note(open.change.id, 'edited', 'A person has pushed to this branch, so the engine leaves it alone. Close it to get a fresh proposal.');
      noted.add(open.change.headSha);
      return open.change.id;
    }
    if (open && isSameQuestion(open.marker, marker)) return open.change.id;
    if (await wasRefused(marker)) {
      if (open) await withdraw(open);
      return null;
    }
    await records.save(proposalKey(marker), { schema: 'foremesh/record/v1', kind: 'decision', inputs: want.inputs, verdict: want.decision.verdict });
    isSwept = false;
    if ((await pushBranch(want, scope)) === 'moved') return open?.change.id ?? null; // someone pushed to it just now: looked at again in the next cycle
    const title = `mesh: ${headlineOf(want.decision.changeset)}`.slice(0, 120);
    const body = withMarker(proposalText(want.decision, marker.base), marker);
    const change = open
      ? await forge.edit(open.change.id, { title, body })
      : await forge.open({ head: `${PROPOSAL_PREFIX}${scope}`, base: LIVE_BRANCH, title, body, labels: ['foremesh'] });
    // opened by a run that died before it could write the body
    if (change.body !== body) await forge.edit(change.id, { title, body });
    await checkpoint('proposal-opened');
    isSwept = true;
    deps.log.info({ proposal: change.id, scope, changeset: marker.changeset }, open ? 'updated a proposal' : 'opened a proposal');
    return change.id;
  }

  async function pushBranch(want: WantedProposal, scope: ProposalScope): Promise<'pushed' | 'moved'> {
    const { decision, inputs } = want;
    const base = inputs.parent === 'none' ? null : inputs.parent;
    const ref = `refs/heads/${PROPOSAL_PREFIX}${scope}`;
    // no trailers: what is only proposed can never pass for a plan to run
    const sha = await repository.commit({
      parents: base === null ? [] : [base],
      baseTree: base,
      replace: { folder: 'plan', files: decision.files },
      message: planMessage(decision, `Proposed, not applied. Scope: ${scope}.`),
      author: `Foremesh engine <${deps.signer.identity}>`,
      at: inputs.now,
    });
    await checkpoint('proposal-committed');
    const pushed = await repository.push([{ ref, oldSha: await repository.resolve(ref), newSha: sha }]);
    if (pushed === 'moved') return 'moved';
    await checkpoint('proposal-pushed');
    return 'pushed';
  }

  /** True when this very question was put before and a person closed or blocked it. */
  async function wasRefused(marker: ProposalMarker): Promise<boolean> {
    const all = await forge.find({ head: `${PROPOSAL_PREFIX}${marker.scope}`, base: LIVE_BRANCH, state: 'all' });
    return all.some((change) => {
      const old = change.state === 'closed' && isOurs(change) ? readMarker(change.body) : null;
      return old !== null && (old.ended === undefined || old.ended === 'rejected') && isSameQuestion(old, marker);
    });
  }

  async function withdraw(proposal: Proposal): Promise<void> {
    if (proposal.state === 'edited') return;
    await close(proposal, 'withdrawn', 'No longer needed: the mesh does without this change now.');
  }

  async function close(proposal: Proposal, ended: 'withdrawn' | 'rejected' | 'applied', text: string): Promise<void> {
    const { change, marker } = proposal;
    isSwept = false;
    await forge.note(change.id, 'ended', text);
    await forge.edit(change.id, { body: withMarker(change.body, { ...marker, ended }), state: 'closed' });
    await checkpoint('proposal-closed');
    // a branch that moved meanwhile is a person's, and stays
    await repository.push([{ ref: `refs/heads/${change.head}`, oldSha: change.headSha, newSha: null }]);
    isSwept = true;
    deps.log.info({ proposal: change.id, scope: marker.scope, ended }, 'closed a proposal');
  }

  return {
    list,
    planOf: async (proposal) => (await readTreePlan(deps, proposal.change.headSha)).plan,
    ensure,
    reject: (proposal) => {
      const who = proposal.reviews.find(({ verdict, sha }) => verdict === 'block' && sha === proposal.change.headSha)?.by ?? 'a person';
      return close(proposal, 'rejected', `Rejected by ${who}. The engine does not ask again until the change or the intent is another one.`);
    },
    settle: (proposal, commit) => close(proposal, 'applied', `Applied as ${commit}.`),
  };
}

/** Where the inputs of an open proposal are recorded. */
export function proposalKey(marker: ProposalMarker): string {
  const { ended: _ended, ...asked } = marker;
  return digest(asked);
}

function markerOf({ decision, inputs }: WantedProposal, scope: ProposalScope): ProposalMarker {
  return {
    scope,
    base: inputs.parent,
    intent: inputs.intent.commit ?? 'none',
    intentDigest: intentDigest(inputs.intent),
    plan: planDigest(decision.plan),
    changeset: decision.changeset.digest,
    policy: inputs.policyDigest,
    forecast: forecastDigest(inputs),
    telemetry: digest(inputs.observation),
    cause: decision.cause,
  };
}

/** Figures may move (weights, costs) and the base as well; the question is what changes, under which intent. */
function isSameQuestion(one: ProposalMarker, other: ProposalMarker): boolean {
  return one.changeset === other.changeset && one.intentDigest === other.intentDigest;
}

function isOurs(change: Change): boolean {
  return change.head.startsWith(PROPOSAL_PREFIX) && change.base === LIVE_BRANCH;
}
