import type { Tables } from './tables.ts';

/** Ways that pricing may still add to a demand beside those it starts with. */
const SPARE = 6;
/** Relays that each demand starts with. */
const RELAYS = 3;

/**
 * The ways the optimiser may use: demand k has `count[k]` of them from `start[k]` on, with room up to `start[k + 1]`.
 * A way is one hop (`second` is -1), or two that meet at a relay. `cost` is what one Mbit/s costs in money and latency, in units
 * of the least important class's worth: small enough that no traffic is refused for it.
 */
export interface Paths {
  start: Int32Array;
  count: Int32Array;
  first: Int32Array;
  second: Int32Array;
  cost: Float64Array;
}

/** A way found by `cheapestWay`; one object is filled again and again. */
export interface Found {
  price: number;
  first: number;
  second: number;
}

/** Prices at one moment, with what follows from them for relays: the cheapest hop of each leg to and from one. */
export interface Quote {
  /** By resource, dummy included; 0 for the dummy. */
  price: Float64Array;
  /** 1: money and latency count too; 0: they are left out (for a bound on throughput alone). */
  costShare: number;
  /** By hop: `hopPrice`, and the least that it adds to the price of a way: with its link and its money. */
  hops: Float64Array;
  floors: Float64Array;
  /** By link, on top. */
  linkPrices: Float64Array;
  /** The least floor by [site × hubs + hub], as legs to and from relays are. */
  toHub: Float64Array;
  fromHub: Float64Array;
}

/** The hops of each leg, as CSR rows. */
export type Legs = Pick<Tables, 'legStart' | 'legHops'>;

/** Weight of one USD per GB and of a round trip as long as the class allows. */
const MONEY_WEIGHT = 0.45;
const LATENCY_WEIGHT = 0.002;

/** Of a Mbit/s of the least important class, what a way costs at most: however dear, it is better than none. */
const MOST_COST = 0.95;

/** All admissible direct ways of each demand, and the best over each of its nearest relays. */
export function buildPaths(tables: Tables): Paths {
  const { demands, hubs, legStart } = tables;
  const nearest = nearestRelays(tables);
  const start = new Int32Array(demands + 1);
  for (let demand = 0; demand < demands; demand++) {
    const leg = tables.demandLeg[demand]!;
    start[demand + 1] = start[demand]! + SPARE + (leg < 0 ? 0 : legStart[leg + 1]! - legStart[leg]!) + Math.min(RELAYS, hubs.length);
  }
  const size = start[demands]!;
  const paths: Paths = { start, count: new Int32Array(demands), first: new Int32Array(size), second: new Int32Array(size), cost: new Float64Array(size) };
  const free = quote(tables, new Float64Array(tables.resources + 1), new Float64Array(tables.links), 1);
  const found: Found = { price: 0, first: -1, second: -1 };
  for (let demand = 0; demand < demands; demand++) {
    addDirect(tables, paths, demand);
    const near = nearest(demand);
    for (let rank = 0, relays = 0; rank < near.length && relays < RELAYS; rank++) {
      found.price = Number.MAX_VALUE;
      overRelay(tables, demand, near[rank]!, free, found);
      if (found.price === Number.MAX_VALUE) continue;
      addPath(tables, paths, demand, found.first, found.second);
      relays++;
    }
  }
  return paths;
}

/** The same ways at other costs, of the same shape. */
export function withCost({ start, count, first, second }: Paths, cost: Float64Array): Paths {
  return { start, count, first, second, cost };
}

/** Adds a way; false when the demand has it already or has no room left. */
export function addPath(tables: Tables, paths: Paths, demand: number, first: number, second: number): boolean {
  const from = paths.start[demand]!;
  const end = from + paths.count[demand]!;
  for (let path = from; path < end; path++) if (paths.first[path] === first && paths.second[path] === second) return false;
  if (isFull(paths, demand)) return false;
  paths.first[end] = first;
  paths.second[end] = second;
  paths.cost[end] = costOf(tables, demand, first, second);
  paths.count[demand]!++;
  return true;
}

/** Whether a demand has no room for one way more. */
export function isFull(paths: Paths, demand: number): boolean {
  return paths.start[demand]! + paths.count[demand]! >= paths.start[demand + 1]!;
}

