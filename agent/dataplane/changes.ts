import { addressAt, prefixContains } from '../../src/base/index.ts';
import type { NodeConfig, TunnelId } from '../../src/model/index.ts';
import type { DataplaneWanted, LaneWanted } from '../ports.ts';
import { type Change, ipChange, type Phases } from './commands.ts';
import { driverOf, type NextHop, type TunnelDriver } from './driver.ts';
import { addressLabel, COPY_ALIASES, copyAlias, GUARD_METRIC, isTunnelName, markText, RULE_PRIORITY } from './names.ts';
import type { Observed, ObservedRoute } from './observe.ts';
import { shapingChanges, shapingRemovals } from './shaping.ts';
import { buildRuleset, type ManagementTraffic, NO_TABLES, rulesetText } from './ruleset.ts';

/** What is known of our own ruleset beyond the kernel's listing of it. */
export interface InstalledRuleset {
  /** The transaction's text without its clean-up of what came before. */
  text: string;
  /** Digest of the kernel's listing right after it. */
  digest: string;
}

/** Everything that makes the kernel as wanted, in order, and what has to wait. */
export interface DataplaneChanges {
  phases: Phases;
  /** Class queues, to be set after all else: packets flow without them, so what fails here must not hold anything up. */
  queues: Change[];
  /** Tunnels whose interface cannot be made because charon's device is not there. */
  waiting: TunnelId[];
}

/**
 * Compares wanted with observed. The order is what keeps clear text in and packets flowing: guards first; then
 * addresses, interfaces and lanes beside the old ones; then all rules in one transaction; then forwarding and the LAN
 * address, which bring traffic; last of all what is no longer wanted goes.
 * @param installed  our last ruleset; null after a start, when it is written in any case
 */
export function planChanges(
  wanted: DataplaneWanted,
  observed: Observed,
  installed: InstalledRuleset | null,
  management: readonly ManagementTraffic[] = [],
  driver: TunnelDriver = driverOf('libipsec'),
): DataplaneChanges {
  const canLink = driver.device === null || observed.links.some(({ name }) => name === driver.device);
  const links = canLink ? wanted.interfaces.flatMap((tunnel) => driver.linkChanges(tunnel, observed)) : [];
  const lanes = uniqueLanes(wanted.lanes);
  const fresh = new Set(links.flatMap(({ commands }) => commands.flatMap((one) => (one.do === 'ip' && one.line.startsWith('link add ') ? [one.line.split(' ')[2]!] : []))));
  const nextHops = canLink ? nextHopsOf(wanted, driver) : new Map<TunnelId, NextHop>();
  return {
    phases: [
      guardChanges(wanted, observed),
      [...filterChanges(wanted, observed, driver), ...overlayChanges(wanted, observed), ...sharedLanChanges(wanted, observed)],
      links,
      [...lanes.flatMap((lane) => laneRouteChanges(lane, nextHops, fresh, observed)), ...lanes.flatMap((lane) => laneRuleChanges(lane, observed))],
      rulesetChanges(wanted, observed, installed, management, driver),
      [...forwardingChanges(observed), ...lanAddressChanges(wanted, observed)],
      staleChanges(wanted, observed),
    ],
    queues: [...shapingChanges(wanted, observed, driver.shaperPlace), ...shapingRemovals(wanted, observed, driver.shaperPlace)],
    waiting: canLink ? [] : wanted.interfaces.map(({ tunnel }) => tunnel),
  };
}

/** What takes away everything that `planChanges` ever makes: traffic first, guards last. */
export function clearChanges(observed: Observed, driver: TunnelDriver = driverOf('libipsec')): Phases {
  const ours = observed.addresses.filter(isOurs);
  const lans = new Set(ours.map(({ interface: name }) => name).filter((name) => name !== 'lo')); // who clears need not know the config
  return [
    [
      ...ourRules(observed).map(({ mark }) => removeLane(mark, observed)),
      ...copyRoutes(observed).map((route) => ipChange(`copies to ${route.prefix} end`, deleteRoute(route))),
      ...shapingRemovals(null, observed, driver.shaperPlace),
      ...observed.links.filter(({ name }) => isTunnelName(name)).map(({ name }) => ipChange(`interface ${name} removed`, `link del ${name}`)),
      ...observed.routes
        .filter((route) => route.table === 'main' && route.via && lans.has(route.via.interface) && route.metric === LAN_METRIC)
        .map(({ prefix, via }) => ipChange(`LAN route ${prefix} removed`, `route del ${prefix} dev ${via!.interface} metric ${LAN_METRIC}`)),
      ...ours.map(({ interface: name, address }) => ipChange(`address ${address} removed from ${name}`, `addr del ${address} dev ${name}`)),
    ],
    observed.ruleset ? [{ says: 'nft ruleset removed', commands: [{ do: 'nft', text: NO_TABLES }] }] : [],
    guardsOf(observed).map(({ prefix }) => ipChange(`guard of ${prefix} removed`, `route del unreachable ${prefix} metric ${GUARD_METRIC}`)),
  ];
}

