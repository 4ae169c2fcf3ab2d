import * as fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { rekeyTimesOf } from '../../../agent/reconcile/rekey-schedule.ts';
import type { TunnelId } from '../../../src/model/index.ts';
import { berlin, configOf, paris } from '../../support/node-configs.ts';

const idsOf = (numbers: readonly number[]): TunnelId[] => numbers.map((number) => `t-${number.toString(16).padStart(8, '0')}` as TunnelId);

describe('the rekey times of the tunnels between two nodes', () => {
  it('lie in the last quarter of the profile’s time at the end that initiates, each in a slot of its own, and beyond it at the other', () => {
    fc.assert(
      fc.property(fc.uniqueArray(fc.integer({ min: 1, max: 0xffff_ffff }), { minLength: 1, maxLength: 40 }), (numbers) => {
        const config = configOf(berlin, idsOf(numbers), []);
        const other = configOf(paris, idsOf(numbers), []);
        const own = config.tunnels.map((tunnel) => rekeyTimesOf(config, tunnel));
        for (const { ikeRekeyMs, espRekeyMs } of own) {
          expect(ikeRekeyMs).toBeGreaterThanOrEqual(14_400_000 * 0.75);
          expect(ikeRekeyMs).toBeLessThanOrEqual(14_400_000);
          expect(espRekeyMs).toBeGreaterThanOrEqual(3_600_000 * 0.75);
          expect(espRekeyMs).toBeLessThanOrEqual(3_600_000);
        }
        const sorted = own.map(({ espRekeyMs }) => espRekeyMs).sort((left, right) => left - right);
        const apart = sorted.slice(1).map((time, index) => time - sorted[index]!);
        expect(Math.min(...apart, Infinity)).toBeGreaterThanOrEqual((3_600_000 * 0.25) / numbers.length / 2 - 2);
        expect(other.tunnels.map((tunnel) => rekeyTimesOf(other, tunnel))).toEqual(own.map(() => ({ ikeRekeyMs: 21_600_000, espRekeyMs: 5_400_000 })));
      }),
      { numRuns: 50 },
    );
  });

  it('are the same at each start, and differ from tunnel to tunnel', () => {
    const config = configOf(berlin, idsOf([1, 2]), []);
    const times = (): unknown[] => config.tunnels.map((tunnel) => rekeyTimesOf(config, tunnel));
    expect(times()).toEqual(times());
    expect(times()[0]).not.toEqual(times()[1]);
  });
});
