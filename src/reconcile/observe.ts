import { messageOf, sortedBy } from '../base/index.ts';
import type { Forecast, Intent, Observation, PathQuality, Plan } from '../model/index.ts';
import { demandPairs, observedSlots } from './demand-pairs.ts';
import type { CycleContext, EngineState } from './state.ts';

/** The planner itself takes what is older than its own limit for unknown, and tries such a path again. */
const EVENT_KEPT_MS = 3_600_000;

/** What is known of the network at `now`: the store's answer, corrected by what agents reported at once. */
export async function observeNetwork(context: CycleContext, intent: Intent, now: number): Promise<Observation> {
  const { store, hub } = context.deps;
  const { forecast: settings } = intent.mesh;
  const query = { now, slotMs: settings.slotMs, slots: observedSlots(settings), pairs: demandPairs(intent) };
  const observation = withEvents(await store.observe(query, hub.nodes()), context.state.pathEvents);
  context.drift.observe(observation);
  return observation;
}

/** What to expect; null, and the plan then goes by what was observed, when no model can say. */
export async function forecastDemand(context: CycleContext, intent: Intent, observation: Observation, now: number): Promise<Forecast | null> {
  try {
    const forecast = await context.deps.forecaster.forecast(observation, intent.mesh.forecast);
    context.drift.expect(forecast, now);
    return forecast;
  } catch (error) {
    context.log.error({ error: messageOf(error) }, 'no forecast');
    return null;
  }
}

/** True when a path of the live plan is down: the plan then answers a failure. */
export function hasFailure(observation: Observation, plan: Plan): boolean {
  const down = new Set(observation.paths.filter(({ state }) => state === 'down').map(({ path }) => path));
  return plan.tunnels.some(({ path }) => down.has(path));
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
