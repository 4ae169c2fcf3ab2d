import { send, type Flows } from './flows.ts';
import type { Paths } from './paths.ts';
import { fittingWorth, settle } from './search.ts';
import type { LinkPrices } from './sweep.ts';
import type { Tables } from './tables.ts';

/** What a Mbit/s below a median is worth on top, in shares of its class's worth: where medians go first, and where they yield. */
export const MEDIANS_FIRST = 2;
const YIELDING = 0.6;
/**
 * Of the throughput of the least important class, what medians may cost before they yield; and how much of them, class by class, may
 * then be short. A little below 0.2 and 0.5 %, which are what a plan is judged by.
 */
const COST = 0.0016;
const SHORT = 0.0045;
/** Of all sweeps, those in which they do, and how many at least and most. */
const YIELDING_SHARE = 0.4;
const LEAST_SWEEPS = 5;
const MOST_SWEEPS = 10;

/**
 * Lets medians yield where they cost much throughput: as far as needed to keep within `COST` of the bound, and no further than `SHORT`.
 * Goes from the flows with medians first towards those where they are worth little more than the rest, in a straight line, on
 * which both figures are known.
 * @param bound worth that no plan exceeds
 */
export function balance(tables: Tables, paths: Paths, flows: Flows, linkPrices: LinkPrices, bound: number, sweeps: number): void {
  const loss = lossOf(tables, flows, bound);
  if (loss <= COST) return;
  const medians = mediansOf(tables, flows);
  const flow = flows.flow.slice();
  flows.medianPremium = YIELDING;
  settle(tables, paths, flows, linkPrices, Math.min(MOST_SWEEPS, Math.max(LEAST_SWEEPS, Math.ceil(YIELDING_SHARE * sweeps))));
  flows.medianPremium = MEDIANS_FIRST;
  const won = loss - lossOf(tables, flows, bound);
  const short = mediansOf(tables, flows).reduce((most, mbps, cls) => Math.max(most, medians[cls]! > 0 ? 1 - mbps / medians[cls]! : 0), 0);
  const way = won > 0 ? Math.min(1, (loss - COST) / won, short > 0 ? SHORT / short : 1) : 0;
  for (let demand = 0; demand < tables.demands; demand++) {
    for (let path = paths.start[demand]!; path < paths.start[demand]! + paths.count[demand]!; path++) {
      const back = (1 - way) * (flow[path]! - flows.flow[path]!);
      if (back !== 0) send(tables, paths, flows, demand, path, back);
    }
  }
}

/** What is missing to the bound, as a share of what the least important class is served. */
function lossOf(tables: Tables, flows: Flows, bound: number): number {
  let mbps = 0;
  for (let demand = 0; demand < tables.demands; demand++) if (tables.weight[tables.classOf[demand]!] === 1) mbps += flows.served[demand]!;
  return mbps > 0 ? (bound - fittingWorth(tables, flows)) / mbps : 0;
}

/** By class: what is served of medians, Mbit/s. */
function mediansOf(tables: Tables, flows: Flows): Float64Array {
  const medians = new Float64Array(tables.weight.length);
  for (let demand = 0; demand < tables.demands; demand++) medians[tables.classOf[demand]!]! += Math.min(flows.served[demand]!, tables.p50Mbps[demand]!);
  return medians;
}
