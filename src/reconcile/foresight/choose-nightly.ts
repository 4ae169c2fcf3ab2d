import type { ReplayForecasts, ReplayModel } from '../../forecast/index.ts';
import type { PairSeries } from './pair-outlook.ts';
import { PAIR_SETTINGS, PairTrials, TALLY } from './pair-trials.ts';
import type { ReactiveSettings } from './reactive.ts';
import type { Taken } from './shadow.ts';
import { unitsFor, type World } from './world.ts';

/** What is aimed at is less than the budget by this, and by what the worst day yet took beyond its plan: the last day's cannot be made up for. */
const RESERVE = 0.005;
/** What was taken too much, or not used, is made up for within so many days: what a tight day costs grows faster than what it saves. */
const MAKE_UP_DAYS = 4;
/** Until so many days have been run, what the mesh takes beyond its pairs alone is believed to be what it is for the rule. */
const BELIEF_DAYS = 2;
/** How soon the past is forgotten: half of it in so many days. */
const HALF_LIFE_DAYS = 30;
/** Of a usual day's budget, the least and the most of one day, when it makes up for days before. */
const DAY_SHARE_LEAST = 0.85;
const DAY_SHARE_MOST = 1.1;
/** Of all hours and of all changes, in losses of the rule. */
const HOUR_PRICES = Array.from({ length: 32 }, (_, step) => 10 ** (-0.7 + 0.07 * step));
const CHANGE_PRICES = Array.from({ length: 12 }, (_, step) => 10 ** (-2.2 + 0.2 * step));

/**
 * Chooses each pair's settings anew every night, as an engine does that trains at night: by what all settings would have led to
 * on the days before, least loss for one price of a tunnel-hour and one of a change (Lagrange: the pairs share nothing else). The
 * prices are such that hours and changes of the whole mesh, as it has really taken them, stay within what the rule would have
 * taken until then: what is over, and what is left, goes into the next day, and so does what the mesh takes beyond its pairs alone.
 */
export class NightlyChoice {
  private readonly present: PairTrials[];
  private readonly books: Books[];
  private readonly day: number;
  private readonly series: PairSeries[];
  private readonly units: Int32Array;
  private readonly ownAlone = new Float64Array(TALLY.width);
  private readonly ruleAlone = new Float64Array(TALLY.width);
  private chosen: number[] = [];
  /** By tally, when the day began: what was taken until then, what the rule had, their planned ratio for the day, and the most that a day took beyond it, forgotten as the past is. */
  private readonly plans: { taken: number; budget: number; ratio: number; worst: number }[] = [];
  private from = 0;
  private until = 0;

  constructor(world: World, forecasts: ReplayForecasts, model: ReplayModel, rule: ReactiveSettings) {
    const past = world.pairs.map((_, pair) => new PairTrials(world, forecasts.backtest, model, pair, rule));
    this.present = world.pairs.map((_, pair) => new PairTrials(world, forecasts.test, model, pair, rule));
    this.day = Math.max(1, Math.round(86_400_000 / world.slotMs));
    this.books = past.map(({ demand }) => new Books(unitsFor(demand[0]! || 0, world.unitMbps)));
    for (let from = 0; from < forecasts.backtest.origins; from += this.day) {
      const until = Math.min(forecasts.backtest.origins, from + this.day);
      past.forEach((trials, pair) => this.books[pair]!.add(trials, from, until, (until - from) / this.day));
    }
    this.series = this.present.map(({ signals }) => signals.empty());
    this.units = Int32Array.from(this.present, ({ demand }) => unitsFor(demand[0]! || 0, world.unitMbps));
  }

  /**
   * What to open and to keep, by pair; asked for slot by slot.
   * @param index  of the span that is replayed
   * @param own    what the mesh has taken until now
   * @param rule   what it would have taken under the rule
   */
  at(index: number, own: Taken, rule: Taken): readonly PairSeries[] {
    if (index >= this.until) {
      this.closeDay();
      this.from = index;
      this.until = Math.min(this.present[0]!.signals.origins, index + this.day);
      this.chosen = this.choose(own, rule);
      this.present.forEach((trials, pair) => trials.signals.write(PAIR_SETTINGS[this.chosen[pair]!]!, this.from, this.until, this.series[pair]!));
    }
    return this.series;
  }

  /** Enters the day that is over into the books. */
  private closeDay(): void {
    const { from, until, day } = this;
    if (until === from) return;
    const kept = 0.5 ** ((until - from) / day / HALF_LIFE_DAYS);
    this.present.forEach((trials, pair) => {
      const books = this.books[pair]!;
      this.units[pair] = trials.tryOne(this.chosen[pair]!, from, until, this.units[pair]!, this.ownAlone);
      const before = books.rule.slice();
      books.add(trials, from, until, (until - from) / day);
      for (let at = 0; at < TALLY.width; at++) this.ruleAlone[at]! += books.rule[at]! - kept * before[at]!;
    });
  }

  private choose(own: Taken, rule: Taken): number[] {
    const usual = sumOfRules(this.books);
    const days = this.books[0]?.days ?? 1;
    const most = (at: number, taken: number, budget: number): number => {
      const perDay = usual[at]! / days;
      if (!(perDay > 0)) return usual[at]!;
      const beyond = (real: number, alone: number): number => (real + BELIEF_DAYS * perDay) / (alone + BELIEF_DAYS * perDay);
      const ruleDay = perDay * beyond(budget, this.ruleAlone[at]!);
      const plan = (this.plans[at] ??= { taken: 0, budget: 0, ratio: 1, worst: 0 });
      plan.worst = Math.max(0.5 ** (1 / HALF_LIFE_DAYS) * plan.worst, taken - plan.taken - plan.ratio * (budget - plan.budget));
      const left = ((1 - RESERVE) * budget - plan.worst - taken) / MAKE_UP_DAYS + (1 - RESERVE) * ruleDay;
      const share = Math.min(DAY_SHARE_MOST, Math.max(DAY_SHARE_LEAST, left / (perDay * beyond(taken, this.ownAlone[at]!))));
      Object.assign(plan, { taken, budget, ratio: (share * perDay * beyond(taken, this.ownAlone[at]!)) / ruleDay });
      return share * usual[at]!;
    };
    return cheapestWithin(this.books, usual, most(TALLY.hours, own.hours, rule.hours), most(TALLY.changes, own.changes, rule.changes));
  }
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
