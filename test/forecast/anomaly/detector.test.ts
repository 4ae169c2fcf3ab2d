import { array, assert, double, option, property } from 'fast-check';
import { describe, expect, it } from 'vitest';
import { createRng } from '../../../src/base/index.ts';
import { ANOMALIES_KEPT_MAX, classId, siteId } from '../../../src/model/index.ts';
import { createAnomalyDetector, type AnomalyDetector, type AnomalySettings } from '../../../src/forecast/index.ts';
import { TailBound } from '../../../src/forecast/anomaly/tail-bound.ts';
import { wordsOf } from '../../../src/forecast/anomaly/words.ts';
import { FanOutWatch } from '../../../src/forecast/anomaly/fan-out.ts';

const SETTINGS: AnomalySettings = { slotMs: 900_000, slotsPerDay: 96, daysPerAlarm: 100, minMbps: 0.1 };
const CLASS = classId('bulk');
const SITES = ['a', 'b', 'c', 'd', 'e', 'f', 'g'].map((name) => siteId(name));
const DAY = 96;

type Mbps = (slot: number, from: string, to: string) => number | null;

/** Days of a noisy day curve for every pair, changed by `change`. */
function feed(detector: AnomalyDetector, fromSlot: number, untilSlot: number, change: (usual: number, ...at: Parameters<Mbps>) => number | null = (usual) => usual): void {
  for (let slot = fromSlot; slot < untilSlot; slot++) {
    const rng = createRng(`slot ${slot}`);
    const demands = SITES.flatMap((from) =>
      SITES.filter((to) => to !== from).map((to) => {
        const usual = (10 + 6 * Math.sin((2 * Math.PI * slot) / DAY)) * Math.exp(0.1 * rng.gaussian());
        return { from, to, classId: CLASS, mbps: change(usual, slot, from, to) };
      }),
    );
    detector.step({ startAt: slot * SETTINGS.slotMs, demands });
  }
}

function seasoned(days = 10): AnomalyDetector {
  const detector = createAnomalyDetector(SETTINGS);
  feed(detector, 0, days * DAY);
  return detector;
}

const line = (detector: AnomalyDetector): string[] => detector.anomalies().map(({ kind, from, to, endedAt }) => `${kind} ${from}>${to ?? '*'}${endedAt === null ? '' : ' ended'}`);

