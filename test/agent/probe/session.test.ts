import { describe, expect, it } from 'vitest';
import * as fc from 'fast-check';
import { type Clock, VirtualClock } from '../../../src/base/index.ts';
import { createDamping, createProbeSession, decodeProbe, encodeProbe, PROBE_PACKET_BYTES, type ProbeSession } from '../../../agent/probe/index.ts';
import { createProbeLink } from '../../support/probe-link.ts';

const settings = { intervalMs: 50, downAfter: 3, holdDownMs: 1000, holdDownMaxMs: 1000 };

async function runningLink(direction = {}, seed = 'link') {
  const clock = new VirtualClock();
  const link = createProbeLink(clock, settings, direction, seed);
  for (const end of [link.a, link.b]) end.setInUse(true);
  await clock.advance(2_000);
  return { clock, link };
}

describe('a probe session', () => {
  it('is up after its first answer, without hold-down', async () => {
    const clock = new VirtualClock();
    const link = createProbeLink(clock, settings);
    await clock.advance(19);
    expect([link.a.state(), link.b.state()]).toEqual(['unknown', 'unknown']);
    await clock.advance(2);
    expect([link.a.state(), link.b.state()]).toEqual(['up', 'up']);
  });

  it('does not flap when the peer starts later and has missed answers', async () => {
    const clock = new VirtualClock();
    const link = createProbeLink(clock, settings);
    link.forward.down = true;
    await clock.advance(1_000);
    expect(link.verdicts.map(({ to }) => to)).toEqual(['down', 'down']);
    link.forward.down = false;
    await clock.advance(2_000);
    expect(link.verdicts.slice(2).map(({ end, to }) => `${end} ${to}`).sort()).toEqual(['a up', 'b up']);
  });

  it.each([0, 7, 13, 24, 31, 49])('finds a blackhole within half an interval more than downAfter, cut %i ms into an interval', async (offsetMs) => {
    const { clock, link } = await runningLink();
    await clock.advance(offsetMs);
    const cutAtMs = clock.monotonicMs();
    link.forward.down = link.reverse.down = true;
    await clock.advance(1_000);
    const downs = link.verdicts.filter(({ to }) => to === 'down');
    expect(downs.map(({ end }) => end).sort()).toEqual(['a', 'b']);
    for (const { atMs } of downs) expect(atMs - cutAtMs).toBeLessThanOrEqual(3.5 * settings.intervalMs);
  });

  it.each(['forward', 'reverse'] as const)('calls a path down at both ends when only %s is lost', async (way) => {
    const { clock, link } = await runningLink();
    const cutAtMs = clock.monotonicMs();
    link[way].down = true;
    await clock.advance(1_000);
    const downs = link.verdicts.filter(({ to }) => to === 'down');
    expect(downs.map(({ end }) => end).sort()).toEqual(['a', 'b']);
    for (const { atMs } of downs) expect(atMs - cutAtMs).toBeLessThanOrEqual(4 * settings.intervalMs + 20);
  });

  it('returns only after the hold-down, and both ends do', async () => {
    const { clock, link } = await runningLink();
    link.forward.down = link.reverse.down = true;
    await clock.advance(1_000);
    link.forward.down = link.reverse.down = false;
    const healedAtMs = clock.monotonicMs();
    await clock.advance(3_000);
    const ups = link.verdicts.filter(({ from, to }) => from === 'down' && to === 'up');
    expect(ups.map(({ end }) => end).sort()).toEqual(['a', 'b']);
    for (const { atMs } of ups) {
      expect(atMs - healedAtMs).toBeGreaterThanOrEqual(settings.holdDownMs);
      expect(atMs - healedAtMs).toBeLessThanOrEqual(settings.holdDownMs + 200);
    }
  });

  it('calls 20 % loss each way degraded (or down) within 1.5 s and recovers when it is over', async () => {
    const { clock, link } = await runningLink({}, 'brown-out');
    link.forward.lossRatio = link.reverse.lossRatio = 0.2;
    const beganAtMs = clock.monotonicMs();
    await clock.advance(20_000);
    const first = link.verdicts.find(({ end, to }) => end === 'a' && (to === 'degraded' || to === 'down'));
    expect(first!.atMs - beganAtMs).toBeLessThanOrEqual(1_500);
    link.forward.lossRatio = link.reverse.lossRatio = 0;
    await clock.advance(10_000);
    expect([link.a.state(), link.b.state()]).toEqual(['up', 'up']);
  });

  it('tells a slow path from a dead one: 80 ms more each way end in degraded, not in up and not in down', async () => {
    const { clock, link } = await runningLink();
    link.forward.delayMs = link.reverse.delayMs = 90;
    await clock.advance(10_000);
    expect([link.a.state(), link.b.state()]).toEqual(['degraded', 'degraded']);
  });

  it('is never down falsely in an hour of 2 % random loss each way', async () => {
    const clock = new VirtualClock();
    const link = createProbeLink(clock, settings, { lossRatio: 0.02, jitterMs: 4 }, 'two per cent');
    await clock.advance(3_600_000);
    expect(link.verdicts.filter(({ to }) => to === 'down')).toEqual([]);
    expect(link.verdicts.filter(({ to }) => to === 'degraded').length).toBeLessThanOrEqual(1);
  }, 120_000);

  it('measures latency, jitter and loss of both directions apart', async () => {
    const { clock, link } = await runningLink({ jitterMs: 4 }, 'measure');
    link.a.takeWindow();
    link.forward.lossRatio = 0.1;
    await clock.advance(60_000);
    const window = link.a.takeWindow();
    expect(window.latencyMs).toBeGreaterThan(20);
    expect(window.latencyMs).toBeLessThan(28);
    expect(window.jitterMs).toBeGreaterThan(0.5);
    expect(window.jitterMs).toBeLessThan(4);
    expect(window.lossForwardRatio).toBeGreaterThan(0.06);
    expect(window.lossForwardRatio).toBeLessThan(0.14);
    expect(window.lossReverseRatio).toBeLessThan(0.01);
    const seenByB = link.b.takeWindow();
    expect(seenByB.lossReverseRatio).toBeCloseTo(window.lossForwardRatio!, 1);
  });

  it('does not flap when a killed peer comes back', async () => {
    const { clock, link } = await runningLink();
    link.b.close();
    await clock.advance(5_000);
    expect(link.a.state()).toBe('down');
    const verdicts: string[] = [];
    const reborn: ProbeSession = createProbeSession({ settings, clock, session: 3, send: (bytes) => clock.setTimer(10, () => link.a.receive(bytes)), onChange: (_, to) => verdicts.push(to) });
    link.b.receive = (bytes) => reborn.receive(bytes);
    link.verdicts.length = 0;
    await clock.advance(5_000);
    expect(verdicts).toEqual(['up']);
    expect(link.verdicts.map(({ end, to }) => `${end} ${to}`)).toEqual(['a up']);
  });

  it('hears within an interval that the peer’s LAN is dead, and that it lives again, also on a tunnel that nobody uses', async () => {
    const { clock, link } = await runningLink();
    for (const end of [link.a, link.b]) end.setInUse(false);
    await clock.advance(1_000);
    for (const lame of [true, false]) {
      link.a.setLame(lame);
      await clock.advance(settings.intervalMs + 20);
      expect([link.b.peerLame(), link.a.peerLame()]).toEqual([lame, false]);
    }
  });

  it('keeps its verdict while a peer that said so restarts', async () => {
    const { clock, link } = await runningLink();
    link.b.pausePeer(10_000);
    await clock.advance(15);
    link.b.close();
    await clock.advance(5_000);
    expect(link.a.state()).toBe('up');
    await clock.advance(10_000);
    expect(link.a.state()).toBe('down');
  });

  it.each(['a', 'b'] as const)('asks no more often, and doubts no other tunnel, while %s restarts and said so', async (end) => {
    const { clock, link } = await runningLink();
    const other = end === 'a' ? 'b' : 'a';
    link[end].pausePeer(10_000);
    await clock.advance(15);
    link[end].close();
    let asked = 0;
    link[end].receive = () => void asked++;
    await clock.advance(5_000);
    expect(link[other].state()).toBe('up');
    expect(asked).toBeLessThanOrEqual(105);
  });

  it.each(['a', 'b'] as const)('asks no more often than ever once %s was killed and is held to be down', async (end) => {
    const { clock, link } = await runningLink();
    const other = end === 'a' ? 'b' : 'a';
    link[end].close();
    await clock.advance(500);
    expect(link[other].state()).toBe('down');
    let asked = 0;
    link[end].receive = () => void asked++;
    await clock.advance(5_000);
    expect(asked).toBeLessThanOrEqual(101);
  });

  it('judges nobody by a time in which its own process stood still', async () => {
    const inner = new VirtualClock();
    const waiting: (() => void)[] = [];
    let isStalled = false;
    const orLater = (action: () => void) => () => (isStalled ? void waiting.push(action) : action());
    const clock: Clock = { now: () => inner.now(), monotonicMs: () => inner.monotonicMs(), setTimer: (delayMs, action) => inner.setTimer(delayMs, orLater(action)) };
    const verdicts: string[] = [];
    const echo = (bytes: Uint8Array): Uint8Array => {
      const probe = decodeProbe(bytes)!;
      return encodeProbe({ ...probe, asks: null, answers: { sequence: probe.asks!.sequence, sentUs: probe.atUs, arrivedUs: probe.atUs }, combines: false, session: 2, peerSession: 1 });
    };
    const a: ProbeSession = createProbeSession({ settings, clock, session: 1, send: (bytes) => inner.setTimer(20, orLater(() => a.receive(echo(bytes)))), onChange: (_, to) => verdicts.push(to) });
    await inner.advance(2_000);
    isStalled = true;
    await inner.advance(400);
    isStalled = false;
    for (const action of waiting.splice(0)) action();
    await inner.advance(2_000);
    expect(verdicts).toEqual(['up']);
  });

  it('reads what came while its own process stood still before it suspects anybody', async () => {
    const inner = new VirtualClock();
    const timers: (() => void)[] = [];
    const packets: (() => void)[] = [];
    let isStalled = false;
    const stalling: Clock = { now: () => inner.now(), monotonicMs: () => inner.monotonicMs(), setTimer: (delayMs, action) => inner.setTimer(delayMs, () => (isStalled ? void timers.push(action) : action())) };
    let suspected = 0;
    const leader: ProbeSession = createProbeSession({ settings, clock: inner, session: 1, send: (bytes) => void inner.setTimer(5, () => (isStalled ? void packets.push(() => follower.receive(bytes)) : follower.receive(bytes))), onChange: () => undefined });
    const follower: ProbeSession = createProbeSession({ settings, clock: stalling, session: 2, send: (bytes) => void inner.setTimer(5, () => leader.receive(bytes)), onChange: () => undefined, onSuspect: () => void suspected++ });
    await inner.advance(2_040);
    isStalled = true;
    await inner.advance(50);
    isStalled = false;
    expect([timers.length, packets.length]).toEqual([1, 1]);
    for (const action of [...timers, ...packets]) action(); // as Node does: timers first
    await inner.advance(500);
    expect(suspected).toBe(0);
  });

  it('tells the peer that traffic may point at the tunnel until it knows: the peer would take it down under what an agent that starts has found', async () => {
    const clock = new VirtualClock();
    const link = createProbeLink(clock, settings);
    await clock.advance(200);
    expect([link.a.peerInUse(), link.b.peerInUse()]).toEqual([true, true]);
    link.a.setInUse(false);
    await clock.advance(100);
    expect([link.a.peerInUse(), link.b.peerInUse()]).toEqual([true, false]);
  });

  it('tells the peer whether traffic points at the tunnel, as long as that is fresh', async () => {
    const { clock, link } = await runningLink();
    for (const inUse of [false, true]) {
      link.a.setInUse(inUse);
      await clock.advance(100);
      expect(link.b.peerInUse()).toBe(inUse);
    }
    link.a.close();
    await clock.advance(1_500);
    expect(link.b.peerInUse()).toBeNull();
  });
});

