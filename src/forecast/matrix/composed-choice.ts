import type { PairGroup } from '../../model/index.ts';
import type { Champion } from '../contest.ts';
import type { MatrixForecasts } from './matrix-model.ts';
import { emptyMatrixForecasts } from './matrix-model.ts';

/** Which model gives a group's median, and which its upper quantiles. */
export interface GroupChoice {
  pairs: number;
  p50: string;
  upper: string;
}

/** The champions of one distance, for the kinds that have pairs. */
export function choicesOf(champions: readonly Champion[], groups: readonly PairGroup[]): Map<PairGroup, GroupChoice> {
  return new Map(
    champions.flatMap(({ group, ranking, upperRanking }) => {
      const pairs = groups.filter((each) => each === group).length;
      return pairs > 0 ? [[group, { pairs, p50: ranking[0]!, upper: (upperRanking ?? ranking)[0]! }] as const] : [];
    }),
  );
}

/** Puts together what the groups' models forecast, as one after another is at hand. */
export class ComposedForecasts {
  readonly forecasts: MatrixForecasts;
  private readonly groups: readonly PairGroup[];
  private readonly choices: ReadonlyMap<PairGroup, GroupChoice>;

  constructor(cells: number, groups: readonly PairGroup[], choices: ReadonlyMap<PairGroup, GroupChoice>) {
    this.forecasts = emptyMatrixForecasts(cells);
    this.groups = groups;
    this.choices = choices;
  }

  add(model: string, { p50, p90, p95, logScale }: MatrixForecasts): void {
    const chosen = this.groups.map((group) => this.choices.get(group)!);
    if (!chosen.some((choice) => choice.p50 === model || choice.upper === model)) return;
    if (logScale) this.forecasts.logScale = logScale;
    for (let at = 0; at < p50.length; at++) {
      const choice = chosen[at % chosen.length]!;
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
