import { worthOf } from './certificate.ts';
import { send, type Flows } from './flows.ts';
import type { Paths } from './paths.ts';
import { fill, trim } from './repair.ts';
import { settle } from './search.ts';
import type { LinkPrices } from './sweep.ts';
import type { Tables } from './tables.ts';

/** What a Mbit/s below a median is worth on top, in shares of its class's worth, where medians go first. */
export const MEDIANS_FIRST = 2;
/** The same where they yield, first to where they are worth little more than the rest; in the end who has less of its demand goes hardly before who has more. */
const YIELDING = [
  { medianPremium: 0.6, fairness: 1 },
  { medianPremium: 0.2, fairness: 1 },
  { medianPremium: 0.6, fairness: 0.3 },
];
/**
 * Of the throughput of the least important class, what may be missing to the bound; and class by class, how much of the medians that a
 * plan with medians first serves. The first is good at both, the second what must be. A little below 0.05 and 0.1, 0.2 and 0.5 %,
 * which are what a plan is judged by.
 */
const TARGETS = [
  { loss: 0.0004, short: 0.0009 },
  { loss: 0.0016, short: 0.0049 },
];
/** With so much of the medians gone there is nothing left to give. */
const SPENT = 0.0048;
/** Of all sweeps, those in which they yield, and how many at least and most. */
const YIELDING_SHARE = 0.4;
const LEAST_SWEEPS = 5;
const MOST_SWEEPS = 10;
/** Halvings of a line to find how far to go on it. */
const HALVINGS = 20;

/**
 * Lets medians yield where they cost much throughput, as far as the targets need it and allow it. Goes from the flows with medians
 * first towards those where they are worth little more than the rest, and on to those where they are worth less still, in straight
 * lines: between flows that fit all flows fit, throughput is known exactly, and medians are at least what the line says.
 * @param rising demands by importance
 * @param bound  worth that no plan exceeds
 */
export function balance(tables: Tables, paths: Paths, flows: Flows, linkPrices: LinkPrices, rising: Int32Array, bound: number, sweeps: number): void {
  const medians = mediansOf(tables, flows.served);
  for (const { medianPremium, fairness } of YIELDING) {
    if (lossOf(tables, flows.served, bound) <= TARGETS[fairness < 1 ? 1 : 0]!.loss || isShortOf(mediansOf(tables, flows.served), medians, SPENT)) return;
    const before = { flow: flows.flow.slice(), served: flows.served.slice() };
    Object.assign(flows, { medianPremium, fairness });
    settle(tables, paths, flows, linkPrices, Math.min(MOST_SWEEPS, Math.max(LEAST_SWEEPS, Math.ceil(YIELDING_SHARE * sweeps))));
    Object.assign(flows, { medianPremium: MEDIANS_FIRST, fairness: 1 });
    trim(tables, paths, flows, rising);
    fill(tables, paths, flows, linkPrices, rising);
    const way = wayToGo(tables, before.served, flows.served, medians, bound);
    goBack(tables, paths, flows, before.flow, 1 - way);
  }
}

/** How far to go from what was served, 0, to what is, 1: to the first target, and where that does not reach to the second. */
function wayToGo(tables: Tables, before: Float64Array, after: Float64Array, medians: Float64Array, bound: number): number {
  const loss = lossOf(tables, before, bound);
  const won = loss - lossOf(tables, after, bound);
  if (won <= 0) return 0;
  const isAllowed = (way: number, short: number): boolean => !isShortOf(mediansAt(tables, before, after, way), medians, short);
  let way = 0;
  for (const target of TARGETS) {
    const wanted = Math.min(1, (loss - target.loss) / won);
    if (wanted > way && isAllowed(wanted, target.short)) way = wanted;
    for (let half = 0, step = (wanted - way) / 2; half < HALVINGS && step > 0; half++, step /= 2) if (isAllowed(way + step, target.short)) way += step;
  }
  return way;
}

/** Goes this share of the way back to other flows. */
function goBack(tables: Tables, paths: Paths, flows: Flows, flow: Float64Array, share: number): void {
  for (let demand = 0; demand < tables.demands; demand++) {
    for (let path = paths.start[demand]!; path < paths.start[demand]! + paths.count[demand]!; path++) {
      const back = share * (flow[path]! - flows.flow[path]!);
      if (back !== 0) send(tables, paths, flows, demand, path, back);
    }
  }
}

/** What is missing to the bound, as a share of what the least important class is served. */
function lossOf(tables: Tables, served: Float64Array, bound: number): number {
  let mbps = 0;
  for (let demand = 0; demand < tables.demands; demand++) if (tables.weight[tables.classOf[demand]!] === 1) mbps += served[demand]!;
  return mbps > 0 ? (bound - worthOf(tables, served)) / mbps : 0;
}

/** Whether any class is short of more than this share of these medians. */
function isShortOf(served: Float64Array, medians: Float64Array, share: number): boolean {
  return served.some((mbps, cls) => mbps < (1 - share) * medians[cls]!);
}

/** By class: what is served of medians, Mbit/s. */
function mediansOf(tables: Tables, served: Float64Array): Float64Array {
  return mediansAt(tables, served, served, 0);
}

/** The same so far on the way from what was served to what is, 0…1. */
function mediansAt({ demands, weight, classOf, p50Mbps }: Tables, before: Float64Array, after: Float64Array, way: number): Float64Array {
  const medians = new Float64Array(weight.length);
  for (let demand = 0; demand < demands; demand++) medians[classOf[demand]!]! += Math.min(before[demand]! + way * (after[demand]! - before[demand]!), p50Mbps[demand]!);
  return medians;
}
