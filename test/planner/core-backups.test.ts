import { describe, expect, it } from 'vitest';
import { createRng } from '../../src/base/index.ts';
import { makeMesh, planInstance, type Instance } from '../../src/planner/index.ts';
import { brokenLimits } from '../support/instance-checker.ts';
import { makeInstance } from '../support/instances.ts';
import { twoUplinks } from '../support/meshes.ts';

const plan = (instance: Instance, sweeps = 12): ReturnType<typeof planInstance>['plan'] => planInstance(instance, { sweeps }).plan;

describe('backups', () => {
  it('lead over other uplinks than what they back up', () => {
    expect(plan(twoUplinks(2, [[0, 1, 40]])).backups).toEqual([{ demand: 0, links: [1], mbps: 40 }]);
  });

  it('are none where both ways share a risk', () => {
    const instance = twoUplinks(2, [[0, 1, 40]], ({ uplinks }) => uplinks.slice(0, 2).forEach(({ srlg }) => srlg.push('one duct')));
    expect(plan(instance).backups).toEqual([]);
  });

  it('are none for a class that wants none, and open no tunnel then', () => {
    const instance = twoUplinks(2, [[0, 1, 40]], ({ classes }) => void (classes[0]!.backup = false));
    expect(plan(instance)).toMatchObject({ backups: [], tunnels: [0] });
  });

  it('share what is reserved where no single failure needs it twice', () => {
    // 1 → 2 and 3 → 4 have nothing in common but the relay 0, over whose radio both have to go when their own link is gone
    const instance = twoUplinks(5, [[1, 2, 80], [3, 4, 80]], ({ links, gateways }) => {
      const isRadioBesideRelay = ([a, b]: Instance['links'][number]): boolean => a % 2 === 1 && a !== 1 && b % 2 === 1;
      links.splice(0, links.length, ...links.filter((link) => !isRadioBesideRelay(link)));
      gateways[0]!.cryptoMbps = 160;
    });
    const { backups } = plan(instance);
    expect(backups.map(({ demand, mbps }) => [demand, mbps])).toEqual([[0, 80], [1, 80]]);
  });

  it('hold what fits when one failure needs it twice', () => {
    const instance = twoUplinks(4, [[1, 2, 45], [1, 3, 45]], ({ links }) => {
      const isRadioBesideRelay = ([a, b]: Instance['links'][number]): boolean => a % 2 === 1 && a !== 1 && b % 2 === 1;
      links.splice(0, links.length, ...links.filter((link) => !isRadioBesideRelay(link)));
    });
    instance.uplinks[3]!.upMbps = 70;
    const held = plan(instance).backups.map(({ mbps }) => mbps);
    expect(held).toEqual([45, 25]);
  });

  it('count on what less important traffic uses, not on what is as important', () => {
    const busy = (priority: number): Instance =>
      twoUplinks(2, [[0, 1, 60]], ({ classes, demands, uplinks }) => {
        classes.push({ ...classes[0]!, id: 'other', priority, backup: false });
        demands.push({ src: 0, dst: 1, cls: 1, p50: 120, p95: 120 });
        for (const uplink of uplinks) uplink.usdPerGb = 0;
      });
    const heldBeside = (priority: number): number => plan(busy(priority), 24).backups[0]!.mbps;
    expect(heldBeside(1)).toBeCloseTo(60, 3);
    expect(heldBeside(0)).toBeLessThan(30);
  });

  it('open the tunnels that help most when slots are few', () => {
    const demands = [1, 2, 3, 4].flatMap((src) => [1, 2, 3, 4].filter((dst) => dst !== src).map((dst): [number, number, number] => [src, dst, 2]));
    const instance = twoUplinks(5, demands, ({ gateways }) => gateways.slice(1).forEach((gateway) => void (gateway.maxTunnels = 4)));
    const result = plan(instance);
    expect(brokenLimits(instance, result)).toEqual([]);
    expect(result.backups).toHaveLength(demands.length);
  });

  it.each([
    [5, 2],
    [6, 2],
    [6, 3],
  ])('decide which tunnels few slots go to: %i sites with %i slots meet at the relay over both uplinks', (sites, slots) => {
    const ends = Array.from({ length: sites - 1 }, (_, index) => index + 1);
    const demands = ends.flatMap((src) => ends.filter((dst) => dst !== src).map((dst): [number, number, number] => [src, dst, 2]));
    const instance = twoUplinks(sites, demands, ({ gateways }) => gateways.slice(1).forEach((gateway) => void (gateway.maxTunnels = slots)));
    const { plan: result, certificate } = planInstance(instance, { sweeps: 12 });
    expect(brokenLimits(instance, result)).toEqual([]);
    expect(certificate.provenGapPct).toBeLessThan(0.1);
    expect(result.backups).toHaveLength(demands.length);
  });

  it('make another way the largest where only that one can be backed up', () => {
    // over the fibre of 0 nothing else can be reached without sharing the duct of site 1
    const instance = twoUplinks(3, [[1, 2, 40]], ({ uplinks, links }) => {
      uplinks.push({ ...uplinks[2]!, provider: 'third', srlg: [] });
      links.splice(0, links.length, [2, 4, 10, 0.1, 0], [3, 5, 12, 0.1, 0], [6, 4, 30, 0.1, 0]);
      uplinks[2]!.srlg.push('duct');
      uplinks[3]!.srlg.push('duct');
    });
    const result = plan(instance);
    expect(brokenLimits(instance, result)).toEqual([]);
    expect(result.backups).toHaveLength(1);
  });
});

