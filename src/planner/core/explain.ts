import { eachWay } from './paths.ts';
import type { Standing } from './plan-instance.ts';
import { CLOSED, wayPrice } from './sweep.ts';
import type { Tables } from './tables.ts';
import { closingLosses, linkFlows } from './tunnels.ts';

/** What a tunnel is for: what it carries and backs up, and what would be lost without it. */
export interface TunnelReason {
  link: number;
  /** Mbit/s by class. */
  carries: number[];
  /** Demands that it backs up. */
  backsUp: number;
  /** Worth (Mbit/s × worth of the class) that would be lost or cost more if it closed and its flows moved to the next best open ways. */
  worth: number;
}

/** Something limited: an uplink's sending or receiving side, a site's crypto or slots, a link's own cap. */
export interface Limit {
  kind: 'up' | 'down' | 'crypto' | 'link' | 'slots';
  /** Of the uplink, site or link. */
  index: number;
}

/** What keeps a demand from ways; `link`: there are none, whatever it may use. */
export type Bar = 'security' | 'region' | 'provider' | 'latency' | 'loss' | 'link';

/** Why a demand gets less than it wants. */
export interface Refusal {
  demand: number;
  mbps: number;
  /**
   * `no-way`: nothing admissible, `bars` says what would have to be other (each alone would do, none when only several together would);
   * `limit`: the limit that is dearest on its cheapest way, with its price for one Mbit/s in units of the least important class's worth.
   */
  because: { kind: 'no-way'; bars: Bar[] } | { kind: 'limit'; limit: Limit; price: number };
}

export interface Explanation {
  tunnels: TunnelReason[];
  refused: Refusal[];
  /** Refused Mbit/s by limit, the most first: where capacity would help. */
  limits: { limit: Limit; price: number; refusedMbps: number }[];
}

/** Mbit/s; less is not worth a word. */
const NOTHING = 1e-3;

/** Says why each tunnel of a plan is there and why each refused Mbit/s is refused, from the prices that the plan was made by. */
export function explainPlan(standing: Standing): Explanation {
  const refused = refusals(standing);
  const limits = new Map<string, Explanation['limits'][number]>();
  for (const { mbps, because } of refused) {
    if (because.kind !== 'limit') continue;
    const { limit, price } = because;
    const entry = limits.get(`${limit.kind} ${limit.index}`) ?? { limit, price, refusedMbps: 0 };
    entry.refusedMbps += mbps;
    limits.set(`${limit.kind} ${limit.index}`, entry);
  }
  return { tunnels: tunnelReasons(standing), refused, limits: [...limits.values()].sort((one, other) => other.refusedMbps - one.refusedMbps) };
}

function tunnelReasons({ tables, paths, flows, linkPrices, backups, plan }: Standing): TunnelReason[] {
  const classes = tables.weight.length;
  const carries = new Float64Array(tables.links * classes);
  const worth = closingLosses(tables, paths, flows, linkPrices);
  const backsUp = new Int32Array(tables.links);
  const carried = linkFlows(tables, paths, flows);
  for (let demand = 0; demand < tables.demands; demand++) {
    for (let path = paths.start[demand]!; path < paths.start[demand]! + paths.count[demand]!; path++) {
      const mbps = Math.max(0, flows.flow[path]!);
      for (const hop of [paths.first[path]!, paths.second[path]!]) if (hop >= 0) carries[(hop >> 1) * classes + tables.classOf[demand]!]! += mbps;
    }
    for (const hop of [backups.first[demand]!, backups.second[demand]!]) if (hop >= 0) backsUp[hop >> 1]!++;
  }
  return plan.tunnels.map((link) => ({ link, carries: carried[link]! > 0 ? Array.from(carries.subarray(link * classes, (link + 1) * classes)) : Array.from(tables.weight, () => 0), backsUp: backsUp[link]!, worth: worth[link]! }));
}

