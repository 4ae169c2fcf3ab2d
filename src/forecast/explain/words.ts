import { formatDuration, formatWallClock, roundTo } from '../../base/index.ts';
import type { EventAdjustment } from '../../model/index.ts';
import type { ForecastExplanation, PartName } from './explain-forecast.ts';

export interface WordsContext {
  /** How far the last day lies above what is usual at its times, as a share of the level. */
  trendShare: number;
  adjustments: readonly EventAdjustment[];
  /** False where a day of the mesh is shorter than a day, as in the demo: its clock says nothing to people. */
  isRealDay: boolean;
  lastSlotEndAt: number;
  /** Of the forecast. */
  isWeekend: boolean;
}

/** A part below this share of p50, and below this many Mbit/s, is not worth a word. */
const WORTH_SHARE = 0.01;
const WORTH_MBPS = 0.05;

/** The explanation as sentences, the forecast's peak first; all figures are in Mbit/s of that slot. */
export function explainInWords(explanation: Omit<ForecastExplanation, 'words'>, context: WordsContext): string[] {
  const { slots, band, record, modelReasons } = explanation;
  const peak = slots.reduce((most, { p50 }, index) => (p50 > slots[most]!.p50 ? index : most), 0);
  const slot = slots[peak];
  if (!slot) return ['Nothing is forecast for this demand.'];
  const ahead = slot.startAt - context.lastSlotEndAt;
  const when = context.isRealDay ? `at ${formatWallClock(slot.startAt, 'UTC')} UTC` : `in the slot that begins ${ahead === 0 ? 'now' : `in ${formatDuration(ahead)}`}`;
  return [
    `Expected ${mbps(slot.p50)} ${when}, the most of the next ${formatDuration(slots.length * explanation.slotMs)}; 19 times in 20 at most ${mbps(slot.p95)}.`,
    restsOn(explanation, peak, context),
    ...eventWords(context.adjustments, peak),
    bandWords(band, slot.p50, slot.p95),
    ...modelReasons,
    record === null
      ? 'No forecast of this demand has come due yet since the engine started.'
      : `Of the last ${record.slots} slots, what had been forecast was off by ${percent(record.wape)} on average (${record.bias >= 0 ? 'too high' : 'too low'} by ${percent(Math.abs(record.bias))} in sum), and ${percent(record.heldP95)} stayed within the band.`,
  ];
}

function restsOn({ parts, slots }: Omit<ForecastExplanation, 'words'>, peak: number, context: WordsContext): string {
  const p50 = slots[peak]!.p50;
  const told = parts.filter(({ name, mbps: values }) => name === 'level' || Math.abs(values[peak]!) >= Math.max(WORTH_MBPS, WORTH_SHARE * p50));
  const texts = told.map(({ name, mbps: values }) => partWords(name, values[peak]!, context));
  return texts.length === 0 ? 'It rests on nothing but zeros.' : `It rests on ${texts.join(', ')}.`;
}

function partWords(name: PartName, value: number, { trendShare, isRealDay, isWeekend }: WordsContext): string {
  const added = signed(value);
  switch (name) {
    case 'level':
      return `the usual level of this demand (${mbps(value)})`;
    case 'day':
      return `what is usual at this time of day (${added})`;
    case 'week':
      return `on a ${isRealDay ? (isWeekend ? 'weekend' : 'working day') : isWeekend ? 'day of the kind of weekends' : 'day of the kind of working days'} (${added})`;
    case 'trend':
      return `a last day ${percent(Math.abs(trendShare))} ${trendShare >= 0 ? 'above' : 'below'} what is usual (${added})`;
    case 'recent':
      return `what was seen in the last hours (${added})`;
    case 'events':
      return `planned events (${added})`;
    default:
      return `what else the forecaster knows (${added})`;
  }
}

function eventWords(adjustments: readonly EventAdjustment[], peak: number): string[] {
  return adjustments
    .filter(({ addedMbps }) => addedMbps.some((value) => value !== 0))
    .map(({ event, eventKind, expected, addedMbps, isBounded }) => {
      const most = addedMbps.reduce((value, each) => (Math.abs(each) > Math.abs(value) ? each : value), 0);
      const here = addedMbps[peak] === most ? '' : ` (${signed(addedMbps[peak] ?? 0)} in that slot)`;
      return `Planned event ${event} (${eventKind}) is expected to mean ${expected}: ${signed(most)} at most${here}${isBounded ? ', as far as the uplinks go' : ''}; no model has learned it, so the band is a guess there.`;
    });
}

function bandWords(band: ForecastExplanation['band'], p50: number, p95: number): string {
  const width = p50 > 0 ? ` (${percent((p95 - p50) / p50)} above p50)` : '';
  const grows = band.lastMbps > 1.15 * band.firstMbps ? `; it grows from ${mbps(band.firstMbps)} in the next slot to ${mbps(band.lastMbps)} in the last` : '';
  const usual = band.usualExcessMbps === null ? 'too few days are known to say how the demand varies at this time' : `at this time of day it was up to ${mbps(band.usualExcessMbps)} above its mean on the last ${band.daysKnown} days of the kind`;
  const gaps = band.gapShare > 0.02 ? `; nothing is known of ${percent(band.gapShare)} of the past looked at` : '';
  return `The band is ${mbps(p95 - p50)} wide${width}: ${usual}${grows}${gaps}.`;
}

function mbps(value: number): string {
  return `${number(value)} Mbit/s`;
}

function signed(value: number): string {
  return `${value < 0 ? '−' : '+'}${number(Math.abs(value))}`;
}

function number(value: number): string {
  return String(Math.abs(value) >= 100 ? Math.round(value) : roundTo(value, Math.abs(value) < 1 ? 2 : 1));
}

function percent(share: number): string {
  return `${roundTo(100 * share, share < 0.1 ? 1 : 0)} %`;
}
