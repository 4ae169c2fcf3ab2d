import type { ModelVersion, ServingModel } from './forecast.ts';
import type { ClassId, NodeId, PairId, PathId, SiteId, TunnelId, UplinkId } from './ids.ts';
import type { SecurityProfile } from './intent.ts';

/** One end of a tunnel. */
export interface TunnelEnd {
  node: NodeId;
  site: SiteId;
  uplink: UplinkId;
  /** Underlay address. */
  address: string;
  /** The tunnel's own address at this end, out of `Mesh.overlayPrefix`. */
  overlay: string;
}

/** One IKE SA over one path. `a` is the end with the lesser uplink id, and the one that initiates. */
export interface Tunnel {
  id: TunnelId;
  path: PathId;
  /** Which pair of overlay addresses it has; stays while the tunnel stays. */
  index: number;
  a: TunnelEnd;
  b: TunnelEnd;
  securityProfile: string;
  /** Since when it is planned, epoch ms; for hold times. */
  plannedAt: number;
}

/** A way for a demand: one tunnel, or two that meet at a relay. */
export interface Route {
  tunnels: TunnelId[];
  /** Share of the demand, whole per cent; the routes of an assignment sum to 100. */
  weight: number;
}

/** How one (pair, class) is carried. */
export interface Assignment {
  from: SiteId;
  to: SiteId;
  classId: ClassId;
  routes: Route[];
  /** Ways to fall back to, in order, when a route's tunnel is down; each a list of tunnels. */
  backups: TunnelId[][];
  /**
   * Only of a class that is sent twice: ways of the second copy, in order, each without an uplink in common with one of
   * the routes. Absent when there is none, or the class is sent once.
   */
  copies?: TunnelId[][];
}

/** A person's temporary order to the planner. */
export interface Override {
  id: string;
  what: PathPin | { kind: 'avoid-path'; path: PathId } | { kind: 'drain-node'; node: NodeId };
  /** Epoch ms; it has no effect from then on. */
  until: number;
  why: string;
  by: string;
}

/** A pair's traffic over this path; of one class where `classId` is there, which wins against a pin of the whole pair. */
export interface PathPin {
  kind: 'pin-path';
  pair: PairId;
  path: PathId;
  classId?: ClassId;
}

/** A reverted change that must not come back. */
export interface Veto {
  fingerprint: string;
  /** The same in words, for people. */
  what: string;
  /** What exactly is forbidden: adding, removing or re-routing. */
  change: ChangeKey;
  until: number;
  /** The commit on mesh/live that was taken back. */
  commit: string;
}

/** Identity of a change across plans: kind, pair and paths, no figures. */
export type ChangeKey =
  | { kind: 'tunnel-add' | 'tunnel-remove'; path: PathId; securityProfile: string }
  | { kind: 'reroute'; pair: PairId; classId: ClassId; paths: PathId[][] }
  | { kind: 'serving-node'; site: SiteId; node: NodeId }
  | { kind: 'admission'; pair: PairId };

/**
 * The whole mesh as it should be. Holds no figure that moves from cycle to cycle, so an unchanged network gives an
 * unchanged plan. Generation and parent are trailers of the commit that carries it, so that a revert is a clean diff.
 */
export interface Plan {
  schema: 'foremesh/plan/v1';
  mesh: string;
  /** The node of each site that owns the LAN address and the tunnels, or the two that share its traffic; sorted by site, then node. */
  servingNodes: { site: SiteId; node: NodeId }[];
  /** Sorted by id. */
  tunnels: Tunnel[];
  /** Sorted by from, to, class. */
  assignments: Assignment[];
  /** Unordered pairs (lesser first) whose traffic gateways forward. */
  admitted: [SiteId, SiteId][];
  /** The security profiles that tunnels name, in full, so that a node config needs nothing else. */
  securityProfiles: SecurityProfile[];
  overrides: Override[];
  vetoes: Veto[];
}

/** Why the plan is as it is; goes into `plan/report.md` and the API, never into a decision. */
export interface PlanReport {
  plannedAt: number;
  forecastModel: string;
  /** The version that forecast, and which model served whom; absent without a forecast by what was learned. */
  forecastVersion?: ModelVersion;
  serving?: ServingModel[];
  /** What a reader should know of the forecast: where its champion is not used, and what became of earlier changes. Absent: nothing. */
  forecastNotes?: string[];
  /** By priority. */
  demands: DemandReport[];
  tunnels: { tunnel: TunnelId; path: PathId; reason: string; usdPerMonth: number; peakMbps: number; limitMbps: number }[];
  removed: { tunnel: TunnelId; path: PathId; reason: string }[];
  /** Demand that found no place, and why. */
  unplaced: { pair: PairId; classId: ClassId; mbps: number; reason: string }[];
  /** Candidates that a filter refused, one line each. */
  refused: { pair: PairId; path: PathId; reason: string }[];
  /** Things the plan would do but waits for: hold times, vetoes, approvals. */
  waiting: { what: string; reason: string; until: number | null }[];
  usdPerMonth: number;
  /** Paths of the plan that are expected to break a class's SLA soon, most probable first; absent where nothing is. */
  foreseen?: { path: PathId; classId: ClassId; probability: number; carries: boolean }[];
  /** How good the plan is, proven; absent where nothing is wanted. */
  certificate?: PlanCertificate;
}

/**
 * How much of what is wanted the plan carries within all limits, and what no plan whatever could exceed. Counted in worth: Mbit/s,
 * of each priority ten times as much as of the next, the last 1.
 */
export interface PlanCertificate {
  /** All that is to be carried. */
  wanted: number;
  /** What the plan carries of it. */
  worth: number;
  /** What no plan whatever carries more than, tunnel limits or none; by prices, for any plan over direct and one-relay ways. */
  bound: number;
  /** 100 × (1 − worth/bound). */
  provenGapPct: number;
  /** The gap that placing demand by demand alone would have left, where the optimising core's guidance was followed instead; else absent. */
  unguidedGapPct?: number;
  /** What stands between the plan and the bound, most first; empty while the gap is small. `mbps` null: how much is not known. */
  why: { reason: string; mbps: number | null }[];
  /** Where capacity would help most: worth that one more Mbit/s of it would bring. Empty where nothing is short. */
  short: { what: string; worthPerMbps: number }[];
}

export interface DemandReport {
  pair: PairId;
  classId: ClassId;
  priority: number;
  p50Mbps: number;
  p90Mbps: number;
  p95Mbps: number;
  plannedMbps: number;
  carriedBy: { path: PathId; weight: number }[];
}

/** What an allowed but temporary constraint adds to a plan after a deny: that the refused things must not come back. */
export interface PlanConstraint {
  forbidPath: PathId;
  reason: string;
}

export const EMPTY_PLAN: Omit<Plan, 'mesh'> = {
  schema: 'foremesh/plan/v1',
  servingNodes: [],
  tunnels: [],
  assignments: [],
  admitted: [],
  securityProfiles: [],
  overrides: [],
  vetoes: [],
};
