import { roundTo } from '../../base/index.ts';
import { PATH_METHODS, holdPathContest, type PathContest } from './contest.ts';
import { FEATURES, COLUMN, FeatureWriter } from './features.ts';
import { FIGURES, figureQuantiles, fitFigures, type Figure } from './figure-quantiles.ts';
import { PathPast, UNKNOWN } from './path-past.ts';
import { cutTable, type PathBounds, type PathTable } from './path-table.ts';
import { ProbabilityTally, type ProbabilityScore } from './score.ts';

/** One set of paths that is scored: a recorded past, or a made-up one of one seed. */
export interface PathBenchSet {
  name: string;
  table: PathTable;
  /** By series, what is told apart in the result; null: nothing is. */
  scenarios: readonly string[] | null;
}

export interface PathBenchOptions {
  classes: readonly { classId: string; bounds: PathBounds }[];
  /** Share of the slots that is learned from, 0 < … < 1. */
  testFrom: number;
  horizonMs: number;
  /** Every how many slots a forecast is made. */
  stride: number;
  seed: string;
  /** Forecasts at or above it count as warnings. */
  warnAt: number;
  /** Milliseconds of a clock that never goes back. */
  now: () => number;
  peakMemoryMb: () => number;
  onProgress: (text: string) => void;
}

/** What a forecast is worth beside the ones that cost nothing: 1 − its Brier score / theirs; null where nothing was ever broken. */
export interface Skills {
  climatology: number | null;
  persistence: number | null;
}

/** Violations that began: nothing was broken when the forecast was made. */
export interface OnsetScore {
  count: number;
  baseRate: number;
  brier: number;
  skill: Skills;
  /** Share of them that were warned of, and share of the warnings that were right; null without any. */
  recall: number | null;
  precision: number | null;
}

export interface PathBenchResult {
  schema: 'foremesh/bench-paths/v1';
  paths: number;
  classes: { classId: string; latencyMaxMs: number; jitterMaxMs: number; lossMaxRatio: number }[];
  slotSeconds: number;
  horizonSeconds: number;
  /** Slots of all sets, and forecasts that could be scored. */
  slots: number;
  warnAt: number;
  trainSeconds: number;
  /** One forecast of all paths of a set. */
  predictMs: number;
  peakMemoryMb: number;
  /** By set what was chosen on held-out time before the test, and how it did in it. */
  sets: { name: string; chosen: string; backtestSkill: number; brier: number; skill: Skills; ece: number }[];
  /** Over all sets; `chosen` is what each set chose for itself. */
  methods: Record<string, ProbabilityScore & { skill: Skills }>;
  onset: Record<string, OnsetScore>;
  /** Of what was chosen. */
  scenarios: Record<string, ScenarioScore>;
  byClass: Record<string, ScenarioScore>;
  /** Share of horizons whose worst slot was at or below the quantile. */
  coverage: Record<Figure, { p50: number; p90: number; p95: number }>;
}

export interface ScenarioScore {
  count: number;
  baseRate: number;
  brier: number;
  ece: number;
  skill: Skills;
  onset: OnsetScore;
}

export const CHOSEN = 'chosen';
const METHODS = [CHOSEN, ...PATH_METHODS];
const DIGITS = 5;

/**
 * Learns from the first part of each set and forecasts from every `stride`-th later slot what was to come, by what was
 * known then. Nothing is learned again on the way.
 */
