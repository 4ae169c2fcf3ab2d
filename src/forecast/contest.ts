import { compareText, roundTo } from '../base/index.ts';
import type { BacktestScore, PairGroup, ServingModel } from '../model/index.ts';

/** What one model lost on the pairs of one kind, one distance ahead, on slots that it had not seen: sums, so that they can be added up. */
export interface Evidence {
  model: string;
  /** A rule of thumb rather than something that learned a lot: it stays in use unless it is clearly beaten. */
  isBaseline: boolean;
  group: PairGroup;
  /** Slots ahead. */
  steps: number;
  /** Length of the back-test in such distances: misses closer together say the same. */
  looks: number;
  cells: number;
  /** Σy. */
  demand: number;
  /** Cells with y ≤ p95. */
  covered: number;
  /** Σ of the pinball losses' mean over p50, p90 and p95. */
  pinball: number;
  /** Σ|y − p50|, which decides who gives the median. */
  median: Losses;
  /** Σ pinball loss of p95, which decides who gives the upper quantiles. */
  upper: Losses;
}

/** A sum, and what it is made of, alike for all models: equal parts of the time, and pairs. */
export interface Losses {
  total: number;
  byBlock: number[];
  byPair: number[];
}

/** The order in which models are asked for one kind of pairs and distance: the champions, then who stands in when they fail. */
export interface Champion {
  group: PairGroup;
  steps: number;
  /** For the median, best first; never empty. */
  ranking: string[];
  /** For p90 and p95, likewise; absent in what was trained before medians and upper quantiles were chosen apart: as `ranking`. */
  upperRanking?: string[];
  wape: number | null;
  rival: { model: string; wape: number } | null;
  why: string;
}

/** What is taken instead of the safe choice must be better by this much: less is chance. */
const GAIN_MIN = 0.01;
/** And by so many standard errors of the gain. */
const ERRORS_MIN = 1.5;
/** A back-test shorter than so many distances has seen one evening or one morning: pairs must agree as well, not only times. */
const LOOKS_MIN = 10;
/** From so many distances on a tie between what learned and `rules` goes to what learned: what serves has learned from more than what was judged. */
const LOOKS_MANY = 300;
/** With fewer cells than this a kind of pairs follows the contest of all pairs. */
const CELLS_MIN = 100;
/** The median of all rules of thumb, which leads while nothing is clearly better. */
const SAFE = 'rules';
/** The mean of what learned: taken while no part of it is clearly better. */
const MEAN = 'ensemble';

/** Kinds of pairs that are judged in the engine; new ones have no past to be judged on. */
export const JUDGED_GROUPS = ['heavy', 'middle', 'sparse'] as const satisfies PairGroup[];
export const PAIR_GROUPS = [...JUDGED_GROUPS, 'new'] as const satisfies PairGroup[];

/**
 * Chooses for each kind of pairs and distance who gives the median and who the upper quantiles; `foremesh bench forecast`
 * and the engine's training both take its answer. In this order: `rules` stay unless one rule of thumb is clearly better;
 * what learned must be better than `rules` (in a back-test of 300 distances: not worse by more than the standard error of the difference)
 * and by 1 % better than the best single rule, in a back-test of less than ten distances clearly better than both; and of what learned the ensemble stays unless a part of it is better by more than the standard
 * error of the difference. Clearly: by 1 % and by one and a half standard errors, over equal parts of the time and, in such a short
 * back-test, over pairs too. A kind with few cells takes what is best for all pairs. Does not depend on the order of the
 * evidence.
 */
export function chooseChampions(evidence: readonly Evidence[]): Champion[] {
  const distances = [...new Set(evidence.map(({ steps }) => steps))].sort((left, right) => left - right);
  return distances.flatMap((steps) => {
    const here = evidence.filter((each) => each.steps === steps);
    const all = pool(here);
    return PAIR_GROUPS.filter((group) => group !== 'new' || here.some((each) => each.group === group)).map((group): Champion => {
      const own = pool(here.filter((each) => each.group === group));
      const isOwn = (own[0]?.cells ?? 0) >= CELLS_MIN;
      return championOf(group, steps, isOwn ? own : all, isOwn);
    });
  });
}

