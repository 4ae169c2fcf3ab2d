import type { FigureQuantiles, PathSeries } from '../../model/index.ts';
import { windowOf } from './features.ts';
import type { PathTable } from './path-table.ts';

export const FIGURES = ['latencyMs', 'jitterMs', 'lossRatio'] as const;
export type Figure = (typeof FIGURES)[number];
const QUANTILES = [0.5, 0.9, 0.95] as const;

/** Added before the logarithm is taken, so that nothing lost and no jitter have one: what does not matter. */
const OFFSET: Record<Figure, number> = { latencyMs: 0.1, jitterMs: 0.3, lossRatio: 0.0005 };
const SPREAD_MIN = 0.02;
const DAYS = 7;
const CELLS_MAX = 20_000;
/** Paths that are learned from, evenly over all. */
const PATHS_MAX = 300;
/** Residuals that a quantile is taken from at least. */
const RESIDUALS_MIN = 100;

/** By figure: how far the worst slot of a horizon lay from what was foreseen, in units of the path's own spread; at p50, p90, p95. */
export type FigureFit = Record<Figure, [number, number, number]>;

/** What is assumed while nothing was learned: the level, and about what a normal spread would give for the worst of several slots. */
export const UNFITTED: FigureFit = { latencyMs: [1, 2.5, 3], jitterMs: [1, 2.5, 3], lossRatio: [1, 2.5, 3] };

/**
 * Learns the distribution of the horizon's worst slot about level and day-shape, on origins from `from` on: conformal, that
 * is, by counting what came, over all paths.
 */
export function fitFigures(table: PathTable, horizon: number, from: number): FigureFit {
  const fit: FigureFit = { ...UNFITTED };
  const until = table.length - horizon + 1;
  const learned = table.series.filter((_, index) => index % Math.ceil(table.series.length / PATHS_MAX) === 0);
  const every = Math.max(1, Math.ceil((learned.length * Math.max(0, until - from)) / CELLS_MAX));
  for (const figure of FIGURES) {
    const residuals: number[] = [];
    for (const [index, series] of learned.entries()) {
      const logs = new Float32Array(table.length);
      fillLogs(logs, series, figure, 0, table.length);
      for (let slot = from + ((index * 7) % every); slot < until; slot += every) {
        const { foreseen, spread } = foresee(logs, table, horizon, slot);
        const residual = (windowOf(logs, slot, slot + horizon).max - foreseen) / spread;
        if (!Number.isNaN(residual)) residuals.push(residual);
      }
    }
    residuals.sort((left, right) => left - right);
    if (residuals.length >= RESIDUALS_MIN) fit[figure] = QUANTILES.map((quantile) => residuals[Math.min(residuals.length - 1, Math.ceil(quantile * (residuals.length + 1)) - 1)]!) as [number, number, number];
  }
  return fit;
}

/** Of the worst slot of the horizon that begins at `slot`; null when the figure was not measured in the day before. */
export function figureQuantiles(table: PathTable, fit: FigureFit, series: PathSeries, figure: Figure, horizon: number, slot: number): FigureQuantiles | null {
  const day = table.slotsPerDay;
  const logs = new Float32Array(table.length);
  fillLogs(logs, series, figure, slot - day, slot);
  for (let back = 1; back <= DAYS; back++) fillLogs(logs, series, figure, slot - back * day - hourOf(table), slot - back * day + horizon);
  const { foreseen, spread } = foresee(logs, table, horizon, slot);
  if (Number.isNaN(foreseen)) return null;
  const valueOf = (units: number): number => Math.max(0, Math.exp(foreseen + units * spread) - OFFSET[figure]);
  const [p50, p90, p95] = fit[figure].map(valueOf).map((value) => (figure === 'lossRatio' ? Math.min(1, value) : value));
  return { p50: p50!, p90: p90!, p95: p95! };
}

/** The last hour's level, and the mean rise from there to the worst slot at this time of earlier days; by what lies before `slot`. */
function foresee(logs: Float32Array, table: PathTable, horizon: number, slot: number): { foreseen: number; spread: number } {
  const day = table.slotsPerDay;
  const hour = hourOf(table);
  const lately = windowOf(logs, Math.max(0, slot - day), slot);
  const recent = windowOf(logs, Math.max(0, slot - hour), slot);
  let [rise, days] = [0, 0];
  for (let back = 1; back <= DAYS && slot - back * day >= 0; back++) {
    const then = slot - back * day;
    if (then + horizon > slot) continue;
    const change = windowOf(logs, then, then + horizon).max - windowOf(logs, Math.max(0, then - hour), then).mean;
    if (Number.isNaN(change)) continue;
    rise += change;
    days++;
  }
  const level = Number.isNaN(recent.mean) ? lately.mean : recent.mean;
  return { foreseen: level + (days === 0 ? 0 : rise / days), spread: Math.max(SPREAD_MIN, lately.spread) };
}

function hourOf({ slotsPerDay }: PathTable): number {
  return Math.max(3, Math.round(slotsPerDay / 24));
}

function fillLogs(logs: Float32Array, series: PathSeries, figure: Figure, from: number, until: number): void {
  const values = series[figure];
  for (let slot = Math.max(0, from); slot < Math.min(until, logs.length); slot++) logs[slot] = Math.log(values[slot]! + OFFSET[figure]);
}
