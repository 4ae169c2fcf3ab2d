import { canonicalJson } from '../base/index.ts';
import { pairId, type Change, type Impact, type PathId, type Tunnel } from '../model/index.ts';
import { fingerprint } from './fingerprint.ts';
import type { PlanView } from './plan-view.ts';
import type { Means } from './traffic.ts';
import { lostImpact } from './impact.ts';

export interface TunnelChanges {
  coming: Change[];
  going: Change[];
  altered: Change[];
}

/**
 * Tunnels that come, go or change. The same path under another profile is two changes, one coming, one going, both of
 * impact `rekey`: the new one is up before the old one goes. Removing a tunnel that carried traffic does nothing as
 * long as that traffic has another route in the new plan (the re-route is a change of its own); else it interrupts.
 */
export function tunnelChanges(before: PlanView, after: PlanView, means: Means): TunnelChanges {
  const isKept = (tunnel: Tunnel): boolean => before.tunnels.has(tunnel.id) && after.tunnels.has(tunnel.id);
  const coming = after.plan.tunnels.filter((tunnel) => !isKept(tunnel));
  const going = before.plan.tunnels.filter((tunnel) => !isKept(tunnel));
  const comingPaths = new Set<PathId>(coming.map((tunnel) => tunnel.path));
  const goingPaths = new Set<PathId>(going.map((tunnel) => tunnel.path));
  return {
    coming: coming.map((tunnel) => tunnelChange('tunnel-add', '+', tunnel, goingPaths.has(tunnel.path) ? 'rekey' : 'none')),
    going: going.map((tunnel) => tunnelChange('tunnel-remove', '-', tunnel, comingPaths.has(tunnel.path) ? 'rekey' : removalImpact(before, after, tunnel, means))),
    altered: before.plan.tunnels.flatMap((tunnel) => alteration(before, after, tunnel)),
  };
}

function tunnelChange(kind: 'tunnel-add' | 'tunnel-remove', sign: string, tunnel: Tunnel, impact: Impact, note = ''): Change {
  const key = { kind, path: tunnel.path, securityProfile: tunnel.securityProfile };
  const [one, other] = tunnel.a.site < tunnel.b.site ? [tunnel.a.site, tunnel.b.site] : [tunnel.b.site, tunnel.a.site];
  return {
    key,
    fingerprint: fingerprint(key),
    impact,
    summary: `${sign} tunnel ${tunnel.path} (${tunnel.securityProfile})${note}`,
    tunnel: tunnel.id,
    pair: pairId(one, other),
    classId: null,
    paths: [tunnel.path],
    nodes: [tunnel.a.node, tunnel.b.node],
  };
}

/** The worst of what becomes of the traffic whose first choice the tunnel was. */
function removalImpact(before: PlanView, after: PlanView, tunnel: Tunnel, means: Means): Impact {
  const used = [...before.assignments].filter(([, { routes }]) => routes.some(({ tunnels }) => tunnels.includes(tunnel.id)));
  return used.some(([key, assignment]) => !after.assignments.has(key) && lostImpact(before, after, assignment, means) === 'interrupt') ? 'interrupt' : 'none';
}

/** The same tunnel with other timers (`rekey`), or with another address or overlay (it has to be built anew: `interrupt`). */
function alteration(before: PlanView, after: PlanView, old: Tunnel): Change[] {
  const tunnel = after.tunnels.get(old.id);
  if (!tunnel) return [];
  const isMoved = canonicalJson([old.a, old.b, old.index]) !== canonicalJson([tunnel.a, tunnel.b, tunnel.index]);
  if (isMoved) return [tunnelChange('tunnel-add', '~', tunnel, 'interrupt', ': another address')];
  const profileIn = (view: PlanView, name: string): string => canonicalJson(view.plan.securityProfiles.find((profile) => profile.name === name) ?? null);
  const isRetimed = profileIn(before, old.securityProfile) !== profileIn(after, tunnel.securityProfile);
  return isRetimed ? [tunnelChange('tunnel-add', '~', tunnel, 'rekey', ': other rekey times')] : [];
}
