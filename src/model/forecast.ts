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

export interface Forecast {
  madeAt: number;
  slotMs: number;
  /** The winner of the back-test, which made these numbers. */
  model: string;
  backtest: BacktestScore[];
  /** Heaviest first by class priority, then peak of p95: the prioritised list. */
  demands: DemandForecast[];
  /** What planned events changed in `demands`; absent: nothing. */
  adjustments?: EventAdjustment[];
}

/** The highest value of one quantile over the horizon, Mbit/s. */
export function peakMbps(demand: DemandForecast, quantile: 'p50' | 'p90' | 'p95'): number {
  return demand.slots.reduce((peak, slot) => Math.max(peak, slot[quantile]), 0);
}
