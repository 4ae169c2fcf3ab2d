import { parseBandwidthMbps, parseDurationMs, parseRatio, type Finding } from '../base/index.ts';
import { finding, shown, type KindDocument } from './check-schema.ts';
import type { IntentKind } from './schema.ts';

/** Bounds of values with a unit, both included: JSON Schema cannot compare '5m' with '1h'. `*` stands for every index. */
const DURATIONS: readonly [IntentKind, string, string, string][] = [
  ['Mesh', '/cycle', '100ms', '1d'],
  ['Mesh', '/idleTimeout', '1s', '30d'],
  ['Mesh', '/hold', '0s', '7d'],
  ['Mesh', '/forecast/slot', '500ms', '1d'],
  ['Mesh', '/probe/interval', '10ms', '10s'],
  ['Mesh', '/probe/holdDown', '0s', '1h'],
  ['Mesh', '/probe/holdDownMax', '0s', '24h'],
  ['Mesh', '/telemetry/sampleInterval', '100ms', '10m'],
  ['Mesh', '/vetoFor', '1s', '30d'],
  ['TrafficClass', '/sla/latencyMax', '1ms', '1m'],
  ['TrafficClass', '/sla/jitterMax', '1ms', '1m'],
  ['PlannedEvent', '/duration', '1s', '31d'],
  ['SecurityProfile', '/ikeRekey', '10s', '30d'],
  ['SecurityProfile', '/espRekey', '10s', '30d'],
];
const POSITIVE: readonly [IntentKind, string, string][] = [
  ['Mesh', '/utilisationMax', '80%'],
  ['Site', '/nodes/*/crypto', '1Gbps'],
  ['Site', '/nodes/*/uplinks/*/up', '20Mbps'],
  ['Site', '/nodes/*/uplinks/*/down', '20Mbps'],
];

/** Checks what a schema cannot say: lower and upper ends of durations, zero bandwidths, ranges whose ends are swapped. Values that do not parse are left to the schema. */
export function checkBounds(document: KindDocument): Finding[] {
  return [...checkDurations(document), ...checkPositive(document), ...checkPorts(document), ...checkBandwidthRange(document)];
}

function checkDurations(document: KindDocument): Finding[] {
  return DURATIONS.filter(([kind]) => kind === document.kind).flatMap(([, pattern, least, most]) =>
    textsMatching(document, pattern).flatMap(({ pointer, text }) => {
      const value = parseDurationMs(text);
      if (value === null || (value >= parseDurationMs(least)! && value <= parseDurationMs(most)!)) return [];
      return [finding(document.source, pointer, 'INTENT_INVALID', `${pattern.slice(1).replaceAll('/', '.')} is ${shown(text)}`, `write a duration from '${least}' to '${most}'`)];
    }),
  );
}

function checkPositive(document: KindDocument): Finding[] {
  return POSITIVE.filter(([kind]) => kind === document.kind).flatMap(([, pattern, example]) =>
    textsMatching(document, pattern)
      .filter(({ text }) => (parseBandwidthMbps(text) ?? parseRatio(text)) === 0)
      .map(({ pointer, text }) => finding(document.source, pointer, 'INTENT_INVALID', `${pattern.slice(pattern.lastIndexOf('/') + 1)} is ${shown(text)}, so nothing fits`, `write what it can carry, for example '${example}'`)),
  );
}

function checkPorts(document: KindDocument): Finding[] {
  if (document.kind !== 'TrafficClass') return [];
  return textsMatching(document, '/match/*/ports/*').flatMap(({ pointer, text }) => {
    const [from, to] = text.split('-').map(Number);
    if (from === undefined || to === undefined || Number.isNaN(from) || Number.isNaN(to) || (from <= to && to <= 65_535)) return [];
    return [finding(document.source, pointer, 'INTENT_INVALID', `the port range is ${shown(text)}`, "write the lower port first, none above 65535, for example '5000-5099'")];
  });
}

function checkBandwidthRange(document: KindDocument): Finding[] {
  if (document.kind !== 'Connection') return [];
  const [min] = textsMatching(document, '/min').map(({ text }) => parseBandwidthMbps(text));
  const [max] = textsMatching(document, '/max').map(({ text }) => parseBandwidthMbps(text));
  if (typeof min !== 'number' || typeof max !== 'number' || (max >= min && max > 0)) return [];
  return [finding(document.source, '/max', 'INTENT_INVALID', `max (${max} Mbit/s) is below min (${min} Mbit/s)${max === 0 ? ' or zero' : ''}`, 'raise max, or leave it out for no bound')];
}

/** The texts at the pointers that fit a pattern with `*` for indexes. */
function textsMatching(document: KindDocument, pattern: string): { pointer: string; text: string }[] {
  let found: { pointer: string; value: unknown }[] = [{ pointer: '', value: document.value }];
  for (const step of pattern.split('/').slice(1)) {
    found = found.flatMap(({ pointer, value }) => {
      if (value === null || typeof value !== 'object') return [];
      if (step === '*') return Array.isArray(value) ? value.map((item: unknown, index) => ({ pointer: `${pointer}/${index}`, value: item })) : [];
      return Object.hasOwn(value, step) ? [{ pointer: `${pointer}/${step}`, value: (value as Record<string, unknown>)[step] }] : [];
    });
  }
  return found.flatMap(({ pointer, value }) => (typeof value === 'string' ? [{ pointer, text: value }] : []));
}
