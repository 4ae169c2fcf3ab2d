/** How probabilities did against what came. */
export interface ProbabilityScore {
  count: number;
  /** Share of what came. */
  baseRate: number;
  /** Mean of (probability − what came)². */
  brier: number;
  /** Mean of −ln(probability given to what came), probabilities kept within 10^−4 of 0 and 1. */
  logLoss: number;
  /** Expected calibration error: mean over the bins, by count, of |mean probability − share that came|. */
  ece: number;
  reliability: ReliabilityBin[];
}

export interface ReliabilityBin {
  from: number;
  to: number;
  count: number;
  /** Mean probability of the bin's forecasts, and the share of them in which it came; null in an empty bin. */
  forecast: number | null;
  observed: number | null;
}

export const RELIABILITY_BINS = 10;
const LOG_SAFE = 1e-4;

/** Adds forecasts up; of several runs too. */
export class ProbabilityTally {
  #count = 0;
  #events = 0;
  #squares = 0;
  #logs = 0;
  readonly #bins = Array.from({ length: RELIABILITY_BINS }, () => ({ count: 0, probabilities: 0, events: 0 }));

  add(probability: number, isEvent: boolean, weight = 1): void {
    const event = isEvent ? 1 : 0;
    const safe = Math.min(1 - LOG_SAFE, Math.max(LOG_SAFE, probability));
    this.#count += weight;
    this.#events += weight * event;
    this.#squares += weight * (probability - event) ** 2;
    this.#logs -= weight * Math.log(isEvent ? safe : 1 - safe);
    const bin = this.#bins[Math.min(RELIABILITY_BINS - 1, Math.floor(probability * RELIABILITY_BINS))]!;
    bin.count += weight;
    bin.probabilities += weight * probability;
    bin.events += weight * event;
  }

  score(): ProbabilityScore {
    const per = (sum: number): number => (this.#count === 0 ? Number.NaN : sum / this.#count);
    return {
      count: this.#count,
      baseRate: per(this.#events),
      brier: per(this.#squares),
      logLoss: per(this.#logs),
      ece: per(this.#bins.reduce((sum, { probabilities, events }) => sum + Math.abs(probabilities - events), 0)),
      reliability: this.#bins.map(({ count, probabilities, events }, index) => ({
        from: index / RELIABILITY_BINS,
        to: (index + 1) / RELIABILITY_BINS,
        count,
        forecast: count === 0 ? null : probabilities / count,
        observed: count === 0 ? null : events / count,
      })),
    };
  }
}
