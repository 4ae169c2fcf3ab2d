import * as fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { parse } from 'yaml';
import { checkNodeConfig } from '../../agent/sync/node-config-schema.ts';
import { canonicalJson } from '../../src/base/index.ts';
import { classId, nodeId, type NodeConfig, type Plan, type TunnelId } from '../../src/model/index.ts';
import { plan } from '../../src/planner/index.ts';
import { parsePlan, renderFiles, renderNodes } from '../../src/render/index.ts';
import { assignMarks } from '../../src/render/lanes.ts';
import { toYaml } from '../../src/render/yaml.ts';
import { playStory } from '../support/golden.ts';
import { changeArbitrary } from '../support/intent-arbitrary.ts';
import { planFor } from '../support/plan-situations.ts';

const limit = playStory('tunnel-limit').at(-1)!;
const configs = new Map(renderNodes(limit.intent, limit.plan).map((config) => [config.node, config]));
const tunnelOn = (path: string): TunnelId => limit.plan.tunnels.find((tunnel) => tunnel.path === path)!.id;
const steering = (node: string, to: string, name: string): NodeConfig['steering'][number] => configs.get(nodeId(node))!.steering.find((entry) => entry.to === to && entry.classId === name)!;

describe('renderNodes', () => {
  it('gives a standby gateway lanes of its own tunnels only, to every site its site has tunnels to', () => {
    const [active, standby] = [configs.get(nodeId('berlin-gw1'))!, configs.get(nodeId('berlin-gw2'))!];
    const own = new Set(standby.tunnels.map(({ id }) => id));
    expect(standby.serving).toBe(false);
    expect(own.size).toBeGreaterThan(0);
    expect(standby.steering.flatMap(({ lanes }) => lanes.flatMap(({ tunnels }) => tunnels)).every((id) => own.has(id))).toBe(true);
    expect(active.steering.flatMap(({ lanes }) => lanes.flatMap(({ tunnels }) => tunnels)).some((id) => own.has(id))).toBe(false);
    expect(standby.allow).toEqual(active.allow);
    expect(configs.size).toBe(6);
  });

  it('has gateways count by destination port only where the mesh permits it, in words that the agent knows', () => {
    expect([...configs.values()].some((config) => 'countServices' in config)).toBe(false);
    const { mesh } = limit.intent;
    const permitted = renderNodes({ ...limit.intent, mesh: { ...mesh, telemetry: { ...mesh.telemetry, services: true } } }, limit.plan);
    for (const config of permitted) expect(checkNodeConfig(config)).toMatchObject({ ok: true, config: { countServices: true } });
  });

  it('tells the gateways of a site, and them alone, how to share the LAN address', () => {
    const shared = configs.get(nodeId('berlin-gw2'))!.lan.shared!;
    expect(shared).toEqual(configs.get(nodeId('berlin-gw1'))!.lan.shared);
    expect(shared).toMatchObject({ preferred: 'berlin-gw1', members: [{ node: 'berlin-gw1', address: '169.254.255.1' }, { node: 'berlin-gw2', address: '169.254.255.2' }] });
    expect(configs.get(nodeId('paris-gw1'))!.lan).not.toHaveProperty('shared');
  });

  it('has the end behind NAT begin, under an identity of its uplink, and tells the other end no address to expect', () => {
    const { a, b, id } = limit.plan.tunnels.find((tunnel) => tunnel.b.node === 'paris-gw1')!;
    const ends = (nats: Record<string, { publicAddress?: string }>): NodeConfig['tunnels'] => {
      const sites = limit.intent.sites.map((site) => ({ ...site, nodes: site.nodes.map((node) => ({ ...node, uplinks: node.uplinks.map((uplink) => ({ ...uplink, ...(nats[uplink.id] ? { nat: nats[uplink.id]! } : {}) })) })) }));
      const rendered = renderNodes({ ...limit.intent, sites }, limit.plan);
      return [a, b].map(({ node }) => rendered.find((config) => config.node === node)!.tunnels.find((tunnel) => tunnel.id === id)!);
    };
    const number = limit.intent.sites.flatMap(({ nodes }) => nodes).find((node) => node.id === b.node)!.uplinks.findIndex((uplink) => uplink.id === b.uplink) + 1;
    expect(ends({})).toMatchObject([{ initiator: true, remote: { address: b.address } }, { initiator: false, remote: { address: a.address } }]);
    expect(ends({ [b.uplink]: {} })).toMatchObject([
      { initiator: false, initiatorNumber: number, remote: { overlay: b.overlay } },
      { initiator: true, initiatorNumber: number, local: { address: b.address, nat: true }, remote: { address: a.address } },
    ]);
    expect(ends({ [b.uplink]: {} })[0]!.remote).not.toHaveProperty('address');
    expect(ends({ [b.uplink]: { publicAddress: '203.0.113.9' } })).toMatchObject([{ initiator: false, remote: { address: '203.0.113.9' } }, { initiator: true, remote: { address: a.address } }]);
    expect(ends({ [b.uplink]: { publicAddress: '203.0.113.9' }, [a.uplink]: {} })).toMatchObject([{ initiator: true, remote: { address: '203.0.113.9' } }, { initiator: false, remote: { overlay: a.overlay } }]);
    expect(ends({})[0]).not.toHaveProperty('initiatorNumber');
  });

  it('gives a gateway without tunnels nothing to carry', () => {
    const bare = { ...limit.plan, tunnels: limit.plan.tunnels.filter(({ a, b }) => a.node !== 'berlin-gw2' && b.node !== 'berlin-gw2') };
    expect(renderNodes(limit.intent, bare).find(({ node }) => node === 'berlin-gw2')).toMatchObject({ serving: false, tunnels: [], steering: [], allow: [] });
  });

  it('has every other site fall back to the standby gateway last', () => {
    const own = new Set(configs.get(nodeId('berlin-gw2'))!.tunnels.map(({ id }) => id));
    for (const name of ['paris-gw1', 'aws-fra-gw1']) {
      for (const { lanes } of configs.get(nodeId(name))!.steering.filter(({ to }) => to === 'berlin')) {
        for (const { tunnels } of lanes) expect(tunnels.map((id) => own.has(id))).toEqual(tunnels.map((_, index) => index === tunnels.length - 1));
      }
    }
  });

  it('sends relayed traffic to the relay, and on from there by the second tunnel', () => {
    const hop = tunnelOn('berlin-gw1/cable~hamburg-gw1/dsl');
    const onward = tunnelOn('aws-fra-gw1/eip-a~berlin-gw1/cable');
    expect(steering('hamburg-gw1', 'aws-fra', 'bulk').lanes[0]!.tunnels[0]).toBe(hop);
    expect(steering('berlin-gw1', 'aws-fra', 'bulk').lanes[0]!.tunnels[0]).toBe(onward);
    expect(steering('aws-fra-gw1', 'hamburg', 'bulk').lanes[0]!.tunnels[0]).toBe(onward);
    expect(steering('berlin-gw1', 'hamburg', 'bulk').lanes[0]!.tunnels[0]).toBe(hop);
  });

  it('reaches the relay over its second tunnel when the first is down', () => {
    expect(steering('hamburg-gw1', 'aws-fra', 'bulk').lanes[0]!.tunnels).toEqual([tunnelOn('berlin-gw1/cable~hamburg-gw1/dsl'), tunnelOn('berlin-gw1/fibre~hamburg-gw1/lte')]);
  });

  it('steers a class at the relay that the relay’s own site may not use', () => {
    // berlin–aws-fra carries business and bulk only, but hamburg's voice to aws-fra goes through berlin.
    expect(limit.plan.assignments.some(({ from, to, classId }) => from === 'berlin' && to === 'aws-fra' && classId === 'voice')).toBe(false);
    expect(steering('berlin-gw1', 'aws-fra', 'voice').lanes.map(({ tunnels, weight }) => [tunnels, weight])).toEqual([[[tunnelOn('aws-fra-gw1/eip-a~berlin-gw1/cable')], 100]]);
  });

  it('lets a relay forward the relayed pair, and nobody else', () => {
    const pair = { from: ['10.4.0.0/24'], to: ['10.3.0.0/24'] };
    expect(configs.get(nodeId('berlin-gw1'))!.allow).toContainEqual(pair);
    expect(configs.get(nodeId('paris-gw1'))!.allow).not.toContainEqual(pair);
    expect(configs.get(nodeId('hamburg-gw1'))!.allow).not.toContainEqual({ from: ['10.5.0.0/24'], to: ['10.3.0.0/24'] });
  });

  it('gives one lane a route of a split, each falling back to the other', () => {
    const { intent, plan: planned } = playStory('peak-ahead').at(-1)!;
    const [config] = renderNodes(intent, planned).filter(({ node }) => node === 'berlin-gw1');
    const { lanes } = config!.steering.find(({ to, classId }) => to === 'aws-fra' && classId === 'business')!;
    expect(lanes.map(({ weight }) => weight)).toEqual([50, 50]);
    expect(lanes[0]!.tunnels).toEqual(lanes[1]!.tunnels.toReversed());
    expect(new Set(lanes.map(({ mark }) => mark)).size).toBe(2);
  });

  it('holds for every plan: classes by priority, lanes of tunnels the node has, weights of 100, marks one to one', () => {
    fc.assert(
      fc.property(changeArbitrary, ([before, after]) => {
        const planned = plan({ ...after, previous: plan(before).plan }).plan;
        for (const config of renderNodes(after.intent, planned)) {
          const own = new Set(config.tunnels.map(({ id }) => id));
          const contents = new Map<number, string>();
          expect(config.classes.map(({ priority }) => priority)).toEqual(config.classes.map(({ priority }) => priority).sort((left, right) => left - right));
          for (const { to, lanes } of config.steering) {
            expect(lanes.reduce((sum, { weight }) => sum + weight, 0)).toBe(100);
            for (const lane of lanes) {
              expect(lane.tunnels.every((id) => own.has(id))).toBe(true);
              expect(lane.mark).toBeGreaterThanOrEqual(0x1000);
              expect(lane.copies?.every((id) => own.has(id)) ?? true).toBe(true);
              const content = `${to} ${lane.tunnels.join()} ${lane.copies?.join()}`;
              expect(contents.get(lane.mark) ?? content).toBe(content);
              contents.set(lane.mark, content);
            }
          }
        }
      }),
      { numRuns: 60 },
    );
  });
});

