import * as fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { anchorSteps, interpolateSteps } from '../../src/forecast/anchors.ts';
import { chooseChampions, JUDGED_GROUPS, overallScores, servingModels, type GroupScore } from '../../src/forecast/contest.ts';
import { makeMatrix } from '../../src/forecast/demand-series.ts';
import { groupPairs } from '../../src/forecast/pair-groups.ts';
import { splitHistory } from '../../src/forecast/train-models.ts';
import { classId, siteId } from '../../src/model/index.ts';

const MODELS = [
  { model: 'ewma', isBaseline: true },
  { model: 'holt-winters', isBaseline: true },
  { model: 'boosted', isBaseline: false },
  { model: 'network', isBaseline: false },
];

/** Scores of all models over the same cells, as a back-test gives them. */
const contests = fc
  .record({ steps: fc.uniqueArray(fc.integer({ min: 1, max: 96 }), { minLength: 1, maxLength: 4 }), cells: fc.constantFrom(0, 20, 500), losses: fc.array(fc.double({ min: 0, max: 100, noNaN: true }), { minLength: 48, maxLength: 48 }) })
  .map(({ steps, cells, losses }) => steps.flatMap((step, at) => JUDGED_GROUPS.flatMap((group, place) => MODELS.map((who, index): GroupScore => ({ ...who, group, steps: step, cells: place === 2 ? cells : 500, demand: 1000, error: losses[(at * 12 + place * 4 + index) % 48]!, pinball: losses[(at * 12 + place * 4 + index) % 48]!, covered: 450 })))));

describe('the contest', () => {
  it('never lets a learned model lead that is not clearly better than every simple one, nor a simple one that another simple one beats', () => {
    fc.assert(
      fc.property(contests, (scores) => {
        for (const { group, steps, ranking } of chooseChampions(scores)) {
          const own = scores.filter((score) => score.group === group && score.steps === steps);
          const sums = own[0]!.cells >= 100 ? own : MODELS.map((who) => ({ ...who, pinball: scores.filter((score) => score.steps === steps && score.model === who.model).reduce((sum, { pinball }) => sum + pinball, 0) }));
          const lossOf = (name: string): number => sums.find(({ model }) => model === name)!.pinball;
          const simple = Math.min(lossOf('ewma'), lossOf('holt-winters'));
          const best = Math.min(...MODELS.map(({ model }) => lossOf(model)));
          if (MODELS.find(({ model }) => model === ranking[0])!.isBaseline) {
            expect(lossOf(ranking[0]!)).toBe(simple);
            expect(best).toBeGreaterThanOrEqual(0.99 * simple);
          } else {
            expect(lossOf(ranking[0]!)).toBe(best);
            expect(best).toBeLessThan(0.99 * simple);
          }
        }
      }),
    );
  });

  it('asks every model at last, in the same order whatever order the scores come in and whatever unit demand has', () => {
    fc.assert(
      fc.property(contests.chain((scores) => fc.tuple(fc.constant(scores), fc.shuffledSubarray(scores, { minLength: scores.length }))), ([scores, shuffled]) => {
        const champions = chooseChampions(scores);
        expect(chooseChampions(shuffled)).toEqual(champions);
        const scaled = scores.map((score) => ({ ...score, demand: score.demand * 8, error: score.error * 8, pinball: score.pinball * 8 }));
        expect(chooseChampions(scaled).map(({ ranking }) => ranking)).toEqual(champions.map(({ ranking }) => ranking));
        for (const { ranking } of champions) expect(ranking.toSorted()).toEqual(MODELS.map(({ model }) => model).toSorted());
        expect(overallScores(shuffled)).toEqual(overallScores(scores));
      }),
    );
  });

  it('does not depend on the order in which losses are added: 0.1 + 0.2 + 0.3 is not 0.3 + 0.2 + 0.1', () => {
    const losses = [0.1, 0.2, 0.3];
    const scores = JUDGED_GROUPS.flatMap((group, place) => MODELS.map((who): GroupScore => ({ ...who, group, steps: 1, cells: 50, demand: 1, error: losses[place]!, pinball: losses[place]!, covered: 45 })));
    // Of one model the groups come the other way round.
    const reversed = [...scores.filter(({ model }) => model !== 'holt-winters'), ...scores.filter(({ model }) => model === 'holt-winters').toReversed()];
    for (const other of [reversed, scores.toReversed()]) {
      expect(chooseChampions(other)).toEqual(chooseChampions(scores));
      expect(overallScores(other)).toEqual(overallScores(scores));
    }
  });

  it('is told in one line for neighbouring distances with the same champion', () => {
    const score = (model: string, steps: number, pinball: number): GroupScore => ({ model, isBaseline: model !== 'boosted', group: 'heavy', steps, cells: 500, demand: 1000, error: 2 * pinball, pinball, covered: 470 });
    const champions = chooseChampions([score('ewma', 1, 10), score('boosted', 1, 10), score('ewma', 2, 20), score('boosted', 2, 15), score('ewma', 4, 40), score('boosted', 4, 20)]);
    const served = servingModels(champions, { heavy: 3, middle: 0, sparse: 0, new: 0 });
    expect(served.map(({ fromStep, toStep, model, rival }) => [fromStep, toStep, model, rival?.model])).toEqual([[1, 1, 'ewma', 'boosted'], [2, 4, 'boosted', 'ewma']]);
    expect(served[1]).toMatchObject({ pairs: 3, wape: 0.04, why: "pinball loss 0.0200 on these pairs' own past, 50.0 % below ewma" });
  });
});

