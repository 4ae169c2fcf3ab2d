import { describe, expect, it, vi } from 'vitest';
import { classId, dayCurve, peakMbps, siteId } from '../../src/model/index.ts';
import type { DemandForecast, DemandSeries } from '../../src/model/index.ts';
import { createForecaster, createInlineForecaster, generateHistory, MODEL_NAMES, prioritiseDemands, type Forecaster, type TrainingResult } from '../../src/forecast/index.ts';
import { SeasonalNaive } from '../../src/forecast/matrix/baselines.ts';
import { MIDNIGHT, observationOf, SETTINGS, SLOT_MS, SLOTS_PER_DAY, tail, twentyDemands } from './meshes.ts';

const BASELINES = { models: ['seasonal-naive', 'ewma'] };
const train = (forecaster: Forecaster, history: readonly DemandSeries[]): Promise<TrainingResult> => forecaster.train({ history, settings: SETTINGS, endAt: MIDNIGHT, seed: 'seed', effort: 'quick' });
const history = (days: number, more: object = {}): DemandSeries[] => generateHistory({ demands: twentyDemands().slice(0, 4), slotMs: SLOT_MS, slotsPerDay: SLOTS_PER_DAY, days, endAt: MIDNIGHT, seed: 'forecaster-test', ...more });

