import { compareText } from '../base/index.ts';
import type { Site, TrafficClass } from '../model/index.ts';
import { avoidRefusals, isUsable } from './admissibility.ts';
import type { Board } from './board.ts';
import { PLANNER_SETTINGS } from './settings.ts';
import type { Hop, Pair, Way } from './types.ts';
import { buildWay } from './way.ts';

/** Which tunnels a relay way may be made of: any that can be had, or only those that the plan has already. */
export type HopSource = 'any' | 'claimed';

/**
 * The way over one relay for one class, or null when there is none: both hops must be admitted pairs at least as
 * secure as the pair itself, and none may touch what the pair's connection avoids. Which tunnels the hops are is the
 * relay's own assignment for the class, since its gateway steers by destination and class; where it has none yet the
 * best usable tunnel is proposed, and fixed when the way is taken.
 */
export function relayWay(board: Board, pair: Pair, relay: Site, trafficClass: TrafficClass, source: HopSource = 'any'): Way | null {
  if (!board.network.relaysFor(pair).includes(relay)) return null;
  const near = hopRoutes(board, pair, pair.a, relay, trafficClass, source);
  const far = near && hopRoutes(board, pair, pair.b, relay, trafficClass, source);
  if (!near || !far || (near.length > 1 && far.length > 1)) return null;
  const routes = near.flatMap((first) => far.map((second) => ({ hops: [first.hop, second.hop], share: (first.share * second.share) / 100 })));
  return buildWay(`relay:${relay.id}`, relay, pair, routes);
}

/** The first `relaysMax` relay ways of a pair, nearest relays first. */
export function relayWays(board: Board, pair: Pair, trafficClass: TrafficClass, source: HopSource = 'any'): Way[] {
  const ways: Way[] = [];
  for (const relay of board.network.relaysFor(pair)) {
    const way = relayWay(board, pair, relay, trafficClass, source);
    if (way) ways.push(way);
    if (ways.length === PLANNER_SETTINGS.relaysMax) break;
  }
  return ways;
}

function hopRoutes(board: Board, pair: Pair, end: Site, relay: Site, trafficClass: TrafficClass, source: HopSource): { hop: Hop; share: number }[] | null {
  const hopPair = board.network.pair(end.id, relay.id, pair.plane);
  if (!hopPair || hopPair.profile.level < pair.profile.level) return null;
  const claimed = board.ledger.claimedOf(hopPair);
  if (source === 'claimed' && claimed.length === 0) return null;
  const isFit = (hop: Hop): boolean => isUsable(hop) && avoidRefusals(pair, hop.ends, [relay]).length === 0;
  const settled = board.directRoutes(hopPair, trafficClass);
  if (settled === 'elsewhere') return null;
  if (settled) return settled.every(({ hop }) => isFit(hop)) ? settled : null;
  const open = source === 'claimed' ? claimed : board.network.hops(hopPair).filter((hop) => board.ledger.fullNode([hop]) === null);
  const best = open
    .filter(isFit)
    .map((hop) => ({ hop, rank: board.standingOf(hopPair, trafficClass, hop) }))
    .sort((left, right) => left.rank - right.rank || left.hop.latencyMs - right.hop.latencyMs || compareText(left.hop.path, right.hop.path))[0];
  return best ? [{ hop: best.hop, share: 100 }] : null;
}
