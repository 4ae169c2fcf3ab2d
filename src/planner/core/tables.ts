import type { Instance } from './instance.ts';
import { mostBetween, reachOf, type Reach } from './reach.ts';

/**
 * An instance as flat numbers, so that the optimiser touches no object. A **hop** is a link in one direction: hop 2l is
 * link l as listed, 2l+1 the other way. A **leg** is the list of hops from one site to another. Resources are numbered
 * up[uplink], down[uplink], crypto[site], then the links with a cap; number `resources` is a dummy without bound.
 */
export interface Tables {
  sites: number;
  uplinks: number;
  links: number;
  demands: number;
  resources: number;
  uplinkSite: Int32Array;
  /** Mbit/s by resource. */
  capacity: Float64Array;
  /** First crypto resource: site s has `cryptoBase + s`. */
  cryptoBase: number;
  /** By 4 × hop: the resources that it uses, up of the sender, down of the receiver and its link's own cap (the dummy where it has none); side by side, since all that prices ways reads them in any order. */
  hopUses: Int32Array;
  hopRttMs: Float64Array;
  hopLossRatio: Float64Array;
  hopUsdPerGb: Float64Array;
  /** Site at the far end. */
  hopTo: Int32Array;
  hopFrom: Int32Array;
  hopProviders: Int32Array;
  /** What can fail with an uplink: itself (its number) and its risk groups (from `uplinks` on), as CSR rows. */
  riskStart: Int32Array;
  risk: Int32Array;
  risks: number;
  /** By site: whether one risk takes down all its uplinks (or it has none). */
  isSevered: Uint8Array;
  legStart: Int32Array;
  legHops: Int32Array;
  /** Leg of each demand, -1 for none. */
  demandLeg: Int32Array;
  /** Sites that relay, and which of them a site is, -1 for none; legs [site × hubs + hub] to and from each, so that one look over all relays of a site reads one row. */
  hubs: Int32Array;
  hubOf: Int32Array;
  legToHub: Int32Array;
  legFromHub: Int32Array;
  /** Tunnels that a site's gateways hold together. */
  slots: Int32Array;
  security: Int32Array;
  region: Int32Array;
  source: Int32Array;
  target: Int32Array;
  classOf: Int32Array;
  /** What a demand wants, but no more than `BEYOND` times what its sites could carry. */
  p50Mbps: Float64Array;
  p95Mbps: Float64Array;
  /** The same, however much it is, and what all uplinks and the crypto of its two sites could carry of it. */
  wantedMbps: Float64Array;
  mostMbps: Float64Array;
  /** Region number, -1 for none. */
  lock: Int32Array;
  avoidStart: Int32Array;
  avoid: Int32Array;
  /** Whether a class wants a second way that fails with none of the first. */
  wantsBackup: Uint8Array;
  /** What one Mbit/s of a class is worth; ten times as much as one of the next priority, the last is worth 1. */
  weight: Float64Array;
  maxRttMs: Float64Array;
  maxLossRatio: Float64Array;
  minSecurity: Int32Array;
  relayMs: number;
}

/**
 * Demands of one class share in proportion to what they want. Beyond so many times what its sites could carry a wish says nothing but "all there
 * is", and would drown every other in sums and shares.
 */
const BEYOND = 10;

