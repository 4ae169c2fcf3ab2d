import { gunzipSync, gzipSync } from 'node:zlib';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { peakMbps } from '../../src/model/index.ts';
import type { BacktestScore, DemandForecast, DemandSeries, Forecast } from '../../src/model/index.ts';
import { createInlineForecaster, generateHistory, MODEL_NAMES, type Forecaster } from '../../src/forecast/index.ts';
import { MIDNIGHT, observationOf, SETTINGS, SLOT_MS, SLOTS_PER_DAY, tail, twentyDemands } from './meshes.ts';

const LEARNED = ['boosted', 'network', 'ensemble'];
const DAYS = 10;
/** Half past six: all is quiet, and within the twelve slots to come the morning climbs to three quarters of its peak. */
const BEFORE_RISE = 26;

describe('the models, trained on ten days of twenty demands', () => {
  let past: DemandSeries[];
  let nextDay: DemandSeries[];
  let forecaster: Forecaster;
  let scores: BacktestScore[];
  const texts: string[] = [];

  beforeAll(async () => {
    const all = generateHistory({ demands: twentyDemands(), slotMs: SLOT_MS, slotsPerDay: SLOTS_PER_DAY, days: DAYS + 1, endAt: MIDNIGHT + SLOTS_PER_DAY * SLOT_MS, seed: 'trained-test' });
    past = all.map((series) => ({ ...series, mbps: series.mbps.slice(0, -SLOTS_PER_DAY) }));
    nextDay = all.map((series) => ({ ...series, mbps: series.mbps.slice(-SLOTS_PER_DAY) }));
    forecaster = await createInlineForecaster();
    const [startedAt, startedCpu] = [performance.now(), process.cpuUsage()];
    scores = (await forecaster.train({ history: past, settings: SETTINGS, endAt: MIDNIGHT, seed: 'seed', effort: 'quick', version: 7 }, (progress) => texts.push(progress.text))).backtest;
    const seconds = (performance.now() - startedAt) / 1000;
    console.log(`forecast: trained and back-tested on ${DAYS} days × 20 demands in ${seconds.toFixed(1)} s, ${(process.cpuUsage(startedCpu).user / 1e6).toFixed(1)} s of one core\n${texts.filter((text) => text.includes('wape')).join('\n')}`);
  }, 120_000);
  afterAll(() => forecaster.close());

  const scoreOf = (name: string): BacktestScore => scores.find((score) => score.model === name)!;
  const forecastFrom = (slot: number, by: Forecaster = forecaster): Promise<Forecast> => by.forecast(observationOf(nextDay.map((series) => ({ ...series, mbps: series.mbps.slice(0, slot) })), MIDNIGHT + slot * SLOT_MS), SETTINGS);

  it('have one that is nearer to the truth than the best simple one, on days it has not seen', () => {
    const [best] = scores;
    const simple = scores.filter(({ model }) => !LEARNED.includes(model)).toSorted((left, right) => left.pinball - right.pinball)[0]!;
    expect(LEARNED).toContain(best!.model);
    expect(best!.pinball).toBeLessThan(simple.pinball);
    expect(best!.wape).toBeLessThan(0.6 * scoreOf('ewma').wape);
    expect(scores.map(({ model }) => model).toSorted()).toEqual([...MODEL_NAMES].toSorted());
  });

  it('promise with p95 what holds about 95 times in 100', () => {
    expect(scores[0]!.coverageP95).toBeGreaterThan(0.9);
    expect(scores[0]!.coverageP95).toBeLessThan(0.99);
  });

  it('see the morning rise before it comes, which the smoothed level does not', async () => {
    const smoothed = await createInlineForecaster({ models: ['ewma'] });
    await smoothed.train({ history: past, settings: SETTINGS, endAt: MIDNIGHT, seed: 'seed' });
    const foreseen = await forecastFrom(BEFORE_RISE);
    const level = await forecastFrom(BEFORE_RISE, smoothed);
    expect(LEARNED).toContain(foreseen.model);
    expect(level.model).toBe('ewma');
    const comingPeak = (series: DemandSeries): number => Math.max(...series.mbps.slice(BEFORE_RISE, BEFORE_RISE + SETTINGS.horizonSlots).map((value) => value ?? 0));
    const shares = (forecast: Forecast, quantile: 'p50' | 'p95'): number[] => nextDay.map((series) => peakMbps(demandOf(forecast, series), quantile) / comingPeak(series));
    console.log(
      `forecast: share of the coming peak that is foreseen, mean and least of 20: p50 ${meanAndLeast(shares(foreseen, 'p50'))}, p95 ${meanAndLeast(shares(foreseen, 'p95'))}; ewma p50 ${meanAndLeast(shares(level, 'p50'))}, p95 ${meanAndLeast(shares(level, 'p95'))}`,
    );
    expect(shares(foreseen, 'p95').filter((share) => share >= 0.8).length).toBeGreaterThanOrEqual(18);
    expect(mean(shares(foreseen, 'p50'))).toBeGreaterThan(0.8);
    expect(shares(level, 'p50').filter((share) => share >= 0.8).length).toBeLessThanOrEqual(2);
    expect(mean(shares(level, 'p50'))).toBeLessThan(0.5);
  });

  it('need far less room for the same promise than the smoothed level, whose p95 is wide at all hours', async () => {
    const smoothed = await createInlineForecaster({ models: ['ewma'] });
    await smoothed.train({ history: past, settings: SETTINGS, endAt: MIDNIGHT, seed: 'seed' });
    const allocation = async (by: Forecaster): Promise<number> => {
      let provided = 0;
      let demand = 0;
      for (let slot = 6; slot + SETTINGS.horizonSlots <= SLOTS_PER_DAY; slot += SETTINGS.horizonSlots) {
        const forecast = await forecastFrom(slot, by);
        for (const series of nextDay) {
          provided += demandOf(forecast, series).slots.reduce((sum, cell) => sum + cell.p95, 0);
          demand += series.mbps.slice(slot, slot + SETTINGS.horizonSlots).reduce<number>((sum, value) => sum + value!, 0);
        }
      }
      return provided / demand;
    };
    const [learned, ewma] = [await allocation(forecaster), await allocation(smoothed)];
    console.log(`forecast: sum of p95 over sum of demand: ${learned.toFixed(2)}, ewma ${ewma.toFixed(2)}`);
    expect(learned).toBeLessThan(0.8 * ewma);
  });

  it('are right about the whole next day, by error and by coverage', async () => {
    let error = 0;
    let demand = 0;
    let covered = 0;
    let cells = 0;
    for (let slot = 4; slot + SETTINGS.horizonSlots <= SLOTS_PER_DAY; slot += 6) {
      const forecast = await forecastFrom(slot);
      for (const actual of nextDay) {
        demandOf(forecast, actual).slots.forEach((cell, step) => {
          const value = actual.mbps[slot + step]!;
          error += Math.abs(value - cell.p50);
          demand += value;
          covered += value <= cell.p95 ? 1 : 0;
          cells += 1;
        });
      }
    }
    console.log(`forecast: the day after: wape ${(error / demand).toFixed(3)}, p95 holds ${((100 * covered) / cells).toFixed(1)} %`);
    expect(error / demand).toBeLessThan(0.15);
    expect(covered / cells).toBeGreaterThan(0.9);
  });

  it('never let quantiles cross or fall below zero, and begin where the observation ends', async () => {
    const forecast = await forecastFrom(20);
    for (const { slots } of forecast.demands) {
      expect(slots.map((slot) => slot.startAt)).toEqual(Array.from({ length: 12 }, (_, step) => MIDNIGHT + (20 + step) * SLOT_MS));
      expect(slots.every((slot) => slot.p50 >= 0 && slot.p50 <= slot.p90 && slot.p90 <= slot.p95)).toBe(true);
    }
    const peaks = forecast.demands.map((demand) => peakMbps(demand, 'p95'));
    expect(peaks).toEqual(peaks.toSorted((left, right) => right - left));
    expect(forecast.backtest).toEqual(scores);
  });

  it('take the level from what runs now rather than from history', async () => {
    const half = nextDay.map((series) => ({ ...series, mbps: series.mbps.slice(0, 44).map((value) => value! / 2) }));
    const whole = await forecastFrom(44);
    const halved = await forecaster.forecast(observationOf(half, MIDNIGHT + 44 * SLOT_MS), SETTINGS);
    const total = (forecast: Forecast): number => forecast.demands.reduce((sum, demand) => sum + peakMbps(demand, 'p50'), 0);
    expect(total(halved) / total(whole)).toBeGreaterThan(0.4);
    expect(total(halved) / total(whole)).toBeLessThan(0.7);
  });

  it('forecast from history alone while nothing has been observed', async () => {
    const silent = past.map((series) => ({ ...series, mbps: [null, null, null] }));
    const forecast = await forecaster.forecast(observationOf(silent, MIDNIGHT + 3 * SLOT_MS), SETTINGS);
    expect(LEARNED).toContain(forecast.model);
    expect(forecast.demands.every((demand) => peakMbps(demand, 'p95') > 0)).toBe(true);
  });

  it('say who serves whom, and which version the numbers come from', async () => {
    const forecast = await forecastFrom(20);
    expect(forecast.version).toEqual({ version: 7, digest: expect.stringMatching(/^sha256:[0-9a-f]{64}$/) });
    expect(forecast.serving!.reduce((sum, { group, pairs, fromStep }) => (fromStep === 1 && group !== 'new' ? sum + pairs : sum), 0)).toBe(past.length);
    expect(forecast.serving!.every(({ why, wape }) => why !== '' && wape !== null)).toBe(true);
  });

  it('know after they were kept and taken up what they knew before', async () => {
    const file = (await forecaster.dump())!;
    const other = await createInlineForecaster();
    expect(await other.restore(file, 7)).toMatchObject({ pairs: 20, seed: 'seed', window: { endAt: MIDNIGHT, slots: DAYS * SLOTS_PER_DAY }, backtest: scores });
    expect(await forecastFrom(30, other)).toEqual(await forecastFrom(30));
    expect(await other.dump()).toEqual(file);
    await other.close();
  });

  it('refuse a damaged file wherever the damage is, and keep what they have', async () => {
    const file = (await forecaster.dump())!;
    const before = await forecastFrom(30);
    const bytes = gunzipSync(file);
    const damages = [0, 9, 40, Math.floor(bytes.length / 2), bytes.length - 1].map((at) => gzipSync(bytes.map((byte, index) => (index === at ? byte ^ 1 : byte))));
    const others = [file.subarray(0, file.length - 9), new Uint8Array(0), gzipSync('FMMODEL1'), gzipSync(bytes.subarray(0, bytes.length - 4)), ...damages];
    for (const other of others) await expect(forecaster.restore(other, 8)).rejects.toMatchObject({ code: 'FORECAST_MODEL_INVALID' });
    expect(await forecastFrom(30)).toEqual(before);
  });

  it('give the same numbers and the same digest for the same seed', async () => {
    const few = tail(past.slice(0, 6), 7 * SLOTS_PER_DAY);
    const run = async (seed: string): Promise<Forecast> => {
      const again = await createInlineForecaster({ models: ['boosted', 'network'], boosted: { rounds: 5, rowsMax: 1000 }, network: { epochs: 1, rowsPerEpoch: 500 } });
      await again.train({ history: few, settings: SETTINGS, endAt: MIDNIGHT, seed });
      const forecast = await again.forecast(observationOf(tail(few, 8), MIDNIGHT), SETTINGS);
      await again.close();
      return forecast;
    };
    const [one, other, another] = [await run('a'), await run('a'), await run('b')];
    expect(one).toEqual(other);
    expect(another.demands).not.toEqual(one.demands);
    expect(another.version!.digest).not.toBe(one.version!.digest);
  });
});

function demandOf(forecast: Forecast, series: DemandSeries): DemandForecast {
  return forecast.demands.find((demand) => demand.from === series.from && demand.to === series.to && demand.classId === series.classId)!;
}

function meanAndLeast(values: readonly number[]): string {
  return `${mean(values).toFixed(2)} (${Math.min(...values).toFixed(2)})`;
}

function mean(values: readonly number[]): number {
  return values.reduce((sum, value) => sum + value, 0) / values.length;
}
