import { messageOf, roundTo } from '../base/index.ts';
import type { ForecastSettings, ForecastSlot, Observation, PairGroup, ServingModel } from '../model/index.ts';
import { interpolateSteps } from './anchors.ts';
import { asIfCalm } from './calm-ways.ts';
import type { Champion } from './contest.ts';
import { matrixOf, phaseOf } from './demand-series.ts';
import type { JoinedDemands } from './join-observation.ts';
import { knownMean, type DemandMatrix } from './matrix/demand-matrix.ts';
import { levelOf } from './matrix/level-of.ts';
import { CombinedModel } from './matrix/combined-model.ts';
import { cellsOf, type MatrixForecasts, type MatrixModel } from './matrix/matrix-model.ts';
import { copyCorrection, correctOnline, type OnlineCorrection } from './matrix/online-calibration.ts';
import { applyPairCalibration } from './matrix/pair-calibration.ts';
import { hasDayOfPast } from './pair-groups.ts';
import { isHabitOver } from './silence.ts';
import { forecastNewcomers } from './newcomers.ts';
import { findFault, type TrainedModel, type TrainedState } from './train-models.ts';

export interface SlotForecasts {
  /** Of each joined pair, Mbit/s. */
  slots: ForecastSlot[][];
  /** What served each joined pair most. */
  models: string[];
  /** One line for each model that failed and was replaced. */
  faults: string[];
  /** Pairs that are too new for any but the smoothed level. */
  newcomers: number;
}

/**
 * Forecasts every joined pair from the last slot on. Pairs with a day of past are served by the champion of their kind at
 * each anchor, or by the next best when that one fails; what lies between the anchors is interpolated in log1p(y/mean),
 * along the day's shape. Other pairs get their smoothed level. Where a way loses packets, a forecast is at least what it
 * would be if it did not.
 */
export async function forecastSlots(state: TrainedState | null, joined: JoinedDemands, settings: ForecastSettings, observation: Pick<Observation, 'lastSlotEndAt'>): Promise<SlotForecasts> {
  const { matrix, ratios, knownPairs } = joined;
  const { horizonSlots, slotsPerDay } = settings;
  const isServed = matrix.values.map((values, pair) => state !== null && state.champions.length > 0 && pair < knownPairs && state.groups[pair] !== 'new' && hasDayOfPast(values, slotsPerDay));
  const calm = asIfCalm(matrix);
  const served = state && isServed.includes(true) ? await new Served(state, headOf(matrix, knownPairs)).run() : null;
  if (served && calm) served.raise(await new Served(state!, headOf(calm.matrix, knownPairs)).run(), calm.strained);
  const late = [...isServed.keys()].filter((pair) => !isServed[pair]);
  const newcomers = forecastNewcomers(subsetOf(calm?.matrix ?? matrix, late), horizonSlots);
  const placeOf = new Map(late.map((pair, place) => [pair, place]));
  const curves = served && new Curves(served, state!.anchors, matrix, horizonSlots);
  const slots = matrix.pairs.map((_, pair) => {
    const place = placeOf.get(pair);
    const levels = curves && place === undefined ? curves.of(pair) : newcomers.curves(place!);
    const isOver = isHabitOver(matrix.values[pair]!, slotsPerDay, horizonSlots);
    const ratio = ratios[pair]!;
    const mbps = (value: number): number => (isOver ? 0 : roundTo(Math.max(0, value * ratio), 4));
    const [p50, p90, p95] = levels;
    const coming: ForecastSlot[] = [];
    for (let step = 0; step < horizonSlots; step++) coming.push({ startAt: observation.lastSlotEndAt + step * settings.slotMs, p50: mbps(p50[step]!), p90: mbps(p90[step]!), p95: mbps(p95[step]!) });
    return coming;
  });
  const models = matrix.pairs.map((_, pair) => (served && !placeOf.has(pair) ? served.modelOf(pair) : newcomers.model));
  return { slots, models, faults: served?.faults ?? [], newcomers: late.length };
}

/** The words of the report for pairs without a day of past. */
export function newcomersServing(pairs: number, horizonSlots: number): ServingModel[] {
  return pairs === 0 ? [] : [{ group: 'new', pairs, fromStep: 1, toStep: horizonSlots, model: 'ewma', wape: null, rival: null, why: 'less than a day of past: the smoothed level' }];
}

