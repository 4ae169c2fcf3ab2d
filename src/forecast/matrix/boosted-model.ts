import { binRows, chooseEdges, type BinEdges } from '../boosting/binning.ts';
import { sharedFloats } from '../boosting/booster-job.ts';
import { BoosterPool } from '../boosting/booster-pool.ts';
import { predictBooster, type BoosterOptions, type QuantileBooster } from '../boosting/quantile-booster.ts';
import { dumpBoosters, restoreBoosters } from './boosted-dump.ts';
import { cutMatrix, knownMean, laterMatrix, type DemandMatrix } from './demand-matrix.ts';
import { levelledPast } from './levelled-past.ts';
import { emptyMatrixForecasts, type MatrixFitTask, type MatrixForecasts, type MatrixModel, type MatrixModelDump } from './matrix-model.ts';
import { MatrixPast, TabularFeatures } from './tabular-features.ts';

export interface BoostedOptions extends BoosterOptions {
  /** Rows of all pairs together, taken evenly. */
  rowsMax: number;
  /** How many boosters grow at a time. */
  threads: number;
}

/** What is fitted for one horizon: a booster for each of `QUANTILES`. */
export interface HorizonBoosters {
  edges: BinEdges;
  boosters: QuantileBooster[];
}

export const BOOSTED_DEFAULTS: BoostedOptions = { rowsMax: 200_000, rounds: 150, leavesMax: 31, learningRate: 0.1, leafWeightMin: 60, featureShare: 0.6, rowShare: 0.5, threads: 2 };

/** How far back the inputs look; the smoothed ones have forgotten what was before. */
const REACH_DAYS = 28;
/** More pairs than this teach nothing new: the heaviest tenth, and an even choice of the rest. */
const PAIRS_MAX = 600;

const QUANTILES = [0.5, 0.9, 0.95] as const;

/**
 * One set of gradient-boosted trees for all pairs, a quantile each. It forecasts z(t + h) − z(t) with z = log1p(y/c), c
 * the pair's mean: so trees without a split already are persistence, and small pairs teach large ones.
 */
export class BoostedModel implements MatrixModel {
  readonly name = 'boosted';
  private readonly options: BoostedOptions;
  private scales: Float32Array = new Float32Array(0);
  private horizons = new Map<number, HorizonBoosters>();

  constructor(options: Partial<BoostedOptions> = {}) {
    this.options = { ...BOOSTED_DEFAULTS, ...options };
  }

  async fit({ matrix, horizons, seed, onProgress }: MatrixFitTask): Promise<void> {
    this.scales = scalesOf(matrix);
    const pool = new BoosterPool(this.options.threads);
    try {
      const fitted: Promise<[number, HorizonBoosters]>[] = [];
      const space: Float32Array[] = []; // one horizon's inputs after another: they are the most memory that is needed
      for (const steps of horizons) {
        const { columns, targets, weights } = this.trainingRows(matrix, steps, space);
        const edges = chooseEdges(columns);
        const data = binRows(columns, edges, targets.length);
        onProgress(`boosted: ${targets.length} rows of ${columns.length} inputs, ${steps} ahead`);
        const boosters = QUANTILES.map((quantile) => pool.run({ data, targets, weights, quantile, options: this.options, seed: `${seed}/boosted/${steps}/${quantile}` }));
        // Not awaited yet: the inputs of the next horizon are made while the trees of this one grow.
        const grown = Promise.all(boosters).then((each): [number, HorizonBoosters] => [steps, { edges, boosters: each }]);
        grown.catch(() => undefined); // told below; unheard until then it would end the process
        fitted.push(grown);
        await new Promise(setImmediate);
      }
      this.horizons = new Map(await Promise.all(fitted));
    } finally {
      await pool.close();
    }
  }

  async forecast(matrix: DemandMatrix, slots: Int32Array, steps: number): Promise<MatrixForecasts> {
    return this.forecastThese([steps], matrix, slots).get(steps)!;
  }