describe('answers that travel in probes', () => {
  /** Packets of each end in so much time. */
  async function packetsIn(link: ReturnType<typeof createProbeLink>, clock: VirtualClock, durationMs: number): Promise<{ a: number; b: number }> {
    const count = { a: 0, b: 0 };
    const receivers = { a: link.a.receive.bind(link.a), b: link.b.receive.bind(link.b) };
    link.a.receive = (bytes) => (count.b++, receivers.a(bytes));
    link.b.receive = (bytes) => (count.a++, receivers.b(bytes));
    await clock.advance(durationMs);
    Object.assign(link.a, { receive: receivers.a });
    Object.assign(link.b, { receive: receivers.b });
    return count;
  }

  it.each([0.2, 3, 10, 20, 24, 26, 40, 70, 120])('need one packet an interval and end, %d ms away', async (delayMs) => {
    const { clock, link } = await runningLink({ delayMs }, `far ${delayMs}`);
    const { a, b } = await packetsIn(link, clock, 10_000);
    expect(a).toBeGreaterThanOrEqual(198);
    expect(b).toBeGreaterThanOrEqual(160);
    expect(a + b).toBeLessThanOrEqual(430);
    expect(link.verdicts.map(({ to }) => to)).toEqual(['up', 'up']);
  });

  it('need no more with jitter and little loss', async () => {
    const { clock, link } = await runningLink({ delayMs: 8, jitterMs: 6 }, 'jitter');
    const { a, b } = await packetsIn(link, clock, 10_000);
    expect(a + b).toBeLessThanOrEqual(450);
  });

  it('leave round trips what they are: the time that an answer was kept is not the path’s', async () => {
    const { clock, link } = await runningLink({ delayMs: 4 }, 'exact');
    await clock.advance(5_000);
    for (const end of [link.a, link.b]) {
      const { latencyMs, jitterMs, lossForwardRatio, lossReverseRatio } = end.takeWindow();
      expect([latencyMs, jitterMs, lossForwardRatio, lossReverseRatio]).toEqual([expect.closeTo(8, 1), expect.closeTo(0, 1), 0, 0]);
    }
  });

  it('are few on idle tunnels too', async () => {
    const { clock, link } = await runningLink({ delayMs: 4 }, 'idle');
    for (const end of [link.a, link.b]) end.setInUse(false);
    await clock.advance(2_000);
    const { a, b } = await packetsIn(link, clock, 10_000);
    expect(a + b).toBeLessThanOrEqual(105);
  });

  it('are sent at once to a peer of an earlier version, which is asked as ever', async () => {
    const clock = new VirtualClock();
    const link = createProbeLink(clock, settings);
    const older = (receive: (bytes: Uint8Array) => void) => (bytes: Uint8Array) => {
      const packet = decodeProbe(bytes)!;
      expect(packet.asks && packet.answers).toBeNull();
      receive(encodeProbe({ ...packet, combines: false, asks: packet.asks && { ...packet.asks, patienceMs: 0 } }));
    };
    link.a.receive = older(link.a.receive.bind(link.a));
    link.b.receive = older(link.b.receive.bind(link.b));
    await clock.advance(5_000);
    expect(link.verdicts.map(({ to }) => to)).toEqual(['up', 'up']);
  });

  it.each([[50, 200], [200, 50], [50, 70], [50, 1000]])('come in time when the ends ask every %i and %i ms', async (ofA, ofB) => {
    const clock = new VirtualClock();
    const link = createProbeLink(clock, { ...settings, intervalMs: ofA }, { trafficPps: 500 }, 'two settings');
    link.b.retune({ ...settings, intervalMs: ofB });
    for (const end of [link.a, link.b]) end.setInUse(true);
    await clock.advance(60_000);
    expect(link.verdicts.map(({ to }) => to)).toEqual(['up', 'up']);
    expect(link.a.takeWindow().latencyMs).toBeCloseTo(20, 0);
  });
});

