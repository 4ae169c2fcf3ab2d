import { asPlanned, roomOf, send, reprice, type Flows } from './flows.ts';
import { addPath, linksOf, type Paths } from './paths.ts';
import type { InstancePlan } from './plan-file.ts';
import type { Standing } from './plan-instance.ts';
import { fillDemand, trim } from './repair.ts';
import { CLOSED, wayPrice, type LinkPrices } from './sweep.ts';
import type { Tables } from './tables.ts';
import { setOpen } from './tunnels.ts';

/** What a failure changes at once; everything else stays as planned. */
export interface Repair {
  /** Tunnels that are down. */
  down: number[];
  /** Demands whose flows have changed, and all their flows; one that has none here sends nothing. */
  changed: number[];
  flows: InstancePlan['flows'];
}

/** Mbit/s; less is nothing. */
const NOTHING = 1e-6;
const MARGIN = 1e-9;

/**
 * Answers the death of uplinks without opening a tunnel: what went over them goes over its backup, then over whatever open way has
 * room, the most important demands first; where that is not enough, what is less important makes room. Changes `standing` to what
 * is left, for `replan` to go on from.
 * @param uplinks numbers of those that died, together
 */
export function repairAfterFailure(standing: Standing, uplinks: readonly number[]): Repair {
  const { tables, paths, flows, linkPrices } = standing;
  const down = takeDown(standing, uplinks);
  const affected = evictDead(tables, paths, flows, linkPrices);
  for (const { demand, mbps } of affected) resend(standing, demand, mbps);
  const cut = trim(tables, paths, flows, standing.order);
  for (const { demand, mbps } of affected) fillDemand(tables, paths, flows, linkPrices, demand, mbps);
  const changed = [...new Set([...affected.map(({ demand }) => demand), ...cut])].sort((one, other) => one - other);
  return { down, changed, flows: flowsOf(paths, flows, changed) };
}

function takeDown({ tables, flows, linkPrices, tunnels }: Standing, uplinks: readonly number[]): number[] {
  const dead = new Uint8Array(tables.uplinks);
  for (const uplink of uplinks) {
    dead[uplink] = 1;
    for (const resource of [uplink, tables.uplinks + uplink]) {
      tables.capacity[resource] = 0;
      reprice(tables, flows, resource);
    }
  }
  const down: number[] = [];
  for (let link = 0; link < tables.links; link++) {
    if (tunnels.isOpen[link] === 0 || (dead[tables.hopUses[8 * link]!] === 0 && dead[tables.hopUses[8 * link + 4]!] === 0)) continue;
    setOpen(tables, tunnels, linkPrices, link, false);
    down.push(link);
  }
  return down;
}

/** Takes flows off closed links; what they sent, by demand, the most important first. */
function evictDead(tables: Tables, paths: Paths, flows: Flows, linkPrices: LinkPrices): { demand: number; mbps: number }[] {
  const affected: { demand: number; mbps: number }[] = [];
  for (let demand = 0; demand < tables.demands; demand++) {
    const mbps = flows.served[demand]!;
    let isHit = false;
    for (let path = paths.start[demand]!; path < paths.start[demand]! + paths.count[demand]!; path++) {
      if (flows.flow[path]! <= 0 || isOpen(paths, linkPrices, path)) continue;
      send(tables, paths, flows, demand, path, -flows.flow[path]!);
      isHit = true;
    }
    if (isHit) affected.push({ demand, mbps });
  }
  const rank = ({ demand }: { demand: number }): number => tables.weight[tables.classOf[demand]!]!;
  return affected.sort((one, other) => rank(other) - rank(one) || one.demand - other.demand);
}

/** Sends what a demand has lost over its backup and other open ways with room, and the rest over the best of them at the cost of others. */
function resend({ tables, paths, flows, linkPrices, backups }: Standing, demand: number, mbps: number): void {
  const backup = pathOf(tables, paths, demand, backups.first[demand]!, backups.second[demand]!);
  const isAlive = backup >= 0 && isOpen(paths, linkPrices, backup);
  if (isAlive) {
    const room = Math.min(mbps - flows.served[demand]!, roomOf(tables, paths, flows, demand, backup) * (1 - MARGIN));
    if (room > NOTHING) send(tables, paths, flows, demand, backup, room);
  }
  fillDemand(tables, paths, flows, linkPrices, demand, mbps);
  const missing = mbps - flows.served[demand]!;
  if (missing <= NOTHING) return;
  const best = isAlive ? backup : cheapestOpen(tables, paths, flows, linkPrices, demand);
  if (best >= 0) send(tables, paths, flows, demand, best, missing);
}

function pathOf(tables: Tables, paths: Paths, demand: number, first: number, second: number): number {
  if (first < 0) return -1;
  addPath(tables, paths, demand, first, second);
  for (let path = paths.start[demand]!; path < paths.start[demand]! + paths.count[demand]!; path++) if (paths.first[path] === first && paths.second[path] === second) return path;
  return -1;
}

function cheapestOpen(tables: Tables, paths: Paths, flows: Flows, linkPrices: LinkPrices, demand: number): number {
  let best = -1;
  let least = CLOSED;
  for (let path = paths.start[demand]!; path < paths.start[demand]! + paths.count[demand]!; path++) {
    const price = wayPrice(tables, paths, flows, linkPrices, path);
    if (price >= least) continue;
    least = price;
    best = path;
  }
  return best;
}

function isOpen(paths: Paths, linkPrices: LinkPrices, path: number): boolean {
  return linkPrices[paths.first[path]! >> 1]! < CLOSED && (paths.second[path]! < 0 || linkPrices[paths.second[path]! >> 1]! < CLOSED);
}

function flowsOf(paths: Paths, flows: Flows, demands: readonly number[]): InstancePlan['flows'] {
  const now: InstancePlan['flows'] = [];
  for (const demand of demands) {
    for (let path = paths.start[demand]!; path < paths.start[demand]! + paths.count[demand]!; path++) {
      if (flows.flow[path]! >= NOTHING) now.push({ demand, links: linksOf(paths.first[path]!, paths.second[path]!), mbps: asPlanned(flows.flow[path]!) });
    }
  }
  return now;
}
