/** How long samples stay as they came, then as windows of 5 minutes, then of 1 hour; ms. */
export interface Retention {
  rawMs: number;
  fiveMinutesMs: number;
  hoursMs: number;
}

const DAY_MS = 86_400_000;

export const DEFAULT_RETENTION: Retention = { rawMs: 2 * DAY_MS, fiveMinutesMs: 30 * DAY_MS, hoursMs: 730 * DAY_MS };

/** Window lengths after the first and second roll-up, ms. */
export const DOWN_SAMPLING = { fiveMinutesMs: 300_000, hourMs: 3_600_000 } as const;

/**
 * The instants before which windows move on. A rolled-up row is a sample with a longer window, and each sample is in
 * exactly one table: rows are moved, in one transaction, and added to what is there. So a late sample is only moved
 * later, a second roll-up finds nothing to move, and reading is one sum over all tables.
 */
export function rollUpBounds(now: number, retention: Retention): { rawBefore: number; fiveMinutesBefore: number; hoursBefore: number } {
  const floorTo = (at: number, stepMs: number): number => Math.floor(at / stepMs) * stepMs;
  return {
    rawBefore: floorTo(now - retention.rawMs, DOWN_SAMPLING.fiveMinutesMs),
    fiveMinutesBefore: floorTo(now - retention.fiveMinutesMs, DOWN_SAMPLING.hourMs),
    hoursBefore: floorTo(now - retention.hoursMs, DOWN_SAMPLING.hourMs),
  };
}
