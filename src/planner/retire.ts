import { formatDuration } from '../base/index.ts';
import type { Tunnel } from '../model/index.ts';
import { isLastResort, isUsable } from './admissibility.ts';
import type { Board } from './board.ts';
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
 * Those of standby gateways are decided on after all others (standbys.ts), and dead ones beside others of their pair last of all (`keepDead`).
 */
export function retireTunnels(board: Board): void {
  const { network, notes } = board;
  for (const { tunnel, usedAt } of openTunnels(board)) {
    const hop = network.hopOf(tunnel);
    if (hop && isDeadBesideOthers(board, hop)) continue;
    const reason = hop ? reasonToGo(board, hop, tunnel, usedAt) : goneReason(board, tunnel);
    if (reason === null) board.claim(hop!, 'kept');
    else notes.removed.set(tunnel.id, { tunnel: tunnel.id, path: tunnel.path, reason });
  }
}

/**
 * The tunnel of a dead path stays while the pair has tunnels and nobody else needs its slots: only its probes can tell
 * when the path lives again, and then it serves at once. Without it nothing would be known of the path: the plan would
 * have to do without it for as long as it believes the last word, or to try it again and again.
 */
export function keepDead(board: Board): void {
  for (const { tunnel } of openTunnels(board)) {
    const hop = board.network.hopOf(tunnel);
    if (!hop || !isDeadBesideOthers(board, hop)) continue;
    const full = slotRefusal(board, [hop]);
    if (full !== null) {
      board.notes.removed.set(tunnel.id, { tunnel: tunnel.id, path: tunnel.path, reason: `its probes say down; gives way: ${full}${newcomers(board, hop)}` });
      continue;
    }
    board.claim(hop, 'kept');
    board.notes.wait(`use of ${tunnel.path}`, 'its probes say down; the tunnel stays, so that they can tell when the path lives again', null);
  }
}

/** Tunnels of the previous plan that nobody has claimed or removed and no standby gateway may want, those used last first. */
function openTunnels(board: Board): { tunnel: Tunnel; usedAt: number }[] {
  const { network, notes } = board;
  return [...network.previousTunnels.values()]
    .filter((tunnel) => !board.ledger.claimed.has(tunnel.id) && !notes.removed.has(tunnel.id) && !network.isStandbyTunnel(tunnel))
    .map((tunnel) => ({ tunnel, usedAt: lastUse(board, tunnel) }))
    .sort((left, right) => right.usedAt - left.usedAt || (left.tunnel.id < right.tunnel.id ? -1 : 1));
}

function isDeadBesideOthers(board: Board, hop: Hop): boolean {
  return !isUsable(hop) && isLastResort(hop) && hasOtherWay(board, hop);
}

function reasonToGo(board: Board, hop: Hop, tunnel: Tunnel, usedAt: number): string | null {
  const { now, inputs } = board.network;
  const full = slotRefusal(board, [hop]);
  if (!isUsable(hop)) {
    const isNeeded = isLastResort(hop) && full === null;
    if (isNeeded) board.notes.wait(`removal of ${tunnel.path}`, 'its probes say down, but the pair has no other way', null);
    return isNeeded ? null : hop.refusals.map((refusal) => refusal.reason).join('; ');
  }
  if (full !== null) return `gives way: ${full}${newcomers(board, hop)}`;
  const idleUntil = usedAt + inputs.intent.mesh.idleTimeoutMs;
  const holdUntil = tunnel.plannedAt + inputs.intent.mesh.holdMs;
  if (Math.max(idleUntil, holdUntil) <= now) {
    const hasTwin = board.ledger.claimedOf(board.network.pairOfHop(hop)!).length > 0;
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
  const pair = board.network.pairOfHop(hop)!;
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
  const pair = network.pairOf([tunnel.a, tunnel.b]) ?? network.pair(tunnel.a.site, tunnel.b.site, 0);
  if (!pair) return `${tunnel.a.site} and ${tunnel.b.site} are not admitted to each other any more`;
  for (const end of [tunnel.a, tunnel.b]) {
    const serving = network.serving.get(end.site) ?? [];
    if (serving.every(({ id }) => id !== end.node)) return serving[0] ? `${serving.map(({ id }) => id).join(' and ')} ${serving.length > 1 ? 'serve' : 'serves'} ${end.site} now` : `${end.site} has no node`;
  }
  const isPath = network.hops(pair).some((hop) => hop.path === tunnel.path);
  return isPath ? `the security profile of the pair is another: ${pair.profile.name}` : 'one of its uplinks is gone';
}
