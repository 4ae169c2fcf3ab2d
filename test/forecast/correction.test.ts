import { beforeAll, describe, expect, it } from 'vitest';
import { createRng } from '../../src/base/index.ts';
import type { DemandSeries } from '../../src/model/index.ts';
import { generateHistory } from '../../src/forecast/index.ts';
import { makeCandidates } from '../../src/forecast/candidates.ts';
import { makeMatrix } from '../../src/forecast/demand-series.ts';
import { forecastSlots, originsSince } from '../../src/forecast/forecast-slots.ts';
import { joinObservation } from '../../src/forecast/join-observation.ts';
import { trainModels, type TrainedState } from '../../src/forecast/train-models.ts';
import { MIDNIGHT, observationOf, SETTINGS, SLOT_MS, SLOTS_PER_DAY, twentyDemands } from './meshes.ts';

describe('what learned models are corrected by between two trainings', () => {
  const all = generateHistory({ demands: twentyDemands().slice(0, 12), slotMs: SLOT_MS, slotsPerDay: SLOTS_PER_DAY, days: 8, endAt: MIDNIGHT + SLOTS_PER_DAY * SLOT_MS, seed: 'correction' });
  const past = all.map((series) => ({ ...series, mbps: series.mbps.slice(0, -SLOTS_PER_DAY) }));
  const calm = all.map((series) => ({ ...series, mbps: series.mbps.slice(-SLOTS_PER_DAY) }));
  /** The same day at the same level, but nobody knows from slot to slot what comes. */
  const restless = calm.map((series, index) => {
    const rng = createRng(`restless/${index}`);
    return { ...series, mbps: series.mbps.map((value) => value! * Math.exp(0.45 * rng.gaussian() - 0.1)) };
  });
  let state: TrainedState;
  let uncorrected: TrainedState;

  beforeAll(async () => {
    const history = { ...makeMatrix(past, MIDNIGHT, SLOT_MS, SLOTS_PER_DAY), covariates: [] };
    state = await trainModels(makeCandidates(['boosted'], { boosted: { rounds: 25, rowsMax: 3000, leavesMax: 8 } }, 'quick'), history, SETTINGS, 'seed', () => undefined, (text) => expect.unreachable(text));
    uncorrected = { ...state, models: state.models.map((trained) => ({ ...trained, corrections: new Map() })) };
  });

  const forecast = (by: TrainedState, day: readonly DemandSeries[], slot: number) => {
    const observation = observationOf(day.map((series) => ({ ...series, mbps: series.mbps.slice(0, slot) })), MIDNIGHT + slot * SLOT_MS);
    const joined = joinObservation(by.history, observation, SETTINGS);
    joined.matrix.covariates = [];
    return forecastSlots(by, joined, SETTINGS, observation);
  };
  /** Share of the cells of the day's second half that p95 held. */
  async function held(by: TrainedState, day: readonly DemandSeries[]): Promise<number> {
    let [covered, cells] = [0, 0];
    for (let slot = SLOTS_PER_DAY / 2; slot + SETTINGS.horizonSlots <= SLOTS_PER_DAY; slot += 6) {
      const { slots } = await forecast(by, day, slot);
      day.forEach(({ mbps }, pair) => slots[pair]!.forEach(({ p95 }, step) => ((cells += 1), (covered += mbps[slot + step]! <= p95 ? 1 : 0))));
    }
    return covered / cells;
  }

  it('widens the band on a day that is more restless than any before, and leaves that of a usual day', async () => {
    const [with_, without] = [await held(state, restless), await held(uncorrected, restless)];
    const [usual, usualWithout] = [await held(state, calm), await held(uncorrected, calm)];
    console.log(`forecast: p95 holds on a restless day ${(100 * with_).toFixed(1)} %, uncorrected ${(100 * without).toFixed(1)} %; on a usual one ${(100 * usual).toFixed(1)}, ${(100 * usualWithout).toFixed(1)} %`);
    expect(with_).toBeGreaterThan(without + 0.02);
    expect(Math.abs(usual - usualWithout)).toBeLessThan(0.03);
  });

  it('depends on the observation alone, not on what was forecast before', async () => {
    const first = await forecast(state, restless, 60);
    await forecast(state, calm, 80);
    await forecast(state, restless, 90);
    expect(await forecast(state, restless, 60)).toEqual(first);
  });

  it('rests on evenly spread slots since the end of what was learned, fewer the more pairs there are, none right after it', () => {
    const matrixOf = (pairs: number, slotsSince: number) => ({ ...makeMatrix([], MIDNIGHT, SLOT_MS, SLOTS_PER_DAY), pairs: Array.from({ length: pairs }, () => ''), startAt: MIDNIGHT - 500 * SLOT_MS, length: 500 + slotsSince });
    const origins = (pairs: number, slotsSince: number): number[] => [...originsSince({ window: { endAt: MIDNIGHT, slots: 500 }, anchors: [1, 2, 4, 8] }, matrixOf(pairs, slotsSince))];
    expect(origins(10, 0)).toEqual([499]);
    expect(origins(10, 3)).toEqual([499, 500, 501, 502]);
    expect(origins(10, 300)).toHaveLength(97);
    expect(origins(100, 40)).toEqual([499, 503, 507, 511, 515, 519, 523, 527, 531, 535, 539]);
    expect(origins(250, 40)).toEqual([499, 509, 519, 529, 539]);
    expect(origins(251, 40)).toEqual([539]);
  });
});