describe('queues by class', () => {
  const render = (shares: number[], shaping = true): NodeConfig => {
    const { intent, plan: planned } = limit;
    const classes = intent.classes.map((each, index) => ({ ...each, shareRatio: shares[index]!, dscp: index === 0 ? 46 : null }));
    return renderNodes({ ...intent, classes, mesh: { ...intent.mesh, shaping } }, planned).find(({ node }) => node === 'hamburg-gw1')!;
  };

  it('give each class its share of 95 % of every uplink, and one without a share a hundredth', () => {
    const config = render([0.3, 0.2, 0]);
    expect(config.shaping!.map(({ uplink }) => uplink)).toEqual(config.uplinks.map(({ name }) => name));
    const [dsl] = config.shaping!;
    const up = limit.intent.sites.flatMap((site) => site.nodes).find(({ id }) => id === 'hamburg-gw1')!.uplinks.find(({ name }) => name === dsl!.uplink)!.upMbps;
    expect(dsl).toEqual({
      uplink: 'dsl',
      rateKbps: up * 950,
      classes: [
        { id: 'voice', rateKbps: up * 285, priority: 0 },
        { id: 'business', rateKbps: up * 190, priority: 1 },
        { id: 'bulk', rateKbps: up * 9.5, priority: 2 },
      ],
    });
    expect(config.classes.map(({ dscp }) => dscp)).toEqual([46, undefined, undefined]);
  });

  it('guarantee no more than there is, whatever the shares', () => {
    for (const shares of [[1, 0, 0], [0.5, 0.5, 0], [0, 0, 0], [0.4, 0.3, 0.3]]) {
      for (const { rateKbps, classes } of render(shares).shaping!) expect(classes.reduce((sum, each) => sum + each.rateKbps, 0)).toBeLessThanOrEqual(rateKbps);
    }
  });

  it('are absent without shaping', () => {
    expect(render([0.3, 0.2, 0], false)).not.toHaveProperty('shaping');
  });
});

