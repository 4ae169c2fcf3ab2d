import { cheapestWay, quote, type Found } from './paths.ts';
import type { Tables } from './tables.ts';

/** How the prices are stretched as well to find the best bound; the same prices give a bound at any scale. */
const SCALES = [0.9, 1.1];

/**
 * What no plan can exceed: an upper bound on Σ worth × Mbit/s over all admissible direct and one-relay ways, without tunnel
 * limits. By LP duality any prices ≥ 0 give one: Σ price × capacity + Σ demand × max(0, worth − price of its cheapest way).
 * @param prices by resource; the better they are, the tighter the bound
 * @param rough  what `roughBoundOf` says of them, where that is known
 */
export function boundOf(tables: Tables, prices: Float64Array, rough = roughBoundOf(tables, prices)): number {
  let best = rough;
  for (const scale of SCALES) best = Math.min(best, boundAt(tables, prices, scale));
  return best;
}

/** The same from the prices as they are: a third of the work, and nearly as tight. */
export function roughBoundOf(tables: Tables, prices: Float64Array): number {
  return boundAt(tables, prices, 1);
}

/** Σ worth × Mbit/s of what is served. */
export function worthOf(tables: Tables, served: Float64Array): number {
  let worth = 0;
  for (let demand = 0; demand < tables.demands; demand++) worth += tables.weight[tables.classOf[demand]!]! * served[demand]!;
  return worth;
}

function boundAt(tables: Tables, prices: Float64Array, scale: number): number {
  const price = prices.map((value) => value * scale);
  price[tables.resources] = 0;
  const quoted = quote(tables, price, new Float64Array(tables.links), 0);
  const found: Found = { price: 0, first: -1, second: -1 };
  let bound = 0;
  for (let resource = 0; resource < tables.resources; resource++) bound += price[resource]! * tables.capacity[resource]!;
  for (let demand = 0; demand < tables.demands; demand++) {
    const worth = tables.weight[tables.classOf[demand]!]! - price[tables.cryptoBase + tables.source[demand]!]! - price[tables.cryptoBase + tables.target[demand]!]!;
    if (worth <= 0) continue;
    cheapestWay(tables, demand, quoted, worth, found);
    if (found.price < worth) bound += tables.p95Mbps[demand]! * (worth - found.price);
  }
  return bound;
}