describe('pairs are told apart', () => {
  const series = (name: string, mbps: (number | null)[]): Parameters<typeof makeMatrix>[0][number] => ({ from: siteId(name), to: siteId('x'), classId: classId('c'), mbps });
  const full = (value: (slot: number) => number | null): (number | null)[] => Array.from({ length: 48 }, (_, slot) => value(slot));

  it('by weight, by silence and by how long they are known', () => {
    const matrix = makeMatrix([series('large', full(() => 9)), series('small', full(() => 1)), series('rare', full((slot) => (slot % 4 === 0 ? 2 : 0))), series('late', full((slot) => (slot < 30 ? null : 50))), series('dumb', full(() => null))], 48_000, 1000, 24);
    expect(groupPairs(matrix)).toEqual(['heavy', 'middle', 'sparse', 'new', 'new']);
  });
});

describe('what lies between the anchors', () => {
  it.each([[1, [1]], [4, [1, 2, 4]], [12, [1, 2, 4, 8, 12]], [20, [1, 2, 4, 8, 12, 18, 20]]])('of a horizon of %i slots %j', (horizon, anchors) => {
    expect(anchorSteps(horizon)).toEqual(anchors);
  });

  it('is between their values when the day has no shape, and meets them', () => {
    fc.assert(
      fc.property(fc.integer({ min: 1, max: 96 }), fc.array(fc.double({ min: 0, max: 5, noNaN: true }), { minLength: 12, maxLength: 12 }), (horizon, values) => {
        const anchors = anchorSteps(horizon);
        const at = anchors.map((_, index) => values[index]!);
        const curve = interpolateSteps(anchors, at, new Float64Array(horizon), horizon);
        anchors.forEach((steps, index) => expect(curve[steps - 1]).toBeCloseTo(at[index]!, 9));
        for (const value of curve) expect(value).toBeGreaterThanOrEqual(Math.min(...at) - 1e-9);
        for (const value of curve) expect(value).toBeLessThanOrEqual(Math.max(...at) + 1e-9);
      }),
    );
  });

  it('follows the day where it bends', () => {
    const shape = [0, 0, 0, 0, 0, 3, 3, 0];
    expect([...interpolateSteps([1, 2, 4, 8], [1, 1, 1, 1], shape, 8)]).toEqual([1, 1, 1, 1, 1, 4, 4, 1]);
  });
});

it('keeps what is judged apart from what is learned, and asks for two days at least to learn from', () => {
  expect(splitHistory(960, 96, 12)).toEqual({ calibrateFrom: 640, testFrom: 800 });
  expect(splitHistory(300, 96, 12)).toEqual({ calibrateFrom: 200, testFrom: 250 });
  expect(splitHistory(250, 96, 12)).toBeNull();
});
