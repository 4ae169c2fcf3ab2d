import { sortedBy } from '../base/index.ts';
import type { ActiveHostsSeries, NodeId, UsersSample } from '../model/index.ts';
import type { SlotHosts } from './slots.ts';
import { getOrSet } from './tunnel-usage.ts';

/** One series for each (node, group, name) that was counted in any of `slots` slots from `firstSlot` on; sorted by them. */
export function seriesOfHosts(counts: readonly SlotHosts[], firstSlot: number, slots: number): ActiveHostsSeries[] {
  const series = new Map<string, ActiveHostsSeries>();
  for (const { node, group, name, slot, hostMs, countedMs } of counts) {
    if (slot < firstSlot || slot >= firstSlot + slots || countedMs <= 0) continue;
    const one = getOrSet(series, `${node} ${group} ${name}`, () => ({ node: node as NodeId, group: group as UsersSample['group'], name, hosts: Array<number | null>(slots).fill(null) }));
    one.hosts[slot - firstSlot] = hostMs / countedMs;
  }
  return sortedBy([...series], ([key]) => key).map(([, one]) => one);
}
