import { compareText, roundTo } from '../base/index.ts';
import type { BacktestScore, PairGroup, ServingModel } from '../model/index.ts';

/** How one model did on the pairs of one kind, one distance ahead: sums over the held-out cells, so that they can be added up. */
export interface GroupScore {
  model: string;
  /** A simple rule rather than something that learned a lot: it stays in use unless it is clearly beaten. */
  isBaseline: boolean;
  group: PairGroup;
  /** Slots ahead. */
  steps: number;
  cells: number;
  /** Σy, Σ|y − p50|. */
  demand: number;
  error: number;
  /** Σ of the pinball losses' mean over p50, p90 and p95: what decides. */
  pinball: number;
  /** Cells with y ≤ p95. */
  covered: number;
}

/** The order in which models are asked for one kind of pairs and distance: the champion, then who stands in when it fails. */
export interface Champion {
  group: PairGroup;
  steps: number;
  /** Best first; never empty. */
  ranking: string[];
  wape: number | null;
  rival: { model: string; wape: number } | null;
  why: string;
}

/** A learned model must be better than the best simple one by this much: less is chance. */
const GAIN_MIN = 0.01;
/** With fewer cells than this a kind of pairs follows the contest of all pairs. */
const CELLS_MIN = 100;

/** Kinds of pairs that are judged; new ones have no past to be judged on. */
export const JUDGED_GROUPS = ['heavy', 'middle', 'sparse'] as const satisfies PairGroup[];

/**
 * Chooses for each kind of pairs and distance. The least pinball loss leads; a learned model only when it beats the best
 * simple one by 1 %. A kind with few cells takes what is best for all pairs; nothing is chosen for a distance without any
 * score. Does not depend on the order of the scores.
 */
export function chooseChampions(scores: readonly GroupScore[]): Champion[] {
  const distances = [...new Set(scores.map(({ steps }) => steps))].sort((left, right) => left - right);
  return distances.flatMap((steps) => {
    const here = scores.filter((score) => score.steps === steps);
    const all = rank(pool(here));
    return JUDGED_GROUPS.map((group): Champion => {
      const own = rank(pool(here.filter((score) => score.group === group)));
      const isOwn = (own[0]?.cells ?? 0) >= CELLS_MIN;
      return championOf(group, steps, isOwn ? own : all, isOwn);
    });
  });
}

/** Each model over everything, best first. */
export function overallScores(scores: readonly GroupScore[]): BacktestScore[] {
  return order(pool(scores)).map((sum) => ({ model: sum.model, wape: shareOf(sum.error, sum.demand), pinball: shareOf(sum.pinball, sum.demand), coverageP95: shareOf(sum.covered, sum.cells) }));
}

/** The champions in the words of a report: neighbouring distances with the same model are one entry. */
export function servingModels(champions: readonly Champion[], pairs: Readonly<Record<PairGroup, number>>): ServingModel[] {
  const entries: ServingModel[] = [];
  for (const group of JUDGED_GROUPS.filter((each) => pairs[each] > 0)) {
    let from = 1;
    for (const { steps, ranking, wape, rival, why } of champions.filter((champion) => champion.group === group)) {
      const last = entries.at(-1);
      if (last?.group === group && last.model === ranking[0] && last.rival?.model === rival?.model) Object.assign(last, { toStep: steps, wape, rival, why });
      else entries.push({ group, pairs: pairs[group], fromStep: from, toStep: steps, model: ranking[0]!, wape, rival, why });
      from = steps + 1;
    }
  }
  return entries;
}

type Sum = Omit<GroupScore, 'group' | 'steps'>;

function pool(scores: readonly GroupScore[]): Sum[] {
  const sums = new Map<string, Sum>();
  // Sums of floats depend on their order, and a tie broken by a rounding would be a change of champion without a reason.
  const sorted = scores.toSorted((left, right) => compareText(left.group, right.group) || left.steps - right.steps);
  for (const { model, isBaseline, cells, demand, error, pinball, covered } of sorted) {
    const sum = sums.get(model) ?? { model, isBaseline, cells: 0, demand: 0, error: 0, pinball: 0, covered: 0 };
    sums.set(model, { ...sum, cells: sum.cells + cells, demand: sum.demand + demand, error: sum.error + error, pinball: sum.pinball + pinball, covered: sum.covered + covered });
  }
  return [...sums.values()];
}

/** By loss, simple models first among equals. */
function order(sums: readonly Sum[]): Sum[] {
  return sums.toSorted((left, right) => left.pinball - right.pinball || Number(right.isBaseline) - Number(left.isBaseline) || compareText(left.model, right.model));
}

/** The same, but the best simple one leads unless a learned one gains enough. */
function rank(sums: readonly Sum[]): Sum[] {
  const ordered = order(sums);
  const simple = ordered.find(({ isBaseline }) => isBaseline);
  const best = ordered[0];
  if (!simple || !best || best.isBaseline || best.pinball < (1 - GAIN_MIN) * simple.pinball) return ordered;
  return [simple, ...ordered.filter((sum) => sum !== simple)];
}

function championOf(group: PairGroup, steps: number, ranked: readonly Sum[], isOwn: boolean): Champion {
  const [first, second] = ranked;
  const whose = isOwn ? `these pairs' own past` : 'all pairs, since these have too little past';
  const simple = ranked.find(({ isBaseline }) => isBaseline);
  const figures = (sum: Sum): string => `pinball loss ${shareOf(sum.pinball, sum.demand).toFixed(4)}`;
  const why = !first
    ? 'nothing could be compared'
    : first.isBaseline
      ? `the least loss of the simple models on ${whose}: ${figures(first)}${second && second.pinball < first.pinball ? `; ${second.model} is better by less than ${100 * GAIN_MIN} %` : ''}`
      : `${figures(first)} on ${whose}, ${simple && simple.pinball > 0 ? `${(100 * (1 - first.pinball / simple.pinball)).toFixed(1)} % below ${simple.model}` : 'and no simple model to compare with'}`;
  return {
    group,
    steps,
    ranking: ranked.map(({ model }) => model),
    wape: first ? shareOf(first.error, first.demand) : null,
    rival: second ? { model: second.model, wape: shareOf(second.error, second.demand) } : null,
    why,
  };
}

function shareOf(value: number, of: number): number {
  return of > 0 ? roundTo(value / of, 6) : 0;
}
