import * as fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { planInstance, type Instance } from '../../src/planner/index.ts';
import { makeInstance } from '../support/instances.ts';
import { servedOf, triangle } from '../support/meshes.ts';

/** One class, and these demands from a to b over 100 Mbit/s. */
function shared(demands: readonly [p50: number, p95: number][]): Instance {
  return triangle((instance) => {
    instance.classes.pop();
    instance.demands = demands.map(([p50, p95]) => ({ src: 0, dst: 1, cls: 0, p50, p95 }));
  });
}

function sharesOf(instance: Instance, sweeps = 24): number[] {
  return servedOf(instance, planInstance(instance, { sweeps }).plan.flows).map((mbps, index) => mbps / instance.demands[index]!.p95);
}

describe('what is short', () => {
  it.each<[string, [number, number][], number[]]>([
    ['in equal shares beyond medians', [[20, 100], [10, 50], [10, 50]], [0.5, 0.5, 0.5]],
    ['with those at their medians that have more than the common share', [[45, 50], [5, 100]], [0.9, 0.55]],
    ['in equal shares of medians, where not even these fit', [[100, 200], [50, 100], [50, 100]], [0.25, 0.25, 0.25]],
    ['to small ones as to large ones', [[0.05, 0.1], [400, 800]], [0.125, 0.125]],
  ])('is given out %s', (_, demands, wanted) => {
    for (const [index, share] of sharesOf(shared(demands)).entries()) expect(share).toBeCloseTo(wanted[index]!, 1);
  });

  it('is given out in equal shares to two demands that differ in size alone', () => {
    fc.assert(
      fc.property(fc.integer({ min: 0, max: 1e6 }), fc.constantFrom(20, 60, 200), (seed, meanMbps) => {
        const one = makeInstance({ sites: 6, relays: 2, seed, slots: 100, meanMbps });
        const instance: Instance = { ...one, demands: one.demands.flatMap((demand) => [demand, { ...demand, p50: 0.3 * demand.p50, p95: 0.3 * demand.p95 }]) };
        const shares = sharesOf(instance, 40);
        const apart = one.demands.map((__, index) => Math.abs(shares[2 * index]! - shares[2 * index + 1]!));
        // prices are known to about a thousandth, and a share moves by ten times that
        expect(apart.filter((difference) => difference > 0.1).length).toBeLessThanOrEqual(Math.ceil(0.05 * apart.length));
      }),
      { numRuns: 15, seed: 7 },
    );
  });

  it('goes to medians first, but for a few thousandths where they cost much throughput', () => {
    const instance = triangle((mesh) => {
      mesh.classes.pop();
      mesh.links.shift();
      mesh.demands = [
        { src: 0, dst: 1, cls: 0, p50: 50, p95: 50 },
        { src: 0, dst: 2, cls: 0, p50: 1, p95: 150 },
        { src: 2, dst: 1, cls: 0, p50: 1, p95: 150 },
      ];
    });
    const [relayed, ...others] = servedOf(instance, planInstance(instance, { sweeps: 40 }).plan.flows);
    // of the medians of the class, which are 52: the other two have theirs
    expect(relayed! + 2).toBeGreaterThan(0.995 * 52);
    expect(relayed).toBeLessThan(0.998 * 50);
    for (const mbps of others) expect(mbps + relayed!).toBeCloseTo(100, 1);
  });
});
