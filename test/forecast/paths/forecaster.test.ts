import { describe, expect, it } from 'vitest';
import { benchPaths, createPathForecaster, generatePaths, type PathBenchResult, type PathTable } from '../../../src/forecast/index.ts';
import type { PathForecast } from '../../../src/model/index.ts';
import { cutTable } from '../../../src/forecast/paths/path-table.ts';
import { BULK, DAY, noPause, seriesOf, SLOT_MS, tableOf, VOICE } from './support.ts';

const HORIZON = 4;
const CLASSES = [VOICE, BULK];

describe('the forecast of paths', () => {
  const { table: grown } = generatePaths({ seed: 'paths', days: 8, slotMs: SLOT_MS, paths: 2 });

  it('is better than climatology and persistence, and means what it says, on held-out days of made-up paths', async () => {
    const { methods, scenarios, coverage, sets } = await bench();
    expect(sets[0]!.chosen).not.toBe('climatology');
    expect(methods['chosen']!.skill.climatology).toBeGreaterThan(0.15);
    expect(methods['chosen']!.skill.persistence).toBeGreaterThan(0.05);
    expect(methods['chosen']!.ece).toBeLessThan(0.03);
    expect(methods['chosen']!.brier).toBeLessThanOrEqual(methods['broken-now']!.brier);
    expect(scenarios['nightly-backup']!.onset.skill.climatology).toBeGreaterThan(0.2);
    expect(scenarios['memoryless']!.skill.climatology).toBeGreaterThan(-0.1);
    expect(scenarios['quiet']!.brier).toBeLessThan(0.001);
    for (const { p50, p90, p95 } of Object.values(coverage)) {
      expect(Math.abs(p50 - 0.5)).toBeLessThan(0.1);
      expect(Math.abs(p90 - 0.9)).toBeLessThan(0.06);
      expect(Math.abs(p95 - 0.95)).toBeLessThan(0.04);
    }
  });

  it('foresees what comes every night before it begins, and nothing an hour after it', async () => {
    const nightly = (slot: number): number => (slot % DAY >= 8 && slot % DAY < 12 ? 190 : 60 + (slot % 7));
    const paths = ['a/x~b/x', 'a/x~c/x', 'a/x~d/x'].map((path) => seriesOf(path, 10 * DAY, nightly));
    const calm = ['e/x~f/x', 'e/x~g/x'].map((path) => seriesOf(path, 10 * DAY, (slot) => 60 + (slot % 5)));
    const forecaster = createPathForecaster();
    await forecaster.train(tableOf([...paths, ...calm]), CLASSES, HORIZON, 'seed', noPause);
    const at = (slot: number): Map<string, number> => new Map(forecaster.forecast(cutTable(tableOf([...paths, ...calm]), slot), CLASSES, HORIZON, 0).paths.map((path) => [path.path, voiceOf(path)]));
    const before = at(9 * DAY + 6);
    expect(before.get('a/x~b/x')).toBeGreaterThan(0.8);
    expect(before.get('e/x~f/x')).toBeLessThan(0.1);
    expect(at(9 * DAY + 20).get('a/x~b/x')).toBeLessThan(0.1);
  });

  it('is the same for the same past, seed and training, and holds no more than numbers from 0 to 1', async () => {
    const forecasts = await Promise.all(
      [0, 1].map(async () => {
        const forecaster = createPathForecaster();
        const learned = await forecaster.train(grown, CLASSES, HORIZON, 'seed', noPause);
        return { learned, forecast: forecaster.forecast(grown, CLASSES, HORIZON, 7) };
      }),
    );
    expect(forecasts[0]).toEqual(forecasts[1]);
    const { forecast } = forecasts[0]!;
    expect(forecast.fromAt).toBe(grown.startAt + grown.length * grown.slotMs);
    for (const { violations, latencyMs, lossRatio } of forecast.paths) {
      for (const { probability } of violations) expect(probability >= 0 && probability <= 1).toBe(true);
      expect(latencyMs!.p50 <= latencyMs!.p90 && latencyMs!.p90 <= latencyMs!.p95).toBe(true);
      expect(lossRatio!.p95).toBeLessThanOrEqual(1);
    }
  });

  it('gives a new path what its uplink is like, and says so', () => {
    const bad = Array.from({ length: 4 }, (_, index) => seriesOf(`a/x~s${index}/x`, 4 * DAY, (slot) => (slot % 8 < 4 ? 200 : 20)));
    const fresh = seriesOf('a/x~new/x', 4 * DAY, (slot) => (slot < 4 * DAY - 3 ? Number.NaN : 20));
    const hollow = { ...fresh, jitterMs: new Float32Array(4 * DAY).fill(Number.NaN), lossRatio: new Float32Array(4 * DAY).fill(Number.NaN) };
    const forecast = createPathForecaster().forecast(tableOf([...bad, hollow]), CLASSES, HORIZON, 0);
    const found = forecast.paths.find(({ path }) => path === 'a/x~new/x')!;
    expect(found.basis).toBe('pool');
    expect(voiceOf(found)).toBeGreaterThan(0.3);
    expect(forecast).toMatchObject({ model: 'climatology', skill: 0, backtest: [] });
  });

  it('leaves out who was not measured for a day, and learns nothing from too little', async () => {
    const gone = seriesOf('a/x~b/x', 4 * DAY, () => 20);
    for (const values of [gone.latencyMs, gone.jitterMs, gone.lossRatio]) values.fill(Number.NaN, 3 * DAY - 1);
    const forecaster = createPathForecaster();
    const table = tableOf([gone, seriesOf('a/x~c/x', 4 * DAY, () => 20)]);
    expect(await forecaster.train(table, CLASSES, HORIZON, 'seed', noPause)).toBeNull();
    expect(await forecaster.train(cutTable(grown, DAY), CLASSES, HORIZON, 'seed', noPause)).toBeNull();
    expect(forecaster.forecast(table, CLASSES, HORIZON, 0).paths.map(({ path }) => path)).toEqual(['a/x~c/x']);
    expect(forecaster.forecast({ ...table, length: 0, series: [] }, CLASSES, HORIZON, 0).paths).toEqual([]);
  });

  it('bears figures that cannot be', async () => {
    const mad: PathTable = { ...grown, series: grown.series.map((series, index) => (index % 3 === 0 ? { ...series, latencyMs: series.latencyMs.map((value, slot) => [value, 1e30, -1, Number.NaN, Number.POSITIVE_INFINITY][slot % 5]!) } : series)) };
    const forecaster = createPathForecaster();
    await forecaster.train(mad, CLASSES, HORIZON, 'seed', noPause);
    for (const { violations } of forecaster.forecast(mad, CLASSES, HORIZON, 0).paths) for (const { probability } of violations) expect(probability >= 0 && probability <= 1).toBe(true);
  });

  async function bench(): Promise<PathBenchResult> {
    const generated = generatePaths({ seed: 'paths-test', days: 14, slotMs: SLOT_MS, paths: 3 });
    return benchPaths([{ name: 'test', ...generated }], {
      classes: CLASSES.map(({ id, sla }) => ({ classId: id, bounds: sla })),
      testFrom: 0.7,
      horizonMs: HORIZON * SLOT_MS,
      stride: 3,
      seed: 'test',
      warnAt: 0.6,
      now: () => 0,
      peakMemoryMb: () => 0,
      onProgress: () => undefined,
    });
  }
});

function voiceOf({ violations }: PathForecast): number {
  return violations.find(({ classId }) => classId === VOICE.id)!.probability;
}