describe('a tunnel that nobody uses', () => {
  it('is probed a quarter as often, and at full pace as soon as either end uses it', async () => {
    const { clock, link } = await runningLink();
    const sentIn = async (durationMs: number): Promise<number> => {
      let count = 0;
      const receive = link.b.receive.bind(link.b);
      link.b.receive = (bytes) => {
        if (decodeProbe(bytes)?.asks) count++;
        receive(bytes);
      };
      await clock.advance(durationMs);
      link.b.receive = receive;
      return count;
    };
    expect(await sentIn(2_000)).toBe(40);
    for (const end of [link.a, link.b]) end.setInUse(false);
    await clock.advance(500);
    expect(await sentIn(2_000)).toBe(10);
    link.b.setInUse(true);
    await clock.advance(300);
    expect(await sentIn(2_000)).toBe(40);
  });

  it('is still found dead within a second', async () => {
    const { clock, link } = await runningLink();
    for (const end of [link.a, link.b]) end.setInUse(false);
    await clock.advance(1_000);
    link.forward.down = link.reverse.down = true;
    await clock.advance(500);
    expect([link.a.state(), link.b.state()]).toEqual(['down', 'down']);
  });
});

describe('loss of real traffic', () => {
  it.each([[0.1, 1_000], [0.2, 500], [0.5, 500]])('of %d one way, which probes do not feel, is a brown-out for both ends within %i ms', async (ratio, limitMs) => {
    const { clock, link } = await runningLink({ trafficPps: 1000 });
    link.forward.trafficLossRatio = ratio;
    await clock.advance(limitMs);
    expect([link.a.state(), link.b.state()]).toEqual(['degraded', 'degraded']);
  });

  it.each([0, 0.01, 0.02])('of %d is usual', async (ratio) => {
    const { clock, link } = await runningLink({ trafficPps: 1000, trafficLossRatio: ratio });
    await clock.advance(60_000);
    expect(link.verdicts.filter(({ to }) => to !== 'up')).toEqual([]);
  });

  it('of a single burst is not enough', async () => {
    const { clock, link } = await runningLink({ trafficPps: 1000 });
    link.forward.trafficLossRatio = 1;
    await clock.advance(60);
    link.forward.trafficLossRatio = 0;
    await clock.advance(2_000);
    expect(link.verdicts.filter(({ to }) => to !== 'up')).toEqual([]);
  });

  it('does not keep a path degraded for ever: both ends come back, the peer’s word falling with its figures', async () => {
    const { clock, link } = await runningLink({ trafficPps: 1000 });
    link.forward.trafficLossRatio = 0.2;
    await clock.advance(1_000);
    link.forward.trafficLossRatio = link.forward.trafficPps = link.reverse.trafficPps = 0;
    await clock.advance(10_000);
    expect([link.a.state(), link.b.state()]).toEqual(['up', 'up']);
  });
});

