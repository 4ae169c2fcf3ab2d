import { compareText } from '../base/index.ts';
import type { Board } from './board.ts';
import { costOfChoice } from './cost.ts';
import { routeSetKey } from './demand.ts';
import type { Fit } from './ledger.ts';
import { PLANNER_SETTINGS } from './settings.ts';
import type { Choice, Want, Way } from './types.ts';

export interface Split {
  choice: Choice;
  fit: Fit;
}

/**
 * Spreads a want over given ways: weights in steps of 10 %, in proportion to what each way could carry alone, then
 * moved step by step while that carries more. Ways that end at 0 are left out.
 */
export function spread(board: Board, want: Want, ways: readonly Way[]): Split {
  const step = PLANNER_SETTINGS.weightStep;
  const room = ways.map((way) => board.ledger.fit([{ way, weight: 100 }], want).carried);
  const weights = proportional(room, 100 / step).map((steps) => steps * step);
  const fitOf = (trial: readonly number[]): Fit => board.ledger.fit(choiceOf(ways, trial), want);
  let fit = fitOf(weights);
  while (!fit.whole) {
    let best: { trial: number[]; fit: Fit } | null = null;
    for (let from = 0; from < ways.length; from++) {
      for (let to = 0; to < ways.length; to++) {
        if (from === to || weights[from]! < step) continue;
        const trial = weights.with(from, weights[from]! - step);
        trial[to]! += step;
        const trialFit = fitOf(trial);
        if (trialFit.carried > (best?.fit ?? fit).carried + 1e-6) best = { trial, fit: trialFit };
      }
    }
    if (!best) break;
    weights.splice(0, weights.length, ...best.trial);
    fit = best.fit;
  }
  return { choice: choiceOf(ways, weights), fit };
}

/**
 * Adds ways from `options` to `start`, each time the one that lets most be carried (then the cheapest), until
 * everything fits, nothing helps, or `waysMax` are used. Null when there is nothing to spread over.
 */
export function extend(board: Board, want: Want, start: readonly Way[], options: readonly Way[]): Split | null {
  let ways = [...start];
  let best = ways.length > 0 ? spread(board, want, ways) : null;
  while (!best?.fit.whole && ways.length < PLANNER_SETTINGS.waysMax) {
    let next: (Split & { way: Way; cost: number }) | null = null;
    for (const way of options) {
      if (ways.some((each) => each.key === way.key)) continue;
      if (board.ledger.fullNode([...ways, way].flatMap((each) => each.hops)) !== null) continue;
      const trial = { ...spread(board, want, [...ways, way]), way };
      if (isVetoed(want, trial.choice)) continue;
      const cost = costOfChoice(trial.choice, want, board.ledger);
      const gain = next ? trial.fit.carried - next.fit.carried : 1;
      if (gain > 1e-6 || (gain > -1e-6 && next && (cost < next.cost - 1e-9 || (cost < next.cost + 1e-9 && compareText(way.key, next.way.key) < 0)))) {
        next = { ...trial, cost };
      }
    }
    if (!next || (best && next.fit.carried < best.fit.carried + 0.01)) break;
    ways = [...ways, next.way];
    best = { choice: next.choice, fit: next.fit };
  }
  return best;
}

/** Scales weights so that they sum to 100 in steps of 10, for a choice that lost a way. */
export function renormalise(choice: Choice): Choice {
  const step = PLANNER_SETTINGS.weightStep;
  const total = choice.reduce((sum, { weight }) => sum + weight, 0);
  if (total === 100 || choice.length === 0) return choice;
  const steps = proportional(choice.map(({ weight }) => weight), 100 / step);
  return choice.map(({ way }, index) => ({ way, weight: steps[index]! * step })).filter(({ weight }) => weight > 0);
}

/** True when a person has taken exactly this set of routes back. */
export function isVetoed(want: Want, choice: Choice): boolean {
  if (want.vetoed.length === 0) return false;
  const routes = routeSetOf(choice);
  return want.vetoed.some((veto) => veto.routes === routes);
}

export function routeSetOf(choice: Choice): string {
  return routeSetKey(choice.flatMap(({ way }) => way.routes.map((route) => route.hops.map((hop) => hop.path))));
}

function choiceOf(ways: readonly Way[], weights: readonly number[]): Choice {
  return ways.flatMap((way, index) => (weights[index]! > 0 ? [{ way, weight: weights[index]! }] : []));
}

/** Whole parts of `total` in proportion to `shares` (largest remainder; ties to the first); even when all are 0. */
function proportional(shares: readonly number[], total: number): number[] {
  const sum = shares.reduce((whole, share) => whole + share, 0);
  const exact = shares.map((share) => (sum > 0 ? (share / sum) * total : total / shares.length));
  const parts = exact.map(Math.floor);
  const order = exact.map((value, index) => ({ index, rest: value - parts[index]! })).sort((left, right) => right.rest - left.rest || left.index - right.index);
  const missing = total - parts.reduce((whole, part) => whole + part, 0);
  for (const { index } of order.slice(0, missing)) parts[index]!++;
  return parts;
}
