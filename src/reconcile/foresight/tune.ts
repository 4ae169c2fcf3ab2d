import type { ReplayForecasts, ReplayModel } from '../../forecast/index.ts';
import { SettingsChoice } from './choose-settings.ts';
import type { Policy } from './network.ts';
import { seriesOutlook } from './pair-outlook.ts';
import { createDirectPlacement, type Placement } from './placement.ts';
import { createPlanned } from './planned.ts';
import { followRule, TALLY } from './pair-trials.ts';
import { createReactive, REACTIVE_TEXTBOOK, type ReactiveSettings } from './reactive.ts';
import { openAtFirst, type Figures } from './replay.ts';
import { Shadow, Taken } from './shadow.ts';
import { trueOutlook } from './true-outlook.ts';
import { sumOf, type World } from './world.ts';

const MINUTE_MS = 60_000;

/** How far the oracle looks. */
export interface OracleSettings {
  openAheadMs: number;
  keepAheadMs: number;
}

/** What a policy left and took. */
type Usage = Pick<Figures, 'unservedMbit' | 'slaMinutes' | 'tunnelHours' | 'tunnelChanges'>;

/** Replays a policy over what was learned last. */
export type Trial = (policy: Policy) => Figures;

/** Hold times of products; and what a patient operator might set. */
const HOLD_MINUTES = [15, 30, 60];
const PATIENT_MINUTES = [120, 240, 480, 720, 1440];
const OPEN_ABOVE = [0.7, 0.75, 0.8, 0.85, 0.9, 0.95];
const GAPS = [0.05, 0.1, 0.2, 0.3];
const ORACLE_TRIALS: OracleSettings[] = [30, 60, 120, 240].flatMap((open) => [60, 120, 240, 360].filter((keep) => keep >= open).map((keep) => ({ openAheadMs: open * MINUTE_MS, keepAheadMs: keep * MINUTE_MS })));
/** What is chosen on the past may take less than the budget by this: the future is another. */
const RESERVE = 0.03;

/** Thresholds and hold times of products, the textbook's first; what an operator might choose among. */
export const RULES: readonly ReactiveSettings[] = rulesWith(HOLD_MINUTES);
const PATIENT_RULES = rulesWith([...HOLD_MINUTES, ...PATIENT_MINUTES]);

/**
 * The threshold rule that leaves least unserved, and fewest SLA minutes, with no more tunnel-hours and changes than the textbook's
 * over the slots [from, until), each pair alone.
 * @param isPatient  hold times of hours too
 */
export function chooseReactive(world: World, from: number, until: number, isPatient: boolean): ReactiveSettings {
  const trials = isPatient ? PATIENT_RULES : RULES;
  const demands = world.pairs.map((pair) => sumOf(pair, until).subarray(from));
  const tallies = trials.map(() => new Float64Array(TALLY.width));
  for (const demand of demands) for (const [trial, settings] of trials.entries()) followRule(world, demand, settings, tallies[trial]!);
  const figures = tallies.map((tally) => ({ unservedMbit: tally[TALLY.unservedMbit]!, slaMinutes: tally[TALLY.slaMinutes]!, tunnelHours: tally[TALLY.hours]!, tunnelChanges: tally[TALLY.changes]! }));
  return trials[best([...trials.keys()], (trial) => figures[trial]!, figures[0]!, 0)]!;
}

/** How far the oracle looks, within the budget. */
export function chooseOracle(world: World, budget: Usage, trial: Trial): OracleSettings {
  return best(ORACLE_TRIALS, (settings) => trial(oraclePolicy(world, settings, createDirectPlacement(world))), budget, RESERVE);
}

/**
 * Plans on forecasts, with settings by pair that are chosen twice a day within what the rule takes; the rule runs beside it in a mesh of its own.
 * @param models    whose forecasts each pair may be planned on, the name's first
 * @param fromSlot  the first slot that is decided on
 */
export function forecastPolicy(world: World, forecasts: ReplayForecasts, models: readonly ReplayModel[], rule: ReactiveSettings, placement: Placement, fromSlot: number, seed: string): Policy {
  const choice = new SettingsChoice(world, forecasts, models, rule);
  const shadow = new Shadow(world, createReactive(world, rule), openAtFirst(world, fromSlot), seed);
  const own = new Taken(world);
  const planned = createPlanned(world, models[0] === 'auto' ? 'foremesh' : 'ewma', seriesOutlook(forecasts.test.firstOrigin, world.pairs.length, (index) => choice.at(index, own, shadow.taken)), placement);
  return {
    name: planned.name,
    decide(moment, wanted, shareSecond) {
      own.observe(moment.standing);
      shadow.step(moment.slot, moment.nowMs, moment.seenMbps);
      planned.decide(moment, wanted, shareSecond);
    },
  };
}

export function oraclePolicy(world: World, { openAheadMs, keepAheadMs }: OracleSettings, placement: Placement): Policy {
  return createPlanned(world, 'oracle', trueOutlook(world, openAheadMs, keepAheadMs), placement);
}

/** Within the budget the one with the least unserved and SLA minutes, each relative to the budget's; without such a one that which exceeds it least. */
function best<S>(trials: readonly S[], run: (settings: S) => Usage, budget: Usage, reserve: number): S {
  const ratio = (one: number, other: number): number => (other > 0 ? one / other : one > 0 ? 1e9 : 1);
  let chosen: { settings: S; excess: number; loss: number } | undefined;
  for (const settings of trials) {
    const figures = run(settings);
    const excess = Math.max(0, ratio(figures.tunnelHours, budget.tunnelHours) - 1 + reserve, ratio(figures.tunnelChanges, budget.tunnelChanges) - 1 + reserve);
    const loss = ratio(figures.unservedMbit, budget.unservedMbit) + ratio(figures.slaMinutes, budget.slaMinutes);
    if (chosen === undefined || excess < chosen.excess || (excess === chosen.excess && loss < chosen.loss)) chosen = { settings, excess, loss };
  }
  return chosen!.settings;
}

function rulesWith(holdMinutes: readonly number[]): ReactiveSettings[] {
  const all = OPEN_ABOVE.flatMap((openAbove) => GAPS.flatMap((gap) => holdMinutes.map((minutes) => ({ openAbove, closeBelow: Math.round(100 * (openAbove - gap)) / 100, holdMs: minutes * MINUTE_MS }))));
  const { openAbove, closeBelow, holdMs } = REACTIVE_TEXTBOOK;
  return [REACTIVE_TEXTBOOK, ...all.filter((each) => each.openAbove !== openAbove || each.closeBelow !== closeBelow || each.holdMs !== holdMs)];
}
