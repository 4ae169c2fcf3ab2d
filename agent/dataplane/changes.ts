import { familyOf, type IpFamily, prefixContains } from '../../src/base/index.ts';
import type { TunnelId } from '../../src/model/index.ts';
import type { DataplaneWanted, LaneTunnel, LaneWanted } from '../ports.ts';
import { type Change, type Command, ipChange, type Phases } from './commands.ts';
import { driverOf, type NextHop, type TunnelDriver } from './driver.ts';
import { carriesIpv6, forwardingChanges6, hasIpv6, ipv6Sysctls, isIpv6On, isIpv6Wanted, withoutIpv6 } from './ipv6.ts';
import { joiningChanges } from './joining.ts';
import { isOurs, lanAddressChanges, lanSysctls, SHARED_LAN_PREFIX, sharedLanChanges, staleLanChanges } from './lan-address.ts';
import { IPV6_MTU_MIN_BYTES } from './mtu.ts';
import { addressLabel, COPY_ALIASES, copyAlias, GUARD_METRIC, isTunnelName, LAN_METRIC, markText, RULE_PRIORITY } from './names.ts';
import type { Observed, ObservedRoute } from './observe.ts';
import { shapingChanges, shapingRemovals } from './shaping.ts';
import { buildRuleset, type ManagementTraffic, NO_TABLES } from './ruleset.ts';
import { rulesetKey, rulesetTransactions, staged } from './ruleset-text.ts';

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
  /** IPv6 is wanted and switched off here: all of it was left out. */
  lacksIpv6: boolean;
}

/**
 * Compares wanted with observed. The order is what keeps clear text in and packets flowing: guards first; then
 * addresses, interfaces and lanes beside the old ones; then all rules in one transaction; then forwarding and the LAN
 * address, which bring traffic; last of all what is no longer wanted goes.
 * @param installed  our last ruleset; null after a start, when it is written in any case
 */
export function planChanges(
  given: DataplaneWanted,
  observed: Observed,
  installed: InstalledRuleset | null,
  management: readonly ManagementTraffic[] = [],
  driver: TunnelDriver = driverOf('libipsec'),
): DataplaneChanges {
  const lacksIpv6 = isIpv6Wanted(given) && !isIpv6On(given.config, observed);
  const wanted = lacksIpv6 ? withoutIpv6(given) : given;
  const withIpv6 = carriesIpv6(wanted.config);
  const canLink = driver.device === null || observed.links.some(({ name }) => name === driver.device);
  const links = canLink ? wanted.interfaces.flatMap((tunnel) => driver.linkChanges(tunnel, observed, { withIpv6 })) : [];
  const lanes = uniqueLanes(wanted.lanes);
  const fresh = new Set(links.flatMap(({ commands }) => commands.flatMap((one) => (one.do === 'ip' && one.line.startsWith('link add ') ? [one.line.split(' ')[2]!] : []))));
  const nextHops = canLink ? nextHopsOf(wanted, driver, observed) : new Map<TunnelId, NextHop>();
  return {
    phases: [
      guardChanges(wanted, observed),
      [...filterChanges(wanted, observed, driver), ...overlayChanges(wanted, observed), ...sharedLanChanges(wanted, observed)],
      [...links, ...(canLink ? joiningChanges(wanted, observed, fresh) : [])],
      [...lanes.flatMap((lane) => laneRouteChanges(lane, nextHops, fresh, observed)), ...lanes.flatMap((lane) => laneRuleChanges(lane, observed))],
      rulesetChanges(given, observed, installed, management, driver),
      [...forwardingChanges(observed), ...forwardingChanges6(wanted, observed), ...lanAddressChanges(wanted, observed)],
      staleChanges(wanted, observed),
    ],
    queues: [...shapingChanges(wanted, observed, driver.shaperPlace), ...shapingRemovals(wanted, observed, driver.shaperPlace)],
    waiting: canLink ? [] : wanted.interfaces.map(({ tunnel }) => tunnel),
    lacksIpv6,
  };
}

/** What takes away everything that `planChanges` ever makes: traffic first, guards last. */
export function clearChanges(observed: Observed, driver: TunnelDriver = driverOf('libipsec')): Phases {
  const ours = observed.addresses.filter(isOurs);
  const lans = new Set(ours.map(({ interface: name }) => name).filter((name) => name !== 'lo')); // who clears need not know the config
  return [
    [
      ...ourMarks(observed).map((mark) => removeLane(mark, observed)),
      ...copyRoutes(observed).map((route) => ipChange(`copies to ${route.prefix} end`, deleteRoute(route))),
      ...shapingRemovals(null, observed, driver.shaperPlace),
      ...observed.links.filter(({ name }) => isTunnelName(name)).map(({ name }) => ipChange(`interface ${name} removed`, `link del ${name}`)),
      ...observed.routes
        .filter((route) => route.table === 'main' && route.via && lans.has(route.via.interface) && route.metric === LAN_METRIC)
        .map(({ prefix, via }) => ipChange(`LAN route ${prefix} removed`, `route del ${prefix} dev ${via!.interface} metric ${LAN_METRIC}`)),
      ...ours.map(({ interface: name, address }) => ipChange(`address ${address} removed from ${name}`, `addr del ${address} dev ${name}`)),
    ],
    observed.ruleset ? [{ says: 'nft ruleset removed', commands: [{ do: 'nft', transactions: [NO_TABLES] }] }] : [],
    guardsOf(observed).map(({ prefix }) => ipChange(`guard of ${prefix} removed`, `route del unreachable ${prefix} metric ${GUARD_METRIC}`)),
  ];
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
  return [...lane.prefixes.map((prefix) => `${way(prefix)} table ${lane.mark}`), ...(copyWay ? [copyWay(`${copyAlias(lane.mark)}/32`)] : [])];
}

