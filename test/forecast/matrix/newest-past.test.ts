import * as fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { cutMatrix, type DemandMatrix } from '../../../src/forecast/matrix/demand-matrix.ts';
import { levelledPast } from '../../../src/forecast/matrix/levelled-past.ts';
import { MatrixPast, TabularFeatures } from '../../../src/forecast/matrix/tabular-features.ts';
import { newestChannels } from '../../../src/forecast/network/newest-channels.ts';
import { NetworkInputs } from '../../../src/forecast/network/network-inputs.ts';
import { PairChannels } from '../../../src/forecast/network/pair-channels.ts';
import { dailyMatrix } from './matrices.ts';

const whole = dailyMatrix({ pairs: 6, days: 9, noise: 0.4 });
/** Both directions of two pairs, one of a third, and one within a site. */
const NAMES = ['a>b', 'c>d', 'b>a', 'a>c', 'd>c', 'e>e'];

/** Some pairs of a past of any length, some of whose slots are unknown or silent. */
const anyPast = fc
  .record({
    pairs: fc.integer({ min: 1, max: NAMES.length }),
    length: fc.oneof(fc.integer({ min: 1, max: 120 }), fc.integer({ min: 121, max: whole.length })),
    gaps: fc.array(fc.record({ pair: fc.nat(5), from: fc.nat(whole.length), slots: fc.oneof(fc.integer({ min: 1, max: 6 }), fc.integer({ min: 7, max: 900 })), level: fc.constantFrom(Number.NaN, Number.NaN, 0) }), { maxLength: 8 }),
  })
  .map(({ pairs, length, gaps }): DemandMatrix => {
    const values = whole.values.slice(0, pairs).map((series) => series.slice(0, length));
    for (const { pair, from, slots, level } of gaps) values[pair]?.fill(level, from, from + slots);
    return { ...cutMatrix(whole, length), pairs: NAMES.slice(0, pairs), values };
  });
const anyHorizons = fc.uniqueArray(fc.integer({ min: 1, max: 200 }), { minLength: 1, maxLength: 6 }).map((steps) => steps.sort((left, right) => left - right));

const scalesOf = (matrix: DemandMatrix): Float32Array => Float32Array.from(matrix.values, (_, pair) => 7 * (pair + 1));

describe('what only the last slot is asked for', () => {
  it('gives the trees the same inputs, to the last bit, as when every slot is known', () => {
    fc.assert(
      fc.property(anyPast, anyHorizons, (matrix, horizons) => {
        const origin = Int32Array.of(matrix.length - 1);
        const levelled = levelledPast(matrix, scalesOf(matrix));
        const [all, newest] = [new MatrixPast(matrix, scalesOf(matrix), horizons, levelled), new MatrixPast(matrix, scalesOf(matrix), horizons, levelled)];
        const features = horizons.map((steps) => [new TabularFeatures(all, steps), new TabularFeatures(newest, steps)] as const);
        newest.onlyNewest();
        for (const pair of all.order()) {
          for (const both of features) {
            const [expected, found] = both.map((each) => {
              const columns: Float32Array[] = [];
              each.fill(pair, origin, columns, 0);
              return [...columns.map((column) => column[0]!), ...each.levels(pair, origin)];
            });
            expect(found).toEqual(expected);
          }
        }
      }),
      { numRuns: 60 },
    );
  });

  it('gives the networks the same inputs, to the last bit, as when every slot is known', () => {
    fc.assert(
      fc.property(anyPast, anyHorizons, (matrix, horizons) => {
        const origin = Int32Array.of(matrix.length - 1);
        const newest = new NetworkInputs(matrix, horizons, scalesOf(matrix), 6, levelledPast(matrix, scalesOf(matrix)));
        const all = new NetworkInputs(matrix, horizons, scalesOf(matrix), 6);
        for (const pair of matrix.pairs.keys()) {
          const [found, expected] = [newest, all].map((inputs) => {
            const rows = inputs.rows(1);
            inputs.fill(pair, origin, rows, 0);
            return rows;
          });
          expect(found).toEqual(expected);
        }
      }),
      { numRuns: 60 },
    );
  });

  it('is smoothed for many pairs after a longer past, whose memory is used again', () => {
    const horizons = [2, 7];
    const last = (matrix: DemandMatrix): unknown => newestChannels(matrix, levelledPast(matrix, scalesOf(matrix))!, horizons);
    const short = cutMatrix({ ...whole, values: whole.values.map((series, pair) => series.map((value, slot) => (slot % 50 === pair ? Number.NaN : value))) }, 300);
    const alone = last(short);
    last(whole);
    expect(last(short)).toEqual(alone);
    const channels = new PairChannels(300, 96, horizons);
    channels.load(short.values[3]!, scalesOf(short)[3]!);
    expect((alone as { fast: Float32Array }).fast[3]).toBe(channels.fast[299]);
  });
});
