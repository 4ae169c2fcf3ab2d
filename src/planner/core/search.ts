import { worthOf } from './certificate.ts';
import type { Flows } from './flows.ts';
import type { Paths } from './paths.ts';
import { addWays, KAPPA_END } from './relax.ts';
import { settlePrices, sweep, type LinkPrices } from './sweep.ts';
import type { Tables } from './tables.ts';
import { concentrate, improve, linksInUse, openOnly, type Tunnels } from './tunnels.ts';

/** Concentrates flows on few links where they use more than a site has slots. */
export function concentrateWhereNeeded(tables: Tables, paths: Paths, flows: Flows, linkPrices: LinkPrices): void {
  const used = new Int32Array(tables.sites);
  const isUsed = linksInUse(tables, paths, flows);
  for (let link = 0; link < tables.links; link++) {
    if (!isUsed(link)) continue;
    used[tables.hopFrom[2 * link]!]!++;
    used[tables.hopTo[2 * link]!]!++;
  }
  if (used.some((count, site) => count > tables.slots[site]!)) concentrate(tables, paths, flows, linkPrices);
}

/**
 * Local search over tunnels that goes back to the best it has seen, and returns it.
 * @param beside    by link, what closing it loses beside its flow, in worth
 * @param leastGain what opening a tunnel must bring at least, in worth
 */
export function search(tables: Tables, paths: Paths, flows: Flows, linkPrices: LinkPrices, tunnels: Tunnels, rounds: number, beside: Float64Array, leastGain: number): Tunnels {
  flows.kappa = KAPPA_END;
  let best = tunnels.isOpen.slice();
  let most = fittingWorth(tables, flows);
  // ways over closed links too, or nobody would think of opening them
  addWays(tables, paths, flows, new Float64Array(tables.links));
  for (let round = 0; round < rounds; round++) {
    addWays(tables, paths, flows, linkPrices);
    if (improve(tables, paths, flows, linkPrices, tunnels, beside, leastGain) === 0) break;
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

/** Sweeps with prices that settle. */
export function settle(tables: Tables, paths: Paths, flows: Flows, linkPrices: LinkPrices, sweeps: number): void {
  for (let done = 0; done < sweeps; done++) {
    sweep(tables, paths, flows, linkPrices);
    settlePrices(tables, flows);
  }
}

/** Worth of the flows, less what will have to be cut because it is over a limit. */
export function fittingWorth(tables: Tables, flows: Flows): number {
  let worth = worthOf(tables, flows.served);
  for (let resource = 0; resource < tables.resources; resource++) worth -= flows.price[resource]! * Math.max(0, flows.load[resource]! - tables.capacity[resource]!);
  return worth;
}
