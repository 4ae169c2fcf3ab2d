import { formatWallClock, roundTo } from '../base/index.ts';
import type { ForecastExplanation, PartName } from '../forecast/index.ts';
import { drawForecast, terminalStyle } from './forecast-chart.ts';
import { colors, renderTable } from './output.ts';

/** What the API answers for one traffic class: the explanation with instants as ISO 8601. */
export type OutsideExplanation = Outside<ForecastExplanation>;
type Outside<T> = T extends string ? string : T extends readonly (infer Item)[] ? Outside<Item>[] : T extends object ? { [Key in keyof T]: Key extends `${string}At` ? string : Outside<T[Key]> } : T;

const PART_WORDS: Record<string, string> = { level: 'level', day: 'time of day', week: 'kind of day', trend: 'last day', recent: 'last hours', events: 'events', model: 'other' } satisfies Record<PartName, string>;

const MINUTE_MS = 60_000;

/** The chart, the slots with their summands, and the words, for a terminal. */
export function renderForecastExplanation({ pair, classId, slotMs, slots, parts, past, events, words }: OutsideExplanation, isAscii: boolean): string {
  const at = ({ startAt }: { startAt: string }): number => Date.parse(startAt);
  const chart = drawForecast(
    {
      slotMs,
      past: past.map((slot) => ({ startAt: at(slot), mbps: slot.mbps })),
      slots: slots.map((slot) => ({ startAt: at(slot), p50: slot.p50, p95: slot.p95 })),
      events: events.map((mark) => ({ event: mark.event, startAt: at(mark), endAt: Date.parse(mark.endAt) })),
    },
    terminalStyle(isAscii),
  );
  // A part that says nothing anywhere would be a column of zeros.
  const shown = parts.filter(({ mbps }) => mbps.some((value) => Math.abs(value) >= 0.005));
  const table = renderTable(
    ['from (UTC)', 'P50', 'P90', 'P95', ...(shown.length > 0 ? ['P50 ='] : []), ...shown.slice(1).map(() => '')],
    [
      ['', '', '', '', ...shown.map(({ name }) => colors.dim(PART_WORDS[name] ?? name))],
      ...slots.map((slot, index) => [formatWallClock(at(slot), 'UTC', slotMs < MINUTE_MS), number(slot.p50), number(slot.p90), number(slot.p95), ...shown.map(({ mbps }, place) => (place === 0 ? number(mbps[index]!) : signed(mbps[index]!)))]),
    ],
  );
  return [colors.bold(`${pair} ${classId}`), chart, '', table, '', ...words].join('\n');
}

function signed(value: number): string {
  return `${value < 0 ? '−' : '+'}${number(Math.abs(value))}`;
}

function number(value: number): string {
  return String(Math.abs(value) >= 100 ? Math.round(value) : roundTo(value, 2));
}
