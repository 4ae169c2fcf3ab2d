import { createRng, type Rng } from '../../base/index.ts';
import { classId, type SiteId } from '../../model/index.ts';
import { knownMean, type DemandMatrix } from '../matrix/demand-matrix.ts';
import { createAnomalyDetector } from './detector.ts';
import { DAYS_PER_ALARM, type AnomalySettings } from './settings.ts';
import { foundFanOut, foundNewPair, tryChanges, type Outcome } from './inject.ts';

export interface AnomalyBenchOptions {
  /** Share of the slots that is only learned from, 0 < … < 1. */
  testFrom: number;
  /** Days of one pair in which one false alarm is allowed. */
  daysPerAlarm?: number;
  /** Of each kind, about. */
  trials: number;
  seed: string;
  onProgress: (text: string) => void;
}

/** How many of the made-up events were told while they went on, and how soon. */
export interface DetectionScore {
  trials: number;
  found: number;
  /** Found of trials; null without any. */
  share: number | null;
  /** Median from its begin until it was told; null when none was. */
  delayMinutes: number | null;
}

export interface AnomalyBenchResult {
  schema: 'foremesh/bench-anomalies/v1';
  pairs: number;
  sites: number;
  slots: number;
  stepSeconds: number;
  testDays: number;
  /** Events told on the data as it is, whether or not something really happened. */
  alarms: {
    pairDays: number;
    perHundredPairDays: Record<'surge' | 'drop' | 'newPair' | 'all', number>;
    siteDays: number;
    perHundredSiteDays: Record<'surge' | 'drop' | 'fanOut' | 'all', number>;
  };
  /** The heaviest pairs that carry 95 % of everything, and how many of them are steady enough for a surge of three times to be beyond their own bound. */
  nonTiny: { pairs: number; steady: number };
  /** Events of an hour. `all`: any pair; `steady`: non-tiny ones whose bound is below three times. */
  detection: Record<string, Partial<Record<'all' | 'nonTiny' | 'steady', DetectionScore>>>;
  /** By change and by how long it lasts (minutes of a day of 24 hours): the share told while it went on. */
  byDuration: Record<string, { minutes: number; all: number | null; nonTiny: number | null; steady: number | null }[]>;
}

const DURATIONS_MINUTES = [15, 30, 60, 120];

const NON_TINY_SHARE = 0.95;
/** What is added is looked for in so many cells at most; of larger tables every n-th pair is watched. */
const CELLS_MAX = 12_000_000;
/** Of the mean pair: below it nothing is told. */
const MIN_SHARE = 0.001;
const CLASS = classId('all');

/** Watches a table as the engine would, counts what it tells of it as it is, and how much it finds of what is added to it. */
export function benchAnomalies(whole: DemandMatrix, options: AnomalyBenchOptions): AnomalyBenchResult {
  const matrix = thinned(whole);
  const means = matrix.values.map((values) => knownMean(values) || 0);
  const mean = means.reduce((sum, value) => sum + value, 0) / means.length;
  const settings: AnomalySettings = { slotMs: matrix.stepMs, slotsPerDay: matrix.slotsPerDay, daysPerAlarm: options.daysPerAlarm ?? DAYS_PER_ALARM, minMbps: mean * MIN_SHARE };
  const testFrom = Math.floor(matrix.length * options.testFrom);
  const testDays = (matrix.length - testFrom) / matrix.slotsPerDay;
  const ends = matrix.pairs.map(endsOf);
  const sites = [...new Set(ends.map(({ from }) => from))];
  const counts = countAlarms(matrix, ends, settings, testFrom);
  options.onProgress(`${[...counts.values()].reduce((sum, count) => sum + count, 0)} events on the data as it is`);
  const per = (days: number, ...kinds: string[]): number => (100 * kinds.reduce((sum, kind) => sum + (counts.get(kind) ?? 0), 0)) / Math.max(days, 1e-9);
  const [pairDays, siteDays] = [matrix.pairs.length * testDays, sites.length * testDays];
  const nonTiny = heaviest(means);
  const { outcomes, steady } = inject(matrix, settings, testFrom, nonTiny, options);
  return {
    schema: 'foremesh/bench-anomalies/v1',
    pairs: matrix.pairs.length,
    sites: sites.length,
    slots: matrix.length,
    stepSeconds: matrix.stepMs / 1000,
    testDays,
    alarms: {
      pairDays,
      perHundredPairDays: { surge: per(pairDays, 'pair surge'), drop: per(pairDays, 'pair drop'), newPair: per(pairDays, 'pair new-pair'), all: per(pairDays, 'pair surge', 'pair drop', 'pair new-pair') },
      siteDays,
      perHundredSiteDays: { surge: per(siteDays, 'site surge'), drop: per(siteDays, 'site drop'), fanOut: per(siteDays, 'site fan-out'), all: per(siteDays, 'site surge', 'site drop', 'site fan-out') },
    },
    nonTiny: { pairs: nonTiny.size, steady: steady.size },
    detection: scoresOf(outcomes, { nonTiny, steady }, matrix),
    byDuration: byDuration(outcomes, { nonTiny, steady }, matrix),
  };
}

