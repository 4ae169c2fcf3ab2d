import { dayCurve, dayFractionAt } from '../../model/index.ts';
import type { SenderRate } from '../world.ts';

/** Says how many packets are due; a token bucket filled by the rate. */
export interface Pacer {
  /** Packets to send now. @param monotonicMs for the passing of time; @param now wall clock, for the phase of the day */
  due(monotonicMs: number, now: number): number;
  /** Packets given up so far because the caller came too late. */
  skipped(): number;
}

/** A sender held up longer than this does not send what it missed in one burst; it would be loss of its own making. */
const CATCH_UP_MS = 20;

export function createPacer(rate: SenderRate, packetBytes: number, startMs: number): Pacer {
  let lastMs = startMs;
  let tokens = 1;
  let skipped = 0;
  return {
    due(monotonicMs, now) {
      const packetsPerMs = (rateMbps(rate, now) * 1000) / (packetBytes * 8);
      const tokensMax = Math.max(1, packetsPerMs * CATCH_UP_MS);
      tokens += (monotonicMs - lastMs) * packetsPerMs;
      lastMs = monotonicMs;
      if (tokens > tokensMax + 1) {
        skipped += Math.floor(tokens - tokensMax);
        tokens = tokensMax;
      }
      const packets = Math.floor(tokens);
      tokens -= packets;
      return packets;
    },
    skipped: () => skipped,
  };
}

/** The rate at an instant, Mbit/s of IP packets. */
export function rateMbps(rate: SenderRate, now: number): number {
  if (rate.kind === 'constant') return rate.mbps;
  return rate.lowMbps + (rate.highMbps - rate.lowMbps) * dayCurve(dayFractionAt(now + rate.phaseMs, rate.slotMs, rate.slotsPerDay));
}
