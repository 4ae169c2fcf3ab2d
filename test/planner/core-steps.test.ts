import * as fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { orderSteps, planInstance, type Change, type Instance, type InstancePlan } from '../../src/planner/index.ts';
import { brokenLimits } from '../support/instance-checker.ts';
import { makeInstance } from '../support/instances.ts';
import { twoUplinks } from '../support/meshes.ts';

type Flows = InstancePlan['flows'];

const bare = (tunnels: number[], flows: Flows): InstancePlan => ({ tunnels, flows, backups: [], idle: [], prices: [] });

/** Follows a change and returns what breaks a limit on the way: before and after tunnels go, with old and new flows at once. */
function brokenOnTheWay(instance: Instance, before: InstancePlan, { steps }: Change): { broken: string[]; end: { tunnels: number[]; flows: Flows } } {
  // what is wanted is not judged here: old flows may be more than is wanted now
  const wanted: Instance = { ...instance, demands: instance.demands.map((demand) => ({ ...demand, p95: 1e9 })) };
  const broken: string[] = [];
  let tunnels = [...before.tunnels];
  let flows = before.flows;
  for (const [index, step] of steps.entries()) {
    tunnels = [...tunnels, ...step.open];
    const next = [...flows.filter(({ demand }) => !step.changed.includes(demand)), ...step.flows];
    const most = new Map<string, Flows[number]>();
    for (const flow of [...flows, ...next]) {
      const key = `${flow.demand} ${flow.links.join(' ')}`;
      if ((most.get(key)?.mbps ?? -1) < flow.mbps) most.set(key, flow);
    }
    broken.push(...brokenLimits(wanted, bare(tunnels, [...most.values()])).map((what) => `step ${index}: ${what}`));
    flows = next;
    tunnels = tunnels.filter((link) => !step.close.includes(link));
    broken.push(...flows.filter(({ links }) => links.some((link) => !tunnels.includes(link))).map(({ demand }) => `step ${index}: a tunnel of demand ${demand} is closed under it`));
  }
  return { broken, end: { tunnels, flows } };
}

const inOrder = (flows: Flows): string[] => flows.filter(({ mbps }) => mbps > 1e-5).map(({ demand, links, mbps }) => `${demand} ${links.join(' ')} ${mbps.toFixed(3)}`).sort();

describe('orderSteps', () => {
  it('opens a tunnel before traffic moves to it, and closes the old one after', () => {
    const instance = twoUplinks(2, [[0, 1, 40]]);
    const change = orderSteps(instance, bare([0], [{ demand: 0, links: [0], mbps: 40 }]), bare([1], [{ demand: 0, links: [1], mbps: 40 }]));
    expect(change).toEqual({ steps: [{ open: [1], changed: [0], flows: [{ demand: 0, links: [1], mbps: 40 }], close: [0] }], interrupted: [] });
  });

  it('lets two demands change places over what is left free beside them', () => {
    const instance = twoUplinks(2, [[0, 1, 60], [0, 1, 60]]);
    const before = bare([0, 1], [{ demand: 0, links: [0], mbps: 60 }, { demand: 1, links: [1], mbps: 60 }]);
    const after = bare([0, 1], [{ demand: 0, links: [1], mbps: 60 }, { demand: 1, links: [0], mbps: 60 }]);
    const change = orderSteps(instance, before, after);
    expect(change.interrupted).toEqual([]);
    expect(change.steps.length).toBeGreaterThan(1);
    expect(brokenOnTheWay(instance, before, change).broken).toEqual([]);
  });

  it('interrupts the less important of two that wait for each other, and says so', () => {
    const instance = twoUplinks(2, [[0, 1, 100], [0, 1, 100]], ({ classes, demands }) => {
      classes.push({ ...classes[0]!, id: 'bulk', priority: 1 });
      demands[1]!.cls = 1;
    });
    const before = bare([0, 1], [{ demand: 0, links: [0], mbps: 100 }, { demand: 1, links: [1], mbps: 100 }]);
    const after = bare([0, 1], [{ demand: 0, links: [1], mbps: 100 }, { demand: 1, links: [0], mbps: 100 }]);
    const change = orderSteps(instance, before, after);
    expect(change.interrupted).toMatchObject([{ demand: 1 }]);
    expect(change.interrupted[0]!.mbps).toBeCloseTo(100, 2);
    const { broken, end } = brokenOnTheWay(instance, before, change);
    expect([broken, inOrder(end.flows)]).toEqual([[], inOrder(after.flows)]);
  });

  it('takes a slot that is given up first', () => {
    const instance = twoUplinks(2, [[0, 1, 40]], ({ gateways }) => gateways.forEach((gateway) => void (gateway.maxTunnels = 1)));
    const before = bare([0], [{ demand: 0, links: [0], mbps: 40 }]);
    const change = orderSteps(instance, before, bare([1], [{ demand: 0, links: [1], mbps: 40 }]));
    expect(change.interrupted).toEqual([{ demand: 0, mbps: 40 }]);
    expect(brokenOnTheWay(instance, before, change)).toMatchObject({ broken: [], end: { tunnels: [1], flows: [{ links: [1], mbps: 40 }] } });
  });

  it('breaks no limit on the way between any two plans, and arrives', () => {
    fc.assert(
      fc.property(fc.integer({ min: 0, max: 1e6 }), fc.integer({ min: 1, max: 9 }), fc.constantFrom(3, 20, 200), (seed, slots, meanMbps) => {
        const instance = makeInstance({ sites: 6, relays: 2, seed, slots, meanMbps });
        const before = planInstance({ ...instance, demands: instance.demands.map((demand, index) => ({ ...demand, p95: demand.p95 * (index % 3 === 0 ? 0.2 : 1.4) })) }, { sweeps: 6 }).plan;
        const after = planInstance(instance, { sweeps: 6 }).plan;
        const { broken, end } = brokenOnTheWay(instance, before, orderSteps(instance, before, after));
        expect(broken).toEqual([]);
        expect(inOrder(end.flows)).toEqual(inOrder(after.flows));
        expect([...end.tunnels].sort((one, other) => one - other)).toEqual(after.tunnels);
      }),
      { numRuns: 40, seed: 4 },
    );
  });
});
