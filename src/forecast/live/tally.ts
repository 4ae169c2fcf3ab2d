import { roundTo } from '../../base/index.ts';
import type { LiveScore } from '../../model/index.ts';

/** Sums over scored cells; tallies of parts add up to that of the whole. */
export interface Tally {
  cells: number;
  /** Σy, and Σy of the cells that p95 held. */
  demand: number;
  heldDemand: number;
  held: number;
  error: number;
  bias: number;
  pinball: number;
  pinballP95: number;
  unmet: number;
}

export function emptyTally(): Tally {
  return { cells: 0, demand: 0, heldDemand: 0, held: 0, error: 0, bias: 0, pinball: 0, pinballP95: 0, unmet: 0 };
}

/** Adds one cell. @param actual Mbit/s, ≥ 0 */
export function addCell(tally: Tally, actual: number, p50: number, p90: number, p95: number): void {
  const lossP95 = pinballLoss(actual, p95, 0.95);
  tally.cells += 1;
  tally.demand += actual;
  tally.error += Math.abs(actual - p50);
  tally.bias += p50 - actual;
  tally.pinball += (pinballLoss(actual, p50, 0.5) + pinballLoss(actual, p90, 0.9) + lossP95) / 3;
  tally.pinballP95 += lossP95;
  tally.unmet += Math.max(0, actual - p95);
  if (actual > p95) return;
  tally.held += 1;
  tally.heldDemand += actual;
}

export function addTally(sum: Tally, part: Tally): void {
  for (const key of Object.keys(sum) as (keyof Tally)[]) sum[key] += part[key];
}

/** All 0 where there was no demand at all. */
export function scoreOf(model: string, isChampion: boolean, tally: Tally): LiveScore {
  const share = (value: number): number => (tally.demand > 0 ? roundTo(value / tally.demand, 4) : 0);
  return {
    model,
    isChampion,
    cells: tally.cells,
    wape: share(tally.error),
    pinball: share(tally.pinball),
    pinballP95: share(tally.pinballP95),
    coverageP95: tally.cells > 0 ? roundTo(tally.held / tally.cells, 4) : 0,
    coverageByVolume: share(tally.heldDemand),
    bias: share(tally.bias),
    unmetP95: share(tally.unmet),
  };
}

function pinballLoss(actual: number, quantileMbps: number, quantile: number): number {
  const miss = actual - quantileMbps;
  return Math.max(quantile * miss, (quantile - 1) * miss);
}
