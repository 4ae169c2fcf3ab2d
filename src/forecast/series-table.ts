import type { ClassId, DemandSeries, SiteId } from '../model/index.ts';

/** One demand on the common time line of a table. */
export interface TableSeries {
  from: SiteId;
  to: SiteId;
  classId: ClassId;
  /** Mbit/s a slot; NaN where nothing is known. */
  values: Float64Array;
  /** The same without gaps: a gap holds the value of a day before, else the last known one, else 0. Uses the past only. */
  filled: Float64Array;
  /** `sums[i]`: sum of the first i filled values, for means in no time. */
  sums: Float64Array;
  /** Slots with a known value. */
  knownSlots: number;
}

/** Demands on one time line: slot 0 begins at `startAt`. */
export interface SeriesTable {
  startAt: number;
  slotMs: number;
  slotsPerDay: number;
  length: number;
  series: TableSeries[];
}

/** Lines up series that all end at `endAt` (rounded down to a slot); shorter ones begin later. Values below 0 and NaN count as unknown. */
export function makeTable(demands: readonly DemandSeries[], endAt: number, slotMs: number, slotsPerDay: number): SeriesTable {
  const length = demands.reduce((most, demand) => Math.max(most, demand.mbps.length), 0);
  const startAt = (Math.floor(endAt / slotMs) - length) * slotMs;
  const series = demands.map((demand) => {
    const values = new Float64Array(length).fill(Number.NaN);
    const offset = length - demand.mbps.length;
    demand.mbps.forEach((value, index) => {
      if (isDemand(value)) values[offset + index] = value;
    });
    return tableSeries(demand, values, slotsPerDay);
  });
  return { startAt, slotMs, slotsPerDay, length, series };
}

export function tableSeries(demand: { from: SiteId; to: SiteId; classId: ClassId }, values: Float64Array, slotsPerDay: number): TableSeries {
  const filled = new Float64Array(values.length);
  const sums = new Float64Array(values.length + 1);
  let knownSlots = 0;
  let last = 0;
  for (let slot = 0; slot < values.length; slot++) {
    const value = values[slot]!;
    if (!Number.isNaN(value)) {
      knownSlots += 1;
      last = value;
    }
    filled[slot] = Number.isNaN(value) ? (slot >= slotsPerDay ? filled[slot - slotsPerDay]! : last) : value;
    sums[slot + 1] = sums[slot]! + filled[slot]!;
  }
  return { from: demand.from, to: demand.to, classId: demand.classId, values, filled, sums, knownSlots };
}

/** Mean of the filled values in [from, until), 0 for an empty range. */
export function meanOf(series: TableSeries, from: number, until: number): number {
  const first = Math.max(0, from);
  return until > first ? (series.sums[until]! - series.sums[first]!) / (until - first) : 0;
}

export function seriesId(demand: { from: SiteId; to: SiteId; classId: ClassId }): string {
  return `${demand.from}>${demand.to}#${demand.classId}`;
}

export function isDemand(value: number | null | undefined): value is number {
  return typeof value === 'number' && value >= 0 && Number.isFinite(value);
}

/** Slot of the day, 0 … slotsPerDay − 1; days begin at multiples of their length since the epoch. */
export function phaseOf(table: SeriesTable, slot: number): number {
  return modulo(table.startAt / table.slotMs + slot, table.slotsPerDay);
}

/** Saturday and Sunday when a day is a day; day 0 of the epoch is a Thursday. */
export function isWeekendSlot(table: SeriesTable, slot: number): boolean {
  return modulo(Math.floor((table.startAt / table.slotMs + slot) / table.slotsPerDay) + 3, 7) >= 5;
}

/** The first slot before the origin with a known value; infinity when there is none. */
export function firstKnownSlot(table: SeriesTable, origin: { series: number; slot: number }): number {
  const first = table.series[origin.series]!.values.findIndex((value) => !Number.isNaN(value));
  return first < 0 || first >= origin.slot ? Number.POSITIVE_INFINITY : first;
}

function modulo(value: number, by: number): number {
  return ((value % by) + by) % by;
}
