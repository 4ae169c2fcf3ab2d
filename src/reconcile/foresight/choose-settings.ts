import type { ReplayForecasts, ReplayModel } from '../../forecast/index.ts';
import type { PairSeries } from './pair-outlook.ts';
import { PairTrials, SettingsGrid, TALLY } from './pair-trials.ts';
import type { ReactiveSettings } from './reactive.ts';
import type { Taken } from './shadow.ts';
import { unitsFor, type World } from './world.ts';

/**
 * What is aimed at is less than the budget by `reserve`, and by what the worst stretch yet took beyond its plan: the last one's cannot be made up for.
 * Of a usual day's budget, `dayLeast` and `dayMost` are the least and the most of one day, when it makes up for days before. Changes
 * differ more from day to day than hours, and losses hang less on them.
 */
const HOURS = { reserve: 0.005, dayLeast: 0.85, dayMost: 1.1 };
const CHANGES = { reserve: 0.005, dayLeast: 0.6, dayMost: 1.1 };
/** What was taken too much, or not used, is made up for within so many days: what a tight day costs grows faster than what it saves. */
const MAKE_UP_DAYS = 4;
/** Until so many days have been run, it is believed that the mesh takes what its pairs alone took under the settings that were chosen. It takes more: alone nobody waits for others, and what is the cheapest of many on the past is not quite as cheap later. */
const BELIEF_DAYS = 2;
/** Once a day, what a day takes too much is seen when it is over; oftener than twice, pairs change their settings for little. */
const CHOICES_PER_DAY = 2;
/** How soon the past is forgotten: half of it in so many days. */
const HALF_LIFE_DAYS = 30;
/** Of all hours and of all changes, in losses of the rule. */
const HOUR_PRICES = Array.from({ length: 32 }, (_, step) => 10 ** (-0.7 + 0.07 * step));
const CHANGE_PRICES = Array.from({ length: 12 }, (_, step) => 10 ** (-2.2 + 0.2 * step));

/** Of what the rule leaves; less weighs no less. */
const LEFT_LEAST = 0.05;
/** Of all that the rule loses; less is no gain. */
const LOSS_LEAST = 1e-9;

/**
 * Chooses each pair's settings anew twice a day: by what all settings would have led to on the days before, least loss for one price of a tunnel-hour and one of a change (Lagrange: the pairs share nothing else). The
 * prices are such that hours and changes of the whole mesh, as it has really taken them, stay within what the rule would have
 * taken until then: what is over, and what is left, goes into the days after, and so does what the mesh takes beyond what its settings took before.
 */
export class SettingsChoice {
  private readonly grid: SettingsGrid;
  private readonly present: PairTrials[];
  private readonly books: Books[];
  /** Slots. */
  private readonly day: number;
  /** Slots from one choice to the next. */
  private readonly stretch: number;
  private readonly series: PairSeries[];
  private readonly ruleAlone = new Float64Array(TALLY.width);
  /** What the settings chosen until now should have taken, by what they took before they were chosen, relative to the rule. */
  private readonly promised = new Float64Array(TALLY.width);
  /** Of what is not served, and of SLA minutes. */
  private weights: readonly [number, number] = [1, 1];
  private promise = new Float64Array(TALLY.width);
  private chosen: number[] = [];
  /** By tally, when the stretch began: what was taken until then, what the rule had, their planned ratio for it, and the most that a stretch took beyond it, forgotten as the past is. */
  private readonly plans: { taken: number; budget: number; ratio: number; worst: number }[] = [];
  private from = 0;
  private until = 0;

  constructor(world: World, forecasts: ReplayForecasts, models: readonly ReplayModel[], rule: ReactiveSettings) {
    this.grid = new SettingsGrid(models);
    const past = world.pairs.map((_, pair) => new PairTrials(world, forecasts.backtest, this.grid, pair, rule));
    this.present = world.pairs.map((_, pair) => new PairTrials(world, forecasts.test, this.grid, pair, rule));
    this.day = Math.max(1, Math.round(86_400_000 / world.slotMs));
    this.stretch = Math.max(1, Math.round(this.day / CHOICES_PER_DAY));
    this.books = past.map(({ demand }) => new Books(this.grid.size, unitsFor(demand[0]! || 0, world.unitMbps)));
    for (let from = 0; from < forecasts.backtest.origins; from += this.stretch) {
      const until = Math.min(forecasts.backtest.origins, from + this.stretch);
      past.forEach((trials, pair) => this.books[pair]!.add(trials, from, until, (until - from) / this.day));
    }
    this.series = this.present.map(({ signals }) => signals.empty());
  }

