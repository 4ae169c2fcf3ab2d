import { compareText, roundTo } from '../../base/index.ts';
import type { PathForecast, PathQualityForecast, PathSeries, TrafficClass } from '../../model/index.ts';
import { Climatology } from './baselines.ts';
import { holdPathContest, type PathContest } from './contest.ts';
import { FEATURES, FeatureWriter } from './features.ts';
import { figureQuantiles, fitFigures, UNFITTED, type Figure, type FigureFit } from './figure-quantiles.ts';
import { isMeasured } from './gather-rows.ts';
import type { Inputs } from './path-model.ts';
import { PathPast } from './path-past.ts';
import type { PathTable } from './path-table.ts';

/** Known horizons that a path must have seen before it is forecast by what it is itself. */
const WINDOWS_MIN = 2;
/** The first part of the past teaches nothing of quantiles, which need a past themselves. */
const FIGURES_FROM = 0.5;

/** What was learned, by which paths are forecast. */
export interface PathForecaster {
  /**
   * Learns from the past of all paths; until it is done, and when there is too little to learn from, forecasts go on as before.
   * @param horizon  slots
   * @param pause    awaited between pieces of work of some tens of milliseconds
   */
  train(table: PathTable, classes: readonly TrafficClass[], horizon: number, seed: string, pause: () => Promise<void>): Promise<{ champion: string; skill: number } | null>;
  /** The horizon that begins with the end of the table, of every path that was measured within the last day. Pure: the same past and training give the same. */
  forecast(table: PathTable, classes: readonly TrafficClass[], horizon: number, now: number): PathQualityForecast;
}

export function createPathForecaster(): PathForecaster {
  let contest: PathContest | null = null;
  let fit: FigureFit = UNFITTED;
  return {
    async train(table, classes, horizon, seed, pause) {
      const past = new PathPast({ table, bounds: classes.map(({ sla }) => sla), horizon });
      await pause();
      const held = await holdPathContest(past, seed, pause);
      await pause();
      fit = fitFigures(table, horizon, Math.floor(table.length * FIGURES_FROM));
      contest = held ?? contest;
      return held && { champion: held.champion, skill: held.skill };
    },
    forecast: (table, classes, horizon, now) => ({
      madeAt: now,
      fromAt: table.startAt + table.length * table.slotMs,
      slotMs: table.slotMs,
      horizonMs: horizon * table.slotMs,
      model: contest?.champion ?? 'climatology',
      backtest: (contest?.backtest ?? []).map(({ model, brier, logLoss }) => ({ model, brier: roundTo(brier, 6), logLoss: roundTo(logLoss, 6) })),
      skill: roundTo(contest?.skill ?? 0, 4),
      paths: forecastPaths(table, classes, horizon, contest, fit),
    }),
  };
}

function forecastPaths(table: PathTable, classes: readonly TrafficClass[], horizon: number, contest: PathContest | null, fit: FigureFit): PathForecast[] {
  const past = new PathPast({ table, bounds: classes.map(({ sla }) => sla), horizon });
  const measured = table.series.flatMap((series, path) => (past.broken.some((flags) => isMeasured(flags[path]!, table.length, table.slotsPerDay)) ? [{ series, path }] : []));
  const writer = new FeatureWriter(past);
  const inputs: Inputs = { rows: measured.length * classes.length, columns: FEATURES.map(() => new Float32Array(measured.length * classes.length)) };
  const isNew: boolean[] = [];
  for (const [index, { path }] of measured.entries()) {
    for (const bounds of classes.keys()) {
      const view = writer.select(bounds, path, table.length);
      writer.write(table.length, inputs.columns, index * classes.length + bounds);
      isNew.push(contest === null || view.windowsSeen(table.length) < WINDOWS_MIN);
    }
  }
  const rates = new Climatology().predict(inputs);
  const learned = contest ? contest.predict(inputs) : rates;
  const quantilesOf = (series: PathSeries, figure: Figure): PathForecast[Figure] => {
    const quantiles = figureQuantiles(table, fit, series, figure, horizon, table.length);
    return quantiles && { p50: roundTo(quantiles.p50, 4), p90: roundTo(quantiles.p90, 4), p95: roundTo(quantiles.p95, 4) };
  };
  const forecasts = measured.map(({ series }, index): PathForecast => {
    const rowOf = (bounds: number): number => index * classes.length + bounds;
    return {
      path: series.path,
      latencyMs: quantilesOf(series, 'latencyMs'),
      jitterMs: quantilesOf(series, 'jitterMs'),
      lossRatio: quantilesOf(series, 'lossRatio'),
      violations: classes.map(({ id }, bounds) => ({ classId: id, probability: roundTo((isNew[rowOf(bounds)] ? rates : learned)[rowOf(bounds)]!, 4) })),
      basis: isNew[rowOf(0)] ? 'pool' : 'model',
    };
  });
  return forecasts.sort((left, right) => compareText(left.path, right.path));
}
