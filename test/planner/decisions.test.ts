import { describe, expect, it } from 'vitest';
import { classId, nodeId, pathId, pairId, siteId, uplinkId, type Intent, type Override, type Plan, type SiteNode, type Veto } from '../../src/model/index.ts';
import { checkPlan, plan } from '../../src/planner/index.ts';
import { emptyPlan, NOW } from '../support/intent-arbitrary.ts';
import { backupsOf, exampleIntent, inputsFor, planFor, routesOf, tunnelPaths } from '../support/plan-situations.ts';

const HOUR = 3_600_000;
const FIBRE_PATH = pathId(uplinkId(nodeId('berlin-gw1'), 'fibre'), uplinkId(nodeId('paris-gw1'), 'fibre'));
const CABLE_PATH = pathId(uplinkId(nodeId('berlin-gw1'), 'cable'), uplinkId(nodeId('paris-gw1'), 'cable'));

describe('serving nodes', () => {
  const status = (node: string, connected: boolean, seenAgoMs: number | null) => ({ node: nodeId(node), connected, lastSeenAt: seenAgoMs === null ? null : NOW - seenAgoMs, generation: 1, commit: null, drift: [] });
  const serving = (planned: Plan): string => planned.servingNodes.find(({ site }) => site === siteId('berlin'))!.node;

  it.each([
    ['nothing is known', [], 'berlin-gw1'],
    ['it is connected', [status('berlin-gw1', true, 60_000)], 'berlin-gw1'],
    ['it was never seen', [status('berlin-gw1', false, null)], 'berlin-gw1'],
    ['it was seen 15 s ago', [status('berlin-gw1', false, 15_000)], 'berlin-gw1'],
    ['it was last seen 16 s ago', [status('berlin-gw1', false, 16_000)], 'berlin-gw2'],
    ['both are dead', [status('berlin-gw1', false, 60_000), status('berlin-gw2', false, 60_000)], 'berlin-gw1'],
  ])('when %s, the site is served by the right one', (_, nodes, expected) => {
    expect(serving(planFor({ nodes }).plan)).toBe(expected);
  });

  it('stays with the standby after a fail-over, until that one dies', () => {
    const failedOver = planFor({ nodes: [status('berlin-gw1', false, 16_000)] }).plan;
    const recovered = planFor({ previous: failedOver, nodes: [status('berlin-gw1', true, 0)] }).plan;
    expect(serving(recovered)).toBe('berlin-gw2');
    expect(serving(planFor({ previous: recovered, nodes: [status('berlin-gw2', false, 60_000)] }).plan)).toBe('berlin-gw1');
  });

  it('says so when a drained node has nobody to take over', () => {
    const override: Override = { id: 'o1', what: { kind: 'drain-node', node: nodeId('paris-gw1') }, until: NOW + HOUR, why: 'test', by: 'alice' };
    expect(planFor({ overrides: [override] }).report.waiting.map(({ what }) => what)).toContain('draining of paris-gw1');
  });
});

