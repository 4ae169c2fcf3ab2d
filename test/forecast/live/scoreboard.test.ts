import * as fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { Scoreboard, type ScoreboardState } from '../../../src/forecast/live/scoreboard.ts';
import { shadowForecasts } from '../../../src/forecast/live/shadow.ts';
import { addCell, addTally, emptyTally, scoreOf } from '../../../src/forecast/live/tally.ts';
import { classId, siteId, type DemandSeries, type Forecast, type ForecastSettings, type Observation } from '../../../src/model/index.ts';

const SLOT_MS = 1000;
const SETTINGS: ForecastSettings = { slotMs: SLOT_MS, slotsPerDay: 8, horizonSlots: 4, provision: 'p95' };
const PAIR = { from: siteId('a'), to: siteId('b'), classId: classId('voice') };
const series = (mbps: (number | null)[], to = 'b'): DemandSeries => ({ ...PAIR, to: siteId(to), mbps });
const observedAt = (slot: number, ...demands: DemandSeries[]): Observation => ({ observedAt: slot * SLOT_MS, slotMs: SLOT_MS, lastSlotEndAt: slot * SLOT_MS, demands, paths: [], tunnels: [], nodes: [] });
const saying = (slot: number, p50: number, p95 = p50, model = 'm'): Forecast => ({
  madeAt: slot * SLOT_MS,
  slotMs: SLOT_MS,
  model,
  backtest: [],
  demands: [{ ...PAIR, slots: [0, 1, 2, 3].map((index) => ({ startAt: (slot + index) * SLOT_MS, p50, p90: p95, p95 })) }],
});

describe('what rules of thumb say', () => {
  const past = Array.from({ length: 24 }, (_, slot) => slot % 8);

  it('is the last value, the smoothed level, and the same slot of a day before', () => {
    const { persistence, ewma, 'seasonal-naive': seasonal } = shadowForecasts([series(past)], 8, [1, 4]);
    expect([persistence[0]![0], persistence[0]![3]]).toEqual([7, 7]);
    expect(ewma[0]![0]).toBeCloseTo(ewma[0]![3]!);
    expect([seasonal[0]![0], seasonal[0]![3]]).toEqual([0, 3]);
  });

  it('looks at nothing but the past, and gives ordered quantiles that are numbers, whatever is missing', () => {
    fc.assert(
      fc.property(fc.array(fc.option(fc.double({ min: 0, max: 1e6, noNaN: true })), { minLength: 1, maxLength: 80 }), (mbps) => {
        for (const rows of Object.values(shadowForecasts([series(mbps), series(past, 'c')], 8, [1, 3]))) {
          for (const row of rows) {
            for (let at = 0; at < row.length; at += 3) {
              expect(row[at]! >= 0 && row[at]! <= row[at + 1]! && row[at + 1]! <= row[at + 2]! && Number.isFinite(row[at + 2]!)).toBe(true);
            }
          }
        }
      }),
      { numRuns: 50 },
    );
  });

  it('holds P95 as often as it should on what it has not seen', () => {
    const noisy = Array.from({ length: 400 }, (_, slot) => 10 + 3 * Math.sin(slot * 12.9898) + 2 * Math.sin(slot * 78.233));
    let held = 0;
    for (let end = 200; end < 396; end++) if (noisy[end]! <= shadowForecasts([series(noisy.slice(0, end))], 96, [1]).ewma[0]![2]!) held++;
    expect(held / 196).toBeGreaterThan(0.9);
    expect(held / 196).toBeLessThan(0.99);
  });
});