/** The beginning of a route line; null when the tunnel is not known. */
function wayThrough(tunnel: TunnelId | null, nextHops: NextHops): ((prefix: string) => string) | null {
  if (tunnel === null) return (prefix) => `route replace unreachable ${prefix}`;
  const hop = nextHops.get(tunnel);
  if (hop === undefined) return null;
  return (prefix) => {
    const via = hopFor(prefix, hop);
    return via === null ? `route replace unreachable ${prefix}` : `route replace ${prefix} ${hopText(via)}`;
  };
}

function hopText({ interface: name, address, mtuBytes }: Via): string {
  return `${address === null ? `dev ${name}` : `via ${address} dev ${name} onlink`}${mtuBytes === undefined ? '' : ` mtu ${mtuBytes}`}`;
}

type Via = Pick<NextHop, 'interface' | 'address' | 'mtuBytes'>;

/** How a prefix's family goes through a tunnel; null when it cannot. */
function hopFor(prefix: string, { interface: name, address, address6, mtuBytes, isNarrow = false }: NextHop): Via | null {
  const rest = mtuBytes === undefined ? {} : { mtuBytes };
  if (familyOf(prefix) === 'ipv4') return { interface: name, address, ...rest };
  return isNarrow || (mtuBytes ?? IPV6_MTU_MIN_BYTES) < IPV6_MTU_MIN_BYTES ? null : { interface: name, address: address6, ...rest };
}

/** Where packets go through a tunnel, and how large they may be. */
export function laneHop(tunnel: LaneTunnel, driver: TunnelDriver): NextHop {
  return { ...driver.nextHop(tunnel), ...(tunnel.pathMtuBytes === undefined ? {} : { mtuBytes: tunnel.pathMtuBytes }) };
}

function isThrough(route: ObservedRoute | undefined, hop: Via | undefined): boolean {
  return route?.via?.interface === hop?.interface && route?.via?.address === hop?.address && route?.mtuBytes === hop?.mtuBytes;
}

/** Where each tunnel leads now. */
export function nextHopsOf(wanted: DataplaneWanted, driver: TunnelDriver, observed: Observed): Map<TunnelId, NextHop> {
  return new Map(
    wanted.interfaces.map((tunnel) => {
      const { maxBytes } = driver.mtuOf(tunnel, observed.links.find(({ name }) => name === tunnel.uplink)?.mtu);
      return [tunnel.tunnel, { ...laneHop(tunnel, driver), ...(maxBytes < IPV6_MTU_MIN_BYTES ? { isNarrow: true } : {}) }];
    }),
  );
}