describe('admissibility', () => {
  it('gives a forbidden pair nothing and relays nothing for it', () => {
    const { plan: planned } = planFor({ demands: ['hamburg>azure-weu bulk 5', 'azure-weu>hamburg bulk 5'] });
    expect(planned.assignments.filter(({ from, to }) => [from, to].includes(siteId('hamburg')) && [from, to].includes(siteId('azure-weu')))).toEqual([]);
    expect(planned.admitted).not.toContainEqual(['azure-weu', 'hamburg']);
  });

  it('refuses a path beyond the latency of the class, with the figures as reason', () => {
    const paths = [CABLE_PATH, FIBRE_PATH].map((path) => ({ path, latencyMs: path === CABLE_PATH ? 200 : 20 }));
    const { plan: planned, report } = planFor({ demands: ['berlin>paris voice 1'], paths });
    expect(report.refused).toContainEqual({ pair: 'berlin>paris', path: CABLE_PATH, reason: 'voice: latency 200 ms > 150 ms' });
    expect(routesOf(planned, 'berlin>paris', 'voice')).toBe(`${FIBRE_PATH} 100`);
  });

  it('builds nothing between two uplinks behind NAT of which none has a public address, and says so', () => {
    const behind = (node: SiteNode, nat: { publicAddress?: string }): SiteNode => ({ ...node, uplinks: node.uplinks.map((uplink) => (uplink.name === 'fibre' ? { ...uplink, nat } : uplink)) });
    const hidden = withNode(withNode(exampleIntent(), 'berlin-gw1', (node) => behind(node, {})), 'paris-gw1', (node) => behind(node, {}));
    const { plan: planned, report } = planFor({ intent: hidden, demands: ['berlin>paris voice 1'] });
    expect(tunnelPaths(planned)).not.toContain(FIBRE_PATH);
    expect(routesOf(planned, 'berlin>paris', 'voice')).not.toBe('');
    expect(report.refused).toContainEqual({ pair: 'berlin>paris', path: FIBRE_PATH, reason: 'berlin-gw1/fibre and paris-gw1/fibre are both behind NAT, and neither has a public address' });
    const open = withNode(hidden, 'paris-gw1', (node) => behind(node, { publicAddress: '203.0.113.9' }));
    expect(planFor({ intent: open, demands: ['berlin>paris voice 1'] }).report.refused.filter(({ reason }) => reason.includes('NAT'))).toEqual([]);
  });

  it('forgets what was measured more than five minutes ago, so that a dead path is tried again', () => {
    const down = (ageMs: number) => [{ path: CABLE_PATH, state: 'down' as const, sampledAt: NOW - ageMs }];
    expect(planFor({ demands: ['berlin>paris voice 1'], paths: down(1000) }).report.refused.map(({ path }) => path)).toContain(CABLE_PATH);
    expect(planFor({ demands: ['berlin>paris voice 1'], paths: down(301_000) }).report.refused).toEqual([]);
  });

  it('keeps what runs at best effort when no path holds the SLA, and says so', () => {
    const before = planFor({ demands: ['berlin>paris voice 1'], now: NOW - HOUR }).plan;
    const paths = ['fibre', 'cable'].flatMap((one) => ['fibre', 'cable'].map((other) => ({ path: `berlin-gw1/${one}~paris-gw1/${other}`, lossRatio: 0.08 })));
    const { plan: planned, report } = planFor({ demands: ['berlin>paris voice 1'], previous: before, paths });
    expect(routesOf(planned, 'berlin>paris', 'voice')).toBe(routesOf(before, 'berlin>paris', 'voice'));
    expect(report.unplaced[0]!.reason).toContain('carried at best effort');
  });

  it('goes over a relay when the only direct path is dead, and keeps its tunnel for when it lives again', () => {
    const intent = withNode(exampleIntent(), 'paris-gw1', (node) => ({ ...node, uplinks: node.uplinks.slice(0, 1) }));
    const before = planFor({ intent, demands: ['azure-weu>paris bulk 1'], now: NOW - HOUR }).plan;
    const path = tunnelPaths(before).find((each) => each.startsWith('azure'))!;
    const { plan: planned, report } = planFor({ intent, demands: ['azure-weu>paris bulk 1'], previous: before, paths: [{ path, state: 'down' }] });
    expect(tunnelPaths(planned)).toContain(path);
    expect(routesOf(planned, 'azure-weu>paris', 'bulk')).toContain('+');
    expect(backupsOf(planned, 'azure-weu>paris', 'bulk')).toContain(path);
    expect(checkPlan(intent, planned)).toEqual([]);
    expect(report.refused.map(({ reason }) => reason)).toContain('its probes say down');
  });

  describe('keeps the tunnels of dead paths', () => {
    const demands = ['berlin>paris voice 1' as const];
    const before = planFor({ demands, now: NOW - HOUR }).plan;
    const own = before.tunnels.filter(({ path }) => path.includes('berlin-gw1/') && path.includes('paris-gw1/')).map(({ path }) => path as string);
    const [primary, backup] = [routesOf(before, 'berlin>paris', 'voice').split(' ')[0]!, backupsOf(before, 'berlin>paris', 'voice')[0]!];
    const down = (paths: readonly string[]) => paths.map((path) => ({ path, state: 'down' as const }));

    it('and what an auto pair carries, while every path of it is dead', () => {
      const auto = planFor({ demands: ['paris>azure-weu bulk 2'], now: NOW - 60_000 }).plan;
      const every = ['berlin-gw1/fibre', 'berlin-gw1/cable', 'paris-gw1/fibre', 'paris-gw1/cable', 'azure-weu-gw1/pip', 'aws-fra-gw1/eip-a', 'hamburg-gw1/dsl', 'hamburg-gw1/lte'];
      const paths = every.flatMap((one) => every.filter((other) => other > one).map((other) => pathId(uplinkId(...split(one)), uplinkId(...split(other)))));
      const next = planFor({ demands: ['paris>azure-weu bulk 2'], previous: auto, paths: down(paths) }).plan;
      expect(routesOf(auto, 'paris>azure-weu', 'bulk')).toContain('azure-weu-gw1/pip~paris-gw1/');
      const ofPair = ({ assignments }: Plan) => assignments.filter(({ from, to, classId: id }) => from === 'azure-weu' && to === 'paris' && id === 'bulk');
      expect(ofPair(next)).toEqual(ofPair(auto));
    });

    it('and changes nothing at all while one of their agents is away for a moment', () => {
      const paris = (seenAgoMs: number) => [{ node: nodeId('paris-gw1'), connected: false, lastSeenAt: NOW - seenAgoMs, generation: 1, commit: null, drift: [] }];
      expect(own.length).toBeGreaterThanOrEqual(2);
      expect(planFor({ demands, previous: before, paths: down(own), nodes: paris(15_000) }).plan).toEqual(before);
      expect(planFor({ demands, previous: before, paths: down(own), nodes: paris(15_001) }).plan).not.toEqual(before);
    });

    it('beside what replaces them, as the last to fall back to, for as long as they are dead, and without moving to and fro', () => {
      const replaced = planFor({ demands, previous: before, paths: down([primary]) }).plan;
      expect(tunnelPaths(replaced)).toEqual(expect.arrayContaining([primary, backup]));
      expect(routesOf(replaced, 'berlin>paris', 'voice')).not.toContain(primary);
      const ways = backupsOf(replaced, 'berlin>paris', 'voice').filter((path) => path.includes('berlin-gw1/') && path.includes('paris-gw1/'));
      expect([ways.length >= 2, ways.at(-1)]).toEqual([true, primary]);
      for (const later of [1, 48, 24 * 30]) expect(planFor({ demands, previous: replaced, now: NOW + later * HOUR, paths: down([primary]).map((quality) => ({ ...quality, sampledAt: NOW + later * HOUR })) }).plan.tunnels).toEqual(replaced.tunnels);
    });

    it('until somebody needs the slot', () => {
      const full = (intent: Intent): Intent => withNode(intent, 'paris-gw1', (node) => ({ ...node, tunnelsMax: before.tunnels.filter(({ path }) => path.includes('paris-gw1/')).length }));
      const { plan: planned, report } = planFor({ intent: full(exampleIntent()), demands, previous: before, paths: down([primary]) });
      expect(tunnelPaths(planned)).not.toContain(primary);
      expect(report.removed.find(({ path }) => path === primary)?.reason).toContain('its probes say down; gives way');
    });
  });

  it('does not build what the policy refused', () => {
    const { plan: planned, report } = planFor({ demands: ['berlin>paris voice 1'], constraints: [{ forbidPath: CABLE_PATH, reason: 'no cable on Mondays' }] });
    expect(tunnelPaths(planned)).not.toContain(CABLE_PATH);
    expect(report.refused[0]!.reason).toBe('refused by policy: no cable on Mondays');
  });
});

