import type { ClassId, TunnelId } from '../../src/model/index.ts';
import type { ProbeView } from '../probe/index.ts';

/** How much a tunnel may be trusted with traffic. `leaving`: it answers, and one end asks to use another where there is one. `stale`: it worked and still has its SA and interface, but does not answer. */
export type TunnelHealth = 'up' | 'leaving' | 'degraded' | 'stale' | 'absent';

export function isReady(health: TunnelHealth): boolean {
  return health === 'up' || health === 'leaving' || health === 'degraded';
}

/**
 * How far a tunnel may be trusted, with the interfaces that are there (or about to be).
 * @param adopted  found working when the agent began
 * @param renewing  whose keys are being made anew from here
 * @param classes  who is to use it: a path that does not keep the SLA of one of them is degraded for all of them
 */
export function healthOf(
  tunnel: TunnelId,
  interfaces: ReadonlySet<TunnelId>,
  adopted: ReadonlySet<TunnelId> | null,
  probes: ReadonlyMap<TunnelId, ProbeView>,
  renewing: ReadonlySet<TunnelId>,
  classes: readonly ClassId[] = [],
): TunnelHealth {
  if (!interfaces.has(tunnel)) return 'absent';
  const probe = probes.get(tunnel);
  if (probe?.state === 'up' || probe?.state === 'degraded') {
    if (probe.peerRenews || probe.peerLame || renewing.has(tunnel)) return 'leaving';
    return classes.some((classId) => probe.violated.includes(classId)) ? 'degraded' : probe.state;
  }
  return probe?.wasEverUp === true || adopted?.has(tunnel) === true ? 'stale' : 'absent';
}
