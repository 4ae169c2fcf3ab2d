import { compareText, hash32 } from '../base/index.ts';
import type { Assignment, ClassId, Lane, SiteId, TunnelId } from '../model/index.ts';

/** Marks are 0x1000 … 0x1000 + 2^28 - 1: clear of the marks and routing tables that machines commonly use. */
const MARK_BASE = 0x1000;
const MARK_SPACE = 2 ** 28;

/** A lane before it has its mark. */
export type UnmarkedLane = Omit<Lane, 'mark'>;

/** What a gateway's lanes need to know of tunnels. */
export interface TunnelFacts {
  /** It is one of this gateway's. */
  isOwn: (tunnel: TunnelId) => boolean;
  /** A gateway at one end of it does not serve its site. */
  isStandby: (tunnel: TunnelId) => boolean;
  /** Where gateways of one of the two sites share its traffic, those at its two ends, as one text; else the same for all. */
  gatewaysOf: (tunnel: TunnelId) => string;
}

/**
 * Lanes of one assignment as its own gateway sees them: a lane a route, led by the first tunnel of the route, then the
 * first tunnels of the backups, those between the same two gateways first, else in order. Routes that begin with the same
 * tunnel share a lane; what happens after the relay is the relay's choice. Of a site with several gateways each has the
 * lanes of the routes that begin with its own tunnels, and their weights are what it has of them; one that leads none of
 * the routes has those that its own tunnels leave; [] without any. Second copies go over the assignment's ways for them
 * first, then over any other, always between the gateways of the lane's first tunnel.
 */
export function lanesOf({ routes, backups, copies }: Assignment, { isOwn, isStandby, gatewaysOf }: TunnelFacts): UnmarkedLane[] {
  const lanes = new Map<string, UnmarkedLane>();
  const led = routes.filter(({ tunnels }) => isOwn(tunnels[0]!));
  for (const route of led.length > 0 ? led : routes) {
    const found = firstTunnels([route.tunnels, ...backups]).filter(isOwn);
    const isNear = (tunnel: TunnelId): boolean => gatewaysOf(tunnel) === gatewaysOf(found[0]!);
    const tunnels = [...found.filter(isNear), ...found.filter((tunnel) => !isNear(tunnel))];
    if (tunnels.length === 0) continue;
    const second = firstTunnels([...(copies ?? []), ...backups, ...routes.map((each) => each.tunnels)]).filter((tunnel) => isOwn(tunnel) && !isStandby(tunnel) && isNear(tunnel));
    const lane = lanes.get(tunnels.join()) ?? { tunnels, weight: 0, ...(copies && second.length > 0 ? { copies: second } : {}) };
    lane.weight += route.weight;
    lanes.set(tunnels.join(), lane);
  }
  return wholeShares([...lanes.values()]);
}

/** Weights that sum to 100: a gateway that shares traffic has part of the routes, and all of what its hosts send it. */
function wholeShares(lanes: UnmarkedLane[]): UnmarkedLane[] {
  const total = lanes.reduce((sum, { weight }) => sum + weight, 0);
  if (total === 100 || total === 0) return lanes;
  let owed = 0;
  return lanes.map((lane) => {
    const exact = (lane.weight * 100) / total;
    const weight = Math.round(exact + owed);
    owed += exact - weight;
    return { ...lane, weight };
  });
}

function firstTunnels(ways: readonly TunnelId[][]): TunnelId[] {
  return [...new Set(ways.flatMap((way) => way.slice(0, 1)))];
}

/**
 * Gives marks by content (far site, tunnels in order, those of second copies): the same content has the same mark on every node and in every
 * generation, so a changed lane never shares a routing table with the one it replaces. Two contents that hash alike on
 * one node are told apart by probing upwards in the order of their contents.
 */
export function assignMarks(contents: readonly LaneContent[]): (content: LaneContent) => number {
  const keys = [...new Set(contents.map(contentOf))].sort(compareText);
  const marks = new Map<string, number>();
  const taken = new Set<number>();
  for (const key of keys) {
    let offset = hash32(key) % MARK_SPACE;
    while (taken.has(offset)) offset = (offset + 1) % MARK_SPACE;
    taken.add(offset);
    marks.set(key, MARK_BASE + offset);
  }
  return (content) => marks.get(contentOf(content))!;
}

/** What a lane's mark depends on. */
export interface LaneContent {
  to: SiteId;
  tunnels: readonly TunnelId[];
  copies?: readonly TunnelId[];
  /** Of a class that is told by a mark on the first gateway: its lanes are its own, so that it can still be told later. */
  own?: ClassId;
}

export function markedLanes(assignment: { to: SiteId; lanes: readonly UnmarkedLane[]; own?: ClassId }, markOf: ReturnType<typeof assignMarks>): Lane[] {
  return assignment.lanes.map((lane) => ({ mark: markOf({ to: assignment.to, ...lane, ...(assignment.own ? { own: assignment.own } : {}) }), weight: lane.weight, tunnels: lane.tunnels, ...(lane.copies ? { copies: lane.copies } : {}) }));
}

function contentOf({ to, tunnels, copies, own }: LaneContent): string {
  return [to, ...tunnels, ...(copies ? ['twice', ...copies] : []), ...(own ? ['class', own] : [])].join(' ');
}
