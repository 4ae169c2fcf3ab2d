import { pairId, type Change, type NodeId, type SiteId } from '../model/index.ts';
import { fingerprint } from './fingerprint.ts';
import type { PlanView } from './plan-view.ts';

/**
 * Another gateway takes over a site, or shares its traffic from now on: its LAN address and tunnels move. That interrupts
 * nobody when the site is new, and re-routes when a gateway that served stays, or the one that comes has a tunnel already
 * wherever the site has one.
 */
export function servingChanges(before: PlanView, after: PlanView): Change[] {
  const then = nodesBySite(before);
  const now = nodesBySite(after);
  return [...new Set([...then.keys(), ...now.keys()])].flatMap((site): Change[] => {
    const [from, to] = [then.get(site) ?? [], now.get(site) ?? []];
    if (from.join() === to.join()) return [];
    const node = to.find((id) => !from.includes(id)) ?? to[0] ?? from[0]!;
    const key = { kind: 'serving-node', site, node } as const;
    const [was, is] = [from.join(' and '), to.join(' and ')];
    const summary = from.length === 0 ? `+ site ${site} served by ${is}` : to.length === 0 ? `- site ${site} (was served by ${was})` : `~ site ${site} served by ${is} instead of ${was}`;
    const isSmooth = to.some((id) => from.includes(id)) || to.some((id) => isWarm(before, site, id));
    const impact = from.length === 0 ? 'none' : to.length > 0 && isSmooth ? 'reroute' : 'interrupt';
    return [{ key, fingerprint: fingerprint(key), impact, summary, tunnel: null, pair: null, classId: null, paths: [], nodes: [...from, ...to.filter((id) => !from.includes(id))] }];
  });
}

function nodesBySite({ plan }: PlanView): Map<SiteId, NodeId[]> {
  const nodes = new Map<SiteId, NodeId[]>();
  for (const { site, node } of plan.servingNodes) nodes.set(site, [...(nodes.get(site) ?? []), node]);
  return nodes;
}

function isWarm({ plan }: PlanView, site: SiteId, node: NodeId): boolean {
  const ends = plan.tunnels.flatMap(({ a, b }) => (a.site === site ? [{ own: a, far: b.site }] : b.site === site ? [{ own: b, far: a.site }] : []));
  const warm = new Set(ends.filter(({ own }) => own.node === node).map(({ far }) => far));
  return ends.every(({ far }) => warm.has(far));
}

/** Pairs whose traffic gateways forward from now on, or no longer. Taking away what had a route interrupts it. */
export function admissionChanges(before: PlanView, after: PlanView): Change[] {
  const then = new Set(before.plan.admitted.map(([one, other]) => pairId(one, other)));
  const now = new Set(after.plan.admitted.map(([one, other]) => pairId(one, other)));
  const serving = new Map([...nodesBySite(before), ...nodesBySite(after)]);
  return [...new Set([...then, ...now])].flatMap((pair): Change[] => {
    if (then.has(pair) === now.has(pair)) return [];
    const key = { kind: 'admission', pair } as const;
    const sites = pair.split('>');
    const hadRoute = before.plan.assignments.some(({ from, to }) => sites.includes(from) && sites.includes(to));
    return [
      {
        key,
        fingerprint: fingerprint(key),
        impact: now.has(pair) || !hadRoute ? 'none' : 'interrupt',
        summary: `${now.has(pair) ? '+' : '-'} ${sites.join(' and ')} may talk`,
        tunnel: null,
        pair,
        classId: null,
        paths: [],
        nodes: [...serving].flatMap(([site, nodes]) => (sites.includes(site) ? nodes : [])),
      },
    ];
  });
}
