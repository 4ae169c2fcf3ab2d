import { describe, expect, it } from 'vitest';
import { Initiations, PLACE_LIMIT_MS, WINDOW } from '../../../agent/vici/initiations.ts';
import { VirtualClock } from '../../../src/base/index.ts';
import type { TunnelId } from '../../../src/model/index.ts';

const tunnel = (index: number) => `t-0000000${index}` as TunnelId;

function setUp(start: (tunnel: TunnelId) => Promise<void> = () => Promise.resolve()) {
  const clock = new VirtualClock();
  const started: TunnelId[] = [];
  const initiations = new Initiations(clock, (id) => {
    started.push(id);
    return start(id);
  });
  return { clock, started, initiations };
}

describe('IKE exchanges', () => {
  it('run at most four at a time, the rest in order as places become free', async () => {
    const { initiations, started, clock } = setUp();
    for (let index = 0; index < 7; index++) await initiations.add(tunnel(index));
    expect(started).toEqual([0, 1, 2, 3].map(tunnel));
    initiations.finish(tunnel(2));
    initiations.finish(tunnel(0));
    await clock.advance(0);
    expect(started).toEqual([0, 1, 2, 3, 4, 5].map(tunnel));
  });

  it('never run twice for one tunnel, waiting or running', async () => {
    const { initiations, started, clock } = setUp();
    for (let round = 0; round < 3; round++) for (let index = 0; index < WINDOW + 1; index++) await initiations.add(tunnel(index));
    expect(started).toHaveLength(WINDOW);
    initiations.finish(tunnel(0));
    await clock.advance(0);
    expect(started).toEqual([0, 1, 2, 3, 4].map(tunnel));
  });

  it('are many while more wait than may run', async () => {
    const { initiations, clock } = setUp();
    for (let index = 0; index < 2 * WINDOW; index++) await initiations.add(tunnel(index));
    expect(initiations.isBusy).toBe(false);
    await initiations.add(tunnel(2 * WINDOW));
    expect(initiations.isBusy).toBe(true);
    initiations.finish(tunnel(0));
    await clock.advance(0);
    expect(initiations.isBusy).toBe(false);
  });

  it('that take long give their place away', async () => {
    const { initiations, started, clock } = setUp();
    for (let index = 0; index < 6; index++) await initiations.add(tunnel(index));
    await clock.advance(PLACE_LIMIT_MS);
    expect(started).toHaveLength(6);
  });

  it('that cannot begin tell the caller and free their place', async () => {
    const { initiations, started } = setUp((id) => (id === tunnel(0) ? Promise.reject(new Error('refused')) : Promise.resolve()));
    await expect(initiations.add(tunnel(0))).rejects.toThrow('refused');
    for (let index = 1; index <= WINDOW; index++) await initiations.add(tunnel(index));
    expect(started).toHaveLength(WINDOW + 1);
  });

  it('are forgotten when the daemon goes', async () => {
    const { initiations, started, clock } = setUp();
    for (let index = 0; index < 6; index++) await initiations.add(tunnel(index));
    initiations.clear();
    await clock.advance(PLACE_LIMIT_MS * 2);
    expect(started).toHaveLength(WINDOW);
    await initiations.add(tunnel(0));
    expect(started).toHaveLength(WINDOW + 1);
  });
});
