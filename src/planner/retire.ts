import { formatDuration } from '../base/index.ts';
import type { Tunnel } from '../model/index.ts';
import { isLastResort, isUsable } from './admissibility.ts';
import type { Board } from './board.ts';
import { pairKey } from './network.ts';
import { slotRefusal } from './options.ts';
import { formatTime } from './words.ts';
import type { Hop } from './types.ts';

/** Removals that a person took back: these tunnels stay as long as they may, dead ones too. */
export function keepVetoedRemovals(board: Board): void {
  for (const veto of board.network.inputs.vetoes) {
    const { change } = veto;
    if (change.kind !== 'tunnel-remove' || veto.until <= board.network.now) continue;
    for (const tunnel of board.network.previousTunnels.values()) {
      if (tunnel.path !== change.path || tunnel.securityProfile !== change.securityProfile) continue;
      const standby = board.network.standbyHopOf(tunnel);
      const hop = standby ?? board.network.hopOf(tunnel);
      if (!hop || !isLastResort(hop) || slotRefusal(board, [hop])) continue;
      if (standby) board.ledger.claimStandby(hop);
      else board.claim(hop, 'kept');
      board.notes.wait(`removal of ${tunnel.path}`, `a person took it back: ${veto.what}`, veto.until);
    }
  }
}

/**
 * Decides about the tunnels of the previous plan that nothing asked for: they stay through the hold time and until
 * they have been idle for the idle time, while both gateways have a slot; else they go, with the reason in the report.
 * Those of standby gateways are decided on after all others (standbys.ts). A dead path's tunnel stays when the pair has nothing else, so that its probes can tell when it lives again.
 */
export function retireTunnels(board: Board): void {
  const { network, notes } = board;
  const open = [...network.previousTunnels.values()].filter((tunnel) => !board.ledger.claimed.has(tunnel.id) && !network.isStandbyTunnel(tunnel));
  const byUse = open.map((tunnel) => ({ tunnel, usedAt: lastUse(board, tunnel) })).sort((left, right) => right.usedAt - left.usedAt || (left.tunnel.id < right.tunnel.id ? -1 : 1));
  for (const { tunnel, usedAt } of byUse) {
    const hop = network.hopOf(tunnel);
    const reason = hop ? reasonToGo(board, hop, tunnel, usedAt) : goneReason(board, tunnel);
    if (reason === null) board.claim(hop!, 'kept');
    else notes.removed.set(tunnel.id, { tunnel: tunnel.id, path: tunnel.path, reason });
  }
}

function reasonToGo(board: Board, hop: Hop, tunnel: Tunnel, usedAt: number): string | null {
  const { now, inputs } = board.network;
  const full = slotRefusal(board, [hop]);
  if (!isUsable(hop)) {
    const isNeeded = isLastResort(hop) && !hasOtherWay(board, hop) && full === null;
    if (isNeeded) board.notes.wait(`removal of ${tunnel.path}`, 'its probes say down, but the pair has no other way', null);
    return isNeeded ? null : hop.refusals.map((refusal) => refusal.reason).join('; ');
  }
  if (full !== null) return `gives way: ${full}${newcomers(board, hop)}`;
  const idleUntil = usedAt + inputs.intent.mesh.idleTimeoutMs;
  const holdUntil = tunnel.plannedAt + inputs.intent.mesh.holdMs;
  if (Math.max(idleUntil, holdUntil) <= now) {
    const hasTwin = board.ledger.claimedOf({ key: pairKey(tunnel.a.site, tunnel.b.site) }).length > 0;
    return `${hasTwin ? 'no longer needed beside the pair’s other tunnels' : 'no demand expected'}; idle since ${formatTime(usedAt)}, longer than ${formatDuration(inputs.intent.mesh.idleTimeoutMs)}`;
  }
  board.notes.wait(`removal of ${tunnel.path}`, holdUntil > idleUntil ? 'hold time' : 'idle time', Math.max(idleUntil, holdUntil));
  return null;
}

/** Last traffic, or since when it is planned when it never had any; never in the future. */
function lastUse(board: Board, tunnel: Tunnel): number {
  const usedAt = board.network.lastUsedAt.get(tunnel.id) ?? tunnel.plannedAt;
  return Math.min(board.network.now, Math.max(usedAt, tunnel.plannedAt));
}

function hasOtherWay(board: Board, hop: Hop): boolean {
  const pair = board.network.pair(hop.ends[0].site.id, hop.ends[1].site.id)!;
  const hasPlacement = pair.classes.some((trafficClass) => board.placements.has(`${pair.key}|${trafficClass.id}`));
  return hasPlacement || board.ledger.claimedOf(pair).some((other) => other !== hop);
}

function newcomers(board: Board, hop: Hop): string {
  const nodes = new Set(hop.ends.map((end) => end.node.id));
  const names = [...board.ledger.claimed.values()].filter((other) => !other.existing && other.ends.some((end) => nodes.has(end.node.id))).map((other) => board.notes.claimReasons.get(other.tunnel));
  return names.length > 0 ? ` (${names.join('; ')})` : '';
}

function goneReason(board: Board, tunnel: Tunnel): string {
  const { network } = board;
  const pair = network.pair(tunnel.a.site, tunnel.b.site);
  if (!pair) return `${tunnel.a.site} and ${tunnel.b.site} are not admitted to each other any more`;
  for (const end of [tunnel.a, tunnel.b]) {
    const serving = network.serving.get(end.site);
    if (serving?.id !== end.node) return serving ? `${serving.id} serves ${end.site} now` : `${end.site} has no node`;
  }
  const isPath = network.hops(pair).some((hop) => hop.path === tunnel.path);
  return isPath ? `the security profile of the pair is another: ${pair.profile.name}` : 'one of its uplinks is gone';
}
