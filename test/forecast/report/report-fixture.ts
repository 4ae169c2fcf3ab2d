import { Ewma, Persistence, SeasonalNaive } from '../../../src/forecast/matrix/baselines.ts';
import type { ForecastBenchResult, HorizonResult } from '../../../src/forecast/matrix/bench.ts';
import { cutMatrix, type DemandMatrix } from '../../../src/forecast/matrix/demand-matrix.ts';
import { actualsOf } from '../../../src/forecast/matrix/matrix-model.ts';
import { PointModel } from '../../../src/forecast/matrix/point-model.ts';
import { scaleReactive } from '../../../src/forecast/matrix/provision.ts';
import { changeScales, scoreMatrix } from '../../../src/forecast/matrix/score.ts';
import { createBenchReport } from '../../../src/forecast/index.ts';

/** Pairs with a day's curve, of different weights; the last one silent. */
export function matrixOf(pairs: readonly string[], days: number, slotsPerDay = 24): DemandMatrix {
  const length = days * slotsPerDay;
  const values = pairs.map((_, pair) =>
    Float32Array.from({ length }, (_cell, slot) => {
      if (pair === pairs.length - 1 && pairs.length > 1) return 0;
      if ((slot * 7 + pair) % 53 === 0) return Number.NaN;
      const noise = Math.sin(slot * 12.9898 + pair * 78.233) * 0.2;
      return (1 + pair) * (2 + Math.sin((2 * Math.PI * slot) / slotsPerDay) + noise);
    }),
  );
  return { pairs: [...pairs], startAt: Date.parse('2026-11-02T00:00:00Z'), stepMs: 86_400_000 / slotsPerDay, slotsPerDay, length, values, rowSlots: Int32Array.from({ length }, (_, slot) => slot) };
}

/** A report as the bench makes it, of three simple models whose band is a third of their median. */
export async function reportOf(matrix: DemandMatrix, source = 'demands.csv', horizons = [['1h', 1], ['4h', 4]] as [string, number][]): Promise<string> {
  const learned = cutMatrix(matrix, Math.floor(0.7 * matrix.length));
  const report = createBenchReport(source, matrix);
  const results: Record<string, HorizonResult> = {};
  for (const [name, steps] of horizons) {
    const origins = Int32Array.from({ length: matrix.length - learned.length - steps }, (_, index) => learned.length + index);
    const actual = actualsOf(matrix, origins, steps);
    const models: HorizonResult['models'] = {};
    for (const model of [new PointModel(() => new Persistence()), new PointModel(() => new Ewma()), new PointModel(() => new SeasonalNaive())]) {
      await model.fit({ matrix: learned, horizons: [steps], seed: 'report', onProgress: () => undefined });
      const forecasts = await model.forecast(matrix, origins, steps);
      forecasts.p90 = forecasts.p50.map((value) => value * 1.2);
      forecasts.p95 = forecasts.p50.map((value) => value * 1.33);
      report.onScored({ horizon: name, steps, model: model.name, matrix, learned, origins, actual, forecasts });
      models[model.name] = { ...scoreMatrix(actual, forecasts, changeScales(learned, steps)), backtest: { wape: 0, pinballP95: 0 } };
      if (model.name === 'persistence') models['reactive'] = { tradeoff: scaleReactive(actual, forecasts.p50) };
    }
    results[name] = { chosen: 'seasonal-naive', groups: {}, models };
  }
  const result: ForecastBenchResult = { schema: 'foremesh/bench-forecast/v1', pairs: matrix.pairs.length, rows: matrix.length, stepSeconds: matrix.stepMs / 1000, trainSeconds: 1, predictMsPerStep: 0.1, peakMemoryMb: 100, horizons: results };
  return report.render(result);
}
