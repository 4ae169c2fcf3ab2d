import * as fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import type { SenderRate } from '../../../src/lab/world.ts';
import { createPacer, createStreamCount, decodeHeader, encodeHeader, rateMbps } from '../../../src/lab/traffic/index.ts';

const AT = Date.UTC(2026, 0, 5);
const packet = (flow: number, sequence: number, sentMs = 0): Parameters<ReturnType<typeof createStreamCount>['add']>[0] => ({ stream: 1, epoch: 1, flow, sequence, sentMs });

describe('counting a stream', () => {
  it('counts every loss, double and late packet exactly, whatever the network does', () => {
    fc.assert(
      fc.property(fc.array(fc.record({ lost: fc.boolean(), doubled: fc.boolean(), lateBy: fc.integer({ min: 0, max: 5 }) }), { minLength: 1, maxLength: 200 }), (fates) => {
        const arrivals = fates
          .flatMap((fate, sequence) => (fate.lost ? [] : [{ sequence, at: sequence + fate.lateBy }, ...(fate.doubled ? [{ sequence, at: sequence + fate.lateBy + 7 }] : [])]))
          .sort((left, right) => left.at - right.at || left.sequence - right.sequence);
        const count = createStreamCount(1, 0, AT);
        for (const { sequence, at } of arrivals) count.add(packet(0, sequence), 100, at, AT + at);
        const report = count.report([fates.length], true, 1000, AT + 1000);
        expect(report.received).toBe(fates.filter((fate) => !fate.lost).length);
        const last = fates.findLastIndex((fate) => !fate.lost);
        const lostBetween = fates.slice(0, last + 1).filter((fate) => fate.lost).length;
        expect(report.holes.reduce((sum, { packets }) => sum + packets, 0)).toBe(lostBetween);
        expect(report.duplicated).toBe(fates.filter((fate) => !fate.lost && fate.doubled).length);
      }),
    );
  });

  it('leaves out what was sent too recently to have arrived', () => {
    const count = createStreamCount(1, 0, AT);
    for (const sequence of [0, 1, 2, 3, 4]) count.add(packet(0, sequence), 100, sequence, AT + sequence);
    expect(count.report([3], true, 10, AT + 10).received).toBe(3);
  });

  it('sees the silence of one flow behind the packets of another', () => {
    const count = createStreamCount(1, 0, AT);
    for (let ms = 0; ms <= 1000; ms += 10) {
      count.add(packet(0, ms / 10), 100, ms, AT + ms);
      if (ms < 300 || ms > 700) count.add(packet(1, ms / 10), 100, ms, AT + ms);
    }
    expect(count.report([101, 101], true, 1000, AT + 1000)).toMatchObject({ longestGapMs: 420, longestGapAt: AT + 290 });
  });

  it('counts a silence that lasts, but not the end of sending', () => {
    const count = createStreamCount(1, 0, AT);
    count.add(packet(0, 0), 100, 10, AT + 10);
    expect(count.report([50], true, 900, AT + 900).longestGapMs).toBe(890);
    expect(count.report([50], false, 900, AT + 900).longestGapMs).toBe(10);
    expect(count.report([1], true, 900, AT + 900).longestGapMs).toBe(10);
  });

  it('gives the rate of the last second and the history in tenths of it', () => {
    const count = createStreamCount(1, 0, AT);
    for (let ms = 0; ms < 3000; ms += 1) count.add(packet(0, ms), 97, ms, AT + ms);
    const report = count.report([3000], true, 3000, AT + 3000);
    expect(report.mbps).toBe(1);
    expect(report.history).toEqual(Array.from({ length: 30 }, () => 12_500));
  });

  it('reads back every header it wrote and takes nothing else for one', () => {
    fc.assert(
      fc.property(fc.nat(0xffff), fc.nat(0xffffffff), fc.nat(0xffffffff), fc.nat(0xffffffff), fc.double({ noNaN: true }), (flow, stream, epoch, sequence, sentMs) => {
        const header = { flow, stream, epoch, sequence, sentMs };
        expect(decodeHeader(encodeHeader(header))).toEqual(header);
      }),
    );
    expect(decodeHeader(Buffer.alloc(10))).toBeNull();
    expect(decodeHeader(Buffer.alloc(100))).toBeNull();
  });
});

describe('pacing', () => {
  it('sends what the rate asks for, whatever the ticks', () => {
    fc.assert(
      fc.property(fc.array(fc.integer({ min: 1, max: 15 }), { minLength: 50, maxLength: 300 }), fc.integer({ min: 1, max: 40 }), (ticks, mbps) => {
        const pacer = createPacer({ kind: 'constant', mbps }, 1000, 0);
        let nowMs = 0;
        let sent = 0;
        for (const tick of ticks) sent += pacer.due((nowMs += tick), AT + nowMs);
        expect(Math.abs(sent - 1 - (nowMs * mbps) / 8)).toBeLessThan(1.001);
      }),
    );
  });

  it('gives up what it missed rather than sending a burst', () => {
    const pacer = createPacer({ kind: 'constant', mbps: 8 }, 1000, 0);
    expect(pacer.due(1000, AT)).toBe(20);
    expect(pacer.skipped()).toBe(981);
  });

  it('follows the day between low and high', () => {
    const rate: SenderRate = { kind: 'day-curve', lowMbps: 2, highMbps: 10, slotMs: 1000, slotsPerDay: 96, phaseMs: 0 };
    const day = Array.from({ length: 96 }, (_, slot) => rateMbps(rate, slot * 1000));
    expect(Math.min(...day)).toBeGreaterThanOrEqual(2);
    expect(Math.max(...day)).toBeCloseTo(10, 0);
    expect(day.indexOf(Math.max(...day))).toBeGreaterThan(38);
  });
});
