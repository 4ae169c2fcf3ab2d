import { buildRuleset, type Command, type InstalledRuleset, type Observed, type ObservedRoute, rulesetKey, type TunnelDriver } from '../../../agent/dataplane/index.ts';
import type { DataplaneWanted } from '../../../agent/ports.ts';
import { digest } from '../../../src/base/index.ts';
import { classId, type NodeConfig, nodeId, siteId, type TunnelId } from '../../../src/model/index.ts';

export const T1 = 't-00000001' as TunnelId;
export const T2 = 't-00000002' as TunnelId;

export const GCM = { encryption: 'aes128gcm16', integrity: 'none' } as const;

export const CONFIG: NodeConfig = {
  schema: 'foremesh/node-config/v1',
  node: nodeId('berlin-gw1'),
  site: siteId('berlin'),
  serving: true,
  lan: { interface: 'lan', address: '10.1.0.1', prefixes: ['10.1.0.0/24'] },
  uplinks: [
    { name: 'fibre', interface: 'isp1', address: '100.64.1.1' },
    { name: 'dsl', interface: 'isp2', address: '100.64.2.1' },
  ],
  protectedPrefixes: ['10.0.0.0/8'],
  probe: { intervalMs: 50, downAfter: 3, holdDownMs: 700, holdDownMaxMs: 700 },
  sampleIntervalMs: 1000,
  classes: [
    { id: classId('voice'), priority: 0, match: [{ protocol: 'udp', ports: [{ from: 5000, to: 5099 }, { from: 6000, to: 6000 }], dscp: [46] }] },
    { id: classId('bulk'), priority: 1, match: [{ protocol: 'any', ports: [], dscp: [] }] },
  ],
  sites: [
    { id: siteId('berlin'), prefixes: ['10.1.0.0/24'] },
    { id: siteId('paris'), prefixes: ['10.2.0.0/24'] },
  ],
  tunnels: [],
  steering: [],
  allow: [{ from: ['10.1.0.0/24'], to: ['10.2.0.0/24'] }],
};

/** The LAN of a site with two gateways. */
export const SHARED_LAN: NodeConfig['lan'] = {
  ...CONFIG.lan,
  shared: {
    preferred: nodeId('berlin-gw1'),
    members: [
      { node: nodeId('berlin-gw1'), address: '169.254.255.1' },
      { node: nodeId('berlin-gw2'), address: '169.254.255.2' },
    ],
    heartbeat: { intervalMs: 50, missedMax: 3, holdDownMs: 700 },
  },
};

/** Two tunnels to paris; voice through the second, bulk over both, 60 to 40. */
export const WANTED: DataplaneWanted = {
  config: CONFIG,
  overlayAddresses: ['172.30.0.0', '172.30.0.2'],
  interfaces: [
    { tunnel: T1, localOverlay: '172.30.0.0', remoteOverlay: '172.30.0.1', uplink: 'isp1', underlay: 'ipv4', esp: [GCM] },
    { tunnel: T2, localOverlay: '172.30.0.2', remoteOverlay: '172.30.0.3', uplink: 'isp2', underlay: 'ipv4', esp: [GCM] },
  ],
  lanes: [
    { mark: 1001, prefixes: ['10.2.0.0/24'], active: T1 },
    { mark: 1002, prefixes: ['10.2.0.0/24'], active: T2 },
  ],
  steering: [
    { to: siteId('paris'), classId: classId('voice'), prefixes: ['10.2.0.0/24'], lanes: [{ mark: 1002, weight: 100 }] },
    {
      to: siteId('paris'),
      classId: classId('bulk'),
      prefixes: ['10.2.0.0/24'],
      lanes: [
        { mark: 1001, weight: 60 },
        { mark: 1002, weight: 40 },
      ],
    },
  ],
};

const link = (name: string, mac: string): Observed['links'][number] => ({ name, isUp: true, mtu: 1500, mac, joinedMaxBytes: 65_536, vxlan: null, xfrm: null });