/** Each model over everything, best first. */
export function overallScores(evidence: readonly Evidence[]): BacktestScore[] {
  const sums = distinct(evidence.map(({ model }) => model)).map((model) => {
    const own = sorted(evidence.filter((each) => each.model === model));
    const sum = (of: (each: Evidence) => number): number => own.reduce((total, each) => total + of(each), 0);
    const isBaseline = own[0]!.isBaseline;
    return { model, isBaseline, cells: sum(({ cells }) => cells), demand: sum(({ demand }) => demand), covered: sum(({ covered }) => covered), pinball: sum(({ pinball }) => pinball), error: sum(({ median }) => median.total) };
  });
  return sums
    .toSorted((left, right) => left.pinball - right.pinball || Number(right.isBaseline) - Number(left.isBaseline) || compareText(left.model, right.model))
    .map(({ model, error, demand, pinball, covered, cells }) => ({ model, wape: shareOf(error, demand), pinball: shareOf(pinball, demand), coverageP95: shareOf(covered, cells) }));
}

/** The champions in the words of a report: neighbouring distances with the same models are one entry. */
export function servingModels(champions: readonly Champion[], pairs: Readonly<Record<PairGroup, number>>): ServingModel[] {
  const entries: ServingModel[] = [];
  for (const group of JUDGED_GROUPS.filter((each) => pairs[each] > 0)) {
    let from = 1;
    for (const { steps, ranking, upperRanking, wape, rival, why } of champions.filter((champion) => champion.group === group)) {
      const last = entries.at(-1);
      const upper = upperRanking && upperRanking[0] !== ranking[0] ? { upperModel: upperRanking[0]! } : {};
      if (last?.group === group && last.model === ranking[0] && last.upperModel === upper.upperModel && last.rival?.model === rival?.model) Object.assign(last, { toStep: steps, wape, rival, why });
      else entries.push({ group, pairs: pairs[group], fromStep: from, toStep: steps, model: ranking[0]!, ...upper, wape, rival, why });
      from = steps + 1;
    }
  }
  return entries;
}

type Contestant = Pick<Evidence, 'model' | 'isBaseline' | 'looks' | 'cells' | 'demand' | 'median' | 'upper'>;
type Measure = 'median' | 'upper';

/** Of each model the kinds' evidence of one distance as one. */
function pool(evidence: readonly Evidence[]): Contestant[] {
  return distinct(evidence.map(({ model }) => model)).map((model) => sorted(evidence.filter((each) => each.model === model)).reduce<Contestant | null>((sum, each) => (sum ? joined(sum, each) : each), null)!);
}

function joined(left: Contestant, right: Contestant): Contestant {
  const sum = (measure: Measure): Losses => ({
    total: left[measure].total + right[measure].total,
    byBlock: left[measure].byBlock.map((loss, block) => loss + (right[measure].byBlock[block] ?? 0)),
    byPair: [...left[measure].byPair, ...right[measure].byPair],
  });
  return { ...left, cells: left.cells + right.cells, demand: left.demand + right.demand, median: sum('median'), upper: sum('upper') };
}

/** Sums of floats depend on their order, and a tie broken by a rounding would be a change of champion without a reason. */
function sorted(evidence: readonly Evidence[]): Evidence[] {
  return evidence.toSorted((left, right) => compareText(left.group, right.group) || left.steps - right.steps);
}

function championOf(group: PairGroup, steps: number, contestants: readonly Contestant[], isOwn: boolean): Champion {
  const [medians, uppers] = [rank(contestants, 'median'), rank(contestants, 'upper')];
  const [first, second] = medians;
  return {
    group,
    steps,
    ranking: medians.map(({ model }) => model),
    upperRanking: uppers.map(({ model }) => model),
    wape: first ? shareOf(first.median.total, first.demand) : null,
    rival: second ? { model: second.model, wape: shareOf(second.median.total, second.demand) } : null,
    why: first && uppers[0] ? `${reasonOf(medians, 'median', isOwn)}; ${uppers[0] === first ? 'its' : `${uppers[0].model}’s`} p95: ${reasonOf(uppers, 'upper', isOwn)}` : 'nothing could be compared',
  };
}

