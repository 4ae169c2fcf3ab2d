import { sortedBy } from '../base/index.ts';
import type { NodeId, TunnelId, TunnelSample, TunnelUsage } from '../model/index.ts';

/**
 * What a tunnel's interface may carry in a window of up to 10 s without being in use: neighbour discovery, a stray
 * multicast report. Probes do not pass the interface, so anything above it is traffic; one ping a second is 1,680 bytes.
 */
export const TUNNEL_NOISE_BYTES = 256;
/** Windows that make the current rate, and how many window lengths an end may be silent before it counts as idle. */
const WINDOWS = 3;
const SILENT_WINDOWS = 5;

/** The same bound for a window of any length; it grows with windows longer than 10 s. */
export function tunnelNoiseBytes(windowMs: number): number {
  return TUNNEL_NOISE_BYTES * Math.max(1, windowMs / 10_000);
}

/** When each tunnel was last used, and how busy it is now. Grows with tunnels, not with time. */
export class TunnelBook {
  readonly #windows = new Map<TunnelId, Map<NodeId, TunnelSample[]>>();
  readonly #lastUsedAt = new Map<TunnelId, number>();

  add(sample: TunnelSample): void {
    const ends = getOrSet(this.#windows, sample.tunnel, () => new Map<NodeId, TunnelSample[]>());
    insertNewest(getOrSet(ends, sample.node, () => []), sample, WINDOWS);
    if (sample.rxBytes + sample.txBytes > tunnelNoiseBytes(sample.windowMs)) this.noteUse(sample.tunnel, sample.sampledAt);
  }

  noteUse(tunnel: TunnelId, at: number): void {
    this.#lastUsedAt.set(tunnel, Math.max(at, this.#lastUsedAt.get(tunnel) ?? 0));
  }

  /** All tunnels, by id. `mbps` is the busier direction, averaged over the last windows, as the busier end saw it. */
  usages(now: number): TunnelUsage[] {
    const usages = [...this.#windows].map(([tunnel, ends]) => ({
      tunnel,
      lastUsedAt: this.#lastUsedAt.get(tunnel) ?? null,
      mbps: Math.max(0, ...[...ends.values()].map((windows) => rateMbps(windows, now))),
    }));
    return sortedBy(usages, (usage) => usage.tunnel);
  }

  /** Forgets tunnels without a window since `before`. */
  forget(before: number): void {
    for (const [tunnel, ends] of this.#windows) {
      if ([...ends.values()].every((windows) => (windows.at(-1)?.sampledAt ?? 0) < before)) {
        this.#windows.delete(tunnel);
        this.#lastUsedAt.delete(tunnel);
      }
    }
  }
}

function rateMbps(windows: readonly TunnelSample[], now: number): number {
  const fresh = windows.filter((window) => window.sampledAt > now - SILENT_WINDOWS * window.windowMs);
  const totalMs = fresh.reduce((sum, window) => sum + window.windowMs, 0);
  if (totalMs === 0) return 0;
  const bytes = Math.max(fresh.reduce((sum, window) => sum + window.rxBytes, 0), fresh.reduce((sum, window) => sum + window.txBytes, 0));
  return (bytes * 8) / totalMs / 1000;
}

/** Keeps the `count` newest by time, oldest first, also when they arrive out of order. */
export function insertNewest<T extends { sampledAt: number }>(windows: T[], sample: T, count: number): void {
  let index = windows.length;
  while (index > 0 && windows[index - 1]!.sampledAt > sample.sampledAt) index--;
  windows.splice(index, 0, sample);
  if (windows.length > count) windows.shift();
}

export function getOrSet<K, V>(map: Map<K, V>, key: K, make: () => V): V {
  const found = map.get(key);
  if (found !== undefined) return found;
  const made = make();
  map.set(key, made);
  return made;
}
