import type { DemandGroup, DemandSeries } from '../../model/index.ts';
import { isDemand } from '../demand-series.ts';
import { knownMean } from '../matrix/demand-matrix.ts';
import { groupPairs } from '../pair-groups.ts';

/** One demand as the scoreboard sees it. */
export interface WeighedDemand {
  /** Its place in the observation. */
  index: number;
  key: string;
  group: DemandGroup;
  /** Mean of what is known of it, Mbit/s. */
  mean: number;
}

/** Demands beyond these many, lightest first, are not scored: the figures would not change and each costs memory for a horizon. */
const DEMANDS_MAX = 1000;

/** The heaviest demands, heaviest first, each of the kind that it would have in a contest of models on what is observed of it. */
export function weighDemands(demands: readonly DemandSeries[], slotsPerDay: number): WeighedDemand[] {
  const values = demands.map(({ mbps }) => Float32Array.from(mbps, (value) => (isDemand(value) ? value : Number.NaN)));
  const groups = groupPairs({ values, slotsPerDay });
  const weighed = demands.map((demand, index): WeighedDemand => ({ index, key: demandKey(demand), group: groups[index]!, mean: knownMean(values[index]!) || 0 }));
  return weighed.sort((left, right) => right.mean - left.mean || (left.key < right.key ? -1 : 1)).slice(0, DEMANDS_MAX);
}

export function demandKey({ from, to, classId }: Pick<DemandSeries, 'from' | 'to' | 'classId'>): string {
  return `${from}>${to}#${classId}`;
}
