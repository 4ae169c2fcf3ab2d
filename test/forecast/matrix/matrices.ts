import { createRng } from '../../../src/base/index.ts';
import type { DemandMatrix } from '../../../src/forecast/index.ts';

/** Synthetic days of 96 slots: a sine of the day on a level of its own for each pair, and noise, both relative to the level. */
export function dailyMatrix({ pairs, days, noise = 0.1, shape = 0.6 }: { pairs: number; days: number; noise?: number; shape?: number }): DemandMatrix {
  const length = Math.round(days * 96);
  const values = Array.from({ length: pairs }, (_, pair) => {
    const rng = createRng(`matrix/${pair}`);
    const level = 10 * (pair + 1);
    return Float32Array.from({ length }, (_, slot) => Math.max(0, level * (1 + shape * Math.sin((2 * Math.PI * (slot + 5 * pair)) / 96) + noise * rng.gaussian())));
  });
  return {
    pairs: values.map((_, pair) => `s${pair}>d${pair}`),
    startAt: Date.UTC(2026, 0, 5),
    stepMs: 900_000,
    slotsPerDay: 96,
    length,
    values,
    rowSlots: Int32Array.from({ length }, (_, slot) => slot),
  };
}
