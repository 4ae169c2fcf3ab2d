import { describe, expect, it } from 'vitest';
import { generateHistory } from '../../src/forecast/index.ts';
import { makeCandidates } from '../../src/forecast/candidates.ts';
import { makeMatrix } from '../../src/forecast/demand-series.ts';
import { forecastSlots } from '../../src/forecast/forecast-slots.ts';
import type { DemandMatrix } from '../../src/forecast/matrix/demand-matrix.ts';
import { EnsembleModel } from '../../src/forecast/matrix/ensemble-model.ts';
import { emptyMatrixForecasts, type MatrixForecasts, type MatrixModel } from '../../src/forecast/matrix/matrix-model.ts';
import { packModels, unpackModels } from '../../src/forecast/model-file.ts';
import { trainModels, type Candidate, type TrainedState } from '../../src/forecast/train-models.ts';
import { MIDNIGHT, SETTINGS, SLOT_MS, SLOTS_PER_DAY, twentyDemands } from './meshes.ts';

const demands = generateHistory({ demands: twentyDemands().slice(0, 4), slotMs: SLOT_MS, slotsPerDay: SLOTS_PER_DAY, days: 7, endAt: MIDNIGHT, seed: 'ensemble' });
const history: DemandMatrix = { ...makeMatrix(demands, MIDNIGHT, SLOT_MS, SLOTS_PER_DAY), covariates: [] };
const joined = { matrix: history, ratios: new Float64Array(4).fill(1), knownPairs: 4 };
const forecastBy = async (state: TrainedState) => forecastSlots(state, joined, SETTINGS, { lastSlotEndAt: MIDNIGHT });

/** Knows the future (at the end of all, yesterday), is off in log1p(y), and counts what it is asked. */
class Oracle implements MatrixModel {
  readonly name: string;
  readonly asked = { fits: 0, forecasts: 0 };
  private readonly off: number;
  private horizons: readonly number[] = [];

  constructor(name: string, off: number) {
    this.name = name;
    this.off = off;
  }

  async fit({ horizons }: { horizons: readonly number[] }): Promise<void> {
    this.asked.fits += 1;
    this.horizons = horizons;
  }

  forecast(): Promise<MatrixForecasts> {
    throw new Error('is asked for all at once');
  }

  async forecastHorizons(matrix: DemandMatrix, origins: Int32Array): Promise<Map<number, MatrixForecasts>> {
    this.asked.forecasts += 1;
    return new Map(this.horizons.map((steps) => [steps, this.at(matrix, origins, steps)]));
  }

  private at(matrix: DemandMatrix, origins: Int32Array, steps: number): MatrixForecasts {
    const pairs = matrix.pairs.length;
    const forecasts = { ...emptyMatrixForecasts(origins.length * pairs), logScale: new Float32Array(pairs).fill(1) };
    origins.forEach((origin, index) =>
      matrix.values.forEach((values, pair) => {
        const truth = values[origin + steps] ?? values[origin + steps - SLOTS_PER_DAY]!;
        forecasts.p50[index * pairs + pair] = Math.expm1(Math.max(0, Math.log1p(truth) + this.off));
      }),
    );
    forecasts.p90.set(forecasts.p50);
    forecasts.p95.set(forecasts.p50);
    return forecasts;
  }
}

describe('the ensemble', () => {
  const parts = [new Oracle('boosted', 0.1), new Oracle('network', -0.1)];
  const candidates = (models: MatrixModel[]): Candidate[] => models.map((model) => ({ model, isBaseline: false, goesOn: false }));
  const train = (all: Candidate[], notices: string[] = []): Promise<TrainedState> => trainModels(all, history, SETTINGS, 'seed', () => undefined, (text) => notices.push(text));

  it('wins where its parts err to either side, which are fitted and asked for it no more than for themselves', async () => {
    const state = await train(candidates([...parts, new EnsembleModel(parts)]));
    expect(new Set(state.champions.map(({ ranking }) => ranking[0]))).toEqual(new Set(['ensemble']));
    expect(state.models.map(({ model }) => model.name), 'parts that win nowhere are kept for it').toEqual(['boosted', 'network', 'ensemble']);
    expect(parts.map(({ asked }) => ({ ...asked }))).toEqual([{ fits: 2, forecasts: 1 }, { fits: 2, forecasts: 1 }]);
    const { models, slots, faults } = await forecastBy(state);
    expect({ models, faults }).toEqual({ models: Array(4).fill('ensemble'), faults: [] });
    expect(parts.map(({ asked }) => asked.forecasts)).toEqual([2, 2]);
    const yesterday = history.values[0]![history.length - SLOTS_PER_DAY]!;
    expect(slots[0]![0]!.p50 / yesterday).toBeCloseTo(1, 3);
  });

  it('is left out with a part that cannot be used, and the other part serves', async () => {
    const broken = new Oracle('network', Number.NaN);
    const notices: string[] = [];
    const state = await train(candidates([parts[0]!, broken, new EnsembleModel([parts[0]!, broken])]), notices);
    expect(notices).toEqual(['network is left out: gave numbers that are none', 'ensemble is left out: it needs network']);
    expect(state.models.map(({ model }) => model.name)).toEqual(['boosted']);
  });

  it('says after it was kept and taken up what it said before, with its parts from the same file', async () => {
    const sizes = { boosted: { rounds: 4, rowsMax: 800 }, network: { epochs: 1, warmEpochs: 1, rowsPerEpoch: 400 } };
    const state = await train(makeCandidates(['ewma', 'boosted', 'network', 'ensemble'], sizes, 'quick'));
    // Whoever won: the ensemble first, and its parts fitted for all distances.
    for (const champion of state.champions) champion.ranking = champion.upperRanking = ['ensemble', ...champion.ranking.filter((name) => name !== 'ensemble')];
    if (!state.models.some(({ model }) => model instanceof EnsembleModel)) throw new Error('choose a history on which it wins somewhere');
    const before = await forecastBy(state);
    const { state: after } = unpackModels(packModels(state).file, 'a test');
    expect(await forecastBy(after)).toEqual(before);
    expect(packModels(after).digest).toBe(packModels(state).digest);
    const [boosted] = after.models.filter(({ model }) => model.name === 'boosted');
    expect((after.models.at(-1)!.model as EnsembleModel).members).toContain(boosted!.model);
    after.models.splice(after.models.indexOf(boosted!), 1);
    expect(() => unpackModels(packModels(after).file, 'a test')).toThrow(/its ensemble has no parts/);
  });

  it('is not there without its parts', () => {
    expect(makeCandidates(['ewma', 'boosted', 'ensemble'], {}, 'quick').map(({ model }) => model.name)).toEqual(['ewma', 'boosted']);
  });
});
