import { isNearSlaEdge } from './admissibility.ts';
import { isViolationForeseen } from './foreseen.ts';
import type { Ledger } from './ledger.ts';
import { sizeOf } from './demand.ts';
import { PLANNER_SETTINGS } from './settings.ts';
import type { TrafficClass } from '../model/index.ts';
import type { Choice, Want, Way } from './types.ts';

/**
 * Price of carrying a want over a way, in milliseconds worth: its lasting cost, the headroom of the fullest thing it
 * uses, and one more tunnel where it needs one.
 * @param weight  per cent of the want that would go this way
 */
export function costOf(way: Way, want: Want, ledger: Ledger, weight = 100): number {
  return lastingCostOf(way, want) + headroomCost(way, want, ledger, weight) + tunnelsCost(way, ledger);
}

/**
 * The part of the price that does not depend on who else is on the way: latency (weighed by how little the class
 * bears), money, a relay, signs of trouble. Only this is worth moving traffic for that has a place; being too full is
 * what limits are for.
 * @param like  `estimate` compares by geography alone: a measured way with one that was never measured
 */
export function lastingCostOf(way: Way, want: Want, like: 'measured' | 'estimate' = 'measured'): number {
  const latencyMs = like === 'estimate' ? way.estimateMs : way.latencyMs;
  const size = sizeOf(want);
  const usdPerGb = size > 0 ? (way.usdPerGb[0] * want.forward.plannedMbps + way.usdPerGb[1] * want.backward.plannedMbps) / size : (way.usdPerGb[0] + way.usdPerGb[1]) / 2;
  return (
    latencyWeight(want.trafficClass) * latencyMs +
    PLANNER_SETTINGS.usdPerGbCost * usdPerGb +
    (way.relay === null ? 0 : PLANNER_SETTINGS.relayCost) +
    (way.degraded ? PLANNER_SETTINGS.degradedCost : 0) +
    (like === 'measured' && isViolationForeseen(way, want) ? PLANNER_SETTINGS.violationCost : 0) +
    (like === 'measured' && isNearSlaEdge(way, want.trafficClass) ? PLANNER_SETTINGS.slaEdgeCost : 0)
  );
}

/** Mean cost of a choice, each way at its weight. */
export function costOfChoice(choice: Choice, want: Want, ledger: Ledger): number {
  return choice.reduce((sum, { way, weight }) => sum + (costOf(way, want, ledger, weight) * weight) / 100, 0);
}

/** How much a millisecond matters: 1 for a class that bears 100 ms, 2 at most, a tenth at least. */
function latencyWeight(trafficClass: TrafficClass): number {
  const boundMs = trafficClass.sla.latencyMaxMs;
  return boundMs > 0 ? Math.min(2, Math.max(0.1, 100 / boundMs)) : 2;
}

function headroomCost(way: Way, want: Want, ledger: Ledger, weight: number): number {
  let fullest = 0;
  for (const usage of way.usage) {
    const addedMbps = ((usage.forward * want.forward.plannedMbps + usage.backward * want.backward.plannedMbps) * weight) / 100;
    fullest = Math.max(fullest, ledger.utilisation(usage.resource, addedMbps));
  }
  const free = PLANNER_SETTINGS.headroomFreeRatio;
  return PLANNER_SETTINGS.headroomCost * Math.max(0, (Math.min(2, fullest) - free) / (1 - free)) ** 2;
}

function tunnelsCost(way: Way, ledger: Ledger): number {
  let cost = 0;
  for (const hop of way.hops) {
    if (hop.existing || ledger.isClaimed(hop)) continue;
    const fullest = Math.max(...hop.ends.map(({ node }) => (ledger.slotsTaken(node.id, true) + 1) / Math.max(1, node.tunnelsMax)));
    cost += PLANNER_SETTINGS.tunnelCost + PLANNER_SETTINGS.tunnelScarcityCost * Math.min(1, fullest) ** 2;
  }
  return cost;
}
