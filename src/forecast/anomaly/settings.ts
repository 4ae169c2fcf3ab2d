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

/** Slots of the windows that are looked at: what is far out is told after the short one, what is less so after a longer one. */
export interface AnomalyWindows {
  short: number;
  middle: number;
  long: number;
}

const SHORT_DAY_SHARE = 1 / 96;
const MIDDLE_DAY_SHARE = 2 / 96;
const LONG_DAY_SHARE = 4 / 96;

/** A quarter, a half and an hour, of a day of 24 hours, two slots at least; days may be shorter in a laboratory. */
export function anomalyWindows({ slotsPerDay }: Pick<AnomalySettings, 'slotsPerDay'>): AnomalyWindows {
  const short = Math.max(2, Math.round(slotsPerDay * SHORT_DAY_SHARE));
  const middle = Math.max(short, Math.round(slotsPerDay * MIDDLE_DAY_SHARE));
  return { short, middle, long: Math.max(middle + 1, Math.round(slotsPerDay * LONG_DAY_SHARE)) };
}
