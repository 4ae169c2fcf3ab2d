import { mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { peakMbps } from '../../src/model/index.ts';
import type { BacktestScore, DemandForecast, DemandSeries, Forecast } from '../../src/model/index.ts';
import { createInlineForecaster, generateHistory, type Forecaster } from '../../src/forecast/index.ts';
import { MIDNIGHT, observationOf, SETTINGS, SLOT_MS, SLOTS_PER_DAY, tail, twentyDemands } from './meshes.ts';

const DAYS = 10;
/** Half past six: all is quiet, and within the twelve slots to come the morning climbs to three quarters of its peak. */
const BEFORE_RISE = 26;

describe('the LSTM, trained on ten days of twenty demands', () => {
  let past: DemandSeries[];
  let nextDay: DemandSeries[];
  let forecaster: Forecaster;
  let scores: BacktestScore[];
  const texts: string[] = [];

  beforeAll(async () => {
    const all = generateHistory({ demands: twentyDemands(), slotMs: SLOT_MS, slotsPerDay: SLOTS_PER_DAY, days: DAYS + 1, endAt: MIDNIGHT + SLOTS_PER_DAY * SLOT_MS, seed: 'lstm-test' });
    past = all.map((series) => ({ ...series, mbps: series.mbps.slice(0, -SLOTS_PER_DAY) }));
    nextDay = all.map((series) => ({ ...series, mbps: series.mbps.slice(-SLOTS_PER_DAY) }));
    forecaster = await createInlineForecaster();
    const [startedAt, startedCpu] = [performance.now(), process.cpuUsage()];
    scores = await forecaster.train(past, SETTINGS, MIDNIGHT, 'seed', (progress) => texts.push(progress.text));
    const seconds = (performance.now() - startedAt) / 1000;
    console.log(`forecast: trained and back-tested on ${DAYS} days × 20 demands in ${seconds.toFixed(1)} s, ${(process.cpuUsage(startedCpu).user / 1e6).toFixed(1)} s of one core\n${texts.filter((text) => text.includes('wape') || text.includes('epoch 6,')).join('\n')}`);
  }, 120_000);
  afterAll(() => forecaster.close());

  const scoreOf = (name: string): BacktestScore => scores.find((score) => score.model === name)!;
  const forecastFrom = (slot: number, by: Forecaster = forecaster): Promise<Forecast> => by.forecast(observationOf(nextDay.map((series) => ({ ...series, mbps: series.mbps.slice(0, slot) })), MIDNIGHT + slot * SLOT_MS), SETTINGS);

  it('is nearer to the truth than the same slot last week and the smoothed level, on days it has not seen', () => {
    expect(scoreOf('lstm').wape).toBeLessThan(0.9 * scoreOf('seasonal-naive').wape);
    expect(scoreOf('lstm').wape).toBeLessThan(0.5 * scoreOf('ewma').wape);
    expect(scoreOf('lstm').pinball).toBeLessThan(scoreOf('seasonal-naive').pinball);
    expect(scores.map((score) => score.model)).toHaveLength(3);
    expect(scores[0]!.model).toBe('lstm');
  });

  it('promises with p95 what holds about 95 times in 100', () => {
    expect(scoreOf('lstm').coverageP95).toBeGreaterThan(0.9);
    expect(scoreOf('lstm').coverageP95).toBeLessThan(0.99);
  });

  it('sees the morning rise before it comes, which the smoothed level does not', async () => {
    const smoothed = await createInlineForecaster({ models: ['ewma'] });
    await smoothed.train(past, SETTINGS, MIDNIGHT, 'seed');
    const foreseen = await forecastFrom(BEFORE_RISE);
    const level = await forecastFrom(BEFORE_RISE, smoothed);
    expect([foreseen.model, level.model]).toEqual(['lstm', 'ewma']);
    const comingPeak = (series: DemandSeries): number => Math.max(...series.mbps.slice(BEFORE_RISE, BEFORE_RISE + SETTINGS.horizonSlots).map((value) => value ?? 0));
    const shares = (forecast: Forecast, quantile: 'p50' | 'p95'): number[] => nextDay.map((series) => peakMbps(demandOf(forecast, series), quantile) / comingPeak(series));
    console.log(
      `forecast: share of the coming peak that is foreseen, mean and least of 20: lstm p50 ${meanAndLeast(shares(foreseen, 'p50'))}, p95 ${meanAndLeast(shares(foreseen, 'p95'))}; ewma p50 ${meanAndLeast(shares(level, 'p50'))}, p95 ${meanAndLeast(shares(level, 'p95'))}`,
    );
    expect(shares(foreseen, 'p95').filter((share) => share >= 0.8).length).toBeGreaterThanOrEqual(18);
    expect(mean(shares(foreseen, 'p50'))).toBeGreaterThan(0.8);
    expect(shares(level, 'p50').filter((share) => share >= 0.8)).toEqual([]);
    expect(mean(shares(level, 'p50'))).toBeLessThan(0.5);
  });

  it('needs far less room for the same promise than the smoothed level, whose p95 is wide at all hours', async () => {
    const smoothed = await createInlineForecaster({ models: ['ewma'] });
    await smoothed.train(past, SETTINGS, MIDNIGHT, 'seed');
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
    const [lstm, ewma] = [await allocation(forecaster), await allocation(smoothed)];
    console.log(`forecast: sum of p95 over sum of demand: lstm ${lstm.toFixed(2)}, ewma ${ewma.toFixed(2)}`);
    expect(lstm).toBeLessThan(0.7 * ewma);
  });

  it('is right about the whole next day, by error and by coverage', async () => {
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

  it('never lets quantiles cross or fall below zero, and begins where the observation ends', async () => {
    const forecast = await forecastFrom(20);
    for (const { slots } of forecast.demands) {
      expect(slots.map((slot) => slot.startAt)).toEqual(Array.from({ length: 12 }, (_, step) => MIDNIGHT + (20 + step) * SLOT_MS));
      expect(slots.every((slot) => slot.p50 >= 0 && slot.p50 <= slot.p90 && slot.p90 <= slot.p95)).toBe(true);
    }
    const peaks = forecast.demands.map((demand) => peakMbps(demand, 'p95'));
    expect(peaks).toEqual(peaks.toSorted((left, right) => right - left));
    expect(forecast.backtest).toEqual(scores);
  });

  it('takes the level from what runs now rather than from history', async () => {
    const half = nextDay.map((series) => ({ ...series, mbps: series.mbps.slice(0, 44).map((value) => value! / 2) }));
    const whole = await forecastFrom(44);
    const halved = await forecaster.forecast(observationOf(half, MIDNIGHT + 44 * SLOT_MS), SETTINGS);
    const total = (forecast: Forecast): number => forecast.demands.reduce((sum, demand) => sum + peakMbps(demand, 'p50'), 0);
    expect(total(halved) / total(whole)).toBeGreaterThan(0.4);
    expect(total(halved) / total(whole)).toBeLessThan(0.7);
  });

  it('forecasts from history alone while nothing has been observed', async () => {
    const silent = past.map((series) => ({ ...series, mbps: [null, null, null] }));
    const forecast = await forecaster.forecast(observationOf(silent, MIDNIGHT + 3 * SLOT_MS), SETTINGS);
    expect(forecast.model).toBe('lstm');
    expect(forecast.demands.every((demand) => peakMbps(demand, 'p95') > 0)).toBe(true);
  });

  it('knows after saving and loading what it knew before, and refuses a damaged file', async () => {
    const folder = await mkdtemp(join(tmpdir(), 'foremesh-forecast-'));
    await forecaster.save(folder);
    await forecaster.save(folder);
    expect((await readdir(folder)).length).toBe(2);
    const other = await createInlineForecaster();
    expect(await other.load(join(folder, 'nothing'))).toBe(false);
    expect(await other.load(folder)).toBe(true);
    expect(await forecastFrom(30, other)).toEqual(await forecastFrom(30));
    const binary = join(folder, (await readdir(folder)).find((name) => name.endsWith('.bin'))!);
    const bytes = await readFile(binary);
    bytes[100] = bytes[100]! ^ 1;
    await writeFile(binary, bytes);
    await expect(other.load(folder)).rejects.toMatchObject({ code: 'STATE_DAMAGED' });
    await other.close();
    await rm(folder, { recursive: true });
  });

  it('gives the same numbers for the same seed', async () => {
    const few = tail(past.slice(0, 6), 7 * SLOTS_PER_DAY);
    const run = async (seed: string): Promise<Forecast> => {
      const again = await createInlineForecaster({ models: ['lstm'], lstm: { epochs: 1, rowsMax: 1000 } });
      await again.train(few, SETTINGS, MIDNIGHT, seed);
      const forecast = await again.forecast(observationOf(tail(few, 8), MIDNIGHT), SETTINGS);
      await again.close();
      return forecast;
    };
    const [one, other, another] = [await run('a'), await run('a'), await run('b')];
    expect(one).toEqual(other);
    expect(another.demands).not.toEqual(one.demands);
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
