import { makeSearch, openForMost, type BackupSearch, type Way } from './backup-search.ts';
import { asPlanned, roomOf, send, type Flows } from './flows.ts';
import { addPath, eachWay, type Paths } from './paths.ts';
import { BACKUP_WORTH, canBeProtected } from './protection.ts';
import { byImportance } from './repair.ts';
import { emptyReserve, holdReserve, risksOf, roomInReserve } from './reserve.ts';
import type { Tables } from './tables.ts';
import { closeTunnel, hasFreeSlot, openIdle, type Tunnels } from './tunnels.ts';

/** The second way of each demand as hops, -1 in `first` for none; `mbps` is what the shared reserve holds for it. */
export interface Backups {
  first: Int32Array;
  second: Int32Array;
  mbps: Float64Array;
}

/** Of the ways that could become a demand's largest, so many of the cheapest are tried. */
const TRIED = 6;
/** What a backup is worth at most for each Mbit/s of its demand. */
const DEAREST = 4;
/** Flows closer than this are equally large, Mbit/s. */
const NOTHING = 1e-6;
/** A way is made the largest by more than this, Mbit/s: plans are rounded, and equals may not come of it. */
const LARGER = 1e-5;

/**
 * Gives each demand of a class that wants one a second way that shares no uplink and no risk group with its largest flow. In this
 * order: what backed up before; ways over open tunnels; where something backed up before, making another of its ways the largest;
 * new tunnels in free slots, those first that help most demands; making another of its ways the largest. Among ways over open tunnels: the most room in the shared reserve, then the shortest.
 * Opens links in `tunnels`; moves flows only where everything still fits.
 */
export function protect(tables: Tables, paths: Paths, flows: Flows, tunnels: Tunnels, before: Backups | undefined): { backups: Backups; priced: number } {
  const { backups, wanting, search, risksOfLargest, settle, stays } = startBackups(tables, paths, flows, tunnels, byImportance(tables));
  let left: Int32Array = wanting;
  if (before !== undefined) left = left.filter((demand) => !stays(demand, before));
  left = left.filter((demand) => !settle(demand, risksOfLargest(demand), 0));
  // where flows trembled, another way became the largest: it is brought back rather than a tunnel opened for it
  if (before !== undefined) left = left.filter((demand) => !changeLargest(tables, paths, flows, tunnels, demand, false, (path) => settle(demand, risksOf(tables, paths.first[path]!, paths.second[path]!), 0)));
  left = openForMost(tables, tunnels, search, left, risksOfLargest, (demand) => settle(demand, risksOfLargest(demand), 0));
  const settleAtLeast = (demand: number, risks: readonly number[]): boolean => [0, 1, 2].some((newTunnels) => settle(demand, risks, newTunnels));
  left = left.filter((demand) => !settleAtLeast(demand, risksOfLargest(demand)));
  left = left.filter((demand) => !changeLargest(tables, paths, flows, tunnels, demand, true, (path) => settleAtLeast(demand, risksOf(tables, paths.first[path]!, paths.second[path]!))));
  const priced = left.filter((demand) => priceUnprotected(tables, paths, flows, search, demand)).length;
  return { backups, priced };
}

/**
 * Backups over open tunnels alone, without moving a flow: what backed up before, and others from open ways.
 * @param rising demands by importance
 */
export function keepBackups(tables: Tables, paths: Paths, flows: Flows, tunnels: Tunnels, rising: Int32Array, before: Backups): Backups {
  const { backups, wanting, risksOfLargest, settle, stays } = startBackups(tables, paths, flows, tunnels, rising);
  for (const demand of wanting.filter((each) => !stays(each, before))) settle(demand, risksOfLargest(demand), 0);
  return backups;
}

/** No backups yet, the demands that want one, and what gives one of them a backup and holds the reserve for it. */
interface Start {
  backups: Backups;
  wanting: Int32Array;
  search: BackupSearch;
  risksOfLargest: (demand: number) => number[];
  /** Takes the best way that shares none of the risks and needs exactly so many new tunnels; false when there is none. */
  settle: (demand: number, risks: readonly number[], newTunnels: number) => boolean;
  /** Takes the backup of before, where it is open and still shares nothing with the largest flow. */
  stays: (demand: number, before: Backups) => boolean;
}

function startBackups(tables: Tables, paths: Paths, flows: Flows, tunnels: Tunnels, order: Int32Array): Start {
  const backups = noBackups(tables);
  const wanting = order.filter((demand) => tables.wantsBackup[tables.classOf[demand]!] === 1 && flows.served[demand]! > NOTHING && canBeProtected(tables, demand));
  const partners = partnersOf(tables, wanting);
  const search = makeSearch(tables, tunnels, (site) => tables.slots[site]! - tunnels.used[site]! + tunnels.idle[site]! < partners[site]!);
  const reserve = emptyReserve(tables, paths, flows);
  const take = (demand: number, risks: readonly number[], { first, second }: Way): void => {
    const mbps = roomInReserve(tables, reserve, tables.classOf[demand]!, risks, first, second, flows.served[demand]!);
    backups.first[demand] = first;
    backups.second[demand] = second;
    backups.mbps[demand] = mbps;
    holdReserve(tables, reserve, risks, first, second, mbps);
    for (const hop of second < 0 ? [first] : [first, second]) openIdle(tables, tunnels, hop >> 1);
  };
  const risksOfLargest = (demand: number): number[] => {
    const path = largest(paths, flows, demand);
    return risksOf(tables, paths.first[path]!, paths.second[path]!);
  };
  const settle = (demand: number, risks: readonly number[], newTunnels: number): boolean => {
    let best: Way | null = null;
    let most = -1;
    for (const way of search.shortest(demand, risks, newTunnels)) {
      const room = roomInReserve(tables, reserve, tables.classOf[demand]!, risks, way.first, way.second, flows.served[demand]!);
      if (room <= most) continue;
      most = room;
      best = way;
    }
    if (best !== null) take(demand, risks, best);
    return best !== null;
  };
  const stays = (demand: number, before: Backups): boolean => {
    const way = { first: before.first[demand]!, second: before.second[demand]! };
    if (way.first < 0 || tunnels.isOpen[way.first >> 1] === 0 || (way.second >= 0 && tunnels.isOpen[way.second >> 1] === 0)) return false;
    const risks = risksOfLargest(demand);
    if (risksOf(tables, way.first, way.second).some((risk) => risks.includes(risk))) return false;
    take(demand, risks, way);
    return true;
  };
  return { backups, wanting, search, risksOfLargest, settle, stays };
}

