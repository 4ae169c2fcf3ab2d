import * as fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { busiestUplinks, onTrial, planInstance, regain, rehearseFailures, repairAfterFailure, replan } from '../../src/planner/index.ts';
import { makeInstance } from '../support/instances.ts';
import { twoUplinks } from '../support/meshes.ts';

describe('rehearseFailures', () => {
  it('says what would be lost over the tunnels that are left, by class, and what once others are opened', () => {
    const instance = twoUplinks(2, [[0, 1, 80]], ({ classes, demands }) => {
      classes.push({ ...classes[0]!, id: 'bulk', priority: 1, backup: false });
      demands.push({ src: 0, dst: 1, cls: 1, p50: 90, p95: 90 });
    });
    const { standing } = planInstance(instance, { sweeps: 24 });
    const [first] = rehearseFailures(standing, 1);
    expect(first).toMatchObject({ uplink: 0, down: 1 });
    expect(first!.lostMbps[0]).toBeCloseTo(0, 6);
    expect(first!.lostMbps[1]).toBeCloseTo(70, 3);
    expect(first!.lostPct).toBeCloseTo((100 * 70) / 890, 3);
    expect(first!.lostAfterPct).toBeCloseTo(first!.lostPct, 6);
  });

  it('begins with the uplink that carries most, and looks at no more than it is asked to', () => {
    const { standing } = planInstance(makeInstance({ sites: 6, relays: 1, seed: 5, slots: 6, meanMbps: 10 }), { sweeps: 12 });
    expect(rehearseFailures(standing, 3).map(({ uplink }) => uplink)).toEqual(busiestUplinks(standing).slice(0, 3));
    expect(rehearseFailures(standing, 10_000)).toHaveLength(standing.tables.uplinks);
  });

  it('leaves what stands as it was, to the last number, and what follows a failure too', () => {
    fc.assert(
      fc.property(fc.integer({ min: 0, max: 1e6 }), fc.integer({ min: 2, max: 10 }), (seed, slots) => {
        const instance = makeInstance({ sites: 6, relays: 2, seed, slots, meanMbps: 15 });
        const { standing } = planInstance(instance, { sweeps: 8 });
        const before = structuredClone(standing);
        const rehearsed = rehearseFailures(standing, 4);
        expect(standing).toEqual(before);
        expect(rehearseFailures(standing, 4)).toEqual(rehearsed);
        const dead = busiestUplinks(standing)[0]!;
        const answer = (one: typeof standing): unknown => {
          const repair = repairAfterFailure(one, [dead]);
          const first = regain(one, repair);
          return { repair, first: first.plan, full: replan(first.standing, 3).plan };
        };
        expect(onTrial(standing, () => answer(standing))).toEqual(answer(planInstance(instance, { sweeps: 8 }).standing));
        expect(standing).toEqual(before);
      }),
      { numRuns: 10 },
    );
  });
});
