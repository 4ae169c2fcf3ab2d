import { cheapestWay, quote, type Found } from './paths.ts';
import type { Tables } from './tables.ts';

/** The four sets of resources of which every way of a demand uses one each: uplinks and crypto of either end. */
type End = 'up' | 'down' | 'crypto-source' | 'crypto-target';

/** Above what is exact, so that sums in another order are covered too; as a share of a demand's worth. */
const MARGIN = 1e-9;

/** What each site can carry, Mbit/s: all its uplinks together, sending and receiving, and its crypto. */
export interface Reach {
  up: Float64Array;
  down: Float64Array;
  crypto: Float64Array;
}

export function reachOf({ sites, uplinks, capacity, cryptoBase, uplinkSite }: Pick<Tables, 'sites' | 'uplinks' | 'capacity' | 'cryptoBase' | 'uplinkSite'>): Reach {
  const up = new Float64Array(sites);
  const down = new Float64Array(sites);
  for (let uplink = 0; uplink < uplinks; uplink++) {
    up[uplinkSite[uplink]!]! += capacity[uplink]!;
    down[uplinkSite[uplink]!]! += capacity[uplinks + uplink]!;
  }
  return { up, down, crypto: capacity.slice(cryptoBase, cryptoBase + sites) };
}

/** What two sites could carry from one to the other at most, were nobody else there, and what of them sets that bound. */
export function mostBetween({ up, down, crypto }: Reach, source: number, target: number): { mbps: number; end: End } {
  const ends: { mbps: number; end: End }[] = [
    { mbps: up[source]!, end: 'up' },
    { mbps: down[target]!, end: 'down' },
    { mbps: crypto[source]!, end: 'crypto-source' },
    { mbps: crypto[target]!, end: 'crypto-target' },
  ];
  return ends.reduce((least, one) => (one.mbps < least.mbps ? one : least));
}

/**
 * Raises prices until no demand that wants more than its sites could carry would pay them, at that end of it which carries least. A bound
 * counts all that such a demand wants, however much, for the slightest of its gains; afterwards there is none, and the bound is no worse
 * than one that knows what the sites can carry.
 */
export function coverBeyond(tables: Tables, prices: Float64Array): Float64Array {
  const reach = reachOf(tables);
  const beyond: { demand: number; gain: number; end: End }[] = [];
  const quoted = quote(tables, prices, new Float64Array(tables.links), 0);
  const found: Found = { price: 0, first: -1, second: -1 };
  for (let demand = 0; demand < tables.demands; demand++) {
    const source = tables.source[demand]!;
    const target = tables.target[demand]!;
    const { mbps, end } = mostBetween(reach, source, target);
    if (tables.wantedMbps[demand]! <= mbps) continue;
    const weight = tables.weight[tables.classOf[demand]!]!;
    const worth = weight - prices[tables.cryptoBase + source]! - prices[tables.cryptoBase + target]!;
    if (worth > 0 && cheapestWay(tables, demand, quoted, worth, found).first >= 0) beyond.push({ demand, gain: worth - found.price + MARGIN * weight, end });
  }
  if (beyond.length === 0) return prices;
  const { up, down, crypto } = raises(tables, beyond);
  const covered = prices.slice();
  for (let uplink = 0; uplink < tables.uplinks; uplink++) {
    covered[uplink]! += up[tables.uplinkSite[uplink]!]!;
    covered[tables.uplinks + uplink]! += down[tables.uplinkSite[uplink]!]!;
  }
  for (let site = 0; site < tables.sites; site++) covered[tables.cryptoBase + site]! += crypto[site]!;
  return covered;
}

/** By site, how much dearer all its uplinks and its crypto become: those with most to gain first, and of the others what is left then. */
function raises(tables: Tables, beyond: readonly { demand: number; gain: number; end: End }[]): Reach {
  const raise: Reach = { up: new Float64Array(tables.sites), down: new Float64Array(tables.sites), crypto: new Float64Array(tables.sites) };
  for (const { demand, gain, end } of [...beyond].sort((one, other) => other.gain - one.gain || one.demand - other.demand)) {
    const source = tables.source[demand]!;
    const target = tables.target[demand]!;
    const left = gain - raise.up[source]! - raise.down[target]! - raise.crypto[source]! - raise.crypto[target]!;
    if (left <= 0) continue;
    if (end === 'up') raise.up[source]! += left;
    else if (end === 'down') raise.down[target]! += left;
    else raise.crypto[end === 'crypto-source' ? source : target]! += left;
  }
  return raise;
}