describe('the next plan', () => {
  it.each(['7', '11', '35', '38'])('opens no tunnel for a backup when demand trembles and another way becomes the largest (mesh %s)', (seed) => {
    const instance = makeMesh(10, seed);
    const rng = createRng('noise');
    let current = plan(instance, 60);
    for (let cycle = 1; cycle <= 3; cycle++) {
      const demands = instance.demands.map((demand) => {
        const factor = Math.exp(0.1 * rng.gaussian());
        return { ...demand, p50: factor * demand.p50, p95: factor * demand.p95 };
      });
      const next = planInstance({ ...instance, demands }, { sweeps: 24, previousPlan: current }).plan;
      expect(next.tunnels).toEqual(current.tunnels);
      expect(next.backups.length).toBeGreaterThanOrEqual(0.99 * current.backups.length);
      current = next;
    }
  });
});

describe('tunnels without use', () => {
  const quiet = (instance: Instance): Instance => ({ ...instance, demands: instance.demands.map((demand, index) => ({ ...demand, p50: index % 3 === 0 ? 0 : demand.p50, p95: index % 3 === 0 ? 0 : demand.p95 })) });

  it('stay for ten plans, then go', () => {
    const instance = makeInstance({ sites: 8, relays: 2, seed: 3, slots: 200, meanMbps: 4 });
    let current = plan(instance, 10);
    const first = current.tunnels;
    for (let cycle = 1; cycle <= 10; cycle++) {
      current = planInstance(quiet(instance), { sweeps: 4, previousPlan: current }).plan;
      expect(first.filter((link) => !current.tunnels.includes(link))).toEqual([]);
    }
    current = planInstance(quiet(instance), { sweeps: 4, previousPlan: current }).plan;
    expect(current.tunnels.length).toBeLessThan(first.length);
  });

  it('are the same when a third of the demands comes and goes, but for a few where no slot is free', { timeout: 60_000 }, () => {
    const backAndForth = [1, 2, 3, 4, 5, 6, 7, 8].map((seed) => {
      const instance = makeInstance({ sites: 10, relays: 2, seed, slots: 9, meanMbps: 6 });
      let current = plan(instance, 10);
      const changes = new Map<number, number>();
      for (let cycle = 1; cycle <= 10; cycle++) {
        const next = planInstance(cycle % 2 === 1 ? quiet(instance) : instance, { sweeps: 6, previousPlan: current }).plan;
        for (const link of new Set([...current.tunnels, ...next.tunnels])) if (current.tunnels.includes(link) !== next.tunnels.includes(link)) changes.set(link, 1 + (changes.get(link) ?? 0));
        current = next;
      }
      return [...changes.values()].filter((count) => count > 2).length;
    });
    // of some 45 tunnels in each mesh; in the third and the fourth two change places each time
    expect(backAndForth.filter((count) => count > 0).length).toBeLessThanOrEqual(2);
    expect(Math.max(...backAndForth)).toBeLessThanOrEqual(2);
  });
});