/** Who was asked, and what it said; null: nobody gave anything usable. */
interface Source {
  name: string;
  forecasts: MatrixForecasts | null;
}

/** Quantiles of all anchors for the pairs that have a past, from the newest slot. */
class Served {
  /** `[anchor][quantile][pair]` */
  readonly at: Float32Array[][] = [];
  readonly faults: string[] = [];
  private readonly state: TrainedState;
  private readonly matrix: DemandMatrix;
  private readonly origin: Int32Array;
  /** The same for models that learn from their misses, after earlier ones. */
  private readonly origins: Int32Array;
  private readonly asked = new Map<string, MatrixForecasts | null>();
  private readonly champions: Map<string, Champion>;
  private readonly names: string[][] = [];
  private readonly all = new Map<MatrixModel, Promise<Map<number, MatrixForecasts>>>();

  constructor(state: TrainedState, matrix: DemandMatrix) {
    this.state = state;
    this.matrix = matrix;
    this.origin = Int32Array.of(matrix.length - 1);
    this.origins = originsSince(state, matrix);
    this.champions = new Map(state.champions.map((champion) => [`${champion.group} ${champion.steps}`, champion]));
  }

  async run(): Promise<this> {
    const { state, matrix } = this;
    for (const [index, steps] of state.anchors.entries()) {
      const quantiles = [0, 1, 2].map(() => new Float32Array(matrix.pairs.length));
      const sources = new Map<PairGroup, { median: Source; upper: Source }>();
      for (const group of new Set(state.groups)) {
        const champion = this.champions.get(`${group} ${steps}`);
        const ranking = champion?.ranking ?? [];
        sources.set(group, { median: await this.firstGood(ranking, steps), upper: await this.firstGood(champion?.upperRanking ?? ranking, steps) });
      }
      this.names[index] = state.groups.map((group) => sources.get(group)!.median.name);
      state.groups.forEach((group, pair) => {
        const { median, upper } = sources.get(group)!;
        // Quantiles of two models may cross.
        let least = 0;
        [median.forecasts?.p50, upper.forecasts?.p90, upper.forecasts?.p95].forEach((values, quantile) => {
          least = Math.max(least, values?.[pair] ?? 0);
          quantiles[quantile]![pair] = least;
        });
      });
      this.at[index] = quantiles;
    }
    return this;
  }

  /** Takes what another says of some pairs where that is more. */
  raise(other: Served, pairs: readonly number[]): void {
    for (const [index, quantiles] of this.at.entries()) {
      for (const [quantile, levels] of quantiles.entries()) {
        const others = other.at[index]![quantile]!;
        for (const pair of pairs) if (pair < levels.length) levels[pair] = Math.max(levels[pair]!, others[pair]!);
      }
    }
  }

  /** Who gives a pair's median at most of the anchors. */
  modelOf(pair: number): string {
    const names = this.names.map((of) => of[pair]!);
    return names.reduce((most, name) => (names.filter((each) => each === name).length > names.filter((each) => each === most).length ? name : most), names[0] ?? 'ewma');
  }

  /** The best model of the ranking that gives usable numbers. */
  private async firstGood(ranking: readonly string[], steps: number): Promise<Source> {
    for (const name of [...ranking, 'ewma']) {
      const trained = this.state.models.find(({ model, calibrations }) => model.name === name && calibrations.has(steps));
      if (!trained) continue;
      const forecasts = await this.ask(trained, steps);
      if (forecasts) return { name, forecasts };
    }
    return { name: 'ewma', forecasts: null };
  }

  private async ask(trained: TrainedModel, steps: number): Promise<MatrixForecasts | null> {
    const key = `${trained.model.name} ${steps}`;
    if (!this.asked.has(key)) this.asked.set(key, await this.tryModel(trained, steps));
    return this.asked.get(key)!;
  }