  /**
   * What to open and to keep, by pair; asked for slot by slot.
   * @param index  of the span that is replayed
   * @param own    what the mesh has taken until now
   * @param rule   what it would have taken under the rule
   */
  at(index: number, own: Taken, rule: Taken): readonly PairSeries[] {
    if (index >= this.until) {
      this.closeStretch();
      this.from = index;
      this.until = Math.min(this.present[0]!.signals.origins, index + this.stretch);
      this.chosen = this.choose(own, rule);
      this.present.forEach((trials, pair) => trials.signals.write(this.grid.settings(this.chosen[pair]!), this.from, this.until, this.series[pair]!));
    }
    return this.series;
  }

  /** Enters the stretch that is over into the books. */
  private closeStretch(): void {
    const { from, until, day } = this;
    if (until === from) return;
    const kept = 0.5 ** ((until - from) / day / HALF_LIFE_DAYS);
    this.present.forEach((trials, pair) => {
      const books = this.books[pair]!;
      const before = books.rule.slice();
      books.add(trials, from, until, (until - from) / day);
      for (let at = 0; at < TALLY.width; at++) {
        const rule = books.rule[at]! - kept * before[at]!;
        this.ruleAlone[at]! += rule;
        this.promised[at]! += this.promise[at]! * rule;
      }
    });
  }

  private choose(own: Taken, rule: Taken): number[] {
    const usual = sumOfRules(this.books);
    const days = this.books[0]?.days ?? 1;
    const most = (at: number, taken: number, budget: number, { reserve, dayLeast, dayMost }: typeof HOURS): number => {
      const perDay = usual[at]! / days;
      if (!(perDay > 0)) return usual[at]!;
      const beyond = (real: number, expected: number): number => (real + BELIEF_DAYS * perDay) / (expected + BELIEF_DAYS * perDay);
      const ruleDay = perDay * beyond(budget, this.ruleAlone[at]!);
      const plan = (this.plans[at] ??= { taken: 0, budget: 0, ratio: 1, worst: 0 });
      plan.worst = Math.max(0.5 ** (1 / (CHOICES_PER_DAY * HALF_LIFE_DAYS)) * plan.worst, taken - plan.taken - plan.ratio * (budget - plan.budget));
      const left = ((1 - reserve) * budget - plan.worst - taken) / MAKE_UP_DAYS + (1 - reserve) * ruleDay;
      const share = Math.min(dayMost, Math.max(dayLeast, left / (perDay * beyond(taken, this.promised[at]!))));
      Object.assign(plan, { taken, budget, ratio: (share * perDay * beyond(taken, this.promised[at]!)) / ruleDay });
      return share * usual[at]!;
    };
    const chosen = cheapestWithin(this.books, this.weights, usual, most(TALLY.hours, own.hours, rule.hours, HOURS), most(TALLY.changes, own.changes, rule.changes, CHANGES));
    this.promise = usual.map((rule, at) => this.books.reduce((sum, { tallies }, pair) => sum + tallies[TALLY.width * chosen[pair]! + at]!, 0) / Math.max(1e-9, rule));
    this.weights = weightsOf(this.promise[TALLY.unservedMbit]!, this.promise[TALLY.slaMinutes]!);
    return chosen;
  }
}

/**
 * How much each of two losses weighs from what was left of each, relative to the rule's: the square, so that of both the one that
 * has been removed less is removed next; as they weigh for the sum of their third powers. The mean weight is 1.
 */
export function weightsOf(unservedLeft: number, slaLeft: number): [number, number] {
  const [unserved, sla] = [unservedLeft, slaLeft].map((left) => Math.max(LEFT_LEAST, left) ** 2) as [number, number];
  return [(2 * unserved) / (unserved + sla), (2 * sla) / (unserved + sla)];
}

function sumOfRules(books: readonly Books[]): Float64Array {
  return books.reduce((sum, { rule }) => sum.map((value, at) => value + rule[at]!), new Float64Array(TALLY.width));
}

/** What each setting of one pair, and the rule, came to on the days before, older ones weighing less. */
class Books {
  readonly tallies: Float64Array;
  readonly rule = new Float64Array(TALLY.width);
  days = 0;
  private readonly units: Int32Array;
  private ruleUnits: number;

