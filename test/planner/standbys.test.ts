import { describe, expect, it } from 'vitest';
import { nodeId, type Intent, type Override, type Plan, type SiteNode, type Veto } from '../../src/model/index.ts';
import { checkPlan } from '../../src/planner/index.ts';
import { NOW } from '../support/intent-arbitrary.ts';
import { backupsOf, exampleIntent, planFor, routesOf, tunnelPaths } from '../support/plan-situations.ts';

const HOUR = 3_600_000;
const ALWAYS = ['aws-fra', 'hamburg', 'paris'];
const intent = exampleIntent();

describe('standby gateways', () => {
  it('have one tunnel of their own to each site that theirs has tunnels to', () => {
    const { plan } = planFor({});
    expect(peersOf(plan, 'berlin-gw2')).toEqual(ALWAYS);
    expect(checkPlan(intent, plan)).toEqual([]);
  });

  it('carry nothing, and are what both sites fall back to last', () => {
    const { plan } = planFor({ demands: ['berlin>paris voice 1'] });
    const isStandby = (path: string): boolean => path.includes('berlin-gw2');
    expect(isStandby(routesOf(plan, 'berlin>paris', 'voice'))).toBe(false);
    for (const pair of ['berlin>paris', 'paris>berlin']) {
      expect(backupsOf(plan, pair, 'voice').map(isStandby)).toEqual([false, true]);
    }
  });

  it('have a tunnel beside one that was planned on demand, and none when that is gone', () => {
    const asked = planFor({ demands: ['berlin>azure-weu business 4'], now: NOW - 24 * HOUR }).plan;
    expect(peersOf(asked, 'berlin-gw2')).toEqual(['aws-fra', 'azure-weu', 'hamburg', 'paris']);
    const { plan, report } = planFor({ previous: asked });
    expect(peersOf(plan, 'berlin-gw2')).toEqual(ALWAYS);
    expect(report.removed.filter(({ path }) => path.includes('berlin-gw2')).map(({ reason }) => reason)).toEqual(['its standby gateway needs it no longer, or has no slot for it']);
  });

  it('leave the slots of a gateway to those that carry traffic, and say so', () => {
    const small = withNodes(intent, (node) => (node.id === 'paris-gw1' ? { ...node, tunnelsMax: 2 } : node));
    const { plan, report } = planFor({ intent: small, demands: ['berlin>paris voice 1'] });
    expect(tunnelPaths(plan).filter((path) => path.includes('berlin-gw1') && path.includes('paris'))).toHaveLength(2);
    expect(peersOf(plan, 'berlin-gw2')).toEqual(['aws-fra', 'hamburg']);
    expect(report.waiting).toContainEqual({ what: 'standby tunnel of berlin-gw2 between berlin and paris', reason: 'paris-gw1 holds 2 of 2 tunnels for what goes before', until: null });
    expect(checkPlan(small, plan)).toEqual([]);
  });

  it('keep the path they have while it is up, and leave it when it is down', () => {
    const before = planFor({}).plan;
    const path = tunnelPaths(before).find((one) => one.includes('berlin-gw2') && one.includes('paris'))!;
    const other = path.includes('berlin-gw2/cable') ? 'berlin-gw2/fibre~paris-gw1/fibre' : 'berlin-gw2/cable~paris-gw1/cable';
    const measured = (state: 'up' | 'down') => [{ path, state, latencyMs: 40 }, { path: other, latencyMs: 1 }];
    expect(tunnelPaths(planFor({ previous: before, paths: measured('up') }).plan)).toContain(path);
    const moved = tunnelPaths(planFor({ previous: before, paths: measured('down') }).plan);
    expect(moved).not.toContain(path);
    expect(moved.filter((one) => one.includes('berlin-gw2') && one.includes('paris'))).toHaveLength(1);
  });

  it('take over a drained gateway with the tunnels they have, and it keeps one of its own to each site', () => {
    const before = planFor({ demands: ['berlin>paris voice 1'] }).plan;
    const drain: Override = { id: 'o1', what: { kind: 'drain-node', node: nodeId('berlin-gw1') }, until: NOW + HOUR, why: 'new disk', by: 'alice' };
    const { plan } = planFor({ previous: before, demands: ['berlin>paris voice 1'], overrides: [drain] });
    expect(plan.servingNodes.find(({ site }) => site === 'berlin')?.node).toBe('berlin-gw2');
    expect(before.tunnels.filter(({ path }) => path.includes('berlin-gw2')).every(({ id }) => plan.tunnels.some((tunnel) => tunnel.id === id))).toBe(true);
    expect(plan.tunnels.filter(({ path }) => path.includes('berlin-gw1')).every(({ id }) => before.tunnels.some((tunnel) => tunnel.id === id))).toBe(true);
    expect(peersOf(plan, 'berlin-gw1')).toEqual(ALWAYS);
    expect(checkPlan(intent, plan)).toEqual([]);
  });

  it('keep a tunnel whose removal a person took back', () => {
    const before = planFor({ demands: ['berlin>azure-weu business 4'], now: NOW - 24 * HOUR }).plan;
    const tunnel = before.tunnels.find(({ path }) => path.includes('berlin-gw2') && path.includes('azure'))!;
    const veto: Veto = { fingerprint: 'f', what: 'the removal', change: { kind: 'tunnel-remove', path: tunnel.path, securityProfile: tunnel.securityProfile }, until: NOW + HOUR, commit: 'c'.repeat(40) };
    const { plan } = planFor({ previous: before, vetoes: [veto] });
    expect(plan.tunnels.map(({ id }) => id)).toContain(tunnel.id);
    expect(checkPlan(intent, plan)).toEqual([]);
  });

  it('that are dead keep their tunnels and get no new ones', () => {
    const dead = [{ node: nodeId('berlin-gw2'), connected: false, lastSeenAt: NOW - 60_000, generation: 1, commit: null, drift: [] }];
    const before = planFor({}).plan;
    expect(peersOf(planFor({ nodes: dead, previous: before }).plan, 'berlin-gw2')).toEqual(ALWAYS);
    expect(peersOf(planFor({ nodes: dead }).plan, 'berlin-gw2')).toEqual([]);
  });

  it('stand at both ends, but never between two of them', () => {
    const both: Intent = {
      ...intent,
      sites: intent.sites.map((site) => (site.id === 'paris' ? { ...site, nodes: [...site.nodes, renamed(site.nodes[0]!, 'paris-gw2')] } : site)),
    };
    const { plan } = planFor({ intent: both });
    expect(tunnelPaths(plan).filter((path) => path.includes('berlin-gw2') && path.includes('paris-gw2'))).toEqual([]);
    expect(tunnelPaths(plan).some((path) => path.includes('berlin-gw1') && path.includes('paris-gw2'))).toBe(true);
    expect(tunnelPaths(plan).some((path) => path.includes('berlin-gw2') && path.includes('paris-gw1'))).toBe(true);
    expect(checkPlan(both, plan)).toEqual([]);
  });
});

function peersOf(plan: Plan, node: string): string[] {
  return [...new Set(plan.tunnels.flatMap(({ a, b }) => (a.node === node ? [b.site] : b.node === node ? [a.site] : [])))].sort();
}

function withNodes(from: Intent, change: (node: SiteNode) => SiteNode): Intent {
  return { ...from, sites: from.sites.map((site) => ({ ...site, nodes: site.nodes.map(change) })) };
}

function renamed(node: SiteNode, name: string): SiteNode {
  return { ...node, id: nodeId(name), role: 'standby', uplinks: node.uplinks.map((uplink, index) => ({ ...uplink, id: `${name}/${uplink.name}` as typeof uplink.id, address: `100.64.${index + 1}.77` })) };
}
