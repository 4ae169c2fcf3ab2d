import { compareText, sortedBy } from '../base/index.ts';
import type { SiteNode } from '../model/index.ts';
import { avoidRefusals, isLastResort, isUsable } from './admissibility.ts';
import type { Board, Placement } from './board.ts';
import { slotRefusal } from './options.ts';
import { isDead } from './serving.ts';
import type { Hop, Pair } from './types.ts';
import { endAt } from './way.ts';

/**
 * Sees that every gateway that does not serve its site has one tunnel of its own to each site that its site has tunnels
 * to, so that it can take over at once and without the engine. Comes after everything else: a standby takes only slots
 * that nobody needs, pairs that must always be connected first. What stands is kept while it is usable; a new one goes
 * over the path with the least latency. Standby gateways of two sites have none between them: that both serving ones are
 * gone at the same time is left to the engine.
 */
export function planStandbys(board: Board): void {
  const { network, notes } = board;
  const pairs = sortedBy([...network.pairs.values()].filter((pair) => board.ledger.claimedOf(pair).length > 0), (pair) => `${pair.connection.mode === 'always' ? 0 : 1} ${pair.key}`);
  for (const pair of pairs) {
    for (const site of [pair.a, pair.b]) {
      for (const node of network.standbyNodes(pair, site.id)) {
        const far = network.gatewayOf(pair, site === pair.a ? pair.b.id : pair.a.id)?.id;
        const isKept = board.ledger.standbysOf(pair).some((hop) => hop.ends.every((end) => [node.id, far].includes(end.node.id))); // by a veto, or for the other half
        if (!isKept) ensureStandby(board, pair, node);
      }
    }
  }
  for (const tunnel of network.previousTunnels.values()) {
    if (board.ledger.claimed.has(tunnel.id) || !network.isStandbyTunnel(tunnel)) continue;
    notes.removed.set(tunnel.id, { tunnel: tunnel.id, path: tunnel.path, reason: 'its standby gateway needs it no longer, or has no slot for it' });
  }
}

/**
 * The ways that lead through a standby gateway at one end, or at the relay, of what carries a placement. At a relay both
 * tunnels must be those of the same gateway, since what comes out of one leaves through the other.
 */
export function standbyWays(board: Board, { want, choice }: Placement): Hop[][] {
  const { pair } = want;
  const isDirect = choice.some(({ way }) => way.relay === null) || board.ledger.claimedOf(pair).some(isUsable);
  if (isDirect) return board.ledger.standbysOf(pair).filter(isStandbyUsable).map((hop) => [hop]);
  const ways = choice.flatMap(({ way }) => {
    const relay = board.network.relays.find((site) => site.id === way.relay);
    if (!relay) return [];
    const isFit = (hop: Hop): boolean => isStandbyUsable(hop) && avoidRefusals(pair, hop.ends, [relay]).length === 0;
    const nears = board.ledger.standbysOf(board.network.pair(pair.a.id, relay.id, pair.plane)!).filter(isFit);
    const fars = board.ledger.standbysOf(board.network.pair(relay.id, pair.b.id, pair.plane)!).filter(isFit);
    return way.routes.flatMap(({ hops: [near, far] }) => {
      const meet = (one: Hop, other: Hop): boolean => endAt(one, relay.id).node.id === endAt(other, relay.id).node.id;
      const nearer = [near!, ...nears];
      const farther = [far!, ...fars];
      return nearer.flatMap((one) => farther.filter((other) => (one !== near || other !== far) && meet(one, other)).map((other) => [one, other]));
    });
  });
  return [...new Map(ways.map((hops) => [hops.map((hop) => hop.tunnel).join(), hops])).values()];
}

function ensureStandby(board: Board, pair: Pair, node: SiteNode): void {
  const { inputs, now } = board.network;
  const isNodeDead = isDead(inputs.observation.nodes.find((status) => status.node === node.id), now);
  const candidates = board.network
    .standbyHops(pair, node)
    .filter((hop) => isUsable(hop) || (hop.existing !== null && isLastResort(hop)))
    .filter((hop) => hop.existing !== null || !isNodeDead)
    .map((hop) => ({ hop, keys: [isUsable(hop) ? 0 : 1, hop.existing ? 0 : 1, hop.latencyMs] }))
    .sort((left, right) => {
      const index = left.keys.findIndex((key, at) => key !== right.keys[at]);
      return index < 0 ? compareText(left.hop.path, right.hop.path) : left.keys[index]! - right.keys[index]!;
    });
  const best = candidates.find(({ hop }) => slotRefusal(board, [hop]) === null)?.hop;
  if (best) {
    board.ledger.claimStandby(best);
    if (!best.existing) board.notes.claimReasons.set(best.tunnel, `standby ${node.id} takes over with it`);
    return;
  }
  const reason = candidates[0] ? slotRefusal(board, [candidates[0].hop])! : isNodeDead ? 'the gateway does not answer' : 'no admissible path';
  board.notes.wait(`standby tunnel of ${node.id} between ${pair.a.id} and ${pair.b.id}`, reason, null);
}

function isStandbyUsable(hop: Hop): boolean {
  return isUsable(hop) || isLastResort(hop);
}
