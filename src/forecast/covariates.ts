import { isChanging, type Covariate, type DemandMatrix } from './matrix/demand-matrix.ts';

/** What else is known beside demand, on the same slots: planned events, active users by role, latency and loss of what carries it. */
export interface CovariateSeries {
  /** Series of one name are one input; each demand sees the last of them that concerns it. */
  name: string;
  /** Names of the demands that it says something about, `from>to#class`. */
  demands: 'all' | readonly string[];
  /** When its first slot begins, epoch ms. */
  startAt: number;
  /** A value a slot, NaN where unknown; may reach into the future when it is known ahead. */
  values: Float32Array;
  isKnownAhead: boolean;
}

/** An input that models were trained with: they must see it always, known or not. */
export interface CovariateName {
  name: string;
  isKnownAhead: boolean;
}

/** Without the inputs that can teach nothing: measured ones of which less than a day is known of any demand, or that never change. */
export function worthLearning(series: readonly CovariateSeries[], slotsPerDay: number): CovariateSeries[] {
  const isTelling = ({ values, isKnownAhead }: CovariateSeries): boolean => isKnownAhead || (isChanging(values) && values.reduce((known, value) => known + (Number.isNaN(value) ? 0 : 1), 0) >= slotsPerDay);
  const telling = new Set(series.filter(isTelling).map(({ name }) => name));
  return series.filter(({ name }) => telling.has(name));
}

/** The inputs that there are, sorted by name. */
export function covariateNames(series: readonly CovariateSeries[]): CovariateName[] {
  const names = [...new Set(series.map(({ name }) => name))].sort();
  return names.map((name) => ({ name, isKnownAhead: series.some((each) => each.name === name && each.isKnownAhead) }));
}

/**
 * The series on the slots of a matrix, exactly the inputs of `names` in their order: one without a series is unknown
 * everywhere, others are left out.
 * @param ahead  slots after the matrix's end for which what is known ahead is given
 */
export function alignCovariates(names: readonly CovariateName[], series: readonly CovariateSeries[], matrix: DemandMatrix, ahead: number): Covariate[] {
  const placeOf = new Map(matrix.pairs.map((name, place) => [name, place]));
  return names.flatMap(({ name, isKnownAhead }): Covariate[] => {
    const length = matrix.length + (isKnownAhead ? ahead : 0);
    const unknown: Covariate = { name, pairs: 'all', values: new Float32Array(length).fill(Number.NaN), isKnownAhead };
    // A calendar that names nobody says that nothing is planned; a measurement that is missing says nothing.
    if (isKnownAhead) unknown.values.fill(0);
    const own = series.filter((each) => each.name === name);
    return [unknown, ...own.map((each) => ({ name, pairs: each.demands === 'all' ? ('all' as const) : each.demands.flatMap((demand) => placeOf.get(demand) ?? []), values: shifted(each, matrix, length), isKnownAhead }))];
  });
}

function shifted({ values, startAt, isKnownAhead }: CovariateSeries, matrix: DemandMatrix, length: number): Float32Array {
  const offset = Math.round((matrix.startAt - startAt) / matrix.stepMs);
  const moved = new Float32Array(length);
  if (!isKnownAhead) moved.fill(Number.NaN);
  const [from, until] = [Math.max(0, offset), Math.min(values.length, offset + length)];
  if (until > from) moved.set(values.subarray(from, until), from - offset);
  return moved;
}
