import type { Anomaly } from './anomaly.ts';
import type { ForecastRegret } from './hindsight.ts';
import type { ClassId, NodeId, PairId, PathId, SiteId, TunnelId } from './ids.ts';
import type { ChangeKey } from './plan.ts';

export type Impact = 'none' | 'rekey' | 'reroute' | 'interrupt';

/** One difference between two plans. `fingerprint` is the digest of `key`: what a veto remembers. */
export interface Change {
  key: ChangeKey;
  fingerprint: string;
  impact: Impact;
  /** `+ tunnel berlin-gw1/fibre~paris-gw1/dsl`: one line for people. */
  summary: string;
  tunnel: TunnelId | null;
  pair: PairId | null;
  classId: ClassId | null;
  paths: PathId[];
  nodes: NodeId[];
}

/** The difference of two plans and what it does to whom. */
export interface Changeset {
  /** Digest of all fingerprints: the identity of the change as a whole. */
  digest: string;
  impact: Impact;
  changes: Change[];
  tunnelsAdded: number;
  tunnelsRemoved: number;
  /** A tunnel removed and one added for the same pair of sites count as moved, not as both. */
  tunnelsMoved: number;
  sitesTouched: SiteId[];
  /** Share of all planned traffic whose route changes, 0…1. */
  trafficMovedShare: number;
  usdPerMonthDelta: number;
}

/** What brought the engine to reconsider; the policy weighs it. */
export type Cause = 'initial' | 'forecast' | 'idle' | 'failure' | 'intent' | 'override' | 'expiry' | 'revert' | 'policy';

/** Made by Rego, never by an `if` in TypeScript. */
export interface Verdict {
  decision: 'allow' | 'needsApproval' | 'deny';
  reasons: VerdictReason[];
  /** The rules that ran, so that silence is not mistaken for consent. */
  rulesRun: string[];
}

export interface VerdictReason {
  code: string;
  severity: 'error' | 'warning' | 'info';
  message: string;
  /** What in the plan or the intent it is about: `{ kind: 'SecurityProfile', name: 'legacy', field: 'esp' }`. */
  object: { kind: string; name: string; field?: string };
  fix: string;
}

/** What `data.foremesh.change` sees; times come in the input since Rego has no clock here. */
export interface ChangeInput {
  now: number;
  cause: Cause;
  changeset: Changeset;
  /** The part of it that no person has approved: what sizes are measured on. */
  unapproved: Changeset;
  forecast: {
    model: string;
    wape: number;
    drift: number;
    /** Share of the demand whose forecasts are as promised, 0…1; 1 while nothing is known. */
    confidence: number;
    /** What became of earlier changes that forecasts asked for. */
    regret: ForecastRegret;
  };
  changesLastHour: number;
  /** Traffic that is not what was to be expected and goes on. */
  anomalies: Anomaly[];
  autoApply: { tunnelsMax: number; sitesMax: number; trafficShareMax: number; changesPerHourMax: number };
  vetoes: string[];
}
