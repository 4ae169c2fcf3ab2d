import { addressAt, compareText, sortedBy } from '../base/index.ts';
import {
  nodeOfUplink,
  reachableAddress,
  type Assignment,
  type ClassId,
  type Intent,
  type NodeConfig,
  type NodeId,
  type NodeTunnel,
  type Plan,
  type SecurityProfile,
  type Site,
  type SiteId,
  type SiteNode,
  type Steering,
  type Tunnel,
  type TunnelEnd,
  type TunnelId,
  type Uplink,
  type UplinkId,
} from '../model/index.ts';
import { assignMarks, lanesOf, markedLanes } from './lanes.ts';
import { shapingOf } from './shaping.ts';
import { relayedWays, type RelayedWay } from './relays.ts';

/**
 * What every node of the intent is to run, sorted by node. A standby gateway gets the tunnels, the steering over them and
 * what may be forwarded, as the serving one does, so that each delivers whatever reaches it; which of them owns the LAN
 * address they settle among themselves (`lan.shared`). Tunnels the plan names are expected to exist (see `checkPlan`); a dangling
 * reference is left out rather than rendered.
 */
export function renderNodes(intent: Intent, plan: Plan): NodeConfig[] {
  const serving = groupBy(plan.servingNodes, ({ site }) => [site]);
  const index = indexPlan(intent, plan);
  const nodes = index.sites.flatMap((site) => site.nodes.map((node) => ({ site, node })));
  return sortedBy(nodes, ({ node }) => node.id).map(({ site, node }) => renderNode(intent, index, site, node, (serving.get(site.id) ?? []).map((one) => one.node)));
}

/** What every node's config looks up, made once. */
interface PlanIndex {
  sites: Site[];
  uplinks: Map<UplinkId, Uplink>;
  prefixes: Map<SiteId, string[]>;
  profiles: Map<string, SecurityProfile>;
  tunnels: Map<NodeId, Tunnel[]>;
  assignments: Map<SiteId, Assignment[]>;
  relayed: Map<SiteId, RelayedWay[]>;
  admitted: Map<SiteId, [SiteId, SiteId][]>;
  /** Tunnels of gateways that do not serve their site: two copies of a packet must come to the same gateway. */
  standbys: Set<TunnelId>;
  /** Sites with several gateways that serve them. */
  shared: Set<SiteId>;
  /** The gateways of each tunnel, as one text. */
  gateways: Map<TunnelId, string>;
}

function indexPlan(intent: Intent, plan: Plan): PlanIndex {
  const sites = sortedBy(intent.sites, (site) => site.id);
  return {
    sites,
    uplinks: new Map(sites.flatMap(({ nodes }) => nodes.flatMap((node) => node.uplinks.map((uplink) => [uplink.id, uplink] as const)))),
    prefixes: new Map(sites.map((site) => [site.id, [...site.prefixes].sort(compareText)])),
    profiles: new Map(plan.securityProfiles.map((profile) => [profile.name, profile])),
    tunnels: groupBy(plan.tunnels, ({ a, b }) => [a.node, b.node]),
    assignments: groupBy(plan.assignments, ({ from }) => [from]),
    relayed: relayedWays(plan),
    admitted: groupBy(plan.admitted, (pair) => pair),
    standbys: new Set(plan.tunnels.filter(({ a, b }) => [a, b].some((end) => !plan.servingNodes.some(({ site, node }) => site === end.site && node === end.node))).map(({ id }) => id)),
    shared: new Set(plan.servingNodes.filter(({ site, node }) => plan.servingNodes.some((other) => other.site === site && other.node !== node)).map(({ site }) => site)),
    gateways: new Map(plan.tunnels.map(({ id, a, b }) => [id, [a.node, b.node].sort(compareText).join(' ')])),
  };
}

