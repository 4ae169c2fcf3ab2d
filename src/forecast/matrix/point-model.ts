import type { PointForecaster } from './baselines.ts';
import { cutMatrix, type DemandMatrix } from './demand-matrix.ts';
import { emptyMatrixForecasts, type MatrixFitTask, type MatrixForecasts, type MatrixModel, type MatrixModelDump } from './matrix-model.ts';

/** A point forecast as a model: its median stands for all quantiles until it is calibrated. */
export class PointModel implements MatrixModel {
  readonly name: string;
  private readonly make: () => PointForecaster;
  private points = new Map<number, PointForecaster>();

  constructor(make: () => PointForecaster) {
    this.make = make;
    this.name = make().name;
  }

  async fit({ matrix, horizons }: MatrixFitTask): Promise<void> {
    this.points = new Map(horizons.map((steps) => [steps, this.make()]));
    for (const [steps, point] of this.points) point.fit(matrix, steps);
  }

  async forecast(matrix: DemandMatrix, origins: Int32Array, steps: number): Promise<MatrixForecasts> {
    const point = this.points.get(steps)!;
    const pairs = matrix.pairs.length;
    const forecasts = emptyMatrixForecasts(origins.length * pairs);
    const out = new Float32Array(matrix.length);
    for (let pair = 0; pair < pairs; pair++) {
      point.run(matrix, pair, steps, out, origins[0]);
      for (let index = 0; index < origins.length; index++) forecasts.p50[index * pairs + pair] = out[origins[index]!]!;
    }
    forecasts.p90.set(forecasts.p50);
    forecasts.p95.set(forecasts.p50);
    return forecasts;
  }

  /** Fitted for a day of the new pairs. */
  async resized(matrix: DemandMatrix, horizons: readonly number[]): Promise<PointModel> {
    const other = new PointModel(this.make);
    await other.fit({ matrix: cutMatrix(matrix, matrix.slotsPerDay), horizons, seed: '', onProgress: () => undefined });
    return other;
  }

  dump(): MatrixModelDump {
    const dumps = [...this.points].map(([steps, point]) => ({ steps, ...point.dump?.() }));
    return { settings: { horizons: dumps.map(({ steps, settings }) => ({ steps, settings: settings ?? null })) }, weights: dumps.flatMap(({ weights }) => (weights ? [weights] : [])) };
  }

  restore({ settings, weights }: MatrixModelDump): void {
    const { horizons } = settings as { horizons: { steps: number; settings: unknown }[] };
    this.points = new Map(
      horizons.map(({ steps, settings: own }, index) => {
        const point = this.make();
        point.restore?.({ settings: own, weights: weights[index] ?? new Float32Array(0) });
        return [steps, point];
      }),
    );
  }
}
