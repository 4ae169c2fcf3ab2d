import { roundTo } from '../../base/index.ts';
import { DEMAND_GROUPS, type BacktestScore, type DemandGroup, type DriftState, type Forecast, type ForecastHealth, type ForecastSettings, type LiveScore, type Observation } from '../../model/index.ts';
import { emptyWatch, watchSlot, type DriftWatch, type SlotLosses } from './drift-watch.ts';
import { demandKey, weighDemands, type WeighedDemand } from './groups.ts';
import { BASELINES, shadowForecasts, type ShadowForecast } from './shadow.ts';
import { addCell, addTally, emptyTally, scoreOf, type Tally } from './tally.ts';

/** A group that came to another state, for the log and for training. */
export interface DriftTurn {
  group: DemandGroup;
  from: DriftState;
  to: DriftState;
  reason: string;
}

/** The scores of one group and one distance, champion first, then by pinball. */
export interface BoardRow {
  group: DemandGroup;
  /** Slots ahead. */
  step: number;
  scores: LiveScore[];
}

/** One day of the history that is drawn. */
export interface BoardDay {
  startAt: number;
  /** Of all groups and both distances; null where there was none. */
  champion: LiveScore | null;
  best: LiveScore | null;
}

/** Forecasts whose slot has not come yet: [champion, then `BASELINES`] × [p50, p90, p95] by demand. */
interface Pending {
  targetAt: number;
  step: number;
  champions: Record<DemandGroup, string>;
  rows: [key: string, group: DemandGroup, figures: number[]][];
}

/** Tallies of one day by `group step role model`. */
interface Day {
  startAt: number;
  tallies: Record<string, Tally>;
}

/** What is kept in a file. */
export interface ScoreboardState {
  schema: 'foremesh/scoreboard/v1';
  slotMs: number;
  slotsPerDay: number;
  lastOriginAt: number;
  pending: Pending[];
  days: Day[];
  watches: Partial<Record<DemandGroup, DriftWatch>>;
}

/** Days that are kept; a day is `slotsPerDay` slots. */
const DAYS_MAX = 366;
/** A pair that is silent and was expected to be teaches nothing, and would make every coverage look perfect. */
const SILENT_MBPS = 0.05;

/**
 * Remembers forecasts, of the champion and of the rules of thumb beside it, and scores them when their slots have come.
 * Two distances are remembered, a quarter of the horizon and the whole of it. A slot is scored one slot late, when the
 * last samples of it are in. No clock and no files: what it holds is `state()`.
 */
export class Scoreboard {
  #state: ScoreboardState;
  #weighed: WeighedDemand[] = [];
  #promised: number | null = null;
  /** What the rules say for the whole horizon of the demands in failed groups; made once a slot. */
  #standIns: { key: string; figures: ReadonlyMap<string, ShadowForecast> } = { key: '', figures: new Map() };

  constructor(saved: ScoreboardState | null = null) {
    this.#state = saved ? withKinds(saved) : { schema: 'foremesh/scoreboard/v1', slotMs: 0, slotsPerDay: 0, lastOriginAt: 0, pending: [], days: [], watches: {} };
  }

  state(): ScoreboardState {
    return this.#state;
  }

  /** What the back-test promises: where a watch begins. It does not move one that has begun. @param backtest  best first */
  promise(backtest: readonly BacktestScore[]): void {
    this.#promised = promisedRatio(backtest);
  }

