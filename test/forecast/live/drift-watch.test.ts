import { describe, expect, it } from 'vitest';
import { emptyWatch, watchSlot, type DriftWatch } from '../../../src/forecast/live/drift-watch.ts';

const SLOTS = 8;

/** So many days in which the champion loses `champion` where every rule loses 10; P95 holds `held` of ten cells. */
function live(watch: DriftWatch, days: number, champion: number, held = 10): DriftWatch {
  let next = watch;
  for (let slot = 0; slot < days * SLOTS; slot++) next = watchSlot(next, { slotAt: slot, champion: { pinball: champion, cells: 10, held }, baselines: { persistence: 12, ewma: 10, 'seasonal-naive': 11 } }, SLOTS);
  return next;
}

describe('the watch', () => {
  it('stays ok while the champion leads, also by less than the back-test said, and knows the best rule', () => {
    expect(live(emptyWatch(null), 30, 8)).toMatchObject({ state: 'ok', best: 'ewma', sinceAt: null });
    expect(live(emptyWatch(Math.log(0.7)), 30, 8)).toMatchObject({ state: 'ok' });
  });

  it('drifts when the lead is lost, without failing while the champion is no worse than the best rule', () => {
    expect(live(live(emptyWatch(null), 10, 6), 6, 10)).toMatchObject({ state: 'drifting', reason: expect.stringContaining('its lead over ewma is gone') as string });
  });

  it('fails a champion that loses to a rule, and takes it back when it has won for some time, not at the first good block', () => {
    const failed = live(live(emptyWatch(null), 10, 8), 4, 15);
    expect(failed).toMatchObject({ state: 'failed', reason: expect.stringContaining('it lost to ewma: 50 % more loss') as string });
    expect(live(failed, 0.25, 5)).toMatchObject({ state: 'failed' });
    expect(live(failed, 2, 6)).toMatchObject({ state: 'ok', reason: 'it beat ewma again' });
    expect(live(failed, 10, 10)).toMatchObject({ state: 'failed' });
  });

  it('drifts when P95 holds too seldom, and is ok again after a day that was as promised', () => {
    const drifting = live(live(emptyWatch(null), 10, 8), 2, 8, 6);
    expect(drifting).toMatchObject({ state: 'drifting', reason: expect.stringContaining('P95 held 7') as string });
    expect(live(drifting, 0.5, 8)).toMatchObject({ state: 'drifting' });
    expect(live(drifting, 1.25, 8)).toMatchObject({ state: 'ok' });
  });

  it('takes a lead that has become smaller for good as the normal one after some weeks', () => {
    const smaller = live(live(emptyWatch(null), 10, 5), 5, 9);
    expect(smaller).toMatchObject({ state: 'drifting' });
    expect(live(smaller, 4, 9)).toMatchObject({ state: 'drifting' });
    expect(live(smaller, 40, 9)).toMatchObject({ state: 'ok' });
  });

  it('is moved by no slot in which nothing was scored, and not for ever by one terrible block', () => {
    const calm = live(emptyWatch(null), 10, 8);
    expect(watchSlot(calm, { slotAt: 1, champion: { pinball: 0, cells: 0, held: 0 }, baselines: { persistence: 0, ewma: 0, 'seasonal-naive': 0 } }, SLOTS)).toBe(calm);
    expect(live(live(calm, 0.25, 10_000), 3, 8)).toMatchObject({ state: 'ok' });
  });

  it('survives being written down in the middle of a block', () => {
    const watch = live(emptyWatch(null), 10.125, 8);
    expect(live(JSON.parse(JSON.stringify(watch)) as DriftWatch, 3, 15)).toEqual(live(watch, 3, 15));
  });
});
