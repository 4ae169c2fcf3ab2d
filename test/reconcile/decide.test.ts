import { describe, expect, it } from 'vitest';
import {
  EMPTY_PLAN,
  NO_REGRET,
  nodeId,
  pathId,
  siteId,
  tunnelId,
  uplinkId,
  type Change,
  type Changeset,
  type Intent,
  type PathId,
  type Plan,
  type PlanConstraint,
  type PlanReport,
  type Tunnel,
  type Verdict,
  type VerdictReason,
} from '../../src/model/index.ts';
import { decide, fileDigests, type DecisionInputs, type Stages } from '../../src/reconcile/index.ts';

/** Two sites, two ways: just enough for the loop around the stages, which have tests of their own. */
const FIBRE = pathId(uplinkId(nodeId('berlin-gw1'), 'fibre'), uplinkId(nodeId('paris-gw1'), 'dsl'));
const CABLE = pathId(uplinkId(nodeId('berlin-gw1'), 'cable'), uplinkId(nodeId('paris-gw1'), 'dsl'));
const ALLOW: Verdict = { decision: 'allow', reasons: [], rulesRun: ['R'] };
const REPORT: PlanReport = { plannedAt: 1, forecastModel: 'none', demands: [], tunnels: [], removed: [], unplaced: [], refused: [], waiting: [], usdPerMonth: 0 };

const tunnelOver = (path: PathId): Tunnel => {
  const end = (site: string, node: string): Tunnel['a'] => ({ node: nodeId(node), site: siteId(site), uplink: uplinkId(nodeId(node), 'x'), address: '', overlay: '' });
  return { id: tunnelId(path, 's'), path, index: 0, a: end('berlin', 'berlin-gw1'), b: end('paris', 'paris-gw1'), securityProfile: 's', plannedAt: 1 };
};
const planOver = (...paths: PathId[]): Plan => ({ ...EMPTY_PLAN, mesh: 'm', tunnels: paths.map(tunnelOver) });
const deny = (...names: string[]): Verdict => ({
  decision: 'deny',
  reasons: names.map((name): VerdictReason => ({ code: 'P', severity: 'error', message: `not ${name}`, object: { kind: 'Tunnel', name }, fix: 'use another' })),
  rulesRun: ['P'],
});
const asks: Verdict = { ...deny(), decision: 'needsApproval', reasons: [] };

function changesBetween(previous: Plan, next: Plan, consented: ReadonlySet<string> = new Set()): Changeset {
  const of = (plan: Plan): PathId[] => plan.tunnels.map(({ path }) => path);
  const added = of(next).filter((path) => !of(previous).includes(path));
  const removed = of(previous).filter((path) => !of(next).includes(path));
  const change = (kind: 'tunnel-add' | 'tunnel-remove', path: PathId): Change => ({
    key: { kind, path, securityProfile: 's' },
    fingerprint: `${kind} ${path}`,
    impact: 'none',
    summary: `${kind} ${path}`,
    tunnel: null,
    pair: null,
    classId: null,
    paths: [path],
    nodes: [],
  });
  const changes = [...added.map((path) => change('tunnel-add', path)), ...removed.map((path) => change('tunnel-remove', path))].filter(({ fingerprint }) => !consented.has(fingerprint));
  return { digest: changes.map(({ fingerprint }) => fingerprint).join(), impact: 'none', changes, tunnelsAdded: added.length, tunnelsRemoved: removed.length, tunnelsMoved: 0, sitesTouched: [], trafficMovedShare: 0, usdPerMonthDelta: 0 };
}

interface Setting {
  wanted?: PathId[];
  planVerdict?: (plan: Plan) => Verdict;
  changeVerdict?: (changeset: Changeset, question: unknown) => Verdict;
  errors?: string[];
}

