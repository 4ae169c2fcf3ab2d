import { join } from 'node:path';
import { messageOf } from '../../base/index.ts';
import { nodesOf, type DemandBound, type DemandSeries, type Forecast, type Intent, type NodeId, type Observation, type PathEnd, type Plan, type Quarantine, type ReportDoubt, type SiteId, type UnknownDemand, type UntrustedSpan } from '../../model/index.ts';
import {
  againTrust,
  boundObservation,
  capacityOf,
  countedWindows,
  driftsOf,
  joinTopologies,
  judgeWindow,
  nextTrust,
  NO_TRUST_STATE,
  quarantinesOf,
  topologyOf,
  topologyText,
  withDrift,
  withGeography,
  withoutImpossible,
  withoutUnknown,
  withoutUntrusted,
  withUnheard,
  type ImpossiblePath,
  type Topology,
  type TrustEvent,
  type TrustState,
} from '../../telemetry/index.ts';
import type { EngineDeps } from '../deps.ts';
import { loadState, saveState } from '../hindsight/state-file.ts';

/** Whose reports are believed, for people. */
export interface TrustView {
  quarantines: Quarantine[];
  /** Sites whose models learn nothing now. */
  frozenSites: SiteId[];
  /** Pairs whose demand was cut in the newest judged window. */
  bounded: Omit<DemandBound, 'startAt'>[];
  /** Paths whose round trip light could not make. */
  impossiblePaths: ImpossiblePath[];
  /** What single gateways report that cannot be, and whose clocks are wrong. */
  doubts: ReportDoubt[];
  /** Newest last. */
  events: TrustEvent[];
}

/** Holds what gateways report against each other, and keeps what cannot be right from forecasts, plans and training. Nothing in here fails a cycle. */
export interface TrustKeeper {
  /** Judges the windows that are complete since it was last asked. */
  review(intent: Intent, plan: Plan | null, now: number): Promise<void>;
  /** The observation as far as it can be right. */
  believable(observation: Observation, intent: Intent): Observation;
  /** The past as far as it may be learned from. */
  learnable(series: readonly DemandSeries[], endAt: number, slotMs: number, intent: Intent): Promise<DemandSeries[]>;
  /** The forecast, where a site's reports are not believed no more than about the most that was confirmed within a day. */
  cautious(forecast: Forecast, observation: Observation, intent: Intent): Forecast;
  view(): TrustView;
}

/** A window has this many samples at least, so that beats of two ends do not matter. */
const SAMPLES_PER_WINDOW = 3;
/** Windows looked at again each time: samples may come late. */
const WINDOWS_AGAIN = 24;
/** What comes later than that is looked at once an hour of quarters, and later than this not at all: it is not believed. */
const WINDOWS_LATE = 96;
const LATE_EVERY_WINDOWS = 4;
/** Uplinks carry no such multiple of what the intent says that they do; less may wait for them. */
const CAPACITIES_MAX = 4.01;
/** Of the most that was confirmed within a day: what a forecast may say of a site that is not believed. */
const CONFIRMED_SHARE_MAX = 1.25;
const DRIFT_DAYS = 60;
/** In a compressed day of fewer windows chance is larger than what drifts. */
const WINDOWS_PER_DAY_MIN = 24;
const EVENTS_MAX = 50;
const SCHEMA = 'foremesh/trust/v1';

interface KnownTopology {
  text: string;
  topology: Topology;
  /** Holds alone from this window on. */
  sinceWindow: number;
  /** Holds before it; null at a start, when nobody knows what was before. */
  meanwhile: Topology | null;
}

