import { sortedBy } from '../base/index.ts';
import { type ActiveHostsSeries, type ClassId, type NodeId, serviceFigures, type ServiceSeries, type SiteId, type UsersSample } from '../model/index.ts';
import type { SlotHosts, SlotServices } from './slots.ts';
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

/** One series for each (pair, class, service) that was told in any of these slots; sorted by them. */
export function seriesOfServices(counts: readonly SlotServices[], firstSlot: number, slots: number): ServiceSeries[] {
  const series = new Map<string, { of: SlotServices; counts: number[] }>();
  for (const of of counts) {
    if (of.slot < firstSlot || of.slot >= firstSlot + slots) continue;
    const one = getOrSet(series, `${of.from} ${of.to} ${of.classId} ${of.service}`, () => ({ of, counts: Array<number>(slots).fill(0) }));
    one.counts[of.slot - firstSlot] = of.count;
  }
  return sortedBy([...series], ([key]) => key).map(([, { of, counts: ofSlots }]) => ({ from: of.from as SiteId, to: of.to as SiteId, classId: of.classId as ClassId, service: of.service, ...serviceFigures(of.service, ofSlots) }));
}