/** By site: with how many others it has demands among these. */
function partnersOf(tables: Tables, demands: Int32Array): Int32Array {
  const partners = Array.from({ length: tables.sites }, () => new Set<number>());
  for (const demand of demands) {
    partners[tables.source[demand]!]!.add(tables.target[demand]!);
    partners[tables.target[demand]!]!.add(tables.source[demand]!);
  }
  return Int32Array.from(partners, ({ size }) => size);
}

export function noBackups(tables: Tables): Backups {
  return { first: new Int32Array(tables.demands).fill(-1), second: new Int32Array(tables.demands).fill(-1), mbps: new Float64Array(tables.demands) };
}

/**
 * Makes the ways of a demand that nothing could back up dearer by what a backup is worth, where it has others; the next sweeps
 * then weigh the two against all else.
 * @returns whether it has both kinds
 */
function priceUnprotected(tables: Tables, paths: Paths, flows: Flows, search: BackupSearch, demand: number): boolean {
  const all = Array.from({ length: paths.count[demand]! }, (_, index) => paths.start[demand]! + index);
  const bare = all.filter((path) => {
    const risks = risksOf(tables, paths.first[path]!, paths.second[path]!);
    return [0, 1, 2].every((newTunnels) => search.shortest(demand, risks, newTunnels).length === 0);
  });
  if (bare.length === 0 || bare.length === all.length) return false;
  const price = Math.min(DEAREST, BACKUP_WORTH / Math.max(0.1, flows.served[demand]!));
  for (const path of bare) paths.cost[path]! += price;
  return true;
}

/** Makes another way of a demand its largest, the cheapest for which there is room and `isProtected` finds a backup; over new tunnels only where it may. */
function changeLargest(tables: Tables, paths: Paths, flows: Flows, tunnels: Tunnels, demand: number, mayOpen: boolean, isProtected: (path: number) => boolean): boolean {
  const main = largest(paths, flows, demand);
  eachWay(tables, demand, (hop) => tunnels.isOpen[hop >> 1] === 1, (first, second) => void addPath(tables, paths, demand, first, second));
  const others = Array.from({ length: paths.count[demand]! }, (_, index) => paths.start[demand]! + index).filter((path) => path !== main);
  const tried = others.filter((path) => mayOpen || isOpenWay(tunnels, paths, path));
  for (const path of tried.sort((one, other) => paths.cost[one]! - paths.cost[other]! || one - other).slice(0, TRIED)) {
    const all = flows.flow[main]!;
    send(tables, paths, flows, demand, main, -all);
    const room = Math.max(0, Math.min(all, roomOf(tables, paths, flows, demand, path) * (1 - 1e-9)));
    const rest = others.reduce((most, other) => (other === path ? most : Math.max(most, flows.flow[other]!)), all - room);
    const moves = flows.flow[path]! + room > rest + LARGER && openFor(tables, tunnels, paths.first[path]!, paths.second[path]!, () => isProtected(path));
    send(tables, paths, flows, demand, main, moves ? all - room : all);
    if (!moves) continue;
    send(tables, paths, flows, demand, path, room);
    return true;
  }
  return false;
}

function isOpenWay(tunnels: Tunnels, paths: Paths, path: number): boolean {
  return tunnels.isOpen[paths.first[path]! >> 1] === 1 && (paths.second[path]! < 0 || tunnels.isOpen[paths.second[path]! >> 1] === 1);
}

/** Opens what a way needs where slots are free, and closes it again unless `isWanted` says yes. */
function openFor(tables: Tables, tunnels: Tunnels, first: number, second: number, isWanted: () => boolean): boolean {
  const links = (second < 0 ? [first] : [first, second]).map((hop) => hop >> 1).filter((link) => tunnels.isOpen[link] === 0 || tunnels.isIdle[link] === 1);
  const opened: number[] = [];
  const undo = (): false => {
    for (const link of opened) closeTunnel(tables, tunnels, link);
    return false;
  };
  for (const link of links) {
    if (tunnels.isOpen[link] === 0) {
      if (!hasFreeSlot(tables, tunnels, tables.hopFrom[2 * link]!, 1) || !hasFreeSlot(tables, tunnels, tables.hopTo[2 * link]!, 1)) return undo();
      opened.push(link);
    }
    openIdle(tables, tunnels, link);
  }
  return isWanted() || undo();
}

/** The way that carries most of a demand, the first of those that are equal once a plan has rounded them. */
export function largest(paths: Paths, flows: Flows, demand: number): number {
  let best = paths.start[demand]!;
  for (let path = best + 1; path < paths.start[demand]! + paths.count[demand]!; path++) if (asPlanned(flows.flow[path]!) > asPlanned(flows.flow[best]!)) best = path;
  return best;
}
