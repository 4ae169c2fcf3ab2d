import { describe, expect, it } from 'vitest';
import { createAnchoredClock, VirtualClock } from '../../src/base/index.ts';
import { createSteppedClock } from '../support/stepped-clock.ts';

const YEAR_MS = 365 * 86_400_000;
const START = Date.UTC(2026, 0, 5);

describe('an anchored clock', () => {
  const make = () => {
    const time = new VirtualClock(START);
    const machine = createSteppedClock(time);
    return { time, machine, clock: createAnchoredClock(machine) };
  };

  it('is the machine’s while nothing is proven, and when it is ahead of what is', async () => {
    const { time, clock } = make();
    clock.anchor(START - 5_000);
    await time.advance(1_000);
    expect([clock.now(), clock.behindMs()]).toEqual([START + 1_000, 0]);
  });

  it('goes on from the newest signature when the machine’s is set back a year, or begins there', async () => {
    const { time, machine, clock } = make();
    clock.anchor(START);
    await time.advance(1_000);
    machine.step(-YEAR_MS);
    await time.advance(1_000);
    expect([clock.now(), clock.behindMs()]).toEqual([START + 2_000, YEAR_MS]);
    clock.anchor(START + 10_000);
    expect(clock.now()).toBe(START + 10_000);
    clock.anchor(START + 3_000);
    await time.advance(1);
    expect(clock.now()).toBe(START + 10_001);
    machine.step(YEAR_MS);
    await time.advance(20_000);
    expect([clock.now(), clock.behindMs()]).toEqual([START + 30_001, 8_000]);
  });

  it('does not believe a signature from a far future', () => {
    const { clock } = make();
    clock.anchor(Date.UTC(2099, 0, 1));
    clock.anchor(Number.NaN);
    expect(clock.now()).toBe(START);
  });
});
