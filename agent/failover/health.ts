import type { TunnelId } from '../../src/model/index.ts';
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
 */
export function healthOf(
  tunnel: TunnelId,
  interfaces: ReadonlySet<TunnelId>,
  adopted: ReadonlySet<TunnelId> | null,
  probes: ReadonlyMap<TunnelId, ProbeView>,
  renewing: ReadonlySet<TunnelId>,
): TunnelHealth {
  if (!interfaces.has(tunnel)) return 'absent';
  const probe = probes.get(tunnel);
  if (probe?.state === 'up' || probe?.state === 'degraded') return probe.peerRenews || renewing.has(tunnel) ? 'leaving' : probe.state;
  return probe?.wasEverUp === true || adopted?.has(tunnel) === true ? 'stale' : 'absent';
}
