import type { TrafficCounts } from './packet.ts';

/** A window is closed after this much time and these many packets: fewer say nothing. */
const WINDOW_MS = 100;
const WINDOW_PACKETS = 20;
/** Counters are read shortly before or after the packet they travel in; what such a slip can feign is not held against the path. */
const SLACK_PACKETS = 2;
const WRAP = 2 ** 32;

/** Loss of real traffic towards the peer in one window. */
export interface TrafficLoss {
  sent: number;
  /** Beyond doubt: without what the slip of reading can feign. */
  lost: number;
  /** As counted; may be below 0 in one window, and is right over many. */
  missing: number;
}

/**
 * Compares what went into the tunnel here with what came out of it there, by the counters that echoes bring back. A probe
 * travels behind the packets that were sent before it, so both counts are of the same packets up to the slip of reading.
 */
export interface TrafficMeter {
  /** The counts of one echo; a window when one is complete. @param sentMs  when its probe was sent */
  note(counts: TrafficCounts, sentMs: number): TrafficLoss | null;
  reset(): void;
}

export function createTrafficMeter(): TrafficMeter {
  let base: { counts: TrafficCounts; sentMs: number } | null = null;
  return {
    note(counts, sentMs) {
      if (!base || sentMs < base.sentMs) {
        base ??= { counts, sentMs };
        return null;
      }
      const sent = (counts.senderSent - base.counts.senderSent + WRAP) % WRAP;
      if (sentMs - base.sentMs < WINDOW_MS || (sent < WINDOW_PACKETS && sentMs - base.sentMs < 10 * WINDOW_MS)) return null;
      const received = (counts.reflectorReceived - base.counts.reflectorReceived + WRAP) % WRAP;
      base = { counts, sentMs };
      if (sent < WINDOW_PACKETS || sent > WRAP / 2 || received > sent + sent / 4 + 10 * SLACK_PACKETS) return null; // a counter began anew
      return { sent, lost: Math.max(0, sent - received - SLACK_PACKETS), missing: sent - received };
    },
    reset() {
      base = null;
    },
  };
}