describe('the flap budget', () => {
  /** Changes of one end, with a path that fails the moment it is trusted again and answers while it is not. */
  async function changesOfAdversary(durationMs: number): Promise<number[]> {
    const clock = new VirtualClock();
    const link = createProbeLink(clock, { intervalMs: 50, downAfter: 4, holdDownMs: 60_000, holdDownMaxMs: 600_000 });
    for (const end of [link.a, link.b]) end.setInUse(true);
    await clock.advance(1_000);
    link.verdicts.length = 0;
    for (const untilMs = clock.monotonicMs() + durationMs; clock.monotonicMs() < untilMs; ) {
      link.forward.down = link.reverse.down = link.a.state() === 'up';
      await clock.advance(50);
    }
    return link.verdicts.filter(({ end }) => end === 'a').map(({ atMs }) => atMs);
  }

  it('is two changes in any minute and 24 in any hour, whatever the path does', async () => {
    const changes = await changesOfAdversary(3 * 3_600_000);
    const mostWithin = (windowMs: number): number => Math.max(...changes.map((atMs) => changes.filter((other) => other >= atMs && other < atMs + windowMs).length));
    expect(changes.length).toBeGreaterThan(20);
    expect(mostWithin(60_000)).toBeLessThanOrEqual(2);
    expect(mostWithin(3_600_000)).toBeLessThanOrEqual(24);
  }, 120_000);

  it('forgets: after a quiet day a path returns after the plain hold-down', async () => {
    const { clock, link } = await runningLink();
    const memory = link.a.fallMemory();
    expect(memory.falls).toBe(0);
    const damping = createDamping(1_000, 600_000, null);
    for (let fall = 0; fall < 6; fall++) damping.fell(clock.monotonicMs());
    expect(damping.holdMs(clock.monotonicMs())).toBe(32_000);
    damping.fell(clock.monotonicMs() + 86_400_000);
    expect(damping.holdMs(clock.monotonicMs() + 86_400_000)).toBe(1_000);
  });
});

