import type { DemandMatrix } from '../matrix/demand-matrix.ts';
import type { MatrixForecasts } from '../matrix/matrix-model.ts';

/** All forecasts of one model for one horizon, with what came. */
export interface ScoredCells {
  horizon: string;
  steps: number;
  model: string;
  matrix: DemandMatrix;
  /** Ends where the test begins. */
  learned: DemandMatrix;
  origins: Int32Array;
  /** `[origin · pairs + pair]`, NaN unknown. */
  actual: Float32Array;
  forecasts: MatrixForecasts;
}

/** Sums of |y − p50|, of y, and counts of cells, by whatever they are grouped. */
export interface Sums {
  error: Float64Array;
  demand: Float64Array;
  held: Float64Array;
  heldDemand: Float64Array;
  cells: Float64Array;
}

/** A cell that came out far above its p95. */
export interface Miss {
  pair: number;
  slot: number;
  actual: number;
  p95: number;
}

/** What a report needs of one model and horizon, in a size that does not grow with the length of the test. */
export interface ModelCells {
  horizon: string;
  steps: number;
  model: string;
  byPair: Sums;
  /** 24 of a day, whatever a day's length. */
  byHour: Sums;
  /** Parts of the test of equal length, whole days where there are several, `PARTS` at most. */
  byPart: Sums;
  /** First slot of each part. */
  partSlots: number[];
  /** Shares of cells, and of demand, at or below p50, p90 and p95. */
  reliability: { quantile: number; byCount: number; byVolume: number }[];
  /** The last tested slots, all pairs: `[origin][pair]`. */
  window: { slots: Int32Array; p50: Float32Array; p95: Float32Array };
  misses: Miss[];
}

export const PARTS = 40;
const DAYS_MIN = 4;
const WINDOW = 240;
const WINDOW_CELLS_MAX = 1_200_000;
const MISSES = 8;

/** Goes over the cells once and keeps sums. */
export function collectCells({ horizon, steps, model, matrix, origins, actual, forecasts }: ScoredCells): ModelCells {
  const pairs = matrix.pairs.length;
  const { parts, partOf, beginOf } = divide(origins, matrix.slotsPerDay);
  const byPair = emptySums(pairs);
  const byHour = emptySums(24);
  const byPart = emptySums(parts);
  const reliability = [0.5, 0.9, 0.95].map((quantile) => ({ quantile, count: 0, demand: 0 }));
  const misses: Miss[] = [];
  let cells = 0;
  let demand = 0;
  const daysOffset = matrix.startAt / matrix.stepMs;
  for (let index = 0; index < origins.length; index++) {
    const slot = origins[index]! + steps;
    const hour = Math.floor(((((daysOffset + slot) % matrix.slotsPerDay) + matrix.slotsPerDay) % matrix.slotsPerDay) * (24 / matrix.slotsPerDay));
    const part = partOf(index);
    for (let pair = 0; pair < pairs; pair++) {
      const at = index * pairs + pair;
      const y = actual[at]!;
      if (Number.isNaN(y)) continue;
      const [p50, p90, p95] = [forecasts.p50[at]!, forecasts.p90[at]!, forecasts.p95[at]!];
      addCell(byPair, pair, y, p50, p95);
      addCell(byHour, Math.min(23, hour), y, p50, p95);
      addCell(byPart, part, y, p50, p95);
      cells += 1;
      demand += y;
      [p50, p90, p95].forEach((value, rank) => {
        if (y > value) return;
        reliability[rank]!.count += 1;
        reliability[rank]!.demand += y;
      });
      if (y - p95 > (misses.length < MISSES ? 0 : misses.at(-1)!.actual - misses.at(-1)!.p95)) keepMiss(misses, { pair, slot, actual: y, p95 });
    }
  }
  return {
    horizon,
    steps,
    model,
    byPair,
    byHour,
    byPart,
    partSlots: Array.from({ length: parts }, (_, part) => beginOf(part) + steps),
    reliability: reliability.map(({ quantile, count, demand: held }) => ({ quantile, byCount: count / Math.max(1, cells), byVolume: demand > 0 ? held / demand : 0 })),
    window: windowOf(origins, steps, pairs, forecasts),
    misses,
  };
}

/** Σ|y − p50| / Σy of one group; NaN where nothing came. */
export function wapeOf(sums: Sums, index: number): number {
  return sums.demand[index]! > 0 ? sums.error[index]! / sums.demand[index]! : Number.NaN;
}

/** Whole days, so that the day itself is not mistaken for a change over time. */
function divide(origins: Int32Array, slotsPerDay: number): { parts: number; partOf: (index: number) => number; beginOf: (part: number) => number } {
  const first = origins[0] ?? 0;
  const days = ((origins.at(-1) ?? 0) + 1 - first) / slotsPerDay;
  if (days < DAYS_MIN) {
    const parts = Math.max(1, Math.min(PARTS, origins.length));
    return { parts, partOf: (index) => Math.floor((index * parts) / Math.max(1, origins.length)), beginOf: (part) => origins[Math.ceil((part * origins.length) / parts)] ?? first };
  }
  const slots = Math.ceil(days / PARTS) * slotsPerDay;
  const parts = Math.max(1, Math.floor((days * slotsPerDay) / slots));
  return { parts, partOf: (index) => Math.min(parts - 1, Math.floor((origins[index]! - first) / slots)), beginOf: (part) => first + part * slots };
}

function emptySums(size: number): Sums {
  return { error: new Float64Array(size), demand: new Float64Array(size), held: new Float64Array(size), heldDemand: new Float64Array(size), cells: new Float64Array(size) };
}

function addCell(sums: Sums, index: number, y: number, p50: number, p95: number): void {
  sums.error[index]! += Math.abs(y - p50);
  sums.demand[index]! += y;
  sums.cells[index]! += 1;
  if (y > p95) return;
  sums.held[index]! += 1;
  sums.heldDemand[index]! += y;
}

function keepMiss(misses: Miss[], miss: Miss): void {
  misses.push(miss);
  misses.sort((left, right) => right.actual - right.p95 - (left.actual - left.p95));
  if (misses.length > MISSES) misses.pop();
}

function windowOf(origins: Int32Array, steps: number, pairs: number, { p50, p95 }: MatrixForecasts): ModelCells['window'] {
  const kept = Math.max(1, Math.min(WINDOW, origins.length, Math.floor(WINDOW_CELLS_MAX / Math.max(1, pairs))));
  const from = Math.max(0, origins.length - kept);
  return { slots: origins.slice(from).map((origin) => origin + steps), p50: p50.slice(from * pairs), p95: p95.slice(from * pairs) };
}