/** By its label; where the name of the interface leaves no room for one, gateways' own addresses can be told all the same. */
function isOurs({ interface: name, address, label }: Observed['addresses'][number]): boolean {
  const ourLabel = addressLabel(name);
  return ourLabel === '' ? prefixContains(SHARED_LAN_PREFIX, `${address.split('/')[0]}/32`) : label === ourLabel;
}

/** Where tunnels lead, by id. */
export type NextHops = Pick<ReadonlyMap<TunnelId, NextHop>, 'get'>;

/**
 * The `ip` lines that point a lane at its active tunnel, then its copies at theirs: what is forwarded goes first, since
 * copies are made of that. Null when a tunnel is not known.
 */
export function laneLines(lane: LaneWanted, nextHops: NextHops): string[] | null {
  const way = wayThrough(lane.active, nextHops);
  const copyWay = lane.copy === undefined ? null : wayThrough(lane.copy, nextHops);
  if (!way || (lane.copy !== undefined && !copyWay)) return null;
  return [...ipv4(lane.prefixes).map((prefix) => `${way(prefix)} table ${lane.mark}`), ...(copyWay ? [copyWay(`${copyAlias(lane.mark)}/32`)] : [])];
}

/** The beginning of a route line; null when the tunnel is not known. */
function wayThrough(tunnel: TunnelId | null, nextHops: NextHops): ((prefix: string) => string) | null {
  if (tunnel === null) return (prefix) => `route replace unreachable ${prefix}`;
  const hop = nextHops.get(tunnel);
  return hop === undefined ? null : (prefix) => `route replace ${prefix} ${hopText(hop)}`;
}

function hopText({ interface: name, address }: NextHop): string {
  return address === null ? `dev ${name}` : `via ${address} dev ${name} onlink`;
}

export function nextHopsOf(wanted: DataplaneWanted, driver: TunnelDriver): Map<TunnelId, NextHop> {
  return new Map(wanted.interfaces.map((tunnel) => [tunnel.tunnel, driver.nextHop(tunnel)]));
}

/** Names of the settings that `planChanges` wants to see. */
export function sysctlNames(wanted: DataplaneWanted, driver: TunnelDriver): string[] {
  return [FORWARDING, ...filterSysctls(wanted, driver), ...(wanted.config.lan.shared ? [arpNotify(wanted.config.lan.interface)] : [])];
}

const FORWARDING = 'net/ipv4/ip_forward';

function guardChanges(wanted: DataplaneWanted, observed: Observed): Change[] {
  const guarded = new Set(guardsOf(observed).map(({ prefix }) => prefix));
  return guardPrefixes(wanted)
    .filter((prefix) => !guarded.has(prefix))
    .map((prefix) => ipChange(`guard: ${prefix} is unreachable but through tunnels`, `route replace unreachable ${prefix} metric ${GUARD_METRIC}`));
}

/** What the plan protects, the far overlay addresses where these are not inside it, and what is for this LAN only: heartbeats would follow the default route while it is down. */
function guardPrefixes({ config, interfaces, lanes }: DataplaneWanted): string[] {
  const overlays = [...config.tunnels.map((tunnel) => tunnel.remote.overlay), ...interfaces.map((tunnel) => tunnel.remoteOverlay)].map((overlay) => `${overlay}/32`);
  const planned = ipv4(config.protectedPrefixes);
  const open = overlays.filter((overlay) => !planned.some((prefix) => prefixContains(prefix, overlay)));
  const aliases = lanes.some(({ copy }) => copy !== undefined) ? [COPY_ALIASES] : []; // a copy without a way must not follow the default route
  const heartbeats = config.lan.shared ? [SHARED_LAN_PREFIX] : [];
  return [...new Set([...planned, ...open, ...aliases, ...heartbeats])].sort();
}