describe('capacity', () => {
  it('opens a second path when the forecast passes the limit, and folds it only far below, for long enough', () => {
    const steps = [12, 17, 15, 11, 6].reduce<Plan[]>((plans, mbps, index) => {
      const previous = plans.at(-1);
      return [...plans, planFor({ demands: [`berlin>aws-fra business ${mbps}`], now: NOW + index * HOUR, ...(previous ? { previous } : {}) }).plan];
    }, []);
    expect(steps.map((planned) => planned.assignments.find(({ from, to, classId: id }) => from === 'berlin' && to === 'aws-fra' && id === classId('business'))!.routes.length)).toEqual([1, 2, 2, 2, 1]);
  });

  it('does not fold a second path within its hold time, and reports until when it waits', () => {
    const wide = planFor({ demands: ['berlin>aws-fra business 22'] }).plan;
    const { plan: planned, report } = planFor({ demands: ['berlin>aws-fra business 3'], previous: wide, now: NOW + 60_000 });
    expect(planned).toEqual(wide);
    expect(report.waiting.map(({ until }) => until)).toContain(NOW + 600_000);
  });

  it('reports what finds no place, and assigns no more than there is', () => {
    const { report } = planFor({ demands: ['berlin>aws-fra business 60'] });
    const [entry] = report.unplaced;
    expect(entry).toMatchObject({ pair: 'berlin>aws-fra', classId: 'business' });
    expect(entry!.mbps).toBeGreaterThan(60 - 32);
    expect(entry!.mbps).toBeLessThan(60 - 28);
    expect(entry!.reason).toContain('80 % of 20 Mbit/s on berlin-gw1/');
  });

  it('places voice before bulk where there is not enough for both', () => {
    const intent = withNode(exampleIntent(), 'paris-gw1', (node) => ({ ...node, uplinks: node.uplinks.slice(0, 1) }));
    const { report } = planFor({ intent, demands: ['paris>aws-fra voice 10', 'paris>aws-fra bulk 10'] });
    expect(report.unplaced.map(({ classId: id }) => id)).toEqual(['bulk']);
  });
});

