import type { Evidence, NodeId, OfferedBytes, TunnelBytes } from '../../model/index.ts';
import { getOrSet } from '../tunnel-usage.ts';

/** An end that counted less of a window says nothing of it. */
const COUNTED_SHARE_MIN = 0.8;

/** Evidence by who and when, so that a window and its neighbours are at hand. */
export interface CountedWindows {
  windowMs: number;
  offered(window: number): readonly OfferedBytes[];
  /** Bytes of the whole window; null where the end was away for too much of it: a gap is not silence. */
  tunnel(window: number, tunnel: string, node: NodeId): TunnelBytes | null;
  /** Most and least of the window and its neighbours: clocks and beats of two ends differ. Null where the window is not known. */
  range(window: number, tunnel: string, node: NodeId, direction: 'rxBytes' | 'txBytes'): { least: number; most: number } | null;
}

export function countedWindows({ windowMs, offered, tunnels }: Evidence): CountedWindows {
  const byWindow = new Map<number, OfferedBytes[]>();
  for (const one of offered) getOrSet(byWindow, one.window, () => []).push(one);
  const byEnd = new Map(tunnels.map((one) => [`${one.window} ${one.tunnel} ${one.node}`, one]));
  const tunnel = (window: number, id: string, node: NodeId): TunnelBytes | null => {
    const found = byEnd.get(`${window} ${id} ${node}`);
    if (!found || found.countedMs < COUNTED_SHARE_MIN * windowMs) return null;
    const whole = Math.max(1, windowMs / found.countedMs);
    return { ...found, rxBytes: found.rxBytes * whole, txBytes: found.txBytes * whole };
  };
  return {
    windowMs,
    offered: (window) => byWindow.get(window) ?? [],
    tunnel,
    range(window, id, node, direction) {
      if (!tunnel(window, id, node)) return null;
      const known = [window - 1, window, window + 1].flatMap((near) => tunnel(near, id, node)?.[direction] ?? []);
      return { least: Math.min(...known), most: Math.max(...known) };
    },
  };
}
