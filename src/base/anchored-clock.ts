import type { Clock } from './clock.ts';

/** A clock whose wall time does not fall behind what is proven. */
export interface AnchoredClock extends Clock {
  /** Something signed says that it was at least `at`, epoch ms: from now on it is that, plus what has passed since. */
  anchor(at: number): void;
  /** How far the machine's wall clock is behind the proven time, ms; 0 when it is not. */
  behindMs(): number;
}

/** A signature further ahead of the machine's clock proves only that some clock was wrong, ms: two years. */
const AHEAD_MAX_MS = 2 * 365 * 86_400_000;

/**
 * Wall time for certificates and reports: that of the machine, but never less than the newest signed time plus the
 * monotonic time that has passed since it was seen. A clock that is set back, or that begins at 1970 for want of a
 * battery, so cannot make an ended certificate valid again, nor put off its renewal. Timers and intervals use the
 * monotonic clock, which nobody can set.
 */
export function createAnchoredClock(clock: Clock): AnchoredClock {
  let provenAt = Number.NEGATIVE_INFINITY;
  let seenMs = 0;
  const provenNow = (): number => provenAt + clock.monotonicMs() - seenMs;
  return {
    now: () => Math.max(clock.now(), Math.floor(provenNow())),
    monotonicMs: () => clock.monotonicMs(),
    setTimer: (delayMs, action) => clock.setTimer(delayMs, action),
    anchor(at) {
      if (!Number.isFinite(at) || at <= provenNow() || at > clock.now() + AHEAD_MAX_MS) return;
      provenAt = at;
      seenMs = clock.monotonicMs();
    },
    behindMs: () => Math.max(0, provenNow() - clock.now()),
  };
}