/**
 * The admissible way with the least price over all links and all relays, not only those in the table; `limit` is the price
 * above which nobody is interested (a relay that cannot stay below it is not looked into).
 * @returns `into`, with the price without the resources at both ends' crypto; MAX_VALUE when there is no way below the limit
 */
export function cheapestWay(tables: Tables, demand: number, quoted: Quote, limit: number, into: Found): Found {
  const { costShare, hops, linkPrices } = quoted;
  into.price = limit;
  into.first = -1;
  into.second = -1;
  const leg = tables.demandLeg[demand]!;
  if (leg >= 0 && endsAllowed(tables, demand)) {
    for (let at = tables.legStart[leg]!; at < tables.legStart[leg + 1]!; at++) {
      const hop = tables.legHops[at]!;
      const total = hops[hop]! + linkPrices[hop >> 1]! + costShare * costOf(tables, demand, hop, -1);
      if (total < into.price && directAllowed(tables, demand, hop)) {
        into.price = total;
        into.first = hop;
      }
    }
  }
  if (endsAllowed(tables, demand)) for (let hub = 0; hub < tables.hubs.length; hub++) overRelay(tables, demand, hub, quoted, into);
  if (into.first < 0) into.price = Number.MAX_VALUE;
  return into;
}

/** Takes down prices, which must not change while the quote is used. */
export function quote(tables: Tables, price: Float64Array, linkPrices: Float64Array, costShare: number): Quote {
  const hops = new Float64Array(2 * tables.links);
  const floors = new Float64Array(2 * tables.links);
  priceHops(tables, price, linkPrices, costShare, hops, floors);
  return { price, linkPrices, costShare, hops, floors, toHub: cheapestOf(tables, tables.legToHub, floors), fromHub: cheapestOf(tables, tables.legFromHub, floors) };
}

function priceHops(tables: Tables, price: Float64Array, linkPrices: Float64Array, costShare: number, hops: Float64Array, floors: Float64Array): void {
  for (let hop = 0; hop < hops.length; hop++) {
    hops[hop] = hopPrice(tables, hop, price);
    // a way costs `MOST_COST` at most, so of each of its two hops no more than half of that is certain
    floors[hop] = hops[hop]! + linkPrices[hop >> 1]! + costShare * Math.min(MOST_COST / 2, MONEY_WEIGHT * tables.hopUsdPerGb[hop]!);
  }
}

/** Of each of these legs the least of its hops' values; MAX_VALUE where there is no leg. */
function cheapestOf({ legStart, legHops }: Tables, legs: Int32Array, values: Float64Array): Float64Array {
  const cheapest = new Float64Array(legs.length);
  for (let index = 0; index < legs.length; index++) {
    const leg = legs[index]!;
    let least = Number.MAX_VALUE;
    if (leg >= 0) for (let at = legStart[leg]!; at < legStart[leg + 1]!; at++) if (values[legHops[at]!]! < least) least = values[legHops[at]!]!;
    cheapest[index] = least;
  }
  return cheapest;
}

/**
 * The hops of a way that a plan names by its links, in the direction of the demand.
 * @returns false when there is no such way or the demand may not use it; else `into` has its hops
 */
export function wayAlong(tables: Tables, demand: number, links: readonly number[], into: Found): boolean {
  const [one, other] = links;
  if (one === undefined || links.length > 2 || links.some((link) => !(link >= 0 && link < tables.links)) || !endsAllowed(tables, demand)) return false;
  into.first = tables.hopFrom[2 * one] === tables.source[demand] ? 2 * one : 2 * one + 1;
  into.second = -1;
  if (tables.hopFrom[into.first] !== tables.source[demand]) return false;
  if (other === undefined) return tables.hopTo[into.first] === tables.target[demand] && directAllowed(tables, demand, into.first);
  const relay = tables.hopTo[into.first]!;
  into.second = tables.hopFrom[2 * other] === relay ? 2 * other : 2 * other + 1;
  return relay !== tables.target[demand] && tables.hopFrom[into.second] === relay && tables.hopTo[into.second] === tables.target[demand] && tables.hubs.includes(relay) && siteAllowed(tables, demand, relay) && relayedAllowed(tables, demand, into.first, into.second);
}

