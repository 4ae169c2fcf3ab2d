import { connectionFor, isAdmitted, type ClassId, type ForecastSettings, type Intent, type SiteId } from '../model/index.ts';

export interface DemandPair {
  from: SiteId;
  to: SiteId;
  classId: ClassId;
}

/** Every ordered pair of sites that may talk, once for each class that its rule lets through; sorted as sites and classes are. */
export function demandPairs(intent: Intent): DemandPair[] {
  return intent.sites.flatMap((from) =>
    intent.sites
      .filter((to) => isAdmitted(intent, from.id, to.id))
      .flatMap((to) => {
        const allowed = connectionFor(intent, from.id, to.id)?.classes ?? [];
        const classes = intent.classes.filter(({ id }) => allowed.length === 0 || allowed.includes(id));
        return classes.map(({ id }) => ({ from: from.id, to: to.id, classId: id }));
      }),
  );
}

/** More than this many slots say nothing new to a forecast and make each recorded input larger. */
const OBSERVED_SLOTS_MAX = 2016;

/** How far back an observation goes: a week where that is short enough to be recorded with every decision. */
export function observedSlots(settings: ForecastSettings): number {
  return Math.min(7 * settings.slotsPerDay, OBSERVED_SLOTS_MAX);
}
