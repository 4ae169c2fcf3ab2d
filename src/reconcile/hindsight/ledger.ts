import { join } from 'node:path';
import { messageOf } from '../../base/index.ts';
import type { CommitInfo } from '../../git/index.ts';
import type { DemandSeries, ForecastRegret, ForecastSettings, Intent, Observation, Plan } from '../../model/index.ts';
import type { ObserveQuery } from '../../telemetry/index.ts';
import { demandPairs } from '../demand-pairs.ts';
import type { EngineDeps } from '../deps.ts';
import { readTreePlan } from '../live-plan.ts';
import type { MainReader } from '../main-state.ts';
import { recordKey, type RecordStore } from '../records.ts';
import type { TrustKeeper } from '../trust/trust-keeper.ts';
import { caseOf, entriesOf, isForecastDriven, type ForecastCommit, type LedgerEntry } from './ledger-entries.ts';
import { lookAt, qualitiesAt } from './ledger-looks.ts';
import { regretOf } from './regret.ts';
import { scoreChange, type Score } from './score-change.ts';
import { loadState, saveState } from './state-file.ts';

/** What a cycle knows when the ledger is brought up to date. */
export interface LedgerRound {
  /** First-parent history of mesh/live, newest first, and the plan at its tip. */
  commits: readonly CommitInfo[];
  plan: Plan;
  intent: Intent;
  observation: Observation;
  now: number;
}

export interface Ledger {
  /** Takes in new commits, looks at what is watched, judges what is due. */
  update(round: LedgerRound): Promise<void>;
  /** Newest first. */
  entries(): readonly LedgerEntry[];
  regret(now: number): ForecastRegret;
  save(isLast: boolean): Promise<void>;
}

interface LedgerState {
  schema: 'foremesh/regret/v1';
  /** Newest commit of mesh/live that was taken in. */
  lastCommit: string | null;
  entries: LedgerEntry[];
}

const DAY_MS = 86_400_000;
/** A ledger that begins anew goes back so far, and a kept one is so long. */
const LOOK_BACK_MS = 30 * DAY_MS;
const KEPT_MS = 366 * DAY_MS;
const ENTRIES_MAX = 5000;
/** A person may think about it for a week: what is taken back until then was harmful, whatever the figures said. */
const TAKEN_BACK_MS = 7 * DAY_MS;
/** As much past as telemetry is asked for at a time. */
const SLOTS_MAX = 4032;
const SAVE_EVERY_MS = 60_000;

type LedgerDeps = Pick<EngineDeps, 'repository' | 'planning' | 'signer' | 'store' | 'stateDir' | 'clock' | 'log'>;

/**
 * The regret ledger. Rebuildable: what was changed, when and why is read from the commits of mesh/live, what came of it
 * from telemetry; `regret.json.gz` keeps the scores, since telemetry does not last for ever.
 */
