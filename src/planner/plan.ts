import { isDeepStrictEqual } from 'node:util';
import type { Forecast, Intent, Observation, Override, PathQualityForecast, Plan, PlanConstraint, PlanReport, Veto } from '../model/index.ts';
import { assemblePlan } from './assemble.ts';
import { ensureBackups } from './backups.ts';
import { Board } from './board.ts';
import { reserveCopies } from './copies.ts';
import { buildWants } from './demand.ts';
import { fillClasses } from './fill.ts';
import { buildNetwork } from './network.ts';
import { Notes } from './notes.ts';
import { placeAny, placeDirect } from './placement.ts';
import { buildReport } from './report.ts';
import { keepDead, keepVetoedRemovals, retireTunnels } from './retire.ts';
import { chooseServingNodes } from './serving.ts';
import { planStandbys } from './standbys.ts';
import { PLANNER_SETTINGS } from './settings.ts';
import type { Want } from './types.ts';

export interface PlanInputs {
  intent: Intent;
  /** Null while there is none: then what was observed last counts alone. */
  forecast: Forecast | null;
  /** What is expected of paths; absent or null: nothing. Never forbids a path, see `violationCost`. */
  pathForecast?: PathQualityForecast | null;
  observation: Observation;
  previous: Plan;
  /** All that were given, expired ones too; only those still valid have effect and stay in the plan. */
  overrides: Override[];
  vetoes: Veto[];
  constraints: PlanConstraint[];
  /** Epoch ms. */
  now: number;
  /** Kept with the inputs for replay; every decision here is by order, none by chance. */
  seed: string;
}

export interface PlanResult {
  plan: Plan;
  report: PlanReport;
}

/**
 * The mesh as it should be, and why. Pure, total and deterministic: the same inputs give the same bytes, in whatever
 * order their lists come (but for connections, whose order means something), and every input the types allow gives a
 * plan, if only an empty one. Planning again from its own plan changes nothing: rounds are repeated until a round
 * reproduces the plan before it.
 * @see docs/planning.md, docs/adr/0005-planner-greedy-with-prices.md
 */
export function plan(inputs: PlanInputs): PlanResult {
  const rounds = planRounds(inputs);
  return { plan: rounds.at(-1)!.plan, report: buildReport(inputs, rounds) };
}

/** Rounds until one reproduces the plan before it; the last is the plan. */
export function planRounds(inputs: PlanInputs): Round[] {
  const rounds: Round[] = [];
  let previous = inputs.previous;
  while (rounds.length < PLANNER_SETTINGS.roundsMax) {
    const round = planRound({ ...inputs, previous });
    rounds.push(round);
    if (isDeepStrictEqual(round.plan, previous)) break;
    previous = round.plan;
  }
  return rounds;
}

/** One pass over all wants; `notes` and `board` are what the report is made of. */
export interface Round {
  plan: Plan;
  board: Board;
  notes: Notes;
}

/** Priority by priority: direct ways, then relays, then backups; then what is left of the old plan; then all other classes; then standby gateways; then tunnels of dead paths. */
function planRound(inputs: PlanInputs): Round {
  const notes = new Notes();
  const network = buildNetwork(inputs, chooseServingNodes(inputs, notes));
  const wants = buildWants(network);
  for (const want of wants) noteOverMaximum(want, notes);
  const board = new Board(network, notes, wants);
  keepVetoedRemovals(board);
  for (const level of levels(wants)) {
    const unsettled = level.filter((want) => (want.active || want.base || want.pinned !== null) && !board.placements.has(want.key) && !placeDirect(board, want));
    for (const want of unsettled) placeAny(board, want);
    ensureBackups(board, level);
    reserveCopies(board, level);
  }
  retireTunnels(board);
  fillClasses(board);
  planStandbys(board);
  keepDead(board);
  return { plan: assemblePlan(board), board, notes };
}

/** Wants of one priority together, pinned ones before all. */
function levels(wants: readonly Want[]): Want[][] {
  const byLevel = new Map<string, Want[]>();
  for (const want of wants) {
    const level = want.pinned ? 'pinned' : String(want.trafficClass.priority);
    const wantsOfLevel = byLevel.get(level) ?? [];
    wantsOfLevel.push(want);
    byLevel.set(level, wantsOfLevel);
  }
  return [...byLevel.values()];
}

function noteOverMaximum({ pair, trafficClass, forward, backward }: Want, notes: Notes): void {
  const reason = `over the maximum of connection ${pair.connection.name}`;
  notes.leave(pair.a.id, pair.b.id, trafficClass.id, forward.overMaxMbps, reason, pair.plane);
  notes.leave(pair.b.id, pair.a.id, trafficClass.id, backward.overMaxMbps, reason, pair.plane);
}
