/** A rising function from scores to probabilities, linear between its points and constant beyond them. */
export interface RisingCurve {
  scores: number[];
  probabilities: number[];
}

/** A block's share counts against what was expected of it as if so much weight more had been seen. */
const PRIOR_WEIGHT = 4;
/** Scores are gathered in so many groups of like weight first, so that a curve stays short. */
const GROUPS = 200;

/**
 * The rising step function of the score that is nearest to the labels by weighted squares (pool adjacent violators), its
 * blocks drawn a little to `expected`, joined by lines.
 * @param expected  the probability that a row was given before
 * @see Zadrozny and Elkan 2002 for its use as a calibration
 */
export function fitRising(scores: ArrayLike<number>, labels: Uint8Array, weights: Float32Array, expected: ArrayLike<number>): RisingCurve {
  const order = Float64Array.from(scores, (_, row) => row).filter((row) => !Number.isNaN(scores[row]!)).sort((one, other) => scores[one]! - scores[other]!);
  const total = order.reduce((sum, row) => sum + weights[row]!, 0);
  const blocks: Block[] = [];
  let group: Block | null = null;
  for (const row of order) {
    const weight = weights[row]!;
    const score = scores[row]!;
    if (group === null || (group.weight >= total / GROUPS && score > group.last)) {
      group = { weight: 0, events: 0, scoreSum: 0, expectedSum: 0, last: score };
      blocks.push(group);
    }
    group.weight += weight;
    group.events += weight * labels[row]!;
    group.scoreSum += weight * score;
    group.expectedSum += weight * expected[row]!;
    group.last = score;
  }
  const pooled: Block[] = [];
  for (const block of blocks) {
    pooled.push({ ...block });
    while (pooled.length > 1 && shareOf(pooled.at(-2)!) >= shareOf(pooled.at(-1)!)) join(pooled);
  }
  const curve: RisingCurve = { scores: [], probabilities: [] };
  for (const { weight, events, scoreSum, expectedSum } of pooled) {
    const drawn = (events + (PRIOR_WEIGHT * expectedSum) / weight) / (weight + PRIOR_WEIGHT);
    curve.scores.push(scoreSum / weight);
    curve.probabilities.push(Math.max(drawn, curve.probabilities.at(-1) ?? 0));
  }
  return curve;
}

export function readCurve({ scores, probabilities }: RisingCurve, score: number): number {
  let [low, high] = [0, scores.length - 1];
  if (high < 0) return 0.5;
  if (score <= scores[0]!) return probabilities[0]!;
  if (!(score < scores[high]!)) return probabilities[high]!;
  while (high - low > 1) {
    const middle = (low + high) >> 1;
    if (scores[middle]! <= score) low = middle;
    else high = middle;
  }
  const part = (score - scores[low]!) / (scores[high]! - scores[low]!);
  return probabilities[low]! + part * (probabilities[high]! - probabilities[low]!);
}

interface Block {
  weight: number;
  events: number;
  scoreSum: number;
  expectedSum: number;
  last: number;
}

function shareOf({ events, weight }: Block): number {
  return events / weight;
}

function join(blocks: Block[]): void {
  const { weight, events, scoreSum, expectedSum, last } = blocks.pop()!;
  const into = blocks.at(-1)!;
  into.weight += weight;
  into.events += events;
  into.scoreSum += scoreSum;
  into.expectedSum += expectedSum;
  into.last = last;
}
