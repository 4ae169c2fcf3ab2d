import { roundTo } from '../../base/index.ts';
import {
  concerns,
  findSite,
  type ClassId,
  type DemandForecast,
  type EventAdjustment,
  type Forecast,
  type ForecastSlot,
  type Intent,
  type Observation,
  type PlannedEvent,
  type SiteId,
} from '../../model/index.ts';
import { prioritiseDemands } from '../demand-priority.ts';
import { eventsInSlots } from './events-in-slots.ts';

/** The least of its forecast that an event which lowers demand leaves: an office that is said to be closed may not be. */
const KEPT_MIN = 0.1;
/** By what share of what was added the upper quantiles are wider, at least and at most: a person's guess has no quantiles. */
const SPREAD_MIN = 0.1;
const SPREAD_MAX = 0.5;

/**
 * The forecast with what people expect of planned events, before any traffic shows them. An event says what comes
 * instead of what is usual without it, so one that the model has already learned, or that has begun, is not counted
 * twice: a slot is raised to what is expected and never further. Nothing is lowered unless the event may (`mayLower`).
 * What is usual without the event: the mean of the same time on the observed days without an event of its kind; where
 * every day had one, of the day's other slots; where nothing of its kind was observed, the forecast itself.
 * Bounds: the uplinks of the sites, and a tenth of the forecast downwards. Demands keep their order of priority.
 */
export function adjustForEvents(forecast: Forecast, intent: Intent, observation: Observation): Forecast {
  const events = (intent.plannedEvents ?? []).filter(({ expect }) => expect !== null);
  if (events.length === 0) return forecast;
  const adjustments: EventAdjustment[] = [];
  const demands = forecast.demands.map((demand) => {
    const mostMbps = uplinkMbps(intent, demand.from, demand.to);
    const each = events.filter((event) => concerns(event, demand.from, demand.to, demand.classId)).flatMap((event) => changeBy(event, demand, forecast, intent, observation, mostMbps) ?? []);
    if (each.length === 0) return demand;
    const applied = boundTogether(each, demand, mostMbps);
    adjustments.push(...applied);
    return { ...demand, slots: demand.slots.map((slot, index) => moved(slot, applied.reduce((sum, { addedMbps }) => sum + addedMbps[index]!, 0))) };
  });
  if (adjustments.length === 0) return forecast;
  const priorities = new Map(intent.classes.map(({ id, priority }) => [id, priority]));
  return { ...forecast, demands: prioritiseDemands(demands, priorities), adjustments };
}

/** What one event adds to p50 in each slot; null when it changes nothing. */
function changeBy(event: PlannedEvent, demand: DemandForecast, forecast: Forecast, intent: Intent, observation: Observation, mostMbps: number): EventAdjustment | null {
  const { slotMs } = forecast;
  const first = demand.slots[0];
  if (!first || !event.expect) return null;
  const [ahead] = eventsInSlots({ plannedEvents: [event] }, first.startAt, slotMs, demand.slots.length);
  if (!ahead) return null;
  const usual = usualWithout(event, demand, intent, observation);
  let isBounded = false;
  const addedMbps = demand.slots.map((slot, index) => {
    const share = ahead.shares[index]!;
    if (share === 0) return 0;
    const base = usual(slot.startAt) ?? slot.p50;
    const wanted = base + share * (event.expect!.kind === 'factor' ? (event.expect!.factor - 1) * base : event.expect!.mbps);
    const bounded = Math.min(wanted, mostMbps);
    if (bounded >= slot.p50) {
      isBounded ||= bounded < wanted;
      return isLower(event) ? 0 : roundTo(bounded - slot.p50, 4);
    }
    return event.mayLower && isLower(event) ? roundTo(Math.max(bounded, KEPT_MIN * slot.p50) - slot.p50, 4) : 0;
  });
  if (addedMbps.every((mbps) => mbps === 0)) return null;
  return { event: event.name, eventKind: event.eventKind, from: demand.from, to: demand.to, classId: demand.classId, expected: expectedText(event), addedMbps, isBounded };
}

