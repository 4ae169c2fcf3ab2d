import { roundTo } from '../../base/index.ts';
import { concerns, occurrencesOf, pairId, type ClassId, type DemandForecast, type EventAdjustment, type Forecast, type ForecastSlot, type Intent, type Observation, type PairId } from '../../model/index.ts';
import { isWeekend, PARTS_OF_PAST, phaseAt, trendShare, type PartOfPast, type Past } from './parts-of-past.ts';
import { explainInWords } from './words.ts';

/** What a forecast of one demand rests on. All rows over slots are in the order of `slots`. */
export interface ForecastExplanation {
  pair: PairId;
  classId: ClassId;
  madeAt: number;
  slotMs: number;
  model: string;
  slots: ForecastSlot[];
  /** Summands of p50; together they are p50. */
  parts: ForecastPart[];
  /** The last day, and what was forecast for it. */
  past: PastSlot[];
  band: BandReasons;
  /** Why this model and no other, one line each. */
  modelReasons: string[];
  /** How the last forecasts of this demand came out; null while none has. */
  record: ForecastRecord | null;
  events: EventMark[];
  words: string[];
}

export type PartName = PartOfPast | 'events' | 'model';

export interface ForecastPart {
  name: PartName;
  /** Mbit/s a slot; may be negative. */
  mbps: number[];
}

export interface PastSlot {
  startAt: number;
  mbps: number | null;
  /** What was forecast for it, as early as it was; null when nothing was. */
  p50: number | null;
  p95: number | null;
}

/** What decides how wide the band is. */
export interface BandReasons {
  /** p95 − p50 of the first and of the last slot, Mbit/s. */
  firstMbps: number;
  lastMbps: number;
  /** How far above its mean of that time of day the demand was on the worst of `daysKnown` days, Mbit/s; null without such days. */
  usualExcessMbps: number | null;
  daysKnown: number;
  /** Share of the observed slots in which nothing is known. */
  gapShare: number;
}

export interface ForecastRecord {
  slots: number;
  /** Σ|y − p50| / Σy. */
  wape: number;
  /** Share of slots with y ≤ p95. */
  heldP95: number;
  /** Σ(p50 − y) / Σy. */
  bias: number;
}

export interface EventMark {
  event: string;
  eventKind: string;
  startAt: number;
  endAt: number;
}

/** p50 by slot as the forecast would have been; null in `ExplainInputs` when nobody could be asked. */
export interface PartAnswers {
  /** For each of the pasts of `pastsByPart`, as if no event were planned. */
  withoutEvents: readonly (readonly number[])[];
  /** With the whole past and all events, learned or expected. */
  withEvents: readonly number[];
}

export interface ExplainInputs {
  intent: Intent;
  observation: Observation;
  forecast: Forecast;
  demand: DemandForecast;
  answers: PartAnswers | null;
  /** What was forecast for a slot of the past. */
  expectedAt: (startAt: number) => { p50: number; p95: number } | null;
  modelReasons: readonly string[];
}

/**
 * Takes a forecast apart. How: the model is shown the demand's past part by part (level alone, then with the usual day,
 * the kind of day, the last day's trend, and all of it), and in the end the planned events, too; each part is what it
 * changes in the answer, so what the model does not use gets nothing, and the sum is exact for any model. Where nobody
 * could be asked, what events moved is what the forecast says that was added for them. What is left (a retraining since,
 * a rounding) is `model`.
 */
export function explainForecast(inputs: ExplainInputs): ForecastExplanation {
  const { intent, observation, forecast, demand } = inputs;
  const past = pastOf(inputs);
  const adjustments = (forecast.adjustments ?? []).filter(({ from, to, classId }) => from === demand.from && to === demand.to && classId === demand.classId);
  const slots = demand.slots;
  const pastSlots = shownPast(past, inputs);
  const explanation: Omit<ForecastExplanation, 'words'> = {
    pair: pairId(demand.from, demand.to),
    classId: demand.classId,
    madeAt: forecast.madeAt,
    slotMs: forecast.slotMs,
    model: forecast.model,
    slots,
    parts: partsOf(slots, inputs.answers, adjustments),
    past: pastSlots,
    band: bandOf(slots, past),
    modelReasons: [...inputs.modelReasons],
    record: recordOf(pastSlots),
    events: marksOf(intent, demand, (pastSlots[0]?.startAt ?? observation.lastSlotEndAt), (slots.at(-1)?.startAt ?? observation.lastSlotEndAt) + forecast.slotMs),
  };
  return { ...explanation, words: explainInWords(explanation, { trendShare: trendShare(past), adjustments, isRealDay: past.slotMs * past.slotsPerDay === 86_400_000, lastSlotEndAt: past.endAt, isWeekend: isWeekend(slots[0]?.startAt ?? past.endAt, past) }) };
}

