import type { SeriesTable } from './series-table.ts';

/** Which series to forecast, and the first slot of the forecast: only values before it may be looked at. */
export interface Origin {
  series: number;
  slot: number;
}

export const QUANTILES = [0.5, 0.9, 0.95] as const;

/** Forecasts of many origins: `values[(origin · horizon + step) · 3 + quantile]`, Mbit/s, quantiles in the order of `QUANTILES`. */
export interface QuantileForecasts {
  horizon: number;
  values: Float64Array;
}

export interface FitTask {
  table: SeriesTable;
  /** Only slots before this one may be learned from. */
  untilSlot: number;
  horizon: number;
  seed: string;
  onProgress(done: number, of: number, text: string): void;
}

/** One way to forecast. Its quantiles are calibrated by the caller, so a model may give its median for all three. */
export interface ForecastModel {
  readonly name: string;
  /** Learns; models without parameters do nothing. @throws Error when it cannot learn from this */
  fit(task: FitTask): Promise<void>;
  /** Whether it can say anything about this origin. */
  canForecast(table: SeriesTable, origin: Origin): boolean;
  forecast(table: SeriesTable, origins: readonly Origin[], horizon: number): Promise<QuantileForecasts>;
  /** What it learned, to be kept in a file; null when there is nothing to keep. */
  dump(): ModelDump | null;
  restore(dump: ModelDump): Promise<void>;
  close(): void;
}

export interface ModelDump {
  settings: Record<string, number>;
  weights: Float32Array;
}

/** An empty result to be filled. */
export function emptyForecasts(origins: number, horizon: number): QuantileForecasts {
  return { horizon, values: new Float64Array(origins * horizon * QUANTILES.length) };
}

/** Sets all quantiles of one step to its median. */
export function setMedian(forecasts: QuantileForecasts, origin: number, step: number, mbps: number): void {
  const at = (origin * forecasts.horizon + step) * QUANTILES.length;
  forecasts.values.fill(mbps, at, at + QUANTILES.length);
}

/** A model without anything to learn or keep. */
export abstract class StatelessModel {
  fit(): Promise<void> {
    return Promise.resolve();
  }

  dump(): null {
    return null;
  }

  restore(): Promise<void> {
    return Promise.resolve();
  }

  close(): void {
    // nothing held
  }
}
