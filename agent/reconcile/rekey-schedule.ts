import { compareText, createRng } from '../../src/base/index.ts';
import type { NodeConfig, NodeTunnel, TunnelId } from '../../src/model/index.ts';
import { onceFor } from './once.ts';

/** Rekeys of the initiating end come within this last part of the profile's time. */
const SPREAD = 0.25;
/** The other end rekeys only when the initiating one has not for so long beyond the profile's time. */
const RESPONDER_FACTOR = 1.5;

/**
 * After how long this end renews the keys of a tunnel, ms. One end of a pair does it, so that both never do at the same
 * time (RFC 7296 §2.8.1 calls that a collision); the other is there in case it does not. The tunnels between two nodes
 * have a slot each in the last quarter of the profile's time, and a place in it by their name: a primary and its backup
 * are never rekeyed together, and neither are all tunnels of a large node. The same at each start.
 */
export function rekeyTimesOf(config: NodeConfig, tunnel: NodeTunnel): { ikeRekeyMs: number; espRekeyMs: number } {
  const { ikeRekeyMs, espRekeyMs } = tunnel;
  if (!tunnel.initiator) return { ikeRekeyMs: Math.round(ikeRekeyMs * RESPONDER_FACTOR), espRekeyMs: Math.round(espRekeyMs * RESPONDER_FACTOR) };
  const siblings = slotsOf(config).get(tunnel.peer) ?? new Map<TunnelId, number>();
  const slot = siblings.get(tunnel.id) ?? -1;
  const share = (of: string): number => 1 - SPREAD + (SPREAD * (slot + createRng(`rekey ${of} ${tunnel.id}`).next() / 2)) / siblings.size;
  return { ikeRekeyMs: Math.round(ikeRekeyMs * share('ike')), espRekeyMs: Math.round(espRekeyMs * share('esp')) };
}

/** For each peer the tunnels to it with their slots, 0 first. */
const slotsOf = onceFor(({ tunnels }: NodeConfig) => {
  const byPeer = new Map<string, TunnelId[]>();
  for (const { peer, id } of tunnels) {
    const ids = byPeer.get(peer) ?? [];
    ids.push(id);
    byPeer.set(peer, ids);
  }
  return new Map([...byPeer].map(([peer, ids]) => [peer, new Map(ids.sort(compareText).map((id, slot) => [id, slot]))]));
});
