import { describe, expect, it } from 'vitest';
import { createLog, createRng, VirtualClock } from '../../src/base/index.ts';
import { loadIntent, readConfigFolder } from '../../src/intent/index.ts';
import { classId, siteId, type DemandSeries, type Forecast, type Observation } from '../../src/model/index.ts';
import { createAnomalyKeeper } from '../../src/reconcile/anomalies/anomaly-keeper.ts';
import { createMemoryStore } from '../../src/telemetry/index.ts';

const loaded = loadIntent(await readConfigFolder('.'), null);
if (!loaded.ok) throw new Error('the example mesh is not sound');
const { intent } = loaded.value;
const { slotMs, slotsPerDay } = intent.mesh.forecast;
const START = Date.UTC(2026, 0, 5);
const WEEK = 7 * slotsPerDay;
const PAIR = { from: siteId('berlin'), to: siteId('paris'), classId: classId('bulk') };

/** What was offered up to a slot: about 10 Mbit/s, times `factor` from slot `since` on. */
function observation(untilSlot: number, since = Infinity, factor = 1): Observation {
  const slots = Math.min(untilSlot, WEEK);
  const mbps = Array.from({ length: slots }, (_, index) => {
    const slot = untilSlot - slots + index;
    return 10 * Math.exp(0.1 * createRng(`slot ${slot}`).gaussian()) * (slot >= since ? factor : 1);
  });
  const demands: DemandSeries[] = [{ ...PAIR, mbps }];
  const lastSlotEndAt = START + untilSlot * slotMs;
  return { observedAt: lastSlotEndAt, slotMs, lastSlotEndAt, demands, paths: [], tunnels: [], nodes: [] };
}

function forecastOf(of: Observation, p50: number): Forecast {
  const slots = Array.from({ length: intent.mesh.forecast.horizonSlots }, (_, index) => ({ startAt: of.lastSlotEndAt + index * slotMs, p50, p90: p50, p95: p50 }));
  return { madeAt: of.observedAt, slotMs, model: 'test', backtest: [], demands: [{ ...PAIR, slots }] };
}

function keeper() {
  const clock = new VirtualClock(START + WEEK * slotMs);
  return createAnomalyKeeper({ store: createMemoryStore({ clock }), log: createLog('test', 'silent') });
}

describe('anomalies in the engine', () => {
  it('are told once the slots are there, however often it looks', async () => {
    const watch = keeper();
    await watch.observe(observation(WEEK), intent);
    expect(watch.anomalies()).toEqual([]);
    for (let slot = 1; slot <= 8; slot++) {
      const now = observation(WEEK + slot, WEEK + 1, 5);
      await watch.observe(now, intent);
      await watch.observe(now, intent);
    }
    expect(watch.anomalies().map(({ kind, to, endedAt }) => [kind, to, endedAt])).toEqual([['surge', 'paris', null]]);
  });

  it('are the same after a restart, with the same id', async () => {
    const before = keeper();
    await before.observe(observation(WEEK), intent);
    for (let slot = 1; slot <= 8; slot++) await before.observe(observation(WEEK + slot, WEEK + 1, 5), intent);
    const after = keeper();
    await after.observe(observation(WEEK + 8, WEEK + 1, 5), intent);
    expect(after.anomalies().map(({ id, kind }) => [id, kind])).toEqual(before.anomalies().map(({ id, kind }) => [id, kind]));
  });

  it('are no surge where the forecast that was made before said so', async () => {
    const watch = keeper();
    await watch.observe(observation(WEEK), intent);
    for (let slot = 0; slot < 12; slot++) {
      const now = observation(WEEK + slot, WEEK + 6, 5);
      await watch.observe(now, intent);
      const forecast = forecastOf(now, 10);
      // a launch that was in the calendar: the models knew of it all the time
      for (const one of forecast.demands[0]!.slots) if (one.startAt >= START + (WEEK + 6) * slotMs) one.p50 = 50;
      watch.expect(forecast, now);
    }
    expect(watch.anomalies()).toEqual([]);
  });
});
