/** Slots ahead for which models are fitted; what lies between is interpolated. Dense where the near future bends, then one a day's twelfth or so. */
const ANCHORS = [1, 2, 4, 8, 12, 18, 24, 36, 48, 64, 80];

/** The anchors of a horizon, ascending; the last is the horizon itself. */
export function anchorSteps(horizonSlots: number): number[] {
  return [...ANCHORS.filter((steps) => steps < horizonSlots), horizonSlots];
}

/**
 * Values of all steps 1 … `horizonSlots` from those at the anchors: straight lines between them, in what the values lie
 * above `shape`, so that a known bend of the day is not cut off. Before the first anchor and after the last, its distance
 * to the shape stays.
 * @param at     `at[index]` belongs to `anchors[index]`
 * @param shape  `shape[step − 1]`; zeros for plain straight lines
 * @param values  where they go, `values[step − 1]`
 */
export function interpolateSteps(anchors: readonly number[], at: ArrayLike<number>, shape: ArrayLike<number>, horizonSlots: number, values: Float64Array = new Float64Array(horizonSlots)): Float64Array {
  const above = (index: number): number => at[index]! - (shape[Math.min(anchors[index]!, shape.length) - 1] ?? 0);
  let next = 0;
  for (let step = 1; step <= horizonSlots; step++) {
    while (next < anchors.length - 1 && anchors[next]! < step) next += 1;
    const before = next > 0 ? next - 1 : 0;
    const left = anchors[before]!;
    const right = anchors[next]!;
    const share = right > left ? Math.min(1, Math.max(0, (step - left) / (right - left))) : 1;
    values[step - 1] = (shape[step - 1] ?? 0) + above(before) * (1 - share) + above(next) * share;
  }
  return values;
}
