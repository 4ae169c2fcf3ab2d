import { digest } from '../../base/index.ts';
import { getOrSet } from '../tunnel-usage.ts';
import { findUplink, nodesOf, type Intent, type NodeId, type Plan, type SiteId, type UplinkId } from '../../model/index.ts';

/** Which counters can speak for which traffic, out of intent and live plan. */
export interface Topology {
  nodes: Map<NodeId, { site: SiteId; isRelay: boolean; /** Some of what it is offered goes over two tunnels at once. */ sendsTwice?: boolean }>;
  tunnels: Map<string, { ends: [NodeId, NodeId]; uplinks: [UplinkId, UplinkId] }>;
  /** What each uplink carries at most, Mbit/s. */
  uplinks: Map<UplinkId, { upMbps: number; downMbps: number }>;
  /** `from>to` → tunnels over which the pair's traffic may arrive. A pair that is not here has no way, so nobody else can have seen it. */
  lastHops: Map<string, Set<string>>;
  /** `from>to` → more than its uplinks carry nobody can plan for. */
  capacityMbps: (from: SiteId, to: SiteId) => number;
}

export function topologyOf(intent: Intent, plan: Plan): Topology {
  const tunnels = new Map(plan.tunnels.map(({ id, a, b }) => [id as string, { ends: [a.node, b.node] as [NodeId, NodeId], uplinks: [a.uplink, b.uplink] as [UplinkId, UplinkId] }]));
  const relays = new Set<SiteId>();
  const doublers = new Set<SiteId>();
  const siteOf = new Map(nodesOf(intent).map(({ id, site }) => [id, site]));
  const lastHops = new Map<string, Set<string>>();
  for (const { from, to, routes, backups, copies = [] } of plan.assignments) {
    if (copies.length > 0) doublers.add(from);
    for (const way of [...routes.map((route) => route.tunnels), ...backups, ...copies]) {
      const hops = getOrSet(lastHops, `${from}>${to}`, () => new Set<string>());
      for (const id of way) {
        const sites = tunnels.get(id)?.ends.map((node) => siteOf.get(node)) ?? [];
        if (sites.includes(to)) hops.add(id);
        for (const site of sites) if (site !== undefined && site !== from && site !== to) relays.add(site);
      }
    }
  }
  const uplinks = new Map([...tunnels.values()].flatMap((tunnel) => tunnel.uplinks).flatMap((id) => {
    const uplink = findUplink(intent, id);
    return uplink ? [[id, { upMbps: uplink.upMbps, downMbps: uplink.downMbps }] as const] : [];
  }));
  return {
    nodes: new Map(nodesOf(intent).map(({ id, site }) => [id, { site, isRelay: relays.has(site), sendsTwice: doublers.has(site) }])),
    tunnels,
    uplinks,
    lastHops,
    capacityMbps: capacityOf(intent),
  };
}

/** What the uplinks of two sites carry of a pair at most, Mbit/s. */
export function capacityOf(intent: Intent): Topology['capacityMbps'] {
  const totals = new Map(
    intent.sites.map(({ id, nodes }) => {
      const all = nodes.flatMap((node) => node.uplinks);
      return [id, { upMbps: sumOf(all, (uplink) => uplink.upMbps), downMbps: sumOf(all, (uplink) => uplink.downMbps) }];
    }),
  );
  return (from, to) => Math.min(totals.get(from)?.upMbps ?? Infinity, totals.get(to)?.downMbps ?? Infinity);
}

/**
 * Of the time in which nodes go from one plan to the next: the tunnels and ways of both. A tunnel that is not counted by
 * then leaves its two ends without a witness, and all others are judged as ever.
 */
export function joinTopologies(before: Topology, after: Topology): Topology {
  const lastHops = new Map([...before.lastHops].map(([pair, hops]) => [pair, new Set(hops)]));
  for (const [pair, hops] of after.lastHops) for (const hop of hops) getOrSet(lastHops, pair, () => new Set<string>()).add(hop);
  const nodes = new Map([...after.nodes].map(([id, node]) => [id, { ...node, isRelay: node.isRelay || before.nodes.get(id)?.isRelay === true, sendsTwice: node.sendsTwice === true || before.nodes.get(id)?.sendsTwice === true }]));
  return { ...after, nodes, tunnels: new Map([...before.tunnels, ...after.tunnels]), uplinks: new Map([...before.uplinks, ...after.uplinks]), lastHops };
}

/** Two with the same text lead to the same judgements, however traffic is split. */
export function topologyText({ nodes, tunnels, lastHops }: Topology): string {
  return digest([[...nodes.keys()], [...tunnels.keys()], [...lastHops].map(([pair, hops]) => [pair, [...hops].sort()])]);
}

function sumOf<T>(items: readonly T[], figure: (item: T) => number): number {
  return items.reduce((sum, item) => sum + figure(item), 0);
}
