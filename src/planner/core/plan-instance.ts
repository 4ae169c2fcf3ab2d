import { protect, type Backups } from './backups.ts';
import { certificateOf, proofLeft, worthOf, type Certificate } from './certificate.ts';
import { emptyFlows, type Flows } from './flows.ts';
import type { Instance } from './instance.ts';
import { buildPaths, type Paths } from './paths.ts';
import { backupsOf, held, idleOf, isAmong, readPlan, resume, tunnelsOf, type InstancePlan } from './plan-file.ts';
import { balance, MEDIANS_FIRST } from './balance.ts';
import { spendLess } from './money.ts';
import { proveOn, provingPrices, relax, type Proof } from './relax.ts';
import { backupWorth } from './protection.ts';
import { byImportance, fill, trim } from './repair.ts';
import { search, searchFromNothing, settle, type SearchOptions } from './search.ts';
import { share } from './share.ts';
import type { LinkPrices } from './sweep.ts';
import { buildTables, type Tables } from './tables.ts';
import { closeExcess, closeIdle, openLinks, openOnly, priceLinks, standBy, type Tunnels } from './tunnels.ts';

export interface PlanOptions {
  /** Where to start and what to stay close to: its tunnels are kept unless a change pays. */
  previousPlan?: InstancePlan;
  /** Of an earlier plan; those of `previousPlan` when left out. */
  prices?: readonly number[];
  /** Rounds of optimisation: what a time limit is turned into by the caller, so that equal inputs give equal plans. */
  sweeps: number;
  /** False: only what is carried in all counts, not who gets what is short. */
  isShared?: boolean;
}

/** A plan with all that it was made from, so that a failure is answered at once and planning goes on from there. */
export interface Standing {
  tables: Tables;
  paths: Paths;
  flows: Flows;
  linkPrices: LinkPrices;
  tunnels: Tunnels;
  backups: Backups;
  /** Demands by importance. */
  order: Int32Array;
  plan: InstancePlan;
}

export interface Planned {
  plan: InstancePlan;
  certificate: Certificate;
  standing: Standing;
}

/** κ of the first sweep, without and with prices to start from. */
const KAPPA_COLD = 15;
const KAPPA_WARM = 40;
/** Of all sweeps, those that tighten the proof, and rounds of local search over tunnels. */
const PROVING_SHARE = 0.4;
const IMPROVING_SHARE = 0.5;
/** At least so many rounds, as long as they are so cheap (demands × rounds): each changes one tunnel a site at most. */
const LEAST_ROUNDS = 12;
const CHEAP_ROUNDS = 40_000;
/** A gap for which no better proof is looked for. */
const PROVEN = 0.001;
/** Sweeps of that proof at most, as long as they are so cheap. */
const MOST_PROVING = 60;
/** What a new tunnel must bring, as a share of all worth: cold, and where it would be a change. */
const LEAST_GAIN_COLD = 1e-6;
const LEAST_GAIN_WARM = 1e-4;
/** On top for each tunnel in use that closes for it: a share of what that carries, but no more than this share of all worth, for which nobody is to be left out. */
const MOVING_SHARE = 0.05;
const MOST_MOVING = 1e-3;
/** Sweeps after ways that nothing can back up have become dearer. */
const PROTECTING_SWEEPS = 4;

/**
 * Plans an instance: which tunnels there are and what goes where, so that the most worth is served, the most important
 * class first and medians before the rest; among equals for the least money and latency. No limit is ever broken. Decides in this order:
 * capacities without tunnel limits (`relax`), the bound that proves it, tunnels (`tunnels.ts`), what fits exactly (`repair.ts`), money (`money.ts`), backups.
 * Deterministic: equal instance and options give an equal plan.
 * @see docs/planning.md
 */
export function planInstance(instance: Instance, options: PlanOptions): Planned {
  const tables = buildTables(instance);
  const paths = buildPaths(tables);
  const { previousPlan, sweeps } = options;
  const prices = options.prices ?? previousPlan?.prices;
  const flows = emptyFlows(tables, paths, prices === undefined ? KAPPA_COLD : KAPPA_WARM, MEDIANS_FIRST, prices?.length === tables.resources ? prices : undefined);
  if (options.isShared === false) flows.fairness = 0;
  const linkPrices = new Float64Array(tables.links);
  const work = { tables, paths, flows, linkPrices };
  if (previousPlan !== undefined) resume(tables, paths, flows, previousPlan);
  else relax(tables, paths, flows, linkPrices, sweeps);
  const proof = provingPrices(tables, paths, flows, Math.ceil(PROVING_SHARE * sweeps));
  const searchOptions = searchOptionsOf(tables, sweeps, previousPlan, MOVING_SHARE);
  if (previousPlan === undefined) return finish(work, searchFromNothing(tables, paths, flows, linkPrices, proof.bound, searchOptions), proof, sweeps, undefined);
  const tunnels = openOnly(tables, paths, flows, linkPrices, isAmong(previousPlan.tunnels));
  closeExcess(tables, paths, flows, linkPrices, tunnels);
  relax(tables, paths, flows, linkPrices, sweeps);
  return finish(work, search(tables, paths, flows, linkPrices, tunnels, searchOptions).tunnels, proof, sweeps, previousPlan);
}

