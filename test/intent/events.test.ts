import { describe, expect, it } from 'vitest';
import { formatFinding } from '../../src/base/index.ts';
import { loadIntent, readConfigFolder } from '../../src/intent/index.ts';
import type { PlannedEvent } from '../../src/model/index.ts';

const example = (await readConfigFolder('.')).filter(({ file }) => !file.endsWith('/events.yaml'));
const load = (fields: string) => loadIntent([...example, { file: 'mesh-config/zz.yaml', text: `apiVersion: foremesh/v1\nkind: PlannedEvent\nname: extra\neventKind: backup-window\n${fields}\n` }], null);
const once = "start: '2026-12-01T21:00:00Z'\nduration: 2h";
const nightly = "duration: 2h\nrepeat: { at: ['22:00'], timeZone: Europe/Berlin }";

function eventOf(fields: string): PlannedEvent {
  const result = load(fields);
  if (!result.ok) throw new Error(result.findings.map(formatFinding).join('\n'));
  return result.value.intent.plannedEvents![0]!;
}

describe('a planned event', () => {
  it('concerns the whole mesh at its own time unless it says otherwise', () => {
    expect(eventOf(once)).toEqual({
      name: 'extra', eventKind: 'backup-window', between: ['*', '*'], isOneWay: false, classes: [], when: { kind: 'once', startAt: Date.parse('2026-12-01T21:00:00Z') }, durationMs: 7_200_000, expect: null, mayLower: false,
    });
  });

  it('may repeat on some days and at some times, in either order', () => {
    expect(eventOf("start: '2026-12-01T00:00:00Z'\nuntil: '2027-01-01T00:00:00Z'\nduration: 30m\nrepeat: { days: [fri, mon, mon], at: ['18:00', '08:30'], timeZone: Europe/Berlin }").when).toEqual({
      kind: 'repeat', weekdays: [0, 4], minutes: [510, 1080], timeZone: 'Europe/Berlin', fromAt: Date.parse('2026-12-01T00:00:00Z'), untilAt: Date.parse('2027-01-01T00:00:00Z'),
    });
  });

  it.each([
    ['×3', { kind: 'factor', factor: 3 }],
    ['x1.5', { kind: 'factor', factor: 1.5 }],
    ['+200Mbps', { kind: 'extra', mbps: 200 }],
    ['+1.5Gbps', { kind: 'extra', mbps: 1500 }],
  ])('expects %s', (text, expected) => {
    expect(eventOf(`${once}\nexpect: ${text}`).expect).toEqual(expected);
  });

  it('that was long ago stays in the calendar, since it teaches', () => {
    expect(load("start: '2020-01-01T00:00:00Z'\nduration: 1h").ok).toBe(true);
  });

  it('is absent from an intent without a calendar, so that older records stay what they were', () => {
    const result = loadIntent(example, null);
    expect(result.ok && 'plannedEvents' in result.value.intent).toBe(false);
  });

  it.each([
    ['an unknown site', `${once}\nbetween: [berlin, pariss]`, ['7:19 INTENT_REFERENCE'], 'did you mean paris?'],
    ['an unknown class', `${once}\nclasses: [voise]`, ['7:11 INTENT_REFERENCE'], 'did you mean voice?'],
    ['a site with itself', `${once}\nbetween: [berlin, berlin]`, ['7:19 INTENT_INVALID'], "[berlin, '*']"],
    ['no time at all', 'duration: 2h', ['3:7 INTENT_SCHEMA'], 'add start'],
    ['a duration without a unit', "start: '2026-12-01T21:00:00Z'\nduration: 120", ['6:11 INTENT_UNIT'], "'120m' for minutes"],
    ['a duration of no time', "start: '2026-12-01T21:00:00Z'\nduration: 0s", ['6:11 INTENT_INVALID'], "from '1s' to '31d'"],
    ['an expectation without × or a unit', `${once}\nexpect: 3`, ['7:9 INTENT_UNIT'], "'×3' for so many times as much, '+3Mbps' for so much more"],
    ['an expectation of a bare addition', `${once}\nexpect: +200`, ['7:9 INTENT_UNIT'], "'+200Mbps' for so much more"],
    ['an expectation in other words', `${once}\nexpect: thrice`, ['7:9 INTENT_UNIT'], "'×3', '+200Mbps'"],
    ['an absurd factor', `${once}\nexpect: ×500`, ['7:9 INTENT_INVALID'], 'at most ×100'],
    ['less than usual without leave', `${once}\nexpect: ×0.2`, ['7:9 INTENT_INVALID'], 'add mayLower: true'],
    ['a start on no day', "start: '2026-02-30T21:00:00Z'\nduration: 2h", ['5:8 INTENT_SCHEMA'], '2026-11-22T18:00:00Z'],
    ['a start in local time', "start: '2026-12-01 21:00'\nduration: 2h", ['5:8 INTENT_SCHEMA'], 'ISO 8601'],
    ['an end before the beginning', `start: '2026-12-01T21:00:00Z'\nuntil: '2026-11-01T21:00:00Z'\n${nightly}`, ['6:8 INTENT_INVALID'], 'write a later until'],
    ['an end beside a duration', `${once}\nuntil: '2026-12-02T21:00:00Z'`, ['7:8 INTENT_INVALID'], 'remove until'],
    ['a bare number for a time of day', 'duration: 2h\nrepeat: { at: [22] }', ['6:16 INTENT_SCHEMA'], "'22:00'"],
    ['25 o’clock', "duration: 2h\nrepeat: { at: ['25:00'] }", ['6:16 INTENT_SCHEMA'], '00:00 to 23:59'],
    ['a place that is no time zone', "duration: 2h\nrepeat: { at: ['22:00'], timeZone: Mars/Olympus }", ['6:36 INTENT_SCHEMA'], "'Europe/Berlin', 'UTC'"],
    ['a day that is none', "duration: 2h\nrepeat: { days: [moon], at: ['22:00'] }", ['6:18 INTENT_SCHEMA'], 'did you mean mon?'],
    ['an event that never ends', "duration: 25h\nrepeat: { at: ['22:00'] }", ['5:11 INTENT_INVALID'], "at most '24h'"],
    ['one that is still on when it begins again', "duration: 10h\nrepeat: { at: ['08:00', '17:30'] }", ['5:11 INTENT_INVALID'], "at most '9h30m'"],
  ])('is refused for %s', (_, fields, places, fix) => {
    const result = load(fields);
    const findings = result.ok ? [] : result.findings;
    expect(findings.map(({ where, code }) => `${where?.line}:${where?.column} ${code}`)).toEqual(places);
    expect(findings[0]!.fix).toContain(fix);
  });

  it.each([
    ['a time that clocks skip in spring', "duration: 1h\nrepeat: { at: ['02:30'], timeZone: Europe/Berlin }", ['6:16 INTENT_INVALID'], 'UTC'],
    ['a selector that matches no site', `${once}\nbetween: [store-*, berlin]`, ['7:11 INTENT_REFERENCE'], 'use one of'],
  ])('brings a warning for %s', (_, fields, places, fix) => {
    const result = load(fields);
    const warnings = result.ok ? result.warnings : [];
    expect(warnings.map(({ where, code }) => `${where?.line}:${where?.column} ${code}`)).toEqual(places);
    expect(warnings[0]!.fix).toContain(fix);
  });

  it('at 02:30 on weekdays only brings no warning, since clocks are put forward on a Sunday', () => {
    const result = load("duration: 1h\nrepeat: { days: [mon, tue], at: ['02:30'], timeZone: Europe/Berlin }");
    expect(result.ok && result.warnings).toEqual([]);
  });
});
