import type { DemandMatrix } from './demand-matrix.ts';
import type { MatrixForecasts } from './matrix-model.ts';
import { scaleProvision, type TradeoffPoint } from './provision.ts';

/** How good forecasts were, over all pairs and tested slots with a known demand; shares are of Σy unless said otherwise. */
export interface MatrixScore {
  /** Σ|y − p50| / Σy. */
  wape: number;
  /** Mean over pairs of mean |y − p50| / mean |y(t) − y(t − h)| of what was learned from (Hyndman & Koehler 2006). */
  mase: number;
  pinball: { p50: number; p90: number; p95: number };
  /** Share of cells with y ≤ quantile. */
  coverage: { p90: number; p95: number };
  /** Share of Σy in cells with y ≤ p95. */
  coverageByVolume: { p95: number };
  /** Σp95 / Σy. */
  allocation: { p95: number };
  /** Σ(y − p95)⁺ / Σy. */
  unmet: { p95: number };
  /** Overlap of the forecast's and the true heaviest tenth of the pairs, mean over slots. */
  topkPrecision: number;
  tradeoff: TradeoffPoint[];
}

/** @param scales  mean |y(t) − y(t − h)| of each pair in what was learned from; NaN where there is none */
export function scoreMatrix(actual: Float32Array, forecasts: MatrixForecasts, scales: Float64Array): MatrixScore {
  const { p50, p90, p95 } = forecasts;
  const pairs = scales.length;
  const pairError = new Float64Array(pairs);
  const pairCells = new Float64Array(pairs);
  let cells = 0;
  let demand = 0;
  let error = 0;
  let loss90 = 0;
  let loss95 = 0;
  let held90 = 0;
  let held95 = 0;
  let heldDemand = 0;
  let allocated = 0;
  let unmet = 0;
  for (let at = 0; at < actual.length; at++) {
    const value = actual[at]!;
    if (Number.isNaN(value)) continue;
    cells += 1;
    demand += value;
    const miss = Math.abs(value - p50[at]!);
    error += miss;
    pairError[at % pairs]! += miss;
    pairCells[at % pairs]! += 1;
    loss90 += pinballLoss(value, p90[at]!, 0.9);
    loss95 += pinballLoss(value, p95[at]!, 0.95);
    if (value <= p90[at]!) held90 += 1;
    if (value <= p95[at]!) {
      held95 += 1;
      heldDemand += value;
    }
    allocated += p95[at]!;
    unmet += Math.max(0, value - p95[at]!);
  }
  const ofDemand = (sum: number): number => (demand > 0 ? sum / demand : 0);
  const ofCells = (sum: number): number => (cells > 0 ? sum / cells : 0);
  return {
    wape: ofDemand(error),
    mase: meanRatio(pairError, pairCells, scales),
    pinball: { p50: ofDemand(error / 2), p90: ofDemand(loss90), p95: ofDemand(loss95) },
    coverage: { p90: ofCells(held90), p95: ofCells(held95) },
    coverageByVolume: { p95: ofDemand(heldDemand) },
    allocation: { p95: ofDemand(allocated) },
    unmet: { p95: ofDemand(unmet) },
    topkPrecision: topPrecision(actual, p50, pairs),
    tradeoff: scaleProvision(actual, forecasts, pairs),
  };
}

export function pinballLoss(value: number, forecast: number, quantile: number): number {
  const miss = value - forecast;
  return miss >= 0 ? quantile * miss : (quantile - 1) * miss;
}

/** Mean |y(t) − y(t − steps)| of each pair; NaN for a pair without two such values, or that never changes. */
export function changeScales(matrix: DemandMatrix, steps: number): Float64Array {
  return Float64Array.from(matrix.values, (values) => {
    let sum = 0;
    let known = 0;
    for (let slot = steps; slot < values.length; slot++) {
      const change = Math.abs(values[slot]! - values[slot - steps]!);
      if (Number.isNaN(change)) continue;
      sum += change;
      known += 1;
    }
    return sum > 0 ? sum / known : Number.NaN;
  });
}

function meanRatio(errors: Float64Array, cells: Float64Array, scales: Float64Array): number {
  const ratios = [...errors].map((error, pair) => error / cells[pair]! / scales[pair]!).filter((ratio) => Number.isFinite(ratio));
  return ratios.length > 0 ? ratios.reduce((sum, ratio) => sum + ratio, 0) / ratios.length : 0;
}

/** Equal demands rank by pair, in the truth as in the forecast. Pairs without a known demand rank last. */
function topPrecision(actual: Float32Array, p50: Float32Array, pairs: number): number {
  const heaviest = Math.max(1, Math.round(pairs / 10));
  const order = Array.from({ length: pairs }, (_, pair) => pair);
  let overlap = 0;
  let slots = 0;
  for (let start = 0; start < actual.length; start += pairs) {
    const known = order.filter((pair) => !Number.isNaN(actual[start + pair]!));
    if (known.length < heaviest) continue;
    const top = (of: Float32Array): number[] => [...known].sort((left, right) => of[start + right]! - of[start + left]! || left - right).slice(0, heaviest);
    const truth = new Set(top(actual));
    overlap += top(p50).filter((pair) => truth.has(pair)).length / heaviest;
    slots += 1;
  }
  return slots > 0 ? overlap / slots : 0;
}
