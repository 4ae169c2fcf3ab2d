import * as fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { createTrafficMeter, type TrafficLoss } from '../../../agent/probe/traffic-loss.ts';

const STEP_MS = 100;
const PER_STEP = 100;
const START = 2 ** 32 - 250; // counters wrap on the way

/** Windows as a meter sees them: by step, what was read at either end and how far behind or ahead of its time. */
function windowsOf(steps: readonly { sent?: number; lostNow?: number; sentBehind?: number; receivedAhead?: number }[]): TrafficLoss[] {
  const meter = createTrafficMeter();
  let [sent, received] = [START, START];
  return steps.flatMap(({ sent: now = PER_STEP, lostNow = 0, sentBehind = 0, receivedAhead = 0 }, index) => {
    sent += now;
    received += now - lostNow;
    const window = meter.note({ senderSent: (sent - sentBehind) % 2 ** 32, reflectorReceived: (received + receivedAhead) % 2 ** 32, reflectorSent: 0 }, index * STEP_MS);
    return window ? [window] : [];
  });
}

const sum = (windows: readonly TrafficLoss[], figure: keyof TrafficLoss): number => windows.reduce((total, window) => total + window[figure], 0);

describe('loss of real traffic by both counters', () => {
  it('holds nothing against a path whose counter was read late at one end and made up for it at the next reading', () => {
    for (const slip of [{ sentBehind: 80 }, { receivedAhead: 80 }]) {
      const windows = windowsOf([{}, {}, slip, {}, {}]);
      expect(sum(windows, 'lost')).toBe(0);
      expect(sum(windows, 'missing')).toBe(0);
    }
  });

  it('counts what was made up for after traffic has moved away', () => {
    const windows = windowsOf([{}, {}, { receivedAhead: -8 }, ...Array.from({ length: 12 }, () => ({ sent: 0 }))]);
    expect(sum(windows, 'missing')).toBe(0);
  });

  it('sees what is lost, within the slip of reading', () => {
    const windows = windowsOf([{}, {}, { lostNow: 30 }, {}, { lostNow: 30 }]);
    expect(sum(windows, 'missing')).toBe(60);
    expect(sum(windows, 'lost')).toBe(56);
  });

  it('says nothing of a counter that began anew', () => {
    const meter = createTrafficMeter();
    meter.note({ senderSent: 5000, reflectorReceived: 5000, reflectorSent: 0 }, 0);
    expect(meter.note({ senderSent: 5100, reflectorReceived: 3, reflectorSent: 0 }, 100)).toBeNull();
    expect(meter.note({ senderSent: 5200, reflectorReceived: 103, reflectorSent: 0 }, 200)).toEqual({ sent: 100, lost: 0, missing: 0 });
  });

  it('never counts more than was lost, however late the readings were', () => {
    const step = fc.record({ lostNow: fc.integer({ min: 0, max: 40 }), sentBehind: fc.integer({ min: 0, max: 100 }), receivedAhead: fc.integer({ min: 0, max: 60 }) });
    fc.assert(
      fc.property(fc.array(step, { minLength: 2, maxLength: 10 }), (steps) => {
        const windows = windowsOf([{}, ...steps]);
        expect(sum(windows, 'lost')).toBeLessThanOrEqual(steps.reduce((total, { lostNow }) => total + lostNow, 0));
      }),
    );
  });
});
