import type { ClassId, Forecast, SiteId } from '../model/index.ts';

/** Slots that are remembered: a day of quarters of an hour. */
const SLOTS_KEPT = 96;

/** What was forecast for slots that have come since, so that a forecast can be told beside how the last ones came out. */
export interface ForecastMemory {
  /** Remembers the first forecast of each slot that has not begun: the one that plans were made on. */
  remember(forecast: Forecast, now: number): void;
  expectedAt(demand: { from: SiteId; to: SiteId; classId: ClassId }, startAt: number): { p50: number; p95: number } | null;
}

/** Begins empty after a restart; the scores that decide are kept elsewhere. */
export function createForecastMemory(): ForecastMemory {
  const slots = new Map<number, Map<string, { p50: number; p95: number }>>();
  return {
    remember(forecast, now) {
      for (const demand of forecast.demands) {
        const key = keyOf(demand);
        for (const { startAt, p50, p95 } of demand.slots) {
          if (startAt < now) continue;
          const of = slots.get(startAt) ?? new Map<string, { p50: number; p95: number }>();
          slots.set(startAt, of);
          if (!of.has(key)) of.set(key, { p50, p95 });
        }
      }
      const ended = [...slots.keys()].filter((startAt) => startAt < now).sort((left, right) => left - right);
      for (const startAt of ended.slice(0, Math.max(0, ended.length - SLOTS_KEPT))) slots.delete(startAt);
    },
    expectedAt: (demand, startAt) => slots.get(startAt)?.get(keyOf(demand)) ?? null,
  };
}

function keyOf(demand: { from: string; to: string; classId: string }): string {
  return `${demand.from}>${demand.to}#${demand.classId}`;
}
