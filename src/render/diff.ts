import { compareText, digest, roundTo } from '../base/index.ts';
import { sitesOfPair, type Change, type Changeset, type ClassId, type Forecast, type Impact, type Intent, type PairId, type Plan, type SiteId } from '../model/index.ts';
import { admissionChanges, servingChanges } from './diff-sites.ts';
import { routeChanges } from './diff-routes.ts';
import { tunnelChanges } from './diff-tunnels.ts';
import { meanDemands, trafficShareMoved, usdPerMonthOf } from './traffic.ts';
import { assignmentKey, createPlanView } from './plan-view.ts';

const NOTHING: ReadonlySet<string> = new Set();

/** From harmless to worst. */
const IMPACTS: readonly Impact[] = ['none', 'rekey', 'reroute', 'interrupt'];

/**
 * What changes between two plans, and what each change does to traffic. Tunnels are compared by id, routes by the paths
 * they take, so that new crypto on the same path counts as a rekey and not as a re-route. Overrides and vetoes are not
 * changes of the network and do not show.
 * @param forecast  for the share of traffic moved (by its p50) and the cost; without one every (pair, class) weighs the
 *                  same and money is 0
 * @param consented  fingerprints of changes to leave out, with all they count for: what is left is what nobody has seen
 */
export function diff(intent: Intent, previous: Plan, next: Plan, forecast: Forecast | null, consented: ReadonlySet<string> = NOTHING): Changeset {
  const before = createPlanView(previous);
  const after = createPlanView(next);
  const means = meanDemands(forecast);
  const isOpen = (change: Change): boolean => !consented.has(change.fingerprint);
  const tunnels = tunnelChanges(before, after, means);
  const routes = routeChanges(before, after, means);
  const changes = [...servingChanges(before, after), ...admissionChanges(before, after), ...tunnels.coming, ...tunnels.going, ...tunnels.altered, ...routes]
    .filter(isOpen)
    .sort((left, right) => compareText(left.key.kind, right.key.kind) || compareText(left.summary, right.summary) || compareText(left.fingerprint, right.fingerprint));
  const settled = settledKeys(routes, isOpen);
  return {
    digest: digest(changes.map((change) => change.fingerprint).sort(compareText)),
    impact: changes.reduce<Impact>((worst, { impact }) => (IMPACTS.indexOf(impact) > IMPACTS.indexOf(worst) ? impact : worst), 'none'),
    changes,
    ...countTunnels(countByPair(tunnels.coming.filter(isOpen)), countByPair(tunnels.going.filter(isOpen))),
    sitesTouched: sitesTouched(changes, before, after),
    trafficMovedShare: roundTo(trafficShareMoved(before, after, means, settled), 6),
    usdPerMonthDelta: roundTo(usdPerMonthOf(intent, after, means, settled) - usdPerMonthOf(intent, before, means, settled), 2),
  };
}

/** (Pair, class)es whose change of route is left out, as keys of assignments; a change that tells both directions settles both. */
function settledKeys(routes: readonly Change[], isOpen: (change: Change) => boolean): Set<string> {
  const keyOf = (from: SiteId, to: SiteId, classId: ClassId): string => assignmentKey({ from, to, classId });
  const told = new Map(routes.flatMap((change) => (change.key.kind === 'reroute' ? [[keyOf(...directed(change.key.pair), change.key.classId), change] as const] : [])));
  const settled = new Set<string>();
  for (const change of told.values()) {
    if (change.key.kind !== 'reroute' || isOpen(change)) continue;
    const [from, to] = directed(change.key.pair);
    settled.add(keyOf(from, to, change.key.classId));
    if (!told.has(keyOf(to, from, change.key.classId))) settled.add(keyOf(to, from, change.key.classId));
  }
  return settled;
}

function directed(pair: PairId): [SiteId, SiteId] {
  return pair.split('>') as [SiteId, SiteId];
}

function countByPair(tunnels: readonly Change[]): Map<string, number> {
  const counts = new Map<string, number>();
  for (const { pair } of tunnels) counts.set(pair!, (counts.get(pair!) ?? 0) + 1);
  return counts;
}

/** One removed and one added between the same two sites are one moved. */
function countTunnels(added: ReadonlyMap<string, number>, removed: ReadonlyMap<string, number>): Pick<Changeset, 'tunnelsAdded' | 'tunnelsRemoved' | 'tunnelsMoved'> {
  const sum = (counts: ReadonlyMap<string, number>): number => [...counts.values()].reduce((total, count) => total + count, 0);
  const tunnelsMoved = [...added].reduce((total, [pair, count]) => total + Math.min(count, removed.get(pair) ?? 0), 0);
  return { tunnelsAdded: sum(added) - tunnelsMoved, tunnelsRemoved: sum(removed) - tunnelsMoved, tunnelsMoved };
}

/** Sites where something comes, goes or moves. Another order of ways to fall back to moves nothing, so it touches nobody. */
function sitesTouched(changes: readonly Change[], ...views: ReturnType<typeof createPlanView>[]): SiteId[] {
  const sites = new Set<SiteId>();
  for (const change of changes) {
    if (change.key.kind === 'reroute' && change.impact === 'none') continue;
    if (change.pair) for (const site of sitesOfPair(change.pair)) sites.add(site);
    if (change.key.kind === 'serving-node') sites.add(change.key.site);
    for (const node of change.nodes) {
      for (const view of views) {
        const site = view.siteOfNode.get(node);
        if (site) sites.add(site);
      }
    }
  }
  return [...sites].sort(compareText);
}
