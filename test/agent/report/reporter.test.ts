import { describe, expect, it } from 'vitest';
import { createLog, VirtualClock } from '../../../src/base/index.ts';
import { type AgentMessage, classId, type Sample, siteId } from '../../../src/model/index.ts';
import { createMemoryOutbox, createReporter, type CounterReading, samplesOf } from '../../../agent/report/index.ts';
import { createTestNet } from '../../support/agent-ports.ts';
import { berlin, configOf, t1 } from '../../support/node-configs.ts';

const log = createLog('test', 'silent');
const voice = classId('voice');
const toParis = siteId('paris');

function startReporter(outbox = createMemoryOutbox(), clock = new VirtualClock()) {
  const net = createTestNet(clock);
  const { dataplane, failover: startFailover } = net.ports(berlin);
  const sent: AgentMessage[] = [];
  const failover = startFailover({ onVerdict: () => undefined, onSwitch: () => undefined, onWish: () => undefined });
  const reporter = createReporter({ outbox, dataplane, failover, clock, log, send: (message) => sent.push(message) });
  const offer = (bytes: number, packets: number): void => {
    net.machine(berlin).offered = [{ to: toParis, classId: voice, bytes, packets }];
  };
  const batches = (): number[] => sent.flatMap((message) => (message.type === 'samples' ? [message.sequence] : []));
  return { clock, dataplane, outbox, reporter, sent, offer, batches };
}

describe('the reporter', () => {
  it('sends what was offered in each window, and goes on with zeros once a pair was active', async () => {
    const { clock, reporter, sent, offer } = startReporter();
    offer(1_000, 10);
    await reporter.start();
    reporter.setConfig(configOf(berlin, [t1], [[t1]]));
    reporter.connected();
    await clock.advance(5_000);
    offer(4_000, 40);
    await clock.advance(10_000);
    const traffic = sent.flatMap((message) => (message.type === 'samples' ? message.samples : [])).filter((sample) => sample.kind === 'traffic');
    expect(traffic.map(({ windowMs, offeredBytes, offeredPackets }) => [windowMs, offeredBytes, offeredPackets])).toEqual([[5_000, 3_000, 30], [5_000, 0, 0]]);
  });

  it('reads counts by service every five minutes, of pairs with traffic, where the mesh permits it', async () => {
    const asked: unknown[] = [];
    const begun = async (permitted: object): Promise<Sample[]> => {
      const { clock, dataplane, reporter, sent, offer } = startReporter();
      let count = 0;
      dataplane.serviceCounts = async (pairs) => {
        asked.push(pairs);
        return pairs.map((pair) => ({ ...pair, service: 'tcp/443', count: (count += 50) }));
      };
      offer(1_000, 10);
      await reporter.start();
      reporter.setConfig({ ...configOf(berlin, [t1], [[t1]]), sampleIntervalMs: 10_000, ...permitted });
      reporter.connected();
      for (let turn = 0; turn < 62; turn++) {
        await clock.advance(10_000);
        await reporter.acknowledged(turn + 1);
      }
      return sent.flatMap((message) => (message.type === 'samples' ? message.samples : [])).filter(({ kind }) => kind === 'services');
    };
    expect(await begun({})).toEqual([]);
    expect(asked).toEqual([]);
    expect((await begun({ countServices: true })).map((sample) => (sample.kind === 'services' ? [sample.windowMs, sample.service, sample.connections] : []))).toEqual([[300_000, 'tcp/443', 50], [300_000, 'tcp/443', 50]]);
    expect(asked).toEqual(Array.from({ length: 3 }, () => [{ to: toParis, classId: voice }]));
  });

  it('keeps batches while there is no engine and sends all of them in order when there is', async () => {
    const { clock, reporter, batches, outbox } = startReporter();
    await reporter.start();
    reporter.setConfig(configOf(berlin, [t1], [[t1]]));
    await clock.advance(30_000);
    expect(batches()).toEqual([]);
    reporter.connected();
    await clock.advance(1);
    expect(batches()).toEqual([1, 2, 3, 4, 5, 6]);
    await reporter.acknowledged(6);
    expect(outbox.view().pendingBatches).toBe(0);
  });

  it('has at most eight unconfirmed batches under way and sends the unconfirmed ones again after a new connection', async () => {
    const { clock, reporter, batches } = startReporter();
    await reporter.start();
    reporter.setConfig(configOf(berlin, [t1], [[t1]]));
    await clock.advance(60_000);
    reporter.connected();
    await clock.advance(1);
    expect(batches()).toEqual([1, 2, 3, 4, 5, 6, 7, 8]);
    await reporter.acknowledged(3);
    expect(batches().slice(8)).toEqual([9, 10, 11]);
    reporter.disconnected();
    reporter.connected();
    await clock.advance(1);
    expect(batches().slice(11)).toEqual([4, 5, 6, 7, 8, 9, 10, 11]);
  });

  it('sends again what is not confirmed for 30 s', async () => {
    const { clock, reporter, batches } = startReporter();
    await reporter.start();
    reporter.setConfig(configOf(berlin, [t1], [[t1]]));
    reporter.connected();
    await clock.advance(45_000);
    expect(batches().filter((sequence) => sequence === 1)).toHaveLength(2);
  });

  it('counts on where its last life ended', async () => {
    const first = startReporter();
    first.offer(1_000, 10);
    await first.reporter.start();
    first.reporter.setConfig(configOf(berlin, [t1], [[t1]]));
    await first.clock.advance(10_000);
    await first.reporter.stop();
    const second = startReporter(first.outbox, first.clock);
    second.offer(7_000, 70);
    await second.reporter.start();
    second.reporter.setConfig(configOf(berlin, [t1], [[t1]]));
    await second.clock.advance(5_000);
    second.reporter.connected();
    await second.clock.advance(1);
    const last = second.sent.at(-1);
    expect(last?.type === 'samples' && last.samples.find(({ kind }) => kind === 'traffic')).toMatchObject({ offeredBytes: 6_000, windowMs: 5_000 });
  });
});