/** A gateway before anything was applied: interfaces and the daemon's device, nothing else. */
export function bareMachine(espIsThere = true): Observed {
  return {
    sysctls: new Map([
      ['net/ipv4/ip_forward', '0'],
      ...['all', 'default', 'lan', 'isp1', 'isp2', ...(espIsThere ? ['ipsec0'] : [])].map((name) => [`net/ipv4/conf/${name}/rp_filter`, name === 'default' ? '0' : '2'] as const),
    ]),
    links: [link('lo', '00:00:00:00:00:00'), link('lan', '02:00:00:00:00:01'), link('isp1', '02:00:00:00:01:01'), link('isp2', '02:00:00:00:01:02'), ...(espIsThere ? [link('ipsec0', '')] : [])],
    addresses: [{ interface: 'lo', address: '127.0.0.1/8', label: 'lo' }],
    neighbours: [],
    rules: [],
    routes: [{ table: 'main', prefix: '0.0.0.0/0', via: { address: '100.64.1.254', interface: 'isp1' }, metric: 101 }],
    shaping: { qdiscs: [], classes: [] },
    ruleset: null,
  };
}

/**
 * What the kernel has after a command, for the commands that this project gives: enough to ask "and what would be
 * done next?". The real kernel is in test/lab/adapters. Throws for a command that it would refuse.
 */
export function kernelAfter(kernel: Observed, command: Command): Observed {
  if (command.do === 'sysctl') return { ...kernel, sysctls: new Map([...kernel.sysctls, [command.name, command.value]]) };
  if (command.do === 'nft') return { ...kernel, ruleset: rulesetAfter(command.transactions.join('')) };
  if (command.do === 'announce') return kernel;
  if (command.do === 'tc') return { ...kernel, shaping: afterTc(kernel.shaping!, command.line, command.otherwise) };
  return afterIp(kernel, command.line, command.family ?? 'ipv4');
}

/** As the port remembers it after a transaction. */
export function installedBy(text: string, wanted: DataplaneWanted, driver?: TunnelDriver): InstalledRuleset {
  return { text: rulesetKey(buildRuleset(wanted, [], driver)), digest: digest(withoutStale(text)) };
}

function rulesetAfter(text: string): Observed['ruleset'] {
  if (text.startsWith('delete table')) return null;
  const names = (word: string, family: string): string[] => {
    const tables = text.split(/^(?=table |delete |flush )/m).filter((part) => part.startsWith(`table ${family} `));
    return [...new Set(tables.flatMap((part) => [...part.matchAll(new RegExp(`^\t${word} (\\S+) \\{`, 'gm'))].map((match) => match[1]!)))];
  };
  return { chains: names('chain', 'inet'), sets: names('set', 'inet'), counters: names('counter', 'inet').map((name) => ({ name, packets: 0, bytes: 0 })), digest: digest(withoutStale(text)) };
}

function withoutStale(text: string): string {
  const gone = new Set([...text.matchAll(/^delete chain (.*)$/gm)].map((match) => match[1]));
  return text.replaceAll(/^flush chain (.*)\n/gm, (line, chain: string) => (gone.has(chain) ? '' : line)).replaceAll(/^delete (?:chain|counter|set) .*\n/gm, '');
}

