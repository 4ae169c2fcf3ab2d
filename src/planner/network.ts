import { compareText, digest, sortedBy } from '../base/index.ts';
import {
  connectionFor,
  pathId,
  tunnelId,
  type Override,
  type PathId,
  type NodeId,
  type PathQuality,
  type SecurityProfile,
  type Site,
  type SiteId,
  type SiteNode,
  type TrafficClass,
  type Tunnel,
  type TunnelId,
} from '../model/index.ts';
import { qualityOf, type HopQuality } from './quality.ts';
import { foreseenViolations, NOTHING_FORESEEN } from './foreseen.ts';
import { isAwayShortly } from './serving.ts';
import { refusalsOf } from './admissibility.ts';
import type { PlanInputs } from './plan.ts';
import { Resources } from './resources.ts';
import type { Hop, HopEnd, Pair, Way } from './types.ts';
import { directWay, relaysOf } from './way.ts';

/**
 * Everything the steps look up, indexed once from the inputs and sorted, so that the order of the inputs (but for that
 * of the connections, which means something) never shows in the plan.
 */
export interface Network {
  inputs: PlanInputs;
  now: number;
  sites: Site[];
  classes: TrafficClass[];
  /** The nodes that serve each site, by id. */
  serving: ReadonlyMap<SiteId, readonly SiteNode[]>;
  resources: Resources;
  /** Admitted pairs by `pairKey`, in that order. */
  pairs: ReadonlyMap<string, Pair>;
  relays: Site[];
  overrides: Override[];
  previousTunnels: ReadonlyMap<TunnelId, Tunnel>;
  lastUsedAt: ReadonlyMap<TunnelId, number>;
  /** `securityDigest`, computed once a profile. */
  cryptoOf(profile: SecurityProfile): string;
  /** The pair, or that half of it; the only one where no gateways share traffic. */
  pair(one: SiteId, other: SiteId, plane: number): Pair | undefined;
  /** The pair, or half of one, that is planned between the gateways of these two ends; undefined when one of them does not serve, or they serve different halves. */
  pairOf(ends: readonly [GatewayEnd, GatewayEnd]): Pair | undefined;
  /** The pair that a hop belongs to; undefined for one that only stands by. */
  pairOfHop(hop: Hop): Pair | undefined;
  /** The gateway of a site that a pair is planned for. */
  gatewayOf(pair: Pair, site: SiteId): SiteNode | undefined;
  /** All paths between the gateways of a pair, by path id, refused ones too. */
  hops(pair: Pair): Hop[];
  /** The gateways of a site that the pair is not planned for, nor its other half with the same gateway at the other end; in order of role and id. */
  standbyNodes(pair: Pair, site: SiteId): SiteNode[];
  /** All paths between one of these and the pair's gateway at the other end, by path id, refused ones too. */
  standbyHops(pair: Pair, standby: SiteNode): Hop[];
  /** True for a tunnel of the previous plan that could be one of a standby gateway today. */
  isStandbyTunnel(tunnel: Tunnel): boolean;
  /** The hop of such a tunnel; undefined when it could not be built now. */
  standbyHopOf(tunnel: Tunnel): Hop | undefined;
  /** The way that is this one hop of the pair. */
  directWay(pair: Pair, hop: Hop): Way;
  /** Sites that may relay the pair, shortest detour first. */
  relaysFor(pair: Pair): Site[];
  /** The hop of a tunnel of the previous plan; undefined when it could not be built now: other node, other profile, not admitted. */
  hopOf(tunnel: Tunnel): Hop | undefined;
}

/** A gateway, as an end of something. */
export interface GatewayEnd {
  site: SiteId;
  node: NodeId;
}

