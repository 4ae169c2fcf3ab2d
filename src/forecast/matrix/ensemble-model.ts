import { CombinedModel } from './combined-model.ts';
import type { MatrixForecasts, MatrixModel } from './matrix-model.ts';

/**
 * The mean of several models, in log1p(y/c): their errors are not the same, so it is better than each. The first
 * learns beside the others, which learn one after another; all must share the scale c of each pair.
 */
export class EnsembleModel extends CombinedModel {
  readonly name = 'ensemble';

  combine(all: readonly MatrixForecasts[], pairs: number): MatrixForecasts {
    return meanForecasts(all, pairs);
  }

  withMembers(members: readonly MatrixModel[]): EnsembleModel {
    return new EnsembleModel(members);
  }
}

/** Mean of each quantile in log1p(y/c), with the first one's c; what it is made of stays as it is. */
export function meanForecasts(all: readonly MatrixForecasts[], pairs: number): MatrixForecasts {
  const logScale = all[0]!.logScale!;
  const mean = (parts: readonly Float32Array[]): Float32Array =>
    Float32Array.from(parts[0]!, (_, at) => {
      const scale = logScale[at % pairs]!;
      let sum = 0;
      for (const part of parts) sum += Math.log1p(part[at]! / scale);
      return scale * Math.expm1(sum / parts.length);
    });
  return { p50: mean(all.map(({ p50 }) => p50)), p90: mean(all.map(({ p90 }) => p90)), p95: mean(all.map(({ p95 }) => p95)), logScale };
}