function guardsOf(observed: Observed): ObservedRoute[] {
  return observed.routes.filter((route) => route.table === 'main' && route.via === null && route.metric === GUARD_METRIC);
}

/** Reverse-path filters off (replies may come by another tunnel), and the LAN told when its address arrives. */
function filterSysctls({ config }: DataplaneWanted, driver: TunnelDriver): string[] {
  const interfaces = [...new Set(['all', 'default', ...(driver.device === null ? [] : [driver.device]), config.lan.interface, ...config.uplinks.map((uplink) => uplink.interface)])];
  return interfaces.map((name) => `net/ipv4/conf/${name}/rp_filter`);
}

function filterChanges(wanted: DataplaneWanted, observed: Observed, driver: TunnelDriver): Change[] {
  return filterSysctls(wanted, driver)
    .filter((name) => observed.sysctls.get(name) !== undefined && observed.sysctls.get(name) !== null && observed.sysctls.get(name) !== '0')
    .map((name) => ({ says: `${name} = 0`, commands: [{ do: 'sysctl', name, value: '0' }] }));
}

function forwardingChanges(observed: Observed): Change[] {
  return observed.sysctls.get(FORWARDING) === '1' ? [] : [{ says: `${FORWARDING} = 1`, commands: [{ do: 'sysctl', name: FORWARDING, value: '1' }] }];
}

function overlayChanges(wanted: DataplaneWanted, observed: Observed): Change[] {
  const present = new Set(observed.addresses.filter(({ interface: name }) => name === 'lo').map(({ address }) => address));
  return [...new Set(wanted.overlayAddresses)]
    .filter((overlay) => !present.has(`${overlay}/32`))
    .map((overlay) => ipChange(`overlay address ${overlay} added`, `addr add ${overlay}/32 dev lo label ${addressLabel('lo')}`));
}

/**
 * What a gateway needs on a LAN whose address it shares: an address of its own, by which the others hear it; the way to
 * the hosts, which goes with the shared address but must not (what comes out of a tunnel is delivered by whoever gets
 * it); and a kernel that announces the shared address when `agent/standby` takes it.
 */
function sharedLanChanges({ config }: DataplaneWanted, observed: Observed): Change[] {
  const { interface: name, shared } = config.lan;
  const own = ownLanAddress(config);
  if (!shared || own === null) return [];
  const label = addressLabel(name);
  const subnet = lanSubnet(config.lan);
  const hasRoute = observed.routes.some((route) => route.table === 'main' && route.prefix === subnet && route.via?.interface === name && route.metric === LAN_METRIC);
  return [
    ...(observed.sysctls.get(arpNotify(name)) === '1' ? [] : [{ says: `${arpNotify(name)} = 1`, commands: [{ do: 'sysctl' as const, name: arpNotify(name), value: '1' }] }]),
    ...(observed.addresses.some((one) => one.interface === name && one.address === own) ? [] : [ipChange(`own LAN address ${own} added`, `addr add ${own} dev ${name} scope link${label === '' ? '' : ` label ${label}`}`)]),
    ...(hasRoute ? [] : [ipChange(`LAN ${subnet} is reached without the shared address`, `route replace ${subnet} dev ${name} scope link metric ${LAN_METRIC}`)]),
  ];
}

/** What is left of sharing the LAN when there is nobody to share it with any more, or by another address. */
function staleLanChanges({ config }: DataplaneWanted, observed: Observed): Change[] {
  const { interface: name, shared } = config.lan;
  const own = ownLanAddress(config);
  const subnet = shared ? lanSubnet(config.lan) : null;
  return [
    ...observed.addresses
      .filter((one) => one.interface === name && one.label === addressLabel(name) && prefixContains(SHARED_LAN_PREFIX, `${one.address.split('/')[0]}/32`) && one.address !== own)
      .map(({ address }) => ipChange(`own LAN address ${address} removed`, `addr del ${address} dev ${name}`)),
    ...observed.routes
      .filter((route) => route.table === 'main' && route.via?.interface === name && route.metric === LAN_METRIC && route.prefix !== subnet)
      .map(({ prefix }) => ipChange(`LAN route ${prefix} removed`, `route del ${prefix} dev ${name} metric ${LAN_METRIC}`)),
  ];
}

/** Hosts choose no address in here for themselves (RFC 3927 section 2.1), so plans give it to gateways. */
const SHARED_LAN_PREFIX = '169.254.255.0/24';
/** Loses against the route that comes with the shared address, wins against the guards. */
const LAN_METRIC = 500;