describe('relayed packets', () => {
  it('reach their site from every gateway, whatever single tunnel is down, and never go in circles', () => {
    fc.assert(
      fc.property(changeArbitrary, fc.nat(), ([before, after], pick) => {
        const planned = plan({ ...after, previous: plan(before).plan }).plan;
        const nodes = new Map(renderNodes(after.intent, planned).filter(({ serving }) => serving).map((config) => [config.site, config]));
        const down = planned.tunnels[pick % Math.max(1, planned.tunnels.length)]?.id;
        for (const { from, to, classId } of planned.assignments) {
          for (const dead of [undefined, down]) {
            const visited = [from];
            for (let site = from; site !== to; ) {
              const lanes = nodes.get(site)!.steering.find((entry) => entry.to === to && entry.classId === classId)?.lanes ?? [];
              const next = lanes[0]?.tunnels.find((id) => id !== dead);
              if (!next) break; // dropped: no other way is left
              const tunnel = planned.tunnels.find(({ id }) => id === next)!;
              site = tunnel.a.site === site ? tunnel.b.site : tunnel.a.site;
              expect(visited, `${from}>${to} ${classId}`).not.toContain(site);
              visited.push(site);
            }
            if (dead === undefined) expect(visited.at(-1)).toBe(to);
          }
        }
      }),
      { numRuns: 100 },
    );
  });
});

