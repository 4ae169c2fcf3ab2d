import type { PairGroup } from '../../model/index.ts';
import { groupPairs } from '../pair-groups.ts';
import type { DemandMatrix } from './demand-matrix.ts';
import type { MatrixForecasts } from './matrix-model.ts';
import { emptyMatrixForecasts } from './matrix-model.ts';
import { pinballLoss } from './score.ts';

export const PAIR_GROUPS = ['heavy', 'middle', 'sparse', 'new'] as const satisfies PairGroup[];

/** Which model gives a group's median, and which its upper quantiles. */
export interface GroupChoice {
  pairs: number;
  p50: string;
  upper: string;
}

/** Of one model in the back-test, by group. */
export interface GroupLosses {
  error: Float64Array;
  loss: Float64Array;
}

/** A rule of thumb is used unless a learned model is better by this share: a back-test is a sample. */
const MARGIN = 0.01;

/** Group number of each pair. */
export function groupNumbers(matrix: DemandMatrix): Int32Array {
  return Int32Array.from(groupPairs(matrix), (group) => PAIR_GROUPS.indexOf(group));
}

export function groupLosses(actual: Float32Array, { p50, p95 }: MatrixForecasts, groups: Int32Array): GroupLosses {
  const losses = { error: new Float64Array(PAIR_GROUPS.length), loss: new Float64Array(PAIR_GROUPS.length) };
  for (let at = 0; at < actual.length; at++) {
    const value = actual[at]!;
    if (Number.isNaN(value)) continue;
    const group = groups[at % groups.length]!;
    losses.error[group]! += Math.abs(value - p50[at]!);
    losses.loss[group]! += pinballLoss(value, p95[at]!, 0.95);
  }
  return losses;
}

/** A learned model's upper quantiles are taken only when the back-test is this many times as long as the horizon. */
const LOOKS_MIN = 10;

/**
 * The best of the back-test for each group that has pairs; `baselines` win near-ties. Misses closer together than the
 * horizon say the same, so a short back-test has seen only few: then upper quantiles come from baselines, whatever it says.
 * @param looks  length of the back-test in horizons
 */
export function chooseByGroup(losses: ReadonlyMap<string, GroupLosses>, groups: Int32Array, baselines: ReadonlySet<string>, looks: number): Map<PairGroup, GroupChoice> {
  const choices = new Map<PairGroup, GroupChoice>();
  PAIR_GROUPS.forEach((name, group) => {
    const pairs = groups.reduce((count, each) => count + (each === group ? 1 : 0), 0);
    if (pairs === 0) return;
    const best = (of: (losses: GroupLosses) => Float64Array, candidates = [...losses]): string => {
      const costOf = ([model, each]: [string, GroupLosses]): number => of(each)[group]! * (baselines.has(model) ? 1 - MARGIN : 1);
      return candidates.reduce((least, next) => (costOf(next) < costOf(least) ? next : least))[0];
    };
    choices.set(name, { pairs, p50: best(({ error }) => error), upper: best(({ loss }) => loss, looks < LOOKS_MIN ? [...losses].filter(([model]) => baselines.has(model)) : [...losses]) });
  });
  return choices;
}

/** Puts together what the groups' models forecast, as one after another is at hand. */
export class ComposedForecasts {
  readonly forecasts: MatrixForecasts;
  private readonly groups: Int32Array;
  private readonly choices: ReadonlyMap<PairGroup, GroupChoice>;

  constructor(cells: number, groups: Int32Array, choices: ReadonlyMap<PairGroup, GroupChoice>) {
    this.forecasts = emptyMatrixForecasts(cells);
    this.groups = groups;
    this.choices = choices;
  }

  add(model: string, { p50, p90, p95, logScale }: MatrixForecasts): void {
    const chosen = PAIR_GROUPS.map((name) => this.choices.get(name));
    if (!chosen.some((choice) => choice?.p50 === model || choice?.upper === model)) return;
    if (logScale) this.forecasts.logScale = logScale;
    for (let at = 0; at < p50.length; at++) {
      const choice = chosen[this.groups[at % this.groups.length]!]!;
      if (choice.p50 === model) this.forecasts.p50[at] = p50[at]!;
      if (choice.upper !== model) continue;
      this.forecasts.p90[at] = p90[at]!;
      this.forecasts.p95[at] = p95[at]!;
    }
  }

  /** After the last model: quantiles of two models may cross. */
  finish(): MatrixForecasts {
    const { p50, p90, p95 } = this.forecasts;
    for (let at = 0; at < p50.length; at++) {
      p90[at] = Math.max(p90[at]!, p50[at]!);
      p95[at] = Math.max(p95[at]!, p90[at]!);
    }
    return this.forecasts;
  }
}
