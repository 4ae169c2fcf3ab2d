import { describe, expect, it } from 'vitest';
import { planInstance, readInstance, type Instance, type InstancePlan } from '../../src/planner/index.ts';
import { brokenLimits } from '../support/instance-checker.ts';
import { makeInstance } from '../support/instances.ts';
import { leastMoney, linearBound } from '../support/linear-bound.ts';
import { servedOf, triangle } from '../support/meshes.ts';

/** As the planner weighs it: medians count three times. */
function worthOf(instance: Instance, { flows }: InstancePlan, medianWorth: number): number {
  const served = instance.demands.map(() => 0);
  for (const { demand, mbps } of flows) served[demand]! += mbps;
  return instance.demands.reduce((sum, { cls, p50 }, index) => sum + 100 / 10 ** cls * (served[index]! + (medianWorth - 1) * Math.min(served[index]!, p50)), 0);
}

/** In USD per GB × Mbit/s. */
function moneyOf({ demands, links, uplinks }: Instance, flows: InstancePlan['flows']): number {
  let money = 0;
  for (const { demand, links: way, mbps } of flows) {
    let at = demands[demand]!.src;
    for (const link of way) {
      const [one, other] = links[link]!;
      const [up, down] = uplinks[one]!.site === at ? [one, other] : [other, one];
      money += mbps * uplinks[up]!.usdPerGb;
      at = uplinks[down]!.site;
    }
  }
  return money;
}

describe('beside an LP solver, without tunnel limits', () => {
  it.each([
    [1, 3], [2, 8], [3, 20], [4, 60], [7, 200],
  ])('seed %i, %i Mbit/s a demand: the plan is near the optimum, and the bound above it', async (seed, meanMbps) => {
    const instance = makeInstance({ sites: 5, relays: 2, seed, slots: 10_000, meanMbps });
    const { plan, certificate } = planInstance(instance, { sweeps: 60 });
    expect(certificate.bound).toBeGreaterThanOrEqual((await linearBound(instance, 1)) * (1 - 1e-6));
    expect(worthOf(instance, plan, 3)).toBeGreaterThan((await linearBound(instance, 3)) * (meanMbps > 20 ? 0.997 : 0.999));
  });

  it('proves a bound that is the optimum to a thousandth', async () => {
    const instance = makeInstance({ sites: 6, relays: 2, seed: 11, slots: 10_000, meanMbps: 20 });
    expect(planInstance(instance, { sweeps: 60 }).certificate.bound).toBeLessThan((await linearBound(instance, 1)) * 1.001);
  });
});

describe('medians and throughput', () => {
  it.each([1, 3, 13, 16, 20])('are kept to 99.5 and 99.8 per cent at once, unless an LP proves that no plan can (seed %i)', async (seed) => {
    const { demands, ...mesh } = makeInstance({ sites: 6, relays: 3, seed, slots: 10_000, meanMbps: 30 });
    const instance: Instance = { ...mesh, demands: demands.map((demand) => ({ ...demand, cls: 2 })) };
    const throughput = 0.998 * (await linearBound(instance, 1));
    const medians = 0.995 * (await linearBound({ ...instance, demands: instance.demands.map((demand) => ({ ...demand, p95: demand.p50 })) }, 1));
    const served = servedOf(instance, planInstance(instance, { sweeps: 60 }).plan.flows);
    const total = served.reduce((sum, mbps) => sum + mbps, 0);
    const below = served.reduce((sum, mbps, index) => sum + Math.min(mbps, instance.demands[index]!.p50), 0);
    if (total >= throughput && below >= medians) return;
    // whatever a median is worth on top: a plan that kept both would be worth both together
    const bests = await Promise.all([0.1, 0.3, 0.6, 1, 1.5].map(async (premium) => (await linearBound(instance, 1 + premium)) - throughput - premium * medians));
    expect(Math.min(...bests)).toBeLessThan(0);
  });
});

