import { describe, expect, it } from 'vitest';
import type { ReplayForecasts, ReplayModel, ReplaySpan } from '../../../src/forecast/index.ts';
import { cheapestWithin, weightsOf } from '../../../src/reconcile/foresight/choose-settings.ts';
import { PairSignals } from '../../../src/reconcile/foresight/pair-outlook.ts';
import { follow, PairTrials, SettingsGrid, TALLY } from '../../../src/reconcile/foresight/pair-trials.ts';
import { createDirectPlacement } from '../../../src/reconcile/foresight/placement.ts';
import { REACTIVE_TEXTBOOK } from '../../../src/reconcile/foresight/reactive.ts';
import { replay, type Figures } from '../../../src/reconcile/foresight/replay.ts';
import { forecastPolicy } from '../../../src/reconcile/foresight/tune.ts';
import { buildWorld, sumOf, unitsFor, type World } from '../../../src/reconcile/foresight/world.ts';
import { demandTable, tableOf, THREE_CITIES } from './worlds.ts';

const HOUR_MS = 3_600_000;
const KEEP = { model: 'ewma', keepFill: 0.95, holdMs: 300_000, looksAhead: false } as const;
const ASK = { model: 'ewma', openS: null, openFill: 0.95, askMs: HOUR_MS } as const;

type Say = (world: World, pair: number, slot: number) => number;

/** What each model says of the next slot and of all later ones: the same, and as much for P95. */
function spanOf(world: World, firstOrigin: number, lastOrigin: number, say: Record<ReplayModel, Say>): ReplaySpan {
  const origins = lastOrigin - firstOrigin + 1;
  const said = (model: ReplayModel): ReplaySpan['of']['auto'] => {
    const p50 = Float64Array.from({ length: origins * world.pairs.length }, (_, at) => say[model](world, at % world.pairs.length, firstOrigin + Math.floor(at / world.pairs.length)));
    return new Map([1, 4].map((steps) => [steps, { p50, p90: p50, p95: p50 }])) as unknown as ReplaySpan['of']['auto'];
  };
  return { firstOrigin, origins, of: { auto: said('auto'), ewma: said('ewma') } };
}

const nothing: Say = () => 0;
/** What comes next, to the bit: no forecast is as good. */
const future: Say = (world, pair, slot) => Math.max(sumOf(world.pairs[pair]!, slot + 2)[slot + 1]!, sumOf(world.pairs[pair]!, Math.min(slot + 3, world.pairs[pair]!.forward.length)).at(-1)!);

describe('all settings of a pair', () => {
  it('include those of each forecast alone, and never look at one while they open on another', () => {
    const both = new SettingsGrid(['auto', 'ewma']);
    const all = Array.from({ length: both.size }, (_, at) => both.settings(at));
    for (const [at, settings] of all.entries()) {
      const [open, keep] = [both.opens[both.openOf[at]!]!, both.keeps[both.keepOf[at]!]!];
      expect(settings).toEqual({ ...keep, ...open });
      if (keep.looksAhead) expect(keep.model).toBe(open.model);
    }
    // the model names nothing where no forecast is used
    const keyOf = ({ model, openS, openFill, askMs, keepFill, holdMs, looksAhead }: (typeof all)[number]): string => [looksAhead || openS !== null ? model : 'none', openS, openFill, askMs, keepFill, holdMs, looksAhead].join(' ');
    const keys = new Set(all.map((settings) => keyOf(settings)));
    expect(keys.size).toBe(both.size);
    for (const model of ['auto', 'ewma'] as const) {
      const alone = new SettingsGrid([model]);
      const found = Array.from({ length: alone.size }, (_, at) => alone.settings(at)).filter((settings) => settings.openS !== null || model === 'auto');
      expect(found.length).toBeGreaterThan(500);
      for (const settings of found) expect(keys).toContain(keyOf(settings));
    }
  });
});