export function createTrustKeeper(deps: Pick<EngineDeps, 'stateDir' | 'store' | 'clock' | 'log'>): TrustKeeper {
  const file = join(deps.stateDir, 'trust.json.gz');
  let state: TrustState = NO_TRUST_STATE;
  let isLoaded = false;
  let windowMs = 0;
  let newestWindow = -Infinity;
  let driftDay = -Infinity;
  /** Newest last. */
  let topologies: KnownTopology[] = [];
  let bounds = new Map<number, DemandBound[]>();
  let unknown = new Map<number, UnknownDemand[]>();
  /** Since when samples of a site came so late that nobody has looked at them yet: first windows, by site. */
  const late = new Map<SiteId, number>();
  let lateLookedAt = -Infinity;
  let distrustedBefore = '';
  let impossiblePaths: ImpossiblePath[] = [];
  let events: TrustEvent[] = [];

  async function load(): Promise<void> {
    if (isLoaded) return;
    isLoaded = true;
    state = (await loadState<TrustState>(file, SCHEMA, deps.log)) ?? NO_TRUST_STATE;
  }

  async function review(intent: Intent, plan: Plan | null, now: number): Promise<void> {
    await load();
    const { slotMs, slotsPerDay } = intent.mesh.forecast;
    const length = slotMs * Math.max(1, Math.ceil((SAMPLES_PER_WINDOW * intent.mesh.telemetry.sampleIntervalMs) / slotMs));
    if (length !== windowMs) [windowMs, bounds, unknown, topologies, newestWindow] = [length, new Map(), new Map(), [], -Infinity];
    const last = Math.floor(now / windowMs) - 1;
    if (plan === null || last <= newestWindow) return;
    const before = state;
    const wasNewest = newestWindow;
    newestWindow = last;
    noteTopology(intent, plan, last);
    await judge(firstOpenWindow(intent, wasNewest), last);
    if (late.size > 0 && last >= lateLookedAt + LATE_EVERY_WINDOWS) await judgeLate(last);
    const { topology } = topologies.at(-1)!;
    if (Math.floor(now / (slotMs * slotsPerDay)) > driftDay && slotMs * slotsPerDay >= WINDOWS_PER_DAY_MIN * windowMs) await lookForDrift(topology, slotMs * slotsPerDay, now);
    forgetOld(last, slotsPerDay * slotMs);
    if (state !== before) await saveState(file, state);
  }

  /** A new plan is judged by its own tunnels once every node has had a window to follow it, and until then by both. */
  function noteTopology(intent: Intent, plan: Plan, last: number): void {
    const topology = topologyOf(intent, plan);
    const text = topologyText(topology);
    const known = topologies.at(-1);
    if (known?.text === text) return;
    const saved = state.topology;
    // the plan that was in force before this start still is
    const isSaved = known === undefined && saved?.text === text && saved.windowMs === windowMs;
    const sinceWindow = isSaved ? saved.sinceWindow : last + 2;
    const before = known && (last <= known.sinceWindow && known.meanwhile ? joinTopologies(known.meanwhile, known.topology) : known.topology);
    topologies.push({ text, topology, sinceWindow, meanwhile: before ? joinTopologies(before, topology) : null });
    state = { ...state, topology: { text, windowMs, sinceWindow } };
  }

  /** By which tunnels a window is judged; null when nobody knows any more. The window in which a plan changed and the one before it, which waited for its neighbour, belong to both. */
  function topologyAt(window: number): Topology | null {
    for (const { topology, sinceWindow, meanwhile } of topologies.toReversed()) {
      if (window >= sinceWindow) return topology;
      if (window >= sinceWindow - 3 && meanwhile) return meanwhile;
    }
    return null;
  }

  /**
   * Windows from this one on are judged: those that are new, with what waited for its neighbour, and those of which more came since. All of the last ones
   * after a start, and when it has changed whose word counts. What comes even later is not believed before somebody has looked at it.
   */
  function firstOpenWindow(intent: Intent, wasNewest: number): number {
    const news = deps.store.takeOldestNews();
    const distrustedNow = distrustedNodes();
    const isChanged = distrustedNow !== distrustedBefore;
    distrustedBefore = distrustedNow;
    if (wasNewest === -Infinity) return newestWindow - WINDOWS_LATE + 1;
    const again = newestWindow - WINDOWS_AGAIN + 1;
    const siteOf = new Map(nodesOf(intent).map(({ id, site }) => [id, site]));
    let first = isChanged ? again : Math.max(again, wasNewest - 1);
    for (const [node, fromAt] of news) {
      const site = siteOf.get(node);
      const window = Math.floor(fromAt / windowMs);
      if (site === undefined) continue;
      if (window < again) late.set(site, Math.min(window, late.get(site) ?? Infinity));
      first = Math.min(first, Math.max(again, window - 1));
    }
    return first;
  }

  const distrustedNodes = (): string => quarantinesOf(state).map(({ node }) => node).join(' ');

  async function judgeLate(last: number): Promise<void> {
    lateLookedAt = last;
    const oldest = last - WINDOWS_LATE + 1;
    for (const [site, window] of late) {
      if (window >= oldest) continue;
      const why = `what ${site} reported came more than ${WINDOWS_LATE} windows late: nobody can hold it against anything`;
      state = withUnheard(state, site, window * windowMs, oldest * windowMs, why);
    }
    const from = Math.max(oldest, Math.min(...late.values()));
    late.clear();
    await judge(from, last - WINDOWS_AGAIN);
  }

  async function judge(first: number, last: number): Promise<void> {
    let from = first;
    while (from <= last && topologyAt(from) === null) from += 1;
    if (from > last) return;
    const counted = countedWindows(await deps.store.evidence({ windowMs, fromWindow: from - 1, untilWindow: last + 2 }));
    const ends = new Map<string, PathEnd>(deps.store.pathEnds(deps.clock.now()).flatMap(({ tunnel, ends: both }) => both.map((end) => [`${tunnel} ${end.node}`, end] as const)));
    for (let window = from; window <= last; window++) {
      const topology = topologyAt(window);
      if (topology === null) continue;
      const distrusted = new Set<NodeId>(quarantinesOf(state).map(({ node }) => node));
      const judgement = judgeWindow({
        window,
        counted,
        topology,
        distrusted,
        lossAt: (tunnel, node) => ends.get(`${tunnel} ${node}`)?.lossReverseRatio ?? 0,
        isAlive: (tunnel, node) => !['down', 'unknown'].includes(ends.get(`${tunnel} ${node}`)?.state ?? 'unknown'),
      });
      bounds.set(window, judgement.bounds);
      unknown.set(window, judgement.unknown);
      // the newest window is cut at once, and counts once its neighbour is there
      if (judgement.endAt <= state.judgedUntilAt) state = againTrust(state, judgement);
      else if (window < newestWindow) tell(nextTrust(state, judgement));
    }
  }

  async function lookForDrift(topology: Topology, dayMs: number, now: number): Promise<void> {
    driftDay = Math.floor(now / dayMs);
    const evidence = await deps.store.evidence({ windowMs: dayMs, fromWindow: driftDay - DRIFT_DAYS, untilWindow: driftDay });
    const drifts = driftsOf(evidence, topology);
    if (drifts.length > 0) tell(withDrift(state, drifts, now));
  }

  function tell(next: { state: TrustState; events: TrustEvent[] }): void {
    state = next.state;
    events = [...events, ...next.events].slice(-EVENTS_MAX);
    for (const { node, kind, why } of next.events) {
      if (kind === 'quarantined') deps.log.warn({ node, why }, 'what a gateway reports is contradicted by the others: it is cut to what they confirm, and not learned from');
      else deps.log.info({ node, why }, 'what a gateway reports is believed again');
    }
  }

  function forgetOld(last: number, dayMs: number): void {
    const oldest = last - Math.ceil((7 * dayMs) / windowMs);
    for (const window of bounds.keys()) if (window < oldest) bounds.delete(window);
    for (const window of unknown.keys()) if (window < oldest) unknown.delete(window);
    // the last one that holds in that time stays
    topologies = topologies.filter((_, index) => (topologies[index + 1]?.sinceWindow ?? Infinity) > oldest);
  }

  function lateSpans(): UntrustedSpan[] {
    return [...late].map(([site, window]) => ({ site, fromAt: window * windowMs, untilAt: (newestWindow - WINDOWS_AGAIN + 1) * windowMs, why: 'came late' }));
  }

  const untrustedSites = (): Set<SiteId> => new Set(quarantinesOf(state).map(({ site }) => site));

  /** Time of open spans for which nobody can say what is right is unknown. */
  function unknownSpans(): UntrustedSpan[] {
    const judged = [...bounds.keys()];
    const firstAt = judged.length > 0 ? Math.min(...judged) * windowMs : Infinity;
    return state.spans.flatMap((span) => (span.fromAt < firstAt ? [{ ...span, untilAt: Math.min(span.untilAt ?? Infinity, firstAt) }] : []));
  }

  return {
    review: (intent, plan, now) =>
      review(intent, plan, now).catch((error: unknown) => {
        deps.log.error({ error: messageOf(error) }, 'reports were not held against each other');
      }),
    believable(observation, intent) {
      const geography = withGeography(observation, intent);
      impossiblePaths = geography.impossible;
      const cut = withoutUnknown(boundObservation(geography.observation, [...bounds.values()].flat(), windowMs), [...unknown.values()].flat(), windowMs);
      const possible = withoutImpossible(cut.demands, mostPossible(intent));
      return { ...cut, demands: withoutUntrusted(possible, cut.lastSlotEndAt, cut.slotMs, [...unknownSpans(), ...lateSpans()]) };
    },
    async learnable(series, endAt, slotMs, intent) {
      await load();
      return withoutUntrusted(withoutImpossible(series, mostPossible(intent)), endAt, slotMs, [...state.spans, ...lateSpans()]);
    },
    cautious(forecast, observation, intent) {
      const sites = untrustedSites();
      if (sites.size === 0) return forecast;
      const most = new Map(observation.demands.map((series) => [keyOf(series), CONFIRMED_SHARE_MAX * mostKnown(series.mbps, intent.mesh.forecast.slotsPerDay)]));
      const capped = (demand: Forecast['demands'][number]): Forecast['demands'][number] => {
        const bound = most.get(keyOf(demand)) ?? 0;
        return { ...demand, slots: demand.slots.map(({ startAt, p50, p90, p95 }) => ({ startAt, p50: Math.min(p50, bound), p90: Math.min(p90, bound), p95: Math.min(p95, bound) })) };
      };
      return { ...forecast, demands: forecast.demands.map((demand) => (sites.has(demand.from) ? capped(demand) : demand)) };
    },
    view: () => ({
      quarantines: quarantinesOf(state),
      frozenSites: [...untrustedSites()].sort(),
      bounded: (bounds.get(newestWindow) ?? []).map(({ from, to, allowedMbps }) => ({ from, to, allowedMbps })),
      impossiblePaths,
      doubts: deps.store.doubts(deps.clock.now()),
      events,
    }),
  };
}

/** What uplinks can have carried of a pair in any case, Mbit/s. */
function mostPossible(intent: Intent): (from: SiteId, to: SiteId) => number {
  const capacityMbps = capacityOf(intent);
  return (from, to) => CAPACITIES_MAX * capacityMbps(from, to);
}

/** The most of the newest day in which anything is known; 0 when nothing is. */
function mostKnown(mbps: readonly (number | null)[], slotsPerDay: number): number {
  const newest = mbps.findLastIndex((value) => value !== null);
  return mbps.slice(Math.max(0, newest + 1 - slotsPerDay), newest + 1).reduce<number>((most, value) => Math.max(most, value ?? 0), 0);
}

function keyOf({ from, to, classId }: Pick<DemandSeries, 'from' | 'to' | 'classId'>): string {
  return `${from}>${to}#${classId}`;
}
