import { digest, familyOf, ForemeshError, hostPrefixOf, type IpFamily } from '../../src/base/index.ts';
import { NFT_TABLE, OWN_ADDRESS_METRIC, OWN_LABEL_6 } from './names.ts';
import type { Machine } from './machine.ts';
import { type InterfaceCounters, parseNetDev } from './net-dev.ts';

/** What the kernel has now, as far as it concerns us. */
export interface Observed {
  /** By `/proc/sys` name, e.g. `net/ipv4/ip_forward`; null for one that does not exist. */
  sysctls: ReadonlyMap<string, string | null>;
  links: ObservedLink[];
  /** With length: `10.1.0.1/24`. `label`: of an IPv6 address `OWN_LABEL_6` or nothing. */
  addresses: { interface: string; address: string; label: string }[];
  /** Permanent ones. */
  neighbours: { interface: string; address: string; mac: string }[];
  rules: { family: IpFamily; priority: number; mark: number; table: string }[];
  routes: ObservedRoute[];
  /** Queues; null when nobody asked. */
  shaping: ObservedShaping | null;
  /** Our nft tables; null when there is none. */
  ruleset: ObservedRuleset | null;
}

export interface ObservedLink {
  name: string;
  isUp: boolean;
  mtu: number;
  mac: string;
  /** Packets that arrive together are made one of up to so many bytes (GRO); null where the kernel does not say. */
  joinedMaxBytes: number | null;
  /** null for anything but VXLAN. */
  vxlan: { vni: number; local: string; remote: string; port: number; lower: string } | null;
  /** null for anything but an XFRM interface. */
  xfrm: { ifId: number; lower: string } | null;
}

export interface ObservedShaping {
  /** `parent` null: the root of its device. `limit` in bytes or packets, as the kind has it. */
  qdiscs: { device: string; kind: string; handle: string; parent: string | null; limit: number | null }[];
  /** Of HTB. Rates as `tc` writes them. */
  classes: { device: string; id: string; rate: string; ceiling: string; priority: number; overheadBytes: number }[];
}

export interface ObservedRoute {
  table: string;
  /** With length, `0.0.0.0/0` and `::/0` for the defaults. */
  prefix: string;
  /** null: unreachable. */
  via: { address: string | null; interface: string } | null;
  metric: number;
  /** Of the route itself; absent: its interface's. */
  mtuBytes?: number;
}

export interface ObservedRuleset {
  chains: string[];
  sets: string[];
  counters: { name: string; packets: number; bytes: number }[];
  /** Digest of everything but counters and handles: the same for the same rules. */
  digest: string;
}

export interface ObserveOptions {
  /** Names of settings to read. */
  sysctls: readonly string[];
  /** The second nft table too. */
  withIpTable: boolean;
  /** The rules of IPv6 too: they take a program of their own. */
  withIpv6Rules: boolean;
  /** Devices whose classes are to be read, besides the queues of all; null: no queues. */
  shapedDevices: readonly string[] | null;
}

/**
 * Reads the kernel's state with one `ip` and one `nft` (more where packets are sent twice or queued by class): starting a program costs more than what it does.
 * @throws ForemeshError DATAPLANE_FAILED, TOOL_MISSING
 */
export async function observe(machine: Machine, { sysctls, withIpTable, withIpv6Rules, shapedDevices }: ObserveOptions): Promise<Observed> {
  const [[links, addresses, neighbours, rules, routes], [rules6 = []], ruleset, values, shaping] = await Promise.all([
    ipJson<[IpLink, IpAddresses, IpNeighbour, IpRule, IpRoute]>(machine, ['link show', 'addr show', 'neigh show nud permanent', 'rule show', 'route show table all']),
    withIpv6Rules ? ipJson<[IpRule]>(machine, ['rule show'], 'ipv6') : [],
    readRuleset(machine, withIpTable),
    Promise.all(sysctls.map(async (name) => [name, await machine.readSysctl(name)] as const)),
    shapedDevices === null ? null : readShaping(machine, shapedDevices),
  ]);
  return {
    sysctls: new Map(values),
    links: links.map(readLink),
    addresses: addresses.flatMap(({ ifname, addr_info }) =>
      addr_info.map((info) => ({ interface: ifname, address: `${info.local}/${info.prefixlen}`, label: info.label ?? (info.metric === OWN_ADDRESS_METRIC ? OWN_LABEL_6 : '') })),
    ),
    neighbours: neighbours.map(({ dev, dst, lladdr }) => ({ interface: dev, address: dst, mac: lladdr ?? '' })),
    rules: [...readRules(rules, 'ipv4'), ...readRules(rules6, 'ipv6')],
    routes: routes.flatMap(readRoute),
    shaping,
    ruleset,
  };
}

