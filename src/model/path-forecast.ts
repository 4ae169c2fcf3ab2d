import type { ClassId, PathId } from './ids.ts';

/** Quantiles of one figure in the worst slot of the horizon; p50 ≤ p90 ≤ p95. */
export interface FigureQuantiles {
  p50: number;
  p90: number;
  p95: number;
}

/** What to expect of one path within the next horizon. */
export interface PathForecast {
  path: PathId;
  /** Null where it was never measured. */
  latencyMs: FigureQuantiles | null;
  jitterMs: FigureQuantiles | null;
  /** 0…1. */
  lossRatio: FigureQuantiles | null;
  /**
   * By class: how probable it is, 0…1, that in at least one slot of the horizon the mean latency, jitter or loss of the
   * slot, as the worse end measures it, is above the class's bound. A path that is down loses everything.
   */
  violations: { classId: ClassId; probability: number }[];
  /** `pool`: the path is too new, and counts as what shares its uplinks, or as all paths. */
  basis: 'model' | 'pool';
}

/** How a method did on held-out time; lower is better. */
export interface PathBacktest {
  model: string;
  /** Mean of (probability − what came)². */
  brier: number;
  /** Mean of −ln(probability given to what came). */
  logLoss: number;
}

/** All paths that were measured lately, and how far these forecasts are to be trusted. */
export interface PathQualityForecast {
  madeAt: number;
  /** Until when the past was looked at: the horizon begins here. */
  fromAt: number;
  slotMs: number;
  horizonMs: number;
  /** Who made the probabilities: the least Brier score on held-out time. `climatology` while nothing was learned. */
  model: string;
  /** Best first; empty while nothing was learned. */
  backtest: PathBacktest[];
  /** 1 − Brier score / the least one of the baselines, on held-out time; 0 where a baseline won or nothing was learned. */
  skill: number;
  /** By path. */
  paths: PathForecast[];
}
