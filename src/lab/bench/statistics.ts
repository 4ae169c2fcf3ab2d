/** Nearest-rank percentiles of some trials; null without any. */
export interface Spread {
  p50: number | null;
  p90: number | null;
  p99: number | null;
  max: number | null;
}

export function spreadOf(values: readonly number[]): Spread {
  const sorted = values.toSorted((left, right) => left - right);
  const at = (share: number): number | null => sorted[Math.max(0, Math.ceil(share * sorted.length) - 1)] ?? null;
  return { p50: at(0.5), p90: at(0.9), p99: at(0.99), max: sorted.at(-1) ?? null };
}
