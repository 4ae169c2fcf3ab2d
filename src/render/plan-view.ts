import type { Assignment, NodeId, PathId, Plan, SiteId, Tunnel, TunnelId } from '../model/index.ts';

/** A plan with its lists indexed, for comparing. */
export interface PlanView {
  plan: Plan;
  tunnels: ReadonlyMap<TunnelId, Tunnel>;
  /** By `from>to class`. */
  assignments: ReadonlyMap<string, Assignment>;
  siteOfNode: ReadonlyMap<NodeId, SiteId>;
}

export function createPlanView(plan: Plan): PlanView {
  return {
    plan,
    tunnels: new Map(plan.tunnels.map((tunnel) => [tunnel.id, tunnel])),
    assignments: new Map(plan.assignments.map((assignment) => [assignmentKey(assignment), assignment])),
    siteOfNode: new Map([
      ...plan.tunnels.flatMap(({ a, b }): [NodeId, SiteId][] => [[a.node, a.site], [b.node, b.site]]),
      ...plan.servingNodes.map(({ site, node }): [NodeId, SiteId] => [node, site]),
    ]),
  };
}

export function assignmentKey({ from, to, classId }: Pick<Assignment, 'from' | 'to' | 'classId'>): string {
  return `${from}>${to} ${classId}`;
}

/** The paths of a list of tunnels; a tunnel the plan does not have gives nothing. */
export function pathsOf(view: PlanView, list: readonly TunnelId[]): PathId[] {
  return list.flatMap((id) => view.tunnels.get(id)?.path ?? []);
}

/** Per cent by path list: what routes come down to when tunnels of one path count as the same. */
export function weightsByPaths(view: PlanView, assignment: Assignment | undefined): Map<string, number> {
  const weights = new Map<string, number>();
  for (const { tunnels, weight } of assignment?.routes ?? []) {
    const key = pathsOf(view, tunnels).join('+');
    weights.set(key, (weights.get(key) ?? 0) + weight);
  }
  return weights;
}

/** `berlin>paris`, lesser first, of a tunnel's sites. */
export function sitePairOf(tunnel: Tunnel): string {
  const [one, other] = tunnel.a.site < tunnel.b.site ? [tunnel.a.site, tunnel.b.site] : [tunnel.b.site, tunnel.a.site];
  return `${one}>${other}`;
}