/**
 * Calls `visit` with each admissible way of a demand whose hops are all allowed: direct ones, then those over relays.
 * @param isAllowed by hop, on top of what the demand allows
 * @param legs      in place of all hops of each leg, some
 * @param isLookedAt by hub: 0 where no way over it is wanted, which one look tells
 */
export function eachWay(tables: Tables, demand: number, isAllowed: (hop: number) => boolean, visit: (first: number, second: number) => void, { legStart, legHops }: Legs = tables, isLookedAt?: Uint8Array): void {
  const { hubs } = tables;
  if (!endsAllowed(tables, demand)) return;
  const allowed: number[] = [];
  const leg = tables.demandLeg[demand]!;
  if (leg >= 0) {
    for (let at = legStart[leg]!; at < legStart[leg + 1]!; at++) {
      const hop = legHops[at]!;
      if (isAllowed(hop) && directAllowed(tables, demand, hop)) visit(hop, -1);
    }
  }
  for (let hub = 0; hub < hubs.length; hub++) {
    if (isLookedAt !== undefined && isLookedAt[hub] === 0) continue;
    const toHub = tables.legToHub[tables.source[demand]! * hubs.length + hub]!;
    const fromHub = tables.legFromHub[tables.target[demand]! * hubs.length + hub]!;
    if (toHub < 0 || fromHub < 0 || !siteAllowed(tables, demand, hubs[hub]!)) continue;
    allowed.length = 0;
    for (let behind = legStart[fromHub]!; behind < legStart[fromHub + 1]!; behind++) if (isAllowed(legHops[behind]!)) allowed.push(legHops[behind]!);
    if (allowed.length === 0) continue;
    for (let at = legStart[toHub]!; at < legStart[toHub + 1]!; at++) {
      const first = legHops[at]!;
      if (!isAllowed(first)) continue;
      for (const second of allowed) if (relayedAllowed(tables, demand, first, second)) visit(first, second);
    }
  }
}

/** Sum of the prices of what one hop uses, crypto at its ends left out. */
export function hopPrice(tables: Tables, hop: number, price: Float64Array): number {
  return price[tables.hopUses[4 * hop]!]! + price[tables.hopUses[4 * hop + 1]!]! + price[tables.hopUses[4 * hop + 2]!]!;
}

function addDirect(tables: Tables, paths: Paths, demand: number): void {
  const leg = tables.demandLeg[demand]!;
  if (leg < 0 || !endsAllowed(tables, demand)) return;
  for (let at = tables.legStart[leg]!; at < tables.legStart[leg + 1]!; at++) {
    const hop = tables.legHops[at]!;
    if (directAllowed(tables, demand, hop)) addPath(tables, paths, demand, hop, -1);
  }
}

/** Improves `into` by the best pair of hops that meet at this relay. */
function overRelay(tables: Tables, demand: number, hub: number, quoted: Quote, into: Found): void {
  const { hubs, legStart, legHops, cryptoBase } = tables;
  const { price, linkPrices, costShare, hops, floors } = quoted;
  const relay = hubs[hub]!;
  const source = tables.source[demand]! * hubs.length + hub;
  const target = tables.target[demand]! * hubs.length + hub;
  const toHub = tables.legToHub[source]!;
  const fromHub = tables.legFromHub[target]!;
  if (toHub < 0 || fromHub < 0) return;
  const atRelay = 2 * price[cryptoBase + relay]!;
  const behindRelay = quoted.fromHub[target]!;
  if (atRelay + quoted.toHub[source]! + behindRelay >= into.price || !siteAllowed(tables, demand, relay) || !endsAllowed(tables, demand)) return;
  for (let at = legStart[toHub]!; at < legStart[toHub + 1]!; at++) {
    const first = legHops[at]!;
    const floor = atRelay + floors[first]!;
    if (floor + behindRelay >= into.price) continue;
    const before = atRelay + hops[first]! + linkPrices[first >> 1]!;
    for (let behind = legStart[fromHub]!; behind < legStart[fromHub + 1]!; behind++) {
      const second = legHops[behind]!;
      if (floor + floors[second]! >= into.price) continue;
      const bare = before + hops[second]! + linkPrices[second >> 1]!;
      const total = bare + costShare * costOf(tables, demand, first, second);
      if (total >= into.price || !relayedAllowed(tables, demand, first, second)) continue;
      into.price = total;
      into.first = first;
      into.second = second;
    }
  }
}

