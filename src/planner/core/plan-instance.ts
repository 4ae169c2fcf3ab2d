import { noBackups, protect, type Backups } from './backups.ts';
import { worthOf } from './certificate.ts';
import { emptyFlows, send, type Flows } from './flows.ts';
import type { Instance } from './instance.ts';
import { addPath, buildPaths, wayAlong, type Found, type Paths } from './paths.ts';
import { addWays, KAPPA_END, provingPrices, relax } from './relax.ts';
import { byImportance, fill, trim } from './repair.ts';
import { settlePrices, sweep, type LinkPrices } from './sweep.ts';
import { buildTables, type Tables } from './tables.ts';
import { closeExcess, concentrate, improve, linksInUse, noTunnels, openIdle, openOnly, setIdle, type Tunnels } from './tunnels.ts';

/** What to set up and what to send where; `links` are one link or two that meet at a relay, in the order of the way. */
export interface InstancePlan {
  /** Links that have a tunnel. */
  tunnels: number[];
  flows: { demand: number; links: number[]; mbps: number }[];
  /** `mbps` is what the shared reserve holds for it; the rest is sent at best effort. */
  backups: { demand: number; links: number[]; mbps: number }[];
  /** Tunnels that carry and back up nothing, since so many plans. */
  idle: { link: number; plans: number }[];
  /** By resource: up[uplink], down[uplink], crypto[site], then links with a cap. They prove the bound. */
  prices: number[];
}

/** How good the plan is, proven by its own prices: no plan whatever, tunnel limits or none, is worth more than `bound`. */
export interface Certificate {
  /** Σ Mbit/s × the worth of its class (1 for the least important, ten times as much for each priority above). */
  worth: number;
  bound: number;
  /** 100 × (1 − worth/bound). */
  provenGapPct: number;
}

export interface PlanOptions {
  /** Where to start and what to stay close to: its tunnels are kept unless a change pays. */
  previousPlan?: InstancePlan;
  /** Of an earlier plan; those of `previousPlan` when left out. */
  prices?: readonly number[];
  /** Rounds of optimisation: what a time limit is turned into by the caller, so that equal inputs give equal plans. */
  sweeps: number;
}

/** κ of the first sweep, without and with prices to start from. */
const KAPPA_COLD = 15;
const KAPPA_WARM = 40;
/** A demand's median is worth this much more than the rest, so that nobody starves for the sake of the sum. */
const MEDIAN_WORTH = 3;
/** Of all sweeps, those that tighten the proof, and rounds of local search over tunnels. */
const PROVING_SHARE = 0.4;
const IMPROVING_SHARE = 0.5;
/** What a new tunnel must bring, as a share of all worth: cold, and where it would be a change. */
const LEAST_GAIN_COLD = 1e-6;
const LEAST_GAIN_WARM = 1e-5;
/** Plans that a tunnel stays without use, as long as its slots are free. */
const HOLD_PLANS = 10;
/** Mbit/s; a flow below this is left out of the plan, and others are given in whole multiples of it. */
const DUST = 1e-6;

/**
 * Plans an instance: which tunnels there are and what goes where, so that the most worth is served, the most important
 * class first and medians before the rest; among equals for the least money and latency. No limit is ever broken. Decides in this order:
 * capacities without tunnel limits (`relax`), the bound that proves it, tunnels (`tunnels.ts`), what fits exactly (`repair.ts`).
 * Deterministic: equal instance and options give an equal plan.
 * @see docs/planning.md
 */
