import type { TrafficCounts } from './packet.ts';

/** A window is closed after this much time and these many packets: fewer say nothing of a brown-out. */
const WINDOW_MS = 100;
export const WINDOW_PACKETS = 20;
/** Counters are read shortly before or after the packet they travel in; what such a slip can feign is not held against the path. */
const SLACK_PACKETS = 2;
/** A process that stands still between reading and sending makes one window look too good and the next too bad, ms. */
const MEMORY_MS = 1_500;
const WRAP = 2 ** 32;

/** Loss of real traffic towards the peer in one window. */
export interface TrafficLoss {
  sent: number;
  /** Beyond doubt: without what the slip of reading can feign; 0 when there were few packets. */
  lost: number;
  /** As counted; may be below 0 in one window, and is right over many that follow each other. */
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
  /** Missing since the counters began, as of each window of late: what was received ahead of its time is below what is true, never above. */
  let totals: readonly { sentMs: number; missing: number }[] = [];
  return {
    note(counts, sentMs) {
      if (!base || sentMs < base.sentMs) {
        base ??= { counts, sentMs };
        if (totals.length === 0) totals = [{ sentMs, missing: 0 }];
        return null;
      }
      const sent = (counts.senderSent - base.counts.senderSent + WRAP) % WRAP;
      if (sentMs - base.sentMs < WINDOW_MS || (sent < WINDOW_PACKETS && sentMs - base.sentMs < 10 * WINDOW_MS)) return null;
      const received = (counts.reflectorReceived - base.counts.reflectorReceived + WRAP) % WRAP;
      base = { counts, sentMs };
      if (sent > WRAP / 2 || received > WRAP / 2) {
        totals = [{ sentMs, missing: 0 }]; // a counter began anew
        return null;
      }
      const surely = Math.max(...totals.map((total) => total.missing));
      const missing = totals.at(-1)!.missing + sent - received;
      totals = [...totals.filter((total) => sentMs - total.sentMs <= MEMORY_MS), { sentMs, missing }];
      return { sent, lost: sent < WINDOW_PACKETS ? 0 : Math.max(0, missing - surely - SLACK_PACKETS), missing: sent - received };
    },
    reset() {
      base = null;
      totals = [];
    },
  };
}