function renderNode(intent: Intent, index: PlanIndex, site: Site, node: SiteNode, serving: readonly NodeId[]): NodeConfig {
  const { mesh } = intent;
  const classes = [...intent.classes].sort((left, right) => left.priority - right.priority || compareText(left.id, right.id));
  const shaping = shapingOf(mesh, { ...node, uplinks: sortedBy(node.uplinks, (uplink) => uplink.name) }, classes);
  const tunnels = renderTunnels(index, node);
  const isServing = serving.includes(node.id);
  const isInUse = isServing || tunnels.length > 0;
  return {
    schema: 'foremesh/node-config/v1',
    node: node.id,
    site: site.id,
    serving: isServing,
    lan: { interface: node.lan.interface, address: node.lan.address, ...(node.lan.address6 === undefined ? {} : { address6: node.lan.address6 }), prefixes: index.prefixes.get(site.id)!, ...(node.lan.target === undefined ? {} : { target: node.lan.target }), ...sharedLan(site, node, serving, mesh.probe) },
    uplinks: sortedBy(node.uplinks, (uplink) => uplink.name).map(({ name, interface: device, address }) => ({ name, interface: device, address })),
    protectedPrefixes: [...mesh.protectedPrefixes].sort(compareText),
    probe: { ...mesh.probe },
    sampleIntervalMs: mesh.telemetry.sampleIntervalMs,
    ...(mesh.telemetry.connections ? { countConnections: true } : {}),
    ...(mesh.telemetry.users ? { countUsers: mesh.telemetry.users } : {}),
    ...(mesh.telemetry.services ? { countServices: true as const } : {}),
    classes: classes.map(({ id, priority, match, protection, dscp, sla: { latencyMaxMs, lossMaxRatio } }) => ({
      id,
      priority,
      match,
      sla: { latencyMaxMs, lossMaxRatio },
      ...(protection === 'duplicate' ? { duplicate: true as const } : {}),
      ...(dscp === null ? {} : { dscp }),
    })),
    ...(site.resolvers && classes.some(({ match }) => match.some(({ names }) => names !== undefined)) ? { resolvers: site.resolvers } : {}),
    ...(shaping ? { shaping } : {}),
    sites: index.sites.map(({ id }) => ({ id, prefixes: index.prefixes.get(id)! })),
    tunnels,
    steering: isInUse ? renderSteering(index, site.id, new Set(tunnels.map(({ id }) => id)), new Set(classes.filter(({ match }) => match.some(({ fwmark }) => fwmark !== undefined)).map(({ id }) => id))) : [],
    allow: isInUse ? renderAllow(index, site.id) : [],
  };
}

/**
 * Addresses by which gateways of one site reach each other over their LAN: 169.254.255.0/24, which no host may choose for
 * itself (RFC 3927 section 2.1), in order of node ids.
 */
const SHARED_PREFIX = '169.254.255.0/24';

/**
 * Who sees after which LAN address. Gateways with the same one share it. Where several active ones share the site's
 * traffic each has one of its own while all is well, and all of the site's gateways see after all of these.
 */
function sharedLan(site: Site, node: SiteNode, serving: readonly NodeId[], { intervalMs, downAfter, holdDownMs }: Intent['mesh']['probe']): Pick<NodeConfig['lan'], 'shared'> {
  const isSplit = site.nodes.filter(({ role }) => role === 'active').length > 1;
  const sharing = site.nodes.filter(({ lan }) => isSplit || lan.address === node.lan.address);
  const able = serving.filter((id) => sharing.some((one) => one.id === id));
  const preferredFor = (address: string): NodeId | undefined => able.find((id) => sharing.some((one) => one.id === id && one.lan.address === address)) ?? able[0];
  const preferred = preferredFor(node.lan.address);
  if (sharing.length < 2 || preferred === undefined) return {};
  const members = sortedBy(sharing, ({ id }) => id).map(({ id }, index) => ({ node: id, address: addressAt(SHARED_PREFIX, index + 1) }));
  const addresses = new Map(sharing.map(({ lan }) => [lan.address, lan.address6]));
  const others = sortedBy([...addresses].filter(([address]) => address !== node.lan.address), ([address]) => address).map(([address, address6]) => ({ address, ...(address6 === undefined ? {} : { address6 }), preferred: preferredFor(address)! }));
  return { shared: { preferred, members, ...(others.length > 0 ? { others } : {}), heartbeat: { intervalMs, missedMax: Math.max(HEARTBEATS_MISSED_MIN, downAfter), holdDownMs } } };
}

/** One lost packet is no death. */
const HEARTBEATS_MISSED_MIN = 3;

function renderTunnels(index: PlanIndex, node: SiteNode): NodeTunnel[] {
  return (index.tunnels.get(node.id) ?? []).flatMap((tunnel): NodeTunnel[] => {
    const isA = tunnel.a.node === node.id;
    const profile = index.profiles.get(tunnel.securityProfile);
    const [local, remote] = isA ? [tunnel.a, tunnel.b] : [tunnel.b, tunnel.a];
    const uplink = node.uplinks.find(({ id }) => id === local.uplink);
    if (!uplink || !profile) return [];
    const initiator = initiatorOf(index, tunnel);
    const farUplink = index.uplinks.get(remote.uplink);
    const remoteAddress = farUplink ? reachableAddress(farUplink) : remote.address;
    return [
      {
        id: tunnel.id,
        path: tunnel.path,
        peer: nodeOfUplink(remote.uplink),
        initiator: initiator === local,
        local: { interface: uplink.interface, address: local.address, overlay: local.overlay, ...(uplink.nat ? { nat: true as const } : {}) },
        remote: { ...(remoteAddress === null ? {} : { address: remoteAddress }), overlay: remote.overlay },
        ...numberOf(index, initiator),
        ike: profile.ike,
        esp: profile.esp,
        ikeRekeyMs: profile.ikeRekeyMs,
        espRekeyMs: profile.espRekeyMs,
        ...(profile.postQuantum === 'off' ? {} : { postQuantum: profile.postQuantum }),
      },
    ];
  });
}