function ownLanAddress({ node, lan }: NodeConfig): string | null {
  const member = lan.shared?.members.find((one) => one.node === node);
  return member ? `${member.address}/24` : null;
}

function lanSubnet(lan: NodeConfig['lan']): string {
  const address = lanAddressOf(lan);
  return `${addressAt(address, 0)}/${address.split('/')[1]}`;
}

function arpNotify(interfaceName: string): string {
  return `net/ipv4/conf/${interfaceName}/arp_notify`;
}

/** Of a site with one gateway. Where several share the address, `agent/standby` alone takes and gives it up. */
function lanAddressChanges({ config }: DataplaneWanted, observed: Observed): Change[] {
  if (config.lan.shared) return [];
  const { interface: name } = config.lan;
  const address = lanAddressOf(config.lan);
  const isThere = observed.addresses.some((one) => one.interface === name && one.address === address);
  if (config.serving === isThere) return [];
  if (!config.serving) return [ipChange(`LAN address ${address} given up`, `addr del ${address} dev ${name}`)];
  const label = addressLabel(name);
  const mac = observed.links.find((link) => link.name === name)?.mac ?? '';
  const change = ipChange(`LAN address ${address} taken`, `addr add ${address} dev ${name}${label === '' ? '' : ` label ${label}`}`);
  return [{ ...change, commands: [...change.commands, ...(mac === '' ? [] : [{ do: 'announce' as const, interface: name, mac }])] }];
}

/** The address with the length of the LAN prefix that it lies in, when it does not say. */
function lanAddressOf(lan: { address: string; prefixes: string[] }): string {
  if (lan.address.includes('/')) return lan.address;
  const prefix = ipv4(lan.prefixes).find((one) => prefixContains(one, `${lan.address}/32`));
  return `${lan.address}/${prefix?.split('/')[1] ?? '32'}`;
}

/** @param fresh  interfaces made in this very apply: with the old one of that name its routes went */
function laneRouteChanges(lane: LaneWanted, nextHops: NextHops, fresh: ReadonlySet<string>, observed: Observed): Change[] {
  const isKnown = (tunnel: TunnelId | null): boolean => tunnel !== null && nextHops.get(tunnel) !== undefined;
  const { active, copy } = { active: isKnown(lane.active) ? lane.active : null, copy: lane.copy !== undefined && isKnown(lane.copy) ? lane.copy : null };
  const lines = laneLines({ ...lane, active, ...(lane.copy === undefined ? {} : { copy }) }, nextHops) ?? [];
  const hop = active === null ? undefined : nextHops.get(active);
  const table = observed.routes.filter((route) => route.table === String(lane.mark) && !(route.via && fresh.has(route.via.interface)));
  const wrong = lane.prefixes.flatMap((prefix, index) => {
    const route = table.find((one) => one.prefix === prefix);
    const isRight = route && (hop === undefined ? route.via === null : route.via?.interface === hop.interface && route.via.address === hop.address);
    return isRight ? [] : [lines[index]!];
  });
  const extra = table.filter((route) => !lane.prefixes.includes(route.prefix)).map((route) => deleteRoute(route));
  const copyChanges = lane.copy === undefined ? [] : copyRouteChanges(lane.mark, copy, lines.at(-1)!, nextHops, fresh, observed);
  if (wrong.length === 0 && extra.length === 0) return copyChanges;
  return [ipChange(`lane ${lane.mark} ${hop === undefined ? 'unreachable' : `through ${lane.active}`}`, ...wrong, ...extra), ...copyChanges];
}

function copyRouteChanges(mark: number, copy: TunnelId | null, line: string, nextHops: NextHops, fresh: ReadonlySet<string>, observed: Observed): Change[] {
  const route = copyRoutes(observed).find(({ prefix, via }) => prefix === `${copyAlias(mark)}/32` && !(via && fresh.has(via.interface)));
  const isRight = route && (copy === null ? route.via === null : route.via?.interface === copy && route.via.address === nextHops.get(copy)?.address);
  return isRight ? [] : [ipChange(`copies of lane ${mark} ${copy === null ? 'not sent' : `through ${copy}`}`, line)];
}

/** The routes by which second copies leave. */
function copyRoutes(observed: Observed): ObservedRoute[] {
  return observed.routes.filter(({ table, prefix, metric }) => table === 'main' && metric !== GUARD_METRIC && prefix.endsWith('/32') && prefixContains(COPY_ALIASES, prefix));
}

