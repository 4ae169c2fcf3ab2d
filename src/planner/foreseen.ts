import type { ClassId, PathId } from '../model/index.ts';
import type { PlanInputs } from './plan.ts';
import { PLANNER_SETTINGS } from './settings.ts';
import type { Want, Way } from './types.ts';

export const NOTHING_FORESEEN: ReadonlyMap<ClassId, number> = new Map();

/**
 * By path and class how probable it is that the SLA is broken soon. Empty while the forecast is not clearly better than what
 * needs no forecast, or when its horizon is half over.
 */
export function foreseenViolations({ pathForecast, now }: Pick<PlanInputs, 'pathForecast' | 'now'>): ReadonlyMap<PathId, ReadonlyMap<ClassId, number>> {
  if (!pathForecast || !(pathForecast.skill >= PLANNER_SETTINGS.violationSkillMin)) return new Map();
  if (!(now - pathForecast.fromAt <= pathForecast.horizonMs / 2)) return new Map();
  return new Map(pathForecast.paths.map(({ path, violations }) => [path, new Map(violations.map(({ classId, probability }) => [classId, probability]))]));
}

/** The greatest probability by class: a way is as good as its worst hop. */
export function mostProbable(hops: readonly ReadonlyMap<ClassId, number>[]): ReadonlyMap<ClassId, number> {
  const foreseen = hops.filter((hop) => hop.size > 0);
  if (foreseen.length < 2) return foreseen[0] ?? NOTHING_FORESEEN;
  const most = new Map<ClassId, number>();
  for (const hop of foreseen) for (const [id, probability] of hop) most.set(id, Math.max(most.get(id) ?? 0, probability));
  return most;
}

/** Whether the price of an expected violation is due: who is on the way leaves it later than others would choose it. */
export function isViolationForeseen(way: Way, want: Want): boolean {
  const probability = way.violations.get(want.trafficClass.id) ?? 0;
  const isHere = want.previous?.some(({ key }) => key === way.key) ?? false;
  return probability >= (isHere ? PLANNER_SETTINGS.violationLeaveRatio : PLANNER_SETTINGS.violationReturnRatio);
}