export async function benchPaths(sets: readonly PathBenchSet[], options: PathBenchOptions): Promise<PathBenchResult> {
  const all = new Tallies();
  const scenarios = new Map<string, Tallies>();
  const byClass = new Map<string, Tallies>();
  const held = Object.fromEntries(FIGURES.map((figure) => [figure, { count: 0, p50: 0, p90: 0, p95: 0 }])) as Record<Figure, { count: number; p50: number; p90: number; p95: number }>;
  const results: PathBenchResult['sets'] = [];
  let [trainMs, predictMs, slots] = [0, 0, 0];
  for (const set of sets) {
    const { table } = set;
    const own = new Tallies();
    const horizon = Math.max(1, Math.round(options.horizonMs / table.slotMs));
    const from = Math.max(1, Math.floor(table.length * options.testFrom));
    const bounds = options.classes.map((each) => each.bounds);
    const startedAt = options.now();
    const learned = cutTable(table, from);
    const contest = await holdPathContest(new PathPast({ table: learned, bounds, horizon }), options.seed, () => Promise.resolve());
    const fit = fitFigures(learned, horizon, Math.floor(from * 0.6));
    trainMs += options.now() - startedAt;
    const past = new PathPast({ table, bounds, horizon });
    for (const [index, { classId }] of options.classes.entries()) {
      for (const [path] of table.series.entries()) {
        const targets = [all, own, tallyFor(byClass, classId), ...(set.scenarios ? [tallyFor(scenarios, set.scenarios[path]!)] : [])];
        scorePath(past, contest, index, path, from, options, targets);
      }
    }
    predictMs = Math.max(predictMs, timePrediction(past, contest, table.length - horizon, options));
    for (const series of table.series) countCoverage(table, series, fit, horizon, from, options.stride, held);
    slots += table.length;
    const { brier, ece, skill } = withSkill(own, CHOSEN);
    results.push({ name: set.name, chosen: contest?.champion ?? 'climatology', backtestSkill: roundTo(contest?.skill ?? 0, DIGITS), brier, skill, ece });
    options.onProgress(`${set.name}: ${results.at(-1)!.chosen}, Brier ${brier}, better than climatology by ${percent(skill.climatology)}, than persistence by ${percent(skill.persistence)}`);
  }
  return {
    schema: 'foremesh/bench-paths/v1',
    paths: sets.reduce((sum, { table }) => sum + table.series.length, 0),
    classes: options.classes.map(({ classId, bounds }) => ({ classId, ...bounds })),
    slotSeconds: (sets[0]?.table.slotMs ?? 0) / 1000,
    horizonSeconds: options.horizonMs / 1000,
    slots,
    warnAt: options.warnAt,
    trainSeconds: roundTo(trainMs / 1000, 2),
    predictMs: roundTo(predictMs, 1),
    peakMemoryMb: options.peakMemoryMb(),
    sets: results,
    methods: Object.fromEntries(METHODS.map((name) => [name, withSkill(all, name)])),
    onset: Object.fromEntries(METHODS.map((name) => [name, onsetOf(all, name)])),
    scenarios: Object.fromEntries([...scenarios].map(([name, tallies]) => [name, summary(tallies)])),
    byClass: Object.fromEntries([...byClass].map(([name, tallies]) => [name, summary(tallies)])),
    coverage: Object.fromEntries(FIGURES.map((figure) => [figure, shares(held[figure])])) as PathBenchResult['coverage'],
  };
}

/** What each method said, of everything and of what began. */
class Tallies {
  readonly whole = new Map(METHODS.map((name) => [name, new ProbabilityTally()]));
  readonly onset = new Map(METHODS.map((name) => [name, new ProbabilityTally()]));
  readonly warnings = new Map(METHODS.map((name) => [name, { right: 0, wrong: 0, missed: 0 }]));
}

function tallyFor(map: Map<string, Tallies>, name: string): Tallies {
  const known = map.get(name) ?? new Tallies();
  map.set(name, known);
  return known;
}

function scorePath(past: PathPast, contest: PathContest | null, bounds: number, path: number, from: number, { stride, warnAt }: PathBenchOptions, targets: readonly Tallies[]): void {
  const labels = past.labels[bounds]![path]!;
  const origins: number[] = [];
  for (let slot = from; slot < past.task.table.length; slot += stride) if (labels[slot] !== UNKNOWN) origins.push(slot);
  if (origins.length === 0) return;
  const inputs = inputsAt(past, bounds, path, origins);
  const climatology = Float64Array.from(inputs.columns[COLUMN.rate]!, (value) => 1 / (1 + Math.exp(-value)));
  const said = new Map(METHODS.map((name) => [name, contest ? contest.predict(inputs, name === CHOSEN ? contest.champion : name) : climatology]));
  for (const [row, slot] of origins.entries()) {
    const isEvent = labels[slot] === 1;
    const isOnset = inputs.columns[COLUMN.brokenNow]![row] === 0;
    for (const [name, probabilities] of said) {
      for (const tallies of targets) {
        tallies.whole.get(name)!.add(probabilities[row]!, isEvent);
        if (!isOnset) continue;
        tallies.onset.get(name)!.add(probabilities[row]!, isEvent);
        const warnings = tallies.warnings.get(name)!;
        if (probabilities[row]! >= warnAt) warnings[isEvent ? 'right' : 'wrong']++;
        else if (isEvent) warnings.missed++;
      }
    }
  }
}