describe('a forecaster', () => {
  it('forecasts a mesh without any history by its smoothed level', async () => {
    const forecaster = await createInlineForecaster();
    const forecast = await forecaster.forecast(observationOf([{ ...history(1)[0]!, mbps: [null, 4, 6, 5] }], MIDNIGHT), SETTINGS);
    expect(forecast).toMatchObject({ model: 'ewma', backtest: [], slotMs: SLOT_MS, madeAt: MIDNIGHT + 1 });
    const [slot] = forecast.demands[0]!.slots;
    expect(slot!.p50).toBeGreaterThan(4);
    expect(slot!.p50).toBeLessThan(6);
    expect(slot!.p95).toBeGreaterThan(slot!.p50);
  });

  it('forecasts nothing as nothing', async () => {
    const forecaster = await createInlineForecaster(BASELINES);
    expect(await train(forecaster, [])).toMatchObject({ backtest: [], serving: [] });
    expect((await forecaster.forecast(observationOf([], MIDNIGHT), SETTINGS)).demands).toEqual([]);
    const silent = await forecaster.forecast(observationOf([{ ...history(1)[0]!, mbps: [null, null] }], MIDNIGHT), SETTINGS);
    expect(silent.demands[0]!.slots.every((slot) => slot.p50 === 0)).toBe(true);
  });

  it('uses and names the model that did best on the last part of history', async () => {
    const forecaster = await createInlineForecaster(BASELINES);
    const scores = (await train(forecaster, history(10, { weekendFactor: 1 }))).backtest;
    expect(scores.map((score) => score.model)).toEqual(['seasonal-naive', 'ewma']);
    expect((await forecaster.forecast(observationOf(tail(history(10), 8), MIDNIGHT), SETTINGS)).model).toBe('seasonal-naive');

    const walk = history(10).map((series, index) => ({ ...series, mbps: randomWalk(series.mbps.length, index) }));
    expect((await train(forecaster, walk)).backtest[0]!.model).toBe('ewma');
    expect((await forecaster.forecast(observationOf(tail(walk, 8), MIDNIGHT), SETTINGS)).model).toBe('ewma');
  });

  it('forecasts a pair that is new by its smoothed level, while the others keep the winner', async () => {
    const forecaster = await createInlineForecaster(BASELINES);
    const known = history(10, { weekendFactor: 1 });
    await train(forecaster, known);
    const fresh = { from: siteId('oslo'), to: siteId('rome'), classId: classId('bulk'), mbps: [7, 7, 7, 7, 7, 7, 7, 7] };
    const forecast = await forecaster.forecast(observationOf([...tail(known, 8), fresh], MIDNIGHT), SETTINGS);
    expect(forecast.model).toBe('seasonal-naive');
    expect(forecast.demands.find((demand) => demand.from === 'oslo')!.slots.every((slot) => Math.abs(slot.p50 - 7) < 0.1)).toBe(true);
  });

  it('says which model failed and forecasts with the next', async () => {
    const notices: string[] = [];
    const forecaster = await createInlineForecaster({ models: ['ewma', 'seasonal-naive'], onNotice: (text) => notices.push(text) });
    await train(forecaster, history(10, { weekendFactor: 1 }));
    const failing = vi.spyOn(SeasonalNaive.prototype, 'run').mockImplementation((_matrix, _pair, _steps, out) => out.fill(Number.NaN));
    const forecast = await forecaster.forecast(observationOf(tail(history(10), 8), MIDNIGHT), SETTINGS);
    failing.mockRestore();
    expect(forecast.model).toBe('ewma (seasonal-naive gave numbers that are none)');
    expect(notices).toEqual(['seasonal-naive gave numbers that are none; the next best model forecasts instead']);
  });

  it('gives the answer it gave when nothing has changed, and another one after a slot, a correction or a training', async () => {
    const forecaster = await createInlineForecaster(BASELINES);
    await train(forecaster, history(10, { weekendFactor: 1 }));
    const run = vi.spyOn(SeasonalNaive.prototype, 'run');
    const seen = tail(history(10, { weekendFactor: 1 }), 8);
    const ask = async (observed: DemandSeries[], at = MIDNIGHT): Promise<{ demands: DemandForecast[]; asked: boolean }> => {
      run.mockClear();
      const { demands } = await forecaster.forecast(observationOf(observed, at), SETTINGS);
      return { demands, asked: run.mock.calls.length > 0 };
    };
    const first = await ask(seen);
    expect(first.asked).toBe(true);
    expect(await ask(structuredClone(seen))).toEqual({ ...first, asked: false });
    const corrected = seen.map((series, pair) => (pair === 1 ? { ...series, mbps: series.mbps.map((value, slot) => (slot === 3 ? 9 * (value ?? 0) : value)) } : series));
    expect((await ask(corrected)).asked, 'a late report').toBe(true);
    expect(await ask(seen), 'and back').toEqual(first);
    expect((await ask(seen.map((series) => ({ ...series, mbps: [...series.mbps.slice(1), null] })), MIDNIGHT + SLOT_MS)).asked, 'a slot without reports').toBe(true);
    await ask(seen);
    const kept = (await forecaster.dump())!;
    await forecaster.restore(kept, 3);
    expect(await ask(seen), 'taken up again').toEqual(first);
    run.mockRestore();
  });

  it('leaves out a model that cannot learn, and says so', async () => {
    const notices: string[] = [];
    const forecaster = await createInlineForecaster({ boosted: { learningRate: Number.NaN, rounds: 2 }, onNotice: (text) => notices.push(text) });
    const { backtest } = await train(forecaster, history(7));
    const without = ['boosted', 'ensemble'];
    expect(backtest.map(({ model }) => model).toSorted()).toEqual(MODEL_NAMES.filter((name) => !without.includes(name)).toSorted());
    expect(notices).toEqual([expect.stringMatching(/^boosted is left out: /), 'ensemble is left out: it needs boosted']);
  });

  it('forecasts further ahead than it was trained for as far as it goes, until it is trained again', async () => {
    const forecaster = await createInlineForecaster(BASELINES);
    await train(forecaster, history(10));
    const { demands } = await forecaster.forecast(observationOf(tail(history(10), 8), MIDNIGHT), { ...SETTINGS, horizonSlots: 20 });
    expect(demands.every(({ slots }) => slots.length === 20 && slots.every(({ p50, p95 }) => p50 >= 0 && p95 >= p50))).toBe(true);
  });

  it('survives gaps, zeros and nonsense in what it is given', async () => {
    const forecaster = await createInlineForecaster(BASELINES);
    const holes = history(10).map((series, index) => ({ ...series, mbps: series.mbps.map((value, slot) => (index === 0 ? 0 : (slot + index) % 5 === 0 ? null : index === 1 && slot % 7 === 0 ? Number.NaN : value)) }));
    await train(forecaster, holes);
    const forecast = await forecaster.forecast(observationOf(tail(holes, 30), MIDNIGHT), SETTINGS);
    expect(forecast.demands.flatMap((demand) => demand.slots).every((slot) => slot.p50 >= 0 && slot.p95 >= slot.p90 && Number.isFinite(slot.p95))).toBe(true);
    expect(forecast.demands.find((demand) => demand.from === holes[0]!.from && demand.to === holes[0]!.to && demand.classId === holes[0]!.classId)!.slots[0]!.p95).toBeLessThan(0.01);
  });

  it('refuses a model it does not have', async () => {
    await expect(createForecaster({ models: ['oracle'] })).rejects.toMatchObject({ code: 'FORECAST_FAILED' });
  });
});