describe('orders of people', () => {
  const pin: Override = { id: 'o1', what: { kind: 'pin-path', pair: pairId(siteId('paris'), siteId('berlin')), path: FIBRE_PATH }, until: NOW + HOUR, why: 'test', by: 'alice' };

  it('a pin moves all classes of the pair, either way round', () => {
    const { plan: planned } = planFor({ demands: ['berlin>paris voice 1'], overrides: [pin] });
    for (const name of ['voice', 'business', 'bulk']) expect(routesOf(planned, 'berlin>paris', name)).toBe(`${FIBRE_PATH} 100`);
    expect(planned.overrides).toEqual([pin]);
  });

  it('a pin of one class leaves the others of the pair, and wins against a pin of the pair', () => {
    const demands = ['berlin>paris voice 1' as const, 'berlin>paris bulk 1' as const];
    const before = planFor({ demands }).plan;
    const free = routesOf(before, 'berlin>paris', 'voice').split(' ')[0]!;
    const other = free === FIBRE_PATH ? CABLE_PATH : FIBRE_PATH;
    const ofVoice: Override = { ...pin, id: 'o2', what: { kind: 'pin-path', pair: pairId(siteId('berlin'), siteId('paris')), path: other, classId: classId('voice') } };
    const { plan: planned } = planFor({ demands, previous: before, overrides: [ofVoice] });
    for (const pair of ['berlin>paris', 'paris>berlin']) expect(routesOf(planned, pair, 'voice')).toBe(`${other} 100`);
    expect(routesOf(planned, 'berlin>paris', 'bulk')).toBe(routesOf(before, 'berlin>paris', 'bulk'));
    const reasons = planFor({ demands, overrides: [ofVoice] }).report.tunnels.map(({ reason }) => reason);
    expect(reasons).toContain('override o2 pins voice berlin–paris to this path');

    const both = planFor({ demands, previous: before, overrides: [{ ...pin, what: { ...pin.what, path: free } as Override['what'] }, ofVoice] }).plan;
    expect(routesOf(both, 'berlin>paris', 'voice')).toBe(`${other} 100`);
    for (const name of ['business', 'bulk']) expect(routesOf(both, 'berlin>paris', name)).toBe(`${free} 100`);

    const after = planFor({ demands, previous: planned, overrides: [ofVoice], now: NOW + HOUR }).plan;
    expect(routesOf(after, 'berlin>paris', 'voice')).toBe(routesOf(before, 'berlin>paris', 'voice'));
  });

  it('an expired order is neither obeyed nor kept', () => {
    const { plan: planned } = planFor({ demands: ['berlin>paris voice 1'], overrides: [{ ...pin, until: NOW }] });
    expect(routesOf(planned, 'berlin>paris', 'voice')).toBe(`${CABLE_PATH} 100`);
    expect(planned.overrides).toEqual([]);
  });

  it('an avoided path is not used, and its tunnel goes', () => {
    const before = planFor({ demands: ['berlin>paris voice 1'] }).plan;
    const avoid: Override = { id: 'o2', what: { kind: 'avoid-path', path: CABLE_PATH }, until: NOW + HOUR, why: 'dirty fibre', by: 'bob' };
    const { plan: planned, report } = planFor({ demands: ['berlin>paris voice 1'], previous: before, overrides: [avoid] });
    expect(tunnelPaths(planned)).not.toContain(CABLE_PATH);
    expect(report.removed.map(({ reason }) => reason)).toEqual(['override o2 by bob avoids it: dirty fibre']);
  });

  it('a vetoed removal keeps an idle tunnel', () => {
    const before = planFor({ demands: ['hamburg>aws-fra bulk 1'], now: NOW - 24 * HOUR }).plan;
    const idle = before.tunnels.find(({ path }) => path.startsWith('aws') && path.includes('hamburg'))!;
    const veto: Veto = { fingerprint: 'sha256:x', what: 'removal', change: { kind: 'tunnel-remove', path: idle.path, securityProfile: idle.securityProfile }, until: NOW + HOUR, commit: 'c'.repeat(40) };
    expect(tunnelPaths(planFor({ previous: before }).plan)).not.toContain(idle.path);
    expect(tunnelPaths(planFor({ previous: before, vetoes: [veto] }).plan)).toContain(idle.path);
    // dead as well: taking it away would be the very change that was taken back, and policy would stop the whole plan for it
    expect(tunnelPaths(planFor({ previous: before, vetoes: [veto], paths: [{ path: idle.path, state: 'down' }] }).plan)).toContain(idle.path);
  });

  it('a pair whose first routes were taken back gets no others, unless it is always up', () => {
    const demands = ['paris>azure-weu bulk 2' as const];
    const path = tunnelPaths(planFor({ demands }).plan).find((each) => each.startsWith('azure'))!;
    const veto: Veto = { fingerprint: 'sha256:x', what: 'paris to azure', change: { kind: 'reroute', pair: pairId(siteId('azure-weu'), siteId('paris')), classId: classId('bulk'), paths: [[path as never]] }, until: NOW + HOUR, commit: 'c'.repeat(40) };
    const { plan: planned, report } = planFor({ demands, vetoes: [veto] });
    expect(tunnelPaths(planned).filter((each) => each.startsWith('azure'))).toEqual([]);
    expect(report.unplaced.map(({ reason }) => reason)).toEqual(['a person took it back: paris to azure']);
  });
});

