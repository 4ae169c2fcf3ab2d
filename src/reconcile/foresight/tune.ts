import type { ReplayModel, ReplaySpan } from '../../forecast/index.ts';
import type { Policy } from './network.ts';
import { forecastOutlook, type PairSettings } from './pair-outlook.ts';
import { createDirectPlacement, type Placement } from './placement.ts';
import { createPlanned } from './planned.ts';
import { createReactive, REACTIVE_TEXTBOOK, type ReactiveSettings } from './reactive.ts';
import type { Figures } from './replay.ts';
import { trueOutlook } from './true-outlook.ts';
import type { World } from './world.ts';

const MINUTE_MS = 60_000;

/** How far the oracle looks. */
export interface OracleSettings {
  openAheadMs: number;
  keepAheadMs: number;
}

/** Replays a policy over what was learned last. */
export type Trial = (policy: Policy) => Figures;

/** Hold times of products; and what a patient operator might set. */
const HOLD_MINUTES = [15, 30, 60];
const PATIENT_MINUTES = [120, 240, 480, 720, 1440];
const ORACLE_TRIALS: OracleSettings[] = [30, 60].flatMap((open) => [60, 120, 180, 240, 360].map((keep) => ({ openAheadMs: open * MINUTE_MS, keepAheadMs: keep * MINUTE_MS })));
/** What is chosen on the past may take less than the budget by this: the future is another. */
const RESERVE = 0.03;

/**
 * The threshold rule that leaves least unserved, and fewest SLA minutes, with no more tunnel-hours and changes than the textbook's.
 * @param isPatient  hold times of hours too
 */
export function chooseReactive(world: World, trial: Trial, isPatient: boolean): { settings: ReactiveSettings; figures: Figures } {
  const textbook = trial(createReactive(world, REACTIVE_TEXTBOOK));
  const holds = isPatient ? [...HOLD_MINUTES, ...PATIENT_MINUTES] : HOLD_MINUTES;
  const trials = [0.7, 0.75, 0.8, 0.85, 0.9, 0.95].flatMap((openAbove) =>
    [0.05, 0.1, 0.2, 0.3].flatMap((gap) => holds.map((minutes) => ({ openAbove, closeBelow: Math.round(100 * (openAbove - gap)) / 100, holdMs: minutes * MINUTE_MS }))),
  );
  return best([REACTIVE_TEXTBOOK, ...trials], (settings) => trial(createReactive(world, settings)), textbook, 0);
}

export function chooseOracle(world: World, budget: Figures, trial: Trial): { settings: OracleSettings; figures: Figures } {
  return best(ORACLE_TRIALS, (settings) => trial(oraclePolicy(world, settings, createDirectPlacement(world))), budget, RESERVE);
}

export function forecastPolicy(world: World, span: ReplaySpan, model: ReplayModel, settings: readonly PairSettings[], placement: Placement): Policy {
  return createPlanned(world, model === 'auto' ? 'foremesh' : model, forecastOutlook(world, span, model, settings), placement);
}

export function oraclePolicy(world: World, { openAheadMs, keepAheadMs }: OracleSettings, placement: Placement): Policy {
  return createPlanned(world, 'oracle', trueOutlook(world, openAheadMs, keepAheadMs), placement);
}

/** Within the budget the one with the least unserved and SLA minutes, each relative to the budget's; without such a one that which exceeds it least. */
function best<S>(trials: readonly S[], run: (settings: S) => Figures, budget: Figures, reserve: number): { settings: S; figures: Figures } {
  const ratio = (one: number, other: number): number => (other > 0 ? one / other : one > 0 ? 1e9 : 1);
  let chosen: { settings: S; figures: Figures; excess: number; loss: number } | undefined;
  for (const settings of trials) {
    const figures = run(settings);
    const excess = Math.max(0, ratio(figures.tunnelHours, budget.tunnelHours) - 1 + reserve, ratio(figures.tunnelChanges, budget.tunnelChanges) - 1 + reserve);
    const loss = ratio(figures.unservedMbit, budget.unservedMbit) + ratio(figures.slaMinutes, budget.slaMinutes);
    if (chosen === undefined || excess < chosen.excess || (excess === chosen.excess && loss < chosen.loss)) chosen = { settings, figures, excess, loss };
  }
  return { settings: chosen!.settings, figures: chosen!.figures };
}