export function buildNetwork(inputs: PlanInputs, serving: ReadonlyMap<SiteId, readonly SiteNode[]>): Network {
  const { intent, now } = inputs;
  const sites = sortedBy(intent.sites, (site) => site.id);
  const classes = [...intent.classes].sort((left, right) => left.priority - right.priority || compareText(left.id, right.id));
  const profiles = new Map(intent.securityProfiles.map((profile) => [profile.name, profile]));
  const previousTunnels = new Map(sortedBy(inputs.previous.tunnels, (tunnel) => tunnel.id).map((tunnel) => [tunnel.id, tunnel]));
  const quality = new Map<PathId, PathQuality>();
  for (const entry of inputs.observation.paths) {
    const known = quality.get(entry.path);
    if (!known || entry.sampledAt > known.sampledAt) quality.set(entry.path, entry);
  }
  const foreseen = foreseenViolations(inputs);
  const resources = new Resources(intent);
  const pairs = admittedPairs(inputs, sites, classes, profiles, (site) => serving.get(site)?.length ?? 0);
  const directWays = new Map<Hop, Way>();
  const relaysByPair = new Map<string, Site[]>();
  const cryptoByProfile = new Map<SecurityProfile, string>();
  const hopsByPair = new Map<string, Hop[]>();
  const standbyHops = new Map<string, Hop[]>();
  const halvesOf = (one: SiteId, other: SiteId): Pair[] => [0, 1].flatMap((plane) => pairs.get(pairKey(one, other, plane)) ?? []);
  /** The half whose gateway is at one end of the tunnel, and the gateway that stands by for it at the other. */
  const standbyEnd = ({ a, b }: Tunnel): { pair: Pair; standby: SiteNode } | undefined =>
    halvesOf(a.site, b.site)
      .flatMap((pair) => [[a, b], [b, a]].map(([own, far]) => ({ pair, standby: network.gatewayOf(pair, far!.site)?.id === far!.node ? network.standbyNodes(pair, own!.site).find(({ id }) => id === own!.node) : undefined })))
      .find((found): found is { pair: Pair; standby: SiteNode } => found.standby !== undefined);
  const network: Network = {
    inputs,
    now,
    sites,
    classes,
    serving,
    resources,
    pairs,
    relays: sites.filter((site) => site.relay && serving.has(site.id)),
    overrides: sortedBy(inputs.overrides.filter((override) => override.until > now), (override) => override.id),
    previousTunnels,
    lastUsedAt: new Map(inputs.observation.tunnels.flatMap((usage) => (usage.lastUsedAt === null ? [] : [[usage.tunnel, usage.lastUsedAt]]))),
    cryptoOf(profile) {
      const known = cryptoByProfile.get(profile) ?? securityDigest(profile);
      cryptoByProfile.set(profile, known);
      return known;
    },
    pair: (one, other, plane) => halvesOf(one, other)[plane] ?? halvesOf(one, other)[0],
    pairOf: ([one, other]) => halvesOf(one.site, other.site).find((pair) => [one, other].every((end) => network.gatewayOf(pair, end.site)?.id === end.node)),
    pairOfHop: ({ ends: [one, other] }) => network.pairOf([{ site: one.site.id, node: one.node.id }, { site: other.site.id, node: other.node.id }]),
    gatewayOf(pair, site) {
      const nodes = serving.get(site) ?? [];
      return nodes[pair.plane % Math.max(1, nodes.length)];
    },
    hops(pair) {
      const known = hopsByPair.get(pair.key);
      if (known) return known;
      const hops = buildHops(network, pair, [network.gatewayOf(pair, pair.a.id), network.gatewayOf(pair, pair.b.id)], quality, foreseen);
      hopsByPair.set(pair.key, hops);
      return hops;
    },
    standbyNodes(pair, site) {
      if (!serving.has(site)) return [];
      const far = site === pair.a.id ? pair.b.id : pair.a.id;
      const farNode = network.gatewayOf(pair, far)?.id;
      const others = (sites.find(({ id }) => id === site)?.nodes ?? []).filter(({ id }) => farNode === undefined || !network.pairOf([{ site, node: id }, { site: far, node: farNode }]));
      return others.filter(({ id }) => id !== network.gatewayOf(pair, site)?.id).sort((left, right) => compareText(left.role, right.role) || compareText(left.id, right.id));
    },
    standbyHops(pair, standby) {
      const ends: [SiteNode | undefined, SiteNode | undefined] = standby.site === pair.a.id ? [standby, network.gatewayOf(pair, pair.b.id)] : [network.gatewayOf(pair, pair.a.id), standby];
      const key = ends.map((node) => node?.id).join(' '); // both halves may have the two in common
      const hops = standbyHops.get(key) ?? buildHops(network, pair, ends, quality, foreseen);
      standbyHops.set(key, hops);
      return hops;
    },
    standbyHopOf(tunnel) {
      const found = standbyEnd(tunnel);
      return found && network.standbyHops(found.pair, found.standby).find((hop) => hop.tunnel === tunnel.id);
    },
    isStandbyTunnel: (tunnel) => standbyEnd(tunnel) !== undefined,
    directWay(pair, hop) {
      const known = directWays.get(hop) ?? directWay(pair, hop);
      directWays.set(hop, known);
      return known;
    },
    relaysFor(pair) {
      const known = relaysByPair.get(pair.key) ?? relaysOf(pair, network.relays);
      relaysByPair.set(pair.key, known);
      return known;
    },
    hopOf(tunnel) {
      const pair = network.pairOf([tunnel.a, tunnel.b]);
      return pair && network.hops(pair).find((hop) => hop.tunnel === tunnel.id);
    },
  };
  return network;
}

