import { runCommand, type Finding } from '../base/index.ts';
import { findingsOfVerdict, type LocatedIntent } from '../intent/index.ts';
import { connectionFor, EMPTY_PLAN, NO_REGRET, pairId, type Changeset, type Forecast, type Intent, type Observation, type Plan, type PlanReport, type Verdict } from '../model/index.ts';
import { checkPlan, exportInstance, plan, type ExportedMesh, type PlanInputs } from '../planner/index.ts';
import { changeInput, createPolicyRunner, planInput, type CompiledPolicy } from '../policy/index.ts';
import { diff, parsePlan } from '../render/index.ts';

/** What a tree leads to, beside what runs. */
export interface PlanPreview {
  plan: Plan;
  report: PlanReport;
  changeset: Changeset;
  /** The worse of the policy's word on the plan and on the change. */
  verdict: Verdict;
  findings: Finding[];
  reachability: { gained: string[]; lost: string[] };
  /** The commit it was compared with; null when there is none yet. */
  against: string | null;
}

/**
 * The plan that an intent leads to, without an engine: no telemetry and no forecast, so it serves what the intent asks
 * for at least, and keeps what the running plan has where that still fits.
 * @param previous  the running plan; null before the first
 */
export async function previewPlan(options: { located: LocatedIntent; policy: CompiledPolicy; previous: { plan: Plan; commit: string } | null; now: number }): Promise<PlanPreview> {
  const { located, policy, now } = options;
  const { intent } = located;
  const inputs = previewInputs(intent, options.previous?.plan ?? null, now);
  const { previous, forecast } = inputs;
  const { plan: next, report } = plan(inputs);
  const changeset = diff(intent, previous, next, forecast);
  const runner = await createPolicyRunner(policy);
  try {
    const planVerdict = await runner.evaluate('plan', planInput(intent, next, previous, report, now));
    const changeVerdict = await runner.evaluate(
      'change',
      changeInput({
        now,
        cause: options.previous ? 'intent' : 'initial',
        changeset,
        unapproved: changeset,
        forecast: { model: forecast.model, wape: 1, drift: 0, confidence: 1, regret: NO_REGRET },
        changesLastHour: 0,
        anomalies: [],
        autoApply: intent.mesh.autoApply,
        vetoes: previous.vetoes.map(({ fingerprint }) => fingerprint),
      }),
    );
    const verdict = changeset.changes.length === 0 ? planVerdict : worse(planVerdict, changeVerdict);
    return {
      plan: next,
      report,
      changeset,
      verdict,
      findings: [...checkPlan(intent, next), ...findingsOfVerdict(verdict, located)],
      reachability: compareReachability(previous, next),
      against: options.previous?.commit ?? null,
    };
  } finally {
    await runner.close();
  }
}

/** The same planning problem for other programs (`te-instance/1`), with the plan that the engine makes of it. */
export function previewInstance(intent: Intent, previous: Plan | null, now: number): ExportedMesh {
  return exportInstance(previewInputs(intent, previous, now));
}

/** The plan at a ref of the git repository that holds `dir`; null when there is no such ref. */
export async function readPlanAt(dir: string, ref: string): Promise<{ plan: Plan; commit: string } | null> {
  const commit = await runCommand('git', ['-C', dir, 'rev-parse', '--verify', '--quiet', '--end-of-options', `${ref}^{commit}`]);
  if (commit.exitCode !== 0) return null;
  const sha = commit.stdout.toString('utf8').trim();
  const file = await runCommand('git', ['-C', dir, 'cat-file', 'blob', `${sha}:plan/mesh.yaml`]);
  return file.exitCode === 0 ? { plan: parsePlan(file.stdout.toString('utf8')), commit: sha } : null;
}

const RANK = { allow: 0, needsApproval: 1, deny: 2 } as const;

function worse(one: Verdict, other: Verdict): Verdict {
  return {
    decision: RANK[one.decision] >= RANK[other.decision] ? one.decision : other.decision,
    reasons: [...one.reasons, ...other.reasons],
    rulesRun: [...new Set([...one.rulesRun, ...other.rulesRun])].sort(),
  };
}

function compareReachability(previous: Plan, next: Plan): { gained: string[]; lost: string[] } {
  const names = (one: Plan): Set<string> => new Set(one.admitted.map(([a, b]) => `${a} – ${b}`));
  const before = names(previous);
  const after = names(next);
  return { gained: [...after].filter((pair) => !before.has(pair)), lost: [...before].filter((pair) => !after.has(pair)) };
}

function previewInputs(intent: Intent, running: Plan | null, now: number): PlanInputs & { forecast: Forecast } {
  const previous = running ?? { ...EMPTY_PLAN, mesh: intent.mesh.name };
  return {
    intent,
    forecast: minimumForecast(intent, now),
    observation: quietObservation(intent, now),
    previous,
    overrides: previous.overrides,
    vetoes: previous.vetoes,
    constraints: [],
    now,
    seed: 'preview',
  };
}

/** What the intent itself promises, as demand: the minimum bandwidth of each connection that is always there. */
function minimumForecast(intent: Intent, now: number): Forecast {
  const slotMs = intent.mesh.forecast.slotMs;
  const demands: Forecast['demands'] = [];
  for (const from of intent.sites) {
    for (const to of intent.sites) {
      const connection = from === to ? null : connectionFor(intent, from.id, to.id);
      const classId = connection?.classes[0] ?? intent.classes.at(-1)?.id;
      if (!connection || connection.mode !== 'always' || connection.minMbps <= 0 || !classId) continue;
      demands.push({ from: from.id, to: to.id, classId, slots: [{ startAt: now, p50: connection.minMbps, p90: connection.minMbps, p95: connection.minMbps }] });
    }
  }
  demands.sort((left, right) => (pairId(left.from, left.to) < pairId(right.from, right.to) ? -1 : 1));
  return { madeAt: now, slotMs, model: 'intent-minimum', backtest: [], demands };
}

function quietObservation(intent: Intent, now: number): Observation {
  return { observedAt: now, slotMs: intent.mesh.forecast.slotMs, lastSlotEndAt: now, demands: [], paths: [], tunnels: [], nodes: [] };
}
