import * as fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { fillGaps, laterMatrix, type DemandMatrix } from '../../../src/forecast/matrix/demand-matrix.ts';
import { setLevels } from '../../../src/forecast/matrix/level-of.ts';
import { levelledPast, levelledPastFrom } from '../../../src/forecast/matrix/levelled-past.ts';
import { dailyMatrix } from './matrices.ts';

const scales = Float32Array.of(20, 3, 7);

/** Three days of three pairs, with gaps: [pair, first slot, slots]. */
function withGaps(gaps: readonly (readonly [number, number, number])[]): DemandMatrix {
  const matrix = dailyMatrix({ pairs: 3, days: 3 });
  for (const [pair, from, slots] of gaps) matrix.values[pair]!.fill(Number.NaN, from, from + slots);
  return matrix;
}

describe('levels', () => {
  it('are log1p(y/c), as near as four bytes can tell, of silence and of a million times the usual', () => {
    const ratio = fc.oneof(fc.double({ min: 0, max: 40, noNaN: true }), fc.double({ min: 0, max: 1e-3, noNaN: true }), fc.double({ min: 0, max: 1e6, noNaN: true }), fc.constant(0));
    fc.assert(
      fc.property(fc.array(ratio, { minLength: 1 }), fc.double({ min: 1e-3, max: 1e3, noNaN: true }), (ratios, scale) => {
        const demands = Float32Array.from(ratios, (each) => each * scale);
        const z = new Float32Array(demands.length);
        setLevels(demands, scale, z);
        z.forEach((level, slot) => {
          const exact = Math.log1p(demands[slot]! / scale);
          expect(Math.abs(level - exact)).toBeLessThanOrEqual(6e-8 * exact + 1e-45);
        });
      }),
    );
    const unknown = Float32Array.of(Number.NaN);
    setLevels(unknown, 1, unknown);
    expect(unknown[0]).toBeNaN();
  });
});

describe('what all models begin with', () => {
  it('is log1p(y/c) without gaps, and found once for a matrix and its scales', () => {
    const matrix = withGaps([[1, 30, 70]]);
    const past = levelledPast(matrix, scales)!;
    expect([...past.z[1]!]).toEqual([...fillGaps(matrix.values[1]!, 96)].map((value) => Math.fround(Math.log1p(value / 3))));
    expect(levelledPast(matrix, scales.slice())).toBe(past);
    expect(levelledPast(matrix, Float32Array.of(1, 1, 1))!.z[1]).not.toEqual(past.z[1]);
    expect(levelledPast({ ...matrix }, scales), 'another matrix, even if it is equal').not.toBe(past);
  });

  it('is the same from a later slot on as of that part alone, or refused', () => {
    const gap = fc.tuple(fc.integer({ min: 0, max: 2 }), fc.integer({ min: 0, max: 280 }), fc.integer({ min: 1, max: 8 }));
    let found = 0;
    fc.assert(
      fc.property(fc.array(gap, { maxLength: 6 }), fc.integer({ min: 1, max: 200 }), (gaps, from) => {
        const matrix = withGaps(gaps);
        const later = levelledPastFrom(matrix, scales, from);
        if (later === null) return;
        found += 1;
        expect(later).toEqual(levelledPast(laterMatrix(matrix, from), scales));
      }),
    );
    expect(found).toBeGreaterThan(10);
  });

  it('is refused where a gap was filled with what lies before the part', () => {
    expect(levelledPastFrom(withGaps([[2, 90, 10]]), scales, 95)).toBeNull();
    expect(levelledPastFrom(withGaps([[2, 100, 10]]), scales, 95)).toBeNull();
    expect(levelledPastFrom(withGaps([[2, 100, 4]]), scales, 95)).not.toBeNull();
  });
});