function countAlarms(matrix: DemandMatrix, ends: readonly Ends[], settings: AnomalySettings, testFrom: number): Map<string, number> {
  const detector = createAnomalyDetector(settings);
  const told = new Set<string>();
  const counts = new Map<string, number>();
  for (let slot = 0; slot < matrix.length; slot++) {
    detector.step({
      startAt: slot * settings.slotMs,
      demands: ends.map((end, pair) => ({ ...end, classId: CLASS, mbps: orNull(matrix.values[pair]![slot]!) })),
    });
    if (slot < testFrom) continue;
    for (const { id, kind, to, lastAt } of detector.anomalies()) {
      if (lastAt !== (slot + 1) * settings.slotMs || told.has(id)) continue;
      told.add(id);
      const name = `${to === null ? 'site' : 'pair'} ${kind}`;
      counts.set(name, (counts.get(name) ?? 0) + 1);
    }
  }
  return counts;
}

function inject(matrix: DemandMatrix, settings: AnomalySettings, testFrom: number, nonTiny: ReadonlySet<number>, { trials, seed, onProgress }: AnomalyBenchOptions): { outcomes: Outcome[]; steady: Set<number> } {
  const rng = createRng(`${seed}/anomalies`);
  const hourSlots = Math.max(2, Math.round(matrix.slotsPerDay / 24));
  const outcomes: Outcome[] = [];
  const steady = new Set<number>();
  const perPair = Math.max(1, Math.ceil(trials / matrix.pairs.length));
  for (let pair = 0; pair < matrix.pairs.length; pair++) {
    const moments = momentsOf(rng, testFrom, matrix.length - 2 * hourSlots, perPair);
    const { found, surgeFactorMin } = tryChanges(matrix, pair, settings, moments, 2 * hourSlots);
    outcomes.push(...found);
    if (nonTiny.has(pair) && surgeFactorMin <= STEADY_FACTOR) steady.add(pair);
    if (nonTiny.has(pair)) outcomes.push(foundNewPair(matrix, pair, settings, hourSlots));
  }
  onProgress(`${outcomes.length} made-up changes of single pairs`);
  const sites = [...new Set(matrix.pairs.map((name) => endsOf(name).from))];
  const ofSite = Math.max(1, Math.ceil(trials / 10 / sites.length));
  for (const site of sites) for (const moment of momentsOf(rng, testFrom, matrix.length - hourSlots, ofSite)) outcomes.push(...foundFanOut(matrix, matrix.pairs.flatMap((name, pair) => (endsOf(name).from === site ? [pair] : [])), settings, moment, hourSlots));
  return { outcomes, steady };
}

const STEADY_FACTOR = 3;

function momentsOf(rng: Rng, from: number, until: number, count: number): number[] {
  if (until <= from) return [];
  return Array.from({ length: count }, () => from + rng.integer(until - from)).sort((left, right) => left - right);
}

interface PairKinds {
  nonTiny: ReadonlySet<number>;
  steady: ReadonlySet<number>;
}

