import type { Clock } from '../../base/index.ts';

const BEAT_MS = 5;
/** What lies in the sockets after a stop is read within this time. */
const DRAIN_MS = 60;

/**
 * How long this process has just stood still, ms; 0 when it runs. A machine without a free core stops a process for some
 * hundred milliseconds, and then it reads what came meanwhile as if it had come at once.
 */
export function createStallMeter(clock: Clock): () => number {
  let beatMs = clock.monotonicMs();
  let stalled = { ms: 0, untilMs: 0 };
  const look = (): number => {
    const nowMs = clock.monotonicMs();
    const lateMs = nowMs - beatMs - BEAT_MS;
    if (lateMs > BEAT_MS && lateMs > stalled.ms) stalled = { ms: lateMs, untilMs: nowMs + DRAIN_MS };
    if (nowMs > stalled.untilMs) stalled = { ms: 0, untilMs: 0 };
    return stalled.ms;
  };
  const beat = (): void => {
    look();
    beatMs = clock.monotonicMs();
    clock.setTimer(BEAT_MS, beat);
  };
  clock.setTimer(BEAT_MS, beat);
  return look;
}