  async forecastHorizons(matrix: DemandMatrix, slots: Int32Array): Promise<Map<number, MatrixForecasts>> {
    return this.forecastThese([...this.horizons.keys()], matrix, slots);
  }

  private forecastThese(horizons: readonly number[], whole: DemandMatrix, slots: Int32Array): Map<number, MatrixForecasts> {
    // A cycle asks from one origin: it need not read a year for that. Whole days, so that the days' phases stay.
    const begin = Math.max(0, Math.floor((slots[0] ?? 0) / whole.slotsPerDay) - REACH_DAYS) * whole.slotsPerDay;
    const matrix = laterMatrix(cutMatrix(whole, (slots.at(-1) ?? 0) + 1), begin);
    const origins = slots.map((slot) => slot - begin);
    const past = new MatrixPast(matrix, this.scales, horizons, begin === 0 ? levelledPast(whole, this.scales) : null);
    const asked = horizons.map((steps) => new AskedHorizon(past, steps, this.horizons.get(steps)!, origins));
    if (origins.length === 1) past.onlyNewest();
    // What a pair has in common at all horizons is found once, and a tree is walked by many rows before the next one.
    for (const pair of past.order()) for (const horizon of asked) horizon.add(pair);
    return new Map(asked.map((horizon, index) => [horizons[index]!, horizon.finish()]));
  }

  dump(): MatrixModelDump {
    return dumpBoosters(this.scales, this.horizons);
  }

  restore(dump: MatrixModelDump): void {
    ({ scales: this.scales, horizons: this.horizons } = restoreBoosters(dump));
  }

  async resized(matrix: DemandMatrix, horizons: readonly number[]): Promise<BoostedModel> {
    const other = new BoostedModel(this.options);
    const fitted = [...this.horizons.values()];
    [other.scales, other.horizons] = [scalesOf(matrix), new Map(horizons.map((steps, index) => [steps, fitted[index % fitted.length]!]))];
    return other;
  }

  private trainingRows(matrix: DemandMatrix, steps: number, space: Float32Array[]): { columns: Float32Array[]; targets: Float32Array; weights: Float32Array } {
    const { scales } = this;
    const pairs = matrix.pairs.length;
    // Enough past for the inputs of a week where there are several.
    const from = Math.min(7 * matrix.slotsPerDay, Math.floor(matrix.length / 3));
    const teachers = choosePairs(scales);
    const every = Math.max(1, Math.ceil(((matrix.length - steps - from) * Math.min(pairs, PAIRS_MAX)) / this.options.rowsMax));
    const origins = matrix.values.map((values, pair) => {
      const chosen: number[] = [];
      if (!teachers.has(pair)) return new Int32Array(0);
      for (let slot = from + ((pair * 7919) % every); slot + steps < matrix.length; slot += every) {
        if (!Number.isNaN(values[slot + steps]!)) chosen.push(slot);
      }
      return Int32Array.from(chosen);
    });
    const rows = origins.reduce((sum, each) => sum + each.length, 0);
    const features = new TabularFeatures(new MatrixPast(matrix, scales, [steps]), steps);
    if (space.length !== features.count || space[0]!.length < rows) space.splice(0, Infinity, ...Array.from({ length: features.count }, () => new Float32Array(rows)));
    const columns = space.map((column) => column.subarray(0, rows));
    const targets = sharedFloats(rows);
    const weights = sharedFloats(rows);
    const mean = scales.reduce((sum, scale) => sum + scale, 0) / pairs;
    let at = 0;
    for (let pair = 0; pair < pairs; pair++) {
      if (origins[pair]!.length === 0) continue;
      features.fill(pair, origins[pair]!, columns, at);
      const levels = features.levels(pair, origins[pair]!);
      for (let index = 0; index < levels.length; index++) {
        targets[at + index] = Math.log1p(matrix.values[pair]![origins[pair]![index]! + steps]! / scales[pair]!) - levels[index]!;
        weights[at + index] = Math.sqrt(scales[pair]! / mean);
      }
      at += levels.length;
    }
    return { columns, targets, weights };
  }
}

