import type { Paths } from './paths.ts';
import type { Tables } from './tables.ts';

/** No multiplier falls lower: one at zero could never rise again. In units of the least important class's worth. */
export const LEAST_PRICE = 1e-4;
/** What a resource without capacity costs; less than a closed link, more than anything is worth. */
export const NO_CAPACITY = 1e9;
/** Beyond this overload (times κ) the price grows linearly, so that no start overflows. */
const STEEPEST = 6;
const AT_STEEPEST = Math.exp(STEEPEST);

/**
 * Who sends what over which way, what that uses, and what it costs. The price of a resource is
 * multiplier × exp(κ × (utilisation − 1)); at the optimum a resource is full or its price is (nearly) nothing.
 */
export interface Flows {
  /** Mbit/s by way, demand and resource. */
  flow: Float64Array;
  served: Float64Array;
  load: Float64Array;
  price: Float64Array;
  multiplier: Float64Array;
  kappa: number;
  /** 1: who has less of its demand goes before who has more (`worth.ts`); 0: a Mbit/s is worth the same to all of a class. */
  fairness: number;
  /** How much more a Mbit/s below a median is worth, in shares of the worth of its class. */
  medianPremium: number;
}

/** Nothing is sent yet; `prices` of an earlier plan make a warm start. */
export function emptyFlows(tables: Tables, paths: Paths, kappa: number, medianPremium: number, prices?: readonly number[]): Flows {
  const { resources, demands } = tables;
  const flows: Flows = {
    flow: new Float64Array(paths.first.length),
    served: new Float64Array(demands),
    load: new Float64Array(resources + 1),
    price: new Float64Array(resources + 1),
    multiplier: new Float64Array(resources + 1),
    // fractions first: V8 takes fields that held whole numbers only for small integers, and throws away what it compiled for them at the first fraction
    kappa: 0.5,
    fairness: 0.5,
    medianPremium: 0.5,
  };
  flows.kappa = kappa;
  flows.fairness = 1;
  flows.medianPremium = medianPremium;
  for (let resource = 0; resource < resources; resource++) flows.multiplier[resource] = Math.max(LEAST_PRICE, prices?.[resource] ?? 0.1);
  for (let resource = 0; resource < resources; resource++) reprice(tables, flows, resource);
  return flows;
}

/** Flows of their own that begin as these are. Written out so that all flows have one shape, for which code is compiled once. */
export function copyFlows({ flow, served, load, price, multiplier, kappa, fairness, medianPremium }: Flows): Flows {
  return { flow: flow.slice(), served: served.slice(), load: load.slice(), price: price.slice(), multiplier: multiplier.slice(), kappa, fairness, medianPremium };
}

/** Sends `mbps` more (less, when negative) over a way and brings the prices of all it uses up to date. */
export function send(tables: Tables, paths: Paths, flows: Flows, demand: number, path: number, mbps: number): void {
  const { cryptoBase } = tables;
  const first = paths.first[path]!;
  const second = paths.second[path]!;
  flows.flow[path]! += mbps;
  flows.served[demand]! += mbps;
  use(tables, flows, cryptoBase + tables.source[demand]!, mbps);
  use(tables, flows, cryptoBase + tables.target[demand]!, mbps);
  use(tables, flows, tables.hopUses[4 * first]!, mbps);
  use(tables, flows, tables.hopUses[4 * first + 1]!, mbps);
  use(tables, flows, tables.hopUses[4 * first + 2]!, mbps);
  if (second < 0) return;
  use(tables, flows, tables.hopUses[4 * second]!, mbps);
  use(tables, flows, tables.hopUses[4 * second + 1]!, mbps);
  use(tables, flows, tables.hopUses[4 * second + 2]!, mbps);
  use(tables, flows, cryptoBase + tables.hopTo[first]!, 2 * mbps);
}

function use(tables: Tables, flows: Flows, resource: number, mbps: number): void {
  if (resource === tables.resources) return;
  flows.load[resource]! += mbps;
  reprice(tables, flows, resource);
}

/** Price from load and multiplier; a resource without capacity is as dear as can be. */
export function reprice(tables: Tables, flows: Flows, resource: number): void {
  const capacity = tables.capacity[resource]!;
  const steep = flows.kappa * (flows.load[resource]! / capacity - 1);
  const price = flows.multiplier[resource]! * (steep < STEEPEST ? Math.exp(steep) : AT_STEEPEST * (1 + steep - STEEPEST));
  flows.price[resource] = capacity > 0 ? price : NO_CAPACITY;
}

/** As a plan gives it: Mbit/s in whole millionths, rounded down so that no limit is broken. */
export function asPlanned(mbps: number): number {
  return Math.floor(mbps * 1e6) / 1e6;
}

/** What is left for a way on everything it uses, Mbit/s; negative when something is over its limit. */
export function roomOf(tables: Tables, paths: Paths, flows: Flows, demand: number, path: number): number {
  const { cryptoBase } = tables;
  const first = paths.first[path]!;
  const second = paths.second[path]!;
  const left = (resource: number): number => tables.capacity[resource]! - flows.load[resource]!;
  let room = Math.min(left(cryptoBase + tables.source[demand]!), left(cryptoBase + tables.target[demand]!), left(tables.hopUses[4 * first]!), left(tables.hopUses[4 * first + 1]!), left(tables.hopUses[4 * first + 2]!));
  if (second >= 0) room = Math.min(room, left(tables.hopUses[4 * second]!), left(tables.hopUses[4 * second + 1]!), left(tables.hopUses[4 * second + 2]!), left(cryptoBase + tables.hopTo[first]!) / 2);
  return room;
}