  /** Scores all that has come by now, oldest first. @returns how groups turned */
  observe(observation: Observation, settings: ForecastSettings): DriftTurn[] {
    this.#fit(settings);
    this.#weighed = weighDemands(observation.demands, settings.slotsPerDay);
    const { slotMs } = settings;
    const dueBefore = observation.lastSlotEndAt - 2 * slotMs;
    const due = this.#state.pending.filter(({ targetAt }) => targetAt <= dueBefore);
    if (due.length === 0) return [];
    this.#state.pending = this.#state.pending.filter(({ targetAt }) => targetAt > dueBefore);
    const actuals = new Map(observation.demands.map((demand) => [demandKey(demand), demand.mbps]));
    const turns: DriftTurn[] = [];
    for (const targetAt of [...new Set(due.map((entry) => entry.targetAt))].sort((left, right) => left - right)) {
      const back = (observation.lastSlotEndAt - targetAt) / slotMs;
      const losses = this.#score(due.filter((entry) => entry.targetAt === targetAt), (key) => actuals.get(key)?.at(-back) ?? null);
      for (const [group, loss] of losses) turns.push(...this.#watch(group, loss));
    }
    return turns;
  }

  /** Remembers a forecast, once a slot. @param forecast  of the champion alone, before anything stands in for it */
  expect(forecast: Forecast, observation: Observation, settings: ForecastSettings): void {
    this.#fit(settings);
    const originAt = observation.lastSlotEndAt;
    if (originAt <= this.#state.lastOriginAt) return;
    this.#state.lastOriginAt = originAt;
    const steps = stepsOf(settings);
    const demands = new Map(forecast.demands.map((demand) => [demandKey(demand), demand]));
    const weighed = this.#weighed.filter(({ key }) => demands.has(key));
    const shadows = shadowForecasts(weighed.map(({ index }) => observation.demands[index]!), settings.slotsPerDay, steps);
    steps.forEach((step, index) => {
      const rows = weighed.flatMap(({ key, group }, number): Pending['rows'] => {
        const slot = demands.get(key)!.slots[step - 1];
        if (!slot) return [];
        const rules = BASELINES.flatMap((name) => [...shadows[name][number]!.subarray(index * 3, index * 3 + 3)]);
        return [[key, group, [slot.p50, slot.p90, slot.p95, ...rules].map((figure) => roundTo(figure, 4))]];
      });
      this.#state.pending.push({ targetAt: originAt + (step - 1) * settings.slotMs, step, champions: Object.fromEntries(DEMAND_GROUPS.map((group) => [group, championOf(forecast, group, step)])) as Pending['champions'], rows });
    });
  }

  /** The forecast that is planned with: the best rule of thumb in place of the champion where that has failed. Same numbers otherwise. */
  standIn(forecast: Forecast, observation: Observation, settings: ForecastSettings): Forecast {
    const failed = this.health(observation).groups.filter(({ state }) => state === 'failed');
    if (failed.length === 0) return forecast;
    const key = `${observation.lastSlotEndAt} ${settings.horizonSlots} ${failed.map(({ group, best }) => `${group} ${best}`).join()}`;
    if (this.#standIns.key !== key) this.#standIns = { key, figures: this.#rulesFor(failed.map(({ group }) => group), observation, settings) };
    const { figures } = this.#standIns;
    const demands = forecast.demands.map((demand) => {
      const own = figures.get(demandKey(demand));
      if (!own) return demand;
      return { ...demand, slots: demand.slots.map((slot, index) => ({ ...slot, p50: roundTo(own[index * 3]!, 4), p90: roundTo(own[index * 3 + 1]!, 4), p95: roundTo(own[index * 3 + 2]!, 4) })) };
    });
    return { ...forecast, demands };
  }

  #rulesFor(groups: readonly DemandGroup[], observation: Observation, settings: ForecastSettings): ReadonlyMap<string, ShadowForecast> {
    const steps = Array.from({ length: settings.horizonSlots }, (_, index) => index + 1);
    const own = this.#weighed.filter(({ group }) => groups.includes(group));
    const shadows = shadowForecasts(own.map(({ index }) => observation.demands[index]!), settings.slotsPerDay, steps);
    return new Map(own.map(({ key, group }, number) => [key, shadows[this.#watchOf(group).best][number]!]));
  }

  health(observation: Observation | null): ForecastHealth {
    const total = this.#weighed.reduce((sum, { mean }) => sum + mean, 0);
    const groups = DEMAND_GROUPS.map((group) => {
      const { state, sinceAt, reason, best } = this.#watchOf(group);
      const own = this.#weighed.filter((demand) => demand.group === group);
      const volumeShare = total > 0 ? roundTo(own.reduce((sum, { mean }) => sum + mean, 0) / total, 4) : 0;
      return { group, state, sinceAt, reason, best, demands: own.length, volumeShare };
    });
    const lost = groups.reduce((sum, { state, volumeShare }) => sum + volumeShare * { ok: 0, drifting: 0.5, failed: 1 }[state], 0);
    return { confidence: observation === null ? 1 : roundTo(Math.max(0, 1 - lost), 3), groups };
  }

  /** Scores since an instant, by group and distance. */
  rows(sinceAt: number): BoardRow[] {
    const sums = new Map<string, Tally>();
    for (const day of this.#daysSince(sinceAt)) for (const [key, tally] of Object.entries(day.tallies)) addTally(tallyOf(sums, key), tally);
    const rows = new Map<string, BoardRow>();
    for (const [key, tally] of sums) {
      const { group, step, isChampion, model } = readKey(key);
      const row = rows.get(`${group} ${step}`) ?? { group, step, scores: [] };
      row.scores.push(scoreOf(model, isChampion, tally));
      rows.set(`${group} ${step}`, row);
    }
    for (const { scores } of rows.values()) scores.sort((left, right) => Number(right.isChampion) - Number(left.isChampion) || left.pinball - right.pinball);
    return [...rows.values()].sort((left, right) => DEMAND_GROUPS.indexOf(left.group) - DEMAND_GROUPS.indexOf(right.group) || left.step - right.step);
  }

  /** Day by day: the champion and the best rule beside it, of everything. */
  history(sinceAt: number): BoardDay[] {
    return this.#daysSince(sinceAt).map(({ startAt, tallies }) => {
      const champion = new Map<string, Tally>();
      const rules = new Map<string, Tally>();
      for (const [key, tally] of Object.entries(tallies)) {
        const { isChampion, model } = readKey(key);
        addTally(tallyOf(isChampion ? champion : rules, model), tally);
      }
      const bestOf = (of: ReadonlyMap<string, Tally>, isChampion: boolean): LiveScore | null => [...of].map(([model, tally]) => scoreOf(model, isChampion, tally)).sort((left, right) => left.pinball - right.pinball)[0] ?? null;
      return { startAt, champion: bestOf(champion, true), best: bestOf(rules, false) };
    });
  }

  #daysSince(sinceAt: number): Day[] {
    const { days, slotMs, slotsPerDay } = this.#state;
    return days.filter(({ startAt }) => startAt + slotMs * slotsPerDay > sinceAt);
  }

  /** Slots of another length cannot be compared: the board begins anew. */
  #fit({ slotMs, slotsPerDay }: ForecastSettings): void {
    if (this.#state.slotMs === slotMs && this.#state.slotsPerDay === slotsPerDay) return;
    this.#state = { ...new Scoreboard().state(), slotMs, slotsPerDay };
  }

  #score(due: readonly Pending[], actualOf: (key: string) => number | null): Map<DemandGroup, SlotLosses> {
    const losses = new Map<DemandGroup, SlotLosses>();
    for (const { targetAt, step, champions, rows } of due) {
      const { tallies } = this.#dayOf(targetAt);
      for (const [key, group, figures] of rows) {
        const actual = actualOf(key);
        if (actual === null || !(actual >= 0) || (actual === 0 && figures[2]! < SILENT_MBPS)) continue;
        const loss = losses.get(group) ?? { slotAt: targetAt, champion: { pinball: 0, cells: 0, held: 0 }, baselines: { persistence: 0, ewma: 0, 'seasonal-naive': 0 } };
        losses.set(group, loss);
        [champions[group], ...BASELINES].forEach((model, index) => {
          const [p50, p90, p95] = figures.slice(index * 3, index * 3 + 3) as [number, number, number];
          const tally = (tallies[writeKey(group, step, index === 0, model)] ??= emptyTally());
          const before = tally.pinball;
          addCell(tally, actual, p50, p90, p95);
          if (index > 0) loss.baselines[BASELINES[index - 1]!] += tally.pinball - before;
          else loss.champion = { pinball: loss.champion.pinball + tally.pinball - before, cells: loss.champion.cells + 1, held: loss.champion.held + Number(actual <= p95) };
        });
      }
    }
    return losses;
  }

  #watch(group: DemandGroup, losses: SlotLosses): DriftTurn[] {
    const before = this.#watchOf(group);
    const after = watchSlot(before, losses, this.#state.slotsPerDay);
    this.#state.watches[group] = after;
    return before.state === after.state ? [] : [{ group, from: before.state, to: after.state, reason: after.reason }];
  }

  #watchOf(group: DemandGroup): DriftWatch {
    return this.#state.watches[group] ?? emptyWatch(this.#promised);
  }

  #dayOf(at: number): Day {
    const dayMs = this.#state.slotMs * this.#state.slotsPerDay;
    const startAt = Math.floor(at / dayMs) * dayMs;
    const known = this.#state.days.find((day) => day.startAt === startAt);
    if (known) return known;
    const day: Day = { startAt, tallies: {} };
    this.#state.days = [...this.#state.days, day].sort((left, right) => left.startAt - right.startAt).slice(-DAYS_MAX);
    return day;
  }
}

/** A quarter of the horizon and the whole of it, in slots. */
export function stepsOf({ horizonSlots }: Pick<ForecastSettings, 'horizonSlots'>): number[] {
  return [...new Set([Math.max(1, Math.ceil(horizonSlots / 4)), horizonSlots])];
}

/** Boards of before kinds had states of their own knew the heaviest tenth and all others. */
function withKinds(saved: ScoreboardState): ScoreboardState {
  const kept = JSON.stringify(saved);
  if (!kept.includes('"usual')) return saved;
  const { watches, ...state } = saved as ScoreboardState & { watches: { usual?: DriftWatch } };
  const { usual, ...others } = watches;
  return {
    ...state,
    watches: { ...others, ...(usual && { middle: usual }) },
    days: state.days.map((day) => ({ ...day, tallies: Object.fromEntries(Object.entries(day.tallies).map(([key, tally]) => [key.replace(/^usual /, 'middle '), tally])) })),
    // forecasts that wait for their slot are a horizon's at most
    pending: [],
  };
}

/** Which model serves demands of a group at a distance; faults in brackets are left out. */
function championOf({ model, serving }: Pick<Forecast, 'model' | 'serving'>, group: DemandGroup, step: number): string {
  const served = serving?.find((entry) => entry.group === group && entry.fromStep <= step && step <= entry.toStep);
  return (served?.model ?? model).split(' (')[0]!;
}

/** ln of champion to best rule of thumb; null when the back-test has no rule to compare with, or the rule itself won. */
function promisedRatio(backtest: readonly BacktestScore[]): number | null {
  const sorted = backtest.toSorted((left, right) => left.pinball - right.pinball);
  const rule = sorted.find(({ model }) => (BASELINES as readonly string[]).includes(model));
  return sorted[0] && rule && sorted[0].pinball > 0 && rule.pinball > 0 ? Math.log(sorted[0].pinball / rule.pinball) : null;
}

function tallyOf(sums: Map<string, Tally>, key: string): Tally {
  const tally = sums.get(key) ?? emptyTally();
  sums.set(key, tally);
  return tally;
}

function writeKey(group: DemandGroup, step: number, isChampion: boolean, model: string): string {
  return `${group} ${step} ${isChampion ? 'champion' : 'rule'} ${model}`;
}

function readKey(key: string): { group: DemandGroup; step: number; isChampion: boolean; model: string } {
  const [group, step, role, ...model] = key.split(' ');
  return { group: group as DemandGroup, step: Number(step), isChampion: role === 'champion', model: model.join(' ') };
}
