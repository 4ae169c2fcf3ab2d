import type { Board } from './board.ts';
import { lastingCostOf } from './cost.ts';
import { combinedUsage } from './ledger.ts';
import { PLANNER_SETTINGS } from './settings.ts';
import { isVetoed, spread } from './split.ts';
import type { Choice, Want, Way } from './types.ts';
import { nameOfWant, nameOfWay } from './words.ts';

/**
 * Takes one way out of a split that is no longer needed: the rest must stay below `foldRatio` of every limit for what
 * is expected and for the most that was seen within the idle time, and the youngest tunnel must be older than the hold
 * time. A split opens at 100 % of the limit, so noise cannot open and close it in turn. Null: stays as it is.
 */
export function considerFold(board: Board, want: Want, current: Choice): Choice | null {
  if (current.length < 2) return null;
  const least = current.reduce((lowest, share) => (share.weight <= lowest.weight ? share : lowest));
  const rest = current.filter((share) => share !== least).map(({ way }) => way);
  const busiest: Want = {
    ...want,
    forward: { ...want.forward, plannedMbps: Math.max(want.forward.plannedMbps, want.forward.recentMbps) },
    backward: { ...want.backward, plannedMbps: Math.max(want.backward.plannedMbps, want.backward.recentMbps) },
  };
  const folded = spread(board, busiest, rest);
  if (!folded.fit.whole || !isRoomy(board, folded.choice, busiest) || isVetoed(want, folded.choice)) return null;
  const holdUntil = heldUntil(board, current.map(({ way }) => way));
  if (holdUntil > board.network.now) {
    board.notes.wait(`take ${nameOfWay(least.way)} out of ${nameOfWant(want)}`, 'no longer needed; hold time', holdUntil);
    return null;
  }
  return folded.choice;
}

/**
 * Another single way whose lasting cost is lower by more than `gainMin` and `gainRatioMin` together, once the hold time
 * of the present one is over. Compared like with like: where one of the two was never measured, both count by estimate.
 * Takes no slot that a standing tunnel has and fills nothing beyond `foldRatio`. Null: stays as it is.
 */
export function considerGain(board: Board, want: Want, current: Choice, options: readonly Way[]): Choice | null {
  if (current.length !== 1 || !want.active) return null;
  const here = current[0]!.way;
  let best: { way: Way; saving: number } | null = null;
  for (const way of options) {
    if (way.key === here.key || isVetoed(want, [{ way, weight: 100 }])) continue;
    const like = way.measured && here.measured ? 'measured' : 'estimate';
    const hereCost = lastingCostOf(here, want, like);
    const saving = hereCost - lastingCostOf(way, want, like);
    if (saving <= PLANNER_SETTINGS.gainMin || saving <= hereCost * PLANNER_SETTINGS.gainRatioMin || saving <= (best?.saving ?? 0)) continue;
    if (board.ledger.fullNode(way.hops, true) !== null || !isRoomy(board, [{ way, weight: 100 }], want)) continue;
    best = { way, saving };
  }
  if (!best) return null;
  const holdUntil = heldUntil(board, [here]);
  if (holdUntil > board.network.now) {
    board.notes.wait(`move ${nameOfWant(want)} to ${nameOfWay(best.way)}`, `cheaper by ${Math.round(best.saving)}; hold time`, holdUntil);
    return null;
  }
  return [{ way: best.way, weight: 100 }];
}

/** Everything the choice uses stays at or below `foldRatio` of its limit, with all that is placed and expected. */
function isRoomy(board: Board, choice: Choice, want: Want): boolean {
  return combinedUsage(choice).every((usage) => {
    const addedMbps = usage.forward * want.forward.plannedMbps + usage.backward * want.backward.plannedMbps;
    return board.ledger.utilisation(usage.resource, addedMbps) <= PLANNER_SETTINGS.foldRatio;
  });
}

/** When the hold time of the youngest tunnel of these ways ends, epoch ms. */
export function heldUntil(board: Board, ways: readonly Way[]): number {
  const { now, inputs } = board.network;
  const youngest = Math.max(...ways.flatMap((way) => way.hops.map((hop) => hop.existing?.plannedAt ?? now)));
  return youngest + inputs.intent.mesh.holdMs;
}
