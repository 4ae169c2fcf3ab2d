import { compareText, hash32 } from '../base/index.ts';
import type { Assignment, Lane, SiteId, TunnelId } from '../model/index.ts';

/** Marks are 0x1000 … 0x1000 + 2^28 - 1: clear of the marks and routing tables that machines commonly use. */
const MARK_BASE = 0x1000;
const MARK_SPACE = 2 ** 28;

/**
 * Lanes of one assignment as its own gateway sees them: a lane a route, led by the first tunnel of the route, then the
 * first tunnels of the backups in order. Routes that begin with the same tunnel share a lane; what happens after the
 * relay is the relay's choice.
 */
export function lanesOf(assignment: Assignment): { tunnels: TunnelId[]; weight: number }[] {
  const lanes = new Map<string, { tunnels: TunnelId[]; weight: number }>();
  for (const route of assignment.routes) {
    const ways = [route.tunnels, ...assignment.backups];
    const tunnels = [...new Set(ways.flatMap((way) => way.slice(0, 1)))];
    const lane = lanes.get(tunnels.join()) ?? { tunnels, weight: 0 };
    lane.weight += route.weight;
    lanes.set(tunnels.join(), lane);
  }
  return [...lanes.values()];
}

/**
 * Gives marks by content (far site and tunnels in order): the same content has the same mark on every node and in every
 * generation, so a changed lane never shares a routing table with the one it replaces. Two contents that hash alike on
 * one node are told apart by probing upwards in the order of their contents.
 */
export function assignMarks(contents: readonly { to: SiteId; tunnels: readonly TunnelId[] }[]): (to: SiteId, tunnels: readonly TunnelId[]) => number {
  const keys = [...new Set(contents.map(({ to, tunnels }) => contentOf(to, tunnels)))].sort(compareText);
  const marks = new Map<string, number>();
  const taken = new Set<number>();
  for (const key of keys) {
    let offset = hash32(key) % MARK_SPACE;
    while (taken.has(offset)) offset = (offset + 1) % MARK_SPACE;
    taken.add(offset);
    marks.set(key, MARK_BASE + offset);
  }
  return (to, tunnels) => marks.get(contentOf(to, tunnels))!;
}

export function markedLanes(assignment: { to: SiteId; lanes: readonly { tunnels: TunnelId[]; weight: number }[] }, markOf: ReturnType<typeof assignMarks>): Lane[] {
  return assignment.lanes.map(({ tunnels, weight }) => ({ mark: markOf(assignment.to, tunnels), weight, tunnels }));
}

function contentOf(to: SiteId, tunnels: readonly TunnelId[]): string {
  return `${to} ${tunnels.join(' ')}`;
}
