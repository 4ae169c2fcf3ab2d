import { send, type Flows } from './flows.ts';
import { linksOf, type Paths } from './paths.ts';
import { BACKUP_WORTH, type Protection } from './protection.ts';
import { CLOSED, settlePrices, sweep, wayPrice, type LinkPrices } from './sweep.ts';
import type { Tables } from './tables.ts';
import { worthOfLast } from './worth.ts';

/** Which links have a tunnel, and how many slots of each site that takes. */
export interface Tunnels {
  isOpen: Uint8Array;
  used: Int32Array;
  /** How many a site has to each relay, by [site × hubs + hub], as legs to and from relays are. */
  toHub: Int32Array;
  /** Tunnels that carry and back up nothing; they go when another needs their slot. Of each site as many as `idle` says. */
  isIdle: Uint8Array;
  idle: Int32Array;
}

/** How often a site's slot price follows its excess, and how fast. */
const PRICE_SWEEPS = 12;
const PRICE_GAIN = 2;
/** An unused link is priced as if it carried this share of what is wanted over it. */
const OPENING_SHARE = 0.3;
/** Mbit/s; less is no use of a tunnel. */
const IDLE = 1e-6;
/** Of the excess of a site, what one round of closing takes. */
const CLOSING_SHARE = 0.34;
const CLOSING_ROUNDS = 30;
/** How much more than it loses a swap has to bring, since both are estimates. */
const SWAP_MARGIN = 1.2;

/**
 * Concentrates flows on few links: a slot of a site has a price that rises while more links are used than it has slots, and
 * a link costs its two slots' prices divided by what it carries, so that little-used links are left (reweighted ℓ1 minimisation:
 * Candès, Wakin, Boyd 2008).
 * @param relayed what an unused link to a relay counts as carrying, as a share of all that its other site wants
 */
export function concentrate(tables: Tables, paths: Paths, flows: Flows, linkPrices: LinkPrices, relayed: number): void {
  const wanted = wantedOver(tables, relayed);
  const slotPrice = new Float64Array(tables.sites);
  for (let round = 0; round < PRICE_SWEEPS; round++) {
    const carried = linkFlows(tables, paths, flows);
    const used = new Int32Array(tables.sites);
    for (let link = 0; link < tables.links; link++) if (carried[link]! > IDLE) countEnds(tables, used, link, 1);
    const typical = typicalWorth(tables, flows, used);
    for (let site = 0; site < tables.sites; site++) {
      const ratio = tables.slots[site]! > 0 ? used[site]! / tables.slots[site]! : used[site]! + 1;
      slotPrice[site] = slotPrice[site]! > 0 ? slotPrice[site]! * Math.exp(PRICE_GAIN * Math.min(1, ratio - 1)) : ratio > 1 ? 0.01 * typical : 0;
    }
    for (let link = 0; link < tables.links; link++) {
      const slots = slotPrice[tables.hopFrom[2 * link]!]! + slotPrice[tables.hopTo[2 * link]!]!;
      linkPrices[link] = slots === 0 ? 0 : slots / Math.max(carried[link]!, OPENING_SHARE * wanted[link]!, 0.01);
    }
    sweep(tables, paths, flows, linkPrices);
    settlePrices(tables, flows);
  }
}

/**
 * Closes links until every site has a slot for each tunnel: in rounds, those whose loss is least first, so that what they
 * carried has moved before the next are judged.
 */
export function closeExcess(tables: Tables, paths: Paths, flows: Flows, linkPrices: LinkPrices, tunnels: Tunnels): void {
  for (let round = 0; round < CLOSING_ROUNDS; round++) {
    const excess = tunnels.used.map((used, site) => Math.max(0, used - tables.slots[site]!));
    if (excess.every((over) => over === 0)) break;
    const quota = excess.map((over) => (round === CLOSING_ROUNDS - 1 ? over : Math.ceil(CLOSING_SHARE * over)));
    const losses = closingLosses(tables, paths, flows, linkPrices);
    const order = openLinks(tunnels).filter((link) => isOver(tables, quota, link)).sort((one, other) => perOver(tables, excess, losses, one) - perOver(tables, excess, losses, other) || one - other);
    for (const link of order) {
      if (!isOver(tables, quota, link)) continue;
      setOpen(tables, tunnels, linkPrices, link, false);
      countEnds(tables, quota, link, -1);
    }
    evict(tables, paths, flows, linkPrices);
    sweep(tables, paths, flows, linkPrices);
    settlePrices(tables, flows);
  }
}

