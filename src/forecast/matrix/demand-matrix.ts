/** Measured demand of all pairs on one grid of slots; 4 bytes a cell. */
export interface DemandMatrix {
  /** `from>to`, in the order of the source. */
  pairs: string[];
  /** Epoch ms of slot 0; 0 when the source counts steps. */
  startAt: number;
  stepMs: number;
  slotsPerDay: number;
  /** Slots. */
  length: number;
  /** `values[pair][slot]` in the unit of the source, ≥ 0; NaN where nothing is known. */
  values: Float32Array[];
  /** Slot of every row of the source, ascending. Slots between them have no row at all. */
  rowSlots: Int32Array;
}

/** The part before `untilSlot`, sharing memory. What is fitted on it cannot have seen more. */
export function cutMatrix(matrix: DemandMatrix, untilSlot: number): DemandMatrix {
  return {
    ...matrix,
    length: Math.min(matrix.length, untilSlot),
    values: matrix.values.map((series) => series.subarray(0, untilSlot)),
    rowSlots: matrix.rowSlots.filter((slot) => slot < untilSlot),
  };
}

/**
 * The series without gaps, from the past only: a gap of up to an hour holds the last known value, a longer one what was
 * a day before, else the last known value, else 0.
 */
export function fillGaps(values: Float32Array, slotsPerDay: number): Float32Array {
  const filled = new Float32Array(values.length);
  const shortGap = Math.max(1, Math.round(slotsPerDay / 24));
  let last = 0;
  let missing = 0;
  for (let slot = 0; slot < values.length; slot++) {
    const value = values[slot]!;
    if (Number.isNaN(value)) {
      missing += 1;
      filled[slot] = missing > shortGap && slot >= slotsPerDay ? filled[slot - slotsPerDay]! : last;
    } else {
      missing = 0;
      last = value;
      filled[slot] = value;
    }
  }
  return filled;
}

/** Mean of the known values in [from, until); NaN when there are none. */
export function knownMean(values: Float32Array, from = 0, until = values.length): number {
  let sum = 0;
  let known = 0;
  for (let slot = from; slot < until; slot++) {
    const value = values[slot]!;
    if (Number.isNaN(value)) continue;
    sum += value;
    known += 1;
  }
  return known > 0 ? sum / known : Number.NaN;
}
