import { roomOf, send, type Flows } from './flows.ts';
import type { Paths } from './paths.ts';
import { CLOSED, wayPrice, type LinkPrices } from './sweep.ts';
import type { Tables } from './tables.ts';

/** Share of a capacity that stays free: rounding of sums may never break a limit. */
const MARGIN = 1e-9;
/** Mbit/s; less is nothing. */
const NOTHING = 1e-7;
/** Steps in which what is free is given out: of each class whoever has the least share of its demand first. */
const LEVELS = 16;
/** Halvings of the level that a cut goes down to, and cuts of one resource. */
const HALVINGS = 24;
const CUTS = 3;

/**
 * Makes flows fit: what is over a limit is cut, the least important class first, of each what exceeds medians first, and of that
 * whoever has the greatest share of its demand, down to a common one.
 * @param rising demands by importance
 * @returns the demands that were cut
 */
export function trim(tables: Tables, paths: Paths, flows: Flows, rising: Int32Array): Set<number> {
  const isOver = overloaded(tables, flows);
  const cut = new Set<number>();
  if (!isOver.includes(1)) return cut;
  const hit = rising.filter((demand) => hasFlowOver(tables, paths, flows, isOver, demand));
  for (let end = hit.length; end > 0; ) {
    const cls = tables.classOf[hit[end - 1]!]!;
    let from = end;
    while (from > 0 && cls === tables.classOf[hit[from - 1]!]) from--;
    const over = usesOver(tables, paths, flows, isOver, hit.subarray(from, end));
    for (const beyondMedian of [true, false]) for (const [resource, uses] of over) level(tables, paths, flows, resource, uses, beyondMedian, cut);
    end = from;
  }
  return cut;
}

/** Gives what is free to who wants more, the most important first; of each class medians first, and the least served first. Opens no tunnel. */
export function fill(tables: Tables, paths: Paths, flows: Flows, linkPrices: LinkPrices, rising: Int32Array): void {
  for (let from = 0; from < rising.length; ) {
    const cls = tables.classOf[rising[from]!]!;
    let end = from;
    while (end < rising.length && cls === tables.classOf[rising[end]!]) end++;
    for (const wanted of [tables.p50Mbps, tables.p95Mbps]) {
      let left = rising.subarray(from, end).filter((demand) => wanted[demand]! - flows.served[demand]! > NOTHING);
      for (let step = 1; step <= LEVELS && left.length > 0; step++) {
        left = left.filter((demand) => {
          const target = Math.min(wanted[demand]!, (step / LEVELS) * tables.p95Mbps[demand]!);
          fillDemand(tables, paths, flows, linkPrices, demand, target);
          return target - flows.served[demand]! <= NOTHING && target < wanted[demand]!;
        });
      }
    }
    from = end;
  }
}

/** Demands by importance of their class, then number. */
export function byImportance(tables: Tables): Int32Array {
  const { weight, classOf, demands } = tables;
  const classes = [...weight.keys()].sort((one, other) => weight[other]! - weight[one]! || one - other);
  const order = new Int32Array(demands);
  let end = 0;
  for (const cls of classes) for (let demand = 0; demand < demands; demand++) if (classOf[demand] === cls) order[end++] = demand;
  return order;
}

/** By resource: 1 where the load is above the limit. */
function overloaded(tables: Tables, flows: Flows): Uint8Array {
  const isOver = new Uint8Array(tables.resources + 1);
  for (let resource = 0; resource < tables.resources; resource++) if (flows.load[resource]! > tables.capacity[resource]!) isOver[resource] = 1;
  return isOver;
}

/** A way with flow over some resource, and how often it counts there. */
interface Use {
  demand: number;
  path: number;
  times: number;
}

/** By resource that is over its limit, in the order of their numbers: the ways of these demands that use it. */
function usesOver(tables: Tables, paths: Paths, flows: Flows, isOver: Uint8Array, demands: Int32Array): [number, Use[]][] {
  const byResource = new Map<number, Use[]>();
  for (const demand of demands) {
    for (let path = paths.start[demand]!; path < paths.start[demand]! + paths.count[demand]!; path++) {
      if (flows.flow[path]! <= 0 || !usesAny(tables, paths, isOver, demand, path)) continue;
      eachUse(tables, paths, demand, path, (resource, times) => {
        if (isOver[resource] === 0) return;
        const uses = byResource.get(resource);
        if (uses === undefined) byResource.set(resource, [{ demand, path, times }]);
        else uses.push({ demand, path, times });
      });
    }
  }
  return [...byResource].sort(([one], [other]) => one - other);
}

