import * as fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { createRng } from '../../src/base/index.ts';
import { doubtsAbout, parseInstance, planInstance, readInstance, type Instance } from '../../src/planner/index.ts';
import { brokenLimits } from '../support/instance-checker.ts';
import { makeInstance } from '../support/instances.ts';
import { servedOf, triangle, twoUplinks } from '../support/meshes.ts';

const shape = fc.record({
  sites: fc.integer({ min: 1, max: 7 }),
  relays: fc.integer({ min: 0, max: 3 }),
  seed: fc.integer({ min: 0, max: 1e6 }),
  slots: fc.integer({ min: 0, max: 12 }),
  meanMbps: fc.constantFrom(0.01, 1, 20, 200, 1e12),
});

describe('planInstance', () => {
  it('breaks no limit, proves a bound that no plan can exceed, and gives the same plan again', () => {
    fc.assert(
      fc.property(shape, (drawn) => {
        const instance = makeInstance(drawn);
        const result = planInstance(instance, { sweeps: 8 });
        expect(brokenLimits(instance, result.plan)).toEqual([]);
        expect(result.certificate.worth).toBeLessThanOrEqual(result.certificate.bound * (1 + 1e-9));
        expect(planInstance(instance, { sweeps: 8 })).toEqual(result);
      }),
      { numRuns: 60, seed: 1 },
    );
  });

  it('breaks no limit either when it goes on from the plan of another demand, with fewer slots', () => {
    fc.assert(
      fc.property(shape, fc.integer({ min: 0, max: 6 }), (drawn, fewer) => {
        const instance = makeInstance(drawn);
        const { plan } = planInstance(instance, { sweeps: 6 });
        const changed: Instance = {
          ...instance,
          gateways: instance.gateways.map((gateway) => ({ ...gateway, maxTunnels: Math.max(0, gateway.maxTunnels - fewer) })),
          demands: instance.demands.map((demand, index) => ({ ...demand, p95: demand.p95 * (index % 2 === 0 ? 1.3 : 0.6) })),
        };
        const result = planInstance(changed, { sweeps: 4, previousPlan: plan });
        expect(brokenLimits(changed, result.plan)).toEqual([]);
        expect(result.certificate.worth).toBeLessThanOrEqual(result.certificate.bound * (1 + 1e-9));
      }),
      { numRuns: 40, seed: 2 },
    );
  });

  it.each([1, 2, 3, 4])('is proven within a thousandth of the best without tunnel limits (seed %i)', (seed) => {
    const { certificate } = planInstance(makeInstance({ sites: 16, relays: 3, seed, slots: 10_000, meanMbps: 4 }), { sweeps: 24 });
    expect(certificate.provenGapPct).toBeLessThan(0.1);
  });

  it.each([10, 11])('proves the next plan too, when demand has become quite another (seed %i)', (seed) => {
    const instance = makeInstance({ sites: 7, relays: 2, seed, slots: 100, meanMbps: 25 });
    const rng = createRng('next');
    const demands = instance.demands.map((demand) => {
      const factor = Math.exp(0.3 * rng.gaussian());
      return { ...demand, p50: factor * demand.p50, p95: factor * demand.p95 };
    });
    const { plan } = planInstance(instance, { sweeps: 60 });
    expect(planInstance({ ...instance, demands }, { sweeps: 24, previousPlan: plan }).certificate.provenGapPct).toBeLessThan(1);
  });

  it('keeps the tunnels of its own plan when nothing has changed, and when demand trembles', () => {
    const instance = makeInstance({ sites: 14, relays: 3, seed: 5, slots: 200, meanMbps: 4 });
    const { plan } = planInstance(instance, { sweeps: 20 });
    const same = planInstance(instance, { sweeps: 8, previousPlan: plan }).plan;
    expect(plan.tunnels.filter((link) => !same.tunnels.includes(link))).toEqual([]);
    const trembling: Instance = { ...instance, demands: instance.demands.map((demand, index) => ({ ...demand, p95: demand.p95 * (index % 2 === 0 ? 1.02 : 0.98) })) };
    const changed = planInstance(trembling, { sweeps: 8, previousPlan: plan }).plan;
    expect(plan.tunnels.filter((link) => !changed.tunnels.includes(link))).toEqual([]);
  });

  it('serves all that fits over the direct way and the relay together', () => {
    const instance = triangle(({ uplinks, links }) => {
      uplinks.push({ ...uplinks[0]!, provider: 'isp9' }, { ...uplinks[1]!, provider: 'isp9' });
      links.push([3, 2, 20, 0.1, 0], [2, 4, 20, 0.1, 0]);
    });
    expect(servedOf(instance, planInstance(instance, { sweeps: 24 }).plan.flows)).toEqual([30, 90]);
  });

  it('gives medians to all before it gives anybody more', () => {
    const instance = triangle(({ demands, classes }) => {
      classes.pop();
      demands.splice(0, 2, { src: 0, dst: 1, cls: 0, p50: 60, p95: 90 }, { src: 0, dst: 1, cls: 0, p50: 30, p95: 90 });
    });
    const [one, other] = servedOf(instance, planInstance(instance, { sweeps: 24 }).plan.flows);
    expect(one! + other!).toBeCloseTo(100, 2);
    expect(one!).toBeGreaterThanOrEqual(59.999);
    expect(other!).toBeGreaterThanOrEqual(29.999);
  });

  it('takes the cheaper uplink, and pays only for what does not fit there', () => {
    const instance = twoUplinks(2, [[0, 1, 130]]);
    const { flows } = planInstance(instance, { sweeps: 24 }).plan;
    expect(flows.map(({ links, mbps }) => [links, Math.round(mbps)])).toEqual([[[0], 100], [[1], 30]]);
  });

  it('gives what is short to the more important class first', () => {
    const instance = triangle();
    const { plan, certificate } = planInstance(instance, { sweeps: 24 });
    expect(servedOf(instance, plan.flows)).toEqual([30, 70]);
    expect(certificate.bound).toBeCloseTo(370, 1);
  });

  it('sends over the relay only what the class may suffer there', () => {
    const instance = triangle(({ links, classes }) => {
      links.shift();
      classes[0]!.maxRttMs = 40;
    });
    expect(servedOf(instance, planInstance(instance, { sweeps: 12 }).plan.flows)).toEqual([0, 90]);
  });

  it('spends a single slot of a site on the direct tunnel', () => {
    const instance = triangle(({ gateways }) => {
      gateways[0]!.maxTunnels = 1;
    });
    expect(planInstance(instance, { sweeps: 12 }).plan.tunnels).toEqual([0]);
  });

  it('counts no standby gateway', () => {
    const instance = triangle(({ gateways }) => {
      gateways[1]!.role = 'standby';
    });
    expect(planInstance(instance, { sweeps: 6 }).plan.flows).toEqual([]);
  });

  it.each<[string, (instance: Instance) => void]>([
    ['no demand', (instance) => void (instance.demands = [])],
    ['no link', (instance) => void (instance.links = [])],
    ['uplinks without capacity', ({ uplinks }) => uplinks.forEach((uplink) => void (uplink.upMbps = 0))],
    ['gateways without slots', ({ gateways }) => gateways.forEach((gateway) => void (gateway.maxTunnels = 0))],
    ['demand of nothing', ({ demands }) => demands.forEach((demand) => void (demand.p50 = demand.p95 = 0))],
  ])('plans nothing, and proves that nothing is lost, with %s', (_, change) => {
    const { plan, certificate } = planInstance(triangle(change), { sweeps: 6 });
    expect([plan.tunnels, plan.flows, certificate.worth]).toEqual([[], [], 0]);
  });

  it.each<[string, (instance: Instance) => void]>([
    ['no gateway', (instance) => void (instance.gateways = [])],
    ['a latency of 0 ms wanted', ({ classes }) => classes.forEach((cls) => void (cls.maxRttMs = 0))],
    ['a security that no site has', ({ classes }) => classes.forEach((cls) => void (cls.minSecurity = 1e9))],
    ['no site at all', (instance) => void Object.assign(instance, { sites: [], gateways: [], uplinks: [], links: [], demands: [] })],
  ])('says that no plan is better than none, with %s', (_, change) => {
    const { plan, certificate } = planInstance(triangle(change), { sweeps: 6 });
    expect([plan.flows, certificate.provenGapPct]).toEqual([[], 0]);
  });

  it.each([5, 1e9])('sends what there is no cheaper way for, at %f USD per GB', (usdPerGb) => {
    const instance = triangle(({ uplinks }) => uplinks.forEach((uplink) => void (uplink.usdPerGb = usdPerGb)));
    expect(servedOf(instance, planInstance(instance, { sweeps: 24 }).plan.flows)).toEqual([30, 70]);
  });

  it.each<[string, number, number, number]>([
    ['capacities beyond all measure', Number.MAX_VALUE, 90, 120],
    ['demand beyond all measure', 100, Number.MAX_VALUE, 100],
    ['a median above what is wanted at most', 100, 10, 40],
  ])('serves what fits with %s, and says how much more is possible', (_, mbps, bulkMbps, most) => {
    const instance = triangle(({ uplinks, demands }) => {
      for (const uplink of uplinks) uplink.upMbps = uplink.downMbps = mbps;
      demands[1]!.p95 = bulkMbps;
    });
    const { plan, certificate } = planInstance(instance, { sweeps: 24 });
    expect(servedOf(instance, plan.flows).reduce((sum, served) => sum + served, 0)).toBeCloseTo(most, 3);
    expect(Number.isFinite(certificate.bound)).toBe(true);
    expect(certificate.provenGapPct).toBeLessThan(1);
  });

  it('does not find more where a link is listed twice', () => {
    const instance = triangle(({ links }) => void links.push([...links[0]!]));
    expect(servedOf(instance, planInstance(instance, { sweeps: 24 }).plan.flows)).toEqual([30, 70]);
  });
});

