import { compareText } from '../base/index.ts';
import type { Site, SiteId } from '../model/index.ts';
import { mostProbable } from './foreseen.ts';
import { estimatedLatencyMs } from './quality.ts';
import { PLANNER_SETTINGS } from './settings.ts';
import type { Hop, HopEnd, Pair, Usage, Way } from './types.ts';

/** The way that is one hop of the pair. */
export function directWay(pair: Pair, hop: Hop): Way {
  return buildWay(`direct:${hop.path}`, null, pair, [{ hops: [hop], share: 100 }]);
}

/**
 * Sites that may relay a pair, shortest detour first. A relay that is itself an end may only lean on a relay with a
 * greater id: steering is by destination, so this order keeps two relays from handing a packet back and forth when both
 * have lost their direct tunnel.
 */
export function relaysOf(pair: Pair, relays: readonly Site[]): Site[] {
  if (pair.connection.relays !== 'allow') return [];
  return relays
    .filter((relay) => relay.id !== pair.a.id && relay.id !== pair.b.id && [pair.a, pair.b].every((end) => !end.relay || relay.id > end.id))
    .map((relay) => ({ relay, detourMs: estimatedLatencyMs(pair.a, relay) + estimatedLatencyMs(relay, pair.b) }))
    .sort((left, right) => left.detourMs - right.detourMs || compareText(left.relay.id, right.relay.id))
    .map(({ relay }) => relay);
}

/** The end of a hop at a site. */
export function endAt(hop: Hop, site: SiteId): HopEnd {
  return hop.ends[0].site.id === site ? hop.ends[0] : hop.ends[1];
}

/** A way with its uses and qualities summed up; `relay` is where two hops meet. */
export function buildWay(key: string, relay: Site | null, pair: Pair, routes: Way['routes']): Way {
  const hops = [...new Set(routes.flatMap((route) => route.hops))];
  const extraMs = relay ? PLANNER_SETTINGS.relayMs : 0;
  const worst = (figure: (hop: Hop) => number): number => Math.max(...routes.map((route) => route.hops.reduce((sum, hop) => sum + figure(hop), 0)));
  return {
    key,
    relay: relay?.id ?? null,
    routes,
    hops,
    ...usageOf(pair, relay, routes),
    latencyMs: worst((hop) => hop.latencyMs) + extraMs,
    estimateMs: worst((hop) => hop.estimateMs) + extraMs,
    measured: hops.every((hop) => hop.measured),
    jitterMs: worst((hop) => hop.jitterMs),
    lossRatio: Math.max(...routes.map((route) => 1 - route.hops.reduce((through, hop) => through * (1 - hop.lossRatio), 1))),
    degraded: hops.some((hop) => hop.state === 'degraded'),
    violations: mostProbable(hops.map((hop) => hop.violations)),
  };
}

function usageOf(pair: Pair, relay: Site | null, routes: Way['routes']): Pick<Way, 'usage' | 'usdPerGb'> {
  const uses = new Map<number, Usage>();
  const usdPerGb: [number, number] = [0, 0];
  const use = (resource: number, forward: number, backward: number): void => {
    const sum = uses.get(resource) ?? { resource, forward: 0, backward: 0 };
    sum.forward += forward;
    sum.backward += backward;
    uses.set(resource, sum);
  };
  for (const { hops, share } of routes) {
    const part = share / 100;
    for (const [index, hop] of hops.entries()) {
      const sender = endAt(hop, index === 0 ? pair.a.id : relay!.id);
      const receiver = hop.ends[0] === sender ? hop.ends[1] : hop.ends[0];
      use(sender.up, part, 0);
      use(receiver.down, part, 0);
      use(receiver.up, 0, part);
      use(sender.down, 0, part);
      use(sender.crypto, part, part);
      use(receiver.crypto, part, part);
      usdPerGb[0] += part * price(sender.uplink.usdPerGb);
      usdPerGb[1] += part * price(receiver.uplink.usdPerGb);
    }
  }
  return { usage: [...uses.values()], usdPerGb };
}

function price(usdPerGb: number): number {
  return Number.isFinite(usdPerGb) && usdPerGb > 0 ? usdPerGb : 0;
}