/** Brings one resource to its limit by cutting these ways: all demands down to the same share of what they want, those that have more. */
function level(tables: Tables, paths: Paths, flows: Flows, resource: number, uses: readonly Use[], beyondMedian: boolean, cut: Set<number>): void {
  const limit = tables.capacity[resource]! * (1 - MARGIN);
  const spare = ({ demand, path }: Use, share: number): number => {
    const keep = Math.max(share * tables.p95Mbps[demand]!, beyondMedian ? tables.p50Mbps[demand]! : 0);
    return Math.max(0, Math.min(flows.flow[path]!, flows.served[demand]! - keep));
  };
  for (let attempt = 1; attempt <= CUTS && flows.load[resource]! > tables.capacity[resource]!; attempt++) {
    const over = flows.load[resource]! - limit;
    let share = 0;
    // a demand may have several ways here that count the same spare: what is still over then is cut in the next attempt
    const halvings = attempt < CUTS ? HALVINGS : 0;
    for (let half = 0, step = 0.5; half < halvings; half++, step /= 2) {
      let freed = 0;
      for (const use of uses) freed += use.times * spare(use, share + step);
      if (freed >= over) share += step;
    }
    for (const use of uses) {
      const mbps = Math.min(spare(use, share), (flows.load[resource]! - limit) / use.times);
      if (mbps <= 0) continue;
      send(tables, paths, flows, use.demand, use.path, -mbps);
      cut.add(use.demand);
    }
  }
}

function hasFlowOver(tables: Tables, paths: Paths, flows: Flows, isOver: Uint8Array, demand: number): boolean {
  for (let path = paths.start[demand]!; path < paths.start[demand]! + paths.count[demand]!; path++) {
    if (flows.flow[path]! > 0 && usesAny(tables, paths, isOver, demand, path)) return true;
  }
  return false;
}

function usesAny(tables: Tables, paths: Paths, flags: Uint8Array, demand: number, path: number): boolean {
  const { cryptoBase } = tables;
  const first = paths.first[path]!;
  const second = paths.second[path]!;
  const uses = flags[cryptoBase + tables.source[demand]!]! | flags[cryptoBase + tables.target[demand]!]! | flags[tables.hopUses[4 * first]!]! | flags[tables.hopUses[4 * first + 1]!]! | flags[tables.hopUses[4 * first + 2]!]!;
  return (second < 0 ? uses : uses | flags[tables.hopUses[4 * second]!]! | flags[tables.hopUses[4 * second + 1]!]! | flags[tables.hopUses[4 * second + 2]!]! | flags[cryptoBase + tables.hopTo[first]!]!) === 1;
}

/** Calls `visit` with every resource that a way uses, the dummy too, and how often it counts there. */
export function eachUse(tables: Tables, paths: Paths, demand: number, path: number, visit: (resource: number, times: number) => void): void {
  const { cryptoBase } = tables;
  const first = paths.first[path]!;
  const second = paths.second[path]!;
  visit(cryptoBase + tables.source[demand]!, 1);
  visit(cryptoBase + tables.target[demand]!, 1);
  visit(tables.hopUses[4 * first]!, 1);
  visit(tables.hopUses[4 * first + 1]!, 1);
  visit(tables.hopUses[4 * first + 2]!, 1);
  if (second < 0) return;
  visit(tables.hopUses[4 * second]!, 1);
  visit(tables.hopUses[4 * second + 1]!, 1);
  visit(tables.hopUses[4 * second + 2]!, 1);
  visit(cryptoBase + tables.hopTo[first]!, 2);
}

/** Gives one demand what is free over open tunnels, the cheapest way first, up to `wantedMbps`. */
export function fillDemand(tables: Tables, paths: Paths, flows: Flows, linkPrices: LinkPrices, demand: number, wantedMbps: number): void {
  const from = paths.start[demand]!;
  const count = paths.count[demand]!;
  for (let attempt = 0; attempt < count; attempt++) {
    const missing = wantedMbps - flows.served[demand]!;
    if (missing <= NOTHING) return;
    let best = -1;
    let least = CLOSED;
    for (let path = from; path < from + count; path++) {
      const price = wayPrice(tables, paths, flows, linkPrices, path);
      if (price < least && roomOf(tables, paths, flows, demand, path) > NOTHING) {
        least = price;
        best = path;
      }
    }
    if (best < 0) return;
    send(tables, paths, flows, demand, best, Math.min(missing, roomOf(tables, paths, flows, demand, best) * (1 - MARGIN)));
  }
}
