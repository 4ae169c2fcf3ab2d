import type { Effort, ForecasterOptions, ModelName } from './forecaster.ts';
import { Autoregression } from './matrix/autoregression.ts';
import { Ewma, HoltWinters, Persistence, SeasonalNaive } from './matrix/baselines.ts';
import { BOOSTED_DEFAULTS, BoostedModel } from './matrix/boosted-model.ts';
import { PointModel } from './matrix/point-model.ts';
import type { Candidate } from './train-models.ts';

/** Rows and trees of a made-up past, and of a measured one: as good as it gets in minutes of one core at the lowest priority. */
const BOOSTED_SIZES = { quick: { rowsMax: 6000, rounds: 60, leavesMax: 15, learningRate: 0.15, leafWeightMin: 20 }, thorough: { rowsMax: 60_000, rounds: 120 } } as const;

export function makeCandidate(name: ModelName, options: ForecasterOptions, effort: Effort): Candidate {
  switch (name) {
    case 'persistence':
      return { model: new PointModel(() => new Persistence()), isBaseline: true };
    case 'ewma':
      return { model: new PointModel(() => new Ewma()), isBaseline: true };
    case 'seasonal-naive':
      return { model: new PointModel(() => new SeasonalNaive()), isBaseline: true };
    case 'holt-winters':
      return { model: new PointModel(() => new HoltWinters()), isBaseline: true };
    case 'ar-ridge':
      return { model: new PointModel(() => new Autoregression()), isBaseline: true };
    default:
      return { model: new BoostedModel({ ...BOOSTED_DEFAULTS, ...BOOSTED_SIZES[effort], ...options.boosted }), isBaseline: false };
  }
}
