import type {
  ClassId,
  Connection,
  PathId,
  PathState,
  SecurityProfile,
  Site,
  SiteId,
  SiteNode,
  TrafficClass,
  Tunnel,
  TunnelId,
  Uplink,
} from '../model/index.ts';

/** Why a path may not be used. All but `down` bind always; `down` is overlooked when a pair has nothing else. */
export interface Refusal {
  code: 'family' | 'security' | 'avoid' | 'forbidden' | 'override' | 'drain' | 'nat' | 'veto' | 'down';
  reason: string;
}

/** One end of a hop; `up`, `down` and `crypto` are its resources' numbers in the ledger. */
export interface HopEnd {
  site: Site;
  node: SiteNode;
  uplink: Uplink;
  up: number;
  down: number;
  crypto: number;
}

/** A path between the serving nodes of two sites, seen as a tunnel that is or could be. */
export interface Hop {
  path: PathId;
  tunnel: TunnelId;
  profile: SecurityProfile;
  /** Lesser uplink id first, as in `Tunnel.a` and `Tunnel.b`. */
  ends: [HopEnd, HopEnd];
  /** The same tunnel in the previous plan. */
  existing: Tunnel | null;
  refusals: Refusal[];
  state: PathState;
  /** Measured when fresh, else the estimate. */
  latencyMs: number;
  estimateMs: number;
  measured: boolean;
  jitterMs: number;
  lossRatio: number;
  /** How probable it is, 0…1, that a class's SLA is broken within the forecast's horizon; empty where nothing is foreseen. */
  violations: ReadonlyMap<ClassId, number>;
}

/**
 * Two sites, lesser id first, and what the intent says of them. Where two gateways share a site's traffic a pair of sites
 * is planned in two halves (`plane` 0 and 1), each between one gateway of either site, as if these were all there is.
 */
export interface Pair {
  /** `a>b`, and `#1` for the second half. */
  key: string;
  plane: number;
  /** Of the demand of the two sites, 0…1. */
  share: number;
  a: Site;
  b: Site;
  connection: Connection;
  profile: SecurityProfile;
  classes: TrafficClass[];
}

/** Mbit/s on one resource for each Mbit/s that goes a to b (`forward`) and b to a (`backward`). */
export interface Usage {
  resource: number;
  forward: number;
  backward: number;
}

/**
 * A way from a to b: one direct hop, or a relay. A relay's gateway sends by its own assignments, so when one of those
 * is split the way has several routes, with the shares that the relay gives them.
 */
export interface Way {
  /** `direct:<path>` or `relay:<site>`: what is compared with the previous plan. */
  key: string;
  relay: SiteId | null;
  routes: { hops: Hop[]; share: number }[];
  /** Each hop once. */
  hops: Hop[];
  usage: Usage[];
  latencyMs: number;
  estimateMs: number;
  measured: boolean;
  jitterMs: number;
  lossRatio: number;
  degraded: boolean;
  /** By class, of the hop where it is most probable. */
  violations: ReadonlyMap<ClassId, number>;
  /** USD per GB, forward and backward. */
  usdPerGb: [number, number];
}

/** Ways with whole per cent that sum to 100. */
export type Choice = { way: Way; weight: number }[];

export interface DirectionDemand {
  /** What the plan provides for, Mbit/s. */
  plannedMbps: number;
  /** Cut off by the connection's maximum. */
  overMaxMbps: number;
  p50Mbps: number;
  p90Mbps: number;
  p95Mbps: number;
  /** Mean of the median over the horizon; for money. */
  meanMbps: number;
  /** Start of the slot with the highest provision; null when what was observed last is higher. */
  peakAt: number | null;
  /** Highest observed slot within the idle time. */
  recentMbps: number;
}

/** What one (pair, class) wants, both directions together. */
export interface Want {
  key: string;
  pair: Pair;
  trafficClass: TrafficClass;
  forward: DirectionDemand;
  backward: DirectionDemand;
  /** Worth a tunnel of its own: demand above the floor, expected or seen within the idle time. */
  active: boolean;
  /** Keeps an `always` pair together: gets a way even without demand. */
  base: boolean;
  /** Wants a disjoint second way. */
  protect: boolean;
  pinned: { path: PathId; override: string; isOfClass: boolean } | null;
  /** A pin ended since the previous plan: what carried the want is no reason to go on with it. */
  released: boolean;
  /** What carried it in the previous plan: way keys with weights; null when nothing did. */
  previous: { key: string; weight: number }[] | null;
  /** Vetoed route sets, in the form of `routeSetKey`. */
  vetoed: { routes: string; until: number; what: string }[];
}