/** The end that cannot be reached; else the one behind NAT, which opens its way back by that; else end a. */
function initiatorOf(index: PlanIndex, { a, b }: Tunnel): TunnelEnd {
  const shyness = (end: TunnelEnd): number => {
    const uplink = index.uplinks.get(end.uplink);
    return !uplink?.nat ? 0 : reachableAddress(uplink) === null ? 2 : 1;
  };
  return shyness(b) > shyness(a) ? b : a;
}

/** The uplink's place among its node's, where its address will not tell. */
function numberOf(index: PlanIndex, { node, uplink }: TunnelEnd): Pick<NodeTunnel, 'initiatorNumber'> {
  const known = index.uplinks.get(uplink);
  if (!known || reachableAddress(known) !== null) return {};
  const uplinks = index.sites.flatMap(({ nodes }) => nodes).find(({ id }) => id === node)?.uplinks ?? [];
  return { initiatorNumber: sortedBy(uplinks, ({ id }) => id).findIndex(({ id }) => id === uplink) + 1 };
}

/**
 * Where a site's gateway sends each class for each other site: its own assignments, and, at a relay whose own site may
 * not use a class, the second tunnels of those who are relayed.
 * @param marked  classes that are told by a packet mark, which their lanes' marks replace
 */
function renderSteering(index: PlanIndex, site: SiteId, ownTunnels: ReadonlySet<TunnelId>, marked: ReadonlySet<ClassId>): Steering[] {
  const isOwn = (tunnel: TunnelId): boolean => ownTunnels.has(tunnel);
  const own = (index.assignments.get(site) ?? []).map((assignment) => ({ to: assignment.to, classId: assignment.classId, lanes: lanesOf(assignment, { isOwn, isStandby: (tunnel) => index.standbys.has(tunnel), gatewaysOf: (tunnel) => (index.shared.has(assignment.from) || index.shared.has(assignment.to) ? (index.gateways.get(tunnel) ?? '') : '') }) }));
  const keys = new Set(own.map(({ to, classId }) => `${to} ${classId}`));
  const lent = (index.relayed.get(site) ?? []).flatMap(({ assignment, list }) => {
    const key = `${assignment.to} ${assignment.classId}`;
    if (keys.has(key) || !isOwn(list[1]!)) return [];
    keys.add(key);
    return [{ to: assignment.to, classId: assignment.classId, lanes: [{ tunnels: [list[1]!], weight: 100 }] }];
  });
  const steering = [...own, ...lent].filter(({ lanes }) => lanes.length > 0).sort((left, right) => compareText(left.to, right.to) || compareText(left.classId, right.classId));
  const ownOf = (classId: ClassId): { own?: ClassId } => (marked.has(classId) ? { own: classId } : {});
  const markOf = assignMarks(steering.flatMap(({ to, classId, lanes }) => lanes.map((lane) => ({ to, ...lane, ...ownOf(classId) }))));
  return steering.map((entry) => ({ to: entry.to, prefixes: index.prefixes.get(entry.to) ?? [], classId: entry.classId, lanes: markedLanes({ ...entry, ...ownOf(entry.classId) }, markOf) }));
}

/** Pairs this gateway forwards: its own site's admitted ones, and those it relays, as route or as backup. */
function renderAllow(index: PlanIndex, site: SiteId): NodeConfig['allow'] {
  const relayed = (index.relayed.get(site) ?? []).map(({ assignment: { from, to } }): [SiteId, SiteId] => (from < to ? [from, to] : [to, from]));
  const pairs = new Map([...(index.admitted.get(site) ?? []), ...relayed].map((pair) => [pair.join('>'), pair]));
  return sortedBy([...pairs.values()], (pair) => pair.join('>')).map(([from, to]) => ({ from: index.prefixes.get(from) ?? [], to: index.prefixes.get(to) ?? [] }));
}

function groupBy<T, K>(items: readonly T[], keysOf: (item: T) => readonly K[]): Map<K, T[]> {
  const groups = new Map<K, T[]>();
  for (const item of items) {
    for (const key of keysOf(item)) {
      const group = groups.get(key) ?? [];
      group.push(item);
      groups.set(key, group);
    }
  }
  return groups;
}
