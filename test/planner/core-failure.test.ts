import * as fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { planInstance, regain, repairAfterFailure, replan, type Instance, type InstancePlan } from '../../src/planner/index.ts';
import { brokenLimits } from '../support/instance-checker.ts';
import { makeInstance } from '../support/instances.ts';
import { servedOf, triangle, twoUplinks } from '../support/meshes.ts';

const without = (instance: Instance, dead: number): Instance => ({ ...instance, uplinks: instance.uplinks.map((uplink, index) => (index === dead ? { ...uplink, upMbps: 0, downMbps: 0 } : uplink)) });

/** The plan that runs once what a repair says has been done. */
function after(plan: InstancePlan, repair: ReturnType<typeof repairAfterFailure>): InstancePlan {
  return { ...plan, tunnels: plan.tunnels.filter((link) => !repair.down.includes(link)), flows: [...plan.flows.filter(({ demand }) => !repair.changed.includes(demand)), ...repair.flows], backups: [] };
}

describe('repairAfterFailure', () => {
  it('moves what went over the dead uplink to its backup, and touches nothing else', () => {
    const instance = twoUplinks(3, [[0, 1, 40], [1, 2, 40]]);
    const { standing } = planInstance(instance, { sweeps: 12 });
    expect(repairAfterFailure(standing, [0])).toEqual({ down: [0], changed: [0], flows: [{ demand: 0, links: [1], mbps: 40 }] });
  });

  it('makes room for what is more important', () => {
    const instance = twoUplinks(2, [[0, 1, 80]], ({ classes, demands }) => {
      classes.push({ ...classes[0]!, id: 'bulk', priority: 1, backup: false });
      demands.push({ src: 0, dst: 1, cls: 1, p50: 90, p95: 90 });
    });
    const { plan, standing } = planInstance(instance, { sweeps: 24 });
    expect(servedOf(instance, plan.flows)).toEqual([80, 90]);
    expect(servedOf(instance, after(plan, repairAfterFailure(standing, [0])).flows)).toEqual([80, 20]);
  });

  it('says so when a demand has no way left', () => {
    const { standing } = planInstance(twoUplinks(2, [[0, 1, 40]]), { sweeps: 12 });
    expect(repairAfterFailure(standing, [0, 1])).toEqual({ down: [0, 1], changed: [0], flows: [] });
  });

  it('lets planning on open two tunnels that meet at a relay, when a demand has no other way', () => {
    const instance = triangle(({ uplinks, links, demands }) => {
      uplinks.push({ ...uplinks[0]!, provider: 'isp9' });
      links[0]![0] = 3;
      demands.pop();
    });
    const { plan, standing } = planInstance(instance, { sweeps: 12 });
    expect(plan.tunnels).toEqual([0]);
    expect(repairAfterFailure(standing, [3]).flows).toEqual([]);
    expect(replan(standing, 2).plan).toMatchObject({ tunnels: [1, 2], flows: [{ links: [1, 2], mbps: 30 }] });
  });

  it('breaks no limit, and neither does planning on from it, which comes near to a plan from nothing', () => {
    fc.assert(
      fc.property(fc.integer({ min: 0, max: 1e6 }), fc.integer({ min: 2, max: 12 }), fc.nat(), (seed, slots, pick) => {
        const instance = makeInstance({ sites: 7, relays: 2, seed, slots, meanMbps: 10 });
        const dead = pick % instance.uplinks.length;
        const { plan, standing } = planInstance(instance, { sweeps: 12 });
        const failed = without(instance, dead);
        const repaired = after(plan, repairAfterFailure(standing, [dead]));
        expect(brokenLimits(failed, repaired)).toEqual([]);
        const again = replan(standing, 8);
        expect(brokenLimits(failed, again.plan)).toEqual([]);
        if (slots >= 6) expect(again.certificate.worth).toBeGreaterThan(0.95 * planInstance(failed, { sweeps: 16 }).certificate.worth);
      }),
      { numRuns: 40, seed: 3 },
    );
  });
});

describe('regain', () => {
  it('leaves all as the repair has it where the plan before proves that to be enough', () => {
    const { plan, standing } = planInstance(twoUplinks(3, [[0, 1, 40], [1, 2, 40]]), { sweeps: 12 });
    const repair = repairAfterFailure(standing, [0]);
    const first = regain(standing, repair);
    expect(first.certificate.provenGapPct).toBeLessThan(0.1);
    expect({ tunnels: first.plan.tunnels, flows: first.plan.flows }).toEqual({ tunnels: plan.tunnels.filter((link) => link !== 0), flows: [...repair.flows, ...plan.flows.filter(({ demand }) => demand !== 0)] });
  });

  it('opens two tunnels that meet at a relay, when a demand has no other way', () => {
    const instance = triangle(({ uplinks, links, demands }) => {
      uplinks.push({ ...uplinks[0]!, provider: 'isp9' });
      links[0]![0] = 3;
      demands.pop();
    });
    const { standing } = planInstance(instance, { sweeps: 12 });
    expect(regain(standing, repairAfterFailure(standing, [3])).plan).toMatchObject({ tunnels: [1, 2], flows: [{ links: [1, 2], mbps: 30 }] });
  });

  it('breaks no limit, gives the same plan again, and proves a bound that no plan from nothing exceeds; planning goes on from it', () => {
    fc.assert(
      fc.property(fc.integer({ min: 0, max: 1e6 }), fc.integer({ min: 2, max: 12 }), fc.nat(), (seed, slots, pick) => {
        const instance = makeInstance({ sites: 7, relays: 2, seed, slots, meanMbps: 10 });
        const dead = pick % instance.uplinks.length;
        const failed = without(instance, dead);
        const { standing } = planInstance(instance, { sweeps: 12 });
        const other = structuredClone(standing);
        const repair = repairAfterFailure(standing, [dead]);
        const first = regain(standing, repair);
        expect(brokenLimits(failed, first.plan)).toEqual([]);
        expect(regain(other, repairAfterFailure(other, [dead])).plan).toEqual(first.plan);
        const fromNothing = planInstance(failed, { sweeps: 16 }).certificate.worth;
        expect(first.certificate.bound).toBeGreaterThan(fromNothing * (1 - 1e-9));
        if (slots >= 6) expect(first.certificate.worth).toBeGreaterThan(0.95 * fromNothing);
        const again = replan(first.standing, 8);
        expect(brokenLimits(failed, again.plan)).toEqual([]);
        expect(again.certificate.bound).toBeGreaterThan(fromNothing * (1 - 1e-9));
      }),
      { numRuns: 40, seed: 5 },
    );
  });
});
