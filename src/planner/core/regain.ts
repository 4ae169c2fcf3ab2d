import { balance } from './balance.ts';
import { keepBackups } from './backups.ts';
import { certificateOf, proofLeft, worthOf } from './certificate.ts';
import { addPath, cheapestWay, hopPrice, isFull, linksOf, quote, type Found } from './paths.ts';
import { backupsOf, idleOf, readPlan, tunnelsOf } from './plan-file.ts';
import type { Planned, Standing } from './plan-instance.ts';
import { backupWorth, noProtection } from './protection.ts';
import { addWays, provingPrices } from './relax.ts';
import { fill, trim } from './repair.ts';
import type { Repair } from './failure.ts';
import { goBack, restore, settle, takeDown } from './search.ts';
import { CLOSED, visit } from './sweep.ts';
import type { Tables } from './tables.ts';
import { improve, openLinks, priceLinks, setOpen, worthBelow, type Tunnels } from './tunnels.ts';

/** A proven gap this small is near enough: half of what one still has to be back within. */
const REGAINED = 0.001;
/** Rounds of opening tunnels and sweeping, and sweeps of each. */
const ROUNDS = 6;
const SWEEPS = 2;
/** Sweeps for a better proof, where that of the plan before does not do. */
const PROVING = 4;
/** A round has won something when it closes this share of what was still missing; two that do not are the last. */
const WINS = 0.1;
/** What a tunnel must bring, as a share of all worth. */
const LEAST_GAIN = 1e-6;
/** One that brings less than this share of what it was to bring, since others were opened before it, waits for the next pass. */
const STILL = 0.5;
const PASSES = 4;
/** Mbit/s; less is nothing. */
const NOTHING = 1e-6;

/** Tunnels in slots that are free now, one or two that meet at a relay, and who would send over them. */
interface Opening {
  links: readonly number[];
  ways: { demand: number; path: number }[];
  gain: number;
}

/**
 * The first plan after `repairAfterFailure`, near the repair: tunnels are opened, in slots that are free, only for demands that the
 * failure touched, and only until what is proven to be missing is at most 0.1 %; mostly nothing has to be. The proof is that of the plan
 * before without what died. Backups stay where they still share nothing with what they back up, others are taken from open ways.
 * Everything else waits for `replan` or the next cycle. `standing` is used up; the one returned goes on.
 */
export function regain(standing: Standing, { changed }: Pick<Repair, 'changed'>): Planned {
  const { tables, paths, flows, linkPrices, order, plan: before } = standing;
  const inherited = proofLeft(tables, before.prices);
  const inheritedBound = Math.min(inherited.bound, worthOf(tables, tables.mostMbps));
  const enough = (1 - REGAINED) * inheritedBound;
  let best = takeDown(flows, standing.tunnels, worthOf(tables, flows.served));
  for (let round = 0, lost = 0; round < ROUNDS && lost < 2 && best.worth < enough; round++) {
    // prices first: what is full since the failure was cheap before, and would look so for tunnels
    settle(tables, paths, flows, linkPrices, SWEEPS);
    // once free slots have not been enough, tunnels change places, whoever they are for
    if (lost === 0) reopen(standing, changed);
    else {
      addWays(tables, paths, flows, linkPrices);
      improve(tables, paths, flows, linkPrices, standing.tunnels, noProtection(tables), { beside: backupWorth(tables, before), leastGain: LEAST_GAIN * inheritedBound, movingShare: 0, mostMoving: 0 });
    }
    settle(tables, paths, flows, linkPrices, SWEEPS);
    const state = takeDown(flows, standing.tunnels, 0);
    trim(tables, paths, flows, order);
    fill(tables, paths, flows, linkPrices, order);
    const worth = worthOf(tables, flows.served);
    lost = worth - best.worth < WINS * (inheritedBound - best.worth) ? lost + 1 : 0;
    if (worth > best.worth) best = takeDown(flows, standing.tunnels, worth);
    restore(flows, state);
  }
  const proof = best.worth < enough ? tighter(inherited, provingPrices(tables, paths, flows, PROVING)) : inherited;
  const bound = Math.min(proof.bound, inheritedBound);
  const reached = goBack(tables, paths, flows, linkPrices, best);
  if (best.worth < (1 - REGAINED) * bound) {
    balance(tables, paths, flows, linkPrices, order, bound, SWEEPS);
    fill(tables, paths, flows, linkPrices, order);
  }
  const open = tunnelsOf(tables, paths, flows, openLinks(reached));
  const backups = keepBackups(tables, paths, flows, open, order, backupsOf(tables, before));
  priceLinks(tables, linkPrices, open);
  const plan = readPlan(tables, paths, flows, proof.prices, open, backups, idleOf(tables, open, before));
  return { plan, certificate: certificateOf(tables, plan, bound), standing: { tables, paths, flows, linkPrices, tunnels: open, backups, order, plan } };
}

