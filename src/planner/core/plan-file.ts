import { noBackups, type Backups } from './backups.ts';
import { asPlanned, roomOf, send, type Flows } from './flows.ts';
import { addPath, linksOf, wayAlong, type Found, type Paths } from './paths.ts';
import type { Tables } from './tables.ts';
import { linksInUse, noTunnels, openIdle, setIdle, type Tunnels } from './tunnels.ts';

/** What to set up and what to send where; `links` are one link or two that meet at a relay, in the order of the way. */
export interface InstancePlan {
  /** Links that have a tunnel. */
  tunnels: number[];
  flows: { demand: number; links: number[]; mbps: number }[];
  /** `mbps` is what the shared reserve holds for it; the rest is sent at best effort. */
  backups: { demand: number; links: number[]; mbps: number }[];
  /** Tunnels that carry and back up nothing, since so many plans. */
  idle: { link: number; plans: number }[];
  /** By resource: up[uplink], down[uplink], crypto[site], then links with a cap. They prove the bound. */
  prices: number[];
}

/** Plans that a tunnel stays without use, as long as its slots are free. */
const HOLD_PLANS = 10;
/** Mbit/s; a flow below this is left out of the plan. */
const DUST = 1e-6;

/** Sends what the previous plan sent, as far as it is still wanted and allowed. */
export function resume(tables: Tables, paths: Paths, flows: Flows, { flows: previous }: InstancePlan): void {
  const found: Found = { price: 0, first: -1, second: -1 };
  for (const { demand, links, mbps } of previous) {
    if (!(demand >= 0 && demand < tables.demands) || !wayAlong(tables, demand, links, found)) continue;
    addPath(tables, paths, demand, found.first, found.second);
    for (let path = paths.start[demand]!; path < paths.start[demand]! + paths.count[demand]!; path++) {
      if (paths.first[path] === found.first && paths.second[path] === found.second && roomOf(tables, paths, flows, demand, path) > 0) send(tables, paths, flows, demand, path, Math.max(0, Math.min(mbps, tables.p95Mbps[demand]! - flows.served[demand]!)));
    }
  }
}

/**
 * Tunnels of the plan before stay for `HOLD_PLANS` plans when they carry and back up nothing now and nobody needs their slots:
 * demand that comes and goes from cycle to cycle tears down nothing.
 */
export function held(previousPlan: InstancePlan | undefined): number[] {
  const idle = new Map(previousPlan?.idle.map(({ link, plans }) => [link, plans]));
  return (previousPlan?.tunnels ?? []).filter((link) => (idle.get(link) ?? 0) < HOLD_PLANS);
}

/** Tunnels without use, and since when. */
export function idleOf(tables: Tables, tunnels: Tunnels, previousPlan: InstancePlan | undefined): InstancePlan['idle'] {
  const before = new Map(previousPlan?.idle.map(({ link, plans }) => [link, plans]));
  const idle: InstancePlan['idle'] = [];
  for (let link = 0; link < tables.links; link++) if (tunnels.isIdle[link] === 1) idle.push({ link, plans: 1 + (before.get(link) ?? 0) });
  return idle;
}

/** What is open in the end: links that carry something, and these. */
export function tunnelsOf(tables: Tables, paths: Paths, flows: Flows, alsoOpen: readonly number[]): Tunnels {
  const isUsed = linksInUse(tables, paths, flows);
  const also = isAmong(alsoOpen);
  const tunnels = noTunnels(tables);
  for (let link = 0; link < tables.links; link++) {
    if (!isUsed(link) && !also(link)) continue;
    openIdle(tables, tunnels, link);
    if (!isUsed(link)) setIdle(tables, tunnels, link, true);
  }
  return tunnels;
}

/** The backups of a plan, as far as they are still wanted and allowed. */
export function backupsOf(tables: Tables, { backups }: InstancePlan): Backups {
  const known = noBackups(tables);
  const found: Found = { price: 0, first: -1, second: -1 };
  for (const { demand, links } of backups) {
    if (!(demand >= 0 && demand < tables.demands) || !wayAlong(tables, demand, links, found)) continue;
    known.first[demand] = found.first;
    known.second[demand] = found.second;
  }
  return known;
}

/** The plan that flows, tunnels and backups are. */
export function readPlan(tables: Tables, paths: Paths, flows: Flows, prices: Float64Array, tunnels: Tunnels, backups: Backups, idle: InstancePlan['idle']): InstancePlan {
  const plan: InstancePlan = { tunnels: [], flows: [], backups: [], idle, prices: Array.from(prices.subarray(0, tables.resources), (price) => Number(price.toPrecision(9))) };
  for (let demand = 0; demand < tables.demands; demand++) {
    for (let path = paths.start[demand]!; path < paths.start[demand]! + paths.count[demand]!; path++) {
      if (flows.flow[path]! >= DUST) plan.flows.push({ demand, links: linksOf(paths.first[path]!, paths.second[path]!), mbps: asPlanned(flows.flow[path]!) });
    }
    if (backups.first[demand]! >= 0) plan.backups.push({ demand, links: linksOf(backups.first[demand]!, backups.second[demand]!), mbps: asPlanned(backups.mbps[demand]!) });
  }
  for (let link = 0; link < tables.links; link++) if (tunnels.isOpen[link] === 1) plan.tunnels.push(link);
  return plan;
}

/** Whether a link is one of these. */
export function isAmong(links: readonly number[]): (link: number) => boolean {
  const wanted = new Set(links);
  return (link) => wanted.has(link);
}
