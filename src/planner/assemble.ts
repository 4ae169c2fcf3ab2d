import { compareText, sortedBy } from '../base/index.ts';
import type { Assignment, Plan, Tunnel, TunnelEnd, TunnelId } from '../model/index.ts';
import type { Board, Placement } from './board.ts';
import { copiesOf } from './copies.ts';
import { fallbacksOf, servingFallbacks, uniqueWays } from './fallbacks.ts';
import { pairKey } from './network.ts';
import { indexAllocator, overlayAddresses } from './overlay.ts';
import type { Hop, HopEnd } from './types.ts';

/**
 * Writes down what the board decided: sorted, with addresses and ids, both directions of every pair.
 * @param origin  the plan that runs, where rounds lie between it and this one: its tunnels keep their addresses and their time
 */
export function assemblePlan(board: Board, origin: Plan = board.network.inputs.previous): Plan {
  const { network } = board;
  const { intent, previous } = network.inputs;
  const tunnels = assembleTunnels(board, origin);
  const profiles = new Set(tunnels.map((tunnel) => tunnel.securityProfile));
  return {
    schema: 'foremesh/plan/v1',
    mesh: intent.mesh.name,
    servingNodes: [...network.serving].flatMap(([site, nodes]) => nodes.map((node) => ({ site, node: node.id }))),
    tunnels,
    assignments: assembleAssignments(board, previous),
    admitted: [...network.pairs.values()].filter(({ plane }) => plane === 0).map((pair) => [pair.a.id, pair.b.id]),
    securityProfiles: sortedBy(intent.securityProfiles.filter((profile) => profiles.has(profile.name)), (profile) => profile.name),
    overrides: network.overrides,
    vetoes: sortedBy(network.inputs.vetoes.filter((veto) => veto.until > network.now), (veto) => `${veto.fingerprint} ${veto.commit}`),
  };
}

function assembleTunnels(board: Board, origin: Plan): Tunnel[] {
  const { now, inputs, previousTunnels } = board.network;
  const { overlayPrefix } = inputs.intent.mesh;
  const before = new Map([...origin.tunnels.map((tunnel) => [tunnel.id, tunnel] as const), ...previousTunnels]);
  const nextIndex = indexAllocator([...before.values()]);
  return sortedBy([...board.ledger.claimed.values()], (hop) => hop.tunnel).map((hop): Tunnel => {
    const existing = before.get(hop.tunnel);
    const index = existing?.index ?? nextIndex();
    const [overlayA, overlayB] = overlayAddresses(overlayPrefix, index);
    return {
      id: hop.tunnel,
      path: hop.path,
      index,
      a: tunnelEnd(hop.ends[0], overlayA),
      b: tunnelEnd(hop.ends[1], overlayB),
      securityProfile: hop.profile.name,
      plannedAt: existing?.plannedAt ?? now,
    };
  });
}

function tunnelEnd(end: HopEnd, overlay: string): TunnelEnd {
  return { node: end.node.id, site: end.site.id, uplink: end.uplink.id, address: end.uplink.address, overlay };
}

function assembleAssignments(board: Board, previous: Plan): Assignment[] {
  const listed = new Map(previous.assignments.filter(({ from, to }) => from < to).map((assignment) => [`${assignment.from}>${assignment.to}|${assignment.classId}`, assignment]));
  const groups = new Map<string, Placement[]>();
  for (const placement of board.placements.values()) {
    const { pair, trafficClass } = placement.want;
    const key = `${pairKey(pair.a.id, pair.b.id)}|${trafficClass.id}`;
    groups.set(key, sortedBy([...(groups.get(key) ?? []), placement], ({ want }) => String(want.pair.plane)));
  }
  const assignments = [...groups].flatMap(([key, halves]) => {
    const fallbacks = fallbacksOf(board, halves, listed.get(key));
    // of a half its own: both copies of a packet must come to the same gateway
    const copies = halves.flatMap((placement) => copiesOf(board, placement, halves.length > 1 ? servingFallbacks(board, placement, listed.get(key)) : fallbacks));
    return bothDirections(halves, fallbacks, uniqueWays(copies));
  });
  return assignments.sort((left, right) => compareText(left.from, right.from) || compareText(left.to, right.to) || compareText(left.classId, right.classId));
}

/** @param halves  of one class of two sites: one, or two where gateways share traffic */
function bothDirections(halves: readonly Placement[], fallbacks: readonly Hop[][], copies: readonly Hop[][]): [Assignment, Assignment] {
  const { pair: { a, b }, trafficClass } = halves[0]!.want;
  const ways = halves.flatMap(({ choice }) =>
    choice.flatMap(({ way, weight }) => way.routes.map((route) => ({ tunnels: route.hops.map((hop) => hop.tunnel), weight: (weight * route.share) / 100 / halves.length }))),
  );
  const routes = wholeWeights(ways).sort((left, right) => right.weight - left.weight || compareText(left.tunnels.join(), right.tunnels.join()));
  const tunnelsOf = (list: readonly Hop[][]): TunnelId[][] => list.map((hops) => hops.map((hop) => hop.tunnel));
  const backups = tunnelsOf(fallbacks);
  const forth = copies.length > 0 ? { copies: tunnelsOf(copies) } : {};
  const back = copies.length > 0 ? { copies: tunnelsOf(copies).map((tunnels) => tunnels.toReversed()) } : {};
  return [
    { from: a.id, to: b.id, classId: trafficClass.id, routes, backups, ...forth },
    {
      from: b.id,
      to: a.id,
      classId: trafficClass.id,
      routes: routes.map(({ tunnels, weight }) => ({ tunnels: tunnels.toReversed(), weight })),
      backups: backups.map((tunnels) => tunnels.toReversed()),
      ...back,
    },
  ];
}

/** The same to the per cent, at least 1 each, the least first: halves of odd weights go up and down in turn. */
function wholeWeights<T extends { weight: number }>(routes: readonly T[]): T[] {
  let owed = 0;
  return [...routes].sort((left, right) => left.weight - right.weight).map((route) => {
    const weight = Math.max(1, Math.round(route.weight + owed));
    owed += route.weight - weight;
    return { ...route, weight };
  });
}