  constructor(settings: number, units: number) {
    this.tallies = new Float64Array(TALLY.width * settings);
    this.units = new Int32Array(settings).fill(units);
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

/** By pair the number of a setting: least loss for one price of an hour and one of a change, of all pairs of prices the best that stays within both bounds; what it leaves of them is then spent pair by pair, which no price does: a pair's settings are steps. */
export function cheapestWithin(books: readonly Pick<Books, 'tallies'>[], weights: readonly [number, number], usual: Float64Array, hoursMax: number, changesMax: number): number[] {
  const unservedWeight = weights[0] / Math.max(1e-9, usual[TALLY.unservedMbit]!);
  const slaWeight = weights[1] / Math.max(1e-9, usual[TALLY.slaMinutes]!);
  const fronts = books.map(({ tallies }) => frontOf(tallies, unservedWeight, slaWeight));
  let best: { steps: number[]; excess: number; loss: number } | undefined;
  for (const hourPrice of HOUR_PRICES) {
    for (const changePrice of CHANGE_PRICES) {
      let [hours, changes, loss] = [0, 0, 0];
      const steps = fronts.map((front) => {
        const step = cheapest(front, hourPrice / Math.max(1e-9, hoursMax), changePrice / Math.max(1e-9, changesMax));
        hours += front.hours[step]!;
        changes += front.changes[step]!;
        loss += front.losses[step]!;
        return step;
      });
      const excess = Math.max(0, hours / Math.max(1e-9, hoursMax) - 1) + Math.max(0, changes / Math.max(1e-9, changesMax) - 1);
      if (best === undefined || excess < best.excess || (excess === best.excess && loss < best.loss)) best = { steps, excess, loss };
    }
  }
  if (best === undefined) return [];
  spendRest(best.steps, fronts, hoursMax, changesMax);
  return best.steps.map((step, pair) => fronts[pair]!.trials[step]!);
}

/** What a pair may be set to: the settings than which no other loses less and takes no more, the one that loses least first. */
interface Front {
  trials: Int32Array;
  losses: Float64Array;
  hours: Float64Array;
  changes: Float64Array;
}

function frontOf(tallies: Float64Array, unservedWeight: number, slaWeight: number): Front {
  const count = tallies.length / TALLY.width;
  const losses = Float64Array.from({ length: count }, (_, trial) => unservedWeight * tallies[TALLY.width * trial + TALLY.unservedMbit]! + slaWeight * tallies[TALLY.width * trial + TALLY.slaMinutes]!);
  const hoursOf = (trial: number): number => tallies[TALLY.width * trial + TALLY.hours]!;
  const changesOf = (trial: number): number => tallies[TALLY.width * trial + TALLY.changes]!;
  const order = Int32Array.from({ length: count }, (_, trial) => trial).sort((one, other) => losses[one]! - losses[other]! || hoursOf(one) - hoursOf(other) || changesOf(one) - changesOf(other) || one - other);
  const kept: number[] = [];
  for (const trial of order) if (!kept.some((better) => hoursOf(better) <= hoursOf(trial) && changesOf(better) <= changesOf(trial))) kept.push(trial);
  return { trials: Int32Array.from(kept), losses: Float64Array.from(kept, (trial) => losses[trial]!), hours: Float64Array.from(kept, hoursOf), changes: Float64Array.from(kept, changesOf) };
}

/** Changes settings where that loses less and stays within both bounds, most loss for its share of what is left first. */
function spendRest(steps: number[], fronts: readonly Front[], hoursMax: number, changesMax: number): void {
  let hoursLeft = steps.reduce((left, step, pair) => left - fronts[pair]!.hours[step]!, hoursMax);
  let changesLeft = steps.reduce((left, step, pair) => left - fronts[pair]!.changes[step]!, changesMax);
  // each step loses less than before: no setting comes twice
  for (;;) {
    let best: { pair: number; step: number; worth: number; hours: number; changes: number } | undefined;
    for (const [pair, own] of steps.entries()) {
      const front = fronts[pair]!;
      for (let step = 0; step < front.losses.length; step++) {
        const gain = front.losses[own]! - front.losses[step]!;
        if (gain <= LOSS_LEAST) break;
        const hours = front.hours[step]! - front.hours[own]!;
        const changes = front.changes[step]! - front.changes[own]!;
        if (hours > Math.max(0, hoursLeft) || changes > Math.max(0, changesLeft)) continue;
        const worth = gain / (LOSS_LEAST + (hours > 0 ? hours / hoursLeft : 0) + (changes > 0 ? changes / changesLeft : 0));
        if (best === undefined || worth > best.worth) best = { pair, step, worth, hours, changes };
      }
    }
    if (best === undefined) return;
    steps[best.pair] = best.step;
    hoursLeft -= best.hours;
    changesLeft -= best.changes;
  }
}

function cheapest({ losses, hours, changes }: Front, hourPrice: number, changePrice: number): number {
  let best = 0;
  let least = Infinity;
  for (let step = 0; step < losses.length; step++) {
    const cost = losses[step]! + hourPrice * hours[step]! + changePrice * changes[step]!;
    if (cost >= least) continue;
    least = cost;
    best = step;
  }
  return best;
}
