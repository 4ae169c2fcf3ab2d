import { compareText } from '../../src/base/index.ts';
import type { ClassId, Lane, Steering, TunnelId } from '../../src/model/index.ts';
import type { LaneWanted } from '../ports.ts';
import type { TunnelHealth } from './health.ts';

/**
 * Points each lane at the tunnel that should carry it now. In this order: the lane's first tunnel that is up; where one
 * is leaving, an up one of the other lanes of the same classes to the same site, else the leaving one; its first degraded
 * one; an up, then a degraded one of those other lanes; what it points at already, if that still has its interface (fail static: a silent peer agent is not a dead path, and the
 * guards keep clear text in); its first stale one; nothing (unreachable).
 *
 * A lane does not leave a silent tunnel for one that is in doubt: when an agent dies, all its tunnels fall silent at
 * once while what is sent through them still arrives, and to move from one to the next would only shake the traffic.
 * The doubt lasts a round trip, or until that tunnel is down too; whatever else was up comes into question then. Nor
 * does it leave a tunnel that will be up again in a moment for another that is so a little sooner.
 *
 * A second copy goes over the first of the lane's tunnels for copies that is up, else degraded, and is not the active one;
 * while nothing answers it stays where it is, and without a second tunnel it is not sent.
 *
 * @param healthOf  of tunnels as the kernel has, or is about to have, them, for the classes that are to use them
 * @param previous  what each mark points at now
 * @param trust  `isDoubted`: asked whether it still answers, since another tunnel fell silent, and has not answered yet; `isReturning`: down, answering again, and up within a moment
 * @returns sorted by mark, one entry a mark, prefixes sorted
 */
export function chooseLanes(
  inForce: readonly Steering[],
  healthOf: (tunnel: TunnelId, classes: readonly ClassId[]) => TunnelHealth,
  previous: ReadonlyMap<number, Pick<LaneWanted, 'active' | 'copy'>>,
  trust: Pick<ReadonlyMap<TunnelId, { isDoubted: boolean; isReturning: boolean }>, 'get'> = new Map(),
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
    .map(({ lane, steerings }) => {
      const before = previous.get(lane.mark);
      const classes = steerings.map(({ classId }) => classId);
      const healthForThem = (tunnel: TunnelId): TunnelHealth => healthOf(tunnel, classes);
      const now = before?.active ?? null;
      const siblings = siblingTunnels(lane, steerings);
      const best = activeTunnel(lane, siblings, healthForThem, now);
      const isHeldBack = best !== null && now !== null && (trust.get(best)?.isDoubted === true || trust.get(now)?.isReturning === true) && healthForThem(now) === 'stale' && [...lane.tunnels, ...siblings].includes(now);
      const active = isHeldBack ? now : best;
      return {
        mark: lane.mark,
        prefixes: [...new Set(steerings.flatMap((steering) => steering.prefixes))].sort(compareText),
        active,
        ...(lane.copies ? { copy: copyTunnel(lane.copies, active, healthForThem, before?.copy ?? null) } : {}),
      };
    });
}

/** The lanes of `next` that point elsewhere than in `current`. */
export function changedLanes(current: readonly LaneWanted[], next: readonly LaneWanted[]): LaneWanted[] {
  const before = new Map(current.map((lane) => [lane.mark, lane]));
  return next.filter((lane) => {
    const then = before.get(lane.mark);
    return then !== undefined && (then.active !== lane.active || then.copy !== lane.copy);
  });
}

/** The lane pointed where another reading of it points: at the same tunnel, its copies too. */
export function pointedAs(lane: LaneWanted, { active, copy = null }: Pick<LaneWanted, 'active' | 'copy'>): LaneWanted {
  return { ...lane, active, ...(lane.copy === undefined ? {} : { copy }) };
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

function copyTunnel(copies: readonly TunnelId[], active: TunnelId | null, healthOf: (tunnel: TunnelId) => TunnelHealth, previous: TunnelId | null): TunnelId | null {
  if (active === null) return null; // only what is forwarded is copied
  const others = copies.filter((tunnel) => tunnel !== active);
  const first = (health: TunnelHealth): TunnelId | undefined => others.find((tunnel) => healthOf(tunnel) === health);
  const isBlind = healthOf(active) === 'stale';
  const stillThere = isBlind && previous !== null && others.includes(previous) && healthOf(previous) === 'stale' ? previous : undefined;
  return first('up') ?? first('degraded') ?? stillThere ?? null;
}

/** Tunnels of other lanes that every class on this lane may use as well: sharing a mark must not widen what a class may use. */
function siblingTunnels(lane: Lane, steerings: readonly Steering[]): TunnelId[] {
  const [first, ...rest] = steerings.map((steering) => steering.lanes.flatMap((other) => other.tunnels));
  return [...new Set(first ?? [])].filter((tunnel) => !lane.tunnels.includes(tunnel) && rest.every((tunnels) => tunnels.includes(tunnel)));
}
