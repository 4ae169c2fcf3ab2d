import type { MatrixForecasts } from './matrix-model.ts';

/** Σ provision / Σy at which methods are compared: who leaves least unmet for the same capacity. */
export const ALLOCATIONS = [1.2, 1.3, 1.4, 1.5, 1.7, 2] as const;

export interface TradeoffPoint {
  allocation: number;
  /** Σ(y − provision)⁺ / Σy. */
  unmet: number;
  /** Share of (pair, slot) with y over the provision. */
  over: number;
}

const ROUNDS_MAX = 40;

/**
 * What is unmet when the provision p50 + s · (p95 − p50) of all cells, in the model's own scale, is made to sum to a
 * given multiple of the demand; s by bisection (false position, Illinois), to a thousandth of the demand.
 */
export function scaleProvision(actual: Float32Array, { p50, p95, logScale }: MatrixForecasts, pairs: number): TradeoffPoint[] {
  const known = knownCells(actual);
  const low = new Float64Array(known.length);
  const spread = new Float64Array(known.length);
  const unit = new Float64Array(known.length);
  known.forEach((at, index) => {
    const scale = logScale?.[at % pairs] ?? 0;
    unit[index] = scale;
    low[index] = scale > 0 ? Math.log1p(p50[at]! / scale) : p50[at]!;
    spread[index] = (scale > 0 ? Math.log1p(p95[at]! / scale) : p95[at]!) - low[index];
  });
  const provisionOf = (index: number, s: number): number => {
    const level = Math.max(0, low[index]! + s * spread[index]!);
    return unit[index]! > 0 ? unit[index]! * Math.expm1(level) : level;
  };
  return compare(actual, known, provisionOf, (target, demand) =>
    findRoot((s) => known.reduce((sum, _, index) => sum + provisionOf(index, s), 0) / demand - target, -2, 3),
  );
}

/** The same for a rule that reacts: what was last seen, times one margin for all pairs. */
export function scaleReactive(actual: Float32Array, last: Float32Array): TradeoffPoint[] {
  const known = knownCells(actual);
  const total = known.reduce((sum, at) => sum + last[at]!, 0);
  return compare(actual, known, (index, margin) => margin * last[known[index]!]!, (target, demand) => (total > 0 ? (target * demand) / total : 0));
}

function compare(actual: Float32Array, known: Int32Array, provisionOf: (index: number, scale: number) => number, scaleFor: (target: number, demand: number) => number): TradeoffPoint[] {
  const demand = known.reduce((sum, at) => sum + actual[at]!, 0);
  if (demand === 0) return ALLOCATIONS.map((allocation) => ({ allocation, unmet: 0, over: 0 }));
  return ALLOCATIONS.map((allocation) => {
    const scale = scaleFor(allocation, demand);
    let unmet = 0;
    let over = 0;
    for (let index = 0; index < known.length; index++) {
      const short = actual[known[index]!]! - provisionOf(index, scale);
      if (short <= 0) continue;
      unmet += short;
      over += 1;
    }
    return { allocation, unmet: unmet / demand, over: over / known.length };
  });
}

function knownCells(actual: Float32Array): Int32Array {
  const known = new Int32Array(actual.reduce((count, value) => count + (Number.isNaN(value) ? 0 : 1), 0));
  let next = 0;
  for (let at = 0; at < actual.length; at++) if (!Number.isNaN(actual[at]!)) known[next++] = at;
  return known;
}

/** Root of a rising function; `high` grows until it brackets one. The nearest bound where there is none. */
function findRoot(excess: (s: number) => number, low: number, high: number): number {
  let below = excess(low);
  if (below >= 0) return low;
  let above = excess(high);
  for (let round = 0; above < 0 && round < 12; round++) {
    [low, below] = [high, above];
    high *= 2;
    above = excess(high);
  }
  if (above <= 0) return high;
  for (let round = 0; round < ROUNDS_MAX; round++) {
    const middle = round % 4 === 3 ? (low + high) / 2 : low + ((high - low) * -below) / (above - below);
    const value = excess(middle);
    if (Math.abs(value) < 5e-4) return middle;
    if (value < 0) {
      [low, below] = [middle, value];
      above /= 2;
    } else {
      [high, above] = [middle, value];
      below /= 2;
    }
  }
  return (low + high) / 2;
}
