import { describe, expect, it } from 'vitest';
import { explainPlan, planInstance, type Explanation, type Instance } from '../../src/planner/index.ts';
import { makeInstance } from '../support/instances.ts';
import { triangle } from '../support/meshes.ts';

const explained = (instance: Instance): Explanation => explainPlan(planInstance(instance, { sweeps: 24 }).standing);

describe('explainPlan', () => {
  it('names the uplink that is full, and what it refuses', () => {
    const { refused, limits } = explained(triangle(({ uplinks }) => void (uplinks[1]!.downMbps = 50)));
    expect(refused).toHaveLength(1);
    expect(refused[0]).toMatchObject({ demand: 1, because: { kind: 'limit', limit: { kind: 'down', index: 1 } } });
    expect(refused[0]!.mbps).toBeCloseTo(70, 2);
    expect(limits).toMatchObject([{ limit: { kind: 'down', index: 1 } }]);
    expect(limits[0]!.price).toBeGreaterThan(0.5);
  });

  it('names crypto and the cap of a link as well', () => {
    expect(explained(triangle(({ gateways }) => void (gateways[0]!.cryptoMbps = 40))).limits[0]!.limit).toEqual({ kind: 'crypto', index: 0 });
    const onlyDirect = triangle(({ links }) => void links.splice(0, 3, [0, 1, 10, 0.1, 30]));
    expect(explained(onlyDirect).limits[0]!.limit).toEqual({ kind: 'link', index: 0 });
  });

  it('names the site whose slots are used up', () => {
    const instance = triangle(({ gateways }) => void (gateways[1]!.maxTunnels = 0));
    expect(explained(instance).refused.map(({ because }) => because)).toMatchObject([{ kind: 'limit', limit: { kind: 'slots', index: 1 } }, { kind: 'limit', limit: { kind: 'slots', index: 1 } }]);
  });

  it.each<[string, (instance: Instance) => void, string[]]>([
    ['latency', ({ classes }) => void (classes[0]!.maxRttMs = 5), ['latency']],
    ['loss', ({ classes }) => void (classes[0]!.maxLossPct = 0.01), ['loss']],
    ['security', ({ classes }) => void (classes[0]!.minSecurity = 3), ['security']],
    ['region', ({ demands }) => void (demands[0]!.regionLock = 'east'), ['region']],
    ['provider', ({ demands }) => void (demands[0]!.avoid = ['isp0']), ['provider']],
    ['none alone', ({ demands, classes }) => void (classes[0]!.maxRttMs = 0, demands[0]!.avoid = ['isp0']), []],
    ['a link that is not there', ({ links }) => void links.splice(0, 2), ['link']],
  ])('says what keeps a demand from every way: %s', (_, change, bars) => {
    expect(explained(triangle(change)).refused[0]).toMatchObject({ demand: 0, mbps: 30, because: { kind: 'no-way', bars } });
  });

  it('says what a tunnel carries and that it would be missed', () => {
    const { tunnels } = explained(triangle());
    expect(tunnels.find(({ link }) => link === 0)!.carries.map((mbps) => Math.round(mbps))).toEqual([30, 70]);
    expect(tunnels.find(({ link }) => link === 0)!.worth).toBeGreaterThanOrEqual(0);
    const alone = explained(triangle(({ links }) => void links.splice(1, 2)));
    expect(alone.tunnels[0]!.worth).toBeGreaterThan(30);
  });

  it('accounts for every Mbit/s that is wanted and not served, and for every tunnel', () => {
    for (const seed of [1, 2, 3]) {
      const instance = makeInstance({ sites: 9, relays: 2, seed, slots: 6, meanMbps: 20 });
      const { plan, standing } = planInstance(instance, { sweeps: 12 });
      const { refused, tunnels } = explainPlan(standing);
      const wanted = instance.demands.reduce((sum, { p95 }) => sum + p95, 0);
      const served = plan.flows.reduce((sum, { mbps }) => sum + mbps, 0);
      expect(refused.reduce((sum, { mbps }) => sum + mbps, 0)).toBeCloseTo(wanted - served, 0);
      expect(tunnels.map(({ link }) => link)).toEqual(plan.tunnels);
    }
  });
});
