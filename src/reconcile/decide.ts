import { compareText, digest, sortedBy, type Finding } from '../base/index.ts';
import { NO_REGRET } from '../model/index.ts';
import type {
  Anomaly,
  Cause,
  Changeset,
  Forecast,
  ForecastRegret,
  Intent,
  Observation,
  Override,
  PathId,
  PathQualityForecast,
  Plan,
  PlanConstraint,
  PlanReport,
  Verdict,
  VerdictReason,
  Veto,
} from '../model/index.ts';
import type { Stages } from './stages.ts';

/** Everything a decision depends on. Recorded before the decision takes effect, so that it can be computed again. */
export interface DecisionInputs {
  schema: 'foremesh/decision-inputs/v1';
  intent: Intent;
  forecast: Forecast | null;
  /** What is expected of paths; absent in older records. */
  pathForecast?: PathQualityForecast | null;
  /** How much worse recent forecasts were than the back-test promised, in WAPE; 0 when as promised or better. */
  forecastDrift: number;
  /** Share of the demand whose forecasts are as promised; absent in older records: all of it. */
  forecastConfidence?: number;
  /** How earlier forecast-driven changes turned out; absent in older records: none was judged. */
  forecastRegret?: ForecastRegret;
  /** What the report says of the forecast. */
  forecastNotes?: string[];
  observation: Observation;
  /** The plan on mesh/live, and its commit. */
  previous: Plan;
  parent: string;
  /** Digest of each file of the live plan but the report: an intent may change node files and leave the plan alone. */
  previousFiles: Record<string, string>;
  overrides: Override[];
  vetoes: Veto[];
  /** Changes that wait in an open proposal and are planned around; not written to the plan. */
  heldBack: Veto[];
  policyDigest: string;
  cause: Cause;
  now: number;
  seed: string;
  changesLastHour: number;
  /** Traffic that is not what was to be expected and goes on; absent in what was recorded before there were any. */
  anomalies?: Anomaly[];
  /** Fingerprints of the changes that a person consented to, sorted. */
  approved: string[];
}

export interface DecisionBase {
  cause: Cause;
  plan: Plan;
  report: PlanReport;
  changeset: Changeset;
  /** `plan/mesh.yaml`, `plan/nodes/<node>.yaml`, `plan/report.md`. */
  files: Map<string, string>;
  verdict: Verdict;
  /** What the policy refused on the way here; the plan does without. */
  constraints: PlanConstraint[];
}

export type Decision =
  | (DecisionBase & { kind: 'none' })
  | (DecisionBase & { kind: 'commit'; decision: 'auto' | 'override' | 'reviewed' })
  | (DecisionBase & { kind: 'proposal' })
  | (DecisionBase & { kind: 'blocked'; why: 'check' | 'policy' });

/** End of a veto that holds for one plan only: far beyond any real one, and still a date. */
export const HELD_BACK_UNTIL = Date.UTC(9999, 11, 31);
const HELD_BACK_REASON = 'it waits for a person, in a proposal';

/** How often a plan is made again around what the policy refused. */
const ROUNDS_MAX = 3;

/**
 * What to do now: nothing, commit, propose, or nothing because something is refused. No effects, and the same inputs
 * and policy give the same bytes. In this order: plan; the independent check (an error blocks); the policy on the plan
 * (a deny forbids the paths it names and plans again, at most three times); difference to the live plan; the policy on
 * the change (a deny over a veto forbids the new paths of what was vetoed, and plans again). What a person approved
 * needs no approval again, also when small things that need none have come with it since.
 */
