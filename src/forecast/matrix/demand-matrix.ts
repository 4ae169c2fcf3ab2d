/** Measured demand of all pairs on one grid of slots; 4 bytes a cell. */
export interface DemandMatrix {
  /** `from>to`, or `from>to#class` where a pair's classes are series of their own; in the order of the source. */
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
  /** What else is known, beside demand; models may ignore it. */
  covariates?: readonly Covariate[];
}

/** One number a slot that may explain demand: active users of a role, a class's share, a planned event, latency or loss. */
export interface Covariate {
  /** Covariates of one name are one input; each pair sees the last of them that applies to it. */
  name: string;
  /** Pair numbers that it says something about. */
  pairs: 'all' | readonly number[];
  /** One a slot, NaN where unknown; may go on after the matrix's last slot when it is known ahead. */
  values: Float32Array;
  /** A calendar's value at the forecast slot is known at the origin; a measurement's is not. */
  isKnownAhead: boolean;
}

/** One input of the models: what each pair sees of a name's covariates. */
export interface CovariateInput {
  /** By pair; undefined where none of the name says anything. */
  ofPair: (Covariate | undefined)[];
  /** Some are known ahead: the value of the forecast slot is an input, too. */
  hasTarget: boolean;
}

/** The inputs that a matrix's covariates make, in the order in which their names come up. */
export function covariateInputs({ covariates = [], pairs }: Pick<DemandMatrix, 'covariates' | 'pairs'>): CovariateInput[] {
  const inputs = new Map<string, CovariateInput>();
  for (const each of covariates) {
    const input = inputs.get(each.name) ?? { ofPair: Array.from(pairs, () => undefined), hasTarget: false };
    inputs.set(each.name, input);
    input.hasTarget ||= each.isKnownAhead;
    for (const pair of each.pairs === 'all' ? pairs.keys() : each.pairs) input.ofPair[pair] = each;
  }
  return [...inputs.values()];
}

/** Without the inputs that never change before `untilSlot`: nothing can be learned from them, and what comes later must not decide. */
export function withoutIdleCovariates(matrix: DemandMatrix, untilSlot: number): DemandMatrix {
  if (!matrix.covariates) return matrix;
  const changing = new Set(matrix.covariates.filter(({ values }) => isChanging(values.subarray(0, untilSlot))).map(({ name }) => name));
  return { ...matrix, covariates: matrix.covariates.filter(({ name }) => changing.has(name)) };
}

/** Whether two of the known values differ. */
export function isChanging(values: Float32Array): boolean {
  const first = values.find((value) => !Number.isNaN(value));
  return first !== undefined && values.some((value) => !Number.isNaN(value) && value !== first);
}

/** The part before `untilSlot`, sharing memory; of what is known ahead, all. What is fitted on it cannot have seen more. */
export function cutMatrix(matrix: DemandMatrix, untilSlot: number): DemandMatrix {
  return {
    ...matrix,
    length: Math.min(matrix.length, untilSlot),
    values: matrix.values.map((series) => series.subarray(0, untilSlot)),
    rowSlots: matrix.rowSlots.filter((slot) => slot < untilSlot),
    ...(matrix.covariates && { covariates: matrix.covariates.map((each) => (each.isKnownAhead ? each : { ...each, values: each.values.subarray(0, untilSlot) })) }),
  };
}

/** The part from `fromSlot` on, sharing memory; slot 0 of it is `fromSlot`. */
export function laterMatrix(matrix: DemandMatrix, fromSlot: number): DemandMatrix {
  return {
    ...matrix,
    startAt: matrix.startAt + fromSlot * matrix.stepMs,
    length: matrix.length - fromSlot,
    values: matrix.values.map((series) => series.subarray(fromSlot)),
    rowSlots: matrix.rowSlots.filter((slot) => slot >= fromSlot).map((slot) => slot - fromSlot),
    ...(matrix.covariates && { covariates: matrix.covariates.map((each) => ({ ...each, values: each.values.subarray(fromSlot) })) }),
  };
}

/**
 * The series without gaps, from the past only: a gap of up to an hour holds the last known value, a longer one what was
 * a day before, else the last known value, else 0.
 */
export function fillGaps(values: Float32Array, slotsPerDay: number, filled: Float32Array = new Float32Array(values.length)): Float32Array {
  const shortGap = shortGapOf(slotsPerDay);
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

/** Slots of a gap that holds the last known value: an hour's. */
export function shortGapOf(slotsPerDay: number): number {
  return Math.max(1, Math.round(slotsPerDay / 24));
}

/** Mean of the known values in [from, until); NaN when there are none. */
export function knownMean(values: ArrayLike<number>, from = 0, until = values.length): number {
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