export function createLedger(deps: LedgerDeps, records: RecordStore, mainReader: Pick<MainReader, 'intentAt'>, trust: Pick<TrustKeeper, 'learnable'>): Ledger {
  const file = join(deps.stateDir, 'regret.json.gz');
  let state: LedgerState = { schema: 'foremesh/regret/v1', lastCommit: null, entries: [] };
  let isLoaded = false;
  /** `looks` can wait to be written, an entry or a score cannot. */
  let changed: 'no' | 'looks' | 'entries' = 'no';
  let savedAtMs = deps.clock.monotonicMs();

  async function update(round: LedgerRound): Promise<void> {
    if (!isLoaded) state = (await loadState<LedgerState>(file, 'foremesh/regret/v1', deps.log)) ?? state;
    isLoaded = true;
    await takeIn(round);
    watch(round);
    await judge(round);
  }

  async function takeIn({ commits, now }: LedgerRound): Promise<void> {
    const tip = commits[0]?.sha;
    if (tip === undefined || tip === state.lastCommit) return;
    const known = commits.findIndex(({ sha }) => sha === state.lastCommit);
    const fresh = (known < 0 ? commits : commits.slice(0, known)).filter(({ at }) => at > now - LOOK_BACK_MS);
    for (const commit of fresh.toReversed()) {
      if (!commit.trailers || !isForecastDriven(commit.trailers) || state.entries.some((entry) => entry.commit === commit.sha)) continue;
      const read = await readCommit(commit);
      if (read) state.entries.push(...entriesOf(read));
    }
    state.lastCommit = tip;
    state.entries = state.entries.filter(({ at }) => at > now - KEPT_MS).slice(-ENTRIES_MAX);
    changed = 'entries';
  }

  /** Null for what is not the engine's own commit, and for what cannot be read any more. */
  async function readCommit({ sha, at, trailers }: Pick<CommitInfo, 'sha' | 'at' | 'trailers'>): Promise<ForecastCommit | null> {
    if (!trailers || trailers.parent === 'none') return null;
    const signature = await deps.repository.verify(sha, deps.signer.signersFile);
    const intent = await mainReader.intentAt(trailers.intent);
    if (signature?.signer !== deps.signer.identity || intent === null) return null;
    const [before, after, record] = await Promise.all([readTreePlan(deps, trailers.parent), readTreePlan(deps, sha), records.load(recordKey(trailers))]);
    const forecast = record?.kind === 'decision' ? record.inputs.forecast : null;
    return { sha, at, trailers, intent, before: before.plan, after: after.plan, forecast, changeset: deps.planning.diff(intent, before.plan, after.plan, forecast) };
  }

  function watch({ plan, intent, observation, now }: LedgerRound): void {
    const paths = new Map(observation.paths.map((quality) => [quality.path, quality]));
    const planned = new Set(plan.tunnels.map(({ path }) => path));
    for (const entry of state.entries) {
      if (now - entry.at > TAKEN_BACK_MS) continue;
      if (entry.takenBackAt === null && isTakenBack(entry, plan, intent)) {
        entry.takenBackAt = now;
        if (entry.score !== null) Object.assign(entry, { score: 'harmful', reason: 'a person took it back', scoredAt: now });
        changed = 'entries';
      }
      if (entry.score !== null) continue;
      if (entry.kind === 'tunnel-remove' && entry.path !== null && planned.has(entry.path)) entry.addedAgainAt ??= now;
      entry.looks = lookAt(entry, paths, intent, now);
      if (changed === 'no') changed = 'looks';
    }
  }

  /** A revert leaves a veto with the fingerprint of what it took back; only the newest change with it can be meant. */
  function isTakenBack(entry: LedgerEntry, { vetoes }: Plan, intent: Intent): boolean {
    if (!vetoes.some(({ fingerprint }) => fingerprint === entry.fingerprint)) return false;
    const newest = state.entries.findLast(({ fingerprint }) => fingerprint === entry.fingerprint);
    return newest === entry && vetoes.some((veto) => veto.fingerprint === entry.fingerprint && (veto.commit === entry.commit || veto.until - intent.mesh.vetoMs > entry.at));
  }

  async function judge(round: LedgerRound): Promise<void> {
    const due = state.entries.filter(({ score, dueAt, takenBackAt }) => score === null && (takenBackAt !== null || round.now >= dueAt));
    const byCommit = new Map<string, LedgerEntry[]>();
    for (const entry of due) byCommit.set(entry.commit, [...(byCommit.get(entry.commit) ?? []), entry]);
    for (const [sha, entries] of byCommit) {
      const commit = await readAgain(sha, round.commits);
      for (const entry of entries) Object.assign(entry, await scoreOf(entry, commit, round), { scoredAt: round.now });
      changed = 'entries';
      deps.log.info({ commit: sha, scores: entries.map(({ summary, score, reason }) => ({ summary, score, reason })) }, 'forecast-driven changes were judged');
    }
  }

  async function readAgain(sha: string, commits: readonly CommitInfo[]): Promise<ForecastCommit | null> {
    const info = commits.find((commit) => commit.sha === sha);
    try {
      return info ? await readCommit(info) : null;
    } catch (error) {
      deps.log.warn({ commit: sha, error: messageOf(error) }, 'a commit cannot be read any more');
      return null;
    }
  }

  async function scoreOf(entry: LedgerEntry, commit: ForecastCommit | null, round: LedgerRound): Promise<Score> {
    const change = commit && caseOf(commit, entry.fingerprint);
    if (!commit || !change) return { score: 'unknown', reason: 'its commit cannot be read any more' };
    const settings = commit.intent.mesh.forecast;
    const startAt = Math.ceil(entry.at / settings.slotMs) * settings.slotMs;
    const slots = Math.round((entry.dueAt - entry.at) / settings.slotMs) - 1;
    const demands = await offered(round, commit.intent, settings, startAt, slots);
    if (demands === null) return { score: 'unknown', reason: 'telemetry does not reach back so far' };
    return scoreChange(change, { startAt, slotMs: settings.slotMs, demands, looks: await looksOf(entry, round, settings.slotMs, startAt, slots), takenBackAt: entry.takenBackAt, addedAgainAt: entry.addedAgainAt });
  }

  /** The looks that cycles took; after a restart or in a ledger that began anew those that telemetry still tells, one a slot. */
  async function looksOf(entry: LedgerEntry, { intent, now }: LedgerRound, slotMs: number, startAt: number, slots: number): Promise<LedgerEntry['looks']> {
    const wanted = Math.floor(now / slotMs) - Math.floor(startAt / slotMs);
    if (entry.looks.after.count >= slots || wanted < 1 || wanted > SLOTS_MAX) return entry.looks;
    const series = await deps.store.pathHistory({ now, slotMs, slots: wanted });
    let looks: LedgerEntry['looks'] = { before: { count: 0, bad: 0 }, after: { count: 0, bad: 0 } };
    for (let slot = 0; slot < Math.min(slots, wanted); slot++) looks = lookAt({ ...entry, looks }, qualitiesAt(series, slot, startAt + (slot + 1) * slotMs), intent, startAt + (slot + 1) * slotMs);
    return looks.after.count > entry.looks.after.count ? looks : entry.looks;
  }

  /** What was offered in so many slots from `startAt` on, as far as it has come; null when that is too long ago. */
  async function offered({ observation, now }: LedgerRound, intent: Intent, { slotMs }: ForecastSettings, startAt: number, slots: number): Promise<DemandSeries[] | null> {
    const back = (end: number): number => Math.round((end - startAt) / slotMs);
    const reach = observation.slotMs === slotMs ? Math.max(0, ...observation.demands.map(({ mbps }) => mbps.length)) : 0;
    const isCovered = reach >= back(observation.lastSlotEndAt);
    const wanted = Math.floor(now / slotMs) - Math.floor(startAt / slotMs);
    if (wanted < 1) return [];
    if (!isCovered && wanted > SLOTS_MAX) return null;
    const seen = isCovered ? observation : await believableAt({ now, slotMs, slots: wanted, pairs: demandPairs(intent) }, intent);
    const from = back(seen.lastSlotEndAt);
    return seen.demands.map((demand) => ({ from: demand.from, to: demand.to, classId: demand.classId, mbps: demand.mbps.slice(demand.mbps.length - from).slice(0, slots) }));
  }

  async function believableAt(query: ObserveQuery, intent: Intent): Promise<Observation> {
    const seen = await deps.store.observe(query, []);
    return { ...seen, demands: await trust.learnable(seen.demands, seen.lastSlotEndAt, seen.slotMs, intent) };
  }

  return {
    update,
    entries: () => state.entries.toReversed(),
    regret: (now) => regretOf(state.entries, now),
    async save(isLast) {
      const isDue = changed === 'entries' || (changed === 'looks' && (isLast || deps.clock.monotonicMs() >= savedAtMs + SAVE_EVERY_MS));
      if (!isDue) return;
      savedAtMs = deps.clock.monotonicMs();
      await saveState(file, state);
      changed = 'no';
    },
  };
}