describe('classes that are sent twice', () => {
  const twice = (intent: Intent): Intent => ({ ...intent, classes: intent.classes.map((each) => (each.id === classId('voice') ? { ...each, protection: 'duplicate' } : each)) });
  const copiesOf = (planned: Plan, pair: string): string[] | undefined => {
    const paths = new Map(planned.tunnels.map((tunnel) => [tunnel.id, tunnel.path]));
    return planned.assignments.find(({ from, to, classId: id }) => `${from}>${to}` === pair && id === classId('voice'))?.copies?.map((list) => list.map((id) => paths.get(id)).join('+'));
  };

  it('have their second copy on a path without a common uplink, both ways, with capacity of its own', () => {
    const intent = twice(exampleIntent());
    const { plan: planned, report } = planFor({ intent, demands: ['berlin>paris voice 4'] });
    const primary = routesOf(planned, 'berlin>paris', 'voice').split(' ')[0]!;
    const [copy] = copiesOf(planned, 'berlin>paris')!;
    const uplinks = (path: string): string[] => path.split('~');
    expect(uplinks(copy!).some((uplink) => uplinks(primary).includes(uplink))).toBe(false);
    expect(copiesOf(planned, 'paris>berlin')).toEqual(copiesOf(planned, 'berlin>paris'));
    expect(report.tunnels.filter(({ path }) => path === primary || path === copy).map(({ peakMbps }) => peakMbps)).toEqual([4, 4]);
    expect(checkPlan(intent, planned)).toEqual([]);
  });

  it('are sent once over sites without a second uplink, and the report says why', () => {
    const lone = (node: SiteNode): SiteNode => (node.site === siteId('paris') ? { ...node, uplinks: node.uplinks.slice(0, 1) } : node);
    const intent = twice({ ...exampleIntent(), sites: exampleIntent().sites.map((site) => ({ ...site, relay: false, nodes: site.nodes.map(lone) })) });
    const { plan: planned, report } = planFor({ intent, demands: ['berlin>paris voice 4'] });
    expect(copiesOf(planned, 'berlin>paris')).toBeUndefined();
    expect(report.waiting).toContainEqual({ what: 'second copy of voice berlin–paris', reason: 'no second path that shares no uplink with the first; sent once', until: null });
  });

  it('are sent once where the second path has no room for them, and the report says why', () => {
    const narrow = (node: SiteNode): SiteNode => (node.site === siteId('paris') ? { ...node, uplinks: node.uplinks.map((uplink, index) => (index === 0 ? { ...uplink, upMbps: 2, downMbps: 2 } : uplink)) } : node);
    const intent = twice({ ...exampleIntent(), sites: exampleIntent().sites.map((site) => ({ ...site, nodes: site.nodes.map(narrow) })) });
    const { plan: planned, report } = planFor({ intent, demands: ['berlin>paris voice 4'] });
    expect(copiesOf(planned, 'berlin>paris')).toBeUndefined();
    expect(report.waiting.find(({ what }) => what === 'second copy of voice berlin–paris')?.reason).toMatch(/^not enough capacity on .*; sent once$/);
  });

  it('are sent once where the connection wants no backup', () => {
    const base = twice(exampleIntent());
    const intent: Intent = { ...base, connections: base.connections.map((connection) => ({ ...connection, backup: 'none' })) };
    expect(copiesOf(planFor({ intent, demands: ['berlin>paris voice 4'] }).plan, 'berlin>paris')).toBeUndefined();
  });
});

