/** A link of fixed bandwidth with a bounded queue, as a virtual queue: no packet is stored here, only time is computed. */
export interface Shaper {
  bandwidthMbps: number;
  /** Until when packets accepted so far keep the link busy, ms. */
  busyUntilMs: number;
}

export function createShaper(bandwidthMbps: number): Shaper {
  return { bandwidthMbps, busyUntilMs: 0 };
}

/** Waiting time that fits the queue, ms: 60 ms is a common access router's buffer, and it bounds added latency. */
export const QUEUE_MS = 60;

/**
 * Takes a packet that arrives at `nowMs` (not before the packet taken last): gives when its last bit has left, or null
 * when the queue is full and it is dropped. Bandwidth 0 or infinite: no limit.
 * @param slackMs  how much sooner than `nowMs` the packet may have come, because nobody looked
 */
export function take(shaper: Shaper, nowMs: number, bytes: number, slackMs = 0): number | null {
  if (!(shaper.bandwidthMbps > 0) || shaper.bandwidthMbps === Infinity) return nowMs;
  const beginsMs = Math.max(nowMs, shaper.busyUntilMs);
  if (beginsMs - nowMs > QUEUE_MS + slackMs) return null;
  shaper.busyUntilMs = beginsMs + (bytes * 8) / (shaper.bandwidthMbps * 1000);
  return shaper.busyUntilMs;
}
