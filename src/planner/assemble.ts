import { compareText, sortedBy } from '../base/index.ts';
import type { Assignment, Plan, Tunnel, TunnelEnd, TunnelId } from '../model/index.ts';
import type { Board, Placement } from './board.ts';
import { copiesOf } from './copies.ts';
import { fallbacksOf } from './fallbacks.ts';
import { indexAllocator, overlayAddresses } from './overlay.ts';
import type { Hop, HopEnd } from './types.ts';

/** Writes down what the board decided: sorted, with addresses and ids, both directions of every pair. */
export function assemblePlan(board: Board): Plan {
  const { network } = board;
  const { intent, previous } = network.inputs;
  const tunnels = assembleTunnels(board);
  const profiles = new Set(tunnels.map((tunnel) => tunnel.securityProfile));
  return {
    schema: 'foremesh/plan/v1',
    mesh: intent.mesh.name,
    servingNodes: [...network.serving].map(([site, node]) => ({ site, node: node.id })),
    tunnels,
    assignments: assembleAssignments(board, previous),
    admitted: [...network.pairs.values()].map((pair) => [pair.a.id, pair.b.id]),
    securityProfiles: sortedBy(intent.securityProfiles.filter((profile) => profiles.has(profile.name)), (profile) => profile.name),
    overrides: network.overrides,
    vetoes: sortedBy(network.inputs.vetoes.filter((veto) => veto.until > network.now), (veto) => `${veto.fingerprint} ${veto.commit}`),
  };
}

function assembleTunnels(board: Board): Tunnel[] {
  const { now, inputs, previousTunnels } = board.network;
  const { overlayPrefix } = inputs.intent.mesh;
  const nextIndex = indexAllocator(inputs.previous.tunnels);
  return sortedBy([...board.ledger.claimed.values()], (hop) => hop.tunnel).map((hop): Tunnel => {
    const existing = previousTunnels.get(hop.tunnel);
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
  const assignments = [...board.placements.values()].flatMap((placement) => {
    const { key, pair } = placement.want;
    const fallbacks = fallbacksOf(board, placement, board.ledger.claimedOf(pair), listed.get(key));
    return bothDirections(placement, fallbacks, copiesOf(board, placement, fallbacks));
  });
  return assignments.sort((left, right) => compareText(left.from, right.from) || compareText(left.to, right.to) || compareText(left.classId, right.classId));
}

function bothDirections({ want, choice }: Placement, fallbacks: readonly Hop[][], copies: readonly Hop[][]): [Assignment, Assignment] {
  const { a, b } = want.pair;
  const routes = choice
    .flatMap(({ way, weight }) => way.routes.map((route) => ({ tunnels: route.hops.map((hop) => hop.tunnel), weight: (weight * route.share) / 100 })))
    .sort((left, right) => right.weight - left.weight || compareText(left.tunnels.join(), right.tunnels.join()));
  const tunnelsOf = (ways: readonly Hop[][]): TunnelId[][] => ways.map((hops) => hops.map((hop) => hop.tunnel));
  const backups = tunnelsOf(fallbacks);
  const forth = copies.length > 0 ? { copies: tunnelsOf(copies) } : {};
  const back = copies.length > 0 ? { copies: tunnelsOf(copies).map((tunnels) => tunnels.toReversed()) } : {};
  return [
    { from: a.id, to: b.id, classId: want.trafficClass.id, routes, backups, ...forth },
    {
      from: b.id,
      to: a.id,
      classId: want.trafficClass.id,
      routes: routes.map(({ tunnels, weight }) => ({ tunnels: tunnels.toReversed(), weight })),
      backups: backups.map((tunnels) => tunnels.toReversed()),
      ...back,
    },
  ];
}
