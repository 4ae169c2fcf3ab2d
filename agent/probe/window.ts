/** What one end measured in one window; null where nothing could be known. */
export interface PathWindow {
  latencyMs: number | null;
  jitterMs: number | null;
  /** Of our probes, by what the peer says it received. */
  lossForwardRatio: number | null;
  /** Of the peer's probes, by what we received. */
  lossReverseRatio: number | null;
}

/** Probes of one session that reached the other end, and the highest sequence among them. */
export interface Count {
  session: number;
  received: number;
  highest: number;
}

/** Collects round trips and both ends' counters; `take` gives the window since the last `take`. */
export interface WindowMeter {
  roundTrip(rttMs: number): void;
  /** Our probes at the peer, as the peer counts them; `session` is the peer's life that counted. */
  peerCounted(count: Count): void;
  /** The peer's probes here. */
  weCounted(count: Count): void;
  take(): PathWindow;
}

export function createWindowMeter(): WindowMeter {
  let rttSumMs = 0;
  let rttCount = 0;
  let stepSumMs = 0;
  let stepCount = 0;
  let lastRttMs: number | null = null;
  const forward = createLossMeter();
  const reverse = createLossMeter();
  return {
    roundTrip(rttMs) {
      rttSumMs += rttMs;
      rttCount++;
      if (lastRttMs !== null) {
        stepSumMs += Math.abs(rttMs - lastRttMs);
        stepCount++;
      }
      lastRttMs = rttMs;
    },
    peerCounted: (count) => forward.note(count),
    weCounted: (count) => reverse.note(count),
    take() {
      const window: PathWindow = {
        latencyMs: rttCount > 0 ? rttSumMs / rttCount : null,
        jitterMs: stepCount > 0 ? stepSumMs / stepCount : null,
        lossForwardRatio: forward.take(),
        lossReverseRatio: reverse.take(),
      };
      rttSumMs = rttCount = stepSumMs = stepCount = 0;
      return window;
    },
  };
}

/** Loss between two readings of a cumulative counter; a reading of another session starts again. */
function createLossMeter(): { note(count: Count): void; take(): number | null } {
  let base: Count | null = null;
  let latest: Count | null = null; // nobody changes a count that was given here
  return {
    note(count) {
      if (base === null || base.session !== count.session) base = { session: count.session, received: 0, highest: count.highest - count.received };
      if (latest === null || latest.session !== count.session || count.highest >= latest.highest) latest = count;
    },
    take() {
      if (base === null || latest === null) return null;
      const expected = latest.highest - base.highest;
      const received = latest.received - base.received;
      base = latest;
      return expected > 0 ? Math.min(1, Math.max(0, 1 - received / expected)) : null;
    },
  };
}