function readRules(rules: readonly IpRule[], family: IpFamily): Observed['rules'] {
  return rules.flatMap(({ priority, fwmark, table }) => (fwmark === undefined ? [] : [{ family, priority, mark: Number(fwmark), table: table ?? 'main' }]));
}

/** Interfaces alone, as `observe` gives them. @throws ForemeshError DATAPLANE_FAILED, TOOL_MISSING */
export async function observeLinks(machine: Machine): Promise<ObservedLink[]> {
  const [links] = await ipJson<[IpLink]>(machine, ['link show']);
  return links.map(readLink);
}

function readLink({ ifname, flags, mtu, address, link, linkinfo, gro_max_size }: IpLink): ObservedLink {
  const data = linkinfo?.info_kind === 'vxlan' ? linkinfo.info_data : undefined;
  const xfrm = linkinfo?.info_kind === 'xfrm' ? linkinfo.info_data : undefined;
  return {
    name: ifname,
    isUp: flags.includes('UP'),
    mtu,
    mac: address ?? '',
    joinedMaxBytes: gro_max_size ?? null,
    vxlan: data ? { vni: data.id, local: data.local ?? '', remote: data.remote ?? '', port: data.port, lower: data.link ?? '' } : null,
    xfrm: xfrm ? { ifId: Number(xfrm.if_id), lower: link ?? '' } : null,
  };
}

/** Interface counters by name. `/proc/net/dev`: name, then eight figures received and eight sent, bytes and packets first. */
export async function readTraffic(machine: Machine): Promise<InterfaceCounters[]> {
  return parseNetDev(await machine.readNetDev());
}

/**
 * Our tables as `nft` lists them, without what sets hold just now; null when the main one does not exist.
 * @param withIpTable  the second table too; `nft` lists one in a call
 */
export async function readRuleset(machine: Machine, withIpTable: boolean): Promise<ObservedRuleset | null> {
  const [main, second] = await Promise.all([listTable(machine, 'inet'), withIpTable ? listTable(machine, 'ip') : null]);
  if (!main) return null;
  const counters = readNftCounters(main);
  const rules = [...main, ...(second ?? [])].filter((object) => !object.counter && !object.metainfo);
  const identity = [...rules, ...counters.map(({ name }) => ({ counterName: name }))];
  return {
    chains: main.flatMap(({ chain }) => (chain ? [chain.name] : [])),
    sets: main.flatMap(({ set }) => (set ? [set.name] : [])),
    counters,
    digest: digest(JSON.stringify(identity, (key, value: unknown) => (key === 'handle' ? undefined : value))),
  };
}

async function listTable(machine: Machine, family: 'inet' | 'ip'): Promise<NftObject[] | null> {
  const result = await machine.run('nft', ['-j', '-t', 'list', 'table', family, NFT_TABLE]);
  if (result.exitCode === 0) return (JSON.parse(result.stdout.toString('utf8')) as { nftables: NftObject[] }).nftables;
  if (result.stderr.includes('No such file')) return null;
  throw failed('nft list', result.stderr);
}

async function readShaping(machine: Machine, devices: readonly string[]): Promise<ObservedShaping> {
  const [qdiscs, ...classes] = await Promise.all([runTc(machine, ['-j', 'qdisc', 'show']), ...devices.map(async (device) => readClasses(device, await runTc(machine, ['class', 'show', 'dev', device])))]);
  return {
    qdiscs: (JSON.parse(qdiscs) as TcQdisc[]).map(({ dev = '', kind, handle, parent, options }) => ({ device: dev, kind, handle, parent: parent ?? null, limit: options?.limit ?? null })),
    classes: classes.flat(),
  };
}

/** `class htb fa00:101 parent fa00:100 leaf 8001: prio 0 rate 10Mbit overhead 64 ceil 47500Kbit burst …`: there is no JSON of it. */
function readClasses(device: string, listing: string): ObservedShaping['classes'] {
  return listing.split('\n').flatMap((line) => {
    const words = line.trim().split(' ');
    const after = (word: string): string => (words.includes(word) ? (words[words.indexOf(word) + 1] ?? '') : '');
    if (words[1] !== 'htb') return [];
    return [{ device, id: words[2]!, rate: after('rate'), ceiling: after('ceil'), priority: Number(after('prio') || 0), overheadBytes: Number(after('overhead') || 0) }];
  });
}

/** What each queue of a device dropped and sent so far; [] when the device is gone. */
export async function readDrops(machine: Machine, device: string): Promise<{ device: string; parent: string | null; drops: number; packets: number; bytes: number }[]> {
  const text = await runTc(machine, ['-s', '-j', 'qdisc', 'show', 'dev', device]);
  return text.trim() === '' ? [] : (JSON.parse(text) as TcQdisc[]).map(({ parent, drops = 0, packets = 0, bytes = 0 }) => ({ device, parent: parent ?? null, drops, packets, bytes }));
}

