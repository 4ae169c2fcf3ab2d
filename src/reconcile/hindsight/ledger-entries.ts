import { roundTo } from '../../base/index.ts';
import type { Change, ChangeScore, Changeset, ClassId, DemandSeries, Forecast, Intent, LiveTrailers, PairId, PathId, Plan, ScoredKind } from '../../model/index.ts';
import { demandName } from './loads.ts';
import { affectedDemands, FLOOR_MBPS, meantToPrevent, type ChangeCase, type Looks } from './score-change.ts';

/** One change that a forecast asked for, and what became of it. */
export interface LedgerEntry {
  commit: string;
  generation: number;
  decision: 'auto' | 'reviewed';
  /** When it was committed. */
  at: number;
  kind: ScoredKind;
  fingerprint: string;
  /** `+ tunnel berlin-gw1/fibre~paris-gw1/dsl (strong)`. */
  summary: string;
  pair: PairId | null;
  classId: ClassId | null;
  path: PathId | null;
  /** What was expected of the demands it is for, together, in the slot in which P95 is highest; null when the inputs are lost or nothing rides on it. */
  forecast: { model: string; p50Mbps: number; p95Mbps: number; peakAt: number } | null;
  /** What it was meant to prevent, in words. */
  meant: string;
  /** When it can be judged. */
  dueAt: number;
  looks: { before: Looks; after: Looks };
  /** The ways that looks are about, by class: those of the plan before and those since. */
  ways: { classId: ClassId; before: PathId[][]; after: PathId[][] }[];
  addedAgainAt: number | null;
  takenBackAt: number | null;
  /** Null until it is judged. */
  score: ChangeScore | null;
  reason: string;
  scoredAt: number | null;
}

/** A commit that a forecast caused, with what it was made of. */
export interface ForecastCommit {
  sha: string;
  at: number;
  trailers: LiveTrailers;
  intent: Intent;
  before: Plan;
  after: Plan;
  changeset: Changeset;
  /** Null when the inputs are not recorded here any more. */
  forecast: Forecast | null;
}

/** Changes of one commit that are judged; more are one decision, and would outweigh all others. */
const ENTRIES_MAX = 50;
const WAYS_MAX = 8;
/** Slots after the horizon until the last samples are in. */
const GRACE_SLOTS = 2;
/** A removed tunnel is watched for so many horizons: to be needed again a little later is the usual regret. */
const REMOVAL_HORIZONS = 4;

/** True for what the engine did because of a forecast, alone or with a person's consent. */
export function isForecastDriven({ decision, cause }: LiveTrailers): boolean {
  return (decision === 'auto' || decision === 'reviewed') && /^(?:forecast|idle)\b/.test(cause);
}

/**
 * One entry a change that the forecast itself asked for. Not entered is what only comes along: reserves and backups, serving
 * nodes, admissions, and ways of classes of which nothing is expected.
 */
export function entriesOf(commit: ForecastCommit): LedgerEntry[] {
  const entries = commit.changeset.changes.flatMap((change): LedgerEntry[] => {
    const kind = scoredKindOf(change);
    if (!kind) return [];
    const subject: ChangeCase = { kind, key: change.key, intent: commit.intent, before: commit.before, after: commit.after };
    const affected = affectedDemands(subject);
    const forecast = commit.forecast && peakOf(commit.forecast, affected);
    const isExpected = kind === 'tunnel-remove' || commit.forecast === null || (forecast?.p95Mbps ?? 0) > FLOOR_MBPS;
    return affected.length > 0 && isExpected ? [entryOf(commit, change, subject, affected, forecast)] : [];
  });
  return entries.slice(0, ENTRIES_MAX);
}

export function scoredKindOf({ key }: Pick<Change, 'key'>): ScoredKind | null {
  if (key.kind === 'tunnel-add' || key.kind === 'tunnel-remove') return key.kind;
  if (key.kind !== 'reroute' || key.paths.some((way) => way.length === 0)) return null;
  return key.paths.length > 1 ? 'split' : 'reroute';
}

export function caseOf({ intent, before, after, changeset }: Pick<ForecastCommit, 'intent' | 'before' | 'after' | 'changeset'>, fingerprint: string): ChangeCase | null {
  const change = changeset.changes.find((each) => each.fingerprint === fingerprint);
  const kind = change && scoredKindOf(change);
  return change && kind ? { kind, key: change.key, intent, before, after } : null;
}

function entryOf(commit: ForecastCommit, change: Change, subject: ChangeCase, affected: readonly string[], forecast: LedgerEntry['forecast']): LedgerEntry {
  const { trailers } = commit;
  const { kind } = subject;
  const { slotMs, horizonSlots } = commit.intent.mesh.forecast;
  const horizons = kind === 'tunnel-remove' ? REMOVAL_HORIZONS : 1;
  return {
    commit: commit.sha,
    generation: trailers.generation,
    decision: trailers.decision === 'reviewed' ? 'reviewed' : 'auto',
    at: commit.at,
    kind,
    fingerprint: change.fingerprint,
    summary: change.summary,
    pair: change.pair,
    classId: change.classId,
    path: change.key.kind === 'tunnel-add' || change.key.kind === 'tunnel-remove' ? change.key.path : null,
    forecast,
    meant: commit.forecast ? meantToPrevent(subject, seriesOf(commit.forecast, 'p95'), commit.forecast.demands[0]?.slots[0]?.startAt ?? commit.at, slotMs) : 'not known: its inputs are not recorded here',
    dueAt: commit.at + (horizons * horizonSlots + GRACE_SLOTS) * slotMs,
    looks: { before: { count: 0, bad: 0 }, after: { count: 0, bad: 0 } },
    ways: waysOf(subject, affected),
    addedAgainAt: null,
    takenBackAt: null,
    score: null,
    reason: '',
    scoredAt: null,
  };
}

function seriesOf(forecast: Forecast, quantile: 'p50' | 'p95'): DemandSeries[] {
  return forecast.demands.map(({ from, to, classId, slots }) => ({ from, to, classId, mbps: slots.map((slot) => slot[quantile]) }));
}

function peakOf(forecast: Forecast, affected: readonly string[]): LedgerEntry['forecast'] {
  const own = forecast.demands.filter((demand) => affected.includes(demandName(demand)));
  const sumAt = (index: number, quantile: 'p50' | 'p95'): number => own.reduce((sum, { slots }) => sum + (slots[index]?.[quantile] ?? 0), 0);
  const slots = own[0]?.slots ?? [];
  if (slots.length === 0) return null;
  const peak = slots.reduce((best, _slot, index) => (sumAt(index, 'p95') > sumAt(best, 'p95') ? index : best), 0);
  return { model: forecast.model, p50Mbps: roundTo(sumAt(peak, 'p50'), 3), p95Mbps: roundTo(sumAt(peak, 'p95'), 3), peakAt: slots[peak]!.startAt };
}

function waysOf({ before, after }: ChangeCase, affected: readonly string[]): LedgerEntry['ways'] {
  const pathsIn = (plan: Plan, demand: string): PathId[][] => {
    const paths = new Map(plan.tunnels.map(({ id, path }) => [id, path]));
    const routes = plan.assignments.find((assignment) => demandName(assignment) === demand)?.routes ?? [];
    return routes.map(({ tunnels }) => tunnels.flatMap((id) => paths.get(id) ?? []));
  };
  return affected.slice(0, WAYS_MAX).flatMap((demand) => {
    const classId = demand.split('#')[1] as ClassId;
    return [{ classId, before: pathsIn(before, demand), after: pathsIn(after, demand) }];
  });
}