describe('what is asked for after a burst', () => {
  // two slots of 400 Mbit/s every half hour, else 10
  const series = Float32Array.from({ length: 80 }, (_, slot) => (slot >= 30 && slot < 60 && slot % 6 < 2 ? 400 : 10));
  const world: World = { ...buildWorld(tableOf(['berlin>oslo'], [series]), THREE_CITIES, 80), unitMbps: 20, autoApply: { perDecision: 2, perHour: 10 } };
  const signals = new PairSignals(world, spanOf(world, 24, 78, { auto: nothing, ewma: nothing }), 0);
  const units = (mbps: Float64Array): Int32Array => Int32Array.from(mbps, (each) => unitsFor(each, world.unitMbps));

  it('is the most of so long until then, from before the span too, and nothing later', () => {
    const asked = signals.open(ASK, 0, 55);
    expect([...asked]).toEqual(Array.from({ length: 55 }, (_, index) => Math.max(...series.subarray(24 + index - 11, 24 + index + 1))));
    expect([...signals.open(ASK, 20, 30)]).toEqual([...asked.subarray(20, 30)]);
    expect([...signals.open({ ...ASK, askMs: 0 }, 0, 55)]).toEqual([...series.subarray(24, 79)]);
  });

  it('is there for the next one when a person has approved it meanwhile; asked for in the burst alone it never comes', () => {
    const over = (askMs: number): number[] => {
      const tally = new Float64Array(TALLY.width);
      const demand = sumOf(world.pairs[0]!, 80).subarray(24);
      follow(world, demand, units(signals.open({ ...ASK, askMs }, 0, 55)), units(signals.keep({ ...KEEP, holdMs: askMs }, 0, 55)), 0, 55, 1, tally, 0);
      return [...tally];
    };
    const [asking, forgetful] = [over(HOUR_MS), over(0)];
    // five bursts of ten minutes: only the first is met with nothing
    expect(asking[TALLY.unservedMbit]! / forgetful[TALLY.unservedMbit]!).toBeLessThan(0.25);
    expect(asking[TALLY.slaMinutes]!).toBeLessThan(forgetful[TALLY.slaMinutes]!);
  });

  it('is tried as it is then carried out', () => {
    const grid = new SettingsGrid(['auto', 'ewma']);
    const trials = new PairTrials(world, spanOf(world, 24, 78, { auto: nothing, ewma: future }), grid, 0, REACTIVE_TEXTBOOK);
    const [tallies, ends] = [new Float64Array(TALLY.width * grid.size), new Int32Array(grid.size).fill(1)];
    trials.tryAll(3, 50, ends, tallies);
    for (let at = 0; at < grid.size; at += 97) {
      const series = trials.signals.empty();
      trials.signals.write(grid.settings(at), 3, 50, series);
      const tally = new Float64Array(TALLY.width);
      expect(follow(world, sumOf(world.pairs[0]!, 80).subarray(24), units(series.open), units(series.keep), 3, 50, 1, tally, 0)).toBe(ends[at]);
      expect([...tally]).toEqual([...tallies.subarray(TALLY.width * at, TALLY.width * (at + 1))]);
    }
  });
});

describe('a pair that nobody measures for some hours', () => {
  const series = Float32Array.from({ length: 80 }, (_, slot) => (slot >= 40 && slot < 70 ? NaN : slot < 40 ? 100 : 300));
  const world: World = { ...buildWorld(tableOf(['berlin>oslo'], [series]), THREE_CITIES, 80), unitMbps: 20, autoApply: { perDecision: 20, perHour: 200 } };
  // as if it were known what comes back: P50 rises to 300 within the gap, P95 says the same
  const rising: Say = (_, __, slot) => (slot < 50 ? 60 : 300);
  const span = spanOf(world, 24, 78, { auto: rising, ewma: rising });

  it('is opened for the median that is forecast, and nothing is kept that even P95 does not need, whatever it was set to', () => {
    const signals = new PairSignals(world, span, 0);
    const [first, until] = [40 - 24, 70 - 24];
    for (const at of [0, 500, 1500]) {
      const { openS: s, ...rest } = new SettingsGrid(['auto', 'ewma']).settings(at);
      const [open, keep] = [signals.open({ ...rest, openS: s }, 0, 55), signals.keep(rest, 0, 55)];
      for (let index = first; index < until; index++) expect([open[index], keep[index]]).toEqual(index + 24 < 50 ? [60, 60] : [300, 300]);
      if (!rest.looksAhead) expect(keep[first - 1]).toBeGreaterThanOrEqual(100);
    }
  });

  it('has its tunnels when it is measured again; under a rule it has those that it had', () => {
    const demand = sumOf(world.pairs[0]!, 80).subarray(24);
    const grid = new SettingsGrid(['auto']);
    const trials = new PairTrials(world, span, grid, 0, REACTIVE_TEXTBOOK);
    const [tallies, ends, rule] = [new Float64Array(TALLY.width * grid.size), new Int32Array(grid.size).fill(unitsFor(100, 20)), new Float64Array(TALLY.width)];
    trials.tryAll(0, 46, ends, tallies);
    expect(new Set(ends)).toEqual(new Set([unitsFor(300, 20)]));
    expect(trials.tryRule(0, 46, unitsFor(100, 20), rule)).toBe(trials.tryRule(0, 15, unitsFor(100, 20), rule));
    expect(demand.slice(16, 46).every((mbps) => Number.isNaN(mbps))).toBe(true);
  });
});

