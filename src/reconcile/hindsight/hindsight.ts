import { join } from 'node:path';
import { messageOf } from '../../base/index.ts';
import { Scoreboard, type BoardDay, type BoardRow, type ScoreboardState } from '../../forecast/index.ts';
import type { DemandGroup, Forecast, ForecastHealth, ForecastRegret, ForecastSettings, Observation } from '../../model/index.ts';
import type { EngineDeps } from '../deps.ts';
import type { Trainer } from '../training.ts';
import type { Ledger, LedgerRound } from './ledger.ts';
import type { LedgerEntry } from './ledger-entries.ts';
import { regretLine } from './regret.ts';
import { loadState, saveState } from './state-file.ts';

/** After "demands". */
const KIND_WORDS: Record<Exclude<DemandGroup, 'heavy'>, string> = { middle: 'of middle size', sparse: 'that are mostly silent', new: 'with less than a day of past' };

/** How forecasts turned out, for people. */
export interface ScoreboardView {
  sinceAt: number;
  slotMs: number;
  health: ForecastHealth;
  rows: BoardRow[];
  /** A day of slots each, oldest first. */
  days: BoardDay[];
}

export interface LedgerView {
  regret: ForecastRegret;
  /** Newest first. */
  entries: readonly Omit<LedgerEntry, 'ways'>[];
}

/** What the engine learns by looking back. Nothing in here fails a cycle: a decision is made without hindsight sooner than not at all. */
export interface Hindsight {
  /** Scores the forecasts whose slots have come; asks for training where the champion drifts. */
  observe(observation: Observation, settings: ForecastSettings): Promise<void>;
  /** Remembers the champion's forecast, to score it later. */
  expect(champion: Forecast, observation: Observation, settings: ForecastSettings): void;
  /** The forecast to plan with: a rule of thumb's where the champion has failed, else the champion's, unchanged. */
  standIn(champion: Forecast, observation: Observation, settings: ForecastSettings): Forecast;
  health(): ForecastHealth;
  /** Brings the ledger of forecast-driven changes up to date. */
  account(round: LedgerRound): Promise<void>;
  regret(): ForecastRegret;
  ledger(): LedgerView;
  /** For the plan's report: what a reader of the forecast should know; empty when all is well. */
  notes(): string[];
  scoreboard(sinceAt: number): ScoreboardView;
  /** Writes what is new to disk, at most once in a while unless `now`. */
  save(isLast?: boolean): Promise<void>;
}

const SAVE_EVERY_MS = 60_000;
const ENTRIES_SHOWN = 500;
const BOARD_SCHEMA = 'foremesh/scoreboard/v1';

/** Opens what was saved in the state folder at its first use. */
export function createHindsight(deps: Pick<EngineDeps, 'stateDir' | 'clock' | 'log'>, trainer: Pick<Trainer, 'view' | 'demand'>, ledger: Ledger): Hindsight {
  const boardFile = join(deps.stateDir, 'scoreboard.json.gz');
  let board = new Scoreboard();
  let isLoaded = false;
  let isChanged = false;
  let savedAtMs = deps.clock.monotonicMs();
  let demandedAt = -Infinity;
  let last: Observation | null = null;

  async function load(): Promise<void> {
    if (isLoaded) return;
    isLoaded = true;
    board = new Scoreboard(await loadState<ScoreboardState>(boardFile, BOARD_SCHEMA, deps.log));
  }

  async function observe(observation: Observation, settings: ForecastSettings): Promise<void> {
    await load();
    last = observation;
    board.promise(trainer.view().backtest);
    const turns = board.observe(observation, settings);
    isChanged ||= turns.length > 0;
    for (const turn of turns) deps.log.warn({ ...turn }, 'forecasts came out differently than before');
    const dayMs = settings.slotMs * settings.slotsPerDay;
    if (turns.some(({ to }) => to !== 'ok') && observation.observedAt >= demandedAt + dayMs) {
      demandedAt = observation.observedAt;
      trainer.demand();
    }
  }

  function notes(): string[] {
    const line = regretLine(ledger.regret(deps.clock.now()));
    const drift = board.health(last).groups.flatMap(({ group, state, reason, best, demands }) => {
      const count = demands === 1 ? 'demand' : `${demands} demands`;
      const which = group === 'heavy' ? `the heaviest ${count}` : `the ${count} ${KIND_WORDS[group]}`;
      if (demands === 0 || state === 'ok') return [];
      return [state === 'failed' ? `The champion's forecasts of ${which} are not used: ${reason}. ${best} stands in until it wins again.` : `The champion drifts on ${which}: ${reason}. It is trained anew.`];
    });
    return line === null ? drift : [...drift, line];
  }

  return {
    observe: (observation, settings) =>
      observe(observation, settings).catch((error: unknown) => {
        deps.log.error({ error: messageOf(error) }, 'forecasts were not scored');
      }),
    expect(champion, observation, settings) {
      try {
        board.expect(champion, observation, settings);
        isChanged = true;
      } catch (error) {
        deps.log.error({ error: messageOf(error) }, 'a forecast was not remembered');
      }
    },
    standIn: (champion, observation, settings) => board.standIn(champion, observation, settings),
    health: () => board.health(last),
    account: (round) =>
      ledger.update(round).catch((error: unknown) => {
        deps.log.error({ error: messageOf(error) }, 'forecast-driven changes were not judged');
      }),
    regret: () => ledger.regret(deps.clock.now()),
    ledger: () => ({ regret: ledger.regret(deps.clock.now()), entries: ledger.entries().slice(0, ENTRIES_SHOWN).map(({ ways: _ways, ...entry }) => entry) }),
    notes,
    scoreboard: (sinceAt) => ({ sinceAt, slotMs: board.state().slotMs, health: board.health(last), rows: board.rows(sinceAt), days: board.history(sinceAt) }),
    async save(isLast = false) {
      await ledger.save(isLast).catch((error: unknown) => {
        deps.log.error({ error: messageOf(error) }, 'the ledger was not saved');
      });
      if (!isChanged || (!isLast && deps.clock.monotonicMs() < savedAtMs + SAVE_EVERY_MS)) return;
      savedAtMs = deps.clock.monotonicMs();
      isChanged = false;
      await saveState(boardFile, board.state()).catch((error: unknown) => {
        isChanged = true;
        deps.log.error({ error: messageOf(error) }, 'hindsight was not saved');
      });
    },
  };
}
