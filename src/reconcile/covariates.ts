import { messageOf, type Log } from '../base/index.ts';
import { eventCovariates, eventsInSlots, type CovariateSeries } from '../forecast/index.ts';
import type { ActiveHostsSeries, Intent } from '../model/index.ts';
import type { TelemetryStore } from '../telemetry/index.ts';
import { demandPairs, type DemandPair } from './demand-pairs.ts';
import { wayCovariates, type Ways } from './ways.ts';

/** Slots that the inputs cover, the last of them ended or still to come. */
interface Span {
  now: number;
  slots: number;
  /** Slots to come for which the calendar is asked. */
  ahead: number;
}

/**
 * What may explain demand beside its own past: the calendar's events, known ahead; how many hosts are active by role, as
 * far as gateways count them; latency and loss of what carries it now.
 */
export async function forecastCovariates(intent: Intent, store: Pick<TelemetryStore, 'activeHosts' | 'users'>, ways: Ways | null, span: Span, log: Log): Promise<CovariateSeries[]> {
  const demands = demandPairs(intent);
  return [...calendarOf(intent, demands, span), ...(await hostsOf(intent, demands, store, span, log)), ...(ways ? wayCovariates(intent, ways, span.now, span.slots) : [])];
}

function calendarOf(intent: Intent, demands: readonly DemandPair[], { now, slots, ahead }: Span): CovariateSeries[] {
  const { slotMs } = intent.mesh.forecast;
  const startAt = (Math.floor(now / slotMs) - slots) * slotMs;
  return eventCovariates(eventsInSlots(intent, startAt, slotMs, slots + ahead), demands).map(({ name, pairs, values, isKnownAhead }) => ({ name, demands: pairs.map((place) => nameOf(demands[place]!)), startAt, values, isKnownAhead }));
}

/** One series for each role and site, of all its gateways together, for what the site sends. */
async function hostsOf(intent: Intent, demands: readonly DemandPair[], store: Pick<TelemetryStore, 'activeHosts' | 'users'>, { now, slots }: Span, log: Log): Promise<CovariateSeries[]> {
  if (store.users(now).length === 0) return [];
  const { slotMs } = intent.mesh.forecast;
  const counted = await store.activeHosts({ now, slotMs, slots }).catch((error: unknown): ActiveHostsSeries[] => {
    log.warn({ error: messageOf(error) }, 'active hosts are not known to the forecast');
    return [];
  });
  const startAt = (Math.floor(now / slotMs) - slots) * slotMs;
  return intent.sites.flatMap((site) => {
    const nodes = new Set(site.nodes.map(({ id }) => id));
    const own = counted.filter(({ node, group }) => group === 'role' && nodes.has(node));
    return [...new Set(own.map(({ name }) => name))].sort().map((role): CovariateSeries => {
      const ofRole = own.filter(({ name }) => name === role);
      const values = Float32Array.from({ length: slots }, (_, slot) => ofRole.reduce((sum, { hosts }) => (hosts[slot] == null ? sum : (Number.isNaN(sum) ? 0 : sum) + hosts[slot]), Number.NaN));
      return { name: `hosts:${role}`, demands: demands.filter(({ from }) => from === site.id).map(nameOf), startAt, values, isKnownAhead: false };
    });
  });
}

function nameOf({ from, to, classId }: DemandPair): string {
  return `${from}>${to}#${classId}`;
}
