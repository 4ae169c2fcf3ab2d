import { pairId, type Change, type NodeId, type SiteId } from '../model/index.ts';
import { fingerprint } from './fingerprint.ts';
import type { PlanView } from './plan-view.ts';

/**
 * Another gateway takes over a site: its LAN address and all its tunnels move. That interrupts nobody when the site is
 * new, and re-routes when the gateway that comes has a tunnel already wherever the site has one.
 */
export function servingChanges(before: PlanView, after: PlanView): Change[] {
  const then = new Map(before.plan.servingNodes.map(({ site, node }) => [site, node]));
  const now = new Map(after.plan.servingNodes.map(({ site, node }) => [site, node]));
  return [...new Set([...then.keys(), ...now.keys()])].flatMap((site): Change[] => {
    const [from, to] = [then.get(site), now.get(site)];
    if (from === to) return [];
    const key = { kind: 'serving-node', site, node: to ?? from! } as const;
    const summary = from === undefined ? `+ site ${site} served by ${to}` : to === undefined ? `- site ${site} (was served by ${from})` : `~ site ${site} served by ${to} instead of ${from}`;
    const nodes = [from, to].flatMap((node) => node ?? []);
    return [{ key, fingerprint: fingerprint(key), impact: from === undefined ? 'none' : to !== undefined && isWarm(before, site, to) ? 'reroute' : 'interrupt', summary, tunnel: null, pair: null, classId: null, paths: [], nodes }];
  });
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
  const serving = new Map([...before.plan.servingNodes, ...after.plan.servingNodes].map(({ site, node }) => [site, node]));
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
        nodes: [...serving].flatMap(([site, node]) => (sites.includes(site) ? [node] : [])),
      },
    ];
  });
}
