import type { DemandMatrix } from './demand-matrix.ts';

/**
 * Forecasts of many origins, all pairs each: `[origin · pairs + pair]`, unit of the matrix, 0 ≤ p50 ≤ p90 ≤ p95.
 * An origin is the last slot that is known; the forecast is of the slot `steps` later.
 */
export interface MatrixForecasts {
  p50: Float32Array;
  p90: Float32Array;
  p95: Float32Array;
  /** The scale c of each pair when the model spreads its quantiles in log1p(y/c); null for the plain scale. */
  logScale: Float32Array | null;
}

export interface MatrixFitTask {
  /** Ends where the calibration begins: everything in it may be learned from. */
  matrix: DemandMatrix;
  /** How many slots ahead, each > 0, ascending. */
  horizons: readonly number[];
  seed: string;
  onProgress: (text: string) => void;
  /** Go on from what was fitted or restored before, with few passes; models that cannot do so fit anew. */
  warmStart?: boolean;
}

/** A fitted model as plain data, so that a registry can keep it: settings are JSON, weights are not. */
export interface MatrixModelDump {
  settings: unknown;
  weights: Float32Array[];
}

/** One way to forecast all pairs of a matrix, fitted once for all horizons. The caller calibrates its quantiles, so a model may give its median for all three. */
export interface MatrixModel {
  readonly name: string;
  /** Forgets what was fitted before, unless it starts from it. */
  fit(task: MatrixFitTask): Promise<void>;
  /**
   * Looks at nothing after each origin, but for covariates that are known ahead. Origins ascend; a matrix may be another
   * one than that of the fit, with the same pairs in the same order.
   * @param steps  one of the fit's horizons
   */
  forecast(matrix: DemandMatrix, origins: Int32Array, steps: number): Promise<MatrixForecasts>;
  /** All horizons of the fit by their steps, where that costs less than one after the other. */
  forecastHorizons?(matrix: DemandMatrix, origins: Int32Array): Promise<Map<number, MatrixForecasts>>;
  dump?(): MatrixModelDump;
  /** Takes up what `dump` gave, in place of `fit`. */
  restore?(dump: MatrixModelDump): void;
  /** A model of the same size for other pairs and distances: for how long it takes, not for what it says. */
  resized?(matrix: DemandMatrix, horizons: readonly number[]): Promise<MatrixModel>;
  /** Ends threads and frees memory; the model is not used afterwards. */
  close?(): Promise<void>;
}

export function emptyMatrixForecasts(cells: number): MatrixForecasts {
  return { p50: new Float32Array(cells), p90: new Float32Array(cells), p95: new Float32Array(cells), logScale: null };
}

/** A copy of the cells [from, until). */
export function cellsOf({ p50, p90, p95, logScale }: MatrixForecasts, from = 0, until = p50.length): MatrixForecasts {
  return { p50: p50.slice(from, until), p90: p90.slice(from, until), p95: p95.slice(from, until), logScale };
}

/** What came: `[origin · pairs + pair]`, NaN where it is not known. */
export function actualsOf(matrix: DemandMatrix, origins: Int32Array, steps: number): Float32Array {
  const pairs = matrix.pairs.length;
  const actual = new Float32Array(origins.length * pairs);
  for (let pair = 0; pair < pairs; pair++) {
    const series = matrix.values[pair]!;
    for (let index = 0; index < origins.length; index++) actual[index * pairs + pair] = series[origins[index]! + steps] ?? Number.NaN;
  }
  return actual;
}
