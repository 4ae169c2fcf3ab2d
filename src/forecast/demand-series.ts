import type { ClassId, DemandSeries, SiteId } from '../model/index.ts';
import type { DemandMatrix } from './matrix/demand-matrix.ts';

export interface DemandId {
  from: SiteId;
  to: SiteId;
  classId: ClassId;
}

/** Lines up series that all end at `endAt` (rounded down to a slot); shorter ones begin later. Values below 0 and NaN count as unknown. */
export function makeMatrix(demands: readonly DemandSeries[], endAt: number, slotMs: number, slotsPerDay: number): DemandMatrix {
  const length = demands.reduce((most, demand) => Math.max(most, demand.mbps.length), 0);
  const values = demands.map(({ mbps }) => {
    const series = new Float32Array(length);
    alignEnd(mbps, series);
    return series;
  });
  return matrixOf(demands.map(demandName), (Math.floor(endAt / slotMs) - length) * slotMs, slotMs, slotsPerDay, length, values);
}

/** Demands so that their last slot is the last place; what is none, or lies before the first, is unknown. */
export function alignEnd(mbps: DemandSeries['mbps'], aligned: Float32Array): void {
  const offset = aligned.length - mbps.length;
  aligned.fill(Number.NaN, 0, offset);
  for (let index = 0; index < mbps.length; index++) {
    const value = mbps[index];
    aligned[offset + index] = isDemand(value) ? value : Number.NaN;
  }
}

/** A matrix of which every slot is a row. */
export function matrixOf(pairs: string[], startAt: number, stepMs: number, slotsPerDay: number, length: number, values: Float32Array[]): DemandMatrix {
  return { pairs, startAt, stepMs, slotsPerDay, length, values, rowSlots: Int32Array.from({ length }, (_, slot) => slot) };
}

/** The last `slots` slots, sharing memory. */
export function tailOf(matrix: DemandMatrix, slots: number): DemandMatrix {
  const from = Math.max(0, matrix.length - slots);
  const covariates = matrix.covariates?.map((each) => ({ ...each, values: each.values.subarray(from) }));
  return { ...matrixOf(matrix.pairs, matrix.startAt + from * matrix.stepMs, matrix.stepMs, matrix.slotsPerDay, matrix.length - from, matrix.values.map((series) => series.subarray(from))), ...(covariates && { covariates }) };
}

/** Names of a matrix's pairs: a demand of a class is a pair of its own. */
export function demandName({ from, to, classId }: DemandId): string {
  return `${from}>${to}#${classId}`;
}

export function demandOfName(name: string): DemandId {
  const [from, to, classId] = name.split(/[>#]/);
  return { from: from as SiteId, to: (to ?? '') as SiteId, classId: (classId ?? '') as ClassId };
}

export function isDemand(value: number | null | undefined): value is number {
  return typeof value === 'number' && value >= 0 && Number.isFinite(value);
}

/** Slot of the day, 0 … slotsPerDay − 1; days begin at multiples of their length since the epoch. */
export function phaseOf(matrix: Pick<DemandMatrix, 'startAt' | 'stepMs' | 'slotsPerDay'>, slot: number): number {
  return modulo(matrix.startAt / matrix.stepMs + slot, matrix.slotsPerDay);
}

/** Saturday and Sunday when a day is a day; day 0 of the epoch is a Thursday. */
export function isWeekendSlot(matrix: Pick<DemandMatrix, 'startAt' | 'stepMs' | 'slotsPerDay'>, slot: number): boolean {
  return modulo(Math.floor((matrix.startAt / matrix.stepMs + slot) / matrix.slotsPerDay) + 3, 7) >= 5;
}

/** The first slot with a known value; infinity when there is none. */
export function firstKnownSlot(values: Float32Array): number {
  const first = values.findIndex((value) => !Number.isNaN(value));
  return first < 0 ? Number.POSITIVE_INFINITY : first;
}

function modulo(value: number, by: number): number {
  return ((value % by) + by) % by;
}
