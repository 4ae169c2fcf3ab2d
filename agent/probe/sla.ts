import type { ClassId } from '../../src/model/index.ts';
import type { TrafficLoss } from './traffic-loss.ts';
import type { Count } from './window.ts';

/** What one traffic class needs of a path. */
export interface SlaLimits {
  classId: ClassId;
  /** Round trip, ms. */
  latencyMaxMs: number;
  /** Of either direction, 0…1. */
  lossMaxRatio: number;
}

/** What is known of the path now; counts are cumulative, of our probes at the peer and of its probes here. */
export interface SlaFigures {
  /** Median of the last round trips; null before there are enough. */
  latencyMs: number | null;
  forward: Count | null;
  reverse: Count | null;
}

/** Looked at this often, ms. */
export const SLA_LOOK_MS = 1_000;
/** Loss is taken over this many looks. */
const LOOKS = 10;
/** Fewer lost packets than these, or of fewer packets, are chance. */
const LOST_MIN = 3;
const PACKETS_MIN = 100;
/** A class leaves a path after this many bad looks in a row, and may return when the path is this much better than it needs. */
const BAD_LOOKS = 2;
const GOOD_FACTOR = 0.9;

/**
 * Tells which classes a path does not serve well enough, although it answers: their latency by the median of about a
 * second, their loss by ten seconds of probes and real traffic. Jitter is left to the engine's slower figures: seconds of
 * it say more about a busy gateway than about a path.
 */
export interface SlaWatch {
  traffic(loss: TrafficLoss): void;
  /** To be called every `SLA_LOOK_MS`; true when the violated classes are others than before. @param holdMs  good time before a class may return */
  look(figures: SlaFigures, nowMs: number, holdMs: number): boolean;
  violated(): readonly ClassId[];
  retune(limits: readonly SlaLimits[]): void;
}

export function createSlaWatch(firstLimits: readonly SlaLimits[]): SlaWatch {
  let limits = firstLimits;
  const forward = createTally();
  const reverse = createTally();
  const standings = new Map<ClassId, { badLooks: number; isViolated: boolean; goodSinceMs: number | null }>();

  function judge(one: SlaLimits, latencyMs: number | null, lossRatio: number, nowMs: number, holdMs: number): boolean {
    const standing = standings.get(one.classId) ?? { badLooks: 0, isViolated: false, goodSinceMs: null };
    const within = (factor: number): boolean => (latencyMs ?? 0) <= one.latencyMaxMs * factor && lossRatio <= one.lossMaxRatio * factor;
    standing.badLooks = within(1) ? 0 : standing.badLooks + 1;
    standing.goodSinceMs = within(GOOD_FACTOR) ? (standing.goodSinceMs ?? nowMs) : null;
    const wasViolated = standing.isViolated;
    if (standing.badLooks >= BAD_LOOKS) standing.isViolated = true;
    else if (standing.goodSinceMs !== null && nowMs - standing.goodSinceMs >= holdMs) standing.isViolated = false;
    standings.set(one.classId, standing);
    return standing.isViolated !== wasViolated;
  }

  return {
    traffic: ({ sent, missing }) => forward.add(sent, missing),
    look(figures, nowMs, holdMs) {
      forward.note(figures.forward);
      reverse.note(figures.reverse);
      const lossRatio = Math.max(forward.ratio(), reverse.ratio());
      forward.turn();
      reverse.turn();
      return limits.map((one) => judge(one, figures.latencyMs, lossRatio, nowMs, holdMs)).includes(true);
    },
    violated: () => [...standings].filter(([, { isViolated }]) => isViolated).map(([classId]) => classId),
    retune(next) {
      limits = next;
      for (const classId of standings.keys()) if (!next.some((one) => one.classId === classId)) standings.delete(classId);
    },
  };
}

/** Packets and losses of the last looks, out of cumulative counts. */
function createTally() {
  let parts: { sent: number; lost: number }[] = [{ sent: 0, lost: 0 }];
  let last: Count | null = null;
  const add = (sent: number, lost: number): void => {
    const current = parts.at(-1)!;
    current.sent += sent;
    current.lost += lost;
  };
  return {
    add,
    note(count: Count | null): void {
      if (count && last && count.session === last.session && count.highest >= last.highest) {
        const sent = count.highest - last.highest;
        add(sent, Math.max(0, sent - (count.received - last.received)));
      }
      last = count;
    },
    ratio(): number {
      const sent = parts.reduce((sum, part) => sum + part.sent, 0);
      const lost = parts.reduce((sum, part) => sum + part.lost, 0);
      return lost >= LOST_MIN && sent >= PACKETS_MIN ? lost / sent : 0;
    },
    turn(): void {
      parts = [...parts, { sent: 0, lost: 0 }].slice(-LOOKS);
    },
  };
}