/** What one Mbit/s over a way costs in money and latency, in units of the least important class's worth. */
export function costOf(tables: Tables, demand: number, first: number, second: number): number {
  const usdPerGb = tables.hopUsdPerGb[first]! + (second < 0 ? 0 : tables.hopUsdPerGb[second]!);
  const rttMs = tables.hopRttMs[first]! + (second < 0 ? 0 : tables.hopRttMs[second]! + tables.relayMs);
  return Math.min(MOST_COST, MONEY_WEIGHT * usdPerGb + (LATENCY_WEIGHT * rttMs) / Math.max(1, tables.maxRttMs[tables.classOf[demand]!]!));
}

function directAllowed(tables: Tables, demand: number, hop: number): boolean {
  const cls = tables.classOf[demand]!;
  return tables.hopRttMs[hop]! <= tables.maxRttMs[cls]! && tables.hopLossRatio[hop]! <= tables.maxLossRatio[cls]! && providersAllowed(tables, demand, hop);
}

/** The relay itself is checked before. The loss must be a little below its bound, since it is composed in another order elsewhere. */
function relayedAllowed(tables: Tables, demand: number, first: number, second: number): boolean {
  const cls = tables.classOf[demand]!;
  return (
    tables.hopRttMs[first]! + tables.hopRttMs[second]! + tables.relayMs <= tables.maxRttMs[cls]! &&
    1 - (1 - tables.hopLossRatio[first]!) * (1 - tables.hopLossRatio[second]!) < tables.maxLossRatio[cls]! - 1e-12 &&
    providersAllowed(tables, demand, first) &&
    providersAllowed(tables, demand, second)
  );
}

function endsAllowed(tables: Tables, demand: number): boolean {
  return siteAllowed(tables, demand, tables.source[demand]!) && siteAllowed(tables, demand, tables.target[demand]!);
}

function siteAllowed(tables: Tables, demand: number, site: number): boolean {
  const lock = tables.lock[demand]!;
  return tables.security[site]! >= tables.minSecurity[tables.classOf[demand]!]! && (lock < 0 || tables.region[site] === lock);
}

function providersAllowed(tables: Tables, demand: number, hop: number): boolean {
  for (let at = tables.avoidStart[demand]!; at < tables.avoidStart[demand + 1]!; at++) {
    const provider = tables.avoid[at]!;
    if (tables.hopProviders[2 * hop] === provider || tables.hopProviders[2 * hop + 1] === provider) return false;
  }
  return true;
}

/** Relays of a demand's pair in the order of their round trips, at most twice as many as are wanted; others are left to pricing. */
function nearestRelays(tables: Tables): (demand: number) => readonly number[] {
  const { sites, hubs } = tables;
  const to = cheapestOf(tables, tables.legToHub, tables.hopRttMs);
  const from = cheapestOf(tables, tables.legFromHub, tables.hopRttMs);
  const rttMs = new Float64Array(hubs.length);
  const known = new Map<number, readonly number[]>();
  return (demand) => {
    const source = tables.source[demand]!;
    const target = tables.target[demand]!;
    const key = source * sites + target;
    const before = known.get(key);
    if (before !== undefined) return before;
    const near: number[] = [];
    for (let hub = 0; hub < hubs.length; hub++) {
      rttMs[hub] = to[source * hubs.length + hub]! + from[target * hubs.length + hub]!;
      if (rttMs[hub]! >= Number.MAX_VALUE) continue;
      let place = near.length;
      while (place > 0 && rttMs[near[place - 1]!]! > rttMs[hub]!) place--;
      if (place === 2 * RELAYS) continue;
      near.splice(place, 0, hub);
      if (near.length > 2 * RELAYS) near.pop();
    }
    known.set(key, near);
    return near;
  };
}

/** The links of a way from its hops. */
export function linksOf(first: number, second: number): number[] {
  return second < 0 ? [first >> 1] : [first >> 1, second >> 1];
}
