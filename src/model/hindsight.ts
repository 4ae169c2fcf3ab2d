import type { PairGroup } from './forecast.ts';

/** What became of a change that a forecast had asked for; `unknown` says nothing about the forecast. */
export type ChangeScore = 'needed' | 'not-needed' | 'harmful' | 'unknown';

/** The kinds of change that are judged afterwards. `split`: a re-route onto more than one way. */
export const SCORED_KINDS = ['tunnel-add', 'tunnel-remove', 'reroute', 'split'] as const;
export type ScoredKind = (typeof SCORED_KINDS)[number];

/** `scored` = needed + notNeeded + harmful. */
export interface RegretCounts {
  scored: number;
  needed: number;
  notNeeded: number;
  harmful: number;
  unknown: number;
  /** Commits that the scored ones came with: changes of one commit stand and fall together. */
  commits: number;
}

/** How forecast-driven changes of the last `windowDays` turned out; what the policy weighs. */
export interface ForecastRegret extends RegretCounts {
  windowDays: number;
  /** Of the newest 20 scored ones, 0…1; null while none is scored. */
  recentShareNeeded: number | null;
  byKind: Record<ScoredKind, RegretCounts>;
}

export const REGRET_WINDOW_DAYS = 30;
export const NO_COUNTS: RegretCounts = { scored: 0, needed: 0, notNeeded: 0, harmful: 0, unknown: 0, commits: 0 };

/** A mesh without a past: nothing has been scored. */
export const NO_REGRET: ForecastRegret = {
  ...NO_COUNTS,
  windowDays: REGRET_WINDOW_DAYS,
  recentShareNeeded: null,
  byKind: { 'tunnel-add': NO_COUNTS, 'tunnel-remove': NO_COUNTS, reroute: NO_COUNTS, split: NO_COUNTS },
};

/** Whether the model that won the back-test still deserves it: as promised; worse than promised; worse than a rule of thumb. */
export type DriftState = 'ok' | 'drifting' | 'failed';

/** How one model did live, on forecasts whose slots have come. */
export interface LiveScore {
  model: string;
  /** The winner of the back-test; false for the rules of thumb beside it. */
  isChampion: boolean;
  cells: number;
  /** Σ|y − p50| / Σy. */
  wape: number;
  /** Mean pinball loss over p50, p90 and p95, by Σy: the same figure as in the back-test. */
  pinball: number;
  /** Of p95 alone. */
  pinballP95: number;
  /** Share of cells that p95 held, and of the demand in such cells, 0…1. */
  coverageP95: number;
  coverageByVolume: number;
  /** Σ(p50 − y) / Σy: above 0 it expects too much. */
  bias: number;
  /** Σ(y − p95)⁺ / Σy: what would have found no room if exactly p95 had been provided. */
  unmetP95: number;
}

/** Demands are judged by the kinds that have a contest of models each, since a few heavy ones would hide all others. */
export type DemandGroup = PairGroup;
export const DEMAND_GROUPS: readonly DemandGroup[] = ['heavy', 'middle', 'sparse', 'new'];

/** How the champion of one group does; what stands in for it while it has failed. */
export interface GroupHealth {
  group: DemandGroup;
  state: DriftState;
  sinceAt: number | null;
  reason: string;
  /** The rule of thumb that does best lately. */
  best: string;
  demands: number;
  /** Of all demand observed, 0…1. */
  volumeShare: number;
}

export interface ForecastHealth {
  /** Of the demand, the share whose forecasts are as promised; drifting counts half. 1 while nothing is known. */
  confidence: number;
  groups: GroupHealth[];
}
