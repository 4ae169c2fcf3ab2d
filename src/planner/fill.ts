import { isUsable, slaRefusal } from './admissibility.ts';
import type { Board } from './board.ts';
import { costOf } from './cost.ts';
import { renormalise } from './split.ts';
import type { Choice, Hop, Want } from './types.ts';
import { relayWays } from './ways.ts';

/**
 * Gives every class of a pair that has tunnels a way over them, wanted or not, so that traffic nobody foresaw is
 * carried at once. Keeps what there was; else the cheapest tunnel for the class, which for voice is the quickest.
 * Opens nothing. Pairs that live on a relay alone come last, since they go by what the relay's own pairs do.
 */
export function fillClasses(board: Board): void {
  const open = [...board.wants.values()].filter((want) => !board.placements.has(want.key));
  for (const want of open) {
    const hops = board.ledger.claimedOf(want.pair);
    if (hops.length > 0) fill(board, want, keptChoice(board, want) ?? cheapestTunnel(board, want, hops));
  }
  for (const want of open) {
    const isRelayed = board.ledger.claimedOf(want.pair).length === 0 && want.pair.classes.some((each) => board.placements.has(`${want.pair.key}|${each.id}`));
    if (isRelayed) fill(board, want, keptChoice(board, want) ?? claimedRelay(board, want));
  }
}

function fill(board: Board, want: Want, choice: Choice | null): void {
  if (!choice) return;
  board.begin(want);
  // What the plan could not place stays unplaced: it is carried at best effort and counts against no limit.
  board.commit({ ...want, forward: { ...want.forward, plannedMbps: 0 }, backward: { ...want.backward, plannedMbps: 0 } }, choice, 'kept');
}

function keptChoice(board: Board, want: Want): Choice | null {
  if (want.released) return null;
  const kept = board.previousWays(want).filter(({ way }) => way.hops.every((hop) => isUsable(hop) && board.ledger.isClaimed(hop)));
  return kept.length > 0 ? renormalise(kept) : null;
}

function cheapestTunnel(board: Board, want: Want, hops: readonly Hop[]): Choice {
  const ranked = hops
    .map((hop) => {
      const way = board.network.directWay(want.pair, hop);
      const unfit = (isUsable(hop) ? 0 : 2) + (slaRefusal(way, want.trafficClass) === null ? 0 : 1);
      return { way, unfit, cost: costOf(way, want, board.ledger) };
    })
    .sort((left, right) => left.unfit - right.unfit || left.cost - right.cost || (left.way.key < right.way.key ? -1 : 1));
  return [{ way: ranked[0]!.way, weight: 100 }];
}

function claimedRelay(board: Board, want: Want): Choice | null {
  const way = relayWays(board, want.pair, want.trafficClass, 'claimed')[0];
  return way ? [{ way, weight: 100 }] : null;
}
