import * as fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { planInstance, type Instance } from '../../src/planner/index.ts';
import { createRng } from '../../src/base/index.ts';
import { brokenLimits } from '../support/instance-checker.ts';
import { makeInstance } from '../support/instances.ts';
import { triangle } from '../support/meshes.ts';

/** Of a (0), b (1), relay r (2) and c (3): a sends to b, to r (which sends to b), and a little to c, which only a has a link to; over r it could send to b as well. */
function withNewcomer(slots: number, toB: number, toC: number): Instance {
  return triangle(({ classes, demands, gateways, links, sites, uplinks }) => {
    classes.splice(0, 1);
    sites.push({ id: 'c', region: 'west', relay: false });
    uplinks.push({ ...uplinks[1]!, site: 3 });
    for (const uplink of uplinks) uplink.upMbps = uplink.downMbps = 1000;
    gateways.push({ ...gateways[1]!, site: 3 });
    gateways[0]!.maxTunnels = slots;
    links.push([0, 3, 10, 0.1, 0]);
    demands.splice(0, 2, { src: 0, dst: 1, cls: 0, p50: toB, p95: toB }, { src: 0, dst: 2, cls: 0, p50: 10, p95: 10 }, { src: 2, dst: 1, cls: 0, p50: 10, p95: 10 }, { src: 0, dst: 3, cls: 0, p50: toC, p95: toC });
  });
}

describe('a tunnel in use', () => {
  const mbps = fc.double({ min: 40, max: 90, noNaN: true });
  /** Tunnels of the next plan, when the newcomer's demand is this share of all. */
  const next = (slots: number, toB: number, share: number): number[] => {
    const before = planInstance(withNewcomer(2, toB, 0), { sweeps: 24 }).plan;
    expect(before.tunnels).toContain(0);
    const instance = withNewcomer(slots, toB, share * (toB + 20));
    const { plan } = planInstance(instance, { sweeps: 10, previousPlan: before });
    expect(brokenLimits(instance, plan)).toEqual([]);
    return plan.tunnels;
  };

  it('does not close for less than a thousandth of all worth, nor open a tunnel in its slot', () => {
    fc.assert(
      fc.property(mbps, fc.double({ min: 2e-4, max: 8e-4, noNaN: true }), (toB, share) => {
        expect(next(2, toB, share)).not.toContain(3);
      }),
      { numRuns: 30, seed: 3 },
    );
  });

  it('closes for more, when what it carries has another way', () => {
    fc.assert(
      fc.property(mbps, fc.double({ min: 3e-3, max: 0.05, noNaN: true }), (toB, share) => {
        expect(next(2, toB, share)).toContain(3);
      }),
      { numRuns: 30, seed: 4 },
    );
  });

  it('is no reason against a tunnel in a free slot', () => {
    fc.assert(
      fc.property(mbps, fc.double({ min: 2e-4, max: 8e-4, noNaN: true }), (toB, share) => {
        expect(next(3, toB, share)).toContain(3);
      }),
      { numRuns: 30, seed: 5 },
    );
  });
});

describe('a tunnel that carries and backs up nothing any more', () => {
  it('stays while it can carry something and nobody needs its slots, whatever the search tried', () => {
    fc.assert(
      fc.property(fc.integer({ min: 1, max: 1000 }), (seed) => {
        const instance = makeInstance({ sites: 10, relays: 2, seed, slots: 5, meanMbps: 40 });
        const rng = createRng(`staying-${seed}`);
        const noisy = { ...instance, demands: instance.demands.map((demand) => ({ ...demand, p95: Math.max(demand.p50, demand.p95 * Math.exp(0.3 * rng.gaussian())) })) };
        const before = planInstance(instance, { sweeps: 24 }).plan;
        const { plan } = planInstance(noisy, { sweeps: 10, previousPlan: before });
        expect(brokenLimits(noisy, plan)).toEqual([]);
        const endsOf = (link: number): number[] => noisy.links[link]!.slice(0, 2).map((uplink) => noisy.uplinks[uplink]!.site);
        const freeSlots = noisy.sites.map((_, site) => noisy.gateways.reduce((sum, gateway) => sum + (gateway.site === site && gateway.role === 'active' ? gateway.maxTunnels : 0), 0));
        for (const link of plan.tunnels) for (const site of endsOf(link)) freeSlots[site]!--;
        const gone = before.tunnels.filter((link) => !plan.tunnels.includes(link));
        for (const link of gone) expect(endsOf(link).some((site) => freeSlots[site] === 0)).toBe(true);
      }),
      { numRuns: 40, seed: 6 },
    );
  });
});
