import { compareText } from '../../src/base/index.ts';
import { type NodeConfig, type Sample, serviceFigures, SERVICES_TOLD_MAX, USERS_MIN } from '../../src/model/index.ts';
import type { ServiceCount } from '../ports.ts';
import { grown } from './dropped.ts';
import { WINDOW_MAX_MS } from './readings.ts';

/** From one reading to the next, ms: rarely, for what is rare is told only where enough of it comes together. */
export const SERVICES_MS = 300_000;

/** Counts by service, in memory alone: what is too few to be told is not on the disk either. After a restart the first window is lost. */
export class ServiceBook {
  #last: { at: number; counts: ReadonlyMap<string, number> } | null = null;
  /** What the last window told, by pair and service. */
  #told: ReadonlyMap<string, ServiceCount> = new Map();

  /** Also after a step of the wall clock. */
  isDue(now: number): boolean {
    return this.#last === null || now - this.#last.at >= SERVICES_MS || now < this.#last.at;
  }

  /**
   * The window since the last reading: of each pair, class and protocol (connections and packets do not compare) the
   * `SERVICES_TOLD_MAX` ports with most, if they have `USERS_MIN` or more; 0 for what the window before told and this one does not.
   */
  samples(counts: readonly ServiceCount[], at: number, { node, site }: Pick<NodeConfig, 'node' | 'site'>): Sample[] {
    const last = this.#last;
    this.#last = { at, counts: new Map(counts.map((one) => [keyOf(one), one.count])) };
    const windowMs = last ? at - last.at : 0;
    if (!last || windowMs <= 0 || windowMs > WINDOW_MAX_MS) return [];
    const groups = new Map<string, ServiceCount[]>();
    for (const one of counts) {
      const count = grown(one.count, last.counts.get(keyOf(one)));
      const group = `${one.to} ${one.classId} ${one.service.split('/')[0]}`;
      if (count >= USERS_MIN) groups.set(group, [...(groups.get(group) ?? []), { ...one, count }]);
    }
    const most = [...groups.values()].flatMap((ofGroup) => ofGroup.sort((left, right) => right.count - left.count || compareText(left.service, right.service)).slice(0, SERVICES_TOLD_MAX));
    const told = new Map(most.map((one) => [keyOf(one), one]));
    const ended = [...this.#told].filter(([key]) => !told.has(key)).map(([, one]) => ({ ...one, count: 0 }));
    this.#told = told;
    return [...most, ...ended].map(({ to, classId, service, count }) => ({ kind: 'services', sampledAt: at, windowMs, node, from: site, to, classId, service, ...serviceFigures(service, count) }));
  }
}

function keyOf({ to, classId, service }: ServiceCount): string {
  return `${to} ${classId} ${service}`;
}
