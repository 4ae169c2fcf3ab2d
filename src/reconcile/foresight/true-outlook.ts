import type { Outlook } from './planned.ts';
import { sumOf, type World } from './world.ts';

/** What will be: the oracle's. */
export function trueOutlook(world: World, openAheadMs: number, keepAheadMs: number): (slot: number) => Outlook {
  const pairs = world.pairs.length;
  const sums = world.pairs.map((pair) => sumOf(pair, pair.forward.length));
  const [soon, later] = [openAheadMs, keepAheadMs].map((ms) => Math.max(1, Math.ceil(ms / world.slotMs))) as [number, number];
  const outlook: Outlook = { p50Mbps: new Float64Array(pairs), openMbps: new Float64Array(pairs), keepMbps: new Float64Array(pairs) };
  return (slot) => {
    for (let pair = 0; pair < pairs; pair++) {
      const most = (ahead: number): number => {
        let mbps = 0;
        for (let next = slot + 1; next <= slot + ahead; next++) mbps = Math.max(mbps, sums[pair]![next] || 0);
        return mbps;
      };
      outlook.openMbps[pair] = most(soon);
      outlook.keepMbps[pair] = most(later);
      outlook.p50Mbps[pair] = outlook.openMbps[pair]!;
    }
    return outlook;
  };
}