/**
 * Goes on from a plan that stands, after `repairAfterFailure` has changed what it stands on: the same as a plan from the one
 * before, without building anything anew. `standing` is used up.
 */
export function replan(standing: Standing, sweeps: number): Planned {
  const { tables, paths, flows, linkPrices, plan } = standing;
  flows.kappa = KAPPA_WARM;
  const proof = proofLeft(tables, plan.prices);
  const tunnels = openOnly(tables, paths, flows, linkPrices, (link) => standing.tunnels.isOpen[link] === 1);
  relax(tables, paths, flows, linkPrices, sweeps);
  const { tunnels: reached } = search(tables, paths, flows, linkPrices, tunnels, searchOptionsOf(tables, sweeps, plan, 0));
  return finish({ tables, paths, flows, linkPrices }, reached, proof, sweeps, plan);
}

type Work = Pick<Standing, 'tables' | 'paths' | 'flows' | 'linkPrices'>;

function searchOptionsOf(tables: Tables, sweeps: number, previousPlan: InstancePlan | undefined, movingShare: number): SearchOptions {
  const all = worthOf(tables, tables.mostMbps);
  return {
    rounds: Math.max(Math.ceil(IMPROVING_SHARE * sweeps), Math.min(LEAST_ROUNDS, Math.floor(CHEAP_ROUNDS / Math.max(1, tables.demands)))),
    beside: backupWorth(tables, previousPlan),
    leastGain: all * (previousPlan === undefined ? LEAST_GAIN_COLD : LEAST_GAIN_WARM),
    movingShare: previousPlan === undefined ? 0 : movingShare,
    mostMoving: all * MOST_MOVING,
  };
}

/** From flows over tunnels that keep to their limits to the plan: exact fit, backups. */
function finish({ tables, paths, flows, linkPrices }: Work, reached: Tunnels, firstProof: Proof, sweeps: number, previousPlan: InstancePlan | undefined): Planned {
  const order = byImportance(tables);
  const kept = held(previousPlan);
  trim(tables, paths, flows, order);
  fill(tables, paths, flows, linkPrices, order);
  const first = tunnelsOf(tables, paths, flows, openLinks(reached));
  const { backups: before, priced } = protect(tables, paths, flows, first, previousPlan && backupsOf(tables, previousPlan));
  // from here on traffic stays on these tunnels, so that slots keep to their limits whatever moves
  priceLinks(tables, linkPrices, first);
  if (priced > 0) settle(tables, paths, flows, linkPrices, PROTECTING_SWEEPS);
  trim(tables, paths, flows, order);
  fill(tables, paths, flows, linkPrices, order);
  const proof = betterProof(tables, paths, flows, firstProof, Math.max(Math.ceil(PROVING_SHARE * sweeps), Math.min(MOST_PROVING, Math.floor(CHEAP_ROUNDS / Math.max(1, tables.demands)))));
  if (flows.fairness > 0) balance(tables, paths, flows, linkPrices, order, proof.bound, sweeps);
  if (flows.fairness > 0) share(tables, paths, flows, linkPrices, order);
  fill(tables, paths, flows, linkPrices, order);
  spendLess(tables, paths, flows, linkPrices, first, order);
  const open = tunnelsOf(tables, paths, flows, openLinks(first));
  const { backups } = protect(tables, paths, flows, open, before);
  closeIdle(tables, open, isAmong(kept));
  // what a search closed for a tunnel that in the end nobody needed
  for (const link of kept) standBy(tables, open, link);
  priceLinks(tables, linkPrices, open);
  const plan = readPlan(tables, paths, flows, proof.prices, open, backups, idleOf(tables, open, previousPlan));
  return { plan, certificate: certificateOf(tables, plan, proof.bound), standing: { tables, paths, flows, linkPrices, tunnels: open, backups, order, plan } };
}

/** Where much is missing to the bound, the prices may be wrong: their flows are swept on, or where there are none, those that flows have become. */
function betterProof(tables: Tables, paths: Paths, flows: Flows, proof: Proof, sweeps: number): Proof {
  if (worthOf(tables, flows.served) >= (1 - PROVEN) * proof.bound) return proof;
  const again = proof.flows === undefined ? provingPrices(tables, paths, flows, sweeps) : proveOn(tables, paths, proof.flows, sweeps);
  return again.bound < proof.bound ? again : proof;
}