describe('lane marks', () => {
  it('depend on the content alone, and differ where hashes collide', () => {
    const contents = Array.from({ length: 2000 }, (_, index) => ({ to: 's1' as never, tunnels: [`t-${index}` as TunnelId] }));
    const markOf = assignMarks(contents);
    const alone = assignMarks([contents[7]!]);
    expect(alone(contents[7]!)).toBe(markOf(contents[7]!));
    expect(new Set(contents.map(markOf)).size).toBe(2000);
  });
});

describe('classes that are told by a mark', () => {
  it('have lanes of their own, and others keep theirs', () => {
    const { intent, plan: planned } = limit;
    const classes = intent.classes.map((each) => (each.id === 'business' ? { ...each, match: [{ ...each.match[0]!, fwmark: 7 }] } : each));
    const marked = renderNodes({ ...intent, classes }, planned).find(({ node }) => node === 'hamburg-gw1')!;
    const marksOf = (config: NodeConfig, business: boolean): number[] => config.steering.filter(({ classId }) => (classId === 'business') === business).flatMap(({ lanes }) => lanes.map(({ mark }) => mark));
    const before = configs.get(nodeId('hamburg-gw1'))!;
    expect(marksOf(marked, false)).toEqual(marksOf(before, false));
    expect(marksOf(marked, true).some((mark) => marksOf(marked, false).includes(mark))).toBe(false);
  });
});

describe('files', () => {
  it('are the same for the same plan, and the plan reads back as it was', () => {
    fc.assert(
      fc.property(changeArbitrary, ([before, after]) => {
        const { plan: planned, report } = plan({ ...after, previous: plan(before).plan });
        const files = renderFiles(after.intent, planned, report);
        expect([...renderFiles(after.intent, planned, report)]).toEqual([...files]);
        expect(canonicalJson(parsePlan(files.get('plan/mesh.yaml')!))).toBe(canonicalJson(planned));
        for (const config of renderNodes(after.intent, planned)) expect(parse(files.get(`plan/nodes/${config.node}.yaml`)!)).toEqual(config);
      }),
      { numRuns: 60 },
    );
  });

  it('say that they are generated, and tell the story in the report', () => {
    const files = renderFiles(limit.intent, limit.plan, limit.report);
    for (const [path, text] of files) expect(text.split('\n')[0], path).toContain('Generated by Foremesh');
    expect(files.get('plan/report.md')).toContain('gives way: hamburg-gw1 holds 3 of 3 tunnels');
  });

  it('keep table cells whole, whatever people write', () => {
    const report = { ...limit.report, removed: [{ tunnel: 't-00000000' as TunnelId, path: limit.plan.tunnels[0]!.path, reason: 'a|b\n<img src=x>' }] };
    expect(renderFiles(limit.intent, limit.plan, report).get('plan/report.md')).toContain('| a\\|b &lt;img src=x> |');
  });
});

