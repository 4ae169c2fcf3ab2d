import { formatMbps } from '../base/index.ts';
import type { Board, Placement } from './board.ts';
import { guidedChoice } from './guide.ts';
import { isLastResort, isPinnable, isUsable } from './admissibility.ts';
import type { Fit } from './ledger.ts';
import { directOptions, isWayUsable, relayOptions, slotRefusal, sortByCost, type Options } from './options.ts';
import { PLANNER_SETTINGS } from './settings.ts';
import { extend, isVetoed, renormalise } from './split.ts';
import { considerFold, considerGain } from './steadiness.ts';
import type { Choice, Hop, Want, Way } from './types.ts';
import { describeDemand, nameOfWant } from './words.ts';

/**
 * Finds a way for one want among the direct paths. Decides in this order: a person's pin; what carried it before,
 * while it may and fits (then only fold or gain, see steadiness.ts); more ways beside the ones it has; one other way;
 * part of it. True when that settles the want, false when relays should be tried once all direct ones are placed.
 */
export function placeDirect(board: Board, want: Want): boolean {
  board.begin(want);
  if (want.pinned && placePinned(board, want)) return true;
  const hasRelays = want.previous?.some(({ key }) => key.startsWith('relay:')) ?? false;
  const options = directOptions(board, want);
  const isRelayed = board.guide?.choices.get(want.key)?.some(({ key }) => key.startsWith('relay:')) ?? false;
  if (isRelayed) {
    reserveDirect(board, want, options);
    return false; // once the ways to the relays are settled
  }
  if (hasRelays && !prefersDirect(board, want, options)) {
    reserveDirect(board, want, options);
    return false;
  }
  const current = hasRelays ? [] : currentOf(board, want, options);
  const guided = guide(board, want, current);
  if (guided) {
    board.commit(want, guided.choice, guided.reason);
    return board.placements.get(want.key)!.fit.whole;
  }
  const decision = decide(board, want, current, options.ways);
  if (!decision) return false;
  const placement = board.commit(want, decision.choice, decision.reason);
  return placement.fit.whole;
}

/** The second try, with relays, and the last: what still has no way is reported, and kept going at best effort where it went before. */
export function placeAny(board: Board, want: Want): void {
  if (board.settled.has(want.key)) return reportRest(board, want);
  const placed = board.placements.get(want.key);
  board.release(want);
  const direct = directOptions(board, want);
  const relayed = relayOptions(board, want);
  const ways = sortByCost(board, want, [...direct.ways, ...relayed.ways]);
  const current = placed?.choice ?? currentOf(board, want, { ways, refusals: [] });
  const decision = beyond(board, want, guide(board, want, current), ways) ?? decide(board, want, current, ways);
  if (decision) {
    board.commit(want, decision.choice, decision.reason);
    return reportRest(board, want);
  }
  const why = [...direct.refusals, ...relayed.refusals].slice(0, 6).join('; ') || 'no path between the serving nodes';
  const bestEffort = leastBad(board, want);
  if (bestEffort) board.commit(want, bestEffort, `nothing better: ${why}`);
  else if (placed) board.commit(want, placed.choice, 'kept');
  const isKept = bestEffort !== null || placed !== undefined;
  reportUnplaced(board, want, 1, isKept ? `carried at best effort: ${why}` : (vetoReason(want) ?? why));
  if (want.base && !isKept) board.notes.wait(`a tunnel for ${want.pair.key}, which is always up`, why, null);
}

interface Decision {
  choice: Choice;
  reason: string;
}

/** What the core would do with a want, where this round is to try that first. */
function guide(board: Board, want: Want, current: Choice): Decision | null {
  const choice = board.guide && guidedChoice(board, want, board.guide, renormalise(current));
  return choice && { choice, reason: `${nameOfWant(want)}: ${describeDemand(want, board.network.inputs.intent.mesh.forecast)}; so that most can be carried in all` };
}