export function planInstance(instance: Instance, options: PlanOptions): { plan: InstancePlan; certificate: Certificate } {
  const tables = buildTables(instance);
  const paths = buildPaths(tables);
  const { previousPlan, sweeps } = options;
  const prices = options.prices ?? previousPlan?.prices;
  const flows = emptyFlows(tables, paths, prices === undefined ? KAPPA_COLD : KAPPA_WARM, MEDIAN_WORTH, prices?.length === tables.resources ? prices : undefined);
  const linkPrices = new Float64Array(tables.links);
  if (previousPlan !== undefined) resume(tables, paths, flows, previousPlan);
  else relax(tables, paths, flows, linkPrices, sweeps);
  const proof = provingPrices(tables, paths, flows, Math.ceil(PROVING_SHARE * sweeps));

  const total = worthOf(tables, tables.p95Mbps);
  if (previousPlan === undefined) concentrateWhereNeeded(tables, paths, flows, linkPrices);
  const kept = previousPlan === undefined ? linksInUse(tables, paths, flows) : isAmong(previousPlan.tunnels);
  const tunnels = openOnly(tables, paths, flows, linkPrices, kept);
  closeExcess(tables, paths, flows, linkPrices, tunnels);
  if (previousPlan !== undefined) relax(tables, paths, flows, linkPrices, sweeps);
  const reached = search(tables, paths, flows, linkPrices, tunnels, Math.ceil(IMPROVING_SHARE * sweeps), total * (previousPlan === undefined ? LEAST_GAIN_COLD : LEAST_GAIN_WARM));

  const order = byImportance(tables);
  trim(tables, paths, flows, order);
  fill(tables, paths, flows, linkPrices, order);
  const standing = tunnelsOf(tables, paths, flows, held(reached, previousPlan));
  const backups = protect(tables, paths, flows, standing, previousPlan && backupsOf(tables, previousPlan));
  const plan = readPlan(tables, paths, flows, proof.prices, standing, backups, idleOf(tables, standing, previousPlan));
  const worth = plan.flows.reduce((sum, { demand, mbps }) => sum + tables.weight[tables.classOf[demand]!]! * mbps, 0);
  return { plan, certificate: { worth, bound: proof.bound, provenGapPct: proof.bound > 0 ? Math.max(0, 100 * (1 - worth / proof.bound)) : 0 } };
}

function concentrateWhereNeeded(tables: Tables, paths: Paths, flows: Flows, linkPrices: LinkPrices): void {
  const used = new Int32Array(tables.sites);
  const isUsed = linksInUse(tables, paths, flows);
  for (let link = 0; link < tables.links; link++) {
    if (!isUsed(link)) continue;
    used[tables.hopFrom[2 * link]!]!++;
    used[tables.hopTo[2 * link]!]!++;
  }
  if (used.some((count, site) => count > tables.slots[site]!)) concentrate(tables, paths, flows, linkPrices);
}

/** Local search over tunnels that goes back to the best it has seen, and returns it. */
function search(tables: Tables, paths: Paths, flows: Flows, linkPrices: LinkPrices, tunnels: Tunnels, rounds: number, leastGain: number): Tunnels {
  flows.kappa = KAPPA_END;
  let best = tunnels.isOpen.slice();
  let most = fittingWorth(tables, flows);
  for (let round = 0; round < rounds; round++) {
    addWays(tables, paths, flows, linkPrices);
    if (improve(tables, paths, flows, linkPrices, tunnels, leastGain) === 0) break;
    settle(tables, paths, flows, linkPrices, 2);
    const worth = fittingWorth(tables, flows);
    if (worth <= most) continue;
    most = worth;
    best = tunnels.isOpen.slice();
  }
  const reached = openOnly(tables, paths, flows, linkPrices, (link) => best[link] === 1);
  settle(tables, paths, flows, linkPrices, 4);
  return reached;
}

function settle(tables: Tables, paths: Paths, flows: Flows, linkPrices: LinkPrices, sweeps: number): void {
  for (let done = 0; done < sweeps; done++) {
    sweep(tables, paths, flows, linkPrices);
    settlePrices(tables, flows);
  }
}

/** Worth of the flows, less what will have to be cut because it is over a limit. */
function fittingWorth(tables: Tables, flows: Flows): number {
  let worth = worthOf(tables, flows.served);
  for (let resource = 0; resource < tables.resources; resource++) worth -= flows.price[resource]! * Math.max(0, flows.load[resource]! - tables.capacity[resource]!);
  return worth;
}

