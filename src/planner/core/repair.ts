import { roomOf, send, type Flows } from './flows.ts';
import type { Paths } from './paths.ts';
import { CLOSED, wayPrice, type LinkPrices } from './sweep.ts';
import type { Tables } from './tables.ts';

/** Share of a capacity that stays free: rounding of sums may never break a limit. */
const MARGIN = 1e-9;

/**
 * Makes flows fit: what is over a limit is cut, the least important class first and of each what exceeds medians first.
 * @param rising demands by importance
 * @returns the demands that were cut
 */
export function trim(tables: Tables, paths: Paths, flows: Flows, rising: Int32Array): Set<number> {
  const isOver = overloaded(tables, flows);
  if (!isOver.includes(1)) return new Set();
  const isHit = new Uint8Array(tables.demands);
  for (let demand = 0; demand < tables.demands; demand++) {
    for (let path = paths.start[demand]!; path < paths.start[demand]! + paths.count[demand]!; path++) {
      if (flows.flow[path]! > 0 && usesAny(tables, paths, isOver, demand, path)) isHit[demand] = 1;
    }
  }
  const hit = rising.filter((demand) => isHit[demand] === 1);
  const cut = new Set<number>();
  for (let end = hit.length; end > 0; ) {
    const cls = tables.classOf[hit[end - 1]!]!;
    let from = end;
    while (from > 0 && cls === tables.classOf[hit[from - 1]!]) from--;
    for (const beyondMedian of [true, false]) {
      for (let index = end - 1; index >= from; index--) if (trimDemand(tables, paths, flows, hit[index]!, beyondMedian)) cut.add(hit[index]!);
    }
    end = from;
  }
  return cut;
}

/** Gives what is free to who wants more, the most important first; of each class medians first. Opens no tunnel. */
export function fill(tables: Tables, paths: Paths, flows: Flows, linkPrices: LinkPrices, rising: Int32Array): void {
  for (let from = 0; from < rising.length; ) {
    const cls = tables.classOf[rising[from]!]!;
    let end = from;
    while (end < rising.length && cls === tables.classOf[rising[end]!]) end++;
    for (const wanted of [tables.p50Mbps, tables.p95Mbps]) {
      for (let index = from; index < end; index++) fillDemand(tables, paths, flows, linkPrices, rising[index]!, wanted[rising[index]!]!);
    }
    from = end;
  }
}

/** Demands by importance of their class, then number. */
export function byImportance(tables: Tables): Int32Array {
  const order = Int32Array.from({ length: tables.demands }, (_, demand) => demand);
  const rank = (demand: number): number => tables.weight[tables.classOf[demand]!]!;
  return order.sort((one, other) => rank(other) - rank(one) || tables.classOf[one]! - tables.classOf[other]! || one - other);
}

/** By resource: 1 where the load is above the limit. */
function overloaded(tables: Tables, flows: Flows): Uint8Array {
  const isOver = new Uint8Array(tables.resources + 1);
  for (let resource = 0; resource < tables.resources; resource++) if (flows.load[resource]! > tables.capacity[resource]!) isOver[resource] = 1;
  return isOver;
}

function trimDemand(tables: Tables, paths: Paths, flows: Flows, demand: number, beyondMedian: boolean): boolean {
  const before = flows.served[demand]!;
  const from = paths.start[demand]!;
  for (let path = from; path < from + paths.count[demand]!; path++) {
    if (flows.flow[path]! <= 0) continue;
    const over = -roomOf(tables, paths, flows, demand, path) + MARGIN * flows.flow[path]!;
    const spare = beyondMedian ? flows.served[demand]! - tables.p50Mbps[demand]! : flows.flow[path]!;
    const cut = Math.min(over, spare, flows.flow[path]!);
    if (over > MARGIN * flows.flow[path]! && cut > 0) send(tables, paths, flows, demand, path, -cut);
  }
  return flows.served[demand]! < before;
}

function usesAny(tables: Tables, paths: Paths, flags: Uint8Array, demand: number, path: number): boolean {
  const { cryptoBase } = tables;
  const first = paths.first[path]!;
  const second = paths.second[path]!;
  const uses = flags[cryptoBase + tables.source[demand]!]! | flags[cryptoBase + tables.target[demand]!]! | flags[tables.hopUp[first]!]! | flags[tables.hopDown[first]!]! | flags[tables.hopCap[first]!]!;
  return (second < 0 ? uses : uses | flags[tables.hopUp[second]!]! | flags[tables.hopDown[second]!]! | flags[tables.hopCap[second]!]! | flags[cryptoBase + tables.hopTo[first]!]!) === 1;
}

/** Gives one demand what is free over open tunnels, the cheapest way first, up to `wantedMbps`. */
export function fillDemand(tables: Tables, paths: Paths, flows: Flows, linkPrices: LinkPrices, demand: number, wantedMbps: number): void {
  const from = paths.start[demand]!;
  const count = paths.count[demand]!;
  for (let attempt = 0; attempt < count; attempt++) {
    const missing = wantedMbps - flows.served[demand]!;
    if (missing <= 1e-7) return;
    let best = -1;
    let least = CLOSED;
    for (let path = from; path < from + count; path++) {
      const price = wayPrice(tables, paths, flows, linkPrices, path);
      if (price < least && roomOf(tables, paths, flows, demand, path) > 1e-7) {
        least = price;
        best = path;
      }
    }
    if (best < 0) return;
    send(tables, paths, flows, demand, best, Math.min(missing, roomOf(tables, paths, flows, demand, best) * (1 - MARGIN)));
  }
}
