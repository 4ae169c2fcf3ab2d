import { compareText } from '../base/index.ts';
import { peakMbps, type ClassId, type DemandForecast } from '../model/index.ts';

/**
 * The prioritised list: most urgent class first, then the highest peak of p95, then from, to and class by id.
 * @param priorities  0 is served first; a class that is not in it comes after all that are. Without it only peaks count.
 */
export function prioritiseDemands(demands: readonly DemandForecast[], priorities: ReadonlyMap<ClassId, number> = new Map()): DemandForecast[] {
  const ranked = demands.map((demand) => ({ demand, priority: priorities.get(demand.classId) ?? Number.MAX_SAFE_INTEGER, peak: peakMbps(demand, 'p95') }));
  ranked.sort((left, right) => left.priority - right.priority || right.peak - left.peak || compareText(idOf(left.demand), idOf(right.demand)));
  return ranked.map(({ demand }) => demand);
}

function idOf(demand: DemandForecast): string {
  return `${demand.from}>${demand.to}#${demand.classId}`;
}
