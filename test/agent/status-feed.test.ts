import { describe, expect, it } from 'vitest';
import { createStatusFeed } from '../../agent/status-feed.ts';
import { type Clock, VirtualClock } from '../../src/base/index.ts';
import type { StatusMessage } from '../../src/model/index.ts';

/** A feed on a machine where looking for changes takes so long, with the times at which it looked. */
function feedWhereLookingTakes(costMs: number) {
  const clock = new VirtualClock();
  let spentMs = 0;
  const busy: Clock = { now: () => clock.now(), monotonicMs: () => clock.monotonicMs() + spentMs, setTimer: (afterMs, run) => clock.setTimer(afterMs, run) };
  const looks: number[] = [];
  const current = (): StatusMessage => {
    looks.push(clock.monotonicMs());
    spentMs += costMs;
    return { looks: looks.length } as unknown as StatusMessage;
  };
  return { clock, looks, feed: createStatusFeed({ clock: busy, current, send: () => undefined }) };
}

describe('the status feed', () => {
  it('gathers changes for 50 ms where looking at them is cheap', async () => {
    const { clock, looks, feed } = feedWhereLookingTakes(0);
    const sinceMs = clock.monotonicMs();
    for (let round = 0; round < 3; round++) {
      feed.changed();
      await clock.advance(50);
    }
    expect([...new Set(looks.map((at) => at - sinceMs))]).toEqual([50, 100, 150]);
  });

  it('looks less often where that is expensive, but at least twice a second', async () => {
    const { clock, looks, feed } = feedWhereLookingTakes(200);
    feed.changed();
    await clock.advance(50);
    const before = looks.length;
    feed.changed();
    await clock.advance(499);
    expect(looks.length).toBe(before);
    await clock.advance(1);
    expect(looks.length).toBeGreaterThan(before);
  });
});