/** Builds the tables; O(links + demands), no order of the input matters but the numbers themselves. */
export function buildTables(instance: Instance): Tables {
  const { classes, sites, uplinks, links, demands } = instance;
  const names = numbering();
  const providerOf = uplinks.map(({ provider }) => names(`provider ${provider}`));
  const capped = links.flatMap(([, , , , cap], link) => (cap > 0 ? [link] : []));
  const cryptoBase = 2 * uplinks.length;
  const resources = cryptoBase + sites.length + capped.length;
  const { crypto, slots, security } = bySite(instance);
  const capacity = Float64Array.from([...uplinks.map(({ upMbps }) => upMbps), ...uplinks.map(({ downMbps }) => downMbps), ...crypto, ...capped.map((link) => links[link]![4]), Number.MAX_VALUE]);
  const capResource = new Int32Array(links.length).fill(resources);
  for (const [index, link] of capped.entries()) capResource[link] = cryptoBase + sites.length + index;

  const hops = hopsOf(instance, providerOf, capResource);
  const legs = groupLegs(hops.hopFrom, hops.hopTo, sites.length);
  const hubs = Int32Array.from(sites.flatMap(({ relay }, site) => (relay ? [site] : [])));
  const legBetween = (from: number, to: number): number => legs.of.get(from * sites.length + to) ?? -1;
  const avoids = demands.map(({ avoid }) => (avoid ?? []).map((provider) => names(`provider ${provider}`)));
  const groups = numbering();
  const risks = uplinks.map(({ srlg }, uplink) => [uplink, ...srlg.map((group) => uplinks.length + groups(group))]);
  const uplinkSite = Int32Array.from(uplinks, ({ site }) => site);
  const reach = reachOf({ sites: sites.length, uplinks: uplinks.length, capacity, cryptoBase, uplinkSite });
  const counted = withinReach(instance, reach, BEYOND);
  const ranks = [...new Set(classes.map(({ priority }) => priority))].sort((one, other) => other - one);

  return {
    sites: sites.length,
    uplinks: uplinks.length,
    links: links.length,
    demands: demands.length,
    resources,
    uplinkSite,
    capacity,
    cryptoBase,
    ...hops,
    riskStart: startsOf(risks.map((list) => list.length)),
    risk: Int32Array.from(risks.flat()),
    risks: risks.reduce((most, list) => Math.max(most, ...list), -1) + 1,
    isSevered: Uint8Array.from(ofSites(instance, risks), (lists) => (isSevered(lists) ? 1 : 0)),
    legStart: legs.start,
    legHops: legs.hops,
    demandLeg: Int32Array.from(demands, ({ src, dst }) => legBetween(src, dst)),
    hubs,
    hubOf: Int32Array.from(sites, (_, site) => hubs.indexOf(site)),
    legToHub: Int32Array.from({ length: hubs.length * sites.length }, (_, index) => legBetween(Math.floor(index / hubs.length), hubs[index % hubs.length]!)),
    legFromHub: Int32Array.from({ length: hubs.length * sites.length }, (_, index) => legBetween(hubs[index % hubs.length]!, Math.floor(index / hubs.length))),
    slots,
    security,
    region: Int32Array.from(sites, ({ region }) => names(`region ${region}`)),
    source: Int32Array.from(demands, ({ src }) => src),
    target: Int32Array.from(demands, ({ dst }) => dst),
    classOf: Int32Array.from(demands, ({ cls }) => cls),
    p50Mbps: Float64Array.from(demands, ({ p50 }, demand) => Math.min(p50, counted[demand]!)),
    p95Mbps: counted,
    wantedMbps: Float64Array.from(demands, ({ p95 }) => p95),
    mostMbps: withinReach(instance, reach, 1),
    lock: Int32Array.from(demands, ({ regionLock }) => (regionLock === undefined ? -1 : names(`region ${regionLock}`))),
    avoidStart: startsOf(avoids.map((list) => list.length)),
    avoid: Int32Array.from(avoids.flat()),
    wantsBackup: Uint8Array.from(classes, ({ backup }) => (backup ? 1 : 0)),
    weight: Float64Array.from(classes, ({ priority }) => 10 ** ranks.indexOf(priority)),
    maxRttMs: Float64Array.from(classes, ({ maxRttMs }) => maxRttMs),
    maxLossRatio: Float64Array.from(classes, ({ maxLossPct }) => maxLossPct / 100),
    minSecurity: Int32Array.from(classes, ({ minSecurity }) => minSecurity),
    relayMs: instance.relayMs,
  };
}

/** By demand, Mbit/s: what it wants, at most so many times what its sites could carry. Where these can carry nothing at all it stays as it is: there is nothing to plan. */
function withinReach({ demands }: Instance, reach: Reach, times: number): Float64Array {
  return Float64Array.from(demands, ({ src, dst, p95 }) => {
    const { mbps } = mostBetween(reach, src, dst);
    return mbps > 0 ? Math.min(p95, times * mbps) : p95;
  });
}

