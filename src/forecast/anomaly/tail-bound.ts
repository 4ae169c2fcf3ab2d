/** Width of a bin in the logarithm of seen to expected, and the greatest that is told apart. */
const BIN = 0.05;
const TOP = 8;
const BINS = Math.round(TOP / BIN);
/** The bound is extrapolated from this share of the greatest values. */
const TAIL = 0.02;
/** Fewer values than this say nothing of a tail yet: what is known of others counts. */
const KNOWN_MIN = 50;
/** Each alarm raises the bound by this, and as many quiet days as one alarm is allowed in lower it again. */
const RAISE = 0.3;
const RAISE_MAX = 3;

export interface TailBoundOptions {
  /** One value above the bound is allowed in so many. */
  valuesPerAlarm: number;
  /** After so many values an old one counts half. */
  halfLife: number;
}

/**
 * The value that is exceeded once in `valuesPerAlarm` times: the empirical quantile of what was seen (split conformal),
 * and beyond what so few values can show an exponential tail fitted to the greatest 2 % (peaks over threshold). What
 * alarms nevertheless raises it, so that the rate is kept in the long run whatever the tail is like (adaptive conformal).
 * @see Siffer et al. 2017 (streaming peaks over threshold); Gibbs & Candès 2021 (adaptive conformal inference)
 */
export class TailBound {
  private readonly options: TailBoundOptions;
  private readonly growth: number;
  private readonly counts: Float32Array;
  /** Of one new value; grows instead of all others shrinking. */
  private weight = 1;
  private total = 0;
  private raised = 0;

  constructor(options: TailBoundOptions, from?: TailBound) {
    this.options = options;
    this.growth = 2 ** (1 / options.halfLife);
    this.counts = from ? from.counts.slice() : new Float32Array(BINS + 1);
    if (from) [this.weight, this.total, this.raised] = [from.weight, from.total, from.raised];
  }

  clone(): TailBound {
    return new TailBound(this.options, this);
  }

  /** Effective number of values. */
  get known(): number {
    return this.total / this.weight;
  }

  add(value: number): void {
    const bin = Math.min(BINS, Math.max(0, Math.round(value / BIN)));
    this.weight *= this.growth;
    this.counts[bin]! += this.weight;
    this.total += this.weight;
    this.raised = Math.max(0, this.raised - RAISE / this.options.valuesPerAlarm);
    if (this.weight > 1e20) this.rescale();
  }

  /** It was exceeded, and an alarm told. */
  noteAlarm(): void {
    this.raised = Math.min(RAISE_MAX, this.raised + RAISE);
  }

  /** Infinity while too little is known. */
  bound(): number {
    if (this.known < KNOWN_MIN) return Number.POSITIVE_INFINITY;
    const { start, share, excess } = this.tail();
    return start + excess * Math.log(Math.max(1, share * this.options.valuesPerAlarm)) + this.raised;
  }

  /** Where the greatest 2 % begin, which share they really are, and their mean excess over it. */
  private tail(): { start: number; share: number; excess: number } {
    let above = 0;
    let sum = 0;
    let bin = BINS;
    for (; bin > 0; bin--) {
      above += this.counts[bin]!;
      sum += this.counts[bin]! * bin;
      if (above >= TAIL * this.total) break;
    }
    // a bin reaches half a width to either side of its value, which is the least excess that can be told from none
    const excess = above > 0 ? Math.max(BIN / 2, (sum / above - bin) * BIN) : BIN / 2;
    return { start: bin * BIN, share: above / this.total, excess };
  }

  private rescale(): void {
    for (let bin = 0; bin <= BINS; bin++) this.counts[bin]! /= this.weight;
    this.total /= this.weight;
    this.weight = 1;
  }
}