/** Plans over the wanted paths that no constraint forbids. */
function stagesFor(setting: Setting): { stages: Stages; asked: PlanConstraint[][] } {
  const asked: PlanConstraint[][] = [];
  let candidate = planOver();
  let changes = changesBetween(candidate, candidate);
  const stages = {
    plan: ({ constraints }: { constraints: PlanConstraint[] }) => {
      asked.push([...constraints]);
      candidate = planOver(...(setting.wanted ?? [FIBRE]).filter((path) => !constraints.some(({ forbidPath }) => forbidPath === path)));
      return { plan: candidate, report: REPORT };
    },
    checkPlan: () => (setting.errors ?? []).map((what) => ({ code: 'PLAN_INVALID', severity: 'error', what, where: null, fix: 'x' })),
    renderFiles: (_intent: Intent, plan: Plan) => new Map([['plan/mesh.yaml', JSON.stringify(plan)], ['plan/report.md', String(Math.random())]]),
    diff: (_intent: Intent, previous: Plan, next: Plan, _forecast: null, consented?: ReadonlySet<string>) => (changes = changesBetween(previous, next, consented)),
    planInput: (...parts: unknown[]) => parts,
    changeInput: (input: unknown) => input,
    evaluate: (question: string, input: unknown) => Promise.resolve((question === 'plan' ? setting.planVerdict?.(candidate) : setting.changeVerdict?.(changes, input)) ?? ALLOW),
  };
  return { stages: stages as unknown as Stages, asked };
}

function inputsFor(part: Partial<DecisionInputs> = {}): DecisionInputs {
  const previous = part.previous ?? planOver();
  return {
    schema: 'foremesh/decision-inputs/v1',
    intent: { commit: null, mesh: { autoApply: {} } } as unknown as Intent,
    forecast: null,
    forecastDrift: 0,
    observation: { observedAt: 1, slotMs: 1, lastSlotEndAt: 1, demands: [], paths: [], tunnels: [], nodes: [] },
    previous,
    previousFiles: fileDigests(new Map([['plan/mesh.yaml', JSON.stringify(previous)]])),
    parent: 'none',
    overrides: [],
    vetoes: [],
    heldBack: [],
    policyDigest: 'sha256:0',
    cause: 'forecast',
    now: 1,
    seed: 's',
    changesLastHour: 0,
    approved: [],
    ...part,
  };
}

