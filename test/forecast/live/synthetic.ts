import { createRng } from '../../../src/base/index.ts';
import { generateHistory } from '../../../src/forecast/index.ts';
import { Scoreboard, type DriftTurn } from '../../../src/forecast/live/scoreboard.ts';
import { classId, siteId, type DemandForecast, type DemandSeries, type Forecast, type ForecastSettings, type Observation } from '../../../src/model/index.ts';

export const SLOT_MS = 900_000;
export const SETTINGS: ForecastSettings = { slotMs: SLOT_MS, slotsPerDay: 96, horizonSlots: 12, provision: 'p95' };
const WEEK = 7 * 96;
const LEARNED = 3 * WEEK;

/** What changes in the world, at the first slot of day `day` (from 0, of the days after learning). */
export type Regime = (mbps: number, series: number, slot: number, history: readonly number[]) => number;

/**
 * A champion that is as good as synthetic demand allows and never learns again: the weekly profile of three weeks, the
 * last deviation from it fading out, and a P95 by its own errors. Its scoreboard over the days that follow.
 * @returns every turn of a group, with the day it came in
 */
export function liveThrough(options: { days: number; seed: string; demands?: number; from?: number; regime?: Regime }): { turns: (DriftTurn & { day: number })[]; board: Scoreboard } {
  const { days, seed, from = Infinity } = options;
  const demands = Array.from({ length: options.demands ?? 6 }, (_, index) => ({ from: siteId(`s${index}`), to: siteId('hub'), classId: classId('data'), baseMbps: 1 + index, peakMbps: 10 * (1 + index) }));
  const series = generateHistory({ demands, slotMs: SLOT_MS, slotsPerDay: 96, days: 21 + days, endAt: Date.UTC(2026, 0, 5) + days * 86_400_000, seed, trendPerDayMax: 0 }).map(({ mbps, ...rest }, number) => {
    const calm = mbps.map(Number);
    return { ...rest, mbps: calm.map((value, slot) => (options.regime && slot >= LEARNED + from * 96 ? options.regime(value, number, slot, calm) : value)) };
  });
  const models = series.map(({ mbps }) => learn(mbps));
  const board = new Scoreboard();
  const turns: (DriftTurn & { day: number })[] = [];
  const firstAt = Date.UTC(2026, 0, 5) - 21 * 86_400_000;
  for (let slot = LEARNED; slot < LEARNED + days * 96; slot++) {
    const observed = series.map((one): DemandSeries => ({ ...one, mbps: one.mbps.slice(slot - WEEK, slot) }));
    const now = firstAt + slot * SLOT_MS;
    const observation: Observation = { observedAt: now, slotMs: SLOT_MS, lastSlotEndAt: now, demands: observed, paths: [], tunnels: [], nodes: [] };
    for (const turn of board.observe(observation, SETTINGS)) turns.push({ ...turn, day: (slot - LEARNED) / 96 });
    board.expect(forecastOf(series, models, slot, now), observation, SETTINGS);
  }
  return { turns, board };
}

interface Learned {
  profile: number[];
  fading: number;
  /** By step: what P90 and P95 lie above the median, in shares of the profile. */
  upper: [number, number][];
}

function learn(mbps: readonly number[]): Learned {
  const profile = Array.from({ length: WEEK }, (_, phase) => (mbps[phase]! + mbps[phase + WEEK]! + mbps[phase + 2 * WEEK]!) / 3);
  const smooth = profile.map((_, phase) => [-2, -1, 0, 1, 2].reduce((sum, by) => sum + profile[(phase + by + WEEK) % WEEK]!, 0) / 5);
  const model: Learned = { profile: smooth, fading: 0.75, upper: [] };
  for (let step = 1; step <= SETTINGS.horizonSlots; step++) {
    const errors: number[] = [];
    for (let origin = WEEK; origin + step <= LEARNED; origin++) errors.push((mbps[origin + step - 1]! - medianOf(model, mbps, origin, step)) / smooth[(origin + step - 1) % WEEK]!);
    errors.sort((left, right) => left - right);
    model.upper.push([errors[Math.floor(errors.length * 0.9)]!, errors[Math.floor(errors.length * 0.95)]!]);
  }
  return model;
}

function medianOf({ profile, fading }: Learned, mbps: readonly number[], origin: number, step: number): number {
  return Math.max(0, profile[(origin + step - 1) % WEEK]! + fading ** step * (mbps[origin - 1]! - profile[(origin - 1) % WEEK]!));
}

function forecastOf(series: readonly { from: string; to: string; classId: string; mbps: number[] }[], models: readonly Learned[], slot: number, now: number): Forecast {
  const demands = series.map((one, number) => {
    const model = models[number]!;
    const slots = Array.from({ length: SETTINGS.horizonSlots }, (_, index) => {
      const p50 = medianOf(model, one.mbps, slot, index + 1);
      const unit = model.profile[(slot + index) % WEEK]!;
      const [p90, p95] = model.upper[index]!;
      return { startAt: now + index * SLOT_MS, p50, p90: p50 + Math.max(0, p90) * unit, p95: p50 + Math.max(0, p95) * unit };
    });
    return { from: one.from, to: one.to, classId: one.classId, slots } as DemandForecast;
  });
  return { madeAt: now, slotMs: SLOT_MS, model: 'profile', backtest: [], demands };
}

/** A stream of noise of its own, for regimes. */
export const noise = (seed: string) => createRng(seed);
