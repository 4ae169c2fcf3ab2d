import { compareText } from '../../src/base/index.ts';
import type { Lane, Steering, TunnelId } from '../../src/model/index.ts';
import type { LaneWanted } from '../ports.ts';
import type { TunnelHealth } from './health.ts';

/**
 * Points each lane at the tunnel that should carry it now. In this order: the lane's first tunnel that is up; where one
 * is leaving, an up one of the other lanes of the same classes to the same site, else the leaving one; its first degraded
 * one; an up, then a degraded one of those other lanes; what it points at already, if that still has its interface (fail static: a silent peer agent is not a dead path, and the
 * guards keep clear text in); its first stale one; nothing (unreachable).
 *
 * @param healthOf  of tunnels as the kernel has, or is about to have, them
 * @param previous  what each mark points at now
 * @returns sorted by mark, one entry a mark, prefixes sorted
 */
export function chooseLanes(
  inForce: readonly Steering[],
  healthOf: (tunnel: TunnelId) => TunnelHealth,
  previous: ReadonlyMap<number, TunnelId | null>,
): LaneWanted[] {
  const users = new Map<number, { lane: Lane; steerings: Steering[] }>();
  for (const steering of inForce) {
    for (const lane of steering.lanes) {
      const found = users.get(lane.mark);
      if (found) found.steerings.push(steering);
      else users.set(lane.mark, { lane, steerings: [steering] });
    }
  }
  return [...users.values()]
    .sort((left, right) => left.lane.mark - right.lane.mark)
    .map(({ lane, steerings }) => ({
      mark: lane.mark,
      prefixes: [...new Set(steerings.flatMap((steering) => steering.prefixes))].sort(compareText),
      active: activeTunnel(lane, siblingTunnels(lane, steerings), healthOf, previous.get(lane.mark) ?? null),
    }));
}

/** The lanes of `next` that point elsewhere than in `current`. */
export function changedLanes(current: readonly LaneWanted[], next: readonly LaneWanted[]): LaneWanted[] {
  const active = new Map(current.map((lane) => [lane.mark, lane.active]));
  return next.filter((lane) => active.has(lane.mark) && active.get(lane.mark) !== lane.active);
}

function activeTunnel(lane: Lane, siblings: readonly TunnelId[], healthOf: (tunnel: TunnelId) => TunnelHealth, previous: TunnelId | null): TunnelId | null {
  const first = (tunnels: readonly TunnelId[], health: TunnelHealth): TunnelId | undefined => tunnels.find((tunnel) => healthOf(tunnel) === health);
  const stillThere = previous !== null && healthOf(previous) !== 'absent' && [...lane.tunnels, ...siblings].includes(previous) ? previous : undefined;
  const whileLeaving = (): TunnelId | undefined => {
    const leaving = first(lane.tunnels, 'leaving');
    return leaving === undefined ? undefined : (first(siblings, 'up') ?? leaving);
  };
  return (
    first(lane.tunnels, 'up') ?? whileLeaving() ?? first(lane.tunnels, 'degraded') ?? first(siblings, 'up') ?? first(siblings, 'degraded') ?? stillThere ?? first(lane.tunnels, 'stale') ?? null
  );
}

/** Tunnels of other lanes that every class on this lane may use as well: sharing a mark must not widen what a class may use. */
function siblingTunnels(lane: Lane, steerings: readonly Steering[]): TunnelId[] {
  const [first, ...rest] = steerings.map((steering) => steering.lanes.flatMap((other) => other.tunnels));
  return [...new Set(first ?? [])].filter((tunnel) => !lane.tunnels.includes(tunnel) && rest.every((tunnels) => tunnels.includes(tunnel)));
}
