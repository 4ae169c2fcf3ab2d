import { pairId } from '../model/index.ts';
import { isUsable, slaRefusal } from './admissibility.ts';
import type { Board } from './board.ts';
import { costOf } from './cost.ts';
import type { Hop, Want, Way } from './types.ts';
import { relayWays } from './ways.ts';
import { nameOfWay } from './words.ts';

/** The ways a want may take now, cheapest first, and why the others may not be. */
export interface Options {
  ways: Way[];
  refusals: string[];
}

/** Direct paths that nothing forbids, that hold the class's SLA and for which both gateways have a slot. */
export function directOptions(board: Board, want: Want): Options {
  const refusals: string[] = [];
  const ways = board.network.hops(want.pair).flatMap((hop) => {
    const way = board.network.directWay(want.pair, hop);
    const reason = hop.refusals[0]?.reason ?? slaRefusal(way, want.trafficClass);
    if (reason) {
      board.notes.refuse({ pair: pairId(want.pair.a.id, want.pair.b.id), path: hop.path, reason: hop.refusals.length > 1 ? hop.refusals.map((refusal) => refusal.reason).join('; ') : reason });
      refusals.push(`${hop.path}: ${reason}`);
      return [];
    }
    const full = slotRefusal(board, [hop]);
    if (full) refusals.push(`${hop.path}: ${full}`);
    return full ? [] : [way];
  });
  return { ways: sortByCost(board, want, ways), refusals };
}

/** Ways over relays that hold the class's SLA and find slots. */
export function relayOptions(board: Board, want: Want): Options {
  const refusals: string[] = [];
  if (want.pair.connection.relays !== 'allow') return { ways: [], refusals: [`connection ${want.pair.connection.name} denies relays`] };
  const ways = relayWays(board, want.pair, want.trafficClass).filter((way) => {
    const reason = slaRefusal(way, want.trafficClass) ?? slotRefusal(board, way.hops);
    if (reason) refusals.push(`${nameOfWay(way)}: ${reason}`);
    return !reason;
  });
  return { ways: sortByCost(board, want, ways), refusals };
}

/** `hamburg-gw1 holds 3 of 3 tunnels`, or null when there is room. */
export function slotRefusal(board: Board, hops: readonly Hop[]): string | null {
  const full = board.ledger.fullNode(hops);
  if (full === null) return null;
  if (full === 'overlay') return 'the overlay prefix has no address left';
  const { tunnelsMax } = hops.flatMap((hop) => hop.ends).find((end) => end.node.id === full)!.node;
  return `${full} holds ${board.ledger.slotsTaken(full, false)} of ${tunnelsMax} tunnels for what goes before`;
}

/** True when nothing but the class's SLA and free slots could speak against the way. */
export function isWayUsable(way: Way): boolean {
  return way.hops.every(isUsable);
}

/** Cheapest first; among equals the one with the widest uplinks, then by name. */
export function sortByCost(board: Board, want: Want, ways: readonly Way[]): Way[] {
  const limits = board.network.resources.limitsMbps;
  const widthOf = (way: Way): number => Math.min(...way.usage.map((usage) => limits[usage.resource]!));
  return ways
    .map((way) => ({ way, cost: costOf(way, want, board.ledger), widthMbps: widthOf(way) }))
    .sort((left, right) => {
      if (Math.abs(left.cost - right.cost) > 1e-9) return left.cost - right.cost;
      return right.widthMbps - left.widthMbps || (left.way.key < right.way.key ? -1 : 1);
    })
    .map(({ way }) => way);
}
