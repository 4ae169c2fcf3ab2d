import { join } from 'node:path';
import { messageOf } from '../../base/index.ts';
import { createInlineForecaster, type Forecaster } from '../../forecast/index.ts';
import type { DemandBound, DemandSeries, Forecast, ForecastSettings, Intent, NodeId, Observation, PathEnd, Plan, Quarantine, SiteId, UntrustedSpan } from '../../model/index.ts';
import {
  boundObservation,
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
  withoutUntrusted,
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
  learnable(series: readonly DemandSeries[], endAt: number, slotMs: number): Promise<DemandSeries[]>;
  /** The forecast, with the level of what is confirmed instead of a model's words where a site's reports are not believed. */
  cautious(forecast: Forecast, observation: Observation, settings: ForecastSettings): Promise<Forecast>;
  view(): TrustView;
  close(): Promise<void>;
}

/** A window has this many samples at least, so that beats of two ends do not matter. */
const SAMPLES_PER_WINDOW = 3;
/** Windows looked at again each time: samples may come late. */
const WINDOWS_AGAIN = 24;
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
  let known: KnownTopology | null = null;
  let bounds = new Map<number, DemandBound[]>();
  let impossiblePaths: ImpossiblePath[] = [];
  let events: TrustEvent[] = [];
  let levels: Forecaster | null = null;

  async function load(): Promise<void> {
    if (isLoaded) return;
    isLoaded = true;
    state = (await loadState<TrustState>(file, SCHEMA, deps.log)) ?? NO_TRUST_STATE;
  }

  async function review(intent: Intent, plan: Plan | null, now: number): Promise<void> {
    await load();
    const { slotMs, slotsPerDay } = intent.mesh.forecast;
    const length = slotMs * Math.max(1, Math.ceil((SAMPLES_PER_WINDOW * intent.mesh.telemetry.sampleIntervalMs) / slotMs));
    if (length !== windowMs) [windowMs, bounds, known, newestWindow] = [length, new Map(), null, -Infinity];
    const last = Math.floor(now / windowMs) - 1;
    if (plan === null || last <= newestWindow) return;
    newestWindow = last;
    const before = state;
    const topologies = topologyNow(intent, plan, last);
    await judge(topologies, last);
    if (Math.floor(now / (slotMs * slotsPerDay)) > driftDay && slotMs * slotsPerDay >= WINDOWS_PER_DAY_MIN * windowMs) await lookForDrift(topologies.topology, slotMs * slotsPerDay, now);
    forgetOld(last, slotsPerDay * slotMs);
    if (state !== before) await saveState(file, state);
  }

  /** A new plan is judged by its own tunnels once every node has had a window to follow it, and until then by both. */
  function topologyNow(intent: Intent, plan: Plan, last: number): KnownTopology {
    const topology = topologyOf(intent, plan);
    const text = topologyText(topology);
    if (known?.text === text) return known;
    known = { text, topology, sinceWindow: last + 2, meanwhile: known && joinTopologies(last <= known.sinceWindow && known.meanwhile ? joinTopologies(known.meanwhile, known.topology) : known.topology, topology) };
    return known;
  }

  async function judge({ topology, sinceWindow, meanwhile }: KnownTopology, last: number): Promise<void> {
    // the window in which the plan changed and the one before it, which waited for its neighbour; older ones are judged
    const from = Math.max(meanwhile ? sinceWindow - 3 : sinceWindow, last - WINDOWS_AGAIN + 1);
    if (from > last) return;
    const counted = countedWindows(await deps.store.evidence({ windowMs, fromWindow: from - 1, untilWindow: last + 1 }));
    const ends = new Map<string, PathEnd>(deps.store.pathEnds(deps.clock.now()).flatMap(({ tunnel, ends: both }) => both.map((end) => [`${tunnel} ${end.node}`, end] as const)));
    for (let window = from; window <= last; window++) {
      const distrusted = new Set<NodeId>(quarantinesOf(state).map(({ node }) => node));
      const judgement = judgeWindow({
        window,
        counted,
        topology: window < sinceWindow && meanwhile ? meanwhile : topology,
        distrusted,
        lossAt: (tunnel, node) => ends.get(`${tunnel} ${node}`)?.lossReverseRatio ?? 0,
        isAlive: (tunnel, node) => !['down', 'unknown'].includes(ends.get(`${tunnel} ${node}`)?.state ?? 'unknown'),
      });
      bounds.set(window, judgement.bounds);
      // the newest window is cut at once, and counts once its neighbour is there
      if (window < last && judgement.endAt > state.judgedUntilAt) tell(nextTrust(state, judgement));
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
      const cut = boundObservation(geography.observation, [...bounds.values()].flat(), windowMs);
      return state.spans.length === 0 ? cut : { ...cut, demands: withoutUntrusted(cut.demands, cut.lastSlotEndAt, cut.slotMs, unknownSpans()) };
    },
    async learnable(series, endAt, slotMs) {
      await load();
      return withoutUntrusted(series, endAt, slotMs, state.spans);
    },
    async cautious(forecast, observation, settings) {
      const sites = untrustedSites();
      if (sites.size === 0) return forecast;
      levels ??= await createInlineForecaster({ models: ['ewma'] });
      const level = await levels.forecast({ ...observation, demands: observation.demands.filter(({ from }) => sites.has(from)) }, settings);
      const replaced = new Map(level.demands.map((demand) => [`${demand.from}>${demand.to}#${demand.classId}`, demand]));
      return { ...forecast, demands: forecast.demands.map((demand) => replaced.get(`${demand.from}>${demand.to}#${demand.classId}`) ?? demand) };
    },
    view: () => ({
      quarantines: quarantinesOf(state),
      frozenSites: [...untrustedSites()].sort(),
      bounded: (bounds.get(newestWindow) ?? []).map(({ from, to, allowedMbps }) => ({ from, to, allowedMbps })),
      impossiblePaths,
      events,
    }),
    async close() {
      await levels?.close();
    },
  };
}
