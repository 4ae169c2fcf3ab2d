import { compareText, sortedBy } from '../base/index.ts';
import {
  nodeOfUplink,
  type Assignment,
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
} from '../model/index.ts';
import { assignMarks, lanesOf, markedLanes } from './lanes.ts';
import { shapingOf } from './shaping.ts';
import { relayedWays, type RelayedWay } from './relays.ts';

/**
 * What every node of the intent is to run, sorted by node; nodes that do not serve get everything but traffic: no
 * tunnels, no steering, nothing allowed. Tunnels the plan names are expected to exist (see `checkPlan`); a dangling
 * reference is left out rather than rendered.
 */
export function renderNodes(intent: Intent, plan: Plan): NodeConfig[] {
  const serving = new Map(plan.servingNodes.map(({ site, node }) => [site, node]));
  const index = indexPlan(intent, plan);
  const nodes = index.sites.flatMap((site) => site.nodes.map((node) => ({ site, node })));
  return sortedBy(nodes, ({ node }) => node.id).map(({ site, node }) => renderNode(intent, index, site, node, serving.get(site.id) === node.id));
}

/** What every node's config looks up, made once. */
interface PlanIndex {
  sites: Site[];
  prefixes: Map<SiteId, string[]>;
  profiles: Map<string, SecurityProfile>;
  tunnels: Map<NodeId, Tunnel[]>;
  assignments: Map<SiteId, Assignment[]>;
  relayed: Map<SiteId, RelayedWay[]>;
  admitted: Map<SiteId, [SiteId, SiteId][]>;
}

function indexPlan(intent: Intent, plan: Plan): PlanIndex {
  const sites = sortedBy(intent.sites, (site) => site.id);
  return {
    sites,
    prefixes: new Map(sites.map((site) => [site.id, [...site.prefixes].sort(compareText)])),
    profiles: new Map(plan.securityProfiles.map((profile) => [profile.name, profile])),
    tunnels: groupBy(plan.tunnels, ({ a, b }) => [a.node, b.node]),
    assignments: groupBy(plan.assignments, ({ from }) => [from]),
    relayed: relayedWays(plan),
    admitted: groupBy(plan.admitted, (pair) => pair),
  };
}

function renderNode(intent: Intent, index: PlanIndex, site: Site, node: SiteNode, isServing: boolean): NodeConfig {
  const { mesh } = intent;
  const classes = [...intent.classes].sort((left, right) => left.priority - right.priority || compareText(left.id, right.id));
  const shaping = shapingOf(mesh, { ...node, uplinks: sortedBy(node.uplinks, (uplink) => uplink.name) }, classes);
  return {
    schema: 'foremesh/node-config/v1',
    node: node.id,
    site: site.id,
    serving: isServing,
    lan: { interface: node.lan.interface, address: node.lan.address, prefixes: index.prefixes.get(site.id)! },
    uplinks: sortedBy(node.uplinks, (uplink) => uplink.name).map(({ name, interface: device, address }) => ({ name, interface: device, address })),
    protectedPrefixes: [...mesh.protectedPrefixes].sort(compareText),
    probe: { ...mesh.probe },
    sampleIntervalMs: mesh.telemetry.sampleIntervalMs,
    ...(mesh.telemetry.connections ? { countConnections: true } : {}),
    classes: classes.map(({ id, priority, match, protection, dscp, sla: { latencyMaxMs, lossMaxRatio } }) => ({
      id,
      priority,
      match,
      sla: { latencyMaxMs, lossMaxRatio },
      ...(protection === 'duplicate' ? { duplicate: true as const } : {}),
      ...(dscp === null ? {} : { dscp }),
    })),
    ...(shaping ? { shaping } : {}),
    sites: index.sites.map(({ id }) => ({ id, prefixes: index.prefixes.get(id)! })),
    tunnels: isServing ? renderTunnels(index, node) : [],
    steering: isServing ? renderSteering(index, site.id) : [],
    allow: isServing ? renderAllow(index, site.id) : [],
  };
}

function renderTunnels(index: PlanIndex, node: SiteNode): NodeTunnel[] {
  return (index.tunnels.get(node.id) ?? []).flatMap((tunnel): NodeTunnel[] => {
    const isA = tunnel.a.node === node.id;
    const profile = index.profiles.get(tunnel.securityProfile);
    const [local, remote] = isA ? [tunnel.a, tunnel.b] : [tunnel.b, tunnel.a];
    const uplink = node.uplinks.find(({ id }) => id === local.uplink);
    if (!uplink || !profile) return [];
    return [
      {
        id: tunnel.id,
        path: tunnel.path,
        peer: nodeOfUplink(remote.uplink),
        initiator: isA,
        local: { interface: uplink.interface, address: local.address, overlay: local.overlay },
        remote: { address: remote.address, overlay: remote.overlay },
        ike: profile.ike,
        esp: profile.esp,
        ikeRekeyMs: profile.ikeRekeyMs,
        espRekeyMs: profile.espRekeyMs,
      },
    ];
  });
}

/**
 * Where a site's gateway sends each class for each other site: its own assignments, and, at a relay whose own site may
 * not use a class, the second tunnels of those who are relayed.
 */
function renderSteering(index: PlanIndex, site: SiteId): Steering[] {
  const own = (index.assignments.get(site) ?? []).map((assignment) => ({ to: assignment.to, classId: assignment.classId, lanes: lanesOf(assignment) }));
  const keys = new Set(own.map(({ to, classId }) => `${to} ${classId}`));
  const lent = (index.relayed.get(site) ?? []).flatMap(({ assignment, list }) => {
    const key = `${assignment.to} ${assignment.classId}`;
    if (keys.has(key)) return [];
    keys.add(key);
    return [{ to: assignment.to, classId: assignment.classId, lanes: [{ tunnels: [list[1]!], weight: 100 }] }];
  });
  const steering = [...own, ...lent].sort((left, right) => compareText(left.to, right.to) || compareText(left.classId, right.classId));
  const markOf = assignMarks(steering.flatMap(({ to, lanes }) => lanes.map((lane) => ({ to, ...lane }))));
  return steering.map((entry) => ({ to: entry.to, prefixes: index.prefixes.get(entry.to) ?? [], classId: entry.classId, lanes: markedLanes(entry, markOf) }));
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
