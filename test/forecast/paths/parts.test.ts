import * as fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { FEATURES, FeatureWriter } from '../../../src/forecast/paths/features.ts';
import { generatePaths } from '../../../src/forecast/paths/generate-paths.ts';
import { fitRising, readCurve } from '../../../src/forecast/paths/isotonic.ts';
import { PathPast, UNKNOWN } from '../../../src/forecast/paths/path-past.ts';
import { PathRecord } from '../../../src/forecast/paths/path-record.ts';
import { cleanSeries, type PathTable } from '../../../src/forecast/paths/path-table.ts';
import { readPaths } from '../../../src/forecast/paths/read-paths.ts';
import { ProbabilityTally } from '../../../src/forecast/paths/score.ts';
import { BULK, DAY, SLOT_MS, seriesOf, START_AT, tableOf, silentSeries, VOICE } from './support.ts';

const BOUNDS = [VOICE.sla, BULK.sla];

describe('the past of paths', () => {
  it('says that a horizon is broken when any of its slots is, kept when half of it is known, and else nothing', () => {
    const table = tableOf([seriesOf('a/x~b/x', 8, (slot) => [20, 20, 200, 20, Number.NaN, Number.NaN, Number.NaN, 20][slot]!)]);
    const hollow = cleanSeries({ ...table.series[0]!, jitterMs: new Float32Array(8).fill(Number.NaN), lossRatio: new Float32Array(8).fill(Number.NaN) });
    const past = new PathPast({ table: { ...table, series: [hollow] }, bounds: BOUNDS, horizon: 2 });
    expect([...past.labels[0]![0]!]).toEqual([0, 1, 1, 0, UNKNOWN, UNKNOWN, 0, UNKNOWN]);
    expect([...past.labels[1]![0]!]).toEqual([0, 0, 0, 0, UNKNOWN, UNKNOWN, 0, UNKNOWN]);
  });

  it('draws the rate of a path that is new to that of the paths on its uplink', () => {
    const bad = (slot: number): number => (slot % 4 === 0 ? 200 : 20);
    const known = [1, 2, 3].map((index) => seriesOf(`hub/bad~s${index}/x`, DAY, bad));
    const calm = [1, 2, 3, 4, 5, 6].map((index) => seriesOf(`hub/good~s${index}/x`, DAY, () => 20));
    const fresh = ['hub/bad~new/x', 'hub/good~new/x'].map((path) => silentSeries(path, DAY));
    const past = new PathPast({ table: tableOf([...known, ...calm, ...fresh]), bounds: [VOICE.sla], horizon: 4 });
    const rates = [0, 3, 9, 10].map((path) => past.view(0, path).rate(DAY));
    expect(rates[0]).toBeGreaterThan(0.9);
    expect(rates[1]).toBeLessThan(0.1);
    expect(rates[2]).toBeGreaterThan(0.5);
    expect(rates[3]).toBeLessThan(0.3);
  });

  it('gives the same inputs whatever the future is', () => {
    const { table } = generatePaths({ seed: 'causal', days: 9, slotMs: SLOT_MS, paths: 2 });
    const slot = 8 * DAY + 40;
    const other: PathTable = { ...table, series: table.series.map((series) => ({ ...series, latencyMs: series.latencyMs.map((value, at) => (at < slot ? value : 5000)), lossRatio: series.lossRatio.map((value, at) => (at < slot ? value : Number.NaN)) })) };
    expect(inputsAt(other, slot)).toEqual(inputsAt(table, slot));
    const past = { ...table, series: table.series.map((series) => ({ ...series, latencyMs: series.latencyMs.map((value, at) => (at < slot - 1 ? value : 5000)) })) };
    expect(inputsAt(past, slot)).not.toEqual(inputsAt(table, slot));
  });
});

describe('the record of paths', () => {
  it('is the same, taken up slot by slot or at once, and holds no more than it may', () => {
    fc.assert(
      fc.property(fc.array(fc.option(fc.float({ min: 1, max: 500, noNaN: true }), { nil: null }), { minLength: 4, maxLength: 30 }), fc.integer({ min: 4, max: 12 }), fc.integer({ min: 1, max: 4 }), (values, kept, step) => {
        const whole = seriesOf('a/x~b/x', values.length, (slot) => values[slot] ?? Number.NaN);
        const part = (from: number, until: number) => [{ path: whole.path, latencyMs: whole.latencyMs.slice(from, until), jitterMs: whole.jitterMs.slice(from, until), lossRatio: whole.lossRatio.slice(from, until) }];
        const endOf = (slot: number): number => START_AT + slot * SLOT_MS;
        const bySlot = new PathRecord(kept, SLOT_MS, DAY, endOf(0));
        for (let until = step; until < values.length + step; until += step) {
          const end = Math.min(until, values.length);
          const from = Math.max(0, end - step - 1);
          bySlot.add(part(from, end), end - from, endOf(end));
        }
        const atOnce = new PathRecord(kept, SLOT_MS, DAY, endOf(values.length));
        atOnce.add(part(0, values.length), values.length, endOf(values.length));
        expect(bySlot.table).toEqual(atOnce.table);
        expect(atOnce.table.length).toBe(Math.min(kept, values.length));
        expect(atOnce.endAt).toBe(endOf(values.length));
      }),
      { numRuns: 50 },
    );
  });

  it('forgets a path of which nothing is left, and takes what cannot be for unknown', () => {
    const record = new PathRecord(4, SLOT_MS, DAY, START_AT);
    record.add([seriesOf('a/x~b/x', 1, () => 1e12)], 1, START_AT + SLOT_MS);
    expect(record.table.series[0]!.latencyMs[0]).toBeNaN();
    record.add([seriesOf('a/y~b/y', 4, () => 20)], 4, START_AT + 6 * SLOT_MS);
    expect(record.table.series.map(({ path }) => path)).toEqual(['a/y~b/y']);
  });
});

