import * as fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { anchorSteps, interpolateSteps } from '../../src/forecast/anchors.ts';
import { chooseChampions, JUDGED_GROUPS, overallScores, servingModels, type Evidence, type Losses } from '../../src/forecast/contest.ts';
import { makeMatrix } from '../../src/forecast/demand-series.ts';
import { groupPairs } from '../../src/forecast/pair-groups.ts';
import { heldOutSlot } from '../../src/forecast/train-models.ts';
import { classId, siteId } from '../../src/model/index.ts';

const NAMES = ['ewma', 'rules', 'boosted', 'ensemble'];

/** Losses in equal parts of the time, each pair's share of a part the same. */
function losses(byBlock: number[], pairs = 4): Losses {
  const total = byBlock.reduce((sum, loss) => sum + loss, 0);
  return { total, byBlock, byPair: Array.from({ length: pairs }, () => total / pairs) };
}

const steady = (loss: number): number[] => Array.from({ length: 8 }, () => loss / 8);

function evidence(model: string, median: number | number[], more: Partial<Evidence> = {}): Evidence {
  const own = losses(typeof median === 'number' ? steady(median) : median);
  return { model, isBaseline: !['boosted', 'network', 'ensemble'].includes(model), group: 'heavy', steps: 1, looks: 100, cells: 500, demand: 1000, covered: 470, pinball: own.total / 2, median: own, upper: own, ...more };
}

const leaderOf = (...all: Evidence[]): string => chooseChampions(all).find(({ group }) => group === 'heavy')!.ranking[0]!;