export interface ImproveOptions {
  /** By link, what closing it loses beside its flow and what it protects, in worth. */
  beside: Float64Array;
  /** What an opening must bring at least, in worth. */
  leastGain: number;
  /** What it must bring on top for each tunnel in use that closes for it: this share of what that carries (or one does in the mean), at most so much, in worth. */
  movingShare: number;
  mostMoving: number;
}

/**
 * One round of local search: opens the links that would bring most, where slots are free, or in the slots of links whose
 * closing costs less; at most one change a site, so that no two of them count the same gain.
 * @param protection what a change would bring or cost in backups
 * @returns how many links were opened
 */
export function improve(tables: Tables, paths: Paths, flows: Flows, linkPrices: LinkPrices, tunnels: Tunnels, protection: Protection, { beside, leastGain, movingShare, mostMoving }: ImproveOptions): number {
  const gains = openingGains(tables, paths, flows, linkPrices, protection);
  const losses = closingLosses(tables, paths, flows, linkPrices);
  for (let link = 0; link < tables.links; link++) losses[link]! += Math.max(beside[link]!, BACKUP_WORTH * protection.needed[link]!);
  const moving = movingCosts(tables, paths, flows, losses, movingShare, mostMoving);
  const cheapest = cheapestLinks(tables, tunnels, losses);
  const touched = new Uint8Array(tables.sites);
  let opened = 0;
  for (const { links, gain } of gains.filter((one) => one.gain > leastGain).sort((one, other) => other.gain - one.gain || one.links[0]! - other.links[0]!)) {
    const ends = links.flatMap((link) => [tables.hopFrom[2 * link]!, tables.hopTo[2 * link]!]);
    if (ends.some((site) => touched[site] === 1)) continue;
    const lacking = (site: number): number => tunnels.used[site]! + ends.filter((end) => end === site).length - tables.slots[site]!;
    const full = [...new Set(ends)].filter((site) => lacking(site) > 0);
    const victims = full.map((site) => (lacking(site) === 1 ? cheapest[site]! : -1));
    if (victims.some((victim) => victim < 0 || tunnels.isOpen[victim] === 0)) continue;
    if (victims.reduce((sum, victim) => sum + SWAP_MARGIN * losses[victim]! + moving[victim]!, leastGain) >= gain) continue;
    for (const victim of new Set(victims)) {
      setOpen(tables, tunnels, linkPrices, victim, false);
      touched[tables.hopFrom[2 * victim]!] = 1;
      touched[tables.hopTo[2 * victim]!] = 1;
    }
    for (const link of links) setOpen(tables, tunnels, linkPrices, link, true);
    for (const site of ends) touched[site] = 1;
    opened += links.length;
  }
  evict(tables, paths, flows, linkPrices);
  return opened;
}

/** Exactly these links have a tunnel; all others are closed and lose their flow. */
export function openOnly(tables: Tables, paths: Paths, flows: Flows, linkPrices: LinkPrices, wanted: (link: number) => boolean): Tunnels {
  const tunnels = noTunnels(tables);
  linkPrices.fill(CLOSED);
  for (let link = 0; link < tables.links; link++) if (wanted(link)) setOpen(tables, tunnels, linkPrices, link, true);
  evict(tables, paths, flows, linkPrices);
  return tunnels;
}

/** Prices of links as these tunnels have it: open ones cost nothing, all others are closed. */
export function priceLinks(tables: Tables, linkPrices: LinkPrices, tunnels: Tunnels): void {
  for (let link = 0; link < tables.links; link++) linkPrices[link] = tunnels.isOpen[link] === 1 ? 0 : CLOSED;
}

export function noTunnels(tables: Tables): Tunnels {
  return { isOpen: new Uint8Array(tables.links), used: new Int32Array(tables.sites), toHub: new Int32Array(tables.sites * tables.hubs.length), isIdle: new Uint8Array(tables.links), idle: new Int32Array(tables.sites) };
}

/** Whether a site has slots for so many more tunnels, those of idle ones counted. */
export function hasFreeSlot(tables: Tables, tunnels: Tunnels, site: number, slots: number): boolean {
  return tunnels.used[site]! - tunnels.idle[site]! + slots <= tables.slots[site]!;
}