/** Names of the settings that `planChanges` wants to see. */
export function sysctlNames(wanted: DataplaneWanted, driver: TunnelDriver): string[] {
  return [FORWARDING, ...filterSysctls(wanted, driver), ...lanSysctls(wanted.config), ...(isIpv6Wanted(wanted) ? ipv6Sysctls(wanted) : [])];
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
  const planned = config.protectedPrefixes;
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

/** @param fresh  interfaces made in this very apply: with the old one of that name its routes went */
function laneRouteChanges(lane: LaneWanted, nextHops: NextHops, fresh: ReadonlySet<string>, observed: Observed): Change[] {
  const isKnown = (tunnel: TunnelId | null): boolean => tunnel !== null && nextHops.get(tunnel) !== undefined;
  const { active, copy } = { active: isKnown(lane.active) ? lane.active : null, copy: lane.copy !== undefined && isKnown(lane.copy) ? lane.copy : null };
  const lines = laneLines({ ...lane, active, ...(lane.copy === undefined ? {} : { copy }) }, nextHops) ?? [];
  const hop = active === null ? undefined : nextHops.get(active);
  const table = observed.routes.filter((route) => route.table === String(lane.mark) && !(route.via && fresh.has(route.via.interface)));
  const wrong = lane.prefixes.flatMap((prefix, index) => {
    const route = table.find((one) => one.prefix === prefix);
    const via = hop === undefined ? null : hopFor(prefix, hop);
    const isRight = route && (via === null ? route.via === null : isThrough(route, via));
    return isRight ? [] : [lines[index]!];
  });
  const extra = table.filter((route) => !lane.prefixes.includes(route.prefix)).map((route) => deleteRoute(route));
  const copyChanges = lane.copy === undefined ? [] : copyRouteChanges(lane.mark, copy, lines.at(-1)!, nextHops, fresh, observed);
  if (wrong.length === 0 && extra.length === 0) return copyChanges;
  return [ipChange(`lane ${lane.mark} ${hop === undefined ? 'unreachable' : `through ${lane.active}`}`, ...wrong, ...extra), ...copyChanges];
}

function copyRouteChanges(mark: number, copy: TunnelId | null, line: string, nextHops: NextHops, fresh: ReadonlySet<string>, observed: Observed): Change[] {
  const route = copyRoutes(observed).find(({ prefix, via }) => prefix === `${copyAlias(mark)}/32` && !(via && fresh.has(via.interface)));
  const isRight = route && (copy === null ? route.via === null : isThrough(route, nextHops.get(copy)));
  return isRight ? [] : [ipChange(`copies of lane ${mark} ${copy === null ? 'not sent' : `through ${copy}`}`, line)];
}

/** The routes by which second copies leave. */
function copyRoutes(observed: Observed): ObservedRoute[] {
  return observed.routes.filter(({ table, prefix, metric }) => table === 'main' && metric !== GUARD_METRIC && prefix.endsWith('/32') && prefixContains(COPY_ALIASES, prefix));
}

function laneRuleChanges({ mark, prefixes }: LaneWanted, observed: Observed): Change[] {
  const families: IpFamily[] = hasIpv6(prefixes) ? ['ipv4', 'ipv6'] : ['ipv4'];
  const missing = families.filter((family) => !ourRules(observed).some((rule) => rule.mark === mark && rule.family === family));
  return missing.length === 0 ? [] : [{ says: `lane ${mark} has a table`, commands: missing.map((family) => ruleCommand('add', mark, family)) }];
}

function ruleCommand(how: 'add' | 'del', mark: number, family: IpFamily): Command {
  return { do: 'ip', line: `rule ${how} fwmark ${markText(mark)} lookup ${mark} priority ${RULE_PRIORITY}`, ...(family === 'ipv6' ? { family } : {}) };
}

function ourRules(observed: Observed): Observed['rules'] {
  return observed.rules.filter((rule) => rule.priority === RULE_PRIORITY && rule.table === String(rule.mark));
}

function ourMarks(observed: Observed): number[] {
  return [...new Set(ourRules(observed).map(({ mark }) => mark))];
}

function rulesetChanges(wanted: DataplaneWanted, observed: Observed, installed: InstalledRuleset | null, management: readonly ManagementTraffic[], driver: TunnelDriver): Change[] {
  const built = buildRuleset(wanted, management, driver);
  if (installed && observed.ruleset?.digest === installed.digest && installed.text === rulesetKey(built)) return [];
  const ruleset = staged(built, observed.ruleset?.chains);
  const chains = new Set(ruleset.chains.map(({ name }) => name));
  const counters = new Set(ruleset.counters);
  const stale = {
    chains: (observed.ruleset?.chains ?? []).filter((name) => !chains.has(name)),
    counters: (observed.ruleset?.counters ?? []).map(({ name }) => name).filter((name) => !counters.has(name)),
    sets: (observed.ruleset?.sets ?? []).filter((name) => !ruleset.sets.some((set) => set.name === name)),
  };
  return [{ says: `nft ruleset replaced (${ruleset.chains.length} chains)`, commands: [{ do: 'nft', transactions: rulesetTransactions(ruleset, stale) }] }];
}

function staleChanges(wanted: DataplaneWanted, observed: Observed): Change[] {
  const marks = new Set(wanted.lanes.map(({ mark }) => mark));
  const tunnels = new Set<string>(wanted.interfaces.map(({ tunnel }) => tunnel));
  const aliases = new Set(wanted.lanes.flatMap(({ mark, copy }) => (copy === undefined ? [] : [`${copyAlias(mark)}/32`])));
  const overlays = new Set(wanted.overlayAddresses.map((overlay) => `${overlay}/32`));
  const guards = new Set(guardPrefixes(wanted));
  return [
    ...ourMarks(observed).filter((mark) => !marks.has(mark)).map((mark) => removeLane(mark, observed)),
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
  const rules = ourRules(observed).filter((rule) => rule.mark === mark).map(({ family }) => ruleCommand('del', mark, family));
  const routes = observed.routes.filter((route) => route.table === String(mark)).map((route): Command => ({ do: 'ip', line: deleteRoute(route) }));
  return { says: `lane ${mark} removed`, commands: [...rules, ...routes] };
}

function deleteRoute({ prefix, table, via }: ObservedRoute): string {
  return `route del ${via === null ? 'unreachable ' : ''}${prefix}${table === 'main' ? '' : ` table ${table}`}`;
}

function uniqueLanes(lanes: readonly LaneWanted[]): LaneWanted[] {
  return [...new Map(lanes.map((lane) => [lane.mark, lane])).values()];
}
