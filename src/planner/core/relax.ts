import { boundOf, roughBoundOf } from './certificate.ts';
import { copyFlows, type Flows } from './flows.ts';
import { addPath, cheapestWay, isFull, quote, withCost, type Found, type Paths } from './paths.ts';
import { coverBeyond } from './reach.ts';
import { settlePrices, sweep, wayPrice, type LinkPrices } from './sweep.ts';
import type { Tables } from './tables.ts';
import { worthOfLast } from './worth.ts';

/** κ at the end of every run of sweeps: steep enough to fill capacities to the last thousandth. */
export const KAPPA_END = 60;
/** Sweeps between two searches for ways that are not in the table. */
const PRICING_EVERY = 5;
/** A way must be cheaper by this to be worth a place in the table; a demand with ways cheaper than this is not looked at. */
const WORTH_ADDING = 1e-3;
const CHEAP = 0.02;

/** Sweeps with prices that grow steeper from one to the next: soft ones find the way, steep ones fill capacities. */
export function relax(tables: Tables, paths: Paths, flows: Flows, linkPrices: LinkPrices, sweeps: number): void {
  const start = flows.kappa;
  for (let done = 1; done <= sweeps; done++) {
    sweep(tables, paths, flows, linkPrices);
    settlePrices(tables, flows);
    if (done % PRICING_EVERY === 0) addWays(tables, paths, flows, linkPrices);
    flows.kappa = start * (KAPPA_END / start) ** (done / sweeps);
  }
}

/** Adds to each demand the best way over all links and relays, where it is cheaper than all that it has (column generation). */
export function addWays(tables: Tables, paths: Paths, flows: Flows, linkPrices: LinkPrices): void {
  const found: Found = { price: 0, first: -1, second: -1 };
  const quoted = quote(tables, flows.price, linkPrices, 1);
  for (let demand = 0; demand < tables.demands; demand++) {
    if (isFull(paths, demand)) continue;
    const ends = flows.price[tables.cryptoBase + tables.source[demand]!]! + flows.price[tables.cryptoBase + tables.target[demand]!]!;
    let least = worthOfLast(tables, flows, demand, flows.served[demand]!) - ends;
    for (let path = paths.start[demand]!; path < paths.start[demand]! + paths.count[demand]!; path++) least = Math.min(least, wayPrice(tables, paths, flows, linkPrices, path));
    if (least < CHEAP) continue;
    cheapestWay(tables, demand, quoted, least - WORTH_ADDING, found);
    if (found.first >= 0) addPath(tables, paths, demand, found.first, found.second);
  }
}

/** A bound that no plan exceeds, the prices that prove it, and the flows that they come from, where these can be swept on. */
export interface Proof {
  prices: Float64Array;
  bound: number;
  flows?: Flows;
}

/**
 * Prices that prove how good a plan can be at most. Nobody goes before others of its class here, since the bound is one of worth
 * alone; so the flows, a copy, are swept on without fairness.
 * @returns the best bound found on the way
 */
export function provingPrices(tables: Tables, paths: Paths, flows: Flows, sweeps: number): Proof {
  const copy = copyFlows(flows);
  copy.fairness = 0;
  return proveOn(tables, paths, copy, sweeps);
}

/** Sweeps the flows of a proof on, and with them its prices. */
export function proveOn(tables: Tables, paths: Paths, copy: Flows, sweeps: number): Proof {
  const none = new Float64Array(tables.links);
  const free = withCost(paths, new Float64Array(paths.cost.length));
  let best = { prices: copy.price.slice(), bound: roughBoundOf(tables, copy.price) };
  for (let done = 1; done <= sweeps; done++) {
    sweep(tables, free, copy, none);
    settlePrices(tables, copy);
    if (done % 2 === 1 && done < sweeps) continue;
    const bound = roughBoundOf(tables, copy.price);
    if (bound < best.bound) best = { prices: copy.price.slice(), bound };
  }
  const prices = coverBeyond(tables, best.prices);
  return { prices, bound: boundOf(tables, prices, prices === best.prices ? best.bound : undefined), flows: copy };
}