describe('the scoreboard', () => {
  it('keeps the kinds that models are chosen for apart, each with the champion that serves it', () => {
    const board = new Scoreboard();
    const full = (mbps: number): number[] => Array.from({ length: 16 }, () => mbps);
    const demands = [series(full(100), 'heavy'), series(full(10), 'middle'), series(full(10).map((mbps, slot) => (slot % 4 === 0 ? mbps : 0)), 'sparse'), series([...Array.from({ length: 12 }, () => null), 5, 5, 5, 5], 'new')];
    const serving = (group: 'heavy' | 'middle' | 'sparse' | 'new', model: string) => ({ group, pairs: 1, fromStep: 1, toStep: 4, model, wape: null, rival: null, why: '' });
    const forecast = { ...saying(16, 9), serving: [serving('heavy', 'ensemble'), serving('middle', 'boosted'), serving('sparse', 'rules'), serving('new', 'ewma')] };
    board.observe(observedAt(16, ...demands), SETTINGS);
    board.expect({ ...forecast, demands: demands.map(({ to }) => ({ ...forecast.demands[0]!, to })) }, observedAt(16, ...demands), SETTINGS);
    const later = demands.map((each) => ({ ...each, mbps: [...each.mbps.slice(2), 10, 10] }));
    board.observe(observedAt(18, ...later), SETTINGS);
    expect(board.rows(0).map(({ group, step, scores }) => [group, step, scores[0]!.model, scores[0]!.cells])).toEqual([['heavy', 1, 'ensemble', 1], ['middle', 1, 'boosted', 1], ['sparse', 1, 'rules', 1], ['new', 1, 'ewma', 1]]);
    expect(board.health(observedAt(18, ...later)).groups.map(({ group, demands: count }) => [group, count])).toEqual([['heavy', 1], ['middle', 1], ['sparse', 1], ['new', 1]]);
  });

  it('takes up a board of before, which knew the heaviest tenth and all others', () => {
    const before = new Scoreboard();
    before.observe(observedAt(4, series([10, 10, 10, 10])), SETTINGS);
    before.expect(saying(4, 8), observedAt(4, series([10, 10, 10, 10])), SETTINGS);
    before.observe(observedAt(9, series([10, 10, 10, 10, 12, 10, 10, 16, 99])), SETTINGS);
    const old = JSON.parse(JSON.stringify(before.state()).replaceAll('"new', '"usual')) as ScoreboardState;
    const board = new Scoreboard(old);
    expect(board.rows(0).map(({ group, scores }) => [group, scores.length])).toEqual(before.rows(0).map(({ scores }) => ['middle', scores.length]));
    expect(board.state().watches).toEqual({ middle: before.state().watches.new });
  });

  it('scores a forecast when its slot and one more have gone by, by distance, beside the rules of thumb', () => {
    const board = new Scoreboard();
    const past = [10, 10, 10, 10];
    board.observe(observedAt(4, series(past)), SETTINGS);
    board.expect(saying(4, 8, 9), observedAt(4, series(past)), SETTINGS);
    board.observe(observedAt(5, series([...past, 12])), SETTINGS);
    expect(board.rows(0)).toEqual([]);
    board.observe(observedAt(9, series([...past, 12, 10, 10, 16, 99])), SETTINGS);
    const rows = board.rows(0);
    expect(rows.map(({ group, step }) => `${group} ${step}`)).toEqual(['new 1', 'new 4']);
    expect(rows[0]!.scores[0]).toMatchObject({ model: 'm', isChampion: true, cells: 1, wape: 0.3333, coverageP95: 0, bias: -0.3333, unmetP95: 0.25 });
    expect(rows[1]!.scores[0]).toMatchObject({ wape: 0.5, unmetP95: 0.4375 });
    expect(rows[1]!.scores.map(({ model }) => model).sort()).toEqual(['ewma', 'm', 'persistence', 'seasonal-naive']);
  });

  it('counts no slot of which nothing is known, nor silence that was expected', () => {
    const board = new Scoreboard();
    const past = [10, 10, 10, 10];
    board.observe(observedAt(4, series(past)), SETTINGS);
    board.expect(saying(4, 0), observedAt(4, series(past)), SETTINGS);
    board.observe(observedAt(10, series([...past, null, 5, 5, 0, 0, 0])), SETTINGS);
    expect(board.rows(0)).toEqual([]);
  });

  it('remembers one forecast a slot, and scores it from telemetry after a restart that took longer than the horizon', () => {
    const board = new Scoreboard();
    const past = [10, 10, 10, 10];
    for (const p50 of [9, 1]) {
      board.observe(observedAt(4, series(past)), SETTINGS);
      board.expect(saying(4, p50), observedAt(4, series(past)), SETTINGS);
    }
    const restarted = new Scoreboard(JSON.parse(JSON.stringify(board.state())) as ScoreboardState);
    restarted.observe(observedAt(20, series([...past, ...Array.from({ length: 16 }, () => 10)])), SETTINGS);
    expect(restarted.rows(0).map(({ scores }) => scores[0]!.wape)).toEqual([0.1, 0.1]);
  });

  it('begins anew when slots have another length', () => {
    const board = new Scoreboard();
    board.observe(observedAt(4, series([1, 1])), SETTINGS);
    board.expect(saying(4, 1), observedAt(4, series([1, 1])), SETTINGS);
    board.observe(observedAt(9, series([1, 1])), { ...SETTINGS, slotsPerDay: 4 });
    expect(board.state()).toMatchObject({ pending: [], slotsPerDay: 4 });
  });

  it('keeps a year of days and no forecast longer than its horizon', () => {
    const board = new Scoreboard();
    for (let slot = 10; slot < 400 * 8; slot += 2) {
      const observation = observedAt(slot, series(Array.from({ length: 9 }, () => 5)));
      board.observe(observation, SETTINGS);
      board.expect(saying(slot, 5), observation, SETTINGS);
    }
    expect(board.state().days).toHaveLength(366);
    expect(board.state().pending.length).toBeLessThanOrEqual(8);
    expect(JSON.stringify(board.state()).length).toBeLessThan(1_000_000);
  });

  it('adds up: scores of parts are the score of the whole', () => {
    const cell = fc.tuple(fc.integer({ min: 0, max: 100 }), fc.integer({ min: 0, max: 100 }), fc.integer({ min: 0, max: 50 }), fc.integer({ min: 0, max: 50 }));
    fc.assert(
      fc.property(fc.array(cell), fc.array(cell), (one, other) => {
        const [first, second, whole] = [emptyTally(), emptyTally(), emptyTally()];
        for (const [actual, p50, more, most] of one) addCell(first, actual, p50, p50 + more, p50 + more + most);
        for (const [actual, p50, more, most] of other) addCell(second, actual, p50, p50 + more, p50 + more + most);
        for (const [actual, p50, more, most] of [...one, ...other]) addCell(whole, actual, p50, p50 + more, p50 + more + most);
        addTally(first, second);
        const [sum, all] = [scoreOf('m', true, first), scoreOf('m', true, whole)];
        for (const key of Object.keys(all) as (keyof typeof all)[]) if (typeof all[key] === 'number') expect(sum[key]).toBeCloseTo(all[key], 3);
      }),
    );
  });
});
