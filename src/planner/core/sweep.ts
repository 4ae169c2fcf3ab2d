import { reprice, send, LEAST_PRICE, type Flows } from './flows.ts';
import { hopPrice, type Paths } from './paths.ts';
import type { Tables } from './tables.ts';
import { worthBend, worthOfLast, worthOfMore } from './worth.ts';

/** Moves a demand makes in one visit. */
const MOVES = 4;
/** Prices this close are the same, in units of the least important class's worth. */
const TIE = 1e-5;
/** Mbit/s; less than this is nothing. */
const NOTHING = 1e-9;

/** Prices by link that come on top, per Mbit/s: what its tunnel costs, `CLOSED` where there may be none. */
export type LinkPrices = Float64Array;
export const CLOSED = 1e12;

/**
 * Visits every demand once and lets it move: to its cheapest way from its dearest, more of it where one more Mbit/s is worth
 * its price, less where not. A move's size is a Newton step on the two ways' prices, never further than what fills a resource
 * (or 1/κ of it, when it is full).
 * @param isServedFixed true: nobody takes more or less, all only change ways
 * @returns Mbit/s moved in all
 */
export function sweep(tables: Tables, paths: Paths, flows: Flows, linkPrices: LinkPrices, isServedFixed = false): number {
  let moved = 0;
  for (let demand = 0; demand < tables.demands; demand++) {
    if (paths.count[demand]! > 0) moved += visit(tables, paths, flows, linkPrices, demand, isServedFixed);
  }
  return moved;
}

/** Moves each multiplier half of the way (in the exponent) to its price, so that what is full stays full at utilisation 1. */
export function settlePrices(tables: Tables, flows: Flows, share = 0.5): void {
  for (let resource = 0; resource < tables.resources; resource++) {
    const multiplier = flows.multiplier[resource]!;
    flows.multiplier[resource] = Math.min(1e9, Math.max(LEAST_PRICE, multiplier * (flows.price[resource]! / multiplier) ** share));
    reprice(tables, flows, resource);
  }
}

/** Lets one demand move, a few times; with `isServedFixed` only from way to way. */
export function visit(tables: Tables, paths: Paths, flows: Flows, linkPrices: LinkPrices, demand: number, isServedFixed: boolean): number {
  const from = paths.start[demand]!;
  const end = from + paths.count[demand]!;
  const p50 = tables.p50Mbps[demand]!;
  const p95 = tables.p95Mbps[demand]!;
  if (p95 <= NOTHING) return 0;
  const source = tables.cryptoBase + tables.source[demand]!;
  const target = tables.cryptoBase + tables.target[demand]!;
  let moved = 0;
  for (let move = 0; move < MOVES; move++) {
    let best = -1;
    let worst = -1;
    let least = Number.MAX_VALUE;
    let most = -1;
    for (let path = from; path < end; path++) {
      const price = wayPrice(tables, paths, flows, linkPrices, path);
      if (price < least) {
        least = price;
        best = path;
      }
      if (flows.flow[path]! > NOTHING && price > most) {
        most = price;
        worst = path;
      }
    }
    const ends = flows.price[source]! + flows.price[target]!;
    const served = flows.served[demand]!;
    const worthMore = worthOfMore(tables, flows, demand, served);
    let step = 0;
    if (!isServedFixed && worthMore - least - ends > TIE) {
      step = Math.min((worthMore - least - ends) / (bendOf(tables, paths, flows, best) + endBend(tables, flows, source, target) + worthBend(tables, flows, demand, served)), reach(tables, paths, flows, best, source, target));
      step = Math.min(step, served < p50 - NOTHING ? p50 - served : p95 - served);
      if (step > NOTHING) send(tables, paths, flows, demand, best, step);
    } else if (!isServedFixed && worst >= 0) {
      const tooDear = most + ends - worthOfLast(tables, flows, demand, served);
      if (tooDear > TIE) step = Math.min(tooDear / (bendOf(tables, paths, flows, worst) + endBend(tables, flows, source, target) + worthBend(tables, flows, demand, served)), flows.flow[worst]!);
      if (served > p50 + NOTHING) step = Math.min(step, served - p50);
      if (step > NOTHING) send(tables, paths, flows, demand, worst, -step);
    }
    if (worst >= 0 && worst !== best && most - least > TIE) {
      const shift = Math.min((most - least) / (bendOf(tables, paths, flows, worst) + bendOf(tables, paths, flows, best)), flows.flow[worst]!, reach(tables, paths, flows, best, -1, -1));
      if (shift > NOTHING) {
        send(tables, paths, flows, demand, worst, -shift);
        send(tables, paths, flows, demand, best, shift);
        step += shift;
      }
    }
    moved += step;
    if (step < 1e-3 * p95) break;
  }
  return moved;
}

/** Price of one Mbit/s over a way, crypto at its ends left out. */
export function wayPrice(tables: Tables, paths: Paths, flows: Flows, linkPrices: LinkPrices, path: number): number {
  const first = paths.first[path]!;
  const second = paths.second[path]!;
  const direct = paths.cost[path]! + hopPrice(tables, first, flows.price) + linkPrices[first >> 1]!;
  if (second < 0) return direct;
  return direct + hopPrice(tables, second, flows.price) + linkPrices[second >> 1]! + 2 * flows.price[tables.cryptoBase + tables.hopTo[first]!]!;
}

/** How fast the price of a way rises with each Mbit/s more on it; a little above 0, so that dividing by it is safe. */
function bendOf(tables: Tables, paths: Paths, flows: Flows, path: number): number {
  const first = paths.first[path]!;
  const second = paths.second[path]!;
  const direct = 1e-12 + bend(tables, flows, tables.hopUses[4 * first]!) + bend(tables, flows, tables.hopUses[4 * first + 1]!) + bend(tables, flows, tables.hopUses[4 * first + 2]!);
  if (second < 0) return direct;
  return direct + bend(tables, flows, tables.hopUses[4 * second]!) + bend(tables, flows, tables.hopUses[4 * second + 1]!) + bend(tables, flows, tables.hopUses[4 * second + 2]!) + 4 * bend(tables, flows, tables.cryptoBase + tables.hopTo[first]!);
}

function endBend(tables: Tables, flows: Flows, source: number, target: number): number {
  return bend(tables, flows, source) + bend(tables, flows, target);
}

function bend(tables: Tables, flows: Flows, resource: number): number {
  return (flows.price[resource]! * flows.kappa) / tables.capacity[resource]!;
}

/** How far a way may be filled in one move: to the limit of each resource, or by 1/κ of it. Ends of -1 are left out. */
function reach(tables: Tables, paths: Paths, flows: Flows, path: number, source: number, target: number): number {
  const first = paths.first[path]!;
  const second = paths.second[path]!;
  let least = Math.min(reachOf(tables, flows, tables.hopUses[4 * first]!), reachOf(tables, flows, tables.hopUses[4 * first + 1]!), reachOf(tables, flows, tables.hopUses[4 * first + 2]!));
  if (source >= 0) least = Math.min(least, reachOf(tables, flows, source), reachOf(tables, flows, target));
  if (second < 0) return least;
  return Math.min(least, reachOf(tables, flows, tables.hopUses[4 * second]!), reachOf(tables, flows, tables.hopUses[4 * second + 1]!), reachOf(tables, flows, tables.hopUses[4 * second + 2]!), reachOf(tables, flows, tables.cryptoBase + tables.hopTo[first]!) / 2);
}

function reachOf(tables: Tables, flows: Flows, resource: number): number {
  const capacity = tables.capacity[resource]!;
  return Math.max(capacity - flows.load[resource]!, capacity / flows.kappa);
}
