import { compareText, sortedBy } from '../base/index.ts';
import { nodeOfUplink, type Intent, type NodeConfig, type NodeTunnel, type Plan, type Site, type SiteId, type SiteNode, type Steering } from '../model/index.ts';
import { assignMarks, lanesOf, markedLanes } from './lanes.ts';
import { relayedThrough } from './relays.ts';

/**
 * What every node of the intent is to run, sorted by node; nodes that do not serve get everything but traffic: no
 * tunnels, no steering, nothing allowed. Tunnels the plan names are expected to exist (see `checkPlan`); a dangling
 * reference is left out rather than rendered.
 */
export function renderNodes(intent: Intent, plan: Plan): NodeConfig[] {
  const serving = new Map(plan.servingNodes.map(({ site, node }) => [site, node]));
  const sites = sortedBy(intent.sites, (site) => site.id);
  const nodes = sites.flatMap((site) => site.nodes.map((node) => ({ site, node })));
  return sortedBy(nodes, ({ node }) => node.id).map(({ site, node }) => renderNode(intent, plan, sites, site, node, serving.get(site.id) === node.id));
}

function renderNode(intent: Intent, plan: Plan, sites: readonly Site[], site: Site, node: SiteNode, isServing: boolean): NodeConfig {
  const { mesh } = intent;
  return {
    schema: 'foremesh/node-config/v1',
    node: node.id,
    site: site.id,
    serving: isServing,
    lan: { interface: node.lan.interface, address: node.lan.address, prefixes: [...site.prefixes].sort(compareText) },
    uplinks: sortedBy(node.uplinks, (uplink) => uplink.name).map(({ name, interface: device, address }) => ({ name, interface: device, address })),
    protectedPrefixes: [...mesh.protectedPrefixes].sort(compareText),
    probe: { ...mesh.probe },
    sampleIntervalMs: mesh.telemetry.sampleIntervalMs,
    classes: [...intent.classes]
      .sort((left, right) => left.priority - right.priority || compareText(left.id, right.id))
      .map(({ id, priority, match }) => ({ id, priority, match })),
    sites: sites.map(({ id, prefixes }) => ({ id, prefixes: [...prefixes].sort(compareText) })),
    tunnels: isServing ? renderTunnels(plan, node) : [],
    steering: isServing ? renderSteering(plan, sites, site.id) : [],
    allow: isServing ? renderAllow(plan, sites, site.id) : [],
  };
}

function renderTunnels(plan: Plan, node: SiteNode): NodeTunnel[] {
  const profiles = new Map(plan.securityProfiles.map((profile) => [profile.name, profile]));
  return plan.tunnels.flatMap((tunnel): NodeTunnel[] => {
    const isA = tunnel.a.node === node.id;
    const profile = profiles.get(tunnel.securityProfile);
    if ((!isA && tunnel.b.node !== node.id) || !profile) return [];
    const [local, remote] = isA ? [tunnel.a, tunnel.b] : [tunnel.b, tunnel.a];
    const uplink = node.uplinks.find(({ id }) => id === local.uplink);
    if (!uplink) return [];
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
function renderSteering(plan: Plan, sites: readonly Site[], site: SiteId): Steering[] {
  const own = plan.assignments.filter((assignment) => assignment.from === site).map((assignment) => ({ to: assignment.to, classId: assignment.classId, lanes: lanesOf(assignment) }));
  const keys = new Set(own.map(({ to, classId }) => `${to} ${classId}`));
  const lent = relayedThrough(plan, site).flatMap(({ assignment, list }) => {
    const key = `${assignment.to} ${assignment.classId}`;
    if (keys.has(key)) return [];
    keys.add(key);
    return [{ to: assignment.to, classId: assignment.classId, lanes: [{ tunnels: [list[1]!], weight: 100 }] }];
  });
  const steering = [...own, ...lent].sort((left, right) => compareText(left.to, right.to) || compareText(left.classId, right.classId));
  const markOf = assignMarks(steering.flatMap(({ to, lanes }) => lanes.map(({ tunnels }) => ({ to, tunnels }))));
  return steering.map((entry) => ({
    to: entry.to,
    prefixes: [...(sites.find(({ id }) => id === entry.to)?.prefixes ?? [])].sort(compareText),
    classId: entry.classId,
    lanes: markedLanes(entry, markOf),
  }));
}

/** Pairs this gateway forwards: its own site's admitted ones, and those it relays, as route or as backup. */
function renderAllow(plan: Plan, sites: readonly Site[], site: SiteId): NodeConfig['allow'] {
  const pairs = new Map<string, [SiteId, SiteId]>();
  const add = (one: SiteId, other: SiteId): void => {
    const pair: [SiteId, SiteId] = one < other ? [one, other] : [other, one];
    pairs.set(pair.join('>'), pair);
  };
  for (const [one, other] of plan.admitted) if (one === site || other === site) add(one, other);
  for (const { assignment } of relayedThrough(plan, site)) add(assignment.from, assignment.to);
  const prefixesOf = (id: SiteId): string[] => [...(sites.find((each) => each.id === id)?.prefixes ?? [])].sort(compareText);
  return sortedBy([...pairs.values()], (pair) => pair.join('>')).map(([from, to]) => ({ from: prefixesOf(from), to: prefixesOf(to) }));
}

