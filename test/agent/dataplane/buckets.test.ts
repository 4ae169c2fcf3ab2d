import * as fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { assignBuckets, type BucketLane } from '../../../agent/dataplane/index.ts';

const KEYS = ['t-0000000a', 't-0000000b', 't-0000000c', 't-0000000d'];
const lanesOf = (weights: readonly number[]): BucketLane[] => weights.map((weight, index) => ({ key: KEYS[index]!, weight }));

/** Weights of `count` lanes in steps of 10 that sum to 100. */
const weightsArbitrary = (count: number): fc.Arbitrary<number[]> =>
  fc.array(fc.integer({ min: 0, max: 10 }), { minLength: count - 1, maxLength: count - 1 }).map((cuts) => {
    const sorted = [0, ...cuts.sort((left, right) => left - right), 10];
    return sorted.slice(1).map((end, index) => (end - sorted[index]!) * 10);
  });

function moved(before: readonly number[], after: readonly number[]): number {
  const [then, now] = [assignBuckets(lanesOf(before)), assignBuckets(lanesOf(after))];
  return then.filter((lane, bucket) => now[bucket] !== lane).length;
}

/** The least that any assignment could move. */
function necessary(before: readonly number[], after: readonly number[]): number {
  return before.reduce((sum, weight, index) => sum + Math.max(0, weight - after[index]!), 0);
}

describe('buckets of flows', () => {
  it('are as many for each lane as its weight says, whatever the order of lanes', () => {
    fc.assert(
      fc.property(weightsArbitrary(4), (weights) => {
        const lanes = lanesOf(weights);
        const buckets = assignBuckets(lanes).map((index) => lanes[index]!.key);
        expect(KEYS.map((key) => buckets.filter((one) => one === key).length)).toEqual(weights);
        const turned = lanes.toReversed();
        expect(assignBuckets(turned).map((index) => turned[index]!.key)).toEqual(buckets);
      }),
    );
  });

  it('of two lanes move only by the difference', () => {
    expect(moved([50, 50], [80, 20])).toBe(30);
    expect(moved([50, 50], [20, 80])).toBe(30);
    expect(moved([100, 0], [50, 50])).toBe(50); // half of the flows stay where they are, in every step on the way too
    for (let weight = 10; weight <= 50; weight += 10) expect(moved([110 - weight, weight - 10], [100 - weight, weight])).toBe(10);
    fc.assert(
      fc.property(weightsArbitrary(2), weightsArbitrary(2), (before, after) => {
        expect(moved(before, after)).toBe(necessary(before, after));
      }),
    );
  });

  it('of several lanes move few more than they must', () => {
    fc.assert(
      fc.property(weightsArbitrary(4), weightsArbitrary(4), (before, after) => {
        expect(moved(before, after) - necessary(before, after)).toBeLessThanOrEqual(30);
      }),
      { numRuns: 500 },
    );
    expect(moved([50, 50, 0], [50, 40, 10])).toBeLessThanOrEqual(20); // another way is added
  });
});
