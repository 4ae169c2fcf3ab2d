import type { PointForecaster } from './baselines.ts';
import type { DemandMatrix } from './demand-matrix.ts';
import { emptyMatrixForecasts, type MatrixFitTask, type MatrixForecasts, type MatrixModel } from './matrix-model.ts';

/** A point forecast as a model: its median stands for all quantiles until it is calibrated. */
export class PointModel implements MatrixModel {
  readonly name: string;
  private readonly point: PointForecaster;
  private steps = 1;

  constructor(point: PointForecaster) {
    this.name = point.name;
    this.point = point;
  }

  fit({ matrix, steps }: MatrixFitTask): void {
    this.steps = steps;
    this.point.fit(matrix, steps);
  }

  forecast(matrix: DemandMatrix, origins: Int32Array): MatrixForecasts {
    const pairs = matrix.pairs.length;
    const forecasts = emptyMatrixForecasts(origins.length * pairs);
    const out = new Float32Array(matrix.length);
    for (let pair = 0; pair < pairs; pair++) {
      this.point.run(matrix, pair, this.steps, out);
      for (let index = 0; index < origins.length; index++) forecasts.p50[index * pairs + pair] = out[origins[index]!]!;
    }
    forecasts.p90.set(forecasts.p50);
    forecasts.p95.set(forecasts.p50);
    return forecasts;
  }
}
