import { mkdtemp, readdir, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { afterAll, beforeAll, expect, it } from 'vitest';
import type * as ForecastFolder from '../../src/forecast/index.ts';
import { compileSources, type CompiledSources } from '../support/compiled.ts';
import { MIDNIGHT, observationOf, SETTINGS, SLOT_MS, SLOTS_PER_DAY, tail, twentyDemands } from './meshes.ts';

let compiled: CompiledSources;
let folder: typeof ForecastFolder;
beforeAll(async () => {
  compiled = await compileSources(['src/forecast/index.ts', 'src/forecast/worker-entry.ts']);
  folder = (await import(/* @vite-ignore */ pathToFileURL(join(compiled.dir, 'src/forecast/index.js')).href)) as typeof ForecastFolder;
});
afterAll(() => compiled.remove());

it('trains in a thread of low priority without holding up this one, and keeps what it learned in a folder', async () => {
  const notices: string[] = [];
  const forecaster = await folder.createForecaster({ lstm: { epochs: 2, rowsMax: 1500 }, onNotice: (text) => notices.push(text) });
  const past = folder.generateHistory({ demands: twentyDemands().slice(0, 6), slotMs: SLOT_MS, slotsPerDay: SLOTS_PER_DAY, days: 7, endAt: MIDNIGHT, seed: 'worker-test' });
  let longestMs = 0;
  let lastAt = performance.now();
  const timer = setInterval(() => {
    longestMs = Math.max(longestMs, performance.now() - lastAt);
    lastAt = performance.now();
  }, 5);
  const steps: number[] = [];
  const scores = await forecaster.train(past, SETTINGS, MIDNIGHT, 'seed', (progress) => steps.push(progress.step / progress.steps));
  clearInterval(timer);
  expect(scores.map((score) => score.model).toSorted()).toEqual(['ewma', 'lstm', 'seasonal-naive']);
  expect(steps.at(-1)).toBe(1);
  expect(steps).toEqual(steps.toSorted((left, right) => left - right));
  expect(longestMs).toBeLessThan(2000);
  if (process.platform === 'linux') expect(await niceValues()).toContain(10);
  expect(await niceValues()).toContain(0);

  const state = await mkdtemp(join(tmpdir(), 'foremesh-worker-'));
  const observation = observationOf(tail(past, 8), MIDNIGHT);
  const forecast = await forecaster.forecast(observation, SETTINGS);
  await forecaster.save(state);
  const other = await folder.createForecaster();
  expect(await other.load(state)).toBe(true);
  expect(await other.forecast(observation, SETTINGS)).toEqual(forecast);
  await rm(state, { recursive: true });

  await expect(other.load('/dev/null/nothing')).rejects.toThrow();
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