/** Rows that are collected before trees are walked. */
const BLOCK_ROWS = 1024;

/** One horizon's forecasts of all pairs, made in blocks of rows. */
class AskedHorizon {
  private readonly forecasts: MatrixForecasts;
  private readonly past: MatrixPast;
  private readonly origins: Int32Array;
  private readonly fitted: HorizonBoosters;
  private readonly features: TabularFeatures;
  private readonly columns: Float32Array[];
  private readonly levels: Float32Array;
  /** Pairs whose rows are in the columns, all origins of each. */
  private waiting: number[] = [];

  constructor(past: MatrixPast, steps: number, fitted: HorizonBoosters, origins: Int32Array) {
    this.past = past;
    this.origins = origins;
    this.fitted = fitted;
    this.features = new TabularFeatures(past, steps);
    this.forecasts = { ...emptyMatrixForecasts(origins.length * past.matrix.pairs.length), logScale: past.scales };
    const rows = Math.max(BLOCK_ROWS, origins.length);
    this.columns = Array.from({ length: this.features.count }, () => new Float32Array(rows));
    this.levels = new Float32Array(rows);
  }

  add(pair: number): void {
    const { origins, waiting, levels, features } = this;
    if ((waiting.length + 1) * origins.length > levels.length) this.walk();
    const at = this.waiting.length * origins.length;
    features.fill(pair, origins, this.columns, at);
    levels.set(features.levels(pair, origins), at);
    this.waiting.push(pair);
  }

  finish(): MatrixForecasts {
    this.walk();
    return this.forecasts;
  }

  private walk(): void {
    const { origins, past, forecasts, fitted, levels } = this;
    const data = binRows(this.columns, fitted.edges, this.waiting.length * origins.length);
    const sums = fitted.boosters.map((booster) => predictBooster(booster, data));
    const ordered = new Float32Array(sums.length);
    this.waiting.forEach((pair, place) => {
      const scale = past.scales[pair]!;
      for (let index = 0; index < origins.length; index++) {
        const row = place * origins.length + index;
        const at = index * past.matrix.pairs.length + pair;
        sums.forEach((sum, quantile) => (ordered[quantile] = sum[row]!));
        ordered.sort();
        forecasts.p50[at] = demandOf(scale, levels[row]! + ordered[0]!);
        forecasts.p90[at] = demandOf(scale, levels[row]! + ordered[1]!);
        forecasts.p95[at] = demandOf(scale, levels[row]! + ordered[2]!);
      }
    });
    this.waiting = [];
  }
}

function demandOf(scale: number, z: number): number {
  return scale * Math.expm1(Math.max(0, z));
}

function choosePairs(scales: Float32Array): Set<number> {
  const ranked = [...scales.keys()].sort((left, right) => scales[right]! - scales[left]! || left - right);
  const heavy = Math.min(PAIRS_MAX / 3, Math.ceil(ranked.length / 10));
  const every = Math.max(1, (ranked.length - heavy) / (PAIRS_MAX - heavy));
  return new Set(ranked.filter((_, rank) => rank < heavy || Math.floor((rank - heavy) / every) !== Math.floor((rank - heavy - 1) / every)));
}

/** Each pair's mean; of pairs without demand, a thousandth of the others' mean. */
export function scalesOf(matrix: DemandMatrix): Float32Array {
  const means = matrix.values.map((values) => knownMean(values));
  const known = means.filter((mean) => mean > 0);
  const typical = known.length > 0 ? known.reduce((sum, mean) => sum + mean, 0) / known.length : 1;
  return Float32Array.from(means, (mean) => Math.max(mean > 0 ? mean : 0, 1e-3 * typical));
}