function scoresOf(outcomes: readonly Outcome[], { nonTiny, steady }: PairKinds, { stepMs, slotsPerDay }: DemandMatrix): AnomalyBenchResult['detection'] {
  const most = slotsOf(60, slotsPerDay);
  const within = outcomes.map((outcome) => ({ ...outcome, foundAfterSlots: outcome.foundAfterSlots !== null && outcome.foundAfterSlots > most ? null : outcome.foundAfterSlots }));
  const names = [...new Set(within.map(({ name }) => name))];
  return Object.fromEntries(
    names.map((name) => {
      const of = within.filter((outcome) => outcome.name === name);
      if (of.every(({ pair }) => pair === null)) return [name, { all: scoreOf(of, stepMs) }];
      return [name, { all: scoreOf(of, stepMs), nonTiny: scoreOf(of.filter(({ pair }) => nonTiny.has(pair!)), stepMs), steady: scoreOf(of.filter(({ pair }) => steady.has(pair!)), stepMs) }];
    }),
  );
}

function byDuration(outcomes: readonly Outcome[], { nonTiny, steady }: PairKinds, { slotsPerDay }: DemandMatrix): AnomalyBenchResult['byDuration'] {
  const changes = outcomes.filter(({ name }) => /^(surge|drop)/.test(name));
  const shareOf = (of: readonly Outcome[], slots: number): number | null => (of.length === 0 ? null : of.filter(({ foundAfterSlots }) => foundAfterSlots !== null && foundAfterSlots <= slots).length / of.length);
  return Object.fromEntries(
    [...new Set(changes.map(({ name }) => name))].map((name) => {
      const of = changes.filter((outcome) => outcome.name === name);
      const [heavy, calm] = [of.filter(({ pair }) => nonTiny.has(pair!)), of.filter(({ pair }) => steady.has(pair!))];
      return [name, DURATIONS_MINUTES.map((minutes) => {
        const slots = slotsOf(minutes, slotsPerDay);
        return { minutes, all: shareOf(of, slots), nonTiny: shareOf(heavy, slots), steady: shareOf(calm, slots) };
      })];
    }),
  );
}

function slotsOf(minutes: number, slotsPerDay: number): number {
  return Math.max(minutes >= 60 ? 2 : 1, Math.round((minutes * slotsPerDay) / 1440));
}

function scoreOf(outcomes: readonly Outcome[], stepMs: number): DetectionScore {
  const delays = outcomes.flatMap(({ foundAfterSlots }) => foundAfterSlots ?? []).sort((left, right) => left - right);
  const median = delays[delays.length >> 1];
  return { trials: outcomes.length, found: delays.length, share: outcomes.length > 0 ? delays.length / outcomes.length : null, delayMinutes: median === undefined ? null : (median * stepMs) / 60_000 };
}

/** Indexes of the heaviest pairs that together carry 95 %. */
function heaviest(means: readonly number[]): Set<number> {
  const total = means.reduce((sum, value) => sum + value, 0);
  const chosen = new Set<number>();
  let carried = 0;
  for (const index of [...means.keys()].sort((left, right) => means[right]! - means[left]!)) {
    if (carried >= NON_TINY_SHARE * total) break;
    chosen.add(index);
    carried += means[index]!;
  }
  return chosen;
}

interface Ends {
  from: SiteId;
  to: SiteId;
}

/** Names are the table's own: they need not be those of sites. */
function endsOf(pair: string): Ends {
  const [from = '', to = ''] = pair.split('>');
  return { from: from as SiteId, to: to as SiteId };
}

function orNull(value: number): number | null {
  return Number.isNaN(value) ? null : value;
}

function thinned(matrix: DemandMatrix): DemandMatrix {
  const every = Math.ceil((matrix.pairs.length * matrix.length) / CELLS_MAX);
  if (every <= 1) return matrix;
  const isKept = (_: unknown, index: number): boolean => index % every === 0;
  return { ...matrix, pairs: matrix.pairs.filter(isKept), values: matrix.values.filter(isKept) };
}

