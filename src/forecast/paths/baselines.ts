import { COLUMN, logistic } from './features.ts';
import { countRows, type Inputs, type LabelledRows, type PathModel } from './path-model.ts';

/** The path's own share of broken horizons so far, drawn to that of its neighbours. */
export class Climatology implements PathModel {
  readonly name = 'climatology';
  readonly isBaseline = true;

  fit(): Promise<void> {
    return Promise.resolve();
  }

  predict({ rows, columns }: Inputs): Float64Array {
    return Float64Array.from({ length: rows }, (_, row) => logistic(columns[COLUMN.rate]![row]!));
  }
}

/** Broken now, so broken; with the share that this is right with, learned over all paths, and so for what is not broken. */
export class Persistence implements PathModel {
  readonly name = 'persistence';
  readonly isBaseline = true;
  #rates = { kept: 0, broken: 1, unknown: 0.5 };

  fit(rows: LabelledRows): Promise<void> {
    const now = rows.columns[COLUMN.brokenNow]!;
    const rateOf = (isIn: (row: number) => boolean): number => {
      const { events, count } = countRows(rows, isIn);
      return (events + 0.5) / (count + 1);
    };
    this.#rates = { kept: rateOf((row) => now[row] === 0), broken: rateOf((row) => now[row] === 1), unknown: rateOf((row) => Number.isNaN(now[row]!)) };
    return Promise.resolve();
  }

  predict({ rows, columns }: Inputs): Float64Array {
    const now = columns[COLUMN.brokenNow]!;
    return Float64Array.from({ length: rows }, (_, row) => (Number.isNaN(now[row]!) ? this.#rates.unknown : now[row] === 1 ? this.#rates.broken : this.#rates.kept));
  }
}

/** Broken now, so broken, and nothing else: what a monitor says that only looks. */
export class BrokenNow implements PathModel {
  readonly name = 'broken-now';
  readonly isBaseline = true;

  fit(): Promise<void> {
    return Promise.resolve();
  }

  predict({ rows, columns }: Inputs): Float64Array {
    return Float64Array.from({ length: rows }, (_, row) => (columns[COLUMN.brokenNow]![row] === 1 ? 1 : 0));
  }
}