function afterIp(kernel: Observed, line: string, family: 'ipv4' | 'ipv6'): Observed {
  const words = line.split(' ');
  const after = (word: string): string => words[words.indexOf(word) + 1] ?? '';
  const needs = (isFine: boolean): void => {
    if (!isFine) throw new Error(`the kernel would refuse: ${line}`);
  };
  const hasLink = (name: string): boolean => kernel.links.some((one) => one.name === name);
  const kind = `${words[0]} ${words[1]}`;
  const name = words[2] ?? '';
  switch (kind) {
    case 'route replace':
    case 'route add': {
      const unreachable = name === 'unreachable';
      if (!unreachable) needs(hasLink(after('dev')));
      const route: ObservedRoute = {
        table: words.includes('table') ? after('table') : 'main',
        prefix: unreachable ? words[3]! : name,
        via: unreachable ? null : { address: words.includes('via') ? after('via') : null, interface: after('dev') },
        metric: words.includes('metric') ? Number(after('metric')) : 0,
        ...(words.includes('mtu') ? { mtuBytes: Number(after('mtu')) } : {}),
      };
      const others = kernel.routes.filter((one) => one.table !== route.table || one.prefix !== route.prefix || one.metric !== route.metric);
      return { ...kernel, routes: [...others, route] };
    }
    case 'route del': {
      const prefix = name === 'unreachable' ? words[3]! : name;
      const table = words.includes('table') ? after('table') : 'main';
      const left = kernel.routes.filter((one) => one.table !== table || one.prefix !== prefix || (words.includes('metric') && one.metric !== Number(after('metric'))));
      needs(left.length === kernel.routes.length - 1);
      return { ...kernel, routes: left };
    }
    case 'rule add':
      return { ...kernel, rules: [...kernel.rules, { family, priority: Number(after('priority')), mark: Number(after('fwmark')), table: after('lookup') }] };
    case 'rule del':
      return { ...kernel, rules: kernel.rules.filter((rule) => rule.family !== family || rule.mark !== Number(after('fwmark'))) };
    case 'addr add':
      return { ...kernel, addresses: [...kernel.addresses, { interface: after('dev'), address: name, label: words.includes('label') ? after('label') : name.includes(':') ? (after('metric') === '250' ? 'fm' : '') : after('dev') }] };
    case 'addr del':
      return { ...kernel, addresses: kernel.addresses.filter((one) => one.address !== name || one.interface !== after('dev')) };
    case 'link add':
      needs(!hasLink(name) && hasLink(after('dev')));
      if (after('type') === 'xfrm') return { ...kernel, links: [...kernel.links, { ...link(name, ''), isUp: false, xfrm: { ifId: Number(after('if_id')), lower: after('dev') } }] };
      return {
        ...kernel,
        links: [...kernel.links, { name, isUp: false, mtu: 1450, mac: 'random', joinedMaxBytes: 65_536, xfrm: null, vxlan: { vni: Number(after('id')), local: after('local'), remote: after('remote'), port: Number(after('dstport')), lower: after('dev') } }],
      };
    case 'link set':
      needs(hasLink(name));
      if (words.includes('gro_max_size')) return { ...kernel, links: kernel.links.map((one) => (one.name === name ? { ...one, joinedMaxBytes: Number(after('gro_max_size')) } : one)) };
      return { ...kernel, links: kernel.links.map((one) => (one.name === name ? { ...one, isUp: true, mac: words.includes('address') ? after('address') : one.mac, mtu: Number(after('mtu')) } : one)) };
    case 'link del':
      needs(hasLink(name));
      return {
        ...kernel,
        links: kernel.links.filter((one) => one.name !== name),
        routes: kernel.routes.filter((route) => route.via?.interface !== name),
        neighbours: kernel.neighbours.filter((one) => one.interface !== name),
      };
    case 'neigh replace':
      needs(hasLink(after('dev')));
      return { ...kernel, neighbours: [...kernel.neighbours.filter((one) => one.address !== name || one.interface !== after('dev')), { interface: after('dev'), address: name, mac: after('lladdr') }] };
    default:
      throw new Error(`not a command of ours: ${line}`);
  }
}

/** A kernel without fq_codel. */
function afterTc(shaping: NonNullable<Observed['shaping']>, line: string, otherwise: string | null): NonNullable<Observed['shaping']> {
  if (line.includes('fq_codel')) return afterTc(shaping, otherwise!, null);
  const words = line.split(' ');
  const after = (word: string): string => (words.includes(word) ? words[words.indexOf(word) + 1]! : '');
  const device = after('dev');
  const others = { qdiscs: shaping.qdiscs.filter((one) => one.device !== device), classes: shaping.classes.filter((one) => one.device !== device) };
  switch (`${words[0]} ${words[1]}`) {
    case 'qdisc replace': {
      const parent = words.includes('root') ? null : after('parent');
      if (parent === null) return { ...others, qdiscs: [...others.qdiscs, { device, kind: 'htb', handle: after('handle'), parent, limit: null }] };
      const rest = shaping.qdiscs.filter((one) => one.device !== device || one.parent !== parent);
      return { ...shaping, qdiscs: [...rest, { device, kind: 'bfifo', handle: '8001:', parent, limit: Number(after('limit')) }] };
    }
    case 'qdisc del':
      return others;
    case 'class replace': {
      const made = { device, id: after('classid'), rate: after('rate'), ceiling: after('ceil'), priority: Number(after('prio') || 0), overheadBytes: Number(after('overhead')) };
      return { ...shaping, classes: [...shaping.classes.filter((one) => one.device !== device || one.id !== made.id), made] };
    }
    case 'class del':
      return { qdiscs: shaping.qdiscs.filter((one) => one.parent !== after('classid')), classes: shaping.classes.filter((one) => one.id !== after('classid')) };
    default:
      throw new Error(`not a command of ours: tc ${line}`);
  }
}