/** Sends what the previous plan sent, as far as it is still wanted and allowed. */
function resume(tables: Tables, paths: Paths, flows: Flows, { flows: previous }: InstancePlan): void {
  const found: Found = { price: 0, first: -1, second: -1 };
  for (const { demand, links, mbps } of previous) {
    if (!(demand >= 0 && demand < tables.demands) || !wayAlong(tables, demand, links, found)) continue;
    addPath(tables, paths, demand, found.first, found.second);
    for (let path = paths.start[demand]!; path < paths.start[demand]! + paths.count[demand]!; path++) {
      if (paths.first[path] === found.first && paths.second[path] === found.second) send(tables, paths, flows, demand, path, Math.max(0, Math.min(mbps, tables.p95Mbps[demand]! - flows.served[demand]!)));
    }
  }
}

/**
 * Tunnels of the plan before stay for `HOLD_PLANS` plans when they carry and back up nothing now and nobody needs their slots:
 * demand that comes and goes from cycle to cycle tears down nothing.
 */
function held(tunnels: Tunnels, previousPlan: InstancePlan | undefined): number[] {
  const idle = new Map(previousPlan?.idle.map(({ link, plans }) => [link, plans]));
  return (previousPlan?.tunnels ?? []).filter((link) => tunnels.isOpen[link] === 1 && (idle.get(link) ?? 0) < HOLD_PLANS);
}

function idleOf(tables: Tables, tunnels: Tunnels, previousPlan: InstancePlan | undefined): InstancePlan['idle'] {
  const before = new Map(previousPlan?.idle.map(({ link, plans }) => [link, plans]));
  return Array.from({ length: tables.links }, (_, link) => link)
    .filter((link) => tunnels.isIdle[link] === 1)
    .map((link) => ({ link, plans: 1 + (before.get(link) ?? 0) }));
}

/** What is open in the end: links that carry something, and these. */
function tunnelsOf(tables: Tables, paths: Paths, flows: Flows, alsoOpen: readonly number[]): Tunnels {
  const isUsed = linksInUse(tables, paths, flows);
  const also = isAmong(alsoOpen);
  const tunnels = noTunnels(tables);
  for (let link = 0; link < tables.links; link++) {
    if (!isUsed(link) && !also(link)) continue;
    openIdle(tables, tunnels, link);
    if (!isUsed(link)) setIdle(tables, tunnels, link, true);
  }
  return tunnels;
}

function backupsOf(tables: Tables, { backups }: InstancePlan): Backups {
  const known = noBackups(tables);
  const found: Found = { price: 0, first: -1, second: -1 };
  for (const { demand, links } of backups) {
    if (!(demand >= 0 && demand < tables.demands) || !wayAlong(tables, demand, links, found)) continue;
    known.first[demand] = found.first;
    known.second[demand] = found.second;
  }
  return known;
}

function readPlan(tables: Tables, paths: Paths, flows: Flows, prices: Float64Array, tunnels: Tunnels, backups: Backups, idle: InstancePlan['idle']): InstancePlan {
  const plan: InstancePlan = { tunnels: [], flows: [], backups: [], idle, prices: Array.from(prices.subarray(0, tables.resources), (price) => Number(price.toPrecision(9))) };
  for (let demand = 0; demand < tables.demands; demand++) {
    for (let path = paths.start[demand]!; path < paths.start[demand]! + paths.count[demand]!; path++) {
      if (flows.flow[path]! >= DUST) plan.flows.push({ demand, links: linksOf(paths.first[path]!, paths.second[path]!), mbps: Math.floor(flows.flow[path]! * 1e6) / 1e6 });
    }
    if (backups.first[demand]! >= 0) plan.backups.push({ demand, links: linksOf(backups.first[demand]!, backups.second[demand]!), mbps: Math.floor(backups.mbps[demand]! * 1e6) / 1e6 });
  }
  for (let link = 0; link < tables.links; link++) if (tunnels.isOpen[link] === 1) plan.tunnels.push(link);
  return plan;
}

function linksOf(first: number, second: number): number[] {
  return second < 0 ? [first >> 1] : [first >> 1, second >> 1];
}

function isAmong(links: readonly number[]): (link: number) => boolean {
  const wanted = new Set(links);
  return (link) => wanted.has(link);
}
