import { boundOf, worthOf, type Certificate } from './certificate.ts';
import { emptyFlows } from './flows.ts';
import type { Instance } from './instance.ts';
import { buildPaths, cheapestWay, quote, wayAlong, type Found } from './paths.ts';
import type { InstancePlan } from './plan-file.ts';
import { provingPrices, relax } from './relax.ts';
import { buildTables, type Tables } from './tables.ts';

/** How good flows are that may come from anywhere, and what of the instance refuses the rest. */
export interface Measure {
  certificate: Certificate;
  /** Worth of all that is wanted; what no way is admissible for is in it, and in no bound. */
  wanted: number;
  /** Those over admissible ways: only they count. */
  flows: InstancePlan['flows'];
  /** Mbit/s by demand. */
  served: Float64Array;
  /** By demand: 1 where at least one way is admissible, were all tunnels there. */
  hasWay: Uint8Array;
  /** What one more Mbit/s of a resource would bring, by resource: up[uplink], down[uplink], crypto[site], then links with a cap. All 0 where nothing is short. */
  prices: Float64Array;
}

/** Below this share of the bound nothing is missing. */
const ROUNDING = 1e-9;
/** Of the sweeps, those that tighten the bound. */
const PROVING_SHARE = 0.4;
const KAPPA_START = 15;

/**
 * Measures flows against everything that any plan of the instance could do. What goes over ways that are not admissible counts
 * for nothing; limits are taken as kept. Where all that has a way is served the prices are 0 and there is nothing to optimise.
 * @param sweeps  rounds of optimisation that the prices come from: any give a valid bound, more a tighter one
 */
export function measureFlows(instance: Instance, flows: InstancePlan['flows'], sweeps: number): Measure {
  const tables = buildTables(instance);
  const admissible = admissibleFlows(tables, flows);
  const served = servedBy(tables, admissible);
  const hasWay = reachable(tables);
  const worth = worthOf(tables, served);
  const wanted = worthOf(tables, tables.wantedMbps);
  const most = worthOf(tables, tables.wantedMbps.map((mbps, demand) => mbps * hasWay[demand]!));
  const none = { prices: new Float64Array(tables.resources), bound: most };
  const proof = worth >= most * (1 - ROUNDING) ? none : prove(tables, sweeps);
  const bound = Math.max(worth, Math.min(most, proof.bound));
  return { certificate: { worth, bound, provenGapPct: bound > 0 ? 100 * (1 - worth / bound) : 0 }, wanted, flows: admissible, served, hasWay, prices: proof.prices.subarray(0, tables.resources) };
}

/** The worth of flows alone, without anything to compare it with. */
export function flowsWorth(instance: Instance, flows: InstancePlan['flows']): number {
  const tables = buildTables(instance);
  return worthOf(tables, servedBy(tables, admissibleFlows(tables, flows)));
}

function prove(tables: Tables, sweeps: number): { prices: Float64Array; bound: number } {
  const paths = buildPaths(tables);
  const flows = emptyFlows(tables, paths, KAPPA_START, 0);
  flows.fairness = 0;
  relax(tables, paths, flows, new Float64Array(tables.links), sweeps);
  const { prices } = provingPrices(tables, paths, flows, Math.ceil(PROVING_SHARE * sweeps));
  return { prices, bound: boundOf(tables, prices) };
}

function admissibleFlows(tables: Tables, flows: InstancePlan['flows']): InstancePlan['flows'] {
  const found: Found = { price: 0, first: -1, second: -1 };
  return flows.filter(({ demand, links }) => wayAlong(tables, demand, links, found));
}

function servedBy(tables: Tables, flows: InstancePlan['flows']): Float64Array {
  const served = new Float64Array(tables.demands);
  for (const { demand, mbps } of flows) served[demand]! += mbps;
  return served.map((mbps, demand) => Math.min(mbps, tables.wantedMbps[demand]!));
}

function reachable(tables: Tables): Uint8Array {
  const free = quote(tables, new Float64Array(tables.resources + 1), new Float64Array(tables.links), 0);
  const found: Found = { price: 0, first: -1, second: -1 };
  return Uint8Array.from({ length: tables.demands }, (_, demand) => (cheapestWay(tables, demand, free, 1, found).first >= 0 ? 1 : 0));
}