export function pairKey(one: SiteId, other: SiteId, plane = 0): string {
  return `${one < other ? `${one}>${other}` : `${other}>${one}`}${plane === 0 ? '' : `#${plane}`}`;
}

/** Identity of a tunnel's crypto: other timers do not make another tunnel, other suites do. */
export function securityDigest(profile: SecurityProfile): string {
  return digest({ ike: profile.ike, esp: profile.esp, pfs: profile.pfs, postQuantum: profile.postQuantum });
}

function admittedPairs(
  inputs: PlanInputs,
  sites: readonly Site[],
  classes: readonly TrafficClass[],
  profiles: ReadonlyMap<string, SecurityProfile>,
  servingCount: (site: SiteId) => number,
): Map<string, Pair> {
  const pairs = new Map<string, Pair>();
  const vetoed = vetoedAdmissions(inputs);
  for (const [index, a] of sites.entries()) {
    for (const b of sites.slice(index + 1)) {
      const connection = connectionFor(inputs.intent, a.id, b.id);
      const profile = connection ? profiles.get(connection.securityProfile) : undefined;
      const key = pairKey(a.id, b.id);
      if (!connection || connection.mode === 'never' || !profile || vetoed.has(key)) continue;
      const allowed = connection.classes.length === 0 ? classes : classes.filter((each) => connection.classes.includes(each.id));
      const planes = Math.max(1, servingCount(a.id), servingCount(b.id));
      for (let plane = 0; plane < planes; plane++) {
        const half = { key: pairKey(a.id, b.id, plane), plane, share: 1 / planes };
        pairs.set(half.key, { ...half, a, b, connection, profile, classes: [...allowed] });
      }
    }
  }
  return pairs;
}

/** Pairs whose admission a person took back. A pair the intent forbids is never admitted, veto or not. */
function vetoedAdmissions(inputs: PlanInputs): Set<string> {
  const admitted = new Set(inputs.previous.admitted.map(([one, other]) => pairKey(one, other)));
  const keys = inputs.vetoes.flatMap((veto) => {
    if (veto.change.kind !== 'admission' || veto.until <= inputs.now) return [];
    const [one, other] = veto.change.pair.split('>') as [SiteId, SiteId];
    return [pairKey(one, other)];
  });
  return new Set(keys.filter((key) => !admitted.has(key)));
}

function buildHops(network: Network, pair: Pair, [one, other]: readonly [SiteNode | undefined, SiteNode | undefined], quality: ReadonlyMap<PathId, PathQuality>, foreseen: ReturnType<typeof foreseenViolations>): Hop[] {
  if (!one || !other) return [];
  const crypto = network.cryptoOf(pair.profile);
  const hops = one.uplinks.flatMap((left) =>
    other.uplinks.map((right): Hop => {
      const path = pathId(left.id, right.id);
      const tunnel = tunnelId(path, crypto);
      const near: HopEnd = { site: pair.a, node: one, uplink: left, ...network.resources.of(one, left) };
      const far: HopEnd = { site: pair.b, node: other, uplink: right, ...network.resources.of(other, right) };
      const ends: [HopEnd, HopEnd] = left.id < right.id ? [near, far] : [far, near];
      const existing = network.previousTunnels.get(tunnel) ?? null;
      const measured = believed(network, ends, existing, qualityOf(ends, quality.get(path), network.now));
      return { path, tunnel, profile: pair.profile, ends, existing, ...measured, violations: foreseen.get(path) ?? NOTHING_FORESEEN, refusals: refusalsOf(network, pair, ends, path, existing, measured.state) };
    }),
  );
  return sortedBy(hops, (hop) => hop.path);
}

/**
 * A tunnel whose other agent is away for a moment answers no probe, whatever its path is like; and no plan would reach
 * that agent. So until its node counts as dead, what its peers say of its tunnels changes nothing.
 */
function believed(network: Network, ends: readonly [HopEnd, HopEnd], existing: Tunnel | null, quality: HopQuality): HopQuality {
  const isAway = ends.some(({ node }) => isAwayShortly(network.inputs.observation.nodes.find((status) => status.node === node.id), network.now));
  return quality.state === 'down' && existing && isAway ? { ...quality, state: 'unknown' } : quality;
}