function laneRuleChanges({ mark }: LaneWanted, observed: Observed): Change[] {
  if (ourRules(observed).some((rule) => rule.mark === mark)) return [];
  return [ipChange(`lane ${mark} has a table`, `rule add fwmark ${markText(mark)} lookup ${mark} priority ${RULE_PRIORITY}`)];
}

function ourRules(observed: Observed): Observed['rules'] {
  return observed.rules.filter((rule) => rule.priority === RULE_PRIORITY && rule.table === String(rule.mark));
}

function rulesetChanges(wanted: DataplaneWanted, observed: Observed, installed: InstalledRuleset | null, management: readonly ManagementTraffic[], driver: TunnelDriver): Change[] {
  const ruleset = buildRuleset(wanted, management, driver);
  if (installed && observed.ruleset?.digest === installed.digest && installed.text === rulesetText(ruleset, { chains: [], counters: [], sets: [] })) return [];
  const chains = new Set(ruleset.chains.map(({ name }) => name));
  const counters = new Set(ruleset.counters);
  const stale = {
    chains: (observed.ruleset?.chains ?? []).filter((name) => !chains.has(name)),
    counters: (observed.ruleset?.counters ?? []).map(({ name }) => name).filter((name) => !counters.has(name)),
    sets: (observed.ruleset?.sets ?? []).filter((name) => !ruleset.sets.some((set) => set.name === name)),
  };
  return [{ says: `nft ruleset replaced (${ruleset.chains.length} chains)`, commands: [{ do: 'nft', text: rulesetText(ruleset, stale) }] }];
}

function staleChanges(wanted: DataplaneWanted, observed: Observed): Change[] {
  const marks = new Set(wanted.lanes.map(({ mark }) => mark));
  const tunnels = new Set<string>(wanted.interfaces.map(({ tunnel }) => tunnel));
  const aliases = new Set(wanted.lanes.flatMap(({ mark, copy }) => (copy === undefined ? [] : [`${copyAlias(mark)}/32`])));
  const overlays = new Set(wanted.overlayAddresses.map((overlay) => `${overlay}/32`));
  const guards = new Set(guardPrefixes(wanted));
  return [
    ...ourRules(observed).filter(({ mark }) => !marks.has(mark)).map(({ mark }) => removeLane(mark, observed)),
    ...copyRoutes(observed).filter(({ prefix }) => !aliases.has(prefix)).map((route) => ipChange(`copies to ${route.prefix} end`, deleteRoute(route))),
    ...observed.links.filter(({ name }) => isTunnelName(name) && !tunnels.has(name)).map(({ name }) => ipChange(`interface ${name} removed`, `link del ${name}`)),
    ...observed.addresses
      .filter(({ interface: name, address, label }) => name === 'lo' && label === addressLabel('lo') && !overlays.has(address))
      .map(({ address }) => ipChange(`overlay address ${address} removed`, `addr del ${address} dev lo`)),
    ...staleLanChanges(wanted, observed),
    ...guardsOf(observed)
      .filter(({ prefix }) => !guards.has(prefix))
      .map(({ prefix }) => ipChange(`guard of ${prefix} removed`, `route del unreachable ${prefix} metric ${GUARD_METRIC}`)),
  ];
}

/** The rule goes before the routes: a packet with the mark then meets the guard, never half a table. */
function removeLane(mark: number, observed: Observed): Change {
  const routes = observed.routes.filter((route) => route.table === String(mark)).map((route) => deleteRoute(route));
  return ipChange(`lane ${mark} removed`, `rule del fwmark ${markText(mark)} lookup ${mark} priority ${RULE_PRIORITY}`, ...routes);
}

function deleteRoute({ prefix, table, via }: ObservedRoute): string {
  return `route del ${via === null ? 'unreachable ' : ''}${prefix}${table === 'main' ? '' : ` table ${table}`}`;
}

function uniqueLanes(lanes: readonly LaneWanted[]): LaneWanted[] {
  return [...new Map(lanes.map((lane) => [lane.mark, { ...lane, prefixes: ipv4(lane.prefixes) }])).values()];
}

/** The overlay is IPv4. IPv6 needs no guard: no ruleset of ours lets it be forwarded, or out through an uplink. */
function ipv4(prefixes: readonly string[]): string[] {
  return prefixes.filter((prefix) => !prefix.includes(':'));
}
