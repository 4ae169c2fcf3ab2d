import { readdir, readFile } from 'node:fs/promises';
import { getPriority } from 'node:os';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { afterAll, beforeAll, expect, it } from 'vitest';
import type * as ForecastFolder from '../../src/forecast/index.ts';
import { compileSources, type CompiledSources } from '../support/compiled.ts';
import { MIDNIGHT, observationOf, SETTINGS, SLOT_MS, SLOTS_PER_DAY, tail, twentyDemands } from './meshes.ts';

let compiled: CompiledSources;
let folder: typeof ForecastFolder;
beforeAll(async () => {
  compiled = await compileSources(['src/forecast/index.ts', 'src/forecast/worker-entry.ts', 'src/forecast/boosting/booster-entry.ts', 'src/forecast/network/network-worker.ts']);
  folder = (await import(/* @vite-ignore */ pathToFileURL(join(compiled.dir, 'src/forecast/index.js')).href)) as typeof ForecastFolder;
});
afterAll(() => compiled.remove());

it('trains in a thread of low priority, holds up neither this one nor a forecast meanwhile, and takes up what it kept', async () => {
  const notices: string[] = [];
  const past = folder.generateHistory({ demands: twentyDemands().slice(0, 6), slotMs: SLOT_MS, slotsPerDay: SLOTS_PER_DAY, days: 7, endAt: MIDNIGHT, seed: 'worker-test' });
  const forecaster = await folder.createForecaster({ onNotice: (text) => notices.push(text) });
  const observation = observationOf(tail(past, 8), MIDNIGHT);
  const before = await forecaster.forecast(observation, SETTINGS);
  expect(before.model).toBe('ewma');
  let longestMs = 0;
  let lastAt = performance.now();
  const timer = setInterval(() => {
    longestMs = Math.max(longestMs, performance.now() - lastAt);
    lastAt = performance.now();
  }, 5);
  const steps: number[] = [];
  let isTrained = false;
  let meanwhile = null as Promise<unknown> | null;
  let niceness: number[] = [];
  const training = forecaster
    .train({ history: past, settings: SETTINGS, endAt: MIDNIGHT, seed: 'seed', version: 3, effort: 'quick' }, ({ step, steps: of }) => {
      steps.push(step / of);
      meanwhile ??= forecaster.forecast(observation, SETTINGS).then(async (forecast) => {
        niceness = await niceValues();
        return [forecast, isTrained];
      });
    })
    .finally(() => {
      isTrained = true;
    });
  const { backtest, digest } = await training;
  clearInterval(timer);
  expect(await meanwhile).toEqual([before, false]);
  expect(backtest.map((score) => score.model)).toContain('boosted');
  expect(steps.at(-1)).toBe(1);
  expect(steps).toEqual(steps.toSorted((left, right) => left - right));
  expect(longestMs).toBeLessThan(2000);
  if (process.platform === 'linux') expect(niceness).toContain(10);
  expect(niceness).toContain(getPriority());

  const forecast = await forecaster.forecast(observation, SETTINGS);
  expect(forecast.version).toEqual({ version: 3, digest });
  const file = (await forecaster.dump())!;
  const other = await folder.createForecaster();
  expect((await other.inspect(file)).digest).toBe(digest);
  expect((await other.forecast(observation, SETTINGS)).model).toBe('ewma');
  await other.restore(file, 3);
  expect(await other.forecast(observation, SETTINGS)).toEqual(forecast);
  await expect(other.restore(file.subarray(1), 4)).rejects.toMatchObject({ code: 'FORECAST_MODEL_INVALID' });
  await other.close();
  await forecaster.close();
  await expect(forecaster.forecast(observation, SETTINGS)).rejects.toThrow('closed');
  expect(notices).toEqual([]);
}, 180_000);

/** The nice value of each thread of this process. */
async function niceValues(): Promise<number[]> {
  const threads = await readdir('/proc/self/task');
  const stats = await Promise.all(threads.map((thread) => readFile(`/proc/self/task/${thread}/stat`, 'utf8').catch(() => ''))); // a thread may end meanwhile
  return stats.filter(Boolean).map((stat) => Number(stat.slice(stat.lastIndexOf(')') + 2).split(' ')[16]));
}
