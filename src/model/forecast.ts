import type { ClassId, SiteId } from './ids.ts';

/** Predicted bandwidth of one slot, Mbit/s; p50 ≤ p90 ≤ p95. */
export interface ForecastSlot {
  startAt: number;
  p50: number;
  p90: number;
  p95: number;
}

/** How a planned event moved the forecast of one demand, because of what a person expects of it. */
export interface EventAdjustment {
  /** Name and kind of the planned event. */
  event: string;
  eventKind: string;
  from: SiteId;
  to: SiteId;
  classId: ClassId;
  /** `×3` or `+200 Mbit/s`: what the event's author expects. */
  expected: string;
  /** Change of p50 a slot of the forecast, Mbit/s; 0 in slots without the event. */
  addedMbps: number[];
  /** True where the sites' uplinks were taken for the most that can come. */
  isBounded: boolean;
}

export interface DemandForecast {
  from: SiteId;
  to: SiteId;
  classId: ClassId;
  slots: ForecastSlot[];
}

/** How well one model did on held-out slots of the same series; lower is better. */
export interface BacktestScore {
  model: string;
  /** Σ|y − p50| / Σy. */
  wape: number;
  /** Mean pinball loss over p50, p90, p95, divided by the mean demand. */
  pinball: number;
  /** Share of slots with y ≤ p95, 0…1. */
  coverageP95: number;
}

/** Kinds of pairs that have a contest each: the heaviest tenth; those that are mostly silent; those with less than a day of past; the rest. */
export type PairGroup = 'heavy' | 'middle' | 'sparse' | 'new';

/** Which model forecasts a kind of pairs so many slots ahead, and how it did there on slots that it had not seen. */
export interface ServingModel {
  group: PairGroup;
  /** How many demands it serves. */
  pairs: number;
  /** From and to so many slots ahead, both included; 1 is the next slot. */
  fromStep: number;
  toStep: number;
  /** Who gives the median, and p90 and p95 unless `upperModel` does. */
  model: string;
  /** Absent: the same, or recorded before they were chosen apart. */
  upperModel?: string;
  /** Of the median; null where nothing could be compared. */
  wape: number | null;
  /** The best of those that are not used there. */
  rival: { model: string; wape: number } | null;
  why: string;
}

/** What a forecast was computed with: a version of the model registry, named by its number there and its content. */
export interface ModelVersion {
  /** Null: not in a registry yet. */
  version: number | null;
  /** sha256 of settings, weights, training window and seed. */
  digest: string;
}

export interface Forecast {
  madeAt: number;
  slotMs: number;
  /** The model that forecasts most of the demand; `serving` has all. */
  model: string;
  /** All models over all pairs and horizons, best first. */
  backtest: BacktestScore[];
  /** Absent: nothing was learned, or recorded by an engine without a registry. */
  version?: ModelVersion;
  serving?: ServingModel[];
  /** Heaviest first by class priority, then peak of p95: the prioritised list. */
  demands: DemandForecast[];
  /** What planned events changed in `demands`; absent: nothing. */
  adjustments?: EventAdjustment[];
}

/** The highest value of one quantile over the horizon, Mbit/s. */
export function peakMbps(demand: DemandForecast, quantile: 'p50' | 'p90' | 'p95'): number {
  return demand.slots.reduce((peak, slot) => Math.max(peak, slot[quantile]), 0);
}
