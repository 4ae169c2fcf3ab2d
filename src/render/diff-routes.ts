import { sortedBy } from '../base/index.ts';
import { pairId, type Assignment, type Change, type Impact, type NodeId, type PathId, type TunnelId } from '../model/index.ts';
import { fingerprint } from './fingerprint.ts';
import { lostImpact } from './impact.ts';
import type { Means } from './traffic.ts';
import { assignmentKey, pathsOf, weightsByPaths, type PlanView } from './plan-view.ts';

/**
 * (Pair, class)es whose routes, weights, backups or ways of second copies change, by paths. Both directions that change alike are one change,
 * named after the lesser site. New routes where there were none disturb nobody; a change of backups alone neither: its
 * key lists routes and backups with an empty list between them, so that taking it back vetoes no route.
 */
export function routeChanges(before: PlanView, after: PlanView, means: Means): Change[] {
  const keys = new Set([...before.assignments.keys(), ...after.assignments.keys()]);
  return [...keys].flatMap((key): Change[] => {
    const then = before.assignments.get(key);
    const now = after.assignments.get(key);
    const { from, to, classId } = (now ?? then)!;
    if (from > to && isMirrored(before, then) && isMirrored(after, now)) return [];
    const routes = describeRoutes(after, now);
    const backups = describeBackups(after, now);
    const areRoutesSame = describeRoutes(before, then) === routes;
    if (areRoutesSame && describeBackups(before, then) === backups) return [];
    const routePaths = sortedBy(uniquePaths(after, now?.routes.map((route) => route.tunnels) ?? []), (list) => list.join('+'));
    const backupPaths = uniquePaths(after, now?.backups ?? []);
    const paths = areRoutesSame ? [...routePaths, [], ...backupPaths] : routePaths;
    const changeKey = { kind: 'reroute' as const, pair: pairId(from, to), classId, paths };
    const pair = `${from}–${to}`;
    return [
      {
        key: changeKey,
        fingerprint: fingerprint(changeKey),
        impact: areRoutesSame ? 'none' : routeImpact(before, after, then, now, means),
        summary: areRoutesSame
          ? `~ backups of ${classId} ${pair}: ${backups || 'none'}`
          : `${then ? (now ? '~' : '-') : '+'} route of ${classId} ${pair}: ${routes || 'none'}${then && now ? ` instead of ${describeRoutes(before, then)}` : ''}`,
        tunnel: null,
        pair: pairId(from, to),
        classId,
        paths: [...new Set(paths.flat())],
        nodes: nodesOf(before, after, then, now),
      },
    ];
  });
}

function routeImpact(before: PlanView, after: PlanView, then: Assignment | undefined, now: Assignment | undefined, means: Means): Impact {
  if (!then) return 'none';
  return now ? 'reroute' : lostImpact(before, after, then, means);
}

/** True when the other direction is the same turned round, so that one change tells both. */
function isMirrored(view: PlanView, assignment: Assignment | undefined): boolean {
  if (!assignment) return true;
  const other = view.assignments.get(assignmentKey({ from: assignment.to, to: assignment.from, classId: assignment.classId }));
  const turned: Assignment = { ...assignment, routes: assignment.routes.map(({ tunnels, weight }) => ({ tunnels: tunnels.toReversed(), weight })), backups: assignment.backups.map((way) => way.toReversed()), ...(assignment.copies ? { copies: assignment.copies.map((way) => way.toReversed()) } : {}) };
  return describeRoutes(view, other) === describeRoutes(view, turned) && describeBackups(view, other) === describeBackups(view, turned);
}

/** `berlin-gw1/fibre~paris-gw1/dsl 70 %, …`, in order of paths. */
function describeRoutes(view: PlanView, assignment: Assignment | undefined): string {
  return [...weightsByPaths(view, assignment)]
    .map(([paths, weight]) => `${paths} ${weight} %`)
    .sort()
    .join(', ');
}

function describeBackups(view: PlanView, assignment: Assignment | undefined): string {
  const namesOf = (ways: readonly TunnelId[][]): string => ways.map((way) => pathsOf(view, way).join('+')).join(', ');
  const copies = namesOf(assignment?.copies ?? []);
  return `${namesOf(assignment?.backups ?? [])}${copies === '' ? '' : `; second copies over ${copies}`}`;
}

function uniquePaths(view: PlanView, ways: readonly (readonly TunnelId[])[]): PathId[][] {
  const lists = new Map(ways.map((way) => [pathsOf(view, way).join('+'), pathsOf(view, way)]));
  return [...lists.values()];
}

function nodesOf(before: PlanView, after: PlanView, then: Assignment | undefined, now: Assignment | undefined): NodeId[] {
  const nodes = [
    [before, then] as const,
    [after, now] as const,
  ].flatMap(([view, assignment]) =>
    [...(assignment?.routes.map((route) => route.tunnels) ?? []), ...(assignment?.backups ?? [])].flat().flatMap((id) => {
      const tunnel = view.tunnels.get(id);
      return tunnel ? [tunnel.a.node, tunnel.b.node] : [];
    }),
  );
  return [...new Set(nodes)].sort();
}
