import { isDeepStrictEqual } from 'node:util';
import type { Assignment, Forecast, Intent, Observation, Override, PathQualityForecast, Plan, PlanConstraint, PlanReport, Veto } from '../model/index.ts';
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
import { measureRound, roundWorth } from './certify.ts';
import { guidedOrder, guideOf, type Guide } from './guide.ts';
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
  const made = planRounds(inputs);
  return { plan: made.rounds.at(-1)!.plan, report: buildReport(inputs, made) };
}

/**
 * Rounds until one reproduces the plan before it; the last is the plan. Where it carries less than some plan might, rounds that
 * begin with the core's choices are tried beside it, and rounds that stay with what there is; whichever carries most is taken, and
 * looked at again from itself, until nothing changes.
 */
export function planRounds(inputs: PlanInputs): PlannedRounds {
  const rounds: Round[] = [];
  let unguidedGapPct: number | null = null;
  let previous = inputs.previous;
  let bound: number | null = null;
  for (let times = 0; times < PLANNER_SETTINGS.guidedRoundsMax; times++) {
    const steady = tryOut(inputs, previous, null);
    bound ??= measureRound(steady.rounds.at(-1)!.board).certificate.bound;
    const isShort = steady.worth < bound * (1 - PLANNER_SETTINGS.guidedGapMinPct / 100);
    const isGuidable = isShort && steady.rounds[0]!.board.wants.size <= PLANNER_SETTINGS.guidedWantsMax;
    const chosen = isGuidable ? best(inputs, previous, steady, bound) : steady;
    rounds.push(...chosen.rounds);
    if (chosen.isGuided) unguidedGapPct ??= 100 * (1 - steady.worth / bound);
    const { plan: reached } = chosen.rounds.at(-1)!;
    if (!isGuidable || isDeepStrictEqual(reached, previous)) break;
    previous = reached;
  }
  return { rounds, unguidedGapPct };
}

/** The rounds that a plan comes from, the last being the plan. */
export interface PlannedRounds {
  rounds: Round[];
  /** Where guided rounds were taken: the gap of the steady ones. */
  unguidedGapPct: number | null;
}

/** Rounds until one reproduces the plan before it, and what the last carries. */
interface Trial {
  rounds: Round[];
  worth: number;
  isGuided: boolean;
}

/** The steady rounds, those that stay with what there is where these carry no less, or the guided ones where they are worth the change. */
function best(inputs: PlanInputs, previous: Plan, steady: Trial, bound: number): Trial {
  const guide = guideOf(steady.rounds[0]!.board);
  const held = previous.tunnels.length > 0 ? tryOut(inputs, previous, { ...guide, isHolding: true, choices: new Map() }) : null;
  const usual = held && held.worth >= steady.worth ? held : steady;
  const { guidedGainMinPct, guidedChangePct } = PLANNER_SETTINGS;
  const gainMin = (share: number): number => ((guidedGainMinPct + guidedChangePct * share) / 100) * bound;
  if (bound <= usual.worth + gainMin(0)) return usual;
  const guided = tryOut(inputs, previous, guide);
  const change = changedShare(previous, guided.rounds.at(-1)!.plan) - changedShare(previous, usual.rounds.at(-1)!.plan);
  return guided.worth > usual.worth + gainMin(Math.max(0, change)) ? guided : usual;
}

function tryOut(inputs: PlanInputs, from: Plan, guide: Guide | null): Trial {
  const rounds: Round[] = [];
  let previous = from;
  while (rounds.length < PLANNER_SETTINGS.roundsMax) {
    const round = planRound({ ...inputs, previous }, inputs.previous, guide);
    rounds.push(round);
    if (isDeepStrictEqual(round.plan, previous)) break;
    previous = round.plan;
  }
  return { rounds, worth: roundWorth(rounds.at(-1)!.board), isGuided: guide !== null && !guide.isHolding };
}

/** How much of a plan is not as in the one that runs, 0…2: tunnels that are new, and routes that are others. */
function changedShare(running: Plan, next: Plan): number {
  const tunnels = new Set(running.tunnels.map(({ id }) => id));
  const routes = new Set(running.assignments.map(routesKey));
  const opened = next.tunnels.filter(({ id }) => !tunnels.has(id)).length;
  const moved = next.assignments.filter((assignment) => !routes.has(routesKey(assignment))).length;
  return running.tunnels.length === 0 ? 0 : opened / Math.max(1, next.tunnels.length) + moved / Math.max(1, next.assignments.length);
}

function routesKey({ from, to, classId, routes }: Assignment): string {
  return `${from}>${to} ${classId} ${routes.map(({ tunnels, weight }) => `${tunnels.join('+')}=${weight}`).join()}`;
}

/** One pass over all wants; `notes` and `board` are what the report is made of. */
export interface Round {
  plan: Plan;
  board: Board;
  notes: Notes;
}

/** Priority by priority: direct ways, then relays, then backups; then what is left of the old plan; then all other classes; then standby gateways; then tunnels of dead paths. */
function planRound(inputs: PlanInputs, origin: Plan, guide: Guide | null): Round {
  const notes = new Notes();
  const network = buildNetwork(inputs, chooseServingNodes(inputs, notes));
  const wants = buildWants(network);
  for (const want of wants) noteOverMaximum(want, notes);
  const board = new Board(network, notes, wants, guide);
  keepVetoedRemovals(board);
  for (const usual of levels(wants)) {
    const level = guide ? guidedOrder(usual, guide) : usual;
    const unsettled = level.filter((want) => (want.active || want.base || want.pinned !== null) && !board.placements.has(want.key) && !placeDirect(board, want));
    for (const want of unsettled) placeAny(board, want);
    ensureBackups(board, level);
    reserveCopies(board, level);
  }
  retireTunnels(board);
  fillClasses(board);
  planStandbys(board);
  keepDead(board);
  return { plan: assemblePlan(board, origin), board, notes };
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
