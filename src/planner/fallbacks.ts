import { compareText, sortedBy } from '../base/index.ts';
import type { Assignment, Site, TunnelId } from '../model/index.ts';
import { avoidRefusals, isLastResort, isUsable, slaRefusal } from './admissibility.ts';
import { overlapOf } from './backups.ts';
import type { Board, Placement } from './board.ts';
import { PLANNER_SETTINGS } from './settings.ts';
import { standbyWays } from './standbys.ts';
import type { Hop, Way } from './types.ts';
import { relayWays } from './ways.ts';

/**
 * The ways a class of two sites falls back to, in order, from the lesser site: the routes of both halves, where gateways
 * share traffic; what each half falls back to by itself; last of all the ways that only stand by, those between gateways
 * that serve first. Which of them a gateway tries first is for it to say (src/render/lanes.ts).
 */
export function fallbacksOf(board: Board, halves: readonly Placement[], listed: Assignment | undefined): Hop[][] {
  const routes = halves.length > 1 ? halves.flatMap(({ choice }) => choice.flatMap(({ way }) => way.routes.map(({ hops }) => hops))) : [];
  const standing = halves.flatMap((placement) => standbyWays(board, placement));
  const isServing = (hops: readonly Hop[]): boolean => hops.every(({ ends }) => ends.every(({ site, node }) => board.network.serving.get(site.id)?.some(({ id }) => id === node.id)));
  return uniqueWays([
    ...sortedBy(routes, wayId),
    ...halves.flatMap((placement) => servingFallbacks(board, placement, listed)),
    ...standing.filter(isServing),
    ...standing.filter((hops) => !isServing(hops)),
  ]);
}

export function uniqueWays(ways: readonly Hop[][]): Hop[][] {
  return [...new Map(ways.map((hops) => [wayId(hops), hops])).values()];
}

function wayId(hops: readonly Hop[]): string {
  return hops.map((hop) => hop.tunnel).join();
}

/**
 * The ways a placement falls back to by itself, in order: its own other routes (a split), then the pair's other tunnels
 * (those within the class's SLA and least shared with the routes first), then other tunnels to the same relay, then,
 * when there is none of these, other relays over tunnels that exist; then the pair's tunnels of dead paths, which are of
 * use as soon as these are back, and gateways notice that before the engine. What was listed before keeps its place among its equals.
 */
export function servingFallbacks(board: Board, placement: Placement, listed: Assignment | undefined): Hop[][] {
  const { want, choice } = placement;
  const tunnels = board.ledger.claimedOf(want.pair);
  const routes = choice.flatMap(({ way }) => way.routes).map((route) => route.hops);
  const siblings = routes.length > 1 ? sortedBy(routes, (hops) => hops.map((hop) => hop.tunnel).join()) : [];
  const used = routes.flat();
  const ranked = (isWanted: (hop: Hop) => boolean): Hop[][] => rank(board, placement, tunnels.filter((hop) => isWanted(hop) && !used.includes(hop)), used, listed).map((hop) => [hop]);
  const living = [...siblings, ...ranked(isUsable), ...otherHops(board, placement)];
  const relayed = living.length > 0 ? [] : otherRelays(board, placement, used, listed);
  return [...living, ...relayed, ...ranked((hop) => !isUsable(hop) && isLastResort(hop))].slice(0, PLANNER_SETTINGS.backupsMax);
}

function otherRelays(board: Board, { want, choice }: Placement, used: readonly Hop[], listed: Assignment | undefined): Hop[][] {
  return relayWays(board, want.pair, want.trafficClass, 'claimed')
    .filter((way) => !choice.some((share) => share.way.key === way.key) && !way.hops.some((hop) => used.includes(hop)))
    .sort((left, right) => listedAt(left, listed) - listedAt(right, listed))
    .flatMap((way) => way.routes.slice(0, 1).map((route) => route.hops))
    .slice(0, 2);
}

/** For a relayed placement: the same relay reached over another tunnel, at one end or the other. */
function otherHops(board: Board, { want, choice }: Placement): Hop[][] {
  return choice.flatMap(({ way }) => {
    const relay = board.network.relays.find((site) => site.id === way.relay);
    const [near, far] = way.routes[0]!.hops;
    if (!relay || !near || !far) return [];
    const twins = (end: Site, used: Hop): Hop[] => {
      const claimed = board.ledger.claimedOf(board.network.pair(end.id, relay.id, want.pair.plane)!);
      return claimed.filter((hop) => hop !== used && !way.hops.includes(hop) && isUsable(hop) && avoidRefusals(want.pair, hop.ends, [relay]).length === 0);
    };
    return [...twins(want.pair.a, near).map((hop) => [hop, far]), ...twins(want.pair.b, far).map((hop) => [near, hop])];
  });
}

function rank(board: Board, { want }: Placement, hops: readonly Hop[], used: readonly Hop[], listed: Assignment | undefined): Hop[] {
  const ranked = hops.map((hop) => {
    const way = board.network.directWay(want.pair, hop);
    const position = listedAt(way, listed);
    const tolerance = Number.isFinite(position) ? PLANNER_SETTINGS.slaBackupRatio : 1;
    const overlap = overlapOf(hop, used);
    return { hop, keys: [slaRefusal(way, want.trafficClass, tolerance) === null ? 0 : 1, overlap.uplinks, overlap.risks, position, hop.latencyMs] };
  });
  ranked.sort((left, right) => {
    const index = left.keys.findIndex((key, at) => key !== right.keys[at]);
    return index < 0 ? compareText(left.hop.path, right.hop.path) : left.keys[index]! < right.keys[index]! ? -1 : 1;
  });
  return ranked.map(({ hop }) => hop);
}

/** Position in the previous list of fall-backs; infinite when new. */
function listedAt(way: Way, listed: Assignment | undefined): number {
  const tunnels: TunnelId[] = way.routes[0]!.hops.map((hop) => hop.tunnel);
  const index = listed?.backups.findIndex((backup) => backup.join() === tunnels.join()) ?? -1;
  return index < 0 ? Number.POSITIVE_INFINITY : index;
}