describe('decide', () => {
  it('has nothing to do when every file that agents read stays as it is, whatever the report says', async () => {
    const { stages } = stagesFor({});
    expect(await decide(inputsFor({ previous: planOver(FIBRE) }), stages)).toMatchObject({ kind: 'none' });
  });

  it('commits what is allowed, and says by whose hand', async () => {
    expect(await decide(inputsFor(), stagesFor({}).stages)).toMatchObject({ kind: 'commit', decision: 'auto', cause: 'forecast' });
    expect(await decide(inputsFor({ cause: 'override' }), stagesFor({}).stages)).toMatchObject({ kind: 'commit', decision: 'override' });
    expect(await decide(inputsFor({ cause: 'expiry' }), stagesFor({}).stages)).toMatchObject({ kind: 'commit', decision: 'override' });
  });

  it('proposes what needs a person, and commits it when all of it was approved', async () => {
    const { stages } = stagesFor({ changeVerdict: () => asks });
    const proposal = await decide(inputsFor(), stages);
    expect(proposal).toMatchObject({ kind: 'proposal', verdict: { decision: 'needsApproval' } });
    const approved = proposal.changeset.changes.map(({ fingerprint }) => fingerprint);
    expect(await decide(inputsFor({ approved }), stages)).toMatchObject({ kind: 'commit', decision: 'reviewed' });
    expect(await decide(inputsFor({ approved: ['another'] }), stages)).toMatchObject({ kind: 'proposal' });
  });

  it('asks the policy about what nobody has approved yet, and commits the whole when that may pass', async () => {
    const unapproved: unknown[] = [];
    const isSmall = (question: unknown): boolean => {
      const rest = (question as { unapproved: Changeset }).unapproved.changes.map(({ fingerprint }) => fingerprint);
      unapproved.push(rest);
      return rest.length < 2;
    };
    const { stages } = stagesFor({ wanted: [FIBRE, CABLE], changeVerdict: (_changeset, question) => (isSmall(question) ? ALLOW : asks) });
    expect(await decide(inputsFor(), stages)).toMatchObject({ kind: 'proposal' });
    expect(await decide(inputsFor({ approved: [`tunnel-add ${FIBRE}`] }), stages)).toMatchObject({ kind: 'commit', decision: 'reviewed', changeset: { tunnelsAdded: 2 } });
    expect(unapproved).toEqual([[`tunnel-add ${FIBRE}`, `tunnel-add ${CABLE}`], [`tunnel-add ${CABLE}`]]);
  });

  it('lets no approval overrule a deny', async () => {
    const { stages } = stagesFor({ changeVerdict: () => deny('everything') });
    expect(await decide(inputsFor({ approved: [`tunnel-add ${FIBRE}`] }), stages)).toMatchObject({ kind: 'blocked', why: 'policy' });
  });

  it.each(['path', 'tunnel id'])('plans again around what the policy refuses by %s', async (how) => {
    const name = how === 'path' ? FIBRE : tunnelId(FIBRE, 's');
    const { stages, asked } = stagesFor({ wanted: [FIBRE, CABLE], planVerdict: (plan) => (plan.tunnels.some(({ path }) => path === FIBRE) ? deny(name) : ALLOW) });
    const decision = await decide(inputsFor(), stages);
    expect(decision).toMatchObject({ kind: 'commit', constraints: [{ forbidPath: FIBRE, reason: `P: not ${name}` }] });
    expect(decision.plan.tunnels.map(({ path }) => path)).toEqual([CABLE]);
    expect(asked).toHaveLength(2);
  });

  it('is blocked when a deny names nothing that could be left out', async () => {
    const { stages, asked } = stagesFor({ planVerdict: () => deny('the weather') });
    expect(await decide(inputsFor(), stages)).toMatchObject({ kind: 'blocked', why: 'policy', verdict: { decision: 'deny' } });
    expect(asked).toHaveLength(1);
  });

  it('gives up after three more plans', async () => {
    const paths = ['a', 'b', 'c', 'd', 'e', 'f'].map((name) => pathId(uplinkId(nodeId('berlin-gw1'), name), uplinkId(nodeId('paris-gw1'), 'dsl')));
    const { stages, asked } = stagesFor({ wanted: paths, planVerdict: (plan) => deny(plan.tunnels[0]!.path) });
    expect(await decide(inputsFor(), stages)).toMatchObject({ kind: 'blocked', why: 'policy' });
    expect(asked).toHaveLength(4);
  });

  it('plans without the new path of a change that a person took back', async () => {
    const veto = { fingerprint: `tunnel-add ${FIBRE}`, what: 'x', change: { kind: 'tunnel-add', path: FIBRE, securityProfile: 's' } as const, until: 9, commit: 'c' };
    const isVetoed = (changeset: Changeset): boolean => changeset.changes.some(({ fingerprint }) => fingerprint === veto.fingerprint);
    const { stages } = stagesFor({ wanted: [FIBRE, CABLE], changeVerdict: (changeset) => (isVetoed(changeset) ? deny() : ALLOW) });
    const decision = await decide(inputsFor({ vetoes: [veto] }), stages);
    expect(decision).toMatchObject({ kind: 'commit' });
    expect(decision.plan.tunnels.map(({ path }) => path)).toEqual([CABLE]);
    expect(decision.plan.vetoes).toEqual([veto]);
  });

  it('is blocked by an error of the independent check, before any policy is asked', async () => {
    const { stages } = stagesFor({ errors: ['two tunnels share an overlay address'], planVerdict: () => ALLOW });
    expect(await decide(inputsFor(), stages)).toMatchObject({ kind: 'blocked', why: 'check', verdict: { rulesRun: ['checkPlan'], reasons: [{ code: 'PLAN_INVALID', message: 'two tunnels share an overlay address' }] } });
  });

  it('calls a forecast change that only takes away idle, to the policy as well', async () => {
    const causes: unknown[] = [];
    const { stages } = stagesFor({
      wanted: [],
      changeVerdict: (_changeset, question) => {
        causes.push((question as { cause: string }).cause);
        return ALLOW;
      },
    });
    expect(await decide(inputsFor({ previous: planOver(FIBRE) }), stages)).toMatchObject({ kind: 'commit', decision: 'auto', cause: 'idle' });
    expect(causes).toEqual(['idle']);
  });

  it('tells the policy that a missing forecast is worth nothing', async () => {
    let seen: unknown = null;
    const { stages } = stagesFor({
      changeVerdict: (_changeset, question) => {
        seen = (question as { forecast: unknown }).forecast;
        return ALLOW;
      },
    });
    await decide(inputsFor({ forecastDrift: 0.2 }), stages);
    expect(seen).toEqual({ model: 'none', wape: 1, drift: 0.2, confidence: 1, regret: NO_REGRET });
  });
});