describe('the contest', () => {
  it.each<[string, string, Evidence[]]>([
    ['the median of the rules, though one of them is a little better', 'rules', [evidence('ewma', 99.5), evidence('rules', 100), evidence('persistence', 103)]],
    ['a rule of thumb that is better at all times', 'ewma', [evidence('ewma', 97), evidence('rules', 100)]],
    ['the median of the rules where one is better by chance', 'rules', [evidence('ewma', [10, 10, 10, 10, 10, 10, 10, 20]), evidence('rules', [10, 10, 10, 10, 10, 10, 10, 30])]],
    ['the best rule of thumb where there is no median of them', 'ewma', [evidence('ewma', 99.5), evidence('persistence', 100)]],
    ['what learned and is better by 1 %', 'boosted', [evidence('boosted', 98), evidence('ewma', 100), evidence('rules', 99)]],
    ['a rule of thumb that is not beaten by 1 %', 'ewma', [evidence('boosted', 99.5), evidence('ewma', 100)]],
    ['the median of the rules where what learned is better than each of them, not than that', 'rules', [evidence('boosted', 95), evidence('ewma', 100), evidence('rules', 94)]],
    ['the ensemble on a tie with that, after a long back-test', 'ensemble', [evidence('ensemble', [10, 10, 12, 9.6, 9, 10, 10, 10], { looks: 300 }), evidence('rules', [10, 10, 11, 10, 10, 10, 9.5, 10], { looks: 300 }), evidence('ewma', 120)]],
    ['the median of the rules on a tie with it, after a shorter one', 'rules', [evidence('ensemble', [10, 10, 12, 9.6, 9, 10, 10, 10]), evidence('rules', [10, 10, 11, 10, 10, 10, 9.5, 10]), evidence('ewma', 120)]],
    ['the ensemble, though a part of it is a little better', 'ensemble', [evidence('boosted', [10, 10, 12, 9.6, 9, 10, 10, 10]), evidence('ensemble', [10, 10, 11, 10, 10, 10, 10, 10]), evidence('ewma', 120)]],
    ['a part of the ensemble that is better at all times', 'boosted', [evidence('boosted', 80), evidence('ensemble', 81), evidence('ewma', 120)]],
    ['the rules in a short back-test, where what learned is better at one time', 'rules', [evidence('boosted', [10, 10, 10, 10], { looks: 4 }), evidence('rules', [10, 10, 10, 30], { looks: 4 }), evidence('ewma', [10, 10, 10, 31], { looks: 4 })]],
    ['what learned in a short back-test, where it is better at all times and on all pairs', 'boosted', [evidence('boosted', [10, 10, 10, 10], { looks: 4 }), evidence('rules', [14, 13, 14, 13], { looks: 4 }), evidence('ewma', [15, 14, 15, 14], { looks: 4 })]],
  ])('takes %s', (_, expected, all) => {
    expect(leaderOf(...all)).toBe(expected);
    expect(leaderOf(...all.toReversed())).toBe(expected);
  });

  it('takes no learned model in a short back-test for what it does on one pair', () => {
    const of = (model: string, byPair: number[]): Evidence => evidence(model, 0, { looks: 4, median: { total: byPair.reduce((sum, loss) => sum + loss, 0), byBlock: steady(byPair.reduce((sum, loss) => sum + loss, 0)), byPair } });
    expect(leaderOf(of('boosted', [10, 10, 10, 10]), of('ewma', [10, 10, 10, 60]))).toBe('ewma');
    expect(leaderOf(of('boosted', [10, 10, 10, 10]), of('ewma', [20, 21, 22, 22]))).toBe('boosted');
  });

  it('chooses medians and upper quantiles apart, and says why', () => {
    const [champion] = chooseChampions([evidence('boosted', 80, { upper: losses(steady(12)) }), evidence('ewma', 100, { upper: losses(steady(10)) })]);
    expect(champion).toMatchObject({ ranking: ['boosted', 'ewma'], upperRanking: ['ewma', 'boosted'], wape: 0.08, rival: { model: 'ewma', wape: 0.1 } });
    expect(champion!.why).toBe("error 0.0800 on these pairs' own past, 20.0 % below ewma; ewma’s p95: loss 0.0100, the least of all");
  });

  it('takes what is best for all pairs where a kind has few cells', () => {
    const few = { group: 'sparse', cells: 50 } as const;
    const champions = chooseChampions([evidence('boosted', 80), evidence('ewma', 100), evidence('boosted', 3, few), evidence('ewma', 1, few)]);
    expect(champions.map(({ group, ranking }) => [group, ranking[0]])).toEqual(JUDGED_GROUPS.map((group) => [group, 'boosted']));
    expect(champions.find(({ group }) => group === 'sparse')!.why).toMatch(/on all pairs, since these have too little past/);
  });

  it('asks every model at last, in the same order whatever order the evidence comes in and whatever unit demand has', () => {
    const amounts = fc.array(fc.double({ min: 0, max: 100, noNaN: true }), { minLength: 8, maxLength: 8 });
    const contests = fc
      .record({ steps: fc.uniqueArray(fc.integer({ min: 1, max: 96 }), { minLength: 1, maxLength: 3 }), looks: fc.constantFrom(3, 100), all: fc.array(fc.tuple(amounts, amounts), { minLength: 36, maxLength: 36 }) })
      .map(({ steps, looks, all }) => steps.flatMap((step, at) => JUDGED_GROUPS.flatMap((group, place) => NAMES.map((model, index) => evidence(model, all[(at * 12 + place * 4 + index) % 36]![0], { group, steps: step, looks, cells: place === 2 ? 20 : 500, upper: losses(all[(at * 12 + place * 4 + index) % 36]![1]) })))));
    fc.assert(
      fc.property(contests.chain((all) => fc.tuple(fc.constant(all), fc.shuffledSubarray(all, { minLength: all.length }))), ([all, shuffled]) => {
        const champions = chooseChampions(all);
        expect(chooseChampions(shuffled)).toEqual(champions);
        expect(overallScores(shuffled)).toEqual(overallScores(all));
        const eight = (of: Losses): Losses => ({ total: 8 * of.total, byBlock: of.byBlock.map((loss) => 8 * loss), byPair: of.byPair.map((loss) => 8 * loss) });
        const scaled = all.map((each) => ({ ...each, demand: 8 * each.demand, median: eight(each.median), upper: eight(each.upper) }));
        expect(chooseChampions(scaled).map(({ ranking, upperRanking }) => [ranking, upperRanking])).toEqual(champions.map(({ ranking, upperRanking }) => [ranking, upperRanking]));
        for (const { ranking, upperRanking } of champions) for (const order of [ranking, upperRanking!]) expect(order.toSorted()).toEqual(NAMES.toSorted());
      }),
    );
  });

  it('does not depend on the order in which losses are added: 0.1 + 0.2 + 0.3 is not 0.3 + 0.2 + 0.1', () => {
    const parts = [0.1, 0.2, 0.3];
    const all = JUDGED_GROUPS.flatMap((group, place) => NAMES.map((model) => evidence(model, [parts[place]!], { group, cells: 30 })));
    // Of one model the groups come the other way round.
    const reversed = [...all.filter(({ model }) => model !== 'ewma'), ...all.filter(({ model }) => model === 'ewma').toReversed()];
    for (const other of [reversed, all.toReversed()]) {
      expect(chooseChampions(other)).toEqual(chooseChampions(all));
      expect(overallScores(other)).toEqual(overallScores(all));
    }
  });

  it('is told in one line for neighbouring distances with the same champions', () => {
    const at = (steps: number, ewma: number, boosted: number, upper = boosted): Evidence[] => [evidence('ewma', ewma, { steps }), evidence('boosted', boosted, { steps, upper: losses(steady(upper)) })];
    const champions = chooseChampions([...at(1, 10, 10), ...at(2, 20, 15), ...at(4, 40, 20), ...at(8, 50, 20, 60)]);
    const served = servingModels(champions, { heavy: 3, middle: 0, sparse: 0, new: 0 });
    expect(served.map(({ fromStep, toStep, model, upperModel, rival }) => [fromStep, toStep, model, upperModel, rival?.model])).toEqual([[1, 1, 'ewma', undefined, 'boosted'], [2, 4, 'boosted', undefined, 'ewma'], [5, 8, 'boosted', 'ewma', 'ewma']]);
    expect(served[1]).toMatchObject({ pairs: 3, wape: 0.02 });
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
  expect(heldOutSlot(960, 96, 12)).toBe(640);
  expect(heldOutSlot(300, 96, 12)).toBe(200);
  expect(heldOutSlot(250, 96, 12)).toBeNull();
});
