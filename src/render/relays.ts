import type { Assignment, Plan, SiteId, TunnelId } from '../model/index.ts';

/** A way (route or backup, from the assignment's `from`) that two tunnels make by meeting at a relay. */
export interface RelayedWay {
  assignment: Assignment;
  list: TunnelId[];
}

/** All relayed ways of a plan by the site that relays them, in plan order. */
export function relayedWays(plan: Plan): Map<SiteId, RelayedWay[]> {
  const tunnels = new Map(plan.tunnels.map((tunnel) => [tunnel.id, tunnel]));
  const bySite = new Map<SiteId, RelayedWay[]>();
  for (const assignment of plan.assignments) {
    for (const list of [...assignment.routes.map((route) => route.tunnels), ...assignment.backups]) {
      const first = list.length === 2 ? tunnels.get(list[0]!) : undefined;
      if (!first) continue;
      const relay = first.a.site === assignment.from ? first.b.site : first.a.site;
      const ways = bySite.get(relay) ?? [];
      ways.push({ assignment, list });
      bySite.set(relay, ways);
    }
  }
  return bySite;
}