/** Gives a link a tunnel that is in use from now on; where its site is full an idle one goes, the one with the greatest number. */
export function openIdle(tables: Tables, tunnels: Tunnels, link: number): void {
  if (tunnels.isOpen[link] === 1) {
    if (tunnels.isIdle[link] === 1) setIdle(tables, tunnels, link, false);
    return;
  }
  mark(tables, tunnels, link, true);
  for (const site of [tables.hopFrom[2 * link]!, tables.hopTo[2 * link]!]) {
    for (let other = tables.links - 1; other >= 0 && tunnels.used[site]! > tables.slots[site]!; other--) {
      if (tunnels.isIdle[other] === 0 || (tables.hopFrom[2 * other] !== site && tables.hopTo[2 * other] !== site)) continue;
      setIdle(tables, tunnels, other, false);
      closeTunnel(tables, tunnels, other);
    }
  }
}

/** Takes a tunnel that is in use from a link. */
export function closeTunnel(tables: Tables, tunnels: Tunnels, link: number): void {
  mark(tables, tunnels, link, false);
}

/** Marks a tunnel as one that carries and backs up nothing, or no longer so. */
export function setIdle(tables: Tables, tunnels: Tunnels, link: number, isIdle: boolean): void {
  tunnels.isIdle[link] = isIdle ? 1 : 0;
  countEnds(tables, tunnels.idle, link, isIdle ? 1 : -1);
}

/** Takes tunnels without use from links, but for those that are to be kept. */
export function closeIdle(tables: Tables, tunnels: Tunnels, isKept: (link: number) => boolean): void {
  for (let link = 0; link < tables.links; link++) {
    if (tunnels.isIdle[link] === 0 || isKept(link)) continue;
    setIdle(tables, tunnels, link, false);
    closeTunnel(tables, tunnels, link);
  }
}

/** Gives a link that can carry something an idle tunnel where both its ends have a slot that nothing else holds. */
export function standBy(tables: Tables, tunnels: Tunnels, link: number): void {
  if (tunnels.isOpen[link] === 1 || !isAlive(tables, link)) return;
  if ([tables.hopFrom[2 * link]!, tables.hopTo[2 * link]!].some((site) => tunnels.used[site]! >= tables.slots[site]!)) return;
  openIdle(tables, tunnels, link);
  setIdle(tables, tunnels, link, true);
}

function isAlive({ capacity, hopUses }: Tables, link: number): boolean {
  return [8 * link, 8 * link + 4].some((at) => hopUses.subarray(at, at + 3).every((resource) => capacity[resource]! > 0));
}

/** The links that have a tunnel, in the order of their numbers. */
export function openLinks(tunnels: Tunnels): number[] {
  const open: number[] = [];
  for (let link = 0; link < tunnels.isOpen.length; link++) if (tunnels.isOpen[link] === 1) open.push(link);
  return open;
}

/** The links that carry something now. */
export function linksInUse(tables: Tables, paths: Paths, flows: Flows): (link: number) => boolean {
  const carried = linkFlows(tables, paths, flows);
  return (link) => carried[link]! > IDLE;
}

/** Mbit/s by link, both directions together. */
export function linkFlows(tables: Tables, paths: Paths, flows: Flows): Float64Array {
  const carried = new Float64Array(tables.links);
  for (let demand = 0; demand < tables.demands; demand++) {
    for (let path = paths.start[demand]!; path < paths.start[demand]! + paths.count[demand]!; path++) {
      if (flows.flow[path]! <= 0) continue;
      carried[paths.first[path]! >> 1]! += flows.flow[path]!;
      if (paths.second[path]! >= 0) carried[paths.second[path]! >> 1]! += flows.flow[path]!;
    }
  }
  return carried;
}

export function setOpen(tables: Tables, tunnels: Tunnels, linkPrices: LinkPrices, link: number, isOpen: boolean): void {
  linkPrices[link] = isOpen ? 0 : CLOSED;
  mark(tables, tunnels, link, isOpen);
}

/** Notes a tunnel that is new, or gone. */
function mark(tables: Tables, { isOpen, used, toHub }: Tunnels, link: number, isNew: boolean): void {
  const by = isNew ? 1 : -1;
  const [one, other] = [tables.hopFrom[2 * link]!, tables.hopTo[2 * link]!];
  isOpen[link] = isNew ? 1 : 0;
  countEnds(tables, used, link, by);
  if (tables.hubOf[other]! >= 0) toHub[one * tables.hubs.length + tables.hubOf[other]!]! += by;
  if (tables.hubOf[one]! >= 0) toHub[other * tables.hubs.length + tables.hubOf[one]!]! += by;
}

