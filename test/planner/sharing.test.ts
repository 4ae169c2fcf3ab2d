import * as fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { nodeId, type Assignment, type Intent, type Override, type Plan, type SiteNode } from '../../src/model/index.ts';
import { checkPlan, plan as planOnce, type PlanInputs } from '../../src/planner/index.ts';
import { renderNodes } from '../../src/render/index.ts';
import { changeArbitrary, NOW } from '../support/intent-arbitrary.ts';
import { type DemandText, exampleIntent, planFor } from '../support/plan-situations.ts';

const HOUR = 3_600_000;
const BERLIN = ['berlin-gw1', 'berlin-gw2'];
const shared = withNodes(exampleIntent(), (node) => (node.id === 'berlin-gw2' ? { ...node, role: 'active', lan: { ...node.lan, address: node.lan.address.replace('.1/', '.2/') } } : node));
const demands: DemandText[] = ['berlin>paris voice 10', 'berlin>paris business 20', 'berlin>aws-fra business 20'];

describe('two gateways that share the traffic of their site', () => {
  it('both serve it, and each carries half of every demand over tunnels of its own', () => {
    const { plan, report } = planFor({ intent: shared, demands });
    expect(servingAt(plan, 'berlin')).toEqual(BERLIN);
    for (const assignment of plan.assignments.filter(({ from }) => from === 'berlin')) {
      const weights = weightsByNode(plan, assignment);
      expect(weights, `${assignment.to} ${assignment.classId}`).toEqual({ 'berlin-gw1': 50, 'berlin-gw2': 50 });
    }
    expect(checkPlan(shared, plan)).toEqual([]);
    const demand = report.demands.filter(({ pair, classId }) => pair === 'berlin>paris' && classId === 'business');
    expect(demand).toHaveLength(1);
    expect(demand[0]!.plannedMbps).toBeGreaterThanOrEqual(20);
    expect(demand[0]!.carriedBy.reduce((sum, { weight }) => sum + weight, 0)).toBe(100);
  });

  it('use the capacity of both: what one could not encrypt alone has a place', () => {
    const slow = (intent: Intent): Intent => withNodes(intent, (node) => (node.id.startsWith('berlin') ? { ...node, cryptoMbps: 16 } : node));
    const alone = planFor({ intent: slow(exampleIntent()), demands: ['berlin>paris business 20'] });
    const together = planFor({ intent: slow(shared), demands: ['berlin>paris business 20'] });
    expect(alone.report.unplaced).not.toEqual([]);
    expect(together.report.unplaced).toEqual([]);
  });

  it('fall back to each other: every route has ways through both', () => {
    const { plan } = planFor({ intent: shared, demands });
    for (const { routes, backups } of plan.assignments.filter(({ from }) => from === 'paris')) {
      const nodes = new Set([...routes.map(({ tunnels }) => tunnels), ...backups].flatMap(([first]) => nodesOf(plan, first!)));
      expect(BERLIN.every((node) => nodes.has(node))).toBe(true);
    }
  });

  it('are planned the same again, and go back to one when the other is drained, over tunnels that stand', () => {
    const before = planFor({ intent: shared, demands }).plan;
    expect(planFor({ intent: shared, demands, previous: before }).plan).toEqual(before);
    const drain: Override = { id: 'o1', what: { kind: 'drain-node', node: nodeId('berlin-gw1') }, until: NOW + HOUR, why: 'new disk', by: 'alice' };
    const { plan } = planFor({ intent: shared, demands, previous: before, overrides: [drain] });
    expect(servingAt(plan, 'berlin')).toEqual(['berlin-gw2']);
    for (const assignment of plan.assignments.filter(({ from }) => from === 'berlin')) expect(weightsByNode(plan, assignment)).toEqual({ 'berlin-gw2': 100 });
    const kept = before.tunnels.filter(({ path }) => path.includes('berlin-gw2')).map(({ id }) => id);
    expect(kept.every((id) => plan.tunnels.some((tunnel) => tunnel.id === id))).toBe(true);
    expect(checkPlan(shared, plan)).toEqual([]);
    const back = planFor({ intent: shared, demands, previous: plan }).plan;
    expect(servingAt(back, 'berlin')).toEqual(BERLIN);
    expect(checkPlan(shared, back)).toEqual([]);
  });

  it('of both sites of a pair have a tunnel to each of the other site, so that any one of them may be gone', () => {
    const both = withNodes(shared, (node) => node, ['paris']);
    const { plan } = planFor({ intent: both, demands });
    expect(servingAt(plan, 'paris')).toEqual(['paris-gw1', 'paris-gw2']);
    const joined = plan.tunnels.filter(({ a, b }) => [a.site, b.site].sort().join() === 'berlin,paris').map(({ a, b }) => [a.node, b.node].sort().join());
    expect([...new Set(joined)].sort()).toEqual(['berlin-gw1,paris-gw1', 'berlin-gw1,paris-gw2', 'berlin-gw2,paris-gw1', 'berlin-gw2,paris-gw2']);
    expect(checkPlan(both, plan)).toEqual([]);
    expect(planFor({ intent: both, demands, previous: plan }).plan).toEqual(plan);
  });

  it('each send all that their hosts give them, see after both addresses, and remote sites divide their flows', () => {
    const { plan } = planFor({ intent: shared, demands });
    const configs = new Map(renderNodes(shared, plan).map((config) => [config.node as string, config]));
    for (const [index, node] of BERLIN.entries()) {
      const { lan, serving, steering } = configs.get(node)!;
      expect(serving).toBe(true);
      expect(lan.shared).toMatchObject({ preferred: node, others: [{ preferred: BERLIN[1 - index] }] });
      for (const { lanes } of steering) expect(lanes.reduce((sum, { weight }) => sum + weight, 0)).toBe(100);
      expect(steering.length).toBeGreaterThan(0);
    }
    const paris = configs.get('paris-gw1')!.steering.find(({ to, classId }) => to === 'berlin' && classId === 'voice')!;
    const firsts = paris.lanes.map(({ weight, tunnels: [first] }) => ({ weight, node: nodesOf(plan, first!).find((node) => node.startsWith('berlin')) }));
    expect(firsts.sort((left, right) => left.node!.localeCompare(right.node!))).toEqual([{ weight: 50, node: 'berlin-gw1' }, { weight: 50, node: 'berlin-gw2' }]);
    for (const { tunnels } of paris.lanes) {
      const gateways = tunnels.map((tunnel) => nodesOf(plan, tunnel).find((node) => node.startsWith('berlin'))!);
      const own = gateways.filter((node) => node === gateways[0]).length;
      expect(gateways.slice(0, own).every((node) => node === gateways[0]), 'its own gateway first').toBe(true);
      expect(new Set(gateways).size).toBe(2);
    }
  });
});

