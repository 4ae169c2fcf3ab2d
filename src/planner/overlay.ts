import { addressAt } from '../base/index.ts';
import type { Tunnel } from '../model/index.ts';

/** The two overlay addresses of a tunnel by its index: for the end with the lesser uplink id, then for the other. */
export function overlayAddresses(overlayPrefix: string, index: number): [string, string] {
  return [addressAt(overlayPrefix, 4 + 2 * index), addressAt(overlayPrefix, 5 + 2 * index)];
}

/**
 * Gives out indices, lowest first. One that the previous plan uses is not given to another tunnel in the same step:
 * old and new are up side by side while traffic moves, and two tunnels must never share addresses.
 */
export function indexAllocator(previous: readonly Tunnel[]): () => number {
  const taken = new Set(previous.map((tunnel) => tunnel.index));
  let next = 0;
  return () => {
    while (taken.has(next)) next++;
    return next++;
  };
}

/** 16 of `10.255.0.0/16`; null when it is no IPv4 prefix. */
export function prefixLengthOf(prefix: string): number | null {
  const match = /^\d+\.\d+\.\d+\.\d+\/(\d+)$/.exec(prefix);
  const length = match ? Number(match[1]) : Number.NaN;
  return length <= 32 ? length : null;
}
