import type { Board, Placement } from './board.ts';
import { overlapOf } from './backups.ts';
import { isUsable, slaRefusal } from './admissibility.ts';
import type { Choice, Hop, Want, Way } from './types.ts';
import { nameOfWant } from './words.ts';

/**
 * Sets capacity aside for the second copies of the wants of one priority that are sent twice: a copy goes over a way
 * that shares no uplink with the first, and carries as much. After `ensureBackups`, which sees that such a way is there.
 * What finds no place is sent once, and the report says why.
 */
export function reserveCopies(board: Board, wants: readonly Want[]): void {
  for (const want of wants) {
    const placement = board.placements.get(want.key);
    if (!placement || !isSentTwice(want)) continue;
    const choice = copyChoice(board, placement);
    if (!choice) continue; // said in copiesOf, when all tunnels are known
    const fit = board.ledger.fit(choice, want);
    if (!fit.whole) {
      board.copiesRefused.add(want.key);
      board.notes.wait(`second copy of ${nameOfWant(want)}`, `not enough capacity on ${choice.map(({ way }) => way.hops[0]!.path).join(', ')}; sent once`, null);
      continue;
    }
    board.ledger.place(choice, want, fit);
    board.copies.set(want.key, { want, choice, fit });
  }
}

/**
 * The ways of the second copy, in order: those it has capacity on, then other fall-backs that share no uplink with a
 * route. Empty when the class is sent once.
 */
export function copiesOf(board: Board, { want, choice }: Placement, fallbacks: readonly Hop[][]): Hop[][] {
  if (!isSentTwice(want) || board.copiesRefused.has(want.key)) return [];
  const routes = choice.flatMap(({ way }) => way.routes).map((route) => route.hops);
  const disjoint = fallbacks.filter((hops) => hops.every(isUsable) && routes.some((route) => isDisjoint(hops, route)));
  if (disjoint.length === 0) board.notes.wait(`second copy of ${nameOfWant(want)}`, 'no second path that shares no uplink with the first; sent once', null);
  const reserved = new Set(board.copies.get(want.key)?.choice.flatMap(({ way }) => way.hops) ?? []);
  return [...disjoint.filter((hops) => hops.every((hop) => reserved.has(hop))), ...disjoint.filter((hops) => !hops.every((hop) => reserved.has(hop)))];
}

function isSentTwice({ trafficClass, pair }: Want): boolean {
  return trafficClass.protection === 'duplicate' && pair.connection.backup === 'class';
}

/** For each share of the choice a way beside it: another of its ways, else the claimed tunnel that keeps the SLA and shares least. */
function copyChoice(board: Board, { want, choice }: Placement): Choice | null {
  const shares = choice.map(({ way, weight }) => {
    const other = choice.find((share) => isDisjoint(share.way.hops, way.hops))?.way ?? standbyWay(board, want, way);
    return other ? { way: other, weight } : null;
  });
  return shares.every((share) => share !== null) ? shares : null;
}

function standbyWay(board: Board, want: Want, way: Way): Way | null {
  const ways = board.ledger
    .claimedOf(want.pair)
    .filter((hop) => isUsable(hop) && isDisjoint([hop], way.hops))
    .map((hop) => ({ hop, direct: board.network.directWay(want.pair, hop) }));
  const ranked = ways.map(({ hop, direct }) => ({ direct, keys: [slaRefusal(direct, want.trafficClass) === null ? 0 : 1, overlapOf(hop, way.hops).risks, hop.latencyMs] }));
  ranked.sort((left, right) => {
    const index = left.keys.findIndex((key, at) => key !== right.keys[at]);
    return index < 0 ? (left.direct.key < right.direct.key ? -1 : 1) : left.keys[index]! - right.keys[index]!;
  });
  return ranked[0]?.direct ?? null;
}

function isDisjoint(hops: readonly Hop[], others: readonly Hop[]): boolean {
  return hops.every((hop) => overlapOf(hop, others).uplinks === 0);
}
