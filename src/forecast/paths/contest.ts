import { createRng } from '../../base/index.ts';
import type { PathBacktest } from '../../model/index.ts';
import { BrokenNow, Climatology, Persistence } from './baselines.ts';
import { BoostedTrees } from './boosted-trees.ts';
import { DayShape } from './day-shape.ts';
import { logistic, logit } from './features.ts';
import { gatherRows } from './gather-rows.ts';
import { fitRising, readCurve, type RisingCurve } from './isotonic.ts';
import { LogisticModel } from './logistic-model.ts';
import { countRows, type Inputs, type LabelledRows, type PathModel } from './path-model.ts';
import type { PathPast } from './path-past.ts';
import { ProbabilityTally } from './score.ts';

/** Methods fitted, calibrated and compared; probabilities by method. */
export interface PathContest {
  /** Least Brier score on held-out time. */
  champion: string;
  /** 1 − its Brier score / the least of the baselines; 0 when a baseline won. */
  skill: number;
  /** Best first. */
  backtest: PathBacktest[];
  /** Rows that were learned from, and those of them in which a bound was broken. */
  learned: { rows: number; events: number };
  predict(inputs: Inputs, method?: string): Float64Array;
}

/** All methods, baselines first; `blend` is the mean of the challengers' logits. */
export const PATH_METHODS: readonly string[] = ['climatology', 'persistence', 'broken-now', 'day-shape', 'logistic', 'boosted', 'blend'];
const BLEND = 'blend';

/** Slots that a contest needs at least, in days; and broken horizons in what is learned from. */
const DAYS_MIN = 1.5;
const EVENTS_MIN = 20;
/** Bounds time and memory of learning: 40,000 rows come to 26 columns × 160 kB. */
const CANDIDATES_MAX = 60_000;
const SHARES = { fitted: 0.6, calibrated: 0.8 };

interface Fitted {
  model: PathModel;
  curve: RisingCurve | null;
}

/**
 * Fits every method on the first six tenths of the past, calibrates it on the next two and compares all on the last two;
 * then fits and calibrates them again, each two tenths later, to be used. Horizons that reach into the next part are left out.
 * @returns null when there is too little past, or too little happened in it
 */
export async function holdPathContest(past: PathPast, seed: string, pause: () => Promise<void>): Promise<PathContest | null> {
  const { table, horizon } = past.task;
  const { length, slotsPerDay } = table;
  if (length < DAYS_MIN * slotsPerDay || length < 10 * horizon || table.series.length === 0) return null;
  const warm = Math.round(Math.min(slotsPerDay, length / 5));
  const [one, two] = [Math.floor(length * SHARES.fitted), Math.floor(length * SHARES.calibrated)];
  const part = (from: number, until: number): Promise<LabelledRows> => gatherRows(past, from, until - horizon + 1, CANDIDATES_MAX, pause);
  const [first, second, third] = [await part(warm, one), await part(one, two), await part(two, length)];
  const { events } = countRows(first, () => true);
  if (events < EVENTS_MIN || countRows(third, () => true).events === 0) return null;
  const trial = await fitAll(first, second, seed, pause);
  const backtest = PATH_METHODS.map((model) => ({ model, ...scoreOf(predictAll(trial, third, model), third) })).sort((left, right) => left.brier - right.brier);
  const brierOf = (name: string): number => backtest.find(({ model }) => model === name)!.brier;
  const baseline = Math.min(...trial.filter(({ model }) => model.isBaseline).map(({ model }) => brierOf(model.name)));
  const champion = backtest[0]!;
  const whole = await part(warm, two);
  const used = await fitAll(whole, third, seed, pause);
  return {
    champion: champion.model,
    skill: Math.max(0, 1 - champion.brier / baseline),
    backtest,
    learned: { rows: whole.rows, events: countRows({ ...whole, weights: new Float32Array(whole.rows).fill(1) }, () => true).events },
    predict: (inputs, method = champion.model) => predictAll(used, inputs, method),
  };
}

async function fitAll(rows: LabelledRows, held: LabelledRows, seed: string, pause: () => Promise<void>): Promise<Fitted[]> {
  const fitted: Fitted[] = [];
  for (const model of [new Climatology(), new Persistence(), new BrokenNow(), new DayShape(), new LogisticModel(), new BoostedTrees()]) {
    await model.fit(rows, createRng(seed).fork(model.name), pause);
    fitted.push({ model, curve: model.isBaseline ? null : calibration(model.predict(held), held) });
    await pause();
  }
  return fitted;
}

function calibration(probabilities: Float64Array, { labels, weights }: LabelledRows): RisingCurve {
  return fitRising(probabilities.map(logit), labels, weights, probabilities);
}

function predictAll(fitted: readonly Fitted[], inputs: Inputs, method: string): Float64Array {
  if (method !== BLEND) return predictOne(fitted.find(({ model }) => model.name === method)!, inputs);
  const parts = fitted.filter(({ model }) => !model.isBaseline).map((each) => predictOne(each, inputs));
  return Float64Array.from({ length: inputs.rows }, (_, row) => logistic(parts.reduce((sum, part) => sum + logit(part[row]!), 0) / parts.length));
}

function predictOne({ model, curve }: Fitted, inputs: Inputs): Float64Array {
  const raw = model.predict(inputs);
  return curve === null ? raw : raw.map((probability) => readCurve(curve, logit(probability)));
}

function scoreOf(probabilities: Float64Array, { rows, labels, weights }: LabelledRows): { brier: number; logLoss: number } {
  const tally = new ProbabilityTally();
  for (let row = 0; row < rows; row++) tally.add(probabilities[row]!, labels[row] === 1, weights[row]);
  const { brier, logLoss } = tally.score();
  return { brier, logLoss };
}
