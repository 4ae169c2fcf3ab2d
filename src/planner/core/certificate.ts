import { NO_CAPACITY } from './flows.ts';
import { cheapestWay, quote, type Found } from './paths.ts';
import type { InstancePlan } from './plan-file.ts';
import type { Tables } from './tables.ts';

/** How the prices are stretched as well to find the best bound; the same prices give a bound at any scale. */
const SCALES = [0.9, 1.1];
/** A bound below this is one of nothing, in worth. */
const NOTHING = 1e-6;

/** How good the plan is, proven by its own prices: no plan whatever, tunnel limits or none, is worth more than `bound`. */
export interface Certificate {
  /** Σ Mbit/s × the worth of its class (1 for the least important, ten times as much for each priority above). */
  worth: number;
  bound: number;
  /** 100 × (1 − worth/bound). */
  provenGapPct: number;
}

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

/** The prices of a plan and what they prove once something has died: what has no capacity costs the bound nothing, so it is as dear as can be. */
export function proofLeft(tables: Tables, prices: readonly number[]): { prices: Float64Array; bound: number } {
  const left = new Float64Array(tables.resources + 1);
  for (let resource = 0; resource < tables.resources; resource++) left[resource] = tables.capacity[resource]! > 0 ? (prices[resource] ?? 0) : NO_CAPACITY;
  return { prices: left, bound: roughBoundOf(tables, left) };
}

/** How good a plan is beside a bound, as it is written: its flows are rounded down. */
export function certificateOf(tables: Tables, { flows }: Pick<InstancePlan, 'flows'>, bound: number): Certificate {
  const worth = flows.reduce((sum, { demand, mbps }) => sum + tables.weight[tables.classOf[demand]!]! * mbps, 0);
  // no prices are needed to say that nobody is served more than all it wants; they say less where a capacity is beyond all measure
  const least = Math.min(bound, worthOf(tables, tables.mostMbps));
  return { worth, bound: least, provenGapPct: least > NOTHING ? Math.max(0, 100 * (1 - worth / least)) : 0 };
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
    if (found.price < worth) bound += tables.mostMbps[demand]! * (worth - found.price);
  }
  return bound;
}
