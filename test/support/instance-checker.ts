import type { Instance, InstancePlan } from '../../src/planner/index.ts';

/** Relative and absolute slack: sums are taken in another order than the planner's. */
const SLACK = 1e-6;

/**
 * Every limit that a plan breaks, in words: slots, capacities, SLA, security, region, provider, demand, disjoint backups. Written from
 * the format alone, with none of the planner's code or tables.
 */
export function brokenLimits(instance: Instance, { tunnels, flows, backups }: InstancePlan): string[] {
  const broken: string[] = [];
  const load = new Map<string, { mbps: number; limit: number }>();
  const use = (resource: string, limit: number, mbps: number): void => {
    load.set(resource, { limit, mbps: (load.get(resource)?.mbps ?? 0) + mbps });
  };
  const active = (site: number): Instance['gateways'] => instance.gateways.filter((gateway) => gateway.site === site && gateway.role === 'active');
  const total = (site: number, of: 'cryptoMbps' | 'maxTunnels'): number => active(site).reduce((sum, gateway) => sum + gateway[of], 0);
  const siteOf = (uplink: number): number => instance.uplinks[uplink]!.site;

  const ends = tunnels.flatMap((link) => [siteOf(instance.links[link]![0]), siteOf(instance.links[link]![1])]);
  for (const site of instance.sites.keys()) {
    const count = ends.filter((end) => end === site).length;
    if (count > total(site, 'maxTunnels')) broken.push(`site ${site} has ${count} tunnels of ${total(site, 'maxTunnels')}`);
  }
  if (new Set(tunnels).size < tunnels.length) broken.push('a tunnel is listed twice');

  /** Uplinks in pairs [from, to], hop by hop; null when the way is not one. */
  const walk = (demand: Instance['demands'][number], links: readonly number[]): [number, number][] | null => {
    const hops: [number, number][] = [];
    let at = demand.src;
    for (const link of links) {
      const [a, b] = instance.links[link]!;
      const hop: [number, number] = siteOf(a) === at ? [a, b] : [b, a];
      if (siteOf(hop[0]) !== at || !tunnels.includes(link)) return null;
      hops.push(hop);
      at = siteOf(hop[1]);
    }
    return at === demand.dst && hops.length >= 1 && hops.length <= 2 ? hops : null;
  };
  const judge = (what: string, index: number, links: readonly number[]): [number, number][] => {
    const demand = instance.demands[index]!;
    const cls = instance.classes[demand.cls]!;
    const hops = walk(demand, links);
    if (hops === null) {
      broken.push(`${what} of demand ${index} is no way over tunnels: ${links.join(', ')}`);
      return [];
    }
    const sites = [demand.src, ...hops.map(([, to]) => siteOf(to))];
    const rttMs = links.reduce((sum, link) => sum + instance.links[link]![2], 0) + (links.length - 1) * instance.relayMs;
    const lossPct = 100 * (1 - links.reduce((passes, link) => passes * (1 - instance.links[link]![3] / 100), 1));
    if (rttMs > cls.maxRttMs || lossPct > cls.maxLossPct + SLACK) broken.push(`${what} of demand ${index} breaks its SLA`);
    if (links.length === 2 && !instance.sites[sites[1]!]!.relay) broken.push(`${what} of demand ${index} leads over a site that is no relay`);
    if (sites.some((site) => Math.max(0, ...active(site).map(({ security }) => security)) < cls.minSecurity)) broken.push(`${what} of demand ${index} breaks security`);
    if (demand.regionLock !== undefined && sites.some((site) => instance.sites[site]!.region !== demand.regionLock)) broken.push(`${what} of demand ${index} leaves its region`);
    if (hops.flat().some((uplink) => demand.avoid?.includes(instance.uplinks[uplink]!.provider))) broken.push(`${what} of demand ${index} uses a provider it avoids`);
    return hops;
  };

  const served = new Map<number, number>();
  for (const { demand: index, links, mbps } of flows) {
    if (!(mbps >= 0)) broken.push(`demand ${index} sends ${mbps}`);
    served.set(index, (served.get(index) ?? 0) + mbps);
    const demand = instance.demands[index]!;
    for (const [hop, [from, to]] of judge('flow', index, links).entries()) {
      use(`up ${from}`, instance.uplinks[from]!.upMbps, mbps);
      use(`down ${to}`, instance.uplinks[to]!.downMbps, mbps);
      use(`crypto ${siteOf(from)}`, total(siteOf(from), 'cryptoMbps'), mbps);
      use(`crypto ${siteOf(to)}`, total(siteOf(to), 'cryptoMbps'), mbps);
      const cap = instance.links[links[hop]!]![4];
      if (cap > 0) use(`link ${links[hop]!}`, cap, mbps);
    }
    if (served.get(index)! > demand.p95 * (1 + SLACK) + SLACK) broken.push(`demand ${index} is served more than it wants`);
  }
  for (const [resource, { mbps, limit }] of load) if (mbps > limit * (1 + SLACK) + SLACK) broken.push(`${resource} carries ${mbps} of ${limit}`);

  const risks = (links: readonly number[]): Set<string> => new Set(links.flatMap((link) => instance.links[link]!.slice(0, 2).flatMap((uplink) => [`uplink ${uplink}`, ...instance.uplinks[uplink]!.srlg])));
  for (const { demand, links } of backups) {
    judge('backup', demand, links);
    const primary = flows.filter((flow) => flow.demand === demand).reduce<{ links: number[]; mbps: number } | null>((most, flow) => (most === null || flow.mbps > most.mbps ? flow : most), null);
    if (primary === null) broken.push(`demand ${demand} has a backup, but sends nothing`);
    else if ([...risks(primary.links)].some((risk) => risks(links).has(risk))) broken.push(`the backup of demand ${demand} shares a risk with what it backs up`);
  }
  return broken;
}