describe('samples of two readings', () => {
  const config = configOf(berlin, [t1], [[t1]]);
  const context = { config, paths: new Map(), probedMs: 5_000, isActive: () => false };
  const reading = (readAt: number, bytes: number): CounterReading => ({ readAt, offered: [{ to: toParis, classId: voice, bytes, packets: bytes / 100 }], tunnels: [{ tunnel: t1, rxBytes: bytes, txBytes: 2 * bytes }] });
  const figures = (samples: Sample[]): unknown[] => samples.map((sample) => (sample.kind === 'traffic' ? sample.offeredBytes : 'rxBytes' in sample ? [sample.rxBytes, sample.txBytes] : sample.kind === 'path' ? sample.state : sample.kind));

  it.each([
    { title: 'the growth of counters', before: reading(1_000, 500), now: reading(6_000, 800), gives: [300, [300, 600], 'unknown'] },
    { title: 'all of a counter that began again', before: reading(1_000, 500), now: reading(6_000, 200), gives: [200, [200, 400], 'unknown'] },
    { title: 'only paths without a last reading', before: null, now: reading(6_000, 200), gives: ['unknown'] },
    { title: 'only paths after the wall clock stepped back', before: reading(9_000, 100), now: reading(6_000, 200), gives: ['unknown'] },
    { title: 'only paths after more than an hour', before: reading(0, 100), now: reading(4_000_000, 200), gives: ['unknown'] },
    { title: 'nothing of a pair that never had traffic', before: reading(1_000, 0), now: reading(6_000, 0), gives: [[0, 0], 'unknown'] },
  ])('are $title', ({ before, now, gives }) => {
    expect(figures(samplesOf(before, now, context))).toEqual(gives);
  });
});

describe('a window between two readings', () => {
  const config = configOf(berlin, [t1], [[t1]]);
  const context = { config, paths: new Map(), probedMs: 10_000, isActive: () => true };
  const reading = (readAt: number, bytes: number): CounterReading => ({ readAt, offered: [{ to: toParis, classId: voice, bytes, packets: bytes / 100 }], tunnels: [{ tunnel: t1, rxBytes: bytes, txBytes: bytes }] });
  const figures = (before: CounterReading, now: CounterReading): number[] =>
    samplesOf(before, now, context).flatMap((sample: Sample) => (sample.kind === 'traffic' ? [sample.offeredBytes, sample.offeredPackets] : sample.kind === 'tunnel' ? [sample.rxBytes, sample.txBytes] : []));

  it('takes all of a counter for new when it began again', () => {
    expect(figures(reading(0, 5_000), reading(10_000, 7_000))).toEqual([2_000, 20, 2_000, 2_000]);
    expect(figures(reading(0, 5_000), reading(10_000, 700))).toEqual([700, 7, 700, 700]);
  });

  it('is not told where the clock was set back or far ahead', () => {
    expect(figures(reading(10_000, 5_000), reading(0, 7_000))).toEqual([]);
    expect(figures(reading(0, 5_000), reading(365 * 86_400_000, 7_000))).toEqual([]);
  });
});
