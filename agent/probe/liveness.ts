/** A probe that waits for its answer. */
export interface OutstandingProbe {
  sequence: number;
  deadlineMs: number;
  /** On the beat; the additional ones of a suspected path acquit at once, and convict only together with the regular ones. */
  regular: boolean;
}

/** Expired probes that a late answer is still looked up for. */
const EXPIRED_KEPT = 256;
const NONE: readonly OutstandingProbe[] = [];

/** Which probes wait, which were missed, and whether enough were missed in a row to call the path silent. */
export interface Liveness {
  sent(probe: OutstandingProbe): void;
  /** Our own process stood still: everybody gets this much more time. */
  excuse(byMs: number): void;
  /** Takes out those whose time is over; counts them as missed unless `isExcused` (the peer asked for patience). */
  expire(nowMs: number, isExcused: boolean): readonly OutstandingProbe[];
  /** An answer came: of a probe that waited, of one that was counted as missed, or of neither (null). */
  answered(sequence: number): { regular: boolean; late: boolean } | null;
  /** A probe of ours is known to have reached the peer, and the news has reached us: both ways work. */
  arrived(sequence: number): void;
  hasArrivals(): boolean;
  misses(): number;
  isSilent(): boolean;
  firstDeadlineMs(): number;
  retune(downAfter: number): void;
}

export function createLiveness(firstDownAfter: number): Liveness {
  let downAfter = firstDownAfter;
  let outstanding: OutstandingProbe[] = [];
  let lastSent = 0;
  let lastArrived = 0;
  /** Regular probes after `lastArrived` whose time is over, and additional ones. */
  let misses: number[] = [];
  let extraMisses: number[] = [];
  /** Newest expired probes, for answers that come late: whether each was on the beat. */
  const expiredRegular = new Map<number, boolean>();
  return {
    sent(probe) {
      lastSent = probe.sequence;
      outstanding.push(probe);
    },
    excuse(byMs) {
      for (const probe of outstanding) probe.deadlineMs += byMs;
    },
    expire(nowMs, isExcused) {
      const isOver = (probe: OutstandingProbe): boolean => probe.deadlineMs <= nowMs + 0.01;
      if (!outstanding.some(isOver)) return NONE;
      const expired = outstanding.filter(isOver);
      outstanding = outstanding.filter((probe) => !isOver(probe));
      if (isExcused) return NONE;
      for (const { sequence, regular } of expired) {
        expiredRegular.set(sequence, regular);
        if (expiredRegular.size > EXPIRED_KEPT) expiredRegular.delete(expiredRegular.keys().next().value!);
        if (sequence > lastArrived) (regular ? misses : extraMisses).push(sequence);
      }
      misses = misses.slice(-downAfter);
      extraMisses = extraMisses.slice(-2 * downAfter);
      return expired;
    },
    answered(sequence) {
      const at = outstanding.findIndex((probe) => probe.sequence === sequence);
      if (at >= 0) return { regular: outstanding.splice(at, 1)[0]!.regular, late: false };
      const regular = expiredRegular.get(sequence);
      expiredRegular.delete(sequence);
      return regular === undefined ? null : { regular, late: true };
    },
    arrived(sequence) {
      if (sequence <= lastArrived || sequence > lastSent) return;
      lastArrived = sequence;
      if (misses.length > 0) misses = misses.filter((missed) => missed > sequence);
      if (extraMisses.length > 0) extraMisses = extraMisses.filter((missed) => missed > sequence);
    },
    hasArrivals: () => lastArrived > 0,
    misses: () => misses.length,
    isSilent: () => misses.length >= downAfter || (misses.length >= Math.max(2, downAfter - 1) && misses.length + extraMisses.length >= 2 * downAfter),
    firstDeadlineMs: () => outstanding.reduce((least, probe) => Math.min(least, probe.deadlineMs), Number.POSITIVE_INFINITY),
    retune(next) {
      downAfter = next;
    },
  };
}
