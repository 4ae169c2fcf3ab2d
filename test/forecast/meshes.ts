import { classId, siteId } from '../../src/model/index.ts';
import type { DemandSeries, ForecastSettings, Observation } from '../../src/model/index.ts';
import type { HistoryOptions } from '../../src/forecast/index.ts';

export const SLOT_MS = 900_000;
export const SLOTS_PER_DAY = 96;
export const SETTINGS: ForecastSettings = { slotMs: SLOT_MS, slotsPerDay: SLOTS_PER_DAY, horizonSlots: 12, provision: 'p95' };
/** A Wednesday's midnight. */
export const MIDNIGHT = Date.UTC(2026, 0, 21);

/** As many demands as the demo has, of very different size. */
export function twentyDemands(): HistoryOptions['demands'] {
  return Array.from({ length: 20 }, (_, index) => ({
    from: siteId(`site-${index % 5}`),
    to: siteId(`site-${5 + (index % 7)}`),
    classId: classId(`class-${index % 3}`),
    baseMbps: 0.5 + (index % 4),
    peakMbps: 5 + 3 * (index % 9),
  }));
}

export function observationOf(demands: readonly DemandSeries[], lastSlotEndAt: number, slotMs = SLOT_MS): Observation {
  return { observedAt: lastSlotEndAt + 1, slotMs, lastSlotEndAt, demands: [...demands], paths: [], tunnels: [], nodes: [] };
}

/** The last `slots` values of series that end at `endAt`, less the last `without`. */
export function tail(history: readonly DemandSeries[], slots: number, without = 0): DemandSeries[] {
  return history.map((series) => ({ ...series, mbps: series.mbps.slice(series.mbps.length - slots - without, series.mbps.length - without) }));
}
