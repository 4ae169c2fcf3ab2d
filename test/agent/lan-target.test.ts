import { describe, expect, it } from 'vitest';
import { createLanTarget } from '../../agent/lan-target.ts';
import { createLog, VirtualClock } from '../../src/base/index.ts';

/** A host that answers a ping every 200 ms while it is alive. */
function startTarget() {
  const clock = new VirtualClock();
  const said: boolean[] = [];
  const pinged: string[] = [];
  const host = { isAlive: true, isStopped: false };
  const target = createLanTarget({
    clock,
    log: createLog('test', 'silent'),
    onChange: (isDead) => said.push(isDead),
    ping: (address, onReply) => {
      pinged.push(address);
      let isOn = true;
      const beat = (): void => {
        if (!isOn) return;
        if (host.isAlive) onReply();
        clock.setTimer(200, beat);
      };
      clock.setTimer(200, beat);
      return () => {
        isOn = false;
        host.isStopped = true;
      };
    },
  });
  return { clock, said, pinged, host, target };
}

describe('the target behind a gateway', () => {
  it('is dead a second after its last answer, and alive after three seconds of answers', async () => {
    const { clock, said, host, target } = startTarget();
    target.watch('10.1.0.10');
    await clock.advance(10_000);
    expect(said).toEqual([]);
    host.isAlive = false;
    await clock.advance(800);
    expect(target.isDead()).toBe(false);
    await clock.advance(600);
    expect(said).toEqual([true]);
    host.isAlive = true;
    await clock.advance(2_800);
    expect(target.isDead()).toBe(true);
    await clock.advance(800);
    expect(said).toEqual([true, false]);
  });

  it('says nothing by never having answered', async () => {
    const { clock, said, host, target } = startTarget();
    host.isAlive = false;
    target.watch('10.1.0.10');
    await clock.advance(60_000);
    expect(said).toEqual([]);
  });

  it('is looked at as long as the config names it, and another one begins anew', async () => {
    const { clock, said, pinged, host, target } = startTarget();
    target.watch('10.1.0.10');
    target.watch('10.1.0.10');
    await clock.advance(1_000);
    host.isAlive = false;
    await clock.advance(2_000);
    target.watch('10.1.0.11');
    expect([pinged, said]).toEqual([['10.1.0.10', '10.1.0.11'], [true, false]]);
    target.watch(null);
    expect(host.isStopped).toBe(true);
  });
});
