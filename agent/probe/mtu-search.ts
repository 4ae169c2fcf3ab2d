/** Bounds of the search, bytes of the packets that the tunnel carries. */
export interface MtuBounds {
  /** What the tunnel's interface takes: no larger packet needs to pass. */
  maxBytes: number;
  /** What fits on a path with an MTU of 1280: nearly every path has it, so it is fallen back to while the truth is looked for. */
  baseBytes: number;
}

/** Nothing below is tried: every IPv4 host takes this much (RFC 791). */
const FLOOR_BYTES = 576;
/** ESP pads to this border: a finer answer is no other packet. */
const STEP_BYTES = 4;

/** Which size to try next, and what is known by what passed and what was lost. */
export interface MtuSearch {
  /** The greatest size known to pass, or the safe one while that is looked for; null before the first answer. */
  mtuBytes(): number | null;
  /** To be tried next. */
  candidateBytes(): number;
  /** Sizes are being tried, or the one in use is in doubt: go on without a pause. */
  isBusy(): boolean;
  passed(bytes: number): void;
  /** @param needed  losses in a row of one size that mean it does not pass */
  lost(bytes: number, needed: number): void;
  /** Tries everything up to the maximum again: the path may have become better. */
  raise(): void;
  retune(bounds: MtuBounds): void;
}

/**
 * Finds the greatest packet that passes, by packets alone (DPLPMTUD, RFC 8899 §5.2–5.3): the maximum first, since that is
 * the usual answer; when it is lost, the base is used at once and halving finds the size between, to 4 bytes. The size in
 * use is confirmed again and again; one that is lost too often is a black hole and begins the same search.
 * A size that failed is tried once more before it is given up, in case it was chance: no ICMP is needed or believed.
 */
export function createMtuSearch(bounds: MtuBounds): MtuSearch {
  let { maxBytes, baseBytes } = bounded(bounds);
  let known: number | null = null;
  /** Null while the size in use is only confirmed. */
  let range: { low: number | null; high: number; isTopTried: boolean } | null = null;
  let misses = 0;

  function candidate(): number {
    if (!range) return known ?? maxBytes;
    const { low, high, isTopTried } = range;
    if (low === null) return Math.min(baseBytes, high);
    return isTopTried ? low + Math.max(STEP_BYTES, Math.floor((high - low) / 2 / STEP_BYTES) * STEP_BYTES) : high;
  }

  function settle(): void {
    misses = 0;
    if (range?.low == null || range.high - range.low >= STEP_BYTES) return;
    known = range.low;
    range = null;
  }

  function raise(): void {
    if (range || known === null || known >= maxBytes) return;
    range = { low: known, high: maxBytes, isTopTried: false };
    misses = 0;
  }

  return {
    mtuBytes: () => known,
    candidateBytes: candidate,
    isBusy: () => range !== null || misses > 0 || known === null,
    passed(bytes) {
      if (bytes < candidate()) return; // of an earlier step: says nothing new
      if (range) range.low = Math.min(bytes, range.high);
      else known = Math.min(bytes, maxBytes);
      settle();
    },
    lost(bytes, needed) {
      if (bytes !== candidate() || ++misses < needed) return;
      misses = 0;
      if (!range) {
        range = { low: bytes <= FLOOR_BYTES ? FLOOR_BYTES : null, high: bytes, isTopTried: false };
        known = Math.min(baseBytes, bytes);
      } else if (range.low === null) {
        range = { low: FLOOR_BYTES, high: bytes - 1, isTopTried: true };
        known = FLOOR_BYTES;
      } else {
        range = { low: range.low, high: bytes - 1, isTopTried: true };
      }
      settle();
    },
    raise,
    retune(next) {
      const before = maxBytes;
      ({ maxBytes, baseBytes } = bounded(next));
      if (maxBytes === before) return;
      range = null;
      misses = 0;
      if (known !== null && known > maxBytes) known = maxBytes;
      raise();
    },
  };
}

function bounded({ maxBytes, baseBytes }: MtuBounds): MtuBounds {
  const most = Math.max(FLOOR_BYTES, maxBytes);
  return { maxBytes: most, baseBytes: Math.min(most, Math.max(FLOOR_BYTES, baseBytes)) };
}
