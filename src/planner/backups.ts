import { compareText } from '../base/index.ts';
import type { Uplink } from '../model/index.ts';
import { isUsable, slaRefusal } from './admissibility.ts';
import type { Board, Placement } from './board.ts';
import { costOf } from './cost.ts';
import { slotRefusal } from './options.ts';
import type { Hop, Want } from './types.ts';
import { relayWays } from './ways.ts';
import { nameOfWant } from './words.ts';

/**
 * Sees that each want of one priority which is to be protected has an established second way, disjoint from its routes
 * as far as the sites allow: one the pair has anyway, else a new tunnel. Compared by shared uplinks, then shared risk
 * groups, then the class's SLA (which a new one must hold), then what exists, then provider, then cost. Pairs that must always be connected come first, and among equals
 * those that have their backup already, so that two do not take turns with the last slot of a gateway. No capacity is
 * set aside for a backup: it carries traffic only while something else is broken.
 */
export function ensureBackups(board: Board, wants: readonly Want[]): void {
  for (const isAlways of [true, false]) {
    const group = wants.filter((want) => want.protect && (want.pair.connection.mode === 'always') === isAlways);
    for (const want of group) ensureBackup(board, want, true);
    for (const want of group) ensureBackup(board, want, false);
  }
}

function ensureBackup(board: Board, want: Want, isKeepingOnly: boolean): void {
  const primary = board.placements.get(want.key) ?? basePlacement(board, want);
  if (!primary || protectsItself(primary)) return;
  const routes = primary.choice.flatMap(({ way }) => way.hops);
  const candidates = board.network
    .hops(want.pair)
    .filter((hop) => !routes.includes(hop) && isUsable(hop))
    .map((hop) => ({
      hop,
      overlap: overlapOf(hop, routes),
      isWithinSla: slaRefusal(board.network.directWay(want.pair, hop), want.trafficClass) === null,
      claimed: board.ledger.isClaimed(hop) ? 0 : hop.existing ? 1 : 2,
    }))
    // one that stands and measures worse than the class asks is still better than none
    .filter(({ hop, isWithinSla }) => isWithinSla || hop.existing !== null);
  const open = candidates.filter(({ hop }) => board.ledger.fullNode([hop]) === null);
  const cost = new Map(open.map(({ hop }) => [hop, costOf(board.network.directWay(want.pair, hop), want, board.ledger)]));
  open.sort(
    (left, right) =>
      left.overlap.uplinks - right.overlap.uplinks ||
      left.overlap.risks - right.overlap.risks ||
      Number(right.isWithinSla) - Number(left.isWithinSla) ||
      left.claimed - right.claimed ||
      left.overlap.providers - right.overlap.providers ||
      cost.get(left.hop)! - cost.get(right.hop)! ||
      compareText(left.hop.path, right.hop.path),
  );
  const best = open[0];
  if (isKeepingOnly && (!best || best.claimed === 2)) return;
  if (best) return board.claim(best.hop, `backup for ${nameOfWant(want)}, ${describeOverlap(best.overlap)} with ${routes.map((hop) => hop.path).join(', ')}`);
  const isRelayed = relayWays(board, want.pair, want.trafficClass, 'claimed').length > 0;
  if (isRelayed) return;
  const reason = candidates.length > 0 ? slotRefusal(board, [candidates[0]!.hop])! : 'no other admissible path between the two sites';
  board.notes.wait(`backup for ${nameOfWant(want)}`, reason, null);
}

/** What two ways have in common and can lose together. */
export interface Overlap {
  uplinks: number;
  risks: number;
  providers: number;
}

export function overlapOf(hop: Hop, routes: readonly Hop[]): Overlap {
  const overlap: Overlap = { uplinks: 0, risks: 0, providers: 0 };
  for (const { uplink } of hop.ends) {
    const isShared = (test: (theirs: Uplink) => boolean): boolean => routes.some((route) => test(route.ends[0].uplink) || test(route.ends[1].uplink));
    if (isShared((theirs) => theirs.id === uplink.id)) overlap.uplinks++;
    if (isShared((theirs) => theirs.provider === uplink.provider)) overlap.providers++;
    overlap.risks += uplink.riskGroups.filter((group) => isShared((theirs) => theirs.riskGroups.includes(group))).length;
  }
  return overlap;
}

function describeOverlap({ uplinks, risks }: Overlap): string {
  if (uplinks > 0) return `shares ${uplinks === 1 ? 'one uplink' : 'both uplinks'}`;
  return risks > 0 ? 'shares a risk group, no uplink' : 'shares no uplink and no risk group';
}

/** A split whose ways share nothing needs no further tunnel: each is the other's backup. */
function protectsItself({ choice }: Placement): boolean {
  return choice.some(({ way }, index) =>
    choice.slice(index + 1).some((other) => {
      const overlaps = way.hops.map((hop) => overlapOf(hop, other.way.hops));
      return overlaps.every(({ uplinks, risks }) => uplinks === 0 && risks === 0);
    }),
  );
}

/** Classes without demand go where the pair's base class goes. */
function basePlacement(board: Board, want: Want): Placement | undefined {
  const base = want.pair.classes[0];
  return base && board.placements.get(`${want.pair.key}|${base.id}`);
}
