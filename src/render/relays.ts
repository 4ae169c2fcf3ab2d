import type { Assignment, Plan, SiteId, TunnelId } from '../model/index.ts';

/** Every way (route or backup, from the assignment's `from`) that two tunnels make by meeting at this site, in plan order. */
export function relayedThrough(plan: Plan, site: SiteId): { assignment: Assignment; list: TunnelId[] }[] {
  const tunnels = new Map(plan.tunnels.map((tunnel) => [tunnel.id, tunnel]));
  return plan.assignments.flatMap((assignment) => {
    if (assignment.from === site || assignment.to === site) return [];
    const lists = [...assignment.routes.map((route) => route.tunnels), ...assignment.backups];
    return lists
      .filter((list) => {
        const first = tunnels.get(list[0]!);
        return list.length === 2 && first !== undefined && (first.a.site === site || first.b.site === site);
      })
      .map((list) => ({ assignment, list }));
  });
}