describe('the probe packet', () => {
  it('is a STAMP test packet: what a reflector of another make would look at is where RFC 8762 and RFC 8972 have it', () => {
    const echo = encodeProbe({
      asks: null, answers: { sequence: 7, sentUs: 1_767_225_600_250_000, arrivedUs: 1_767_225_600_500_000 }, atUs: 1_767_225_600_500_000,
      inUse: true, broken: false, degraded: false, renews: false, lame: false, combines: true, session: 0x12345678,
      traffic: { senderSent: 1, reflectorReceived: 2, reflectorSent: 3 }, peerSession: 5, peerReceived: 6, peerHighest: 7, pauseMs: 0,
    });
    const hex = Buffer.from(echo).toString('hex');
    expect(hex.slice(0, 32)).toBe(['00000007', 'ed003780', '80000000', '2001', '5678'].join('')); // sequence, 2026-01-01 00:00:00.5 in NTP, error estimate, SSID
    expect(hex.slice(32, 88)).toBe(['ed003780', '80000000', '00000007', 'ed003780', '40000000', '2001', '0000', 'ff', '000000'].join(''));
    expect(hex.slice(88, 120)).toBe(['00', '05', '000c', '00000001', '00000002', '00000003'].join(''));
    expect(hex.slice(120, 128)).toBe(['00', 'fc', '0018'].join(''));
  });

  it('decodes what it encoded', () => {
    const u32 = fc.integer({ min: 0, max: 0xffff_ffff });
    const instantUs = fc.integer({ min: 0, max: 4_200_000_000_000_000 - 2_300_000_000_000_000 });
    const packet = fc.record({
      asks: fc.option(fc.record({ sequence: u32, patienceMs: u32 })),
      answers: fc.option(fc.record({ sequence: u32, sentUs: instantUs, arrivedUs: instantUs })),
      atUs: instantUs,
      inUse: fc.boolean(),
      broken: fc.boolean(),
      renews: fc.boolean(),
      lame: fc.boolean(),
      degraded: fc.boolean(),
      combines: fc.boolean(),
      session: u32,
      traffic: fc.option(fc.record({ senderSent: u32, reflectorReceived: u32, reflectorSent: u32 })),
      peerSession: u32,
      peerReceived: u32,
      peerHighest: u32,
      pauseMs: u32,
    });
    fc.assert(
      fc.property(packet, (value) => {
        const expected = value.asks ? { ...value, pauseMs: 0 } : value;
        expect(decodeProbe(encodeProbe(expected))).toEqual(expected);
      }),
    );
  });

  it('takes anything else for nothing', () => {
    fc.assert(fc.property(fc.uint8Array({ maxLength: 128 }), (bytes) => decodeProbe(bytes) === null));
    fc.assert(fc.property(fc.uint8Array({ minLength: PROBE_PACKET_BYTES, maxLength: PROBE_PACKET_BYTES }), (bytes) => decodeProbe(bytes) === null));
  });
});
