import { messageOf, sortedBy } from '../base/index.ts';
import { adjustForEvents } from '../forecast/index.ts';
import type { Forecast, Intent, Observation, PathQuality, Plan, TunnelId } from '../model/index.ts';
import { forecastCovariates } from './covariates.ts';
import { demandPairs, observedSlots } from './demand-pairs.ts';
import type { CycleContext, EngineState } from './state.ts';
import { waysNow } from './ways.ts';

/** The planner itself takes what is older than its own limit for unknown, and tries such a path again. */
const EVENT_KEPT_MS = 3_600_000;
/** How far back a forecast is told what else was going on: a day of origins, each with the day before it. */
const COVARIATE_DAYS = 2;

/** What is known of the network at `now`: the store's answer, corrected by what agents reported at once. */
export async function observeNetwork(context: CycleContext, intent: Intent, now: number): Promise<Observation> {
  const { store, hub } = context.deps;
  const { forecast: settings } = intent.mesh;
  const query = { now, slotMs: settings.slotMs, slots: observedSlots(settings), pairs: demandPairs(intent) };
  await context.trust.review(intent, context.state.plan, now);
  const reported = await store.observe(query, hub.nodes());
  const observation = withEvents(context.trust.believable(reported, intent), context.state.pathEvents);
  context.drift.observe(observation);
  await context.hindsight.observe(observation, settings);
  await context.anomalies.observe(observation, intent);
  return observation;
}

/** What to expect; null, and the plan then goes by what was observed, when no model can say. */
export async function forecastDemand(context: CycleContext, intent: Intent, observation: Observation, now: number): Promise<Forecast | null> {
  try {
    const { forecast: settings } = intent.mesh;
    const said = await askForecaster(context, intent, observation);
    const champion = adjustForEvents(said, intent, observation);
    context.drift.expect(champion, now);
    context.hindsight.expect(champion, observation, settings);
    const used = context.hindsight.standIn(said, observation, settings);
    const forecast = context.trust.cautious(used === said ? champion : adjustForEvents(used, intent, observation), observation, intent);
    context.memory.remember(forecast, now);
    context.anomalies.expect(forecast, observation);
    return forecast;
  } catch (error) {
    context.log.error({ error: messageOf(error) }, 'no forecast');
    return null;
  }
}

/** The models' own word on an observation, with what else is known of those days: before events, drift and trust have theirs. */
export async function askForecaster(context: CycleContext, intent: Intent, observation: Observation): Promise<Forecast> {
  const { forecast: settings } = intent.mesh;
  const { deps, log } = context;
  const covariates = await forecastCovariates(intent, deps.store, waysNow(context), { now: observation.lastSlotEndAt, slots: COVARIATE_DAYS * settings.slotsPerDay, ahead: settings.horizonSlots }, log);
  return deps.forecaster.forecast(observation, settings, undefined, covariates);
}

/**
 * True when the live plan relies on a path that is down: something goes over it, or would fall back to it before it
 * falls back to one that lives. The next plan then answers a failure. A dead path that the plan goes without is none
 * any more, though its tunnel stays: what changes later has other reasons, and is judged by these.
 */
export function hasFailure(observation: Observation, plan: Plan): boolean {
  const paths = new Set(observation.paths.filter(({ state }) => state === 'down').map(({ path }) => path));
  const down = new Set(plan.tunnels.filter(({ path }) => paths.has(path)).map(({ id }) => id));
  if (down.size === 0) return false;
  const isDead = (way: readonly TunnelId[]): boolean => way.some((tunnel) => down.has(tunnel));
  return plan.assignments.some(({ routes, backups }) => routes.some(({ tunnels }) => isDead(tunnels)) || backups.some((way, index) => isDead(way) && backups.slice(index + 1).some((later) => !isDead(later) && !isLast(plan, later))));
}

/** Ways through gateways that do not serve their site are fallen back to last, whatever lives. */
function isLast(plan: Plan, way: readonly TunnelId[]): boolean {
  const serving = new Set(plan.servingNodes.map(({ node }) => node));
  return plan.tunnels.some(({ id, a, b }) => way.includes(id) && !(serving.has(a.node) && serving.has(b.node)));
}

/** An event is newer than the last window of samples until the next one is in; without a tunnel there is no next one. */
function withEvents(observation: Observation, events: EngineState['pathEvents']): Observation {
  const paths = new Map(observation.paths.map((quality) => [quality.path, quality]));
  for (const [path, event] of events) {
    const known = paths.get(path);
    if ((known && known.sampledAt >= event.at) || observation.observedAt - event.at > EVENT_KEPT_MS) {
      events.delete(path);
      continue;
    }
    const quality: PathQuality = known ?? { path, state: event.state, latencyMs: null, jitterMs: null, lossRatio: null, sampledAt: event.at };
    paths.set(path, { ...quality, state: event.state, sampledAt: event.at });
  }
  return { ...observation, paths: sortedBy([...paths.values()], ({ path }) => path) };
}