describe('backups', () => {
  it('share no uplink with the primary where the sites have two each', () => {
    const { plan: planned } = planFor({ demands: ['berlin>paris voice 1'] });
    expect(routesOf(planned, 'berlin>paris', 'voice')).toBe(`${CABLE_PATH} 100`);
    expect(backupsOf(planned, 'berlin>paris', 'voice').filter((path) => !path.startsWith('berlin-gw2'))).toEqual([FIBRE_PATH]);
  });

  it('share as little as possible where one site has one uplink only', () => {
    const { plan: planned } = planFor({ demands: ['paris>azure-weu voice 1'] });
    const primary = routesOf(planned, 'azure-weu>paris', 'voice').split(' ')[0]!;
    const [backup] = backupsOf(planned, 'azure-weu>paris', 'voice');
    expect(backup).toMatch(/^azure-weu-gw1\/pip~paris-gw1\//);
    expect(backup).not.toBe(primary);
  });

  it('keep their slot against a class that matters less, also while they measure worse than their class asks', () => {
    const demands = ['hamburg>berlin business 0.9' as const, 'hamburg>aws-fra bulk 1' as const];
    const before = planFor({ demands, now: NOW - HOUR }).plan;
    const standby = 'berlin-gw1/fibre~hamburg-gw1/lte';
    expect(tunnelPaths(before).filter((path) => path.includes('hamburg'))).toContain(standby);
    const busy = before.tunnels.map(({ id }) => ({ tunnel: id, lastUsedAt: NOW, mbps: 1 }));
    for (const lossRatio of [0, 0.015, 0.03]) {
      const { plan: planned } = planFor({ demands: [...demands, 'hamburg>paris voice 0.2'], previous: before, paths: [{ path: standby, lossRatio }], tunnels: busy });
      const paths = tunnelPaths(planned).filter((path) => path.includes('hamburg'));
      expect(paths.filter((path) => path.includes('paris')), `loss ${lossRatio}`).toHaveLength(1);
      expect(paths, `loss ${lossRatio}`).toContain(standby);
      expect(paths.filter((path) => path.includes('aws-fra')), `loss ${lossRatio}`).toEqual([]);
    }
  });

  it('avoid a shared risk group before anything else but an uplink', () => {
    const intent = withNode(exampleIntent(), 'berlin-gw1', (node) => ({
      ...node,
      uplinks: [...node.uplinks, { ...node.uplinks[0]!, id: uplinkId(node.id, 'radio'), name: 'radio', provider: 'radio', address: '100.64.3.1', riskGroups: ['roof'] }].map((uplink) =>
        uplink.name === 'fibre' ? { ...uplink, riskGroups: ['berlin-duct-south'] } : uplink,
      ),
    }));
    const { plan: planned } = planFor({ intent, demands: ['berlin>paris voice 1'] });
    expect(routesOf(planned, 'berlin>paris', 'voice')).toBe(`${CABLE_PATH} 100`);
    expect(backupsOf(planned, 'berlin>paris', 'voice')[0]).toBe('berlin-gw1/radio~paris-gw1/fibre');
  });
});

describe('totality', () => {
  it.each<[string, (intent: Intent) => Intent]>([
    ['no site', (intent) => ({ ...intent, sites: [] })],
    ['one site', (intent) => ({ ...intent, sites: intent.sites.slice(0, 1) })],
    ['no connection', (intent) => ({ ...intent, connections: [] })],
    ['no class', (intent) => ({ ...intent, classes: [] })],
    ['no profile', (intent) => ({ ...intent, securityProfiles: [] })],
    ['no node', (intent) => ({ ...intent, sites: intent.sites.map((site) => ({ ...site, nodes: [] })) })],
    ['no uplink', (intent) => ({ ...intent, sites: intent.sites.map((site) => ({ ...site, nodes: site.nodes.map((node) => ({ ...node, uplinks: [] })) })) })],
    ['an overlay prefix too small for any tunnel', (intent) => ({ ...intent, mesh: { ...intent.mesh, overlayPrefix: '172.30.0.0/31' } })],
    ['capacities that are no numbers', (intent) => withNode(intent, 'berlin-gw1', (node) => ({ ...node, cryptoMbps: Number.NaN, uplinks: node.uplinks.map((uplink) => ({ ...uplink, upMbps: Number.NaN, usdPerGb: Number.POSITIVE_INFINITY })) }))],
    ['places that are nowhere', (intent) => ({ ...intent, sites: intent.sites.map((site) => ({ ...site, location: { ...site.location, latitude: Number.NaN } })) })],
  ])('plans a mesh with %s', (_, change) => {
    const intent = change(exampleIntent());
    const inputs = inputsFor({ intent, demands: ['berlin>paris voice 1', 'berlin>nowhere voice 3'], previous: emptyPlan(intent) });
    const { plan: planned, report } = plan({ ...inputs, forecast: { ...inputs.forecast!, demands: inputs.forecast!.demands.map((demand) => ({ ...demand, slots: [...demand.slots, { startAt: NOW, p50: Number.NaN, p90: -1, p95: Number.POSITIVE_INFINITY }] })) } });
    expect(checkPlan(intent, planned)).toEqual([]);
    expect(JSON.stringify(report)).not.toContain('null,"limitMbps"');
  });

  it('plans without forecast and observation, from a plan of another mesh altogether', () => {
    const foreign = planFor({ demands: ['berlin>paris voice 1'] }).plan;
    const intent = { ...exampleIntent(), sites: exampleIntent().sites.slice(0, 2) };
    const { plan: planned } = plan({ ...inputsFor({ intent, previous: foreign }), forecast: null });
    expect(checkPlan(intent, planned)).toEqual([]);
  });
});

function withNode(intent: Intent, id: string, change: (node: SiteNode) => SiteNode): Intent {
  return { ...intent, sites: intent.sites.map((site) => ({ ...site, nodes: site.nodes.map((node) => (node.id === nodeId(id) ? change(node) : node)) })) };
}

function split(uplink: string): [ReturnType<typeof nodeId>, string] {
  const [node, name] = uplink.split('/');
  return [nodeId(node!), name!];
}
