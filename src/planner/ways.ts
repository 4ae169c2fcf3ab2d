import { compareText } from '../base/index.ts';
import { isAdmitted, type Site, type TrafficClass } from '../model/index.ts';
import { avoidRefusals, isUsable } from './admissibility.ts';
import type { Board } from './board.ts';
import { endAt } from './network.ts';
import { estimatedLatencyMs } from './quality.ts';
import { PLANNER_SETTINGS } from './settings.ts';
import type { Hop, Pair, Usage, Way } from './types.ts';

/** The way that is one hop of the pair. */
export function directWay(pair: Pair, hop: Hop): Way {
  return buildWay(`direct:${hop.path}`, null, pair, [{ hops: [hop], share: 100 }]);
}

/**
 * The way over one relay for one class, or null when there is none: both hops must be admitted pairs at least as
 * secure as the pair itself, and none may touch what the pair's connection avoids. Which tunnels the hops are is the
 * relay's own assignment for the class, since its gateway steers by destination and class; where it has none yet the
 * best usable tunnel is proposed, and fixed when the way is taken.
 */
export function relayWay(board: Board, pair: Pair, relay: Site, trafficClass: TrafficClass): Way | null {
  if (!mayRelay(pair, relay)) return null;
  const near = hopRoutes(board, pair, pair.a, relay, trafficClass);
  const far = near && hopRoutes(board, pair, pair.b, relay, trafficClass);
  if (!near || !far || (near.length > 1 && far.length > 1)) return null;
  const routes = near.flatMap((first) => far.map((second) => ({ hops: [first.hop, second.hop], share: (first.share * second.share) / 100 })));
  return buildWay(`relay:${relay.id}`, relay, pair, routes);
}

/** All relay ways of a pair, nearest relays first, at most `relaysMax`. */
export function relayWays(board: Board, pair: Pair, trafficClass: TrafficClass): Way[] {
  if (pair.connection.relays !== 'allow') return [];
  const nearest = board.network.relays
    .filter((relay) => mayRelay(pair, relay))
    .map((relay) => ({ relay, detourMs: estimatedLatencyMs(pair.a, relay) + estimatedLatencyMs(relay, pair.b) }))
    .sort((left, right) => left.detourMs - right.detourMs || compareText(left.relay.id, right.relay.id));
  const ways: Way[] = [];
  for (const { relay } of nearest) {
    const way = relayWay(board, pair, relay, trafficClass);
    if (way) ways.push(way);
    if (ways.length === PLANNER_SETTINGS.relaysMax) break;
  }
  return ways;
}

/**
 * A relay that is itself an end may only lean on a relay with a greater id: steering is by destination, so this order
 * keeps two relays from handing a packet back and forth when both have lost their direct tunnel.
 */
function mayRelay(pair: Pair, relay: Site): boolean {
  const isEnd = relay.id === pair.a.id || relay.id === pair.b.id;
  const isInOrder = [pair.a, pair.b].every((end) => !end.relay || relay.id > end.id);
  return relay.relay && !isEnd && isInOrder && pair.connection.relays === 'allow';
}

function hopRoutes(board: Board, pair: Pair, end: Site, relay: Site, trafficClass: TrafficClass): { hop: Hop; share: number }[] | null {
  const hopPair = board.network.pair(end.id, relay.id);
  if (!hopPair || !isAdmitted(board.network.inputs.intent, end.id, relay.id)) return null;
  if (hopPair.profile.level < pair.profile.level) return null;
  const isFit = (hop: Hop): boolean => isUsable(hop) && avoidRefusals(pair, hop.ends, [relay]).length === 0;
  const settled = board.directRoutes(hopPair, trafficClass);
  if (settled === 'elsewhere') return null;
  if (settled) return settled.every(({ hop }) => isFit(hop)) ? settled : null;
  const best = board.network
    .hops(hopPair)
    .filter((hop) => isFit(hop) && board.ledger.fullNode([hop]) === null)
    .map((hop) => ({ hop, rank: board.standingOf(hopPair, trafficClass, hop) }))
    .sort((left, right) => left.rank - right.rank || left.hop.latencyMs - right.hop.latencyMs || compareText(left.hop.path, right.hop.path))[0];
  return best ? [{ hop: best.hop, share: 100 }] : null;
}

function buildWay(key: string, relay: Site | null, pair: Pair, routes: Way['routes']): Way {
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
