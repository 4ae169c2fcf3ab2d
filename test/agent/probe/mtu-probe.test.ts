import { describe, expect, it } from 'vitest';
import * as fc from 'fast-check';
import { createRng, VirtualClock } from '../../../src/base/index.ts';
import { createMtuProbe, createMtuSearch, decodeProbe, decodeSized, encodeSized, type MtuProbe, SIZED_PACKET_BYTES_MIN } from '../../../agent/probe/index.ts';

const settings = { maxBytes: 1350, baseBytes: 1168, payloadBytes: 22 };

/** Two ends of one tunnel; what is larger than `limitBytes` of the direction is lost without a word. */
function link(clock: VirtualClock, seed = 'link') {
  const state = { limitBytes: 65_535, backLimitBytes: 65_535, lossRatio: 0, down: false, sent: 0, bytes: 0, changes: [] as (number | null)[] };
  const rng = createRng(seed);
  const ends: { a: MtuProbe; b: MtuProbe | null } = { a: null as never, b: null };
  const carry = (to: 'a' | 'b', limit: () => number) => (packet: Uint8Array) => {
    state.sent++;
    state.bytes += packet.byteLength;
    if (state.down || packet.byteLength - settings.payloadBytes > limit() || rng.next() < state.lossRatio) return;
    clock.setTimer(10, () => void ends[to]?.receive(packet));
  };
  ends.a = createMtuProbe({ settings, clock, session: 7, send: carry('b', () => state.limitBytes), onChange: () => state.changes.push(ends.a.mtuBytes()) });
  const start = (): void => {
    ends.b = createMtuProbe({ settings, clock, session: 8, send: carry('a', () => state.backLimitBytes), onChange: () => undefined });
  };
  return { state, ends, start };
}

async function running(seed?: string) {
  const clock = new VirtualClock();
  const it = link(clock, seed);
  it.start();
  await clock.advance(1_000);
  return { clock, ...it };
}