/** A guided choice, with more ways beside it where it does not carry all and they carry more. */
function beyond(board: Board, want: Want, guided: Decision | null, ways: readonly Way[]): Decision | null {
  if (!guided) return null;
  const fit = board.ledger.fit(guided.choice, want);
  if (fit.whole) return guided;
  const wider = extend(board, want, guided.choice.map(({ way }) => way), ways);
  return wider && wider.fit.carried > fit.carried + 0.01 && !isVetoed(want, wider.choice) ? { ...guided, choice: wider.choice } : guided;
}

/** The choice for a want that has `current` (may be []), out of `options` (cheapest first); null when nothing may carry any of it. */
function decide(board: Board, want: Want, current: Choice, options: readonly Way[]): Decision | null {
  const isIntact = current.reduce((sum, { weight }) => sum + weight, 0) === 100;
  const standing = renormalise(current);
  const demand = `${nameOfWant(want)}: ${describeDemand(want, board.network.inputs.intent.mesh.forecast)}`;
  if (standing.length === 0) {
    if (want.vetoed.length > 0 && !want.previous && !want.base) return null;
    const single = options.find((way) => !isVetoed(want, [{ way, weight: 100 }]) && board.ledger.fit([{ way, weight: 100 }], want).whole);
    const reason = reasonForFirst(want, demand);
    if (single) return { choice: [{ way: single, weight: 100 }], reason };
    const split = extend(board, want, [], options);
    if (!split || (split.fit.carried < PLANNER_SETTINGS.carriedMin && !want.previous && !want.base)) return null;
    return { choice: split.choice, reason: `${reason}; no single way carries it` };
  }
  const fit = board.ledger.fit(standing, want);
  const keep = { choice: standing, reason: `kept for ${demand}` };
  if (isIntact && want.vetoed.length > 0) {
    const veto = want.vetoed[0]!;
    if (!fit.whole) board.notes.wait(`re-route of ${nameOfWant(want)}`, `a person took it back: ${veto.what}`, veto.until);
    return keep;
  }
  if (fit.whole) {
    if (!isIntact && isVetoed(want, standing)) return decide(board, want, [], options);
    return { ...keep, choice: considerFold(board, want, standing) ?? considerGain(board, want, standing, options) ?? standing };
  }
  if (isIntact && (board.guide?.isHolding || (standing.length > 1 && fit.carried >= PLANNER_SETTINGS.splitCarriedMin))) return keep;
  const reason = `${demand} exceeds ${limitText(board, fit)}`;
  const wider = extend(board, want, standing.map(({ way }) => way), options);
  if (wider?.fit.whole && !isVetoed(want, wider.choice)) return { choice: wider.choice, reason };
  const single = options.find((way) => !isVetoed(want, [{ way, weight: 100 }]) && board.ledger.fit([{ way, weight: 100 }], want).whole);
  if (single) return { choice: [{ way: single, weight: 100 }], reason };
  if (wider && wider.fit.carried > fit.carried + PLANNER_SETTINGS.carriedGainMin && !isVetoed(want, wider.choice)) return { choice: wider.choice, reason };
  return keep;
}

/** What carried the want before and still may, with the weights it had. */
function currentOf(board: Board, want: Want, options: Options): Choice {
  if (want.released) return [];
  const allowed = new Set(options.ways.map((way) => way.key));
  const current = board.previousWays(want).filter(({ way }) => allowed.has(way.key));
  while (current.length > 1 && board.ledger.fullNode(current.flatMap(({ way }) => way.hops)) !== null) current.pop();
  return current;
}

function placePinned(board: Board, want: Want): boolean {
  const { path, override } = want.pinned!;
  const hop = board.network.hops(want.pair).find((each) => each.path === path);
  const pinned = want.pinned!.isOfClass ? nameOfWant(want) : want.pair.key;
  const what = `override ${override}: pin ${pinned} to ${path}`;
  const refusal = !hop ? 'it is no path between the serving nodes of the pair' : isPinnable(hop) ? slotRefusal(board, [hop]) : hop.refusals.map((each) => each.reason).join('; ');
  if (!hop || refusal) {
    board.notes.wait(what, refusal ?? '', null);
    return false;
  }
  board.commit(want, [{ way: board.network.directWay(want.pair, hop), weight: 100 }], `override ${override} pins ${pinned} to this path`);
  reportRest(board, want);
  return true;
}

