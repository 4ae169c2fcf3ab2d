export interface AnomalySettings {
  slotMs: number;
  slotsPerDay: number;
  /** Days in which one pair may raise one false alarm. */
  daysPerAlarm: number;
  /** Differences below this are nobody's concern, Mbit/s. */
  minMbps: number;
}

/** Default sensitivity: one false alarm in 100 days of a pair. */
export const DAYS_PER_ALARM = 100;
export const ANOMALY_MIN_MBPS = 0.1;

/** Slots of the two windows that are looked at: what is far out is told after the short one, what is less so after the long one. */
export interface AnomalyWindows {
  short: number;
  long: number;
}

const SHORT_DAY_SHARE = 1 / 96;
const LONG_DAY_SHARE = 4 / 96;

/** A quarter of an hour and an hour, of a day of 24 hours; days may be shorter in a laboratory. */
export function anomalyWindows({ slotsPerDay }: Pick<AnomalySettings, 'slotsPerDay'>): AnomalyWindows {
  const short = Math.max(2, Math.round(slotsPerDay * SHORT_DAY_SHARE));
  return { short, long: Math.max(short + 1, Math.round(slotsPerDay * LONG_DAY_SHARE)) };
}
