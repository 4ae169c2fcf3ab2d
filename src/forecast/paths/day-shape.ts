import { COLUMN, logistic } from './features.ts';
import { fitRising, readCurve, type RisingCurve } from './isotonic.ts';
import type { Inputs, LabelledRows, PathModel } from './path-model.ts';

/**
 * Level and day-shape: the worst slot of the horizon is foreseen at the last hour's level plus the usual rise at this
 * time of day. How often what came passed the bound, by the distance of what was foreseen from it in units of the path's
 * own spread, is counted over all paths: for those that broke it in the last hour and those that did not.
 */
export class DayShape implements PathModel {
  readonly name = 'day-shape';
  readonly isBaseline = false;
  #curves: [RisingCurve, RisingCurve] = [EMPTY, EMPTY];

  fit(rows: LabelledRows): Promise<void> {
    const rates = Float64Array.from({ length: rows.rows }, (_, row) => logistic(rows.columns[COLUMN.rate]![row]!));
    const scores = distances(rows);
    const curveOf = (state: 0 | 1): RisingCurve => {
      const own = scores.map((score, row) => (stateOf(rows, row) === state ? score : Number.NaN));
      return fitRising(own, rows.labels, rows.weights, rates);
    };
    this.#curves = [curveOf(0), curveOf(1)];
    return Promise.resolve();
  }

  predict(inputs: Inputs): Float64Array {
    return distances(inputs).map((score, row) => {
      const curve = this.#curves[stateOf(inputs, row)];
      return Number.isNaN(score) || curve.scores.length === 0 ? logistic(inputs.columns[COLUMN.rate]![row]!) : readCurve(curve, score);
    });
  }
}

const EMPTY: RisingCurve = { scores: [], probabilities: [] };

function distances({ rows, columns }: Inputs): Float64Array {
  return Float64Array.from({ length: rows }, (_, row) => columns[COLUMN.foreseen]![row]! / columns[COLUMN.daySpread]![row]!);
}

function stateOf({ columns }: Inputs, row: number): 0 | 1 {
  return columns[COLUMN.hourShare]![row]! > 0 ? 1 : 0;
}
