import * as fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { droppedRatios, type QueueReading } from '../../../agent/report/dropped.ts';
import { type CounterReading, readingOf, samplesOf } from '../../../agent/report/index.ts';
import type { QueuedFlows } from '../../../agent/ports.ts';
import { classId, siteId } from '../../../src/model/index.ts';
import { berlin, configOf, t1 } from '../../support/node-configs.ts';

const [BULK, VOICE] = [classId('bulk'), classId('voice')];
const [PARIS, MADRID] = [siteId('paris'), siteId('madrid')];
const flows = (to = PARIS, more: Partial<QueuedFlows> = {}): QueuedFlows => ({ to, classId: BULK, uplink: 'fibre', share: 1, copyUplink: null, ...more });
const queue = (sentPackets: number, droppedPackets: number, uplink = 'fibre', of = BULK): NonNullable<QueueReading['shaped']>[number] => ({ uplink, classId: of, sentPackets, droppedPackets });

describe('what class queues dropped of a pair', () => {
  const begin: QueueReading = { shaped: [queue(1000, 50), queue(1000, 0, 'dsl')], queued: [flows()] };
  it.each([
    { title: 'is what its queue dropped of all that came in the window', now: { shaped: [queue(1090, 60)], queued: [flows()] }, gives: 0.1 },
    { title: 'is the same for every pair of a queue, whatever else the queue carries', now: { shaped: [queue(1075, 75)], queued: [flows(), flows(MADRID)] }, gives: 0.25 },
    { title: 'is nothing while the queue drops nothing', now: { shaped: [queue(9000, 50)], queued: [flows()] }, gives: 0 },
    { title: 'is nothing of another class’s queue', now: { shaped: [queue(1000, 50), queue(10, 90, 'fibre', VOICE)], queued: [flows()] }, gives: 0 },
    { title: 'is all that a queue which was made anew counts', now: { shaped: [queue(30, 10)], queued: [flows()] }, gives: 0.25 },
    { title: 'counts half where it was and half where it is when it was moved', now: { shaped: [queue(1090, 60), queue(1080, 20, 'dsl')], queued: [flows(PARIS, { uplink: 'dsl' })] }, gives: 0.15 },
    { title: 'is by shares where it is split', before: { ...begin, queued: [] }, now: { shaped: [queue(1090, 60), queue(1080, 20, 'dsl')], queued: [flows(PARIS, { share: 0.6 }), flows(PARIS, { uplink: 'dsl', share: 0.4 })] }, gives: 0.07 },
    { title: 'is what both queues dropped where it is sent twice', before: { shaped: begin.shaped! }, now: { shaped: [queue(1090, 60), queue(1080, 20, 'dsl')], queued: [flows(PARIS, { copyUplink: 'dsl' })] }, gives: 0.02 },
    { title: 'is nothing where its copies meet no queue', before: { shaped: begin.shaped! }, now: { shaped: [queue(1090, 60)], queued: [flows(PARIS, { copyUplink: 'lte' })] }, gives: 0 },
    { title: 'is nothing without shaping', before: {}, now: {}, gives: 0 },
  ])('$title', ({ before = begin, now, gives }) => {
    expect(droppedRatios(before, now)(PARIS, BULK)).toBeCloseTo(gives, 10);
  });

  it('adds up over the pairs of a queue to what the queue dropped, when packets are alike', () => {
    fc.assert(
      fc.property(fc.array(fc.nat(5000), { minLength: 1, maxLength: 8 }), fc.double({ min: 0, max: 1, noNaN: true }), (offered, part) => {
        const all = offered.reduce((sum, packets) => sum + packets, 0);
        const dropped = Math.round(all * part);
        const queued = offered.map((_, index) => flows(siteId(`site${index}`)));
        const ratio = droppedRatios({ shaped: [queue(0, 0)], queued }, { shaped: [queue(all - dropped, dropped)], queued });
        const sum = offered.reduce((total, packets, index) => total + packets * ratio(siteId(`site${index}`), BULK), 0);
        expect(sum).toBeCloseTo(dropped, 6);
      }),
    );
  });

  it('is told beside what was offered, and never more', () => {
    const counters = (bytes: number, sentPackets: number, droppedPackets: number): CounterReading =>
      readingOf({ offered: [{ to: PARIS, classId: BULK, bytes, packets: bytes / 1000 }, { to: MADRID, classId: BULK, bytes: 2 * bytes, packets: bytes / 500 }], tunnels: [], links: [], shaped: [{ ...queue(sentPackets, droppedPackets), droppedBytes: 0 }], queued: [flows(), flows(MADRID)], leakPackets: 0 }, 1000 + sentPackets);
    const samples = samplesOf(counters(0, 0, 0), counters(400_000, 900, 300), { config: configOf(berlin, [t1], [[t1]]), paths: new Map(), probedMs: 1, isActive: () => true });
    expect(samples.flatMap((sample) => (sample.kind === 'traffic' ? [[sample.to, sample.offeredBytes, sample.droppedBytes]] : []))).toEqual([['paris', 400_000, 100_000], ['madrid', 800_000, 200_000]]);
  });
});
