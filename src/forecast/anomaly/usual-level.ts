/** How fast the mean of a time of day follows. */
const DAY_RATE = 0.15;
const WEEK_DAYS = 7;
/** Neighbours on each side that are averaged, as a share of the day: an hour. */
const NEAR_DAY_SHARE = 1 / 24;

/**
 * What is usual for a pair at a time of day, whatever the last hours were like: the mean of that time over the last days, and a week ago, each over the hours
 * around it. Between the two lies what nobody would call unusual: after an outage both are still there, and a quiet Sunday was one last week, too.
 */
export class UsualLevel {
  private readonly slotsPerDay: number;
  private readonly near: number;
  private readonly days: Float32Array;
  private readonly week: Float32Array;
  private slot = -1;

  constructor(slotsPerDay: number, from?: UsualLevel) {
    this.slotsPerDay = slotsPerDay;
    this.near = Math.max(1, Math.round(slotsPerDay * NEAR_DAY_SHARE));
    this.days = from ? from.days.slice() : new Float32Array(slotsPerDay).fill(Number.NaN);
    this.week = from ? from.week.slice() : new Float32Array(WEEK_DAYS * slotsPerDay + this.near + 1).fill(Number.NaN);
    if (from) this.slot = from.slot;
  }

  clone(): UsualLevel {
    return new UsualLevel(this.slotsPerDay, this);
  }

  /** Least and most that is usual in the slot to come, Mbit/s; null while neither is known. */
  next(): { low: number; high: number } | null {
    const slot = this.slot + 1;
    const days = meanAround(this.days, slot, this.near);
    const week = meanAround(this.week, slot - WEEK_DAYS * this.slotsPerDay, this.near);
    if (Number.isNaN(days) && Number.isNaN(week)) return null;
    if (Number.isNaN(week)) return { low: days, high: days };
    return Number.isNaN(days) ? { low: week, high: week } : { low: Math.min(days, week), high: Math.max(days, week) };
  }

  /** @param mbps  NaN where unknown */
  step(mbps: number): void {
    this.slot += 1;
    this.week[this.slot % this.week.length] = mbps;
    if (Number.isNaN(mbps)) return;
    const phase = this.slot % this.slotsPerDay;
    const before = this.days[phase]!;
    this.days[phase] = Number.isNaN(before) ? mbps : before + DAY_RATE * (mbps - before);
  }
}

/** Of what is known in a ring from so many slots before to as many after. */
function meanAround(ring: Float32Array, slot: number, near: number): number {
  let sum = 0;
  let known = 0;
  for (let index = slot - near; index <= slot + near; index++) {
    const value = ring[((index % ring.length) + ring.length) % ring.length]!;
    if (Number.isNaN(value)) continue;
    sum += value;
    known += 1;
  }
  return known > 0 ? sum / known : Number.NaN;
}
