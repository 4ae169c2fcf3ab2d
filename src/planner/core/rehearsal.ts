import { worthOf } from './certificate.ts';
import { repairAfterFailure } from './failure.ts';
import type { Standing } from './plan-instance.ts';
import { regain } from './regain.ts';

/** What a plan would lose if an uplink died. */
export interface Rehearsed {
  uplink: number;
  /** Tunnels that would be down, and demands whose flows would change at once. */
  down: number;
  changed: number;
  /** Mbit/s by class that would find no way over the tunnels that are left. */
  lostMbps: number[];
  /** Of the worth served, what would be lost then, and what once the first plan stands, with the tunnels that it opens. */
  lostPct: number;
  lostAfterPct: number;
}

/**
 * Rehearses the death of one uplink after the other, from the busiest on: what would be lost at once, and after the first plan. Leaves
 * `standing` as it was. It also runs what answers a failure, so that a failure does not meet code that is not compiled yet.
 */
export function rehearseFailures(standing: Standing, count: number): Rehearsed[] {
  return busiestUplinks(standing).slice(0, count).map((uplink) => onTrial(standing, () => rehearse(standing, uplink)));
}

/** Uplinks by what the plan sends over them, both directions together, the most first. */
export function busiestUplinks({ tables, plan }: Pick<Standing, 'tables' | 'plan'>): number[] {
  const carried = new Float64Array(tables.uplinks);
  for (const { links, mbps } of plan.flows) for (const link of links) for (const hop of [2 * link, 2 * link + 1]) carried[tables.hopUses[4 * hop]!]! += mbps;
  return [...carried.keys()].sort((one, other) => carried[other]! - carried[one]! || one - other);
}

/** Brings back all numbers that answering a failure changes; the objects stay, since code is compiled for their shapes. */
export function onTrial<T>({ tables, paths, flows, linkPrices, tunnels }: Standing, look: () => T): T {
  const changing = [
    [tables.capacity, linkPrices],
    [paths.count, paths.first, paths.second, paths.cost],
    [flows.flow, flows.served, flows.load, flows.price, flows.multiplier],
    [tunnels.isOpen, tunnels.used, tunnels.toHub, tunnels.isIdle, tunnels.idle],
  ].flat();
  const before = changing.map((numbers) => numbers.slice());
  const { kappa, fairness, medianPremium } = flows;
  try {
    return look();
  } finally {
    for (const [index, numbers] of changing.entries()) numbers.set(before[index]!);
    Object.assign(flows, { kappa, fairness, medianPremium });
  }
}

function rehearse(standing: Standing, uplink: number): Rehearsed {
  const { tables, flows } = standing;
  const before = flows.served.slice();
  const worth = worthOf(tables, before);
  const repair = repairAfterFailure(standing, [uplink]);
  const lostMbps = new Float64Array(tables.weight.length);
  for (let demand = 0; demand < tables.demands; demand++) lostMbps[tables.classOf[demand]!]! += before[demand]! - flows.served[demand]!;
  const lostPct = lostOf(worth, worthOf(tables, flows.served));
  const first = regain(standing, repair);
  return { uplink, down: repair.down.length, changed: repair.changed.length, lostMbps: Array.from(lostMbps, (mbps) => Math.max(0, mbps)), lostPct, lostAfterPct: lostOf(worth, worthOf(tables, first.standing.flows.served)) };
}

function lostOf(worth: number, left: number): number {
  return worth > 0 ? Math.max(0, 100 * (1 - left / worth)) : 0;
}