  private async tryModel({ model, calibrations, corrections }: TrainedModel, steps: number): Promise<MatrixForecasts | null> {
    try {
      const forecasts = await this.forecast(model, steps);
      const origins = isReplayed(model) ? this.origins : this.origin;
      const fault = model.name === 'ewma' ? null : findFault(forecasts, this.matrix, origins);
      // A copy: the ensemble asks for what its parts said before it was calibrated.
      if (fault === null) return this.newest(this.correct(applyPairCalibration(cellsOf(forecasts), calibrations.get(steps)!), origins, steps, corrections.get(steps)));
      this.fault(`${model.name} ${fault}`);
    } catch (cause) {
      this.fault(`${model.name} failed: ${messageOf(cause)}`);
    }
    return null;
  }

  /** Goes on from what the back-test taught with what has come since; keeps nothing, so that the same observation gives the same forecast. */
  private correct(forecasts: MatrixForecasts, origins: Int32Array, steps: number, learned: OnlineCorrection | undefined): MatrixForecasts {
    return learned ? correctOnline(forecasts, this.matrix, origins, steps, copyCorrection(learned)) : forecasts;
  }

  /** Of the last origin. */
  private newest(forecasts: MatrixForecasts): MatrixForecasts {
    return cellsOf(forecasts, forecasts.p50.length - this.matrix.pairs.length);
  }

  /** What a model says, before its calibration; asked once for whatever it can give at once. */
  private async forecast(model: MatrixModel, steps: number): Promise<MatrixForecasts> {
    if (model instanceof CombinedModel) {
      // Networks come last and may forecast in another thread: they begin first.
      const said = model.members.toReversed().map((member) => this.forecast(member, steps));
      return model.combine(await Promise.all(said.toReversed()), this.matrix.pairs.length);
    }
    if (!model.forecastHorizons) return model.forecast(this.matrix, this.origin, steps);
    if (!this.all.has(model)) this.all.set(model, model.forecastHorizons(this.matrix, this.origins));
    const forecasts = (await this.all.get(model)!).get(steps);
    if (!forecasts) throw new Error(`knows nothing of ${steps} slots ahead`);
    return forecasts;
  }

  private fault(text: string): void {
    if (!this.faults.includes(text)) this.faults.push(text);
  }
}

/** More forecasts than this are not made again to learn from their misses: 1,000 pairs at 4 distances from one origin. */
const REPLAYED_MAX = 4000;
/** Fewer origins than this teach too little for what they cost. */
const REPLAYED_MIN = 4;

/**
 * The newest slot, and before it those since the end of what was learned, a day at most, from which a forecast is made
 * again to see how it turned out, evenly spread, so few that all of them cost no more than a
 * forecast of 1,000 pairs. A mesh with too many pairs for that has what its training taught.
 */
export function originsSince({ window, anchors }: Pick<TrainedState, 'window' | 'anchors'>, matrix: DemandMatrix): Int32Array {
  const now = matrix.length - 1;
  const learnedUntil = Math.round((window.endAt - matrix.startAt) / matrix.stepMs) - 1;
  const since = Math.max(0, Math.min(now - Math.max(learnedUntil, 0), matrix.slotsPerDay));
  const most = Math.floor(REPLAYED_MAX / Math.max(1, matrix.pairs.length * anchors.length));
  if (since === 0 || most < REPLAYED_MIN) return Int32Array.of(now);
  const every = Math.ceil(since / most);
  const count = Math.floor(since / every);
  return Int32Array.from({ length: count + 1 }, (_, index) => now - (count - index) * every);
}

function isReplayed(model: MatrixModel): boolean {
  return model instanceof CombinedModel ? model.members.every(isReplayed) : model.forecastHorizons !== undefined;
}

/** Days whose mean is the day's shape, and slots on both sides that smooth it. */
const SHAPE_DAYS = 7;
const SHAPE_NEAR = 1;

/** Three quantiles at every step, pair by pair in the same memory. */
class Curves {
  private readonly served: Served;
  private readonly anchors: readonly number[];
  private readonly matrix: DemandMatrix;
  private readonly horizonSlots: number;
  private readonly curves: [Float64Array, Float64Array, Float64Array];
  private readonly shape: Float64Array;
  private readonly atAnchors: Float64Array;
  /** Of each time of day that is asked for, sum and number of the levels that are known; the slots of the last days, and the place that each is of. */
  private readonly times: { sums: Float64Array; counts: Float64Array; slots: Int32Array; places: Int32Array };
  /** Place of each step's time of day and its neighbours'. */
  private readonly placeOf: Int32Array;

