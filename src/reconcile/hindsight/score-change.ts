import { formatMbps } from '../../base/index.ts';
import { sitesOfPair, type Assignment, type ChangeKey, type ChangeScore, type DemandSeries, type Intent, type Plan, type ScoredKind } from '../../model/index.ts';
import { demandName, loadModel, loadsOf, type LoadModel } from './loads.ts';

/** One change with the plan it was made to and the plan it led to; both are judged under the intent of its commit. */
export interface ChangeCase {
  kind: ScoredKind;
  key: ChangeKey;
  intent: Intent;
  before: Plan;
  after: Plan;
}

/** How often a way was looked at while the change was watched, and how often it broke the bounds of its class or was down. */
export interface Looks {
  count: number;
  bad: number;
}

/** What came after a change. */
export interface Observed {
  /** Start of the first slot of `demands`, epoch ms. */
  startAt: number;
  slotMs: number;
  /** What hosts offered, a value a slot; null where nobody reported. */
  demands: readonly DemandSeries[];
  /** Of the ways that the change's demands had before, and have since. */
  looks: { before: Looks; after: Looks };
  /** When a person took it back; null when nobody did. */
  takenBackAt: number | null;
  /** When the plan had a removed tunnel again. */
  addedAgainAt: number | null;
}

export interface Score {
  score: ChangeScore;
  /** One sentence. */
  reason: string;
}

/** Less than this is no demand, as for the planner. */
export const FLOOR_MBPS = 0.05;
/** Averages of a slot this far above a limit count as over it: what is nearer is rounding and the planner's own rest. */
const OVER_RATIO = 1.01;
/** Slots of the change's demands that must be known before silence says anything. */
const KNOWN_MIN = 0.8;
/** Looks that say anything, and the share of bad ones that is one too many. */
const LOOKS_MIN = 5;
const BAD_SHARE = 0.1;

/**
 * Was the change right? Answered from what was offered since, by putting it on the plan before and on the plan after:
 * `needed`: without it some uplink or gateway that its demands use would have been over its limit, a demand would have had
 * no way, or its old way broke the bounds of its class; a removed tunnel: nobody missed it. `harmful`: the same the other way round, or
 * a person took it back, or a removed tunnel was planned again. `not-needed`: nothing of either. `unknown`: too little is
 * known. Decides in the order taken back, planned again, load, quality, what is known. Pure; order of demands is nothing to it.
 */
export function scoreChange(change: ChangeCase, observed: Observed): Score {
  const isRemoval = change.kind === 'tunnel-remove';
  if (observed.takenBackAt !== null) return { score: 'harmful', reason: `a person took it back (${time(observed.takenBackAt)})` };
  if (isRemoval && observed.addedAgainAt !== null) return { score: 'harmful', reason: `the tunnel was planned again (${time(observed.addedAgainAt)})` };
  const affected = affectedDemands(change);
  if (affected.length === 0) {
    return isRemoval
      ? { score: 'needed', reason: 'no demand was routed over it, and it was not planned again' }
      : { score: 'unknown', reason: 'no demand was routed over it: a reserve is not judged by whether it was used' };
  }
  const replay = replayOn(change, affected, observed);
  const [before, after] = [replay.before, replay.after];
  if (before.excess > after.excess + 1e-6) return { score: 'needed', reason: `without it ${before.worst}${after.excess > 0 ? `; with it ${after.worst}` : ''}` };
  if (after.excess > before.excess + 1e-6) return { score: 'harmful', reason: `since then ${after.worst}${before.excess > 0 ? `; without it ${before.worst}` : ', which it would not have been without it'}` };
  const byQuality = scoreLooks(observed.looks);
  if (byQuality) return byQuality;
  if (replay.knownShare < KNOWN_MIN) return { score: 'unknown', reason: `only ${percent(replay.knownShare)} of what its demands offered is known` };
  if (isRemoval) return { score: 'needed', reason: `nobody missed it: ${replay.busiestAfter}` };
  return { score: 'not-needed', reason: before.excess > 0 ? `with it and without it ${before.worst}` : `without it nothing would have been over a limit: ${replay.busiestBefore}` };
}

/** What a forecast expected of the plan before: what the change was meant to prevent, in words. @param demands of one quantile, from `startAt` on */
export function meantToPrevent(change: ChangeCase, demands: readonly DemandSeries[], startAt: number, slotMs: number): string {
  if (change.kind === 'tunnel-remove') return 'a tunnel that nobody needs';
  const affected = affectedDemands(change);
  if (affected.length === 0) return 'having no reserve';
  const { before } = replayOn(change, affected, { demands, startAt, slotMs });
  return before.excess > 0 ? before.worst! : 'nothing over a limit: a cheaper, shorter or better way';
}

