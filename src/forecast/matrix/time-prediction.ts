import type { DemandSeries, ForecastSettings, Observation, PairGroup } from '../../model/index.ts';
import type { Champion } from '../contest.ts';
import { demandOfName, tailOf } from '../demand-series.ts';
import { forecastSlots } from '../forecast-slots.ts';
import { DAYS_MAX, joinObservation } from '../join-observation.ts';
import type { TrainedModel, TrainedState } from '../train-models.ts';
import type { Covariate, DemandMatrix } from './demand-matrix.ts';
import { CombinedModel } from './combined-model.ts';
import type { MatrixModel } from './matrix-model.ts';
import { noCorrection } from './online-calibration.ts';

/** How long one forecast takes, ms; medians of several after some that do not count. */
export interface PredictionTime {
  wallMs: number;
  /** Of all cores. */
  cpuMs: number;
  /** The wall time of the first one, for which what history expects is found and code is compiled. */
  firstMs: number;
}

export interface PredictionTask {
  /** Every model that was fitted, an ensemble's parts within it. */
  models: readonly MatrixModel[];
  /** Who serves each kind of pairs. */
  champions: ReadonlyMap<PairGroup, string>;
  matrix: DemandMatrix;
  /** Kind of each of its pairs. */
  groups: readonly PairGroup[];
  /** Slots ahead for which the models were fitted, ascending. */
  steps: readonly number[];
  seed: string;
  /** Milliseconds of a clock that never goes back, and of processor time. */
  now: () => number;
  cpu: () => number;
}

const PAIRS = 1000;
const DISTANCES = 4;
const CALLS = { before: 3, measured: 7 };

/**
 * Measures the forecast of 1,000 pairs at four distances, three quantiles each, as the engine makes it: what is observed of the
 * last week is joined to ten days of history, the champions of each kind are asked, calibrated and put together. The
 * pairs are those between all of 33 nodes, with the demands of the matrix over and over; models are of the size of those that
 * were fitted, for four distances. Nothing is kept from one to the next but what the engine keeps, too: what history expects of a day.
 * Only the time is of interest: what they say is not.
 */
export async function timePrediction({ models, champions, matrix, groups, steps, seed, now, cpu }: PredictionTask): Promise<PredictionTime> {
  const history = tiled(tailOf(matrix, DAYS_MAX * matrix.slotsPerDay), PAIRS);
  const anchors = distancesOf(steps);
  const settings: ForecastSettings = { slotMs: matrix.stepMs, slotsPerDay: matrix.slotsPerDay, horizonSlots: anchors.at(-1)!, provision: 'p95' };
  const state: TrainedState = {
    settings,
    seed,
    window: { endAt: history.startAt + history.length * history.stepMs, slots: history.length },
    history,
    groups: history.pairs.map((_, pair) => groups[pair % groups.length]!),
    covariates: [],
    anchors,
    models: await sized(models, champions, history, anchors),
    champions: [...champions].flatMap(([group, name]) => anchors.map((distance): Champion => ({ group, steps: distance, ranking: [name], wape: null, rival: null, why: '' }))),
    backtest: [],
  };
  const observation = observationOf(history);
  const times: { wallMs: number; cpuMs: number }[] = [];
  for (let call = 0; call < CALLS.before + CALLS.measured; call++) {
    const [wallBefore, cpuBefore] = [now(), cpu()];
    const joined = joinObservation(history, observation, settings);
    if (history.covariates) joined.matrix.covariates = history.covariates;
    const { faults, slots } = await forecastSlots(state, joined, settings, observation);
    if (faults.length > 0 || slots.length !== PAIRS) throw new Error(`a forecast of ${PAIRS} pairs failed: ${faults.join('; ')}`);
    times.push({ wallMs: now() - wallBefore, cpuMs: cpu() - cpuBefore });
  }
  for (const { model } of state.models) await model.close?.();
  const measured = times.slice(CALLS.before);
  return { wallMs: median(measured.map(({ wallMs }) => wallMs)), cpuMs: median(measured.map(({ cpuMs }) => cpuMs)), firstMs: times[0]!.wallMs };
}

/** The first four, or those that there are and multiples of the last. */
function distancesOf(steps: readonly number[]): number[] {
  const last = steps.at(-1)!;
  return [...steps, 2 * last, 3 * last, 4 * last].slice(0, DISTANCES);
}

/** What serves anybody, with its parts, for these pairs and distances. */
async function sized(models: readonly MatrixModel[], champions: ReadonlyMap<PairGroup, string>, history: DemandMatrix, anchors: readonly number[]): Promise<TrainedModel[]> {
  const names = new Set(champions.values());
  const made = new Map<MatrixModel, MatrixModel>();
  const make = async (model: MatrixModel): Promise<MatrixModel> => {
    const known = made.get(model);
    if (known) return known;
    const other = model instanceof CombinedModel ? model.withMembers(await Promise.all(model.members.map(make))) : await model.resized!(history, anchors);
    made.set(model, other);
    return other;
  };
  const all = models.flatMap((model) => (model instanceof CombinedModel ? [...model.members, model] : [model]));
  const pairs = history.pairs.length;
  const units = new Float32Array(pairs).fill(1);
  const taken: TrainedModel[] = [];
  for (const fitted of all.filter(({ name }) => names.has(name))) {
    const model = await make(fitted);
    const isLearned = model.name === 'ensemble' || model.forecastHorizons !== undefined;
    taken.push({
      model,
      isBaseline: !isLearned,
      goesOn: false,
      calibrations: new Map(anchors.map((steps) => [steps, { p90: new Float64Array(pairs), p95: new Float64Array(pairs), units }])),
      corrections: new Map(isLearned ? anchors.map((steps) => [steps, noCorrection(pairs)] as const) : []),
      beforeTest: null,
    });
  }
  return taken;
}

/** So many pairs between all of a few nodes, with what is known of the matrix's pairs over and over. */
function tiled(matrix: DemandMatrix, count: number): DemandMatrix {
  const own = matrix.pairs.length;
  const nodes = [...Array(Math.ceil(Math.sqrt(count)) + 1).keys()];
  const pairs = nodes.flatMap((from) => nodes.filter((to) => to !== from).map((to) => `n${from}>n${to}#all`)).slice(0, count);
  const covariates = matrix.covariates?.map((each): Covariate => (each.pairs === 'all' ? each : { ...each, pairs: each.pairs.flatMap((pair) => Array.from({ length: Math.ceil(count / own) }, (_, copy) => pair + copy * own)).filter((pair) => pair < count) }));
  return { ...matrix, pairs, values: pairs.map((_, place) => matrix.values[place % own]!), ...(covariates && { covariates }) };
}

/** What telemetry would have told of the last week. */
function observationOf(history: DemandMatrix): Observation {
  const endAt = history.startAt + history.length * history.stepMs;
  const demands = history.pairs.map((name, pair): DemandSeries => ({ ...demandOfName(name), mbps: Array.from(history.values[pair]!.subarray(Math.max(0, history.length - 7 * history.slotsPerDay)), (value) => (Number.isNaN(value) ? null : value)) }));
  return { observedAt: endAt, slotMs: history.stepMs, lastSlotEndAt: endAt, demands, paths: [], tunnels: [], nodes: [] };
}

function median(values: readonly number[]): number {
  const sorted = values.toSorted((left, right) => left - right);
  return sorted[Math.floor(sorted.length / 2)] ?? 0;
}