  constructor(served: Served, anchors: readonly number[], matrix: DemandMatrix, horizonSlots: number) {
    [this.served, this.anchors, this.matrix, this.horizonSlots] = [served, anchors, matrix, horizonSlots];
    const steps = (): Float64Array => new Float64Array(horizonSlots);
    [this.curves, this.shape, this.atAnchors] = [[steps(), steps(), steps()], steps(), new Float64Array(anchors.length)];
    const { slotsPerDay, length } = matrix;
    const begin = Math.max(0, length - SHAPE_DAYS * slotsPerDay);
    const places = new Map<number, number>();
    const slots: { slot: number; place: number }[] = [];
    this.placeOf = Int32Array.from({ length: horizonSlots + 2 * SHAPE_NEAR }, (_, index) => {
      const coming = length - SHAPE_NEAR + index;
      const phase = phaseOf(matrix, coming);
      const known = places.get(phase);
      if (known !== undefined) return known;
      const place = places.size;
      places.set(phase, place);
      for (let slot = begin + ((coming - begin) % slotsPerDay); slot < length; slot += slotsPerDay) slots.push({ slot, place });
      return place;
    });
    this.times = { sums: new Float64Array(places.size), counts: new Float64Array(places.size), slots: Int32Array.from(slots, ({ slot }) => slot), places: Int32Array.from(slots, ({ place }) => place) };
  }

  /** Good until the next one's. */
  of(pair: number): readonly [Float64Array, Float64Array, Float64Array] {
    const { served, anchors, matrix, horizonSlots, shape, atAnchors, curves } = this;
    const scale = Math.max(1e-6, knownMean(matrix.values[pair]!) || 0);
    this.setShape(matrix.values[pair]!, scale);
    curves.forEach((curve, quantile) => {
      for (let index = 0; index < anchors.length; index++) atAnchors[index] = levelOf(served.at[index]![quantile]![pair]! / scale);
      interpolateSteps(anchors, atAnchors, shape, horizonSlots, curve);
      for (let step = 0; step < horizonSlots; step++) curve[step] = scale * Math.expm1(Math.max(0, curve[step]!));
    });
    return curves;
  }

  /** Mean of log1p(y/scale) over the last days at the time of each coming slot and its neighbours. */
  private setShape(values: Float32Array, scale: number): void {
    const { shape, placeOf, times: { sums, counts, slots, places } } = this;
    sums.fill(0);
    counts.fill(0);
    for (let index = 0; index < slots.length; index++) {
      const value = values[slots[index]!]!;
      if (Number.isNaN(value)) continue;
      sums[places[index]!]! += levelOf(value / scale);
      counts[places[index]!]! += 1;
    }
    for (let step = 0; step < shape.length; step++) {
      let sum = 0;
      let count = 0;
      for (let near = 0; near <= 2 * SHAPE_NEAR; near++) {
        const place = placeOf[step + 1 + near - SHAPE_NEAR]!;
        sum += sums[place]!;
        count += counts[place]!;
      }
      // A time of day that was never seen has no shape to follow: a straight line then.
      if (count === 0) {
        shape.fill(0);
        return;
      }
      shape[step] = sum / count;
    }
  }
}

/** The first pairs of a matrix. */
function headOf(matrix: DemandMatrix, pairs: number): DemandMatrix {
  const covariates = matrix.covariates?.map((each) => ({ ...each, pairs: each.pairs === 'all' ? ('all' as const) : each.pairs.filter((pair) => pair < pairs) }));
  return { ...matrix, pairs: matrix.pairs.slice(0, pairs), values: matrix.values.slice(0, pairs), ...(covariates && { covariates }) };
}

function subsetOf(matrix: DemandMatrix, pairs: readonly number[]): DemandMatrix {
  return matrixOf(pairs.map((pair) => matrix.pairs[pair]!), matrix.startAt, matrix.stepMs, matrix.slotsPerDay, matrix.length, pairs.map((pair) => matrix.values[pair]!));
}