/** The past of a demand as the forecast saw it. */
export function pastOf({ intent, observation, demand }: Pick<ExplainInputs, 'intent' | 'observation'> & { demand: Pick<DemandForecast, 'from' | 'to' | 'classId'> }): Past {
  const mbps = observation.demands.find(({ from, to, classId }) => from === demand.from && to === demand.to && classId === demand.classId)?.mbps ?? [];
  return { mbps, endAt: observation.lastSlotEndAt, slotMs: observation.slotMs, slotsPerDay: intent.mesh.forecast.slotsPerDay };
}

/** Rounded so that they sum to p50 to the last digit shown. */
function partsOf(slots: readonly ForecastSlot[], answers: ExplainInputs['answers'], adjustments: readonly EventAdjustment[]): ForecastPart[] {
  const added = (slot: number): number => adjustments.reduce((sum, { addedMbps }) => sum + (addedMbps[slot] ?? 0), 0);
  const rows = answers === null ? [] : [...answers.withoutEvents, answers.withEvents];
  const names: PartName[] = answers === null ? ['events'] : [...PARTS_OF_PAST, 'events'];
  const known = names.map((name, part): ForecastPart => ({ name, mbps: slots.map((_, slot) => roundTo(answers === null ? added(slot) : (rows[part]![slot] ?? 0) - (part === 0 ? 0 : (rows[part - 1]![slot] ?? 0)), 4)) }));
  const rest = slots.map(({ p50 }, slot) => roundTo(p50 - known.reduce((sum, { mbps }) => sum + mbps[slot]!, 0), 4));
  return [...known, { name: 'model', mbps: rest }];
}

/** Two days at most are worth a look. */
const PAST_SLOTS_MAX = 288;

function shownPast(past: Past, { expectedAt }: ExplainInputs): PastSlot[] {
  const shown = Math.min(past.mbps.length, Math.min(PAST_SLOTS_MAX, past.slotsPerDay));
  return past.mbps.slice(past.mbps.length - shown).map((mbps, index) => {
    const startAt = past.endAt - (shown - index) * past.slotMs;
    const expected = expectedAt(startAt);
    return { startAt, mbps, p50: expected?.p50 ?? null, p95: expected?.p95 ?? null };
  });
}

function bandOf(slots: readonly ForecastSlot[], past: Past): BandReasons {
  const known = past.mbps.filter((mbps) => mbps !== null).length;
  const peak = slots.reduce<ForecastSlot | null>((most, slot) => (most && most.p50 >= slot.p50 ? most : slot), null);
  const alike = peak ? sameTimeOfDay(past, peak.startAt) : [];
  const mean = alike.reduce((sum, mbps) => sum + mbps, 0) / Math.max(1, alike.length);
  return {
    firstMbps: roundTo(widthOf(slots[0]), 4),
    lastMbps: roundTo(widthOf(slots.at(-1)), 4),
    usualExcessMbps: alike.length < 2 ? null : roundTo(Math.max(...alike) - mean, 4),
    daysKnown: alike.length,
    gapShare: past.mbps.length === 0 ? 1 : roundTo(1 - known / past.mbps.length, 4),
  };
}

function widthOf(slot: ForecastSlot | undefined): number {
  return slot ? slot.p95 - slot.p50 : 0;
}

/** The demand at that time of day, on days of the same kind, oldest first. */
function sameTimeOfDay(past: Past, startAt: number): number[] {
  const first = past.endAt - past.mbps.length * past.slotMs;
  const [phase, weekend] = [phaseAt(startAt, past), isWeekend(startAt, past)];
  return past.mbps.filter((mbps, slot): mbps is number => mbps !== null && phaseAt(first + slot * past.slotMs, past) === phase && isWeekend(first + slot * past.slotMs, past) === weekend);
}

function recordOf(past: readonly PastSlot[]): ForecastRecord | null {
  const told = past.flatMap(({ mbps, p50, p95 }) => (mbps === null || p50 === null || p95 === null ? [] : [{ mbps, p50, p95 }]));
  if (told.length === 0) return null;
  const total = told.reduce((sum, { mbps }) => sum + mbps, 0);
  const share = (sum: number): number => (total > 0 ? roundTo(sum / total, 4) : 0);
  return {
    slots: told.length,
    wape: share(told.reduce((sum, { mbps, p50 }) => sum + Math.abs(mbps - p50), 0)),
    heldP95: roundTo(told.filter(({ mbps, p95 }) => mbps <= p95).length / told.length, 4),
    bias: share(told.reduce((sum, { mbps, p50 }) => sum + p50 - mbps, 0)),
  };
}

function marksOf(intent: Intent, demand: DemandForecast, fromAt: number, untilAt: number): EventMark[] {
  return (intent.plannedEvents ?? [])
    .filter((event) => concerns(event, demand.from, demand.to, demand.classId))
    .flatMap((event) => occurrencesOf(event, fromAt, untilAt).map(({ startAt, endAt }) => ({ event: event.name, eventKind: event.eventKind, startAt, endAt })))
    .sort((left, right) => left.startAt - right.startAt);
}