describe('the watch over demands', () => {
  it('tells nothing of ordinary days', () => {
    expect(line(seasoned(20))).toEqual([]);
  });

  it.each([
    ['a surge of three times', 3, 'surge a>b'],
    ['traffic that stops', 0, 'drop a>b'],
  ])('tells %s within half an hour, as one event with begin and end', (_name, factor, expected) => {
    const detector = seasoned();
    feed(detector, 10 * DAY, 10 * DAY + 2, (usual, _slot, from, to) => (from === 'a' && to === 'b' ? usual * factor : usual));
    expect(line(detector)).toEqual([expected]);
    const [begun] = detector.anomalies();
    expect(begun).toMatchObject({ startAt: 10 * DAY * SETTINGS.slotMs, classId: CLASS, endedAt: null });
    feed(detector, 10 * DAY + 2, 10 * DAY + 4, (usual, _slot, from, to) => (from === 'a' && to === 'b' ? usual * factor : usual));
    feed(detector, 10 * DAY + 4, 10 * DAY + 12);
    expect(line(detector)).toEqual([`${expected} ended`]);
    expect(detector.anomalies()[0]!.id).toBe(begun!.id);
  });

  it('says in words and figures what it saw', () => {
    const detector = seasoned();
    feed(detector, 10 * DAY, 10 * DAY + 2, (usual, _slot, from, to) => (from === 'a' && to === 'b' ? usual * 4 : usual));
    const [surge] = detector.anomalies();
    expect(surge!.words).toMatch(/^bulk traffic from a to b for 30 min: .* times the .* expected$/);
    expect(surge!.seenMbps / surge!.expectedMbps).toBeGreaterThan(3);
    expect(surge!.score).toBeGreaterThan(1);
  });

  it('names no multiple of what is next to nothing', () => {
    const surge = { kind: 'surge', from: siteId('a'), to: siteId('b'), classId: CLASS, startAt: 0, lastAt: 1_800_000, endedAt: null, severity: 'low', score: 2, seenMbps: 107 } as const;
    expect(wordsOf({ ...surge, expectedMbps: 0 })).toBe('bulk traffic from a to b for 30 min: 107 Mbit/s, where next to nothing was expected');
    expect(wordsOf({ ...surge, expectedMbps: 10.7 })).toContain('10.0 times the');
  });

  it('takes silence of a gateway for a gap, not for a drop', () => {
    const detector = seasoned();
    feed(detector, 10 * DAY, 10 * DAY + 8, (usual, _slot, from) => (from === 'a' ? null : usual));
    feed(detector, 10 * DAY + 8, 10 * DAY + 12);
    expect(line(detector)).toEqual([]);
  });

  it('keeps an event open while the gateway that told of it is silent', () => {
    const detector = seasoned();
    feed(detector, 10 * DAY, 10 * DAY + 2, (usual, _slot, from, to) => (from === 'a' && to === 'b' ? 5 * usual : usual));
    feed(detector, 10 * DAY + 2, 10 * DAY + 12, (usual, _slot, from) => (from === 'a' ? null : usual));
    expect(line(detector)).toEqual(['surge a>b']);
  });

  it('tells traffic of a site that stops for all its destinations as one event of the site', () => {
    const detector = seasoned();
    feed(detector, 10 * DAY, 10 * DAY + 4, (usual, _slot, from) => (from === 'a' ? usual * 0.02 : usual));
    expect(line(detector)).toEqual(['drop a>*']);
    expect(detector.anomalies()[0]!.words).toMatch(/^traffic from a for .* % of the .* expected$/);
    feed(detector, 10 * DAY + 4, 10 * DAY + 12);
    expect(line(detector)).toEqual(['drop a>* ended']);
  });

  it('does not take what comes back to its usual level after half a day of nothing for a surge', () => {
    const detector = seasoned();
    feed(detector, 10 * DAY, 10 * DAY + 48, (usual, _slot, from, to) => (from === 'a' && to === 'b' ? usual * 0.01 : usual));
    feed(detector, 10 * DAY + 48, 11 * DAY);
    expect(line(detector)).toEqual(['drop a>b ended']);
  });

  it('tells nothing of the first hours after a gap of days, in which nobody knows what is usual now', () => {
    const detector = seasoned();
    for (const from of [null, 4]) feed(detector, from === null ? 10 * DAY : 13 * DAY, from === null ? 13 * DAY : 13 * DAY + 8, (usual) => (from === null ? null : usual * from));
    expect(line(detector)).toEqual([]);
  });

  it('tells of a pair that begins to talk after days of silence, and of one slot of it not', () => {
    const detector = createAnomalyDetector(SETTINGS);
    const quiet = (usual: number, _slot: number, from: string, to: string): number => (from === 'a' && to === 'b' ? 0 : usual);
    feed(detector, 0, 9 * DAY, quiet);
    feed(detector, 9 * DAY, 9 * DAY + 1);
    expect(line(detector)).toEqual([]);
    feed(detector, 9 * DAY + 1, 9 * DAY + 2);
    expect(line(detector)).toEqual(['new-pair a>b']);
  });

  it('tells of a site that begins to talk a little to many as one fan-out, not as many new pairs', () => {
    const detector = createAnomalyDetector(SETTINGS);
    const isScanned = (from: string, to: string): boolean => from === 'a' && to !== 'b' && to !== 'c';
    feed(detector, 0, 9 * DAY, (usual, _slot, from, to) => (isScanned(from, to) ? 0 : usual));
    feed(detector, 9 * DAY, 9 * DAY + 2, (usual, _slot, from, to) => (isScanned(from, to) ? 0.3 : usual));
    expect(line(detector)).toEqual(['fan-out a>*']);
  });

  it('tells of ports that nobody talked to before', () => {
    const watch = new FanOutWatch(SETTINGS);
    const target = { name: 'b', mbps: 5 };
    for (let slot = 0; slot < 2 * DAY; slot++) watch.step([target, { name: 'b tcp/443', mbps: null }], 5);
    expect(watch.step([target, ...[22, 23, 80, 3389, 5900].map((port) => ({ name: `b tcp/${port}`, mbps: null }))], 5)).toMatchObject({ opened: ['b tcp/22', 'b tcp/23', 'b tcp/80', 'b tcp/3389', 'b tcp/5900'] });
  });

  it('stays within its bound of events, whatever comes', () => {
    const detector = createAnomalyDetector({ ...SETTINGS, slotsPerDay: 8 });
    assert(
      property(array(array(option(double({ min: 0, max: 1e12, noNaN: true })), { minLength: 4, maxLength: 4 }), { maxLength: 60 }), (slots) => {
        slots.forEach((values, at) => detector.step({ startAt: at * SETTINGS.slotMs, demands: values.map((mbps, index) => ({ from: SITES[index]!, to: SITES[index + 1]!, classId: CLASS, mbps })) }));
        expect(detector.anomalies().length).toBeLessThanOrEqual(ANOMALIES_KEPT_MAX);
        for (const { score, seenMbps, expectedMbps } of detector.anomalies()) expect([score, seenMbps, expectedMbps].every(Number.isFinite)).toBe(true);
      }),
      { numRuns: 30, seed: 5 },
    );
  });
});

describe('the bound of a tail', () => {
  it('is exceeded about as often as it may be, by values with a tail heavier than the assumed one too', () => {
    const rng = createRng('tail');
    const bound = new TailBound({ valuesPerAlarm: 2_000, halfLife: 100_000 });
    let alarms = 0;
    for (let index = 0; index < 60_000; index++) {
      const value = Math.abs(rng.gaussian()) ** 1.5 * 0.3;
      if (index > 5_000 && value > bound.bound()) {
        alarms += 1;
        bound.noteAlarm();
      }
      bound.add(value);
    }
    expect(alarms).toBeLessThan(2 * (55_000 / 2_000));
  });

  it('is infinite while next to nothing is known', () => {
    expect(new TailBound({ valuesPerAlarm: 100, halfLife: 100 }).bound()).toBe(Number.POSITIVE_INFINITY);
  });
});