describe('plans for any mesh whose sites share their traffic', () => {
  const RUNS = { numRuns: Number(process.env['PROPERTY_RUNS'] ?? 100) };
  /** Every site has two gateways, or every second one. */
  const sharing = (inputs: PlanInputs, each: 1 | 2): PlanInputs => {
    const single = { ...inputs.intent, sites: inputs.intent.sites.map((site) => ({ ...site, nodes: site.nodes.slice(0, 1) })) };
    return { ...inputs, intent: withNodes(single, (node) => ({ ...node, role: 'active' }), inputs.intent.sites.filter((_, index) => index % each === 0).map(({ id }) => id)) };
  };

  it('pass the checker, and change nothing when made again from their own result', () => {
    fc.assert(
      fc.property(changeArbitrary, fc.boolean(), fc.constantFrom(1 as const, 2 as const), ([before, after], hadOne, each) => {
        const inputs = sharing(after, each);
        const first = planOnce({ ...inputs, previous: planOnce(hadOne ? before : sharing(before, each)).plan }).plan;
        expect(checkPlan(inputs.intent, first)).toEqual([]);
        expect(planOnce({ ...inputs, previous: first, now: after.now + after.intent.mesh.cycleMs }).plan).toEqual(first);
      }),
      RUNS,
    );
  });
});

/** @param twins  sites that get a second gateway beside their first, with uplinks and a LAN address of its own */
function withNodes(from: Intent, change: (node: SiteNode) => SiteNode, twins: readonly string[] = []): Intent {
  return {
    ...from,
    sites: from.sites.map((site) => {
      const nodes = site.nodes.map(change);
      return { ...site, nodes: twins.includes(site.id) ? [...nodes, twinOf(nodes[0]!)] : nodes };
    }),
  };
}

function twinOf(node: SiteNode): SiteNode {
  const id = nodeId(node.id.includes('gw1') ? node.id.replace('gw1', 'gw2') : `${node.id}-twin`);
  return { ...node, id, lan: { ...node.lan, address: node.lan.address.replace('.1/', '.2/') }, uplinks: node.uplinks.map((uplink, index) => ({ ...uplink, id: uplink.id.replace(node.id, id) as typeof uplink.id, address: `${uplink.address.split('.').slice(0, 2).join('.')}.${200 + index}.${uplink.address.split('.')[3]}` })) };
}

function servingAt(plan: Plan, site: string): string[] {
  return plan.servingNodes.filter((serving) => serving.site === site).map(({ node }) => node);
}

function nodesOf(plan: Plan, tunnel: string): string[] {
  const found = plan.tunnels.find(({ id }) => id === tunnel)!;
  return [found.a.node, found.b.node];
}

/** Per cent of an assignment by the gateway of its lesser site that leads it. */
function weightsByNode(plan: Plan, { from, routes }: Assignment): Record<string, number> {
  const weights: Record<string, number> = {};
  for (const { tunnels, weight } of routes) {
    const node = nodesOf(plan, tunnels[0]!).find((one) => one.startsWith(from))!;
    weights[node] = (weights[node] ?? 0) + weight;
  }
  return weights;
}
