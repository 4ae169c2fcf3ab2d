import type { Clock } from '../../src/base/index.ts';

/** A machine's clock whose wall time somebody sets; timers and monotonic time go on as `time` does. */
export function createSteppedClock(time: Clock): Clock & { step(byMs: number): void } {
  let offsetMs = 0;
  return {
    now: () => time.now() + offsetMs,
    monotonicMs: () => time.monotonicMs(),
    setTimer: (delayMs, action) => time.setTimer(delayMs, action),
    step(byMs) {
      offsetMs += byMs;
    },
  };
}
