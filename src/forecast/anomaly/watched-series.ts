import { PairWatch, type Unusual, type WatchedSlot } from './pair-watch.ts';
import { anomalyWindows, type AnomalySettings, type AnomalyWindows } from './settings.ts';
import type { SlotForecaster } from './slot-forecaster.ts';

/** Medians for one slot that somebody else forecast a short and a long window before it; null where nobody did. */
export type ForeseenSlot = Omit<WatchedSlot, 'mbps'>;

/** One demand with a cheap forecast of its own, which counts where nobody else forecasts: in the bench, and before the engine's models are trained. */
export class WatchedSeries {
  readonly watch: PairWatch;
  private readonly forecaster: SlotForecaster;
  private readonly windows: AnomalyWindows;
  /** Forecasts of the slots to come, made `short` and `long` slots before; the next slot's first. */
  private readonly pending: { short: (number | null)[]; long: (number | null)[] };

  constructor(settings: AnomalySettings, forecaster: SlotForecaster, from?: WatchedSeries) {
    this.forecaster = forecaster;
    this.windows = anomalyWindows(settings);
    this.watch = from ? from.watch.clone() : new PairWatch(settings);
    const nothing = (count: number): null[] => Array<null>(count).fill(null);
    this.pending = from ? { short: [...from.pending.short], long: [...from.pending.long] } : { short: nothing(this.windows.short), long: nothing(this.windows.long) };
  }

  clone(settings: AnomalySettings): WatchedSeries {
    return new WatchedSeries(settings, this.forecaster.clone(), this);
  }

  /** @param mbps  null where unknown */
  step(mbps: number | null, foreseen: ForeseenSlot = { shortP50: null, longP50: null }): Unusual | null {
    const [shortP50, longP50] = [this.pending.short.shift() ?? null, this.pending.long.shift() ?? null];
    const found = this.watch.step({ mbps, shortP50: foreseen.shortP50 ?? shortP50, longP50: foreseen.longP50 ?? longP50 });
    this.forecaster.step(mbps ?? Number.NaN);
    this.pending.short.push(this.forecaster.ahead(this.windows.short));
    this.pending.long.push(this.forecaster.ahead(this.windows.long));
    return found;
  }
}
