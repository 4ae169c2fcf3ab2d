import type { PairGroup } from '../model/index.ts';
import { firstKnownSlot } from './demand-series.ts';
import { knownMean, type DemandMatrix } from './matrix/demand-matrix.ts';

/** Below this share of slots with any demand a pair counts as sparse. */
const BUSY_SHARE_MIN = 0.5;
const HEAVY_SHARE = 0.1;

/** Which kind each pair is of: models that suit one do not suit the other, so each kind has a contest of its own, and a state of its own on the scoreboard. */
export function groupPairs({ values: all, slotsPerDay }: Pick<DemandMatrix, 'values' | 'slotsPerDay'>): PairGroup[] {
  const means = all.map((values) => knownMean(values));
  const groups = all.map((values): PairGroup => (!hasDayOfPast(values, slotsPerDay) ? 'new' : busyShare(values) < BUSY_SHARE_MIN ? 'sparse' : 'middle'));
  const ranked = [...groups.keys()].filter((pair) => groups[pair] !== 'new' && means[pair]! > 0).sort((left, right) => means[right]! - means[left]! || left - right);
  for (const pair of ranked.slice(0, Math.ceil(ranked.length * HEAVY_SHARE))) groups[pair] = 'heavy';
  return groups;
}

/** Whether something was known a day ago. */
export function hasDayOfPast(values: Float32Array, slotsPerDay: number): boolean {
  return firstKnownSlot(values) <= values.length - slotsPerDay;
}

/** Share of the known slots in which there was any demand. */
function busyShare(values: Float32Array): number {
  let known = 0;
  let busy = 0;
  for (const value of values) {
    if (Number.isNaN(value)) continue;
    known += 1;
    if (value > 0) busy += 1;
  }
  return known > 0 ? busy / known : 0;
}