/** By link: what it costs to move what it carries. Who carries little may be what others' backups lead over, and counts as the mean; what is of no use costs nothing. */
function movingCosts(tables: Tables, paths: Paths, flows: Flows, losses: Float64Array, share: number, most: number): Float64Array {
  const worth = new Float64Array(tables.links);
  if (share === 0) return worth;
  let used = 0;
  let sum = 0;
  for (let demand = 0; demand < tables.demands; demand++) {
    const weight = tables.weight[tables.classOf[demand]!]!;
    for (let path = paths.start[demand]!; path < paths.start[demand]! + paths.count[demand]!; path++) {
      if (flows.flow[path]! <= IDLE) continue;
      for (const link of linksOf(paths.first[path]!, paths.second[path]!)) {
        if (worth[link] === 0) used++;
        worth[link]! += weight * flows.flow[path]!;
        sum += weight * flows.flow[path]!;
      }
    }
  }
  return worth.map((carried, link) => (carried > 0 || losses[link]! > 0 ? Math.min(most, share * Math.max(carried, sum / Math.max(1, used))) : 0));
}

/** What is lost when a link closes: each Mbit/s on it moves to the best open way beside it, or is not served. */
export function closingLosses(tables: Tables, paths: Paths, flows: Flows, linkPrices: LinkPrices): Float64Array {
  const losses = new Float64Array(tables.links);
  for (let demand = 0; demand < tables.demands; demand++) {
    const from = paths.start[demand]!;
    const end = from + paths.count[demand]!;
    const limit = worthBelow(tables, flows, demand);
    for (let path = from; path < end; path++) {
      const mbps = flows.flow[path]!;
      if (mbps <= 0) continue;
      const price = wayPrice(tables, paths, flows, linkPrices, path);
      const first = paths.first[path]! >> 1;
      const second = paths.second[path]! >> 1;
      losses[first]! += mbps * Math.max(0, Math.min(limit, cheapestBeside(tables, paths, flows, linkPrices, from, end, first)) - price);
      if (second >= 0) losses[second]! += mbps * Math.max(0, Math.min(limit, cheapestBeside(tables, paths, flows, linkPrices, from, end, second)) - price);
    }
  }
  return losses;
}

/** What is won when a link opens, or two that meet at a relay: by what is not served yet, and by what has dearer ways. */
function openingGains(tables: Tables, paths: Paths, flows: Flows, linkPrices: LinkPrices, protection: Protection): { links: number[]; gain: number }[] {
  const alone = protection.helps.map((demands) => BACKUP_WORTH * demands);
  const together = new Map<number, number>();
  for (let demand = 0; demand < tables.demands; demand++) {
    const from = paths.start[demand]!;
    const end = from + paths.count[demand]!;
    const missing = tables.mostMbps[demand]! - flows.served[demand]!;
    const worth = tables.weight[tables.classOf[demand]!]! - flows.price[tables.cryptoBase + tables.source[demand]!]! - flows.price[tables.cryptoBase + tables.target[demand]!]!;
    for (let path = from; path < end; path++) {
      const price = wayPrice(tables, paths, flows, linkPrices, path);
      if (price < CLOSED) continue;
      const first = paths.first[path]! >> 1;
      const second = paths.second[path]! >> 1;
      const isPair = price >= 2 * CLOSED;
      // two new tunnels are looked at only for what is not served at all: for a better way there is mostly one that needs one
      if (isPair && missing <= IDLE) continue;
      const open = price - (isPair ? 2 : 1) * CLOSED;
      let gain = missing > IDLE ? missing * Math.max(0, worth - open) : 0;
      if (isPair) {
        const key = first * tables.links + second;
        if (gain > 0) together.set(key, (together.get(key) ?? 0) + gain);
        continue;
      }
      for (let other = from; other < end; other++) {
        if (flows.flow[other]! > 0) gain += flows.flow[other]! * Math.max(0, wayPrice(tables, paths, flows, linkPrices, other) - open);
      }
      alone[linkPrices[first] === CLOSED ? first : second]! += gain;
    }
  }
  const gains: { links: number[]; gain: number }[] = [];
  for (let link = 0; link < tables.links; link++) if (alone[link]! > 0) gains.push({ links: [link], gain: alone[link]! });
  for (const [key, gain] of together) gains.push({ links: [Math.floor(key / tables.links), key % tables.links], gain });
  return gains;
}