describe('readInstance', () => {
  it('takes what is well formed, and leaves further keys alone', () => {
    const instance = { ...triangle(), name: 'x', seed: 1 };
    expect(readInstance(structuredClone(instance))).toEqual(instance);
  });

  it.each<[string, (instance: Instance) => void, RegExp]>([
    ['a site that is not there', ({ uplinks }) => void (uplinks[1]!.site = 7), /\/uplinks\/1\/site is 7, but there are 3/],
    ['a negative capacity', ({ uplinks }) => void (uplinks[1]!.upMbps = -1), /\/uplinks\/1\/upMbps must be >= 0/],
    ['what JSON has for not a number', ({ demands }) => void (demands[0]!.p95 = null as unknown as number), /\/demands\/0\/p95 must be number/],
    ['a demand to itself', ({ demands }) => void (demands[1]!.dst = 0), /\/demands\/1 leads from a site to itself/],
    ['a link inside a site', ({ links }) => void (links[0]![1] = 0), /\/links\/0 joins two uplinks of one site/],
    ['another format', (instance) => void ((instance as { format: string }).format = 'x/1'), /\/format must be "te-instance\/1"  fix/],
  ])('refuses %s and says where', (_, change, message) => {
    const instance = triangle();
    change(instance);
    expect(() => readInstance(instance)).toThrow(message);
  });
});

