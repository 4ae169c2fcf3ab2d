import type { Forecast, Intent, UplinkId } from '../model/index.ts';
import { assignmentKey, weightsByPaths, type PlanView } from './plan-view.ts';

/** Mean month, in seconds, and Mbit in a GB. */
const SECONDS_PER_MONTH = 2_629_800;
const MBIT_PER_GB = 8000;

/** Below this a pair counts as silent, Mbit/s: the planner's floor too. */
export const SILENT_MBPS = 0.05;

/** Mean of the median over the horizon, Mbit/s, by `from>to class`; null without a forecast. */
export type Means = ReadonlyMap<string, number> | null;

export function meanDemands(forecast: Forecast | null): Means {
  if (!forecast) return null;
  const means = new Map<string, number>();
  for (const demand of forecast.demands) {
    const slots = demand.slots.map((slot) => (Number.isFinite(slot.p50) && slot.p50 > 0 ? slot.p50 : 0));
    means.set(assignmentKey(demand), slots.length > 0 ? slots.reduce((sum, mbps) => sum + mbps, 0) / slots.length : 0);
  }
  return means;
}

/** Share of all traffic that took a way before and takes another now, or none, 0…1; moves of `settled` assignments do not count. */
export function trafficShareMoved(before: PlanView, after: PlanView, means: Means, settled: ReadonlySet<string>): number {
  const keys = new Set([...before.assignments.keys(), ...after.assignments.keys()]);
  let moved = 0;
  let total = 0;
  for (const key of keys) {
    const mbps = means ? (means.get(key) ?? 0) : 1;
    total += mbps;
    if (settled.has(key)) continue;
    const then = weightsByPaths(before, before.assignments.get(key));
    const now = weightsByPaths(after, after.assignments.get(key));
    for (const [paths, weight] of then) moved += (mbps * Math.max(0, weight - (now.get(paths) ?? 0))) / 100;
  }
  return total > 0 ? Math.min(1, moved / total) : 0;
}

/** What the forecast's mean costs a month in egress over a plan's routes but those of `settled` assignments, USD; 0 without a forecast. */
export function usdPerMonthOf(intent: Intent, view: PlanView, means: Means, settled: ReadonlySet<string>): number {
  const prices = new Map<UplinkId, number>(intent.sites.flatMap((site) => site.nodes.flatMap((node) => node.uplinks.map((uplink): [UplinkId, number] => [uplink.id, uplink.usdPerGb]))));
  let usd = 0;
  for (const [key, assignment] of view.assignments) {
    if (settled.has(key)) continue;
    for (const { tunnels, weight } of assignment.routes) {
      let at = assignment.from;
      for (const id of tunnels) {
        const tunnel = view.tunnels.get(id);
        if (!tunnel) continue;
        const [sender, receiver] = tunnel.a.site === at ? [tunnel.a, tunnel.b] : [tunnel.b, tunnel.a];
        usd += ((((means?.get(key) ?? 0) * weight) / 100) * SECONDS_PER_MONTH * (prices.get(sender.uplink) ?? 0)) / MBIT_PER_GB;
        at = receiver.site;
      }
    }
  }
  return Number.isFinite(usd) ? usd : 0;
}
