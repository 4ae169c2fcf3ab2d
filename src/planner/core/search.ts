import { createRng } from '../../base/index.ts';
import { worthOf } from './certificate.ts';
import type { Flows } from './flows.ts';
import type { Paths } from './paths.ts';
import { addWays, KAPPA_END } from './relax.ts';
import { BACKUP_WORTH, protectionOver, type Protection } from './protection.ts';
import { settlePrices, sweep, type LinkPrices } from './sweep.ts';
import type { Tables } from './tables.ts';
import { closeExcess, concentrate, improve, linksInUse, noTunnels, openOnly, type ImproveOptions, type Tunnels } from './tunnels.ts';

/** What a try counts of a site's demand as carried over an unused link to a relay, one after the other until one is good enough. */
const RELAYED = [0.1, 1, 0.3] as const;
/** A try this close to the bound is good enough, as a share of it, where more is dear: where sites are not rebuilt. */
const ENOUGH = 1e-3;
/** At the end the tunnels of one site after the other are rebuilt, so often at most and as long as it is so cheap (demands × rounds); where it is not for so many, not at all: it and all the starts before it would take seconds. */
const REBUILDS = 20;
const REBUILDS_LEAST = 5;
const REBUILDING_ROUNDS = 8;
const CHEAP_ROUNDS = 40_000;
/** Of a site's tunnels, those that are closed for it. */
const REBUILT_SHARE = 0.5;

/** How long a search goes on, and what it counts. */
export interface SearchOptions extends ImproveOptions {
  rounds: number;
}

/**
 * Tunnels from nothing: those that flows without limits use, where sites have slots for them. Else flows are concentrated on few links, the rest
 * of the excess is closed, and local search goes on from there; while that stays short of what could be, again with relays in favour. Small
 * meshes, where it costs little, have all of these starts, and parts of the best are rebuilt.
 * @param bound worth that no plan exceeds
 */
export function searchFromNothing(tables: Tables, paths: Paths, flows: Flows, linkPrices: LinkPrices, bound: number, options: SearchOptions): Tunnels {
  if (!isOverSlots(tables, paths, flows)) return search(tables, paths, flows, linkPrices, openOnly(tables, paths, flows, linkPrices, linksInUse(tables, paths, flows)), options).tunnels;
  const start = takeDown(flows, noTunnels(tables), 0);
  const affordable = flows.fairness === 0 ? 0 : Math.floor(CHEAP_ROUNDS / (REBUILDING_ROUNDS * Math.max(1, tables.demands)));
  const rebuilds = affordable < REBUILDS_LEAST ? 0 : Math.min(REBUILDS, affordable);
  let best = start;
  for (const relayed of RELAYED) {
    restore(flows, start);
    linkPrices.fill(0);
    concentrate(tables, paths, flows, linkPrices, relayed);
    const tunnels = openOnly(tables, paths, flows, linkPrices, linksInUse(tables, paths, flows));
    closeExcess(tables, paths, flows, linkPrices, tunnels);
    const reached = search(tables, paths, flows, linkPrices, tunnels, options);
    if (best === start || reached.worth > best.worth) best = takeDown(flows, reached.tunnels, reached.worth);
    if (rebuilds === 0 && fittingWorth(tables, flows) >= (1 - ENOUGH) * bound) break;
  }
  return goBack(tables, paths, flows, linkPrices, rebuild(tables, paths, flows, linkPrices, best, options, rebuilds));
}

/**
 * Leaves the corner in which local search ends, where each change alone would lose: closes half of the tunnels of one site after the other, drawn by
 * lot, and searches on from there; what is better stays (large neighbourhood search: Shaw 1998).
 */
function rebuild(tables: Tables, paths: Paths, flows: Flows, linkPrices: LinkPrices, start: Seen, options: SearchOptions, times: number): Seen {
  const lots = createRng('rebuild');
  let best = start;
  for (let done = 0; done < times; done++) {
    const site = done % tables.sites;
    const from = best;
    restore(flows, from);
    const tunnels = openOnly(tables, paths, flows, linkPrices, (link) => from.isOpen[link] === 1 && ((tables.hopFrom[2 * link] !== site && tables.hopTo[2 * link] !== site) || lots.next() >= REBUILT_SHARE));
    settle(tables, paths, flows, linkPrices, 2);
    const reached = search(tables, paths, flows, linkPrices, tunnels, { ...options, rounds: REBUILDING_ROUNDS });
    if (reached.worth > best.worth) best = takeDown(flows, reached.tunnels, reached.worth);
  }
  return best;
}

function isOverSlots(tables: Tables, paths: Paths, flows: Flows): boolean {
  const used = new Int32Array(tables.sites);
  const isUsed = linksInUse(tables, paths, flows);
  for (let link = 0; link < tables.links; link++) {
    if (!isUsed(link)) continue;
    used[tables.hopFrom[2 * link]!]!++;
    used[tables.hopTo[2 * link]!]!++;
  }
  return used.some((count, site) => count > tables.slots[site]!);
}

/**
 * Local search over tunnels that goes back to the best it has seen, and returns it with its worth: that of what is carried, and of backups.
 */
export function search(tables: Tables, paths: Paths, flows: Flows, linkPrices: LinkPrices, tunnels: Tunnels, options: SearchOptions): { tunnels: Tunnels; worth: number } {
  flows.kappa = KAPPA_END;
  // ways over closed links too, or nobody would think of opening them
  addWays(tables, paths, flows, new Float64Array(tables.links));
  const protectionNow = protectionOver(tables, flows, tunnels);
  let protection = protectionNow();
  let best = takeDown(flows, tunnels, worthWith(tables, flows, protection));
  for (let round = 0; round < options.rounds; round++) {
    addWays(tables, paths, flows, linkPrices);
    if (improve(tables, paths, flows, linkPrices, tunnels, protection, options) === 0) break;
    settle(tables, paths, flows, linkPrices, 2);
    protection = protectionNow();
    const worth = worthWith(tables, flows, protection);
    if (worth > best.worth) best = takeDown(flows, tunnels, worth);
  }
  const reached = goBack(tables, paths, flows, linkPrices, best);
  settle(tables, paths, flows, linkPrices, 4);
  return { tunnels: reached, worth: best.worth };
}

function worthWith(tables: Tables, flows: Flows, { protects }: Protection): number {
  return fittingWorth(tables, flows) + BACKUP_WORTH * protects;
}

/** A state of the search: its tunnels, flows and prices. */
interface Seen extends Pick<Flows, 'flow' | 'served' | 'load' | 'price' | 'multiplier'> {
  worth: number;
  isOpen: Uint8Array;
}

/** Takes down a state to go back to, with its worth. */
export function takeDown({ flow, served, load, price, multiplier }: Flows, { isOpen }: Tunnels, worth: number): Seen {
  return { worth, isOpen: isOpen.slice(), flow: flow.slice(), served: served.slice(), load: load.slice(), price: price.slice(), multiplier: multiplier.slice() };
}

export function restore(flows: Flows, { flow, served, load, price, multiplier }: Seen): void {
  flows.flow.set(flow);
  flows.served.set(served);
  flows.load.set(load);
  flows.price.set(price);
  flows.multiplier.set(multiplier);
}

/** Goes back to a state: its tunnels, flows and prices. */
export function goBack(tables: Tables, paths: Paths, flows: Flows, linkPrices: LinkPrices, best: Seen): Tunnels {
  const tunnels = openOnly(tables, paths, flows, linkPrices, (link) => best.isOpen[link] === 1);
  restore(flows, best);
  return tunnels;
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
