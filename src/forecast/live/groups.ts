import type { DemandGroup, DemandSeries } from '../../model/index.ts';

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

/** The heaviest demands, heaviest first: a tenth of those that carry anything, at least one, is `heavy`. */
export function weighDemands(demands: readonly DemandSeries[]): WeighedDemand[] {
  const weighed = demands.map((demand, index) => ({ index, key: demandKey(demand), group: 'usual' as DemandGroup, mean: meanOf(demand.mbps) }));
  weighed.sort((left, right) => right.mean - left.mean || (left.key < right.key ? -1 : 1));
  const heavy = Math.ceil(weighed.filter(({ mean }) => mean > 0).length / 10);
  return weighed.slice(0, DEMANDS_MAX).map((demand, rank) => (rank < heavy ? { ...demand, group: 'heavy' } : demand));
}

export function demandKey({ from, to, classId }: Pick<DemandSeries, 'from' | 'to' | 'classId'>): string {
  return `${from}>${to}#${classId}`;
}

function meanOf(mbps: readonly (number | null)[]): number {
  let sum = 0;
  let count = 0;
  for (const value of mbps) {
    if (value === null || !(value >= 0)) continue;
    sum += value;
    count += 1;
  }
  return count > 0 ? sum / count : 0;
}