describe('the path MTU of a tunnel', () => {
  it('is what the interface takes, after one round trip, when that passes', async () => {
    const { ends, state } = await running();
    expect([ends.a.mtuBytes(), ends.b?.mtuBytes()]).toEqual([1350, 1350]);
    expect(state.changes).toEqual([1350]);
  });

  it.each([1348, 1300, 1171, 1000, 576])('is found when nothing larger than %i passes, to 4 bytes, and is safe meanwhile', async (limitBytes) => {
    const { clock, ends, state } = await running();
    state.limitBytes = limitBytes;
    await clock.advance(20_000);
    expect(ends.a.mtuBytes()).toBeLessThanOrEqual(limitBytes);
    expect(ends.a.mtuBytes()).toBeGreaterThan(limitBytes - 4);
    expect(ends.b?.mtuBytes()).toBe(ends.a.mtuBytes());
    expect(state.changes.filter((mtu) => mtu !== null && mtu > limitBytes)).toEqual(limitBytes >= 1168 ? [1350] : [1350, 1168]);
  });

  it('shrinks at both ends when large packets are lost in one direction only', async () => {
    const { clock, ends, state } = await running();
    state.backLimitBytes = 1250;
    await clock.advance(20_000);
    for (const end of [ends.a, ends.b]) {
      expect(end?.mtuBytes()).toBeLessThanOrEqual(1250);
      expect(end?.mtuBytes()).toBeGreaterThan(1246);
    }
  });

  it('shrinks within 8 s of silence, and within 2 s when traffic is lost', async () => {
    for (const [isSuspected, limitMs] of [[false, 8_000], [true, 2_000]] as const) {
      const { clock, ends, state } = await running();
      await clock.advance(60_000);
      state.limitBytes = 1200;
      for (let passedMs = 0; passedMs < limitMs; passedMs += 100) {
        if (isSuspected) ends.a.suspect();
        await clock.advance(100);
      }
      expect(ends.a.mtuBytes()).toBeLessThanOrEqual(1200);
    }
  });

  it('is raised again once the path is whole, with the timer of 10 min', async () => {
    const { clock, ends, state } = await running();
    state.limitBytes = 1280;
    await clock.advance(30_000);
    expect(ends.a.mtuBytes()).toBeLessThanOrEqual(1280);
    state.limitBytes = 65_535;
    await clock.advance(300_000);
    expect(ends.a.mtuBytes()).toBeLessThanOrEqual(1280);
    await clock.advance(310_000);
    expect(ends.a.mtuBytes()).toBe(1350);
  });

  it('stays when the whole path is down, and when the peer goes away', async () => {
    const { clock, ends, state } = await running();
    state.down = true;
    await clock.advance(120_000);
    expect(ends.a.mtuBytes()).toBe(1350);
    state.down = false;
    await clock.advance(10_000);
    expect(state.changes).toEqual([1350]);
  });

  it('is not measured with a peer that knows no such packets, which hears little of it', async () => {
    const clock = new VirtualClock();
    const { ends, state } = link(clock);
    await clock.advance(600_000);
    expect(ends.a.mtuBytes()).toBeNull();
    expect(state.sent).toBeLessThan(260);
  });

  it('does not shrink by chance: an hour at 2 % loss each way changes nothing, nor does a quarter of an hour at 20 %', async () => {
    for (const [lossRatio, durationMs] of [[0.02, 3_600_000], [0.2, 900_000]] as const) {
      const { clock, state } = await running(`loss ${lossRatio}`);
      state.lossRatio = lossRatio;
      await clock.advance(durationMs);
      expect(state.changes).toEqual([1350]);
    }
  });

  it('costs less than 600 bytes a second and direction while nothing changes', async () => {
    const { clock, state } = await running();
    const before = state.bytes;
    await clock.advance(600_000);
    expect((state.bytes - before) / 2 / 600).toBeLessThan(600);
  });

  it('follows another maximum: down at once, up when that passes', async () => {
    const { clock, ends } = await running();
    ends.a.retune({ ...settings, maxBytes: 1300 });
    expect(ends.a.mtuBytes()).toBe(1300);
    ends.a.retune({ ...settings, maxBytes: 1400 });
    await clock.advance(10_000);
    expect(ends.a.mtuBytes()).toBe(1400);
  });

  it('never takes a size for passed that did not pass, whatever passes and is lost', () => {
    fc.assert(
      fc.property(fc.integer({ min: 576, max: 1600 }), fc.integer({ min: 600, max: 1600 }), fc.integer({ min: 576, max: 1400 }), (limit, maxBytes, baseBytes) => {
        const search = createMtuSearch({ maxBytes, baseBytes });
        for (let step = 0; step < 200; step++) {
          const bytes = search.candidateBytes();
          expect(bytes).toBeLessThanOrEqual(maxBytes);
          if (bytes <= limit) search.passed(bytes);
          else search.lost(bytes, 3);
        }
        const best = Math.min(limit, maxBytes);
        expect(search.mtuBytes()).toBeLessThanOrEqual(best);
        expect(search.mtuBytes()).toBeGreaterThan(best - 4);
        expect(search.isBusy()).toBe(false);
      }),
    );
  });
});

describe('packets that are sent for their size', () => {
  it('are read back at any size, and are no probes', () => {
    for (const bytes of [SIZED_PACKET_BYTES_MIN, 88, 1372]) {
      const packet = encodeSized({ kind: 'ask', session: 5, sequence: 9 }, bytes, 1e15);
      expect(packet.byteLength).toBe(bytes);
      expect(decodeSized(packet)).toEqual({ kind: 'ask', session: 5, sequence: 9 });
      expect(decodeProbe(packet)).toBeNull();
    }
  });

  it('refuse everything else', () => {
    fc.assert(fc.property(fc.uint8Array({ maxLength: 59 }), (bytes) => decodeSized(bytes) === null));
    const packet = encodeSized({ kind: 'answer', session: 5, sequence: 9 }, 100, 0);
    expect(decodeSized(packet.subarray(0, 99))).toBeNull();
  });
});
