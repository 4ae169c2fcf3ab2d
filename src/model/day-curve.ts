/**
 * Office traffic over a day, 0…1, at `dayFraction` (0 is midnight, 1 the next): quiet at night, a morning rise, the
 * peak before noon, a second lower one in the afternoon. The shipped history and the demo's senders share it, so that
 * what the model learns is what comes.
 */
export function dayCurve(dayFraction: number): number {
  const fraction = ((dayFraction % 1) + 1) % 1;
  const bump = (centre: number, width: number): number => Math.exp(-(((fraction - centre) / width) ** 2) / 2);
  return Math.min(1, 0.06 + 0.94 * bump(0.45, 0.07) + 0.55 * bump(0.64, 0.06));
}

/** Fraction of the day at `now`, when a day is `slotsPerDay` slots of `slotMs`; days begin at multiples of it since the epoch. */
export function dayFractionAt(now: number, slotMs: number, slotsPerDay: number): number {
  const dayMs = slotMs * slotsPerDay;
  return (((now % dayMs) + dayMs) % dayMs) / dayMs;
}