function refusals({ tables, paths, flows, linkPrices }: Standing): Refusal[] {
  const found: Refusal[] = [];
  const barsOf = makeBarsOf(tables);
  for (let demand = 0; demand < tables.demands; demand++) {
    const mbps = tables.wantedMbps[demand]! - flows.served[demand]!;
    if (mbps <= NOTHING) continue;
    let cheapest = -1;
    let least = Number.MAX_VALUE;
    for (let path = paths.start[demand]!; path < paths.start[demand]! + paths.count[demand]!; path++) {
      const price = wayPrice(tables, paths, flows, linkPrices, path);
      if (price >= least) continue;
      least = price;
      cheapest = path;
    }
    if (cheapest < 0) {
      found.push({ demand, mbps, because: { kind: 'no-way', bars: barsOf(demand) } });
      continue;
    }
    const hops = [paths.first[cheapest]!, paths.second[cheapest]!].filter((hop) => hop >= 0);
    const closed = hops.find((hop) => linkPrices[hop >> 1] === CLOSED);
    found.push({ demand, mbps, because: { kind: 'limit', ...(closed === undefined ? dearest(tables, flows.price, demand, hops) : { limit: { kind: 'slots', index: fullerEnd(tables, linkPrices, closed) }, price: least - CLOSED * Math.floor(least / CLOSED) }) } });
  }
  return found;
}

function dearest(tables: Tables, prices: Float64Array, demand: number, hops: readonly number[]): { limit: Limit; price: number } {
  const relays = hops.slice(1).map((hop) => tables.cryptoBase + tables.hopFrom[hop]!);
  const resources = [tables.cryptoBase + tables.source[demand]!, tables.cryptoBase + tables.target[demand]!, ...relays, ...hops.flatMap((hop) => [tables.hopUses[4 * hop]!, tables.hopUses[4 * hop + 1]!, tables.hopUses[4 * hop + 2]!])];
  const resource = resources.reduce((most, one) => (prices[one]! > prices[most]! ? one : most));
  return { limit: limitOf(tables, resource, hops), price: prices[resource]! };
}

function limitOf(tables: Tables, resource: number, hops: readonly number[]): Limit {
  if (resource < tables.uplinks) return { kind: 'up', index: resource };
  if (resource < tables.cryptoBase) return { kind: 'down', index: resource - tables.uplinks };
  if (resource < tables.cryptoBase + tables.sites) return { kind: 'crypto', index: resource - tables.cryptoBase };
  return { kind: 'link', index: hops.find((hop) => tables.hopUses[4 * hop + 2] === resource)! >> 1 };
}

/** Of the two ends of a link without tunnel, the one with fewer free slots. */
function fullerEnd(tables: Tables, linkPrices: Float64Array, hop: number): number {
  const [one, other] = [tables.hopFrom[hop]!, tables.hopTo[hop]!];
  const free = (site: number): number => {
    let used = 0;
    for (let link = 0; link < tables.links; link++) if (linkPrices[link]! < CLOSED && (tables.hopFrom[2 * link] === site || tables.hopTo[2 * link] === site)) used++;
    return tables.slots[site]! - used;
  };
  return free(one) <= free(other) ? one : other;
}

/** Finds what keeps a demand from every way: the bars of which one alone would have to go, `link` when no way is left by all of them. */
function makeBarsOf(tables: Tables): (demand: number) => Bar[] {
  const without: Record<Exclude<Bar, 'link'>, Partial<Tables>> = {
    security: { minSecurity: new Int32Array(tables.minSecurity.length) },
    region: { lock: new Int32Array(tables.demands).fill(-1) },
    provider: { avoidStart: new Int32Array(tables.demands + 1) },
    latency: { maxRttMs: new Float64Array(tables.maxRttMs.length).fill(Infinity) },
    loss: { maxLossRatio: new Float64Array(tables.maxLossRatio.length).fill(Infinity) },
  };
  const hasWay = (relaxed: Tables, demand: number): boolean => {
    let isThere = false;
    eachWay(relaxed, demand, () => !isThere, () => void (isThere = true));
    return isThere;
  };
  const all: Tables = Object.assign({ ...tables }, ...Object.values(without));
  return (demand) => {
    if (!hasWay(all, demand)) return ['link'];
    return (Object.keys(without) as (keyof typeof without)[]).filter((bar) => hasWay({ ...tables, ...without[bar] }, demand));
  };
}
