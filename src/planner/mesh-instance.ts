import { sortedBy } from '../base/index.ts';
import type { Site, SiteNode, TrafficClass } from '../model/index.ts';
import { avoidRefusals, isUsable } from './admissibility.ts';
import type { Placement } from './board.ts';
import type { Instance, InstancePlan } from './core/index.ts';
import type { Network } from './network.ts';
import { PLANNER_SETTINGS } from './settings.ts';
import type { Hop, HopEnd, Pair, Want } from './types.ts';

/** A mesh as the optimising core sees it, and the way back. */
export interface MeshInstance {
  instance: Instance;
  /** By link: the tunnel that it is or could be. */
  hops: Hop[];
  linkOf: ReadonlyMap<Hop, number>;
  /** By demand. */
  demands: { want: Want; isForward: boolean }[];
  /** By uplink: its ends in the ledger, for names and limits. */
  ends: HopEnd[];
}

/** Bounds that the format has no word for: no class bears more than this anyway. */
const NO_BOUND = 1e9;
/** Per cent of loss by which a class's bound is widened, so that what the engine allows is never refused for rounding. */
const LOSS_SLACK = 1e-7;
const SLOTS_MOST = 0x7fff_ffff;

/**
 * The planning problem of one round as plain numbers (`te-instance/1`, docs/planning.md): everything that the steps of the plan
 * know before they begin, so that a plan of the engine is a plan of this instance too. A site of the instance is a serving
 * gateway: where two share a site's traffic, each half of a pair lies between its own two. A link is a tunnel that nothing forbids
 * (refused, drained, vetoed, dead paths are none) and that a demand could use, directly or over a relay; each direction of a want
 * is a demand, with what the plan provides for as `p95`. Each uplink is a provider of its own, so that a demand's `avoid` can
 * name any set of them: what its connection avoids, and the uplinks of relays that it may not use.
 * Wider than the engine in three things, so that a bound for it bounds the engine's plans: jitter, second copies and weights that
 * are the same both ways have no place in it.
 */
export function meshInstance(network: Network, wants: readonly Want[]): MeshInstance {
  const gateways = [...network.serving].flatMap(([site, nodes]) => nodes.map((node) => ({ site: network.sites.find(({ id }) => id === site)!, node, isShared: nodes.length > 1 })));
  const siteOf = new Map(gateways.map(({ node }, index) => [node, index]));
  const ends = gateways.flatMap(({ site, node }) => sortedBy(node.uplinks, ({ id }) => id).map((uplink): HopEnd => ({ site, node, uplink, ...network.resources.of(node, uplink) })));
  const uplinkOf = new Map(ends.map(({ uplink }, index) => [uplink, index]));
  const limits = network.resources.limitsMbps;
  const wanted = sortedBy(wants.filter(({ forward, backward }) => forward.plannedMbps + backward.plannedMbps > 0), ({ key }) => key);
  const hops = usableHops(network, wanted);
  const classes = classesOf(network.classes, wanted);
  const avoids = new Map<string, string[]>();
  const avoidOf = (pair: Pair): string[] => {
    const known = avoids.get(pair.key) ?? avoidedUplinks(network, pair, ends);
    avoids.set(pair.key, known);
    return known;
  };
  const demands = wanted.flatMap((want) => [true, false].filter((isForward) => (isForward ? want.forward : want.backward).plannedMbps > 0).map((isForward) => ({ want, isForward })));
  return {
    instance: {
      format: 'te-instance/1',
      relayMs: PLANNER_SETTINGS.relayMs,
      classes: classes.map(({ trafficClass, priority, isProtected }) => ({
        id: isProtected || trafficClass.protection === 'none' ? trafficClass.id : `${trafficClass.id}, unprotected`,
        priority,
        maxRttMs: bounded(trafficClass.sla.latencyMaxMs),
        maxLossPct: Math.min(NO_BOUND, 100 * bounded(trafficClass.sla.lossMaxRatio) + LOSS_SLACK),
        minSecurity: 1,
        backup: isProtected,
      })),
      sites: gateways.map(({ site, node, isShared }) => ({ id: isShared ? node.id : site.id, region: site.region, relay: site.relay })),
      gateways: gateways.flatMap(({ site, node, isShared }, index) => [
        { ...gatewayOf(network, index, node), role: 'active' as const },
        ...(isShared ? [] : sortedBy(site.nodes, ({ id }) => id).filter((each) => each !== node).map((each) => ({ ...gatewayOf(network, index, each), role: 'standby' as const }))),
      ]),
      uplinks: ends.map((end) => ({ site: siteOf.get(end.node)!, provider: end.uplink.id, upMbps: limits[end.up]!, downMbps: limits[end.down]!, usdPerGb: amount(end.uplink.usdPerGb), srlg: [...end.uplink.riskGroups] })),
      links: hops.map((hop) => [uplinkOf.get(hop.ends[0].uplink)!, uplinkOf.get(hop.ends[1].uplink)!, hop.latencyMs, 100 * hop.lossRatio, 0]),
      demands: demands.map(({ want, isForward }) => {
        const { plannedMbps, p50Mbps } = isForward ? want.forward : want.backward;
        const [a, b] = [want.pair.a, want.pair.b].map((site) => siteOf.get(network.gatewayOf(want.pair, site.id)!)!) as [number, number];
        const avoid = avoidOf(want.pair);
        const cls = classes.findIndex(({ trafficClass, isProtected }) => trafficClass === want.trafficClass && isProtected === want.protect);
        return { src: isForward ? a : b, dst: isForward ? b : a, cls, p50: Math.min(p50Mbps, plannedMbps), p95: plannedMbps, ...(avoid.length > 0 ? { avoid } : {}) };
      }),
    },
    hops,
    linkOf: new Map(hops.map((hop, link) => [hop, link])),
    demands,
    ends,
  };
}

