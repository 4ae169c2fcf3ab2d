import { emptyForecasts, setMedian, StatelessModel, type ForecastModel, type Origin, type QuantileForecasts } from './forecast-model.ts';
import type { SeriesTable } from './series-table.ts';

const WEIGHT_OF_NEWEST = 0.3;
/** Older slots weigh less than a thousandth. */
const SLOTS_BACK = 20;

/** The level of the last slots, newer ones weighing more, for the whole horizon. Needs one value. */
export class EwmaModel extends StatelessModel implements ForecastModel {
  readonly name = 'ewma';

  canForecast(): boolean {
    return true;
  }

  forecast(table: SeriesTable, origins: readonly Origin[], horizon: number): Promise<QuantileForecasts> {
    const result = emptyForecasts(origins.length, horizon);
    origins.forEach((origin, index) => {
      const level = levelBefore(table, origin);
      for (let step = 0; step < horizon; step++) setMedian(result, index, step, level);
    });
    return Promise.resolve(result);
  }
}

function levelBefore(table: SeriesTable, origin: Origin): number {
  const { values, filled } = table.series[origin.series]!;
  let level = Number.NaN;
  for (let slot = Math.max(0, origin.slot - SLOTS_BACK); slot < origin.slot; slot++) {
    const value = values[slot]!;
    if (Number.isNaN(value)) continue;
    level = Number.isNaN(level) ? value : level + WEIGHT_OF_NEWEST * (value - level);
  }
  // Silent for long: what the gap was filled with is the best guess there is.
  return Number.isNaN(level) ? (filled[origin.slot - 1] ?? 0) : level;
}