describe('the rising curve', () => {
  it('rises, stays between 0 and 1, and is right on average where it was fitted', () => {
    fc.assert(
      fc.property(fc.array(fc.record({ score: fc.float({ min: -5, max: 5, noNaN: true }), label: fc.integer({ min: 0, max: 1 }) }), { minLength: 1, maxLength: 200 }), (points) => {
        const labels = Uint8Array.from(points, ({ label }) => label);
        const share = labels.reduce((sum, label) => sum + label, 0) / labels.length;
        const curve = fitRising(points.map(({ score }) => score), labels, new Float32Array(points.length).fill(1), points.map(() => share));
        for (const [index, probability] of curve.probabilities.entries()) {
          expect(probability).toBeGreaterThanOrEqual(curve.probabilities[index - 1] ?? 0);
          expect(probability).toBeLessThanOrEqual(1);
        }
        expect(readCurve(curve, -9)).toBe(curve.probabilities[0]);
        expect(readCurve(curve, 9)).toBe(curve.probabilities.at(-1));
      }),
      { numRuns: 100 },
    );
  });

  it('finds the probabilities behind the labels', () => {
    const scores = Array.from({ length: 4000 }, (_, index) => index / 4000);
    const labels = Uint8Array.from(scores, (score, index) => (score > 0.5 ? (index % 10 < 9 ? 1 : 0) : index % 10 < 2 ? 1 : 0));
    const curve = fitRising(scores, labels, new Float32Array(4000).fill(1), scores.map(() => 0.5));
    expect(readCurve(curve, 0.2)).toBeCloseTo(0.2, 1);
    expect(readCurve(curve, 0.8)).toBeCloseTo(0.9, 1);
  });
});

describe('the score', () => {
  it('is 0 for who is always right, a quarter for who always says one half, and knows who is too sure', () => {
    const right = new ProbabilityTally();
    const unsure = new ProbabilityTally();
    const bold = new ProbabilityTally();
    for (let index = 0; index < 100; index++) {
      const isEvent = index % 4 === 0;
      right.add(isEvent ? 1 : 0, isEvent);
      unsure.add(0.5, isEvent);
      bold.add(0.95, isEvent);
    }
    expect(right.score()).toMatchObject({ brier: 0, ece: 0, baseRate: 0.25, count: 100 });
    expect(unsure.score()).toMatchObject({ brier: 0.25, ece: 0.25 });
    expect(bold.score().ece).toBeCloseTo(0.7, 6);
    expect(bold.score().reliability[9]).toMatchObject({ count: 100, observed: 0.25 });
    expect(unsure.score().logLoss).toBeCloseTo(Math.LN2, 6);
  });
});

describe('a recorded past', () => {
  const read = (text: string, slotMs: number | null = null): Promise<PathTable> => readPaths({ name: 'paths.csv', slotMs, chunks: (async function* () { yield Buffer.from(text); await Promise.resolve(); })() });

  it('is read into slots of means, whatever the order of rows and columns, with gaps where nothing is known', async () => {
    const table = await read('path,timestamp,lossRatio,latencyMs,jitterMs,note\nb,2026-01-05T00:00:00Z,0,10,1,x\na,2026-01-05T00:10:00Z,2,30,-1,x\na,2026-01-05T00:00:00Z,0.5,20,,x\na,2026-01-05T00:05:00Z,,,,x\nb,2026-01-05T00:05:00Z,0,30,3,x\n', 600_000);
    expect(table).toMatchObject({ slotMs: 600_000, slotsPerDay: 144, startAt: START_AT, length: 2 });
    expect(table.series.map(({ path, latencyMs, jitterMs, lossRatio }) => [path, [...latencyMs], [...jitterMs], [...lossRatio]])).toEqual([
      ['a', [20, 30], [Number.NaN, Number.NaN], [0.5, Number.NaN]],
      ['b', [20, Number.NaN], [2, Number.NaN], [0, Number.NaN]],
    ]);
  });

  it.each([
    ['time,path\n', 'does not name the column timestamp'],
    ['timestamp,path,latencyMs,jitterMs,lossRatio\nyesterday,a,1,1,0\n', 'row 1 begins with'],
    ['timestamp,path,latencyMs,jitterMs,lossRatio\n2026-01-05T00:00:00Z,a,1,1,0\n', '1 rows are too few'],
    ['timestamp,path,latencyMs,jitterMs,lossRatio\n1970-01-05T00:00:00Z,a,1,1,0\n2026-01-05T00:00:00Z,a,1,1,0\n2026-01-05T00:00:01Z,a,1,1,0\n2026-01-05T00:00:02Z,a,1,1,0\n', 'span'],
  ])('is refused with what is wrong: %j', async (text, what) => {
    await expect(read(text)).rejects.toThrow(what);
  });
});

function inputsAt(table: PathTable, slot: number): number[][] {
  const writer = new FeatureWriter(new PathPast({ table, bounds: BOUNDS, horizon: 4 }));
  return BOUNDS.flatMap((_, bounds) =>
    table.series.map((_series, path) => {
      const columns = FEATURES.map(() => new Float32Array(1));
      writer.select(bounds, path, slot);
      writer.write(slot, columns, 0);
      return columns.map((column) => column[0]!);
    }),
  );
}
