import { emptyForecasts, setMedian, StatelessModel, type ForecastModel, type Origin, type QuantileForecasts } from './forecast-model.ts';
import { firstKnownSlot, type SeriesTable } from './series-table.ts';

/** The same slot of last week where a week is known, else of yesterday. Needs a day and the horizon. */
export class SeasonalNaiveModel extends StatelessModel implements ForecastModel {
  readonly name = 'seasonal-naive';

  canForecast(table: SeriesTable, origin: Origin): boolean {
    return firstKnownSlot(table, origin) <= origin.slot - table.slotsPerDay;
  }

  forecast(table: SeriesTable, origins: readonly Origin[], horizon: number): Promise<QuantileForecasts> {
    const result = emptyForecasts(origins.length, horizon);
    origins.forEach((origin, index) => {
      const { filled } = table.series[origin.series]!;
      const hasWeek = firstKnownSlot(table, origin) <= origin.slot - 7 * table.slotsPerDay;
      const season = (hasWeek ? 7 : 1) * table.slotsPerDay;
      for (let step = 0; step < horizon; step++) {
        let slot = origin.slot + step - season;
        while (slot >= origin.slot) slot -= season;
        setMedian(result, index, step, filled[slot] ?? 0);
      }
    });
    return Promise.resolve(result);
  }
}