function inputsAt(past: PathPast, bounds: number, path: number, origins: readonly number[]): { rows: number; columns: Float32Array[] } {
  const writer = new FeatureWriter(past);
  writer.select(bounds, path, origins[0]!);
  const columns = FEATURES.map(() => new Float32Array(origins.length));
  for (const [row, slot] of origins.entries()) writer.write(slot, columns, row);
  return { rows: origins.length, columns };
}

function timePrediction(past: PathPast, contest: PathContest | null, slot: number, { now }: PathBenchOptions): number {
  const { bounds, table } = past.task;
  const startedAt = now();
  const writer = new FeatureWriter(past);
  const columns = FEATURES.map(() => new Float32Array(bounds.length * table.series.length));
  for (const index of bounds.keys()) {
    for (const path of table.series.keys()) {
      writer.select(index, path, slot);
      writer.write(slot, columns, index * table.series.length + path);
    }
  }
  contest?.predict({ rows: columns[0]!.length, columns });
  return now() - startedAt;
}

function countCoverage(table: PathTable, series: PathTable['series'][number], fit: ReturnType<typeof fitFigures>, horizon: number, from: number, stride: number, held: Record<Figure, { count: number; p50: number; p90: number; p95: number }>): void {
  for (const figure of FIGURES) {
    for (let slot = from; slot + horizon <= table.length; slot += 6 * stride) {
      const worst = series[figure].subarray(slot, slot + horizon).reduce((most, value) => (value > most || Number.isNaN(most) ? value : most), Number.NaN);
      const quantiles = Number.isNaN(worst) ? null : figureQuantiles(table, fit, series, figure, horizon, slot);
      if (!quantiles) continue;
      held[figure].count++;
      for (const name of ['p50', 'p90', 'p95'] as const) if (worst <= quantiles[name]) held[figure][name]++;
    }
  }
}

function summary(tallies: Tallies): ScenarioScore {
  const { count, baseRate, brier, ece, skill } = withSkill(tallies, CHOSEN);
  return { count, baseRate, brier, ece, skill, onset: onsetOf(tallies, CHOSEN) };
}

function withSkill({ whole }: Tallies, name: string): ProbabilityScore & { skill: Skills } {
  const { reliability, ...score } = whole.get(name)!.score();
  const rounded = Object.fromEntries(Object.entries(score).map(([key, value]) => [key, roundTo(value, DIGITS)])) as typeof score;
  const bins = reliability.map((bin) => ({ ...bin, forecast: bin.forecast === null ? null : roundTo(bin.forecast, DIGITS), observed: bin.observed === null ? null : roundTo(bin.observed, DIGITS) }));
  return { ...rounded, reliability: bins, skill: skillsOf(whole, score.brier) };
}

function onsetOf({ onset, warnings }: Tallies, name: string): OnsetScore {
  const { count, baseRate, brier } = onset.get(name)!.score();
  const { right, wrong, missed } = warnings.get(name)!;
  return {
    count,
    baseRate: roundTo(baseRate, DIGITS),
    brier: roundTo(brier, DIGITS),
    skill: skillsOf(onset, brier),
    recall: right + missed === 0 ? null : roundTo(right / (right + missed), DIGITS),
    precision: right + wrong === 0 ? null : roundTo(right / (right + wrong), DIGITS),
  };
}

function skillsOf(tallies: ReadonlyMap<string, ProbabilityTally>, brier: number): Skills {
  const beside = (name: string): number | null => {
    const theirs = tallies.get(name)!.score();
    return theirs.baseRate > 0 && theirs.brier > 0 ? roundTo(1 - brier / theirs.brier, DIGITS) : null;
  };
  return { climatology: beside('climatology'), persistence: beside('persistence') };
}

function shares({ count, p50, p90, p95 }: { count: number; p50: number; p90: number; p95: number }): { p50: number; p90: number; p95: number } {
  const share = (held: number): number => roundTo(held / Math.max(1, count), DIGITS);
  return { p50: share(p50), p90: share(p90), p95: share(p95) };
}

function percent(share: number | null): string {
  return share === null ? 'nothing to beat' : `${(100 * share).toFixed(1)} %`;
}