/** What placements send, within all limits, as flows of the instance. Ways over tunnels that are no link of it are left out. */
export function flowsOf({ demands, linkOf }: MeshInstance, placements: ReadonlyMap<string, Placement>): InstancePlan['flows'] {
  return demands.flatMap(({ want, isForward }, demand) => {
    const placement = placements.get(want.key);
    if (!placement) return [];
    const carriedMbps = isForward ? want.forward.plannedMbps * placement.fit.forward : want.backward.plannedMbps * placement.fit.backward;
    return placement.choice.flatMap(({ way, weight }) =>
      way.routes.flatMap(({ hops, share }) => {
        const links = (isForward ? hops : hops.toReversed()).flatMap((hop) => linkOf.get(hop) ?? []);
        return links.length === hops.length ? [{ demand, links, mbps: (((carriedMbps * weight) / 100) * share) / 100 }] : [];
      }),
    );
  });
}

/** Of pairs with demand, and between their ends and the relays they may use; by path. */
function usableHops(network: Network, wanted: readonly Want[]): Hop[] {
  const pairs = new Map<string, Pair>();
  for (const { pair } of wanted) {
    if (pairs.has(pair.key)) continue;
    pairs.set(pair.key, pair);
    for (const relay of network.relaysFor(pair)) {
      for (const end of [pair.a, pair.b]) {
        const hop = network.pair(end.id, relay.id, pair.plane);
        if (hop) pairs.set(hop.key, hop);
      }
    }
  }
  const hops = [...pairs.values()].flatMap((pair) => network.hops(pair).filter(isUsable));
  return [...new Map(hops.map((hop) => [hop.path, hop])).values()].sort((left, right) => (left.path < right.path ? -1 : 1));
}

/** Each class twice where some of its wants are to be protected and some are not. Priorities are ranks: 0, 1, 2 … */
function classesOf(classes: readonly TrafficClass[], wanted: readonly Want[]): { trafficClass: TrafficClass; priority: number; isProtected: boolean }[] {
  const priorities = [...new Set(classes.map(({ priority }) => priority))].sort((one, other) => one - other);
  return classes.flatMap((trafficClass) => {
    const kinds = [...new Set(wanted.filter((want) => want.trafficClass === trafficClass).map(({ protect }) => protect))].sort((one, other) => Number(other) - Number(one));
    return (kinds.length > 0 ? kinds : [trafficClass.protection !== 'none']).map((isProtected) => ({ trafficClass, priority: priorities.indexOf(trafficClass.priority), isProtected }));
  });
}

/** Uplinks that a pair's traffic must not touch: what its connection avoids at its ends and at relays, and all those of relays that it may not use. */
function avoidedUplinks(network: Network, pair: Pair, ends: readonly HopEnd[]): string[] {
  const allowed = new Set(network.relaysFor(pair).filter((relay) => isRelayFor(network, pair, relay)));
  const isOwn = (site: Site): boolean => site === pair.a || site === pair.b;
  return ends
    .filter(({ site }) => isOwn(site) || site.relay)
    .filter((end) => (!isOwn(end.site) && !allowed.has(end.site)) || avoidRefusals(pair, [end], []).length > 0)
    .map(({ uplink }) => uplink.id);
}

/** Both hops are admitted pairs, and as secure as the pair itself. */
function isRelayFor(network: Network, pair: Pair, relay: Site): boolean {
  return [pair.a, pair.b].every((end) => (network.pair(end.id, relay.id, pair.plane)?.profile.level ?? -1) >= pair.profile.level);
}

function gatewayOf(network: Network, site: number, node: SiteNode): Omit<Instance['gateways'][number], 'role'> {
  const crypto = node.uplinks[0] ? network.resources.limitsMbps[network.resources.of(node, node.uplinks[0]).crypto]! : 0;
  return { site, cryptoMbps: crypto, maxTunnels: Math.floor(Math.min(SLOTS_MOST, amount(node.tunnelsMax))), security: 1 };
}

function bounded(bound: number): number {
  return Number.isFinite(bound) ? Math.min(NO_BOUND, Math.max(0, bound)) : NO_BOUND;
}

function amount(figure: number): number {
  return Number.isFinite(figure) && figure > 0 ? figure : 0;
}
