import type { ReplayForecasts, ReplayModel } from '../../forecast/index.ts';
import type { PairSeries } from './pair-outlook.ts';
import { PAIR_SETTINGS, PairTrials, TALLY } from './pair-trials.ts';
import type { ReactiveSettings } from './reactive.ts';
import { unitsFor, type World } from './world.ts';

/** What is chosen takes less than the budget by this: closings that wait and tunnels over a second provider take more than pairs alone. */
const RESERVE_HOURS = 0.06;
const RESERVE_CHANGES = 0.01;
/** How soon the past is forgotten: half of it in so many days. */
const HALF_LIFE_DAYS = 30;
/** Of a usual day's budget, the least and the most of one day, when it makes up for days before. */
const DAY_SHARE_LEAST = 0.85;
const DAY_SHARE_MOST = 1.1;
/** Of all hours and of all changes, in losses of the rule. */
const HOUR_PRICES = Array.from({ length: 20 }, (_, step) => 10 ** (-1 + 0.15 * step));
const CHANGE_PRICES = Array.from({ length: 10 }, (_, step) => 10 ** (-3 + 0.5 * step));

/**
 * Chooses each pair's settings anew every night, as an engine does that trains at night: by what all settings would have led to
 * on the days before, least loss for one price of a tunnel-hour and one of a change (Lagrange: the pairs share nothing else), so
 * that hours and changes stay within what the rule would have taken; a day that took more is made up for on the next ones.
 * @returns by pair what to open and keep at each slot of the test
 */
export function chooseNightly(world: World, forecasts: ReplayForecasts, model: ReplayModel, rule: ReactiveSettings): PairSeries[] {
  const past = world.pairs.map((_, pair) => new PairTrials(world, forecasts.backtest, model, pair, rule));
  const present = world.pairs.map((_, pair) => new PairTrials(world, forecasts.test, model, pair, rule));
  const day = Math.max(1, Math.round(86_400_000 / world.slotMs));
  const books = past.map(({ demand }) => new Books(unitsFor(demand[0]! || 0, world.unitMbps)));
  for (let from = 0; from < forecasts.backtest.origins; from += day) {
    const until = Math.min(forecasts.backtest.origins, from + day);
    past.forEach((trials, pair) => books[pair]!.add(trials, from, until, (until - from) / day));
  }
  const result = present.map(({ signals }) => signals.empty());
  const own = new Float64Array(TALLY.width);
  const budget = new Float64Array(TALLY.width);
  const units = present.map(({ demand }) => unitsFor(demand[0]! || 0, world.unitMbps));
  for (let from = 0; from < forecasts.test.origins; from += day) {
    const until = Math.min(forecasts.test.origins, from + day);
    const usual = sumOfRules(books);
    const days = books[0]?.days ?? 1;
    const shareOf = (at: number, reserve: number): number => {
      const perDay = usual[at]! / days;
      const left = (1 - reserve) * (budget[at]! + perDay) - own[at]!;
      return perDay > 0 ? Math.min(DAY_SHARE_MOST, Math.max(DAY_SHARE_LEAST, left / perDay)) : 1;
    };
    const chosen = cheapestWithin(books, usual, shareOf(TALLY.hours, RESERVE_HOURS) * usual[TALLY.hours]!, shareOf(TALLY.changes, RESERVE_CHANGES) * usual[TALLY.changes]!);
    present.forEach((trials, pair) => {
      trials.signals.write(PAIR_SETTINGS[chosen[pair]!]!, from, until, result[pair]!);
      units[pair] = trials.tryOne(chosen[pair]!, from, until, units[pair]!, own);
      const before = books[pair]!.rule.slice();
      books[pair]!.add(trials, from, until, (until - from) / day);
      const kept = 0.5 ** ((until - from) / day / HALF_LIFE_DAYS);
      for (let at = 0; at < TALLY.width; at++) budget[at]! += books[pair]!.rule[at]! - kept * before[at]!;
    });
  }
  return result;
}

function sumOfRules(books: readonly Books[]): Float64Array {
  return books.reduce((sum, { rule }) => sum.map((value, at) => value + rule[at]!), new Float64Array(TALLY.width));
}

/** What each setting of one pair, and the rule, came to on the days before, older ones weighing less. */
class Books {
  readonly tallies = new Float64Array(TALLY.width * PAIR_SETTINGS.length);
  readonly rule = new Float64Array(TALLY.width);
  days = 0;
  private readonly units: Int32Array;
  private ruleUnits: number;

  constructor(units: number) {
    this.units = new Int32Array(PAIR_SETTINGS.length).fill(units);
    this.ruleUnits = units;
  }

  add(trials: PairTrials, from: number, until: number, days: number): void {
    const kept = 0.5 ** (days / HALF_LIFE_DAYS);
    for (let at = 0; at < this.tallies.length; at++) this.tallies[at]! *= kept;
    for (let at = 0; at < TALLY.width; at++) this.rule[at]! *= kept;
    this.days = kept * this.days + days;
    trials.tryAll(from, until, this.units, this.tallies);
    this.ruleUnits = trials.tryRule(from, until, this.ruleUnits, this.rule);
  }
}

/** By pair the number of a setting: least loss for one price of an hour and one of a change, of all pairs of prices the best that stays within both bounds. */
function cheapestWithin(books: readonly Books[], usual: Float64Array, hoursMax: number, changesMax: number): number[] {
  const lossOf = (tallies: Float64Array, trial: number): number =>
    tallies[TALLY.width * trial + TALLY.unservedMbit]! / Math.max(1e-9, usual[TALLY.unservedMbit]!) + tallies[TALLY.width * trial + TALLY.slaMinutes]! / Math.max(1e-9, usual[TALLY.slaMinutes]!);
  const losses = books.map(({ tallies }) => Float64Array.from(PAIR_SETTINGS, (_, trial) => lossOf(tallies, trial)));
  let best: { chosen: number[]; excess: number; loss: number } | undefined;
  for (const hourPrice of HOUR_PRICES) {
    for (const changePrice of CHANGE_PRICES) {
      let [hours, changes, loss] = [0, 0, 0];
      const chosen = books.map(({ tallies }, pair) => {
        const trial = cheapest(tallies, losses[pair]!, hourPrice / Math.max(1e-9, hoursMax), changePrice / Math.max(1e-9, changesMax));
        hours += tallies[TALLY.width * trial + TALLY.hours]!;
        changes += tallies[TALLY.width * trial + TALLY.changes]!;
        loss += losses[pair]![trial]!;
        return trial;
      });
      const excess = Math.max(0, hours / Math.max(1e-9, hoursMax) - 1) + Math.max(0, changes / Math.max(1e-9, changesMax) - 1);
      if (best === undefined || excess < best.excess || (excess === best.excess && loss < best.loss)) best = { chosen, excess, loss };
    }
  }
  return best?.chosen ?? [];
}

function cheapest(tallies: Float64Array, losses: Float64Array, hourPrice: number, changePrice: number): number {
  let best = 0;
  let least = Infinity;
  for (let trial = 0; trial < losses.length; trial++) {
    const at = TALLY.width * trial;
    const cost = losses[trial]! + hourPrice * tallies[at + TALLY.hours]! + changePrice * tallies[at + TALLY.changes]!;
    if (cost >= least) continue;
    least = cost;
    best = trial;
  }
  return best;
}