/** Relayed today: back to a direct path when that is clearly cheaper and takes nobody's slot. */
function prefersDirect(board: Board, want: Want, options: Options): boolean {
  const current = board.previousWays(want).filter(({ way }) => isWayUsable(way));
  if (current.length !== 1 || !board.ledger.fit(renormalise(current), want).whole) return false;
  return considerGain(board, want, renormalise(current), options.ways) !== null;
}

/** Keeps the slots of the direct share of a mixed choice until its turn with relays comes. */
function reserveDirect(board: Board, want: Want, options: Options): void {
  for (const { way } of currentOf(board, want, options)) {
    if (board.ledger.fullNode(way.hops) === null) for (const hop of way.hops) board.claim(hop, `kept for ${nameOfWant(want)}`);
  }
}

/**
 * A way although the SLA or even the probes say no: what ran goes on running. All tunnels of a pair that fall silent
 * together may as well be an agent that is restarted, and a plan cannot help a pair whose every path is dead.
 */
function leastBad(board: Board, want: Want): Choice | null {
  const before = board.previousWays(want).filter(({ way }) => board.ledger.fullNode(way.hops) === null);
  for (const isFit of [isUsable, isLastResort]) {
    const fit = renormalise(before.filter(({ way }) => way.hops.every(isFit)));
    if (fit.length > 0) return fit;
  }
  if (!want.base) return null;
  const hops = board.network.hops(want.pair).filter((hop) => isLastResort(hop) && board.ledger.fullNode([hop]) === null);
  const best = hops.sort((left, right) => unfitness(left) - unfitness(right) || left.latencyMs - right.latencyMs || (left.path < right.path ? -1 : 1))[0];
  return best ? [{ way: board.network.directWay(want.pair, best), weight: 100 }] : null;
}

function unfitness(hop: Hop): number {
  return (isUsable(hop) ? 0 : 2) + (hop.existing ? 0 : 1);
}

function reasonForFirst(want: Want, demand: string): string {
  if (want.base && !want.active) return `connection ${want.pair.connection.name} is always up`;
  return want.previous ? `replaces what carried ${demand}` : demand;
}

/** `80 % of 20 Mbit/s on berlin-gw1/fibre, 4 Mbit/s of it taken by what goes before`. */
function limitText(board: Board, fit: Fit): string {
  const takenMbps = board.ledger.placedMbps[fit.tightest!]!;
  const taken = takenMbps >= 0.05 ? `, ${formatMbps(takenMbps)} of it taken by what goes before` : '';
  return `${capacityText(board, fit.tightest!)}${taken}`;
}

/** `80 % of 20 Mbit/s on berlin-gw1/fibre`. */
function capacityText(board: Board, resource: number): string {
  const { resources } = board.network;
  const capacityMbps = resources.capacitiesMbps[resource]!;
  const share = capacityMbps > 0 ? Math.round((resources.limitsMbps[resource]! / capacityMbps) * 100) : 100;
  return `${share} % of ${formatMbps(capacityMbps)} on ${resources.names[resource]}`;
}

function reportRest(board: Board, want: Want): void {
  const placement = board.placements.get(want.key);
  if (!placement || placement.fit.whole) return;
  reportUnplaced(board, want, null, `${capacityText(board, placement.fit.tightest!)} is used up`, placement);
}

function reportUnplaced(board: Board, want: Want, share: 1 | null, reason: string, placement?: Placement): void {
  const { a, b } = want.pair;
  const lost = (fit: number): number => (share === 1 ? 1 : 1 - fit);
  const forwardMbps = want.forward.plannedMbps * lost(placement?.fit.forward ?? 0);
  const backwardMbps = want.backward.plannedMbps * lost(placement?.fit.backward ?? 0);
  board.notes.leave(a.id, b.id, want.trafficClass.id, forwardMbps, reason, want.pair.plane);
  board.notes.leave(b.id, a.id, want.trafficClass.id, backwardMbps, reason, want.pair.plane);
}

function vetoReason(want: Want): string | null {
  const veto = want.vetoed[0];
  return veto && !want.previous ? `a person took it back: ${veto.what}` : null;
}