/** Demands, both directions, that the change gives another way or that ride on its tunnel; by name, sorted. */
export function affectedDemands({ kind, key, before, after }: Pick<ChangeCase, 'kind' | 'key' | 'before' | 'after'>): string[] {
  if (key.kind === 'reroute') {
    const sites: readonly string[] = sitesOfPair(key.pair);
    const own = [...before.assignments, ...after.assignments].filter(({ from, to, classId }) => classId === key.classId && sites.includes(from) && sites.includes(to));
    return [...new Set(own.map(demandName))].sort();
  }
  if (key.kind !== 'tunnel-add' && key.kind !== 'tunnel-remove') return [];
  const plan = kind === 'tunnel-remove' ? before : after;
  const tunnels = new Set(plan.tunnels.filter(({ path, securityProfile }) => path === key.path && securityProfile === key.securityProfile).map(({ id }) => id));
  const rides = ({ routes }: Assignment): boolean => routes.some(({ tunnels: way }) => way.some((id) => tunnels.has(id)));
  return plan.assignments.filter(rides).map(demandName).sort();
}

interface Side {
  /** What found no room: Mbit/s above limits and of demands without a way, summed over slots. */
  excess: number;
  /** The worst of it, in words; null when there is none. */
  worst: string | null;
}

interface Replay {
  before: Side;
  after: Side;
  knownShare: number;
  busiestBefore: string;
  busiestAfter: string;
}

function replayOn(change: ChangeCase, affected: readonly string[], { demands, startAt, slotMs }: Pick<Observed, 'demands' | 'startAt' | 'slotMs'>): Replay {
  const models = { before: loadModel(change.intent, change.before), after: loadModel(change.intent, change.after) };
  const watched = new Set([models.before, models.after].flatMap(({ uses }) => affected.flatMap((demand) => (uses.get(demand) ?? []).map(({ resource }) => resource))));
  const series = new Map(demands.map((demand) => [demandName(demand), demand.mbps]));
  const slots = Math.max(0, ...demands.map(({ mbps }) => mbps.length));
  const sides = { before: new SideSum(models.before, watched, affected), after: new SideSum(models.after, watched, affected) };
  let known = 0;
  for (let slot = 0; slot < slots; slot++) {
    const mbpsOf = (demand: string): number => series.get(demand)?.[slot] ?? 0;
    known += affected.filter((demand) => (series.get(demand)?.[slot] ?? null) !== null).length;
    for (const side of [sides.before, sides.after]) side.add(mbpsOf, startAt + slot * slotMs);
  }
  const cells = slots * affected.length;
  return { before: sides.before.result(), after: sides.after.result(), knownShare: cells > 0 ? known / cells : 0, busiestBefore: sides.before.busiest(), busiestAfter: sides.after.busiest() };
}

/** Adds up what one plan would have made of each slot, on the resources that matter to the change. */
class SideSum {
  readonly #model: LoadModel;
  readonly #watched: ReadonlySet<number>;
  readonly #affected: readonly string[];
  #excess = 0;
  #worst = { mbps: 0, text: '' };
  #busiest = { ratio: 0, text: 'nothing was offered' };

  constructor(model: LoadModel, watched: ReadonlySet<number>, affected: readonly string[]) {
    this.#model = model;
    this.#watched = watched;
    this.#affected = affected;
  }

  add(mbpsOf: (demand: string) => number, at: number): void {
    const { names, limitsMbps, uses } = this.#model;
    const loads = loadsOf(this.#model, mbpsOf);
    for (const resource of this.#watched) {
      const [load, limit] = [loads[resource]!, limitsMbps[resource]!];
      const ratio = limit > 0 ? load / limit : load > 0 ? Infinity : 0;
      if (ratio > this.#busiest.ratio) this.#busiest = { ratio, text: `${names[resource]!} reached ${percent(ratio)} of its limit (${time(at)})` };
      if (ratio > OVER_RATIO) this.#note(load - limit, `${names[resource]!} would have been at ${percent(ratio)} of its limit of ${formatMbps(limit)} (${time(at)})`);
    }
    for (const demand of this.#affected) {
      const mbps = mbpsOf(demand);
      if (mbps > FLOOR_MBPS && !uses.get(demand)?.length) this.#note(mbps, `${words(demand)} would have had no way for ${formatMbps(mbps)} (${time(at)})`);
    }
  }

  result(): Side {
    return { excess: this.#excess, worst: this.#excess > 0 ? this.#worst.text : null };
  }

  busiest(): string {
    return this.#busiest.text;
  }

  #note(mbps: number, text: string): void {
    this.#excess += mbps;
    if (mbps > this.#worst.mbps) this.#worst = { mbps, text };
  }
}

function scoreLooks({ before, after }: Observed['looks']): Score | null {
  if (before.count < LOOKS_MIN || after.count < LOOKS_MIN) return null;
  const [was, is] = [before.bad / before.count, after.bad / after.count];
  if (was > is + BAD_SHARE) return { score: 'needed', reason: `the way before was down or beyond the bounds of its class in ${percent(was)} of the time, the new one in ${percent(is)}` };
  if (is > was + BAD_SHARE) return { score: 'harmful', reason: `the new way was down or beyond the bounds of its class in ${percent(is)} of the time, the one before in ${percent(was)}` };
  return null;
}


function words(demand: string): string {
  return demand.replace('#', ' ');
}

function percent(ratio: number): string {
  return Number.isFinite(ratio) ? `${Math.round(ratio * 100)} %` : 'more than 100 %';
}

function time(at: number): string {
  return `${new Date(at).toISOString().slice(0, 16).replace('T', ' ')} UTC`;
}
