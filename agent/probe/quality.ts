import type { TrafficLoss } from './traffic-loss.ts';

/**
 * Tells a brown-out from chance. Every probe adds to a running sum the evidence that it came from a path that loses
 * `LOSS_BAD` rather than `LOSS_USUAL` of round trips (CUSUM, Page 1954); beyond `ALARM` the path is degraded.
 * Round trip, so 2 % loss each way is about 4 %. By simulation with probes 20 times a second and the additional ones that a
 * session sends on suspicion: no false alarm in 8 h at 2 % each way; 20 % each way is noticed after 0.5 s (p99 0.8 s), 10 % after 1.1 s.
 */
const LOSS_USUAL = 0.04;
const LOSS_BAD = 0.12;
const ALARM = 13;
const STEP_LOST = Math.log(LOSS_BAD / LOSS_USUAL);
const STEP_ANSWERED = Math.log((1 - LOSS_BAD) / (1 - LOSS_USUAL));
/** Weight of one probe in the smoothed loss: about the last 50 count. */
const RECENT_WEIGHT = 1 / 50;
/** A degraded path is well again below this smoothed loss; entering needs the alarm, so there is hysteresis. */
const LOSS_WELL = 0.06;

/**
 * Real traffic towards the peer, by both ends' counters, is evidence too: usual and bad loss of one direction. Losses of a
 * burst hang together, so one window counts for no more than a third of an alarm.
 */
const TRAFFIC_USUAL = 0.03;
const TRAFFIC_BAD = 0.1;
const TRAFFIC_EVIDENCE_MAX = ALARM / 2.9;
const TRAFFIC_ACQUITTAL_MAX = 3;
/** Its weight in the smoothed loss grows with the packets of the window, up to a quarter. */
const TRAFFIC_WEIGHT_PACKETS = 400;
const TRAFFIC_WEIGHT_MAX = 0.25;

/** Each says how much its probe weighs: 1 on the beat, less for one of many in a short time, whose fates hang together. */
export interface LossWatch {
  answered(weight: number): void;
  lost(weight: number): void;
  /** An answer that came after its probe had been counted as lost. */
  lateAnswer(weight: number): void;
  /** A window of real traffic. */
  traffic(loss: TrafficLoss): void;
  isAlarmed(): boolean;
  /** A good part of the way to an alarm: worth a closer look. */
  isSuspicious(): boolean;
  isWell(): boolean;
  reset(): void;
}

export function createLossWatch(): LossWatch {
  let evidence = 0;
  let recentRatio = 0;
  const count = (lost: boolean, weight: number): void => {
    evidence = Math.max(0, evidence + weight * (lost ? STEP_LOST : STEP_ANSWERED));
    recentRatio += RECENT_WEIGHT * weight * ((lost ? 1 : 0) - recentRatio);
  };
  return {
    answered: (weight) => count(false, weight),
    lost: (weight) => count(true, weight),
    lateAnswer(weight) {
      evidence = Math.max(0, evidence - weight * STEP_LOST);
      recentRatio = Math.max(0, recentRatio - RECENT_WEIGHT * weight);
    },
    traffic({ sent, lost }) {
      const gained = lost * Math.log(TRAFFIC_BAD / TRAFFIC_USUAL) + (sent - lost) * Math.log((1 - TRAFFIC_BAD) / (1 - TRAFFIC_USUAL));
      recentRatio += Math.min(TRAFFIC_WEIGHT_MAX, sent / TRAFFIC_WEIGHT_PACKETS) * (lost / sent - recentRatio);
      evidence = Math.max(0, evidence + Math.min(TRAFFIC_EVIDENCE_MAX, Math.max(-TRAFFIC_ACQUITTAL_MAX, gained)));
    },
    isAlarmed: () => evidence >= ALARM,
    isSuspicious: () => evidence >= ALARM / 4,
    isWell: () => recentRatio <= LOSS_WELL,
    reset() {
      evidence = 0;
      recentRatio = 0;
    },
  };
}

/** Round trips slower than `usual × SLOW_FACTOR + SLOW_MARGIN_MS` for most of the last probes are a brown-out too. */
const SLOW_FACTOR = 1.5;
const SLOW_MARGIN_MS = 30;
const WELL_FACTOR = 1.25;
const WELL_MARGIN_MS = 15;
/** How many recent round trips are looked at; their median decides. */
const RECENT_COUNT = 21;
/** The usual round trip follows what is measured this slowly, so a new normal is accepted after some ten minutes. */
const USUAL_TIME_CONSTANT_MS = 600_000;

export interface LatencyWatch {
  add(rttMs: number, nowMs: number): void;
  /** Probe time-out by RFC 6298: srtt + 4 · rttvar, ms; 0 before the first sample. */
  timeoutMs(): number;
  /** Median of the last round trips, ms; null before there are enough. */
  medianMs(): number | null;
  isAlarmed(): boolean;
  isWell(): boolean;
}

export function createLatencyWatch(): LatencyWatch {
  let smoothedMs: number | null = null;
  let variationMs = 0;
  let usualMs: number | null = null;
  let lastAtMs = 0;
  const recent: number[] = [];
  return {
    add(rttMs, nowMs) {
      if (smoothedMs === null) {
        smoothedMs = rttMs;
        variationMs = rttMs / 2;
      } else {
        variationMs += (Math.abs(rttMs - smoothedMs) - variationMs) / 4;
        smoothedMs += (rttMs - smoothedMs) / 8;
      }
      recent.push(rttMs);
      if (recent.length > RECENT_COUNT) recent.shift();
      if (usualMs === null) {
        if (recent.length === RECENT_COUNT) usualMs = medianOf(recent);
      } else {
        usualMs += (rttMs - usualMs) * Math.min(1, Math.max(0, nowMs - lastAtMs) / USUAL_TIME_CONSTANT_MS);
      }
      lastAtMs = nowMs;
    },
    medianMs: () => (recent.length === RECENT_COUNT ? medianOf(recent) : null),
    timeoutMs: () => (smoothedMs === null ? 0 : smoothedMs + 4 * variationMs),
    isAlarmed: () => usualMs !== null && isMedianAbove(recent, usualMs * SLOW_FACTOR + SLOW_MARGIN_MS),
    isWell: () => usualMs === null || !isMedianAbove(recent, usualMs * WELL_FACTOR + WELL_MARGIN_MS),
  };
}

/** Asked with every packet of every tunnel: told by counting, without sorting. */
function isMedianAbove(values: readonly number[], limit: number): boolean {
  let above = 0;
  for (const value of values) if (value > limit) above++;
  return above >= values.length - (values.length >> 1);
}

function medianOf(values: readonly number[]): number {
  const sorted = [...values].sort((left, right) => left - right);
  return sorted[sorted.length >> 1] ?? 0;
}