describe('money', () => {
  // where much is backed up a dearer way may have to be the larger one: the last seed pays for that, and would pay twice as much were it not foreseen
  it.each([
    [2, 1.005], [6, 1.005], [10, 1.005], [13, 1.005], [14, 1.25],
  ])('is little more than the least for which each demand can be served as much (seed %i, %f times)', async (seed, times) => {
    const instance = makeInstance({ sites: 6, relays: 2, seed, slots: 10_000, meanMbps: 20 });
    const { flows } = planInstance(instance, { sweeps: 60 }).plan;
    const served = instance.demands.map((_, index) => flows.reduce((sum, { demand, mbps }) => sum + (demand === index ? mbps : 0), 0));
    expect(moneyOf(instance, flows)).toBeLessThan(times * (await leastMoney(instance, served)));
  });
});

describe('any instance', () => {
  it.each<[string, (instance: Instance) => void]>([
    ['no site', (instance) => Object.assign(instance, { sites: [], gateways: [], uplinks: [], links: [], demands: [] })],
    ['a single site', (instance) => Object.assign(instance, { sites: instance.sites.slice(0, 1), gateways: instance.gateways.slice(0, 1), uplinks: instance.uplinks.slice(0, 1), links: [], demands: [] })],
    ['no class', (instance) => Object.assign(instance, { classes: [], demands: [] })],
    ['sites that nothing joins', (instance) => void (instance.links = [])],
    ['round trips of 0 ms and classes that allow none', ({ links, classes }) => (links.forEach((link) => void (link[2] = 0)), classes.forEach((cls) => void (cls.maxRttMs = 0)))],
    ['demand of a million million Mbit/s', ({ demands }) => demands.forEach((demand) => void (demand.p50 = demand.p95 = 1e12))],
    ['capacity of a million million Mbit/s', ({ uplinks }) => uplinks.forEach((uplink) => void (uplink.upMbps = uplink.downMbps = 1e12))],
    ['no capacity anywhere', ({ uplinks, gateways }) => (uplinks.forEach((uplink) => void (uplink.upMbps = uplink.downMbps = 0)), gateways.forEach((gateway) => void (gateway.cryptoMbps = 0)))],
    ['a median above the peak', ({ demands }) => demands.forEach((demand) => void (demand.p50 = 10 * demand.p95))],
    ['loss of everything', ({ links }) => links.forEach((link) => void (link[3] = 100))],
    ['two of the same link', ({ links }) => void links.push([...links[0]!])],
    ['contradicting wishes', ({ demands }) => demands.forEach((demand) => Object.assign(demand, { regionLock: 'nowhere', avoid: ['isp0', 'isp1', 'isp2'] }))],
  ])('is planned without breaking a limit: %s', (_, change) => {
    const instance = triangle(change);
    readInstance(structuredClone(instance));
    const { plan, certificate } = planInstance(instance, { sweeps: 8 });
    expect(brokenLimits(instance, plan)).toEqual([]);
    expect([certificate.worth, certificate.bound, certificate.provenGapPct, ...plan.prices].every(Number.isFinite)).toBe(true);
    expect(certificate.worth).toBeLessThanOrEqual(certificate.bound * (1 + 1e-6) + 1e-6);
    expect(brokenLimits(instance, planInstance(instance, { sweeps: 4, previousPlan: plan }).plan)).toEqual([]);
  });

  it.each<[string, (instance: Instance) => void, RegExp]>([
    ['NaN', ({ demands }) => void (demands[1]!.p95 = NaN), /\/demands\/1\/p95/],
    ['infinity', ({ uplinks }) => void (uplinks[2]!.upMbps = Infinity), /\/uplinks\/2\/upMbps/],
    ['less than nothing', ({ links }) => void (links[1]![2] = -1), /\/links\/1\/2/],
    ['half a site', ({ gateways }) => void (gateways[0]!.site = 0.5), /\/gateways\/0\/site/],
  ])('is refused with its place when a number is %s', (_, change, place) => {
    const instance = triangle(change);
    expect(() => readInstance(instance)).toThrow(place);
  });
});