/** Takes all flow off closed links. */
function evict(tables: Tables, paths: Paths, flows: Flows, linkPrices: LinkPrices): void {
  for (let demand = 0; demand < tables.demands; demand++) {
    for (let path = paths.start[demand]!; path < paths.start[demand]! + paths.count[demand]!; path++) {
      if (flows.flow[path]! !== 0 && (linkPrices[paths.first[path]! >> 1] === CLOSED || (paths.second[path]! >= 0 && linkPrices[paths.second[path]! >> 1] === CLOSED))) send(tables, paths, flows, demand, path, -flows.flow[path]!);
    }
  }
}

/** Price of the cheapest way of a demand (its paths are from `from` to before `end`) that does not use a link. */
function cheapestBeside(tables: Tables, paths: Paths, flows: Flows, linkPrices: LinkPrices, from: number, end: number, link: number): number {
  let least = CLOSED;
  for (let path = from; path < end; path++) {
    if (paths.first[path]! >> 1 !== link && paths.second[path]! >> 1 !== link) least = Math.min(least, wayPrice(tables, paths, flows, linkPrices, path));
  }
  return least;
}

/** The price above which the last Mbit/s of a demand is not worth sending. */
export function worthBelow(tables: Tables, flows: Flows, demand: number): number {
  return worthOfLast(tables, flows, demand, flows.served[demand]!) - flows.price[tables.cryptoBase + tables.source[demand]!]! - flows.price[tables.cryptoBase + tables.target[demand]!]!;
}

function cheapestLinks(tables: Tables, tunnels: Tunnels, losses: Float64Array): Int32Array {
  const cheapest = new Int32Array(tables.sites).fill(-1);
  for (let link = 0; link < tables.links; link++) {
    if (tunnels.isOpen[link] === 0) continue;
    for (const site of [tables.hopFrom[2 * link]!, tables.hopTo[2 * link]!]) {
      if (cheapest[site]! < 0 || losses[link]! < losses[cheapest[site]!]!) cheapest[site] = link;
    }
  }
  return cheapest;
}

/**
 * What each link's two sites want from each other, both directions and all classes, Mbit/s; and for links to a relay that share of all that the
 * other site wants, which could meet there.
 */
function wantedOver(tables: Tables, relayed: number): Float64Array {
  const byPair = new Map<number, number>();
  const bySite = new Float64Array(tables.sites);
  const key = (one: number, other: number): number => Math.min(one, other) * tables.sites + Math.max(one, other);
  for (let demand = 0; demand < tables.demands; demand++) {
    const mbps = tables.mostMbps[demand]!;
    const [source, target] = [tables.source[demand]!, tables.target[demand]!];
    const pair = key(source, target);
    byPair.set(pair, (byPair.get(pair) ?? 0) + mbps);
    bySite[source]! += mbps;
    bySite[target]! += mbps;
  }
  const isRelay = new Uint8Array(tables.sites);
  for (const hub of tables.hubs) isRelay[hub] = 1;
  return Float64Array.from({ length: tables.links }, (_, link) => {
    const [one, other] = [tables.hopFrom[2 * link]!, tables.hopTo[2 * link]!];
    return (byPair.get(key(one, other)) ?? 0) + relayed * Math.max(isRelay[other]! * bySite[one]!, isRelay[one]! * bySite[other]!);
  });
}

/** Mean worth of what one slot carries. */
function typicalWorth(tables: Tables, flows: Flows, used: Int32Array): number {
  let worth = 0;
  for (let demand = 0; demand < tables.demands; demand++) worth += tables.weight[tables.classOf[demand]!]! * flows.served[demand]!;
  return worth / Math.max(1, used.reduce((sum, count) => sum + count, 0));
}

function countEnds(tables: Tables, counts: Int32Array, link: number, by: number): void {
  counts[tables.hopFrom[2 * link]!]! += by;
  counts[tables.hopTo[2 * link]!]! += by;
}

function isOver(tables: Tables, counts: Int32Array, link: number): boolean {
  return counts[tables.hopFrom[2 * link]!]! > 0 || counts[tables.hopTo[2 * link]!]! > 0;
}

/** Closing a link between two sites that are both over their limit frees two slots at once. */
function perOver(tables: Tables, excess: Int32Array, losses: Float64Array, link: number): number {
  return losses[link]! / ((excess[tables.hopFrom[2 * link]!]! > 0 ? 1 : 0) + (excess[tables.hopTo[2 * link]!]! > 0 ? 1 : 0) || 1);
}