describe('parseInstance', () => {
  it('reads what was written', () => {
    expect(parseInstance(JSON.stringify(triangle()), 'a.json')).toEqual(triangle());
  });

  it.each(['NaN', 'Infinity', '-Infinity', '1e400'])('says where %s stands, which JSON does not have', (token) => {
    const text = JSON.stringify({ name: 'has "NaN": NaN in a string', ...triangle() }).replace(/"p95":\d+/, `"p95":${token}`);
    expect(() => parseInstance(text, 'a.json')).toThrow(/a\.json is no te-instance\/1: \/demands\/0\/p95 must be number  fix/);
  });

  it('says in which line what is wrong stands', () => {
    const place = (change: (instance: Instance) => void): unknown => {
      try {
        return parseInstance(JSON.stringify(triangle(change), null, 2), 'a.json');
      } catch (thrown) {
        return (thrown as { where: unknown }).where;
      }
    };
    const lines = JSON.stringify(triangle(), null, 2).split('\n');
    const lineOf = (key: string): number => lines.findIndex((each) => each.includes(`"${key}": `)) + 1;
    expect(place(({ demands }) => void (demands[0]!.p95 = -1))).toEqual({ file: 'a.json', line: lineOf('p95'), column: lines[lineOf('p95') - 1]!.indexOf(': ') + 3 });
    expect(place(({ demands }) => void (demands[0]!.cls = 7))).toMatchObject({ line: lineOf('cls') });
  });

  it('reads a median above its P95, and doubts it with its place', () => {
    const text = JSON.stringify(triangle(({ demands }) => void Object.assign(demands[1]!, { p50: 95 })));
    const instance = parseInstance(text, 'a.json');
    expect(doubtsAbout(instance, text, 'a.json')).toEqual([
      { code: 'INSTANCE_INVALID', severity: 'warning', what: '/demands/1/p50 is 95, above p95, which is 90: such a median counts as p95', where: { file: 'a.json', line: 1, column: text.indexOf('95,"p95":90') + 1 }, fix: expect.any(String) as string },
    ]);
    expect(doubtsAbout(triangle(), JSON.stringify(triangle()), 'a.json')).toEqual([]);
  });

  it.each(['', '{"format":', 'NaN', '{"x": NaN, "format": "te-instance/1"'])('refuses %j, with the name of the file', (text) => {
    expect(() => parseInstance(text, 'a.json')).toThrow(/^INSTANCE_INVALID\s+a\.json is no te-instance\/1/);
  });
});
