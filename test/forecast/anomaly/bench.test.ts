import { describe, expect, it } from 'vitest';
import { createRng } from '../../../src/base/index.ts';
import { benchAnomalies, type DemandMatrix } from '../../../src/forecast/index.ts';

const DAY = 96;
const DAYS = 24;

function matrixOf(noise: number): DemandMatrix {
  const sites = ['a', 'b', 'c', 'd', 'e', 'f', 'g', 'h', 'i'];
  const pairs = ['a', 'b'].flatMap((from) => sites.filter((to) => to !== from).map((to) => `${from}>${to}`));
  const rng = createRng('bench');
  const values = pairs.map((_, pair) => Float32Array.from({ length: DAYS * DAY }, (_cell, slot) => (pair + 2) * (2 + Math.sin((2 * Math.PI * slot) / DAY)) * Math.exp(noise * rng.gaussian())));
  return { pairs, startAt: 0, stepMs: 900_000, slotsPerDay: DAY, length: DAYS * DAY, values, rowSlots: Int32Array.from({ length: DAYS * DAY }, (_, slot) => slot) };
}

describe('bench anomalies', () => {
  const result = benchAnomalies(matrixOf(0.15), { testFrom: 0.6, trials: 60, seed: 'test', onProgress: () => undefined });

  it('keeps the promised rate of false alarms and finds what lasts an hour on demands that are no burstier than people', () => {
    expect(result.alarms.perHundredPairDays.all).toBeLessThanOrEqual(1);
    expect(result.detection['surge x3']!.nonTiny!.share).toBeGreaterThanOrEqual(0.95);
    expect(result.detection['drop to 0']!.nonTiny!.share).toBeGreaterThanOrEqual(0.95);
    expect(result.detection['new pair']!.all!.share).toBe(1);
    expect(result.detection['scan']!.all!.share).toBe(1);
  });

  it('says that it finds less where demands are wild by themselves', () => {
    const wild = benchAnomalies(matrixOf(0.8), { testFrom: 0.6, trials: 60, seed: 'test', onProgress: () => undefined });
    expect(wild.detection['surge x2']!.nonTiny!.share!).toBeLessThan(0.5);
    expect(wild.nonTiny.steady).toBeLessThan(wild.nonTiny.pairs);
  });

  it('finds no less of what lasts longer or is greater', () => {
    const shares = Object.entries(result.byDuration).filter(([name]) => name.startsWith('surge')).map(([, of]) => of.map(({ nonTiny }) => nonTiny!));
    for (const of of shares) expect(of).toEqual(of.toSorted((left, right) => left - right));
    for (const [index, of] of shares.slice(1).entries()) expect(of.at(-1)!).toBeGreaterThanOrEqual(shares[index]!.at(-1)!);
    expect(result.byDuration['surge x3']!.map(({ minutes }) => minutes)).toEqual([15, 30, 60, 120]);
    expect(result.byDuration['surge x3']![1]!.nonTiny!).toBeGreaterThan(0.9);
  });

  it('gives the same figures for the same seed', () => {
    const again = benchAnomalies(matrixOf(0.15), { testFrom: 0.6, trials: 60, seed: 'test', onProgress: () => undefined });
    expect(again).toEqual(result);
  });
});