function tighter<T extends { bound: number }>(one: T, other: T): T {
  return other.bound < one.bound ? other : one;
}

/** Opens tunnels in free slots, those that bring most first, and lets the demands that they are for move. */
function reopen(standing: Standing, changed: readonly number[]): void {
  const { tables, paths, flows, linkPrices, tunnels } = standing;
  const leastGain = LEAST_GAIN * worthOf(tables, tables.mostMbps);
  let left = openings(standing, changed);
  for (let pass = 0; pass < PASSES && left.length > 0; pass++) {
    const later: Opening[] = [];
    for (const opening of left) {
      const links = opening.links.filter((link) => tunnels.isOpen[link] === 0);
      if (links.length === 0 || !canOpen(tables, tunnels, links)) continue;
      const gain = gainOf(standing, opening);
      if (gain < leastGain) continue;
      if (gain < STILL * opening.gain) {
        later.push({ ...opening, gain });
        continue;
      }
      for (const link of links) setOpen(tables, tunnels, linkPrices, link, true);
      for (const { demand } of opening.ways) visit(tables, paths, flows, linkPrices, demand, false);
    }
    left = later.sort(byGain);
  }
}

function openings(standing: Standing, changed: readonly number[]): Opening[] {
  const { tables, paths, flows, linkPrices, tunnels } = standing;
  const found: Found = { price: 0, first: -1, second: -1 };
  const isFree = (site: number): boolean => tunnels.used[site]! < tables.slots[site]!;
  const openable = linkPrices.map((price, link) => (price < CLOSED || (isFree(tables.hopFrom[2 * link]!) && isFree(tables.hopTo[2 * link]!)) ? 0 : CLOSED));
  const quoted = quote(tables, flows.price, openable, 1);
  const byKey = new Map<number, Opening>();
  for (const demand of changed) {
    if (tables.mostMbps[demand]! - flows.served[demand]! <= NOTHING) continue;
    const worth = worthBelow(tables, flows, demand);
    if (!isFull(paths, demand)) cheapestWay(tables, demand, quoted, worth, found);
    if (!isFull(paths, demand) && found.first >= 0) addPath(tables, paths, demand, found.first, found.second);
    for (let path = paths.start[demand]!; path < paths.start[demand]! + paths.count[demand]!; path++) {
      const links = closedLinks(standing, path);
      if (links.length === 0 || !canOpen(tables, tunnels, links) || worth <= priceOpen(standing, path)) continue;
      const key = links[0]! * (tables.links + 1) + (links[1] ?? tables.links);
      const opening = byKey.get(key) ?? { links, ways: [], gain: 0 };
      opening.ways.push({ demand, path });
      byKey.set(key, opening);
    }
  }
  const all = [...byKey.values()];
  for (const opening of all) opening.gain = gainOf(standing, opening);
  return all.sort(byGain);
}

/** What the demands that it is for would win by an opening now, by prices. */
function gainOf(standing: Standing, { ways }: Opening): number {
  const { tables, flows } = standing;
  let gain = 0;
  for (const { demand, path } of ways) gain += Math.max(0, tables.mostMbps[demand]! - flows.served[demand]!) * Math.max(0, worthBelow(tables, flows, demand) - priceOpen(standing, path));
  return gain;
}

function byGain(one: Opening, other: Opening): number {
  return other.gain - one.gain || one.links[0]! - other.links[0]! || (one.links[1] ?? -1) - (other.links[1] ?? -1);
}

/** What a way would cost if its links had tunnels. */
function priceOpen({ tables, paths, flows }: Standing, path: number): number {
  const first = paths.first[path]!;
  const second = paths.second[path]!;
  const direct = paths.cost[path]! + hopPrice(tables, first, flows.price);
  return second < 0 ? direct : direct + hopPrice(tables, second, flows.price) + 2 * flows.price[tables.cryptoBase + tables.hopTo[first]!]!;
}

function closedLinks({ paths, tunnels }: Standing, path: number): number[] {
  return linksOf(paths.first[path]!, paths.second[path]!).filter((link) => tunnels.isOpen[link] === 0);
}

/** Whether all their sites have free slots for them at once; tunnels without use keep theirs. */
function canOpen(tables: Tables, tunnels: Tunnels, links: readonly number[]): boolean {
  const ends = links.flatMap((link) => [tables.hopFrom[2 * link]!, tables.hopTo[2 * link]!]);
  return ends.every((site) => tunnels.used[site]! + ends.filter((end) => end === site).length <= tables.slots[site]!);
}