function ofSites<T>({ sites, uplinks }: Instance, ofUplink: readonly T[]): T[][] {
  const lists = sites.map((): T[] => []);
  for (const [uplink, { site }] of uplinks.entries()) lists[site]!.push(ofUplink[uplink]!);
  return lists;
}

function isSevered(risks: readonly number[][]): boolean {
  return risks.length === 0 || risks[0]!.some((risk) => risks.every((list) => list.includes(risk)));
}

type Hops = Pick<Tables, 'hopUses' | 'hopRttMs' | 'hopLossRatio' | 'hopUsdPerGb' | 'hopFrom' | 'hopTo' | 'hopProviders'>;

function hopsOf({ uplinks, links }: Instance, providerOf: readonly number[], capResource: Int32Array): Hops {
  const count = 2 * links.length;
  const hops: Hops = { hopUses: new Int32Array(4 * count), hopRttMs: new Float64Array(count), hopLossRatio: new Float64Array(count), hopUsdPerGb: new Float64Array(count), hopFrom: new Int32Array(count), hopTo: new Int32Array(count), hopProviders: new Int32Array(2 * count) };
  for (let hop = 0; hop < count; hop++) {
    const link = links[hop >> 1]!;
    const from = link[hop & 1]!;
    const to = link[1 - (hop & 1)]!;
    hops.hopUses[4 * hop] = from;
    hops.hopUses[4 * hop + 1] = uplinks.length + to;
    hops.hopUses[4 * hop + 2] = capResource[hop >> 1]!;
    hops.hopRttMs[hop] = link[2];
    hops.hopLossRatio[hop] = link[3] / 100;
    hops.hopUsdPerGb[hop] = uplinks[from]!.usdPerGb;
    hops.hopFrom[hop] = uplinks[from]!.site;
    hops.hopTo[hop] = uplinks[to]!.site;
    hops.hopProviders[2 * hop] = providerOf[from]!;
    hops.hopProviders[2 * hop + 1] = providerOf[to]!;
  }
  return hops;
}

/** What the active gateways of each site have together. */
function bySite({ sites, gateways }: Instance): { crypto: Float64Array; slots: Int32Array; security: Int32Array } {
  const crypto = new Float64Array(sites.length);
  const slots = new Int32Array(sites.length);
  const security = new Int32Array(sites.length);
  for (const { site, role, cryptoMbps, maxTunnels, security: level } of gateways) {
    if (role !== 'active') continue;
    crypto[site]! += cryptoMbps;
    slots[site] = Math.min(0x7fffffff, slots[site]! + maxTunnels);
    security[site] = Math.max(security[site]!, level);
  }
  return { crypto, slots, security };
}

/** Hops by pair of sites, in the order of their numbers; legs are numbered as they are met. */
function groupLegs(hopFrom: Int32Array, hopTo: Int32Array, sites: number): { of: Map<number, number>; start: Int32Array; hops: Int32Array } {
  const of = new Map<number, number>();
  const legOf = new Int32Array(hopFrom.length);
  const lengths: number[] = [];
  for (let hop = 0; hop < hopFrom.length; hop++) {
    const key = hopFrom[hop]! * sites + hopTo[hop]!;
    let leg = of.get(key);
    if (leg === undefined) {
      leg = lengths.length;
      of.set(key, leg);
      lengths.push(0);
    }
    legOf[hop] = leg;
    lengths[leg]!++;
  }
  const start = startsOf(lengths);
  const next = start.slice();
  const hops = new Int32Array(hopFrom.length);
  for (let hop = 0; hop < hopFrom.length; hop++) hops[next[legOf[hop]!]!++] = hop;
  return { of, start, hops };
}

/** Row starts of a CSR table with rows of these lengths, and the end of the last. */
export function startsOf(lengths: readonly number[]): Int32Array {
  const start = new Int32Array(lengths.length + 1);
  for (const [row, length] of lengths.entries()) start[row + 1] = start[row]! + length;
  return start;
}

function numbering(): (name: string) => number {
  const numbers = new Map<string, number>();
  return (name) => {
    const known = numbers.get(name);
    if (known !== undefined) return known;
    numbers.set(name, numbers.size);
    return numbers.size - 1;
  };
}
