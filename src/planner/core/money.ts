import { largest } from './backups.ts';
import { worthOf } from './certificate.ts';
import { copyFlows, send, type Flows } from './flows.ts';
import { costOf, eachWay, withCost, type Paths } from './paths.ts';
import { canBeProtected } from './protection.ts';
import { fill, trim } from './repair.ts';
import { makeRiskMarks } from './reserve.ts';
import { settlePrices, sweep, type LinkPrices } from './sweep.ts';
import type { Tables } from './tables.ts';
import type { Tunnels } from './tunnels.ts';

/** Sweeps, and how steep prices are in the first and the last: from where full resources find their price to where next to nothing is over a limit. */
const SWEEPS = 12;
const KAPPA_FIRST = 30;
const KAPPA_LAST = 300;
/** After every so many sweeps it is seen who lost its backup, which takes some more to mend. */
const GUARD_EVERY = 3;
/** What a way is made dearer by that would be a demand's largest and that nothing backs up, and what resources cost at first, where a Mbit/s costs 1 in the mean. */
const UNPROTECTED = 1000;
const FIRST_PRICE = 0.1;
/** Sweeps begin with too much on what is cheap, so the first promise most: with less than this to win they are left, as a share of what is paid. */
const LEAST_WON = 0.01;
/** What may be lost where a resource is a little over its limit in the end, as a share of all worth. */
const MOST_LOST = 1e-5;

/**
 * Moves flows to cheaper ways over open tunnels, without taking from anybody what it is served or its backup: least money and latency.
 * Among prices of throughput, of which a full uplink costs the worth of a Mbit/s, money is a thousandth and drowns in what they
 * are off; so here it is all that counts, in units of what a Mbit/s costs in the mean, and resources get new prices in that.
 * Starts from flows that fit and ends with flows that fit.
 * @param rising demands by importance
 */
export function spendLess(tables: Tables, paths: Paths, flows: Flows, linkPrices: LinkPrices, tunnels: Tunnels, rising: Int32Array): void {
  const own = withCost(paths, new Float64Array(paths.cost.length));
  eachPath(tables, paths, (demand, path) => {
    own.cost[path] = costOf(tables, demand, paths.first[path]!, paths.second[path]!);
  });
  const paid = paidFor(tables, own, flows);
  if (paid <= 0) return;
  const perMbps = paid / flows.served.reduce((sum, mbps) => sum + mbps, 0);
  const scaled = withCost(paths, own.cost.map((cost) => cost / perMbps));
  const cheaper = copyFlows(flows);
  cheaper.multiplier.fill(FIRST_PRICE);
  cheaper.kappa = KAPPA_FIRST;
  settlePrices(tables, cheaper, 0);
  for (let done = 1; done <= SWEEPS; done++) {
    sweep(tables, scaled, cheaper, linkPrices, true);
    if (paidFor(tables, own, cheaper) > (1 - LEAST_WON) * paid) return;
    settlePrices(tables, cheaper);
    cheaper.kappa = KAPPA_FIRST * (KAPPA_LAST / KAPPA_FIRST) ** (done / SWEEPS);
    if (done % GUARD_EVERY === 0 && done < SWEEPS) guardBackups(tables, scaled, flows, cheaper, tunnels);
  }
  trim(tables, scaled, cheaper, rising);
  fill(tables, scaled, cheaper, linkPrices, rising);
  if (paidFor(tables, own, cheaper) > (1 - LEAST_WON) * paid || worthOf(tables, cheaper.served) < (1 - MOST_LOST) * worthOf(tables, flows.served)) return;
  eachPath(tables, paths, (demand, path) => {
    const mbps = cheaper.flow[path]! - flows.flow[path]!;
    if (mbps !== 0) send(tables, paths, flows, demand, path, mbps);
  });
}

/** Makes ways dearer that have become the largest of a demand, when nothing that is open could back it up, as could the one before. */
function guardBackups(tables: Tables, scaled: Paths, before: Flows, now: Flows, { isOpen }: Tunnels): void {
  const marks = makeRiskMarks(tables);
  const isBackedUp = (demand: number, path: number): boolean => {
    let found = false;
    marks.putWay(scaled.first[path]!, scaled.second[path]!);
    eachWay(tables, demand, (hop) => isOpen[hop >> 1] === 1 && !marks.meetsHop(hop), () => {
      found = true;
    });
    return found;
  };
  for (let demand = 0; demand < tables.demands; demand++) {
    if (tables.wantsBackup[tables.classOf[demand]!] === 0 || now.served[demand]! <= 0 || !canBeProtected(tables, demand)) continue;
    const [old, path] = [largest(scaled, before, demand), largest(scaled, now, demand)];
    if (path !== old && !isBackedUp(demand, path) && isBackedUp(demand, old)) scaled.cost[path]! += UNPROTECTED;
  }
}

/** What all flows cost in money and latency. */
function paidFor(tables: Tables, paths: Paths, { flow }: Flows): number {
  let paid = 0;
  eachPath(tables, paths, (_, path) => {
    paid += flow[path]! * paths.cost[path]!;
  });
  return paid;
}

function eachPath(tables: Tables, paths: Paths, visit: (demand: number, path: number) => void): void {
  for (let demand = 0; demand < tables.demands; demand++) {
    for (let path = paths.start[demand]!; path < paths.start[demand]! + paths.count[demand]!; path++) visit(demand, path);
  }
}
