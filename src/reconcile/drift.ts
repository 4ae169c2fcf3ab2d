import { roundTo } from '../base/index.ts';
import type { Forecast, Observation } from '../model/index.ts';

/** Slots that the figure looks back on, and how many it needs before it says anything. */
const SLOTS_KEPT = 12;
const SLOTS_NEEDED = 3;

export interface DriftMeter {
  /** Remembers what is expected of slots that have not begun yet; a later forecast of the same slot replaces it. */
  expect(forecast: Forecast, now: number): void;
  /** Compares the slot that ended last with what was expected of it. */
  observe(observation: Observation): void;
  /** How much worse recent forecasts were than the back-test promised, in WAPE (Σ|y − p50| / Σy); 0 when not worse or not known yet. */
  drift(forecast: Forecast | null): number;
}

/** Watches whether forecasts come true. Holds no state that matters after a restart: it starts from 0 again. */
export function createDriftMeter(): DriftMeter {
  const expected = new Map<number, Map<string, number>>();
  const slots: { endAt: number; error: number; total: number }[] = [];
  return {
    expect(forecast, now) {
      for (const demand of forecast.demands) {
        for (const slot of demand.slots) {
          if (slot.startAt < now) continue;
          const of = expected.get(slot.startAt) ?? new Map<string, number>();
          of.set(keyOf(demand), slot.p50);
          expected.set(slot.startAt, of);
        }
      }
    },
    observe(observation) {
      const startAt = observation.lastSlotEndAt - observation.slotMs;
      const forecast = expected.get(startAt);
      for (const key of expected.keys()) if (key <= startAt) expected.delete(key);
      if (!forecast || slots.some(({ endAt }) => endAt === observation.lastSlotEndAt)) return;
      let error = 0;
      let total = 0;
      for (const series of observation.demands) {
        const actual = series.mbps.at(-1);
        const guess = forecast.get(keyOf(series));
        if (actual === null || actual === undefined || guess === undefined) continue;
        error += Math.abs(actual - guess);
        total += actual;
      }
      slots.push({ endAt: observation.lastSlotEndAt, error, total });
      if (slots.length > SLOTS_KEPT) slots.shift();
    },
    drift(forecast) {
      const promised = forecast?.backtest.find(({ model }) => model === forecast.model)?.wape ?? 1;
      const total = slots.reduce((sum, slot) => sum + slot.total, 0);
      if (slots.length < SLOTS_NEEDED || total <= 0) return 0;
      const recent = slots.reduce((sum, slot) => sum + slot.error, 0) / total;
      return roundTo(Math.max(0, recent - promised), 3);
    },
  };
}

function keyOf(demand: { from: string; to: string; classId: string }): string {
  return `${demand.from}>${demand.to}#${demand.classId}`;
}