/** Different events come on top of each other, but not beyond the uplinks: then all are cut alike. */
function boundTogether(applied: EventAdjustment[], { slots }: DemandForecast, mostMbps: number): EventAdjustment[] {
  const ratios = slots.map(({ p50 }, slot) => {
    const sum = applied.reduce((total, { addedMbps }) => total + addedMbps[slot]!, 0);
    const room = Math.max(0, mostMbps - p50);
    return sum > room ? room / sum : 1;
  });
  if (ratios.every((ratio) => ratio === 1)) return applied;
  return applied.map((one) => ({ ...one, addedMbps: one.addedMbps.map((mbps, slot) => roundTo(mbps * ratios[slot]!, 4)), isBounded: true }));
}

function isLower({ expect }: PlannedEvent): boolean {
  return expect?.kind === 'factor' && expect.factor < 1;
}

/** Demand at a time of day without events of the kind, Mbit/s; null when the forecast itself is the best guess. */
function usualWithout(event: PlannedEvent, demand: { from: SiteId; to: SiteId; classId: ClassId }, intent: Intent, observation: Observation): (startAt: number) => number | null {
  const series = observation.demands.find(({ from, to, classId }) => from === demand.from && to === demand.to && classId === demand.classId);
  if (!series || series.mbps.length === 0) return () => null;
  const { slotMs, lastSlotEndAt } = observation;
  const slots = series.mbps.length;
  const historyAt = lastSlotEndAt - slots * slotMs;
  const ofKind = (intent.plannedEvents ?? []).filter((each) => each.eventKind === event.eventKind && concerns(each, demand.from, demand.to, demand.classId));
  const on = new Float32Array(slots);
  for (const { shares } of eventsInSlots({ plannedEvents: ofKind }, historyAt, slotMs, slots)) shares.forEach((share, slot) => (on[slot] = Math.max(on[slot]!, share)));
  if (on.every((share) => share === 0)) return () => null;
  const dayMs = intent.mesh.forecast.slotsPerDay * slotMs;
  const meanOf = (isCounted: (slot: number) => boolean): number | null => {
    const values = series.mbps.filter((mbps, slot) => mbps !== null && on[slot] === 0 && isCounted(slot)) as number[];
    return values.length === 0 ? null : values.reduce((sum, mbps) => sum + mbps, 0) / values.length;
  };
  const lastDay = meanOf((slot) => slot >= slots - intent.mesh.forecast.slotsPerDay);
  return (startAt) => meanOf((slot) => (startAt - historyAt - slot * slotMs) % dayMs === 0) ?? lastDay;
}

/** The quantiles rise by what was added and a part of it more, as wide as the forecast was; they fall in proportion. */
function moved({ startAt, p50, p90, p95 }: ForecastSlot, addedMbps: number): ForecastSlot {
  if (addedMbps === 0) return { startAt, p50, p90, p95 };
  if (addedMbps < 0) {
    const ratio = p50 > 0 ? Math.max(KEPT_MIN, (p50 + addedMbps) / p50) : 1;
    return { startAt, p50: roundTo(p50 * ratio, 4), p90: roundTo(p90 * ratio, 4), p95: roundTo(p95 * ratio, 4) };
  }
  const widened = (quantile: number): number => {
    const spread = p50 > 0 ? Math.min(SPREAD_MAX, Math.max(SPREAD_MIN, (quantile - p50) / p50)) : SPREAD_MAX;
    return roundTo(quantile + addedMbps * (1 + spread), 4);
  };
  const [upper, uppermost] = [widened(p90), widened(p95)];
  return { startAt, p50: roundTo(p50 + addedMbps, 4), p90: upper, p95: Math.max(upper, uppermost) };
}

/** The most that can leave one site and reach the other. */
function uplinkMbps(intent: Intent, from: SiteId, to: SiteId): number {
  const sumOf = (site: SiteId, of: 'upMbps' | 'downMbps'): number => {
    const nodes = findSite(intent, site)?.nodes.filter(({ role }) => role === 'active') ?? [];
    return nodes.flatMap(({ uplinks }) => uplinks).reduce((sum, uplink) => sum + uplink[of], 0);
  };
  return Math.min(sumOf(from, 'upMbps'), sumOf(to, 'downMbps'));
}

function expectedText({ expect }: PlannedEvent): string {
  return expect?.kind === 'extra' ? `+${expect.mbps} Mbit/s` : `×${expect?.factor}`;
}