describe('generated history', () => {
  it('is the same for the same seed, and another for another', () => {
    expect(history(3)).toEqual(history(3));
    expect(history(3)).not.toEqual(history(3, { seed: 'other' }));
  });

  it('lines its days up with the day curve that senders follow', () => {
    const [series] = history(5, { noiseRatio: 0, burstsPerDay: 0, trendPerDayMax: 0, weekendFactor: 1 });
    const { baseMbps, peakMbps } = twentyDemands()[0]!;
    const day = series!.mbps.slice(-SLOTS_PER_DAY);
    day.forEach((value, slot) => expect(value).toBeCloseTo(baseMbps + (peakMbps - baseMbps) * dayCurve((slot + 0.5) / SLOTS_PER_DAY), 6));
  });

  it('is quieter at the weekend', () => {
    const [series] = history(7, { noiseRatio: 0, burstsPerDay: 0 });
    const noons = Array.from({ length: 7 }, (_, day) => Math.round(series!.mbps[day * SLOTS_PER_DAY + 43]! * 10) / 10);
    const weekdays = Array.from({ length: 7 }, (_, day) => new Date(MIDNIGHT - (7 - day) * 86_400_000).getUTCDay());
    noons.forEach((value, day) => expect(value < 0.7 * Math.max(...noons)).toBe(weekdays[day] === 0 || weekdays[day] === 6));
  });
});

describe('the prioritised list', () => {
  const demand = (from: string, klass: string, p95: number): DemandForecast => ({ from: siteId(from), to: siteId('x'), classId: classId(klass), slots: [{ startAt: 0, p50: 0, p90: 0, p95 }] });
  const demands = [demand('a', 'bulk', 9), demand('b', 'voice', 1), demand('c', 'voice', 3), demand('d', 'other', 50), demand('a', 'other', 50)];

  it('has the heaviest first, and the lesser id of two alike', () => {
    expect(prioritiseDemands(demands).map(({ from, slots }) => `${from}${slots[0]!.p95}`)).toEqual(['a50', 'd50', 'a9', 'c3', 'b1']);
  });

  it('has the most urgent class first when told which that is', () => {
    const priorities = new Map([[classId('voice'), 0], [classId('bulk'), 1]]);
    expect(prioritiseDemands(demands, priorities).map((item) => peakMbps(item, 'p95'))).toEqual([3, 1, 9, 50, 50]);
  });
});

/** A level that wanders without a season. */
function randomWalk(length: number, seed: number): number[] {
  let value = 50;
  return Array.from({ length }, (_, index) => (value = Math.max(1, value + 3 * Math.sin(index * 12.9898 * (seed + 1)) * Math.sin(index * index * 0.731 + seed))));
}
