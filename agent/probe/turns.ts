import type { Peer } from './peer.ts';

/** A follower's own probes wait this much longer than a beat for the leader's next one, which they travel with. */
const FOLLOWER_BEATS = 1.25;

/** A follower asks in quick succession for so many intervals: then what was missed speaks for itself. A machine that is all busy gets no more to do for long. */
const OVERDUE_INTERVALS = 1.5;

/** How a probe of ours goes out, by what the two ends have agreed on. */
export interface Turn {
  /** How long the peer may keep its answer until its own next probe, ms; 0: it is to answer at once. */
  patienceMs: number;
  /** When the answer counts as missed, ms after it was sent. */
  timeoutMs: number;
}

/**
 * Who waits for whom, so that an answer travels in a probe of the other direction and two packets do what four did: one end
 * leads and keeps the beat. The follower answers the leader's probe at once, with its own next probe in the same packet,
 * and the leader answers that one with its own next probe. How long an answer was kept is in the packet, so round trips stay
 * exact. The leader's misses count as soon as ever. The follower's count an interval later, but of a probe that went out when
 * the leader's came in, while all was well; when the leader's does not come in time, its next ones ask for an answer at once, in the
 * quick succession of a path under suspicion. So both find a silent death within downAfter intervals and a round trip or so.
 * Only while all is well (`isCalm`), and with a peer that knows such packets; else every probe is answered at once.
 */
export interface Turns {
  /**
   * @param answers  an answer to the peer goes with this probe
   * @param pathMs  what a round trip takes at most, by all that is known
   */
  next(isCalm: boolean, answers: boolean, beatMs: number, pathMs: number, intervalMs: number): Turn;
  /** The own beat: a follower's is longer, and so is never before the leader's. */
  beatMs(beatMs: number): number;
  /** What to do with an answer while the own next probe is due in `dueInMs`: send both now, keep it until then, or send it alone. */
  answer(isCalm: boolean, patienceMs: number, dueInMs: number): 'both' | 'keep' | 'alone';
  /** A regular probe goes out; true when it tells that the leader missed its beat, which is new. @param isCalm  and the peer asked for no patience */
  sent(answers: boolean, isCalm: boolean, beatMs: number, nowMs: number): boolean;
  /** The peer was heard; with a probe on its beat when `patienceMs` > 0. */
  heard(patienceMs: number, nowMs: number): void;
  /** The leader missed its beat and was not heard since. */
  isOverdue(): boolean;
  /** That is so recent that it is worth asking more often. */
  isFreshlyOverdue(nowMs: number, intervalMs: number): boolean;
}

export function createTurns(peer: Pick<Peer, 'role'>): Turns {
  /** Our last regular probe went out as the leader's came in. */
  let followed = false;
  let beatHeardAtMs = Number.NEGATIVE_INFINITY;
  let overdueSinceMs: number | null = null;
  const ownBeatMs = (beatMs: number): number => (peer.role() === 'leads' ? FOLLOWER_BEATS * beatMs : beatMs);
  return {
    next(isCalm, answers, beatMs, pathMs, intervalMs) {
      const usualMs = Math.max(intervalMs, pathMs);
      const role = isCalm ? peer.role() : 'alone';
      // a leader sends the answer a beat after our probe, later only if the round trip took longer
      if (role === 'leads' && answers) return { patienceMs: Math.ceil(beatMs), timeoutMs: beatMs + usualMs };
      return { patienceMs: role === 'follows' ? Math.floor(beatMs / 2) : 0, timeoutMs: usualMs };
    },
    beatMs: ownBeatMs,
    answer(isCalm, patienceMs, dueInMs) {
      if (!isCalm || peer.role() === 'alone' || dueInMs > patienceMs) return 'alone';
      return peer.role() === 'leads' ? 'both' : 'keep';
    },
    sent(answers, isCalm, beatMs, nowMs) {
      const isLate = nowMs - beatHeardAtMs >= ownBeatMs(beatMs) - 1;
      const isMissed = followed && !answers && isLate && overdueSinceMs === null && isCalm;
      followed = answers && peer.role() === 'leads';
      if (isMissed) overdueSinceMs = nowMs;
      return isMissed;
    },
    heard(patienceMs, nowMs) {
      overdueSinceMs = null;
      if (patienceMs > 0) beatHeardAtMs = nowMs;
    },
    isOverdue: () => overdueSinceMs !== null,
    isFreshlyOverdue: (nowMs, intervalMs) => overdueSinceMs !== null && nowMs - overdueSinceMs < OVERDUE_INTERVALS * intervalMs,
  };
}
