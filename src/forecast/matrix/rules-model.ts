import { CombinedModel } from './combined-model.ts';
import type { MatrixForecasts, MatrixModel } from './matrix-model.ts';

/**
 * The median of what the rules of thumb say: no single one of them can spoil it, so where there is little past to tell
 * which of them holds, it is nearer to the best of them than any choice. Measured in docs/forecasting.md.
 */
export class RulesModel extends CombinedModel {
  readonly name = 'rules';

  combine(all: readonly MatrixForecasts[]): MatrixForecasts {
    const p50 = medianOf(all.map((each) => each.p50));
    return { p50, p90: p50.slice(), p95: p50.slice(), logScale: null };
  }

  withMembers(members: readonly MatrixModel[]): RulesModel {
    return new RulesModel(members);
  }
}

/** Cell by cell; of an even number the mean of the middle two. */
function medianOf(parts: readonly Float32Array[]): Float32Array {
  const sorted = new Float32Array(parts.length);
  const middle = parts.length >> 1;
  return Float32Array.from(parts[0]!, (_, at) => {
    for (let part = 0; part < parts.length; part++) sorted[part] = parts[part]![at]!;
    sorted.sort();
    return parts.length % 2 === 1 ? sorted[middle]! : (sorted[middle - 1]! + sorted[middle]!) / 2;
  });
}
