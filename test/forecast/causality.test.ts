import * as fc from 'fast-check';
import { expect, it } from 'vitest';
import { generateHistory } from '../../src/forecast/index.ts';
import { applyCalibration, calibrate } from '../../src/forecast/conformal.ts';
import { EwmaModel } from '../../src/forecast/ewma.ts';
import { makeFeatures } from '../../src/forecast/lstm-features.ts';
import { SeasonalNaiveModel } from '../../src/forecast/seasonal-naive.ts';
import { makeTable, type SeriesTable } from '../../src/forecast/series-table.ts';
import { MIDNIGHT, SLOT_MS, SLOTS_PER_DAY, twentyDemands } from './meshes.ts';

const HORIZON = 12;
const history = generateHistory({ demands: twentyDemands().slice(0, 2), slotMs: SLOT_MS, slotsPerDay: SLOTS_PER_DAY, days: 9, endAt: MIDNIGHT, seed: 'causality' });

/** The table with everything from `slot` on replaced. */
function withFuture(slot: number, value: number | null): SeriesTable {
  return makeTable(history.map((series) => ({ ...series, mbps: series.mbps.map((known, index) => (index < slot ? known : value)) })), MIDNIGHT, SLOT_MS, SLOTS_PER_DAY);
}

it('uses nothing from after the origin, in any model: another future changes no number', async () => {
  await fc.assert(
    fc.asyncProperty(fc.integer({ min: SLOTS_PER_DAY, max: 9 * SLOTS_PER_DAY - 1 }), fc.option(fc.double({ min: 0, max: 1e6, noNaN: true })), async (slot, value) => {
      const [one, other] = [withFuture(slot, value), withFuture(slot, 1)];
      const origins = [{ series: 0, slot }, { series: 1, slot }];
      expect(makeFeatures(one, origins, 12, HORIZON)).toEqual(makeFeatures(other, origins, 12, HORIZON));
      for (const model of [new EwmaModel(), new SeasonalNaiveModel()]) {
        expect(await model.forecast(one, origins, HORIZON)).toEqual(await model.forecast(other, origins, HORIZON));
      }
    }),
    { numRuns: 60 },
  );
});

it('moves the upper quantiles to where they hold as often as they say, and never lets them cross', async () => {
  const table = makeTable(history, MIDNIGHT, SLOT_MS, SLOTS_PER_DAY);
  const model = new EwmaModel();
  const origins = Array.from({ length: 400 }, (_, index) => ({ series: index % 2, slot: 2 * SLOTS_PER_DAY + index }));
  const raw = await model.forecast(table, origins, HORIZON);
  const { values } = applyCalibration(table, origins, raw, calibrate(table, origins, await model.forecast(table, origins, HORIZON)));
  let [held90, held95] = [0, 0];
  const cells = origins.length * HORIZON;
  for (let cell = 0; cell < cells; cell++) {
    const [p50, p90, p95] = [values[cell * 3]!, values[cell * 3 + 1]!, values[cell * 3 + 2]!];
    expect(0 <= p50 && p50 <= p90 && p90 <= p95).toBe(true);
    const origin = origins[Math.floor(cell / HORIZON)]!;
    const actual = table.series[origin.series]!.values[origin.slot + (cell % HORIZON)]!;
    held90 += actual <= p90 ? 1 : 0;
    held95 += actual <= p95 ? 1 : 0;
  }
  expect(held90 / cells).toBeGreaterThanOrEqual(0.9);
  expect(held90 / cells).toBeLessThan(0.92);
  expect(held95 / cells).toBeGreaterThanOrEqual(0.95);
  expect(held95 / cells).toBeLessThan(0.97);
});