describe('toYaml', () => {
  it('is read back by a YAML library as the same value', () => {
    const value = fc.letrec((tie) => ({
      value: fc.oneof({ depthSize: 'small' }, fc.string(), fc.constantFrom('yes', 'null', '0x1f', '1e3', '- a', 'a: b', '#x', ' a', 'a ', '~', '1.2.3.4', '10.0.0.0/8', '2026-01-05'), fc.integer(), fc.double({ noNaN: true, noDefaultInfinity: true }), fc.boolean(), fc.constant(null), fc.array(tie('value')), fc.dictionary(fc.string(), tie('value'))),
    })).value;
    fc.assert(
      fc.property(fc.dictionary(fc.string({ minLength: 1 }), value), (object) => {
        const text = toYaml(object, ['header']);
        expect(canonicalJson(parse(text))).toBe(canonicalJson(Object.keys(object).length === 0 ? null : object));
      }),
      { numRuns: 500 },
    );
  });
});

describe('parsePlan', () => {
  const text = renderFiles(limit.intent, limit.plan, limit.report).get('plan/mesh.yaml')!;

  it.each<[string, (text: string) => string, RegExp]>([
    ['no YAML', () => 'a: [', /line 1/],
    ['something else', () => 'hello: world', /required property/],
    ['a list', () => '[]', /must be object/],
    ['nothing', () => '', /must be object/],
    ['an unknown field', (yaml) => `${yaml}\nextra: 1\n`, /additional properties \(extra\)/],
    ['a field twice', (yaml) => `${yaml}\nmesh: other\n`, /unique/],
    ['an alias', (yaml) => yaml.replace(/^mesh: .*$/m, 'mesh: &a x').replace(/^overrides: .*$/m, 'overrides: *a'), /alias/],
    ['a tag', (yaml) => yaml.replace(/^mesh: .*$/m, 'mesh: !!js/function x'), /[Uu]nresolved tag|tag/],
    ['a weight of half a per cent', (yaml) => yaml.replace('weight: 100', 'weight: 0.5'), /must be integer/],
    ['a tunnel id that is a shell command', (yaml) => yaml.replace(/id: t-[0-9a-f]+/, 'id: "t-; reboot"'), /must match pattern/],
    ['a path out of the folder', (yaml) => yaml.replace(/node: berlin-gw1/, 'node: ../../etc'), /must match pattern/],
    ['a number that is none', (yaml) => yaml.replace(/plannedAt: \d+/, 'plannedAt: .nan'), /must be integer/],
  ])('refuses %s with PLAN_INVALID', (_, change, message) => {
    let thrown: unknown = null;
    try {
      parsePlan(change(text));
    } catch (error) {
      thrown = error;
    }
    expect(thrown).toMatchObject({ code: 'PLAN_INVALID' });
    expect(String(thrown)).toMatch(message);
  });

  it('takes overrides and vetoes of every kind', () => {
    const { plan: planned } = planFor({ demands: ['berlin>paris voice 1'] });
    const full: Plan = {
      ...planned,
      overrides: [
        { id: 'o1', what: { kind: 'pin-path', pair: 'berlin>paris' as never, path: planned.tunnels[0]!.path }, until: 1, why: 'x: y #z', by: 'alice@example.com' },
        { id: 'o4', what: { kind: 'pin-path', pair: 'berlin>paris' as never, path: planned.tunnels[0]!.path, classId: classId('voice') }, until: 1, why: 'x', by: 'alice' },
        { id: 'o2', what: { kind: 'avoid-path', path: planned.tunnels[0]!.path }, until: 1, why: '', by: 'bob' },
        { id: 'o3', what: { kind: 'drain-node', node: nodeId('berlin-gw1') }, until: 1, why: 'ümläut', by: 'bob' },
      ],
      vetoes: [
        { fingerprint: 'sha256:a', what: 'a', change: { kind: 'reroute', pair: 'berlin>paris' as never, classId: 'voice' as never, paths: [[planned.tunnels[0]!.path], [], [planned.tunnels[1]!.path]] }, until: 1, commit: 'c' },
        { fingerprint: 'sha256:b', what: 'b', change: { kind: 'serving-node', site: 'berlin' as never, node: nodeId('berlin-gw2') }, until: 1, commit: 'c' },
        { fingerprint: 'sha256:c', what: 'c', change: { kind: 'admission', pair: 'berlin>paris' as never }, until: 1, commit: 'c' },
      ],
    };
    expect(parsePlan(renderFiles(limit.intent, full, limit.report).get('plan/mesh.yaml')!)).toEqual(full);
  });
});
