import { compareText, sortedBy } from '../../base/index.ts';
import { concerns, occurrencesOf, type ClassId, type Intent, type PlannedEvent, type SiteId } from '../../model/index.ts';

/** When events of one kind take place for whoever their scope names. */
export interface EventSeries {
  eventKind: string;
  /** The events in it, by name. */
  events: string[];
  scope: Pick<PlannedEvent, 'between' | 'isOneWay' | 'classes'>;
  /** Share of each slot in which one of them is on, 0…1. */
  shares: Float32Array;
}

/** One input of a forecast: for these demands (by number) a share of each slot, past and to come. */
export interface EventCovariate {
  /** `event:` and the kind; at most one of a name concerns a demand. */
  name: string;
  pairs: number[];
  values: Float32Array;
  isKnownAhead: true;
}

/**
 * The calendar on a grid of slots, a series for every kind of event and scope (pairs, classes) that has one in them, by
 * kind. The grid may reach as far into the future as anybody wants to know.
 * @param startAt  when slot 0 begins, epoch ms
 */
export function eventsInSlots(intent: Pick<Intent, 'plannedEvents'>, startAt: number, slotMs: number, slots: number): EventSeries[] {
  const found = new Map<string, EventSeries>();
  for (const event of intent.plannedEvents ?? []) {
    const occurrences = occurrencesOf(event, startAt, startAt + slots * slotMs);
    if (occurrences.length === 0) continue;
    const { eventKind, between, isOneWay, classes } = event;
    const key = JSON.stringify([eventKind, between, isOneWay, classes]);
    const series = found.get(key) ?? { eventKind, events: [], scope: { between, isOneWay, classes }, shares: new Float32Array(slots) };
    found.set(key, series);
    series.events.push(event.name);
    for (const { startAt: from, endAt } of occurrences) {
      const last = Math.min(slots - 1, Math.floor((endAt - 1 - startAt) / slotMs));
      for (let slot = Math.max(0, Math.floor((from - startAt) / slotMs)); slot <= last; slot++) {
        const slotAt = startAt + slot * slotMs;
        const share = (Math.min(endAt, slotAt + slotMs) - Math.max(from, slotAt)) / slotMs;
        series.shares[slot] = Math.min(1, series.shares[slot]! + share);
      }
    }
  }
  return [...found.entries()].sort(([left], [right]) => compareText(left, right)).map(([, series]) => series);
}

/** The series as inputs of the demands they concern: where several of one kind concern a demand, the larger share counts. */
export function eventCovariates(series: readonly EventSeries[], demands: readonly { from: SiteId; to: SiteId; classId: ClassId }[]): EventCovariate[] {
  const found = new Map<string, EventCovariate>();
  demands.forEach(({ from, to, classId }, index) => {
    const ofDemand = series.filter(({ scope }) => concerns(scope, from, to, classId));
    for (const eventKind of new Set(ofDemand.map((each) => each.eventKind))) {
      const ofKind = ofDemand.filter((each) => each.eventKind === eventKind);
      const key = `${eventKind} ${ofKind.map((each) => series.indexOf(each)).join(' ')}`;
      const covariate = found.get(key) ?? { name: `event:${eventKind}`, pairs: [], values: largest(ofKind.map(({ shares }) => shares)), isKnownAhead: true };
      found.set(key, covariate);
      covariate.pairs.push(index);
    }
  });
  return sortedBy([...found.entries()], ([key]) => key).map(([, covariate]) => covariate);
}

function largest(shares: readonly Float32Array[]): Float32Array {
  return shares.length === 1 ? shares[0]! : shares[0]!.map((_, slot) => Math.max(...shares.map((each) => each[slot]!)));
}