export async function decide(inputs: DecisionInputs, stages: Stages): Promise<Decision> {
  const constraints: PlanConstraint[] = [];
  for (let round = 0; ; round++) {
    const candidate = makePlan(inputs, constraints, stages);
    const broken = stages.checkPlan(inputs.intent, candidate.plan).filter((finding) => finding.severity === 'error');
    const base = (verdict: Verdict): DecisionBase => ({
      cause: effectiveCause(inputs.cause, candidate.changeset),
      plan: candidate.plan,
      report: candidate.report,
      changeset: candidate.changeset,
      files: candidate.files,
      verdict,
      constraints: [...constraints],
    });
    if (broken.length > 0) return { ...base(refusalOf(broken)), kind: 'blocked', why: 'check' };

    const planVerdict = await stages.evaluate('plan', stages.planInput(inputs.intent, candidate.plan, inputs.previous, candidate.report, inputs.now, inputs.observation.nodes, inputs.anomalies));
    if (planVerdict.decision === 'deny') {
      const refused = refusedPaths(planVerdict.reasons, candidate.plan, constraints);
      if (refused.length === 0 || round === ROUNDS_MAX) return { ...base(planVerdict), kind: 'blocked', why: 'policy' };
      constraints.push(...refused);
      continue;
    }
    if (isUnchanged(candidate.files, inputs.previousFiles)) return { ...base(planVerdict), kind: 'none' };
    const verdict = worseOf(planVerdict, await stages.evaluate('change', changeQuestion(inputs, candidate, stages)));
    const vetoed = verdict.decision === 'deny' ? vetoedPaths(inputs, candidate.changeset, constraints) : [];
    if (vetoed.length === 0 || round === ROUNDS_MAX) return settle(inputs, base(verdict));
    constraints.push(...vetoed);
  }
}

/** Names the forecasts that a decision rests on, in the commit's trailers. */
export function forecastDigest({ forecast, pathForecast }: Pick<DecisionInputs, 'forecast' | 'pathForecast'>): string {
  if (!pathForecast || pathForecast.paths.length === 0) return forecast ? digest(forecast) : 'none';
  return digest({ forecast, pathForecast });
}

/** What agents would read: everything rendered but the report, whose figures move with every forecast. */
export function fileDigests(files: ReadonlyMap<string, string>): Record<string, string> {
  const entries = [...files].filter(([file]) => file !== 'plan/report.md').map(([file, text]) => [file, digest(text)] as const);
  return Object.fromEntries(entries.sort(([left], [right]) => compareText(left, right)));
}

function makePlan(inputs: DecisionInputs, constraints: PlanConstraint[], stages: Stages): Pick<DecisionBase, 'plan' | 'report' | 'changeset' | 'files'> {
  const vetoes = sortedBy(inputs.vetoes, (veto) => veto.fingerprint);
  const overrides = sortedBy(inputs.overrides, (override) => override.id);
  const made = stages.plan({
    intent: inputs.intent,
    forecast: inputs.forecast,
    pathForecast: inputs.pathForecast ?? null,
    observation: inputs.observation,
    previous: inputs.previous,
    overrides,
    vetoes: [...vetoes, ...inputs.heldBack],
    constraints,
    now: inputs.now,
    seed: inputs.seed,
  });
  // what is held back or was lifted is the engine's business; the plan on the branch lists exactly the standing ones
  const plan: Plan = { ...made.plan, overrides, vetoes };
  const notes = inputs.forecastNotes ?? [];
  const report: PlanReport = { ...made.report, ...(notes.length > 0 ? { forecastNotes: notes } : {}), waiting: made.report.waiting.map((entry) => (entry.until === HELD_BACK_UNTIL ? { ...entry, reason: HELD_BACK_REASON, until: null } : entry)) };
  const changeset = stages.diff(inputs.intent, inputs.previous, plan, inputs.forecast);
  return { plan, report, changeset, files: stages.renderFiles(inputs.intent, plan, report) };
}

function settle(inputs: DecisionInputs, base: DecisionBase): Decision {
  const approved = base.changeset.changes.filter(({ fingerprint }) => inputs.approved.includes(fingerprint)).length;
  const isWhollyApproved = approved > 0 && approved === base.changeset.changes.length;
  if (base.verdict.decision === 'deny') return { ...base, kind: 'blocked', why: 'policy' };
  if (base.verdict.decision === 'needsApproval' && !isWhollyApproved) return { ...base, kind: 'proposal' };
  if (approved > 0) return { ...base, kind: 'commit', decision: 'reviewed' };
  const isByPerson = inputs.cause === 'override' || inputs.cause === 'expiry';
  return { ...base, kind: 'commit', decision: isByPerson ? 'override' : 'auto' };
}

