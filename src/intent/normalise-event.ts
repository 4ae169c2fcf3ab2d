import { parseBandwidthMbps, parseDurationMs } from '../base/index.ts';
import { classId, type ExpectedChange, type PlannedEvent } from '../model/index.ts';
import type { PlannedEventDocument } from './documents.ts';
import { WEEKDAY_NAMES } from './schema.ts';

/** The event of a document that passed every check. */
export function plannedEventOf(raw: PlannedEventDocument): PlannedEvent {
  return {
    name: raw.name,
    eventKind: raw.eventKind,
    between: [raw.between[0], raw.between[1]],
    isOneWay: raw.oneWay,
    classes: [...raw.classes].sort().map(classId),
    when: timeOf(raw),
    durationMs: parseDurationMs(raw.duration)!,
    expect: raw.expect === undefined ? null : parseExpectedChange(raw.expect),
    mayLower: raw.mayLower,
  };
}

/** Minutes after midnight of `'22:00'`, which fits the schema's pattern. */
export function minutesOf(timeOfDay: string): number {
  const [hours, minutes] = timeOfDay.split(':').map(Number);
  return hours! * 60 + minutes!;
}

/** `×3`, `x3` or `+200Mbps`; null for what is neither. */
export function parseExpectedChange(text: string): ExpectedChange | null {
  if (text.startsWith('+')) {
    const mbps = parseBandwidthMbps(text.slice(1));
    return mbps === null ? null : { kind: 'extra', mbps };
  }
  return /^[×x][0-9]/.test(text) ? { kind: 'factor', factor: Number(text.slice(1)) } : null;
}

function timeOf({ start, repeat, until }: PlannedEventDocument): PlannedEvent['when'] {
  const startAt = start === undefined ? null : Date.parse(start);
  if (!repeat) return { kind: 'once', startAt: startAt! };
  return {
    kind: 'repeat',
    weekdays: ascending(repeat.days.map((day) => WEEKDAY_NAMES.indexOf(day))),
    minutes: ascending(repeat.at.map(minutesOf)),
    timeZone: repeat.timeZone,
    fromAt: startAt,
    untilAt: until === undefined ? null : Date.parse(until),
  };
}

function ascending(numbers: readonly number[]): number[] {
  return [...new Set(numbers)].sort((left, right) => left - right);
}
