import { describe, expect, it } from 'vitest';
import { classId, siteId, type Assignment, type Intent, type Plan, type Tunnel, type TunnelId, type Uplink } from '../../src/model/index.ts';
import { checkPlan } from '../../src/planner/index.ts';
import { exampleIntent } from '../support/plan-situations.ts';
import { playStory } from '../support/golden.ts';

const intent = exampleIntent();
const good = playStory('tunnel-limit').at(-1)!.plan;
const peak = playStory('peak-ahead').at(-1)!.plan;

describe('checkPlan', () => {
  it('finds nothing in a good plan', () => {
    expect(checkPlan(intent, good)).toEqual([]);
    expect(checkPlan(intent, peak)).toEqual([]);
  });

  it.each<[string, (plan: Plan) => Plan, RegExp]>([
    ['a plan of another mesh', (plan) => ({ ...plan, mesh: 'other' }), /for mesh other/],
    ['a tunnel id that does not follow from path and profile', firstTunnel((tunnel) => ({ ...tunnel, id: 't-00000000' as TunnelId })), /the id should be t-/],
    ['a path that is not that of the ends', firstTunnel((tunnel) => ({ ...tunnel, path: tunnel.path.replace('fibre', 'cable') as Tunnel['path'], a: { ...tunnel.a, uplink: tunnel.b.uplink } })), /is not that of its ends/],
    ['an underlay address of somebody else', firstTunnel((tunnel) => ({ ...tunnel, a: { ...tunnel.a, address: '192.0.2.1' } })), /address 192.0.2.1 is not that of uplink/],
    ['ends of two address families', firstTunnel((tunnel) => ({ ...tunnel, a: { ...tunnel.a, address: '2001:db8::1' } })), /are not of the same address family/],
    ['two tunnels with one index', (plan) => ({ ...plan, tunnels: plan.tunnels.map((tunnel) => ({ ...tunnel, index: 0 })) }), /have the same index 0/],
    ['an overlay address outside the prefix', firstTunnel((tunnel) => ({ ...tunnel, a: { ...tunnel.a, overlay: '10.9.9.9' } })), /overlay address 10.9.9.9/],
    ['a profile that is not in the plan', (plan) => ({ ...plan, securityProfiles: [] }), /security profile .* is not in the plan/],
    ['a profile that differs from the intent', (plan) => ({ ...plan, securityProfiles: plan.securityProfiles.map((profile) => ({ ...profile, level: 1 })) }), /differs from the intent's/],
    ['a weaker profile than the pair needs', (plan) => ({ ...plan, tunnels: plan.tunnels.map((tunnel) => (tunnel.securityProfile === 'strong' ? { ...tunnel, securityProfile: 'standard' } : tunnel)) }), /need security profile strong/],
    ['weights that do not sum to 100', firstAssignment((assignment) => ({ ...assignment, routes: assignment.routes.map((route) => ({ ...route, weight: 90 })) })), /weights sum to 90/],
    ['a weight that is not finite', firstAssignment((assignment) => ({ ...assignment, routes: assignment.routes.map((route) => ({ ...route, weight: Number.NaN })) })), /weight NaN is no whole per cent/],
    ['a backup that does not exist', firstAssignment((assignment) => ({ ...assignment, backups: [['t-ffffffff' as TunnelId]] })), /does not hang together/],
    ['a route that leads elsewhere', (plan) => mapAssignments(plan, (assignment) => (assignment.from === siteId('berlin') ? { ...assignment, to: siteId('paris'), routes: plan.assignments[0]!.routes } : assignment)), /does not hang together|ends at/],
    ['one direction without the other', (plan) => ({ ...plan, assignments: plan.assignments.slice(1) }), /the other direction is missing/],
    ['directions that go different ways', firstAssignment((assignment) => ({ ...assignment, routes: [{ tunnels: assignment.routes[0]!.tunnels, weight: 50 }, { tunnels: assignment.routes[0]!.tunnels, weight: 50 }] })), /the other direction goes another way/],
    ['second copies of a class that is sent once', firstAssignment((assignment) => ({ ...assignment, copies: assignment.backups })), /it has copies, but class .* is not sent twice/],
    ['second copies over the same uplinks', firstAssignment((assignment) => ({ ...assignment, copies: [assignment.routes[0]!.tunnels] })), /share an uplink with every route/],
    ['a class nobody knows', firstAssignment((assignment) => ({ ...assignment, classId: classId('video') })), /class video is not in the intent/],
    ['a forbidden pair admitted', (plan) => ({ ...plan, admitted: [...plan.admitted, [siteId('azure-weu'), siteId('hamburg')]] }), /although the intent says never/],
    ['a serving node twice', (plan) => ({ ...plan, servingNodes: [...plan.servingNodes, plan.servingNodes.at(-1)!] }), /servingNodes has paris paris-gw1 twice/],
    ['a standby gateway that serves beside the active one', (plan) => ({ ...plan, servingNodes: plan.servingNodes.flatMap((entry) => (entry.site === siteId('berlin') ? [entry, { ...entry, node: 'berlin-gw2' as typeof entry.node }] : [entry])) }), /site berlin has several serving nodes, and not all of them are active ones/],
    ['traffic through a gateway that does not serve', (plan) => ({ ...plan, servingNodes: plan.servingNodes.map((entry) => (entry.site === siteId('berlin') ? { ...entry, node: 'berlin-gw2' as typeof entry.node } : entry)) }), /leads through a gateway that does not serve its site/],
    ['a tunnel between two gateways that do not serve', (plan) => ({ ...plan, servingNodes: plan.servingNodes.filter(({ site }) => site !== siteId('berlin') && site !== siteId('paris')) }), /neither berlin-gw1 nor paris-gw1 serves its site/],
    ['a standby gateway that is not the last to fall back to', firstAssignmentWith((assignment) => assignment.backups.length > 1, (assignment) => ({ ...assignment, backups: assignment.backups.toReversed() })), /comes after one through a standby gateway/],
    ['lists out of order', (plan) => ({ ...plan, tunnels: plan.tunnels.toReversed() }), /tunnels is not sorted/],
    ['a tunnel twice', (plan) => ({ ...plan, tunnels: plan.tunnels.flatMap((tunnel, index) => (index === 0 ? [tunnel, tunnel] : [tunnel])) }), /tunnels has t-.* twice/],
  ])('finds %s', (_, break_, message) => {
    const findings = checkPlan(intent, break_(good));
    expect(findings.map(({ what }) => what).join('\n')).toMatch(message);
    expect(new Set(findings.map(({ code }) => code))).toEqual(new Set(['PLAN_INVALID']));
  });

  it('finds a tunnel whose ends are both behind NAT, unless one of them has a public address', () => {
    const behind = (addresses: readonly (string | undefined)[]): Intent => {
      const { a, b } = good.tunnels[0]!;
      const natOf = new Map([a, b].map(({ uplink }, index) => [uplink, addresses[index] === undefined ? {} : { publicAddress: addresses[index] }]));
      const withNat = (uplink: Uplink): Uplink => ({ ...uplink, ...(natOf.has(uplink.id) ? { nat: natOf.get(uplink.id)! } : {}) });
      return { ...intent, sites: intent.sites.map((site) => ({ ...site, nodes: site.nodes.map((node) => ({ ...node, uplinks: node.uplinks.map(withNat) })) })) };
    };
    const about = (findings: ReturnType<typeof checkPlan>): number => findings.filter(({ what }) => what.includes('both are behind NAT without a public address')).length;
    expect(about(checkPlan(behind([undefined, undefined]), good))).toBeGreaterThan(0);
    expect(about(checkPlan(behind([undefined, '203.0.113.9']), good))).toBe(0);
  });

  it('finds a relay that may not relay, one that the connection denies, and one that steers another way', () => {
    const noRelay = { ...intent, sites: intent.sites.map((site) => ({ ...site, relay: false })) };
    const denied = { ...intent, connections: intent.connections.map((connection) => ({ ...connection, relays: 'deny' as const })) };
    expect(whats(noRelay, good)).toMatch(/site berlin may not relay/);
    expect(whats(denied, good)).toMatch(/denies relays, but a way goes over berlin/);
    const steered = mapAssignments(good, (assignment) => {
      const other = good.tunnels.find(({ path }) => path.startsWith('berlin-gw1/fibre~hamburg'))!;
      return assignment.from === 'berlin' && assignment.to === 'hamburg' ? { ...assignment, routes: [{ tunnels: [other.id], weight: 100 }] } : assignment;
    });
    expect(whats(intent, steered)).toMatch(/berlin sends this class to hamburg by its own assignment, which does not use/);
  });

  it('finds more tunnels than a node holds, and one over a drained uplink', () => {
    const small = { ...intent, sites: intent.sites.map((site) => ({ ...site, nodes: site.nodes.map((node) => ({ ...node, tunnelsMax: 2, uplinks: node.uplinks.map((uplink) => ({ ...uplink, drain: uplink.name === 'dsl' })) })) })) };
    expect(whats(small, good)).toMatch(/node hamburg-gw1 has 3 tunnels and holds 2 at most/);
    expect(whats(small, good)).toMatch(/uplink hamburg-gw1\/dsl is being drained/);
  });
});

function whats(...args: Parameters<typeof checkPlan>): string {
  return checkPlan(...args)
    .map(({ what }) => what)
    .join('\n');
}

function firstTunnel(change: (tunnel: Tunnel) => Tunnel): (plan: Plan) => Plan {
  return (plan) => ({ ...plan, tunnels: plan.tunnels.map((tunnel, index) => (index === 0 ? change(tunnel) : tunnel)) });
}

function firstAssignment(change: (assignment: Assignment) => Assignment): (plan: Plan) => Plan {
  return (plan) => ({ ...plan, assignments: plan.assignments.map((assignment, index) => (index === 0 ? change(assignment) : assignment)) });
}

/** Both directions of the first assignment that fits, since the checker compares them. */
function firstAssignmentWith(fits: (assignment: Assignment) => boolean, change: (assignment: Assignment) => Assignment): (plan: Plan) => Plan {
  return (plan) => {
    const found = plan.assignments.find(fits);
    return { ...plan, assignments: plan.assignments.map((assignment) => (assignment === found ? change(assignment) : assignment)) };
  };
}

function mapAssignments(plan: Plan, change: (assignment: Assignment) => Assignment): Plan {
  return { ...plan, assignments: plan.assignments.map(change) };
}