/** The leader first, then by loss. */
function rank(contestants: readonly Contestant[], measure: Measure): Contestant[] {
  const ordered = contestants.toSorted((left, right) => left[measure].total - right[measure].total || Number(right.isBaseline) - Number(left.isBaseline) || compareText(left.model, right.model));
  const bestRule = ordered.find(({ isBaseline }) => isBaseline);
  const safe = ordered.find(({ model }) => model === SAFE) ?? bestRule;
  const rule = bestRule && safe && isClearlyBetter(bestRule, safe, measure) ? bestRule : safe;
  const single = ordered.find(({ model, isBaseline }) => isBaseline && model !== SAFE) ?? rule;
  const best = ordered.find(({ isBaseline }) => !isBaseline);
  const mean = ordered.find(({ model }) => model === MEAN);
  const learned = best && mean && mean[measure].total - best[measure].total <= standardError(mean[measure].byBlock, best[measure].byBlock) ? mean : best;
  const isLed = learned && (!rule || !single || (learned.looks < LOOKS_MIN ? [rule, single].every((each) => isClearlyBetter(learned, each, measure)) : isAhead(learned, rule, measure) && gains(learned, single, measure)));
  const leader = isLed ? learned : rule;
  return leader ? [leader, ...ordered.filter((each) => each !== leader)] : [];
}

function isAhead(learned: Contestant, rule: Contestant, measure: Measure): boolean {
  const behind = learned[measure].total - rule[measure].total;
  return behind < 0 || (learned.looks >= LOOKS_MANY && behind <= standardError(learned[measure].byBlock, rule[measure].byBlock));
}

function isClearlyBetter(one: Contestant, other: Contestant, measure: Measure): boolean {
  const [own, others] = [one[measure], other[measure]];
  const needed = (others.total - own.total) / ERRORS_MIN;
  if (!gains(one, other, measure) || own.byBlock.length < 2 || !(needed > standardError(own.byBlock, others.byBlock))) return false;
  return one.looks >= LOOKS_MIN || needed > standardError(own.byPair, others.byPair);
}

function gains(one: Contestant, other: Contestant, measure: Measure): boolean {
  return one[measure].total < (1 - GAIN_MIN) * other[measure].total;
}

/** Of the sum of differences between paired parts, by how much they vary; 0 for fewer than two. */
function standardError(left: readonly number[], right: readonly number[]): number {
  const count = left.length;
  if (count < 2) return 0;
  const differences = left.map((value, index) => value - right[index]!);
  const mean = differences.reduce((sum, value) => sum + value, 0) / count;
  return Math.sqrt((count / (count - 1)) * differences.reduce((sum, value) => sum + (value - mean) ** 2, 0));
}

/** Why the first leads: what it lost, beside the best of the others of the other sort. */
function reasonOf(ranked: readonly Contestant[], measure: Measure, isOwn: boolean): string {
  const [first, ...others] = ranked;
  const shown = (each: Contestant): string => `${measure === 'median' ? 'error' : 'loss'} ${shareOf(each[measure].total, each.demand).toFixed(4)}`;
  const best = others.find((each) => each[measure].total < first![measure].total);
  const beaten = others.find((each) => each.isBaseline && each[measure].total >= first![measure].total);
  const whose = measure === 'upper' ? '' : isOwn ? ` on these pairs' own past` : ' on all pairs, since these have too little past';
  if (best) return `${shown(first!)}${whose}; ${best.model} has ${shareOf(best[measure].total, best.demand).toFixed(4)}, which is not clearly better`;
  if (!first!.isBaseline && beaten && beaten[measure].total > 0) return `${shown(first!)}${whose}, ${(100 * (1 - first![measure].total / beaten[measure].total)).toFixed(1)} % below ${beaten.model}`;
  return `${shown(first!)}${whose}, the least of all`;
}

function distinct(names: readonly string[]): string[] {
  return [...new Set(names)].sort(compareText);
}

function shareOf(value: number, of: number): number {
  return of > 0 ? roundTo(value / of, 6) : 0;
}
