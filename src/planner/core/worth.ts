import type { Flows } from './flows.ts';
import type { Tables } from './tables.ts';

/**
 * What a Mbit/s is worth falls with the share of its demand that a site already has, so that what is short is shared and nobody
 * starves for the sake of the sum. In shares of the worth of its class, on top of it: below the median `flows.medianPremium`, and
 * `MEDIAN_FIRST` more at nothing; `SHARING` for the first Mbit/s of all, falling to none for the last; `STARVING` at nothing, falling to none
 * where `STARVED` of the demand is served. All together stay below the step to the next class's worth, so strict priority holds.
 * The figures were chosen by what they cost and bring, docs/planning.md.
 */
const MEDIAN_FIRST = 0.3;
const SHARING = 0.1;
const STARVING = 1;
const STARVED = 0.1;
/** Mbit/s; this close to the median is the median. */
const NOTHING = 1e-9;

/** What one Mbit/s more is worth when `servedMbps` of a demand are served, and nothing when that is all; with `flows.fairness` 0 of its class alone. */
export function worthOfMore(tables: Tables, flows: Flows, demand: number, servedMbps: number): number {
  return servedMbps < tables.p95Mbps[demand]! - NOTHING ? worthAt(tables, flows, demand, servedMbps, servedMbps < tables.p50Mbps[demand]! - NOTHING) : 0;
}

/** What the last of the Mbit/s served is worth. */
export function worthOfLast(tables: Tables, flows: Flows, demand: number, servedMbps: number): number {
  return worthAt(tables, flows, demand, servedMbps, servedMbps <= tables.p50Mbps[demand]! + NOTHING);
}

/** How fast that falls with each Mbit/s more. */
export function worthBend(tables: Tables, flows: Flows, demand: number, servedMbps: number): number {
  const p50 = tables.p50Mbps[demand]!;
  const p95 = tables.p95Mbps[demand]!;
  return flows.fairness * tables.weight[tables.classOf[demand]!]! * ((SHARING + (servedMbps < STARVED * p95 ? STARVING / STARVED : 0)) / p95 + (servedMbps < p50 ? MEDIAN_FIRST / p50 : 0));
}

function worthAt(tables: Tables, flows: Flows, demand: number, servedMbps: number, isBelowMedian: boolean): number {
  const share = servedMbps / tables.p95Mbps[demand]!;
  const beyond = SHARING * (1 - share) + (share < STARVED ? STARVING * (1 - share / STARVED) : 0);
  const below = isBelowMedian ? flows.medianPremium + MEDIAN_FIRST * (1 - servedMbps / Math.max(NOTHING, tables.p50Mbps[demand]!)) : 0;
  return tables.weight[tables.classOf[demand]!]! * (1 + flows.fairness * (beyond + below));
}