describe('the forecast that a pair is planned on', () => {
  it('is the one that has served it better, whichever of the two that is', () => {
    const table = demandTable(['berlin', 'oslo', 'madrid'], 480, 'which', 900_000);
    const world = buildWorld(table, THREE_CITIES, 384);
    const run = (models: readonly ReplayModel[], say: Record<ReplayModel, Say>): Figures => {
      const forecasts: ReplayForecasts = { backtest: spanOf(world, 306, 382, say), test: spanOf(world, 383, 478, say), groups: {} };
      return replay({ world, policy: forecastPolicy(world, forecasts, models, REACTIVE_TEXTBOOK, createDirectPlacement(world), 383, 's'), fromSlot: 383, untilSlot: 480, seed: 's', peaks: [] });
    };
    for (const [good, say] of [['auto', { auto: future, ewma: nothing }], ['ewma', { auto: nothing, ewma: future }]] as const) {
      const [best, both, useless] = [run([good], say), run(['auto', 'ewma'], say), run([good === 'auto' ? 'ewma' : 'auto'], say)];
      expect(useless.unservedMbit).toBeGreaterThan(1.5 * best.unservedMbit);
      expect(both.unservedMbit).toBeLessThan((best.unservedMbit + useless.unservedMbit) / 2);
    }
  });
});

describe('the choice of settings', () => {
  const usual = Float64Array.from([2, 2, 2, 8]);
  /** Unserved Mbit and hours of each setting; SLA minutes and changes go with them. */
  const books = (...settings: (readonly [unservedMbit: number, hours: number])[]): { tallies: Float64Array } => ({ tallies: Float64Array.from(settings.flatMap(([unservedMbit, hours]) => [unservedMbit, unservedMbit, hours, hours])) });
  // no price of an hour makes the middle the cheapest
  const steps = books([1, 0], [0.6, 1], [0, 2]);

  it('spends what no price spends: settings are steps', () => {
    expect(new Set(cheapestWithin([steps, steps], [1, 1], usual, 3, 99))).toEqual(new Set([1, 2]));
    expect(new Set(cheapestWithin([steps, steps], [1, 1], usual, 99, 3))).toEqual(new Set([1, 2]));
    expect(cheapestWithin([steps, steps], [1, 1], usual, 4, 4)).toEqual([2, 2]);
  });

  it('takes what exceeds least where nothing stays within the bounds, and leaves alone what gains nothing', () => {
    expect(cheapestWithin([books([1, 5], [0, 9]), steps], [1, 1], usual, 3, 99)).toEqual([0, 0]);
    expect(cheapestWithin([books([1, 0], [1, 3])], [1, 1], usual, 9, 9)).toEqual([0]);
    expect(cheapestWithin([], [1, 1], usual, 1, 1)).toEqual([]);
  });

  it('weighs more of what less has been removed, and decides by it', () => {
    expect(weightsOf(0.6, 0.6)).toEqual([1, 1]);
    expect(weightsOf(0.9, 0.3)).toEqual([1.8, expect.closeTo(0.2)]);
    expect(weightsOf(0, 0)).toEqual([1, 1]);
    // one setting serves all and is always too full, the other is never too full and serves half
    const either = { tallies: Float64Array.from([0, 2, 1, 1, 1.2, 0, 1, 1]) };
    expect(cheapestWithin([either], weightsOf(0.8, 0.5), usual, 9, 9)).toEqual([0]);
    expect(cheapestWithin([either], weightsOf(0.5, 0.8), usual, 9, 9)).toEqual([1]);
  });
});