/** '' for a device that is not there: charon's comes and goes. */
async function runTc(machine: Machine, args: readonly string[]): Promise<string> {
  const result = await machine.run('tc', args);
  if (result.exitCode === 0) return result.stdout.toString('utf8');
  if (result.stderr.includes('Cannot find device')) return '';
  throw failed(`tc ${args.join(' ')}`, result.stderr);
}

/** Our counters, cheaper than the whole table; [] when there is none. */
export async function readCounters(machine: Machine): Promise<ObservedRuleset['counters']> {
  const result = await machine.run('nft', ['-j', 'list', 'counters', 'table', 'inet', NFT_TABLE]);
  if (result.exitCode !== 0) {
    if (result.stderr.includes('No such file')) return [];
    throw failed('nft list counters', result.stderr);
  }
  return readNftCounters((JSON.parse(result.stdout.toString('utf8')) as { nftables: NftObject[] }).nftables);
}

export function failed(what: string, stderr: string): ForemeshError {
  return new ForemeshError('DATAPLANE_FAILED', { what: `${what}: ${stderr.trim().slice(-800)}`, fix: 'read the message; what stood before still stands, and it is tried again' });
}

function readNftCounters(objects: readonly NftObject[]): ObservedRuleset['counters'] {
  return objects.flatMap(({ counter }) => (counter ? [{ name: counter.name, packets: counter.packets, bytes: counter.bytes }] : []));
}

function readRoute(route: IpRoute): ObservedRoute[] {
  const { type = 'unicast', dst, gateway, dev, table = 'main', metric = 0, metrics, pref } = route;
  if (type !== 'unicast' && type !== 'unreachable') return [];
  const mtuBytes = metrics?.find(({ mtu }) => mtu !== undefined)?.mtu;
  const isDefault6 = pref !== undefined || (gateway !== undefined && familyOf(gateway) === 'ipv6'); // only routes of IPv6 have a preference
  const prefix = dst === 'default' ? (isDefault6 ? '::/0' : '0.0.0.0/0') : dst.includes('/') ? dst : hostPrefixOf(dst);
  return [{ table, prefix, via: type === 'unreachable' ? null : { address: gateway ?? null, interface: dev ?? '' }, metric, ...(mtuBytes === undefined ? {} : { mtuBytes }) }];
}

/** One list for each `ip` command, in order: in a batch each prints one line of JSON. */
async function ipJson<Lists extends unknown[]>(machine: Machine, commands: readonly string[], family?: 'ipv6'): Promise<{ [Index in keyof Lists]: Lists[Index][] }> {
  const result = await machine.run('ip', [...(family ? ['-6'] : []), '-j', '-d', '-batch', '-'], `${commands.join('\n')}\n`);
  const lines = result.stdout.toString('utf8').split('\n').filter((line) => line.trim() !== '');
  if (result.exitCode !== 0 || lines.length !== commands.length) throw failed(`ip ${commands.join(', ')}`, result.stderr || `${lines.length} answers to ${commands.length} questions`);
  return lines.map((line) => JSON.parse(line) as unknown[]) as { [Index in keyof Lists]: Lists[Index][] };
}

interface IpLink {
  ifname: string;
  flags: string[];
  mtu: number;
  address?: string;
  /** The device it is built on, for some kinds. */
  link?: string;
  gro_max_size?: number;
  linkinfo?: { info_kind?: string; info_data?: { id: number; local?: string; remote?: string; port: number; link?: string; if_id?: string } };
  stats64?: { rx: { bytes: number; packets: number }; tx: { bytes: number; packets: number } };
}
interface IpAddresses {
  ifname: string;
  addr_info: { local: string; prefixlen: number; label?: string; metric?: number }[];
}
interface IpNeighbour {
  dev: string;
  dst: string;
  lladdr?: string;
}
interface IpRule {
  priority: number;
  fwmark?: string;
  table?: string;
}
interface IpRoute {
  type?: string;
  dst: string;
  gateway?: string;
  dev?: string;
  table?: string;
  metric?: number;
  metrics?: { mtu?: number }[];
  pref?: string;
}
interface NftObject {
  metainfo?: unknown;
  chain?: { name: string };
  set?: { name: string };
  counter?: { name: string; packets: number; bytes: number };
}
interface TcQdisc {
  dev?: string;
  kind: string;
  handle: string;
  parent?: string;
  options?: { limit?: number };
  drops?: number;
  packets?: number;
  bytes?: number;
}
