import type { Effort, ForecasterOptions, ModelName } from './forecaster.ts';
import { Autoregression } from './matrix/autoregression.ts';
import { Ewma, HoltWinters, Persistence, SeasonalNaive, type PointForecaster } from './matrix/baselines.ts';
import { BoostedModel } from './matrix/boosted-model.ts';
import { EnsembleModel } from './matrix/ensemble-model.ts';
import { PointModel } from './matrix/point-model.ts';
import { RulesModel } from './matrix/rules-model.ts';
import { NetworkModel } from './network/network-model.ts';
import type { Candidate } from './train-models.ts';

/** Rows and passes for a made-up past, and for a measured one: as good as it gets in minutes at the lowest priority. */
const BOOSTED_SIZES = { quick: { rowsMax: 6000, rounds: 60, leavesMax: 15, learningRate: 0.15, leafWeightMin: 20 }, thorough: { rowsMax: 60_000, rounds: 120 } } as const;
const NETWORK_SIZES = { quick: { rowsPerEpoch: 8000, epochs: 8, warmEpochs: 3 }, thorough: {} } as const;

/** What the ensemble is made of. */
const PARTS: readonly ModelName[] = ['boosted', 'network'];

/** The median of fewer than three rules of thumb is only their mean. */
const RULES_MIN = 3;

/** In the order of the names; what is combined of others is there when these are. */
export function makeCandidates(names: readonly ModelName[], options: ForecasterOptions, effort: Effort): Candidate[] {
  const candidates: Candidate[] = [];
  for (const name of names) {
    const candidate = makeCandidate(name, options, effort, candidates);
    if (candidate) candidates.push(candidate);
  }
  return candidates;
}

/** @param made  what was made before it; what is combined of others takes its parts from there. @returns null without them */
export function makeCandidate(name: ModelName, options: ForecasterOptions, effort: Effort, made: readonly Candidate[]): Candidate | null {
  switch (name) {
    case 'persistence':
      return simple(() => new Persistence());
    case 'ewma':
      return simple(() => new Ewma());
    case 'seasonal-naive':
      return simple(() => new SeasonalNaive());
    case 'holt-winters':
      return simple(() => new HoltWinters());
    case 'ar-ridge':
      return simple(() => new Autoregression());
    case 'rules': {
      const parts = made.filter(({ isBaseline }) => isBaseline).map(({ model }) => model);
      return parts.length >= RULES_MIN ? { model: new RulesModel(parts), isBaseline: true, goesOn: false } : null;
    }
    case 'boosted':
      return { model: new BoostedModel({ ...BOOSTED_SIZES[effort], ...options.boosted }), isBaseline: false, goesOn: false };
    case 'ensemble': {
      const parts = made.map(({ model }) => model).filter((model) => (PARTS as readonly string[]).includes(model.name));
      return parts.length === PARTS.length ? { model: new EnsembleModel(parts), isBaseline: false, goesOn: false } : null;
    }
    default:
      return { model: new NetworkModel({ ...NETWORK_SIZES[effort], ...options.network }), isBaseline: false, goesOn: true };
  }
}

function simple(make: () => PointForecaster): Candidate {
  return { model: new PointModel(make), isBaseline: true, goesOn: false };
}
