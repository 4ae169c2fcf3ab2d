import { describe, expect, it } from 'vitest';
import type { DriftTurn } from '../../../src/forecast/live/scoreboard.ts';
import { liveThrough, type Regime } from './synthetic.ts';

/** The figures of docs/regret.md: FOREMESH_DRIFT_WEEKS=100 npx vitest run --project unit test/forecast/live/drift-rate.test.ts */
const WEEKS = Number(process.env['FOREMESH_DRIFT_WEEKS'] ?? 1);
const isMeasuring = WEEKS > 1;
const DEMANDS = isMeasuring ? 12 : 3;
const CHANGED_ON = isMeasuring ? 10 : 4;
const DAYS_AFTER = isMeasuring ? 10 : 4;

const REGIMES: Record<string, Regime> = {
  'days that begin six hours later': (_mbps, _series, slot, history) => history[slot - 24]!,
  'twice as much of everything': (mbps) => mbps * 2,
  'half as much of everything': (mbps) => mbps / 2,
  'a backup every night': (mbps, series, slot) => mbps + (slot % 96 < 16 ? 10 * (series + 1) : 0),
};

const tell = (text: string): void => {
  if (isMeasuring) process.stderr.write(`${text}\n`);
};

describe('the watch over a champion', () => {
  it('gives no alarm while the world stays as it was', () => {
    const runs = Array.from({ length: isMeasuring ? Math.ceil(WEEKS / 8) : 1 }, (_, run) => liveThrough({ days: isMeasuring ? 56 : 7 * WEEKS, seed: `calm-${run}`, demands: DEMANDS }));
    const alarms = runs.flatMap(({ turns }) => turns.filter(({ to }) => to !== 'ok'));
    const weeks = isMeasuring ? runs.length * 8 : WEEKS;
    tell(`${alarms.length} alarms in ${weeks} weeks of all groups: ${alarms.map(({ group, to, reason }) => `${group} ${to}: ${reason}`).join(' | ')}`);
    for (const { group, step, scores } of runs[0]!.board.rows(0)) tell(`${group} ${step}: ${scores.map(({ model, wape, pinballP95, coverageP95 }) => `${model} wape ${wape} p95 ${pinballP95} holds ${coverageP95}`).join(', ')}`);
    expect(alarms.length / weeks).toBeLessThanOrEqual(0.1);
    expect(runs[0]!.board.health({} as never)).toMatchObject({ confidence: 1 });
  });

  const regimes = Object.entries(REGIMES).slice(0, isMeasuring ? undefined : 2);
  it.each(regimes)('notices %s, and says so once', (name, regime) => {
    const first = (turns: readonly (DriftTurn & { day: number })[], to: DriftTurn['to'][]): number | null => {
      const turn = turns.find((each) => each.day >= CHANGED_ON && to.includes(each.to));
      return turn ? turn.day - CHANGED_ON : null;
    };
    for (const seed of isMeasuring ? ['one', 'two', 'three'] : ['one']) {
      const { turns } = liveThrough({ days: CHANGED_ON + DAYS_AFTER, seed, from: CHANGED_ON, regime, demands: DEMANDS });
      for (const group of ['heavy', 'middle']) {
        const own = turns.filter((turn) => turn.group === group);
        tell(`${name}, ${seed}, ${group}: noticed after ${first(own, ['drifting', 'failed'])} days, failed after ${first(own, ['failed'])}`);
        if (isMeasuring) continue;
        expect(first(own, ['drifting', 'failed'])).toBeLessThanOrEqual(2);
        expect(own.filter((turn) => turn.day < CHANGED_ON && turn.to !== 'ok')).toEqual([]);
      }
      if (name === 'days that begin six hours later') expect(turns.some(({ to }) => to === 'failed')).toBe(true);
    }
  });
}, 3_600_000);