function changeQuestion(inputs: DecisionInputs, { plan, changeset }: Pick<DecisionBase, 'plan' | 'changeset'>, stages: Stages): unknown {
  const { forecast, intent, previous, approved } = inputs;
  const score = forecast?.backtest.find((entry) => entry.model === forecast.model);
  return stages.changeInput({
    now: inputs.now,
    cause: effectiveCause(inputs.cause, changeset),
    changeset,
    unapproved: approved.length > 0 ? stages.diff(intent, previous, plan, forecast, new Set(approved)) : changeset,
    // without a back-test nothing is known of the forecast, so it counts as worthless rather than as perfect
    forecast: { model: forecast?.model ?? 'none', wape: score?.wape ?? 1, drift: inputs.forecastDrift, confidence: inputs.forecastConfidence ?? 1, regret: inputs.forecastRegret ?? NO_REGRET },
    changesLastHour: inputs.changesLastHour,
    anomalies: inputs.anomalies ?? [],
    autoApply: inputs.intent.mesh.autoApply,
    vetoes: inputs.vetoes.map((veto) => veto.fingerprint).sort(compareText),
  });
}

/** A forecast change that only takes away is an idle tear-down, which people read differently. */
function effectiveCause(cause: Cause, changeset: Changeset): Cause {
  const onlyRemoves = changeset.tunnelsRemoved > 0 && changeset.tunnelsAdded === 0 && changeset.tunnelsMoved === 0;
  return cause === 'forecast' && onlyRemoves ? 'idle' : cause;
}

function isUnchanged(files: ReadonlyMap<string, string>, previous: Record<string, string>): boolean {
  const next = fileDigests(files);
  const names = Object.keys(next);
  return names.length === Object.keys(previous).length && names.every((name) => next[name] === previous[name]);
}

/** The paths of the tunnels that a deny names, by tunnel or by path id, and that are not forbidden yet. */
function refusedPaths(reasons: readonly VerdictReason[], plan: Plan, known: readonly PlanConstraint[]): PlanConstraint[] {
  const forbidden = new Set<PathId>(known.map((constraint) => constraint.forbidPath));
  const refused: PlanConstraint[] = [];
  for (const reason of reasons.filter((entry) => entry.severity === 'error')) {
    const tunnel = plan.tunnels.find(({ id, path }) => id === reason.object.name || path === reason.object.name);
    if (!tunnel || forbidden.has(tunnel.path)) continue;
    forbidden.add(tunnel.path);
    refused.push({ forbidPath: tunnel.path, reason: `${reason.code}: ${reason.message}` });
  }
  return refused;
}

/** New paths of changes that a person took back: without them the plan has another way to what it wanted, or none. */
function vetoedPaths(inputs: DecisionInputs, changeset: Changeset, known: readonly PlanConstraint[]): PlanConstraint[] {
  const vetoed = new Set(inputs.vetoes.map(({ fingerprint }) => fingerprint));
  const added = new Set(changeset.changes.flatMap(({ key }) => (key.kind === 'tunnel-add' ? [key.path] : [])));
  const refused = new Map<PathId, PlanConstraint>();
  for (const change of changeset.changes.filter(({ fingerprint }) => vetoed.has(fingerprint))) {
    for (const path of change.paths.filter((entry) => added.has(entry) && !known.some(({ forbidPath }) => forbidPath === entry))) {
      refused.set(path, { forbidPath: path, reason: `a person took "${change.summary}" back` });
    }
  }
  return [...refused.values()];
}

const RANK = { allow: 0, needsApproval: 1, deny: 2 } as const;

function worseOf(one: Verdict, other: Verdict): Verdict {
  return {
    decision: RANK[one.decision] >= RANK[other.decision] ? one.decision : other.decision,
    reasons: [...one.reasons, ...other.reasons],
    rulesRun: [...new Set([...one.rulesRun, ...other.rulesRun])].sort(compareText),
  };
}

/** The check's findings in the shape of a verdict, so that everything that shows reasons shows these. */
function refusalOf(findings: readonly Finding[]): Verdict {
  return {
    decision: 'deny',
    reasons: findings.map((finding) => ({
      code: finding.code,
      severity: finding.severity,
      message: finding.what,
      object: { kind: 'Plan', name: 'mesh' },
      fix: finding.fix,
    })),
    rulesRun: ['checkPlan'],
  };
}
