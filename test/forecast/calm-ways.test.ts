import * as fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { asIfCalm } from '../../src/forecast/calm-ways.ts';
import { makeCandidates } from '../../src/forecast/candidates.ts';
import { forecastSlots } from '../../src/forecast/forecast-slots.ts';
import { pathInputs, type DemandMatrix, type WayFigures } from '../../src/forecast/index.ts';
import { PATH_INPUTS } from '../../src/forecast/path-covariates.ts';
import { trainModels } from '../../src/forecast/train-models.ts';
import { dailyMatrix } from './matrix/matrices.ts';

const DAY = 96;
const SETTINGS = { slotMs: 900_000, slotsPerDay: DAY, horizonSlots: 4, provision: 'p95' } as const;

/** The way of every pair on its own. */
function beside(matrix: DemandMatrix, ways: readonly WayFigures[]): DemandMatrix {
  return { ...matrix, covariates: PATH_INPUTS.toSorted().flatMap((name) => ways.map((way, pair) => ({ name, pairs: [pair], values: pathInputs(way, DAY)[name], isKnownAhead: false }))) };
}

const calmWay = (slots: number): WayFigures => ({ latencyMs: new Float32Array(slots).fill(20), lossRatio: new Float32Array(slots) });

describe('the past as if no way had lost anything', () => {
  const slots = 2 * DAY;
  const matrix = dailyMatrix({ pairs: 2, days: 2, noise: 0, shape: 0 });
  /** The first pair's way loses 5 % from a slot on, and its demand falls to a third. */
  const losing = (from: number, until = slots): DemandMatrix => {
    const way = calmWay(slots);
    const values = matrix.values.map((series) => series.slice());
    for (let slot = from; slot < until; slot++) {
      way.lossRatio[slot] = 0.05;
      values[0]![slot] = values[0]![slot]! / 3;
    }
    return beside({ ...matrix, values }, [way, calmWay(slots)]);
  };

  it('has what was wanted before, as long as a way loses and an hour after, and a calm way', () => {
    const { matrix: calm, strained } = asIfCalm(losing(slots - 6, slots - 2))!;
    expect(strained).toEqual([0]);
    expect(calm.values).toEqual(matrix.values);
    const seen = calm.covariates!.findLast(({ name, pairs }) => name === 'path:loss' && pairs.includes(0 as never))!;
    expect([...seen.values.subarray(slots - 8)]).toEqual(Array(8).fill(0));
  });

  it('is not asked for where no way loses, or the last time was more than an hour ago', () => {
    expect(asIfCalm(losing(slots))).toBeNull();
    expect(asIfCalm(losing(slots - 40, slots - 5))).toBeNull();
    expect(asIfCalm(matrix)).toBeNull();
  });

  it('leaves demand that grew under loss as it was seen, and never lowers a slot', () => {
    const ratios = fc.array(fc.float({ min: 0, max: 1, noNaN: true }), { minLength: slots, maxLength: slots });
    const demands = fc.array(fc.oneof(fc.float({ min: 0, max: 100, noNaN: true }), fc.constant(NaN)), { minLength: slots, maxLength: slots });
    fc.assert(
      fc.property(ratios, demands, (loss, demand) => {
        const seen = beside({ ...matrix, values: [Float32Array.from(demand), matrix.values[1]!] }, [{ ...calmWay(slots), lossRatio: Float32Array.from(loss) }, calmWay(slots)]);
        const calm = asIfCalm(seen);
        if (calm) calm.matrix.values[0]!.forEach((value, slot) => expect(value >= demand[slot]! || Number.isNaN(demand[slot]!)).toBe(true));
      }),
      { numRuns: 30 },
    );
  });
});

describe('a forecast while a way loses packets', () => {
  const days = 12;
  const slots = days * DAY;
  const plain = dailyMatrix({ pairs: 4, days, noise: 0.05 });
  // Half a dozen times in the past, and now: loss of 5 % for two hours, to which demand gives way by 60 %.
  const times = [150, 330, 520, 700, 880, 1010, slots - 4];
  const ways = plain.pairs.map(() => calmWay(slots));
  const values = plain.values.map((series) => series.slice());
  for (const pair of [0, 1, 2]) {
    for (const from of times) {
      for (let slot = from; slot < Math.min(slots, from + 8); slot++) {
        ways[pair]!.lossRatio[slot] = 0.05;
        values[pair]![slot] = 0.4 * values[pair]![slot]!;
      }
    }
  }
  const history = beside({ ...plain, values }, ways);
  const sizes = { boosted: { rowsMax: 4000, rounds: 20, leavesMax: 12, leafWeightMin: 10, learningRate: 0.3, threads: 1 } };

  it('provides for what would come back: it falls by no more than a tenth, though the models know that less will get through', async () => {
    const state = await trainModels(makeCandidates(['ewma', 'boosted'], sizes, 'quick'), history, SETTINGS, 'seed', () => undefined, (text) => expect.unreachable(text));
    expect(state.champions.map(({ ranking }) => ranking[0])).toContain('boosted');
    const forecastOf = async (matrix: DemandMatrix) => (await forecastSlots(state, { matrix, ratios: new Float64Array(4).fill(1), knownPairs: 4 }, SETTINGS, { lastSlotEndAt: 0 })).slots;
    const quiet = ways.map(({ latencyMs, lossRatio }) => ({ latencyMs, lossRatio: lossRatio.map((ratio, slot) => (slot >= slots - 4 ? 0 : ratio)) }));
    const undisturbed = beside({ ...plain, values: values.map((series, pair) => series.map((value, slot) => (slot >= slots - 4 ? plain.values[pair]![slot]! : value))) }, quiet);
    const [lossy, calm] = [await forecastOf(history), await forecastOf(undisturbed)];
    const told = await forecastOf({ ...history, covariates: history.covariates!.map((each) => (each.name === 'path:loss' ? { ...each, name: 'other' } : each)) });
    for (const pair of [0, 1, 2]) {
      for (const quantile of ['p50', 'p95'] as const) {
        for (const [step, slot] of lossy[pair]!.entries()) expect(slot[quantile]).toBeGreaterThan(0.9 * calm[pair]![step]![quantile]);
        expect(told[pair]![0]!.p50).toBeLessThan(0.7 * calm[pair]![0]!.p50);
      }
    }
  });
});
