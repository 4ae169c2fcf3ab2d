import { familyOf, ofFamily } from '../../src/base/index.ts';
import type { NodeConfig } from '../../src/model/index.ts';
import type { DataplaneWanted } from '../ports.ts';
import type { Change } from './commands.ts';
import type { Observed } from './observe.ts';

/** True when hosts of some site use IPv6: then this node routes it. */
export function carriesIpv6({ sites }: Pick<NodeConfig, 'sites'>): boolean {
  return sites.some(({ prefixes }) => ofFamily(prefixes, 'ipv6').length > 0);
}

/** True when there is anything of IPv6 to be set in routes, rules or addresses; rules of nft hold without. */
export function isIpv6Wanted({ config }: Pick<DataplaneWanted, 'config'>): boolean {
  return carriesIpv6(config) || config.lan.address6 !== undefined || ofFamily(config.protectedPrefixes, 'ipv6').length > 0;
}

/** Names of the settings that IPv6 depends on. */
export function ipv6Sysctls({ config }: DataplaneWanted): string[] {
  return [...offSwitches(config), FORWARDING, ...config.uplinks.map((uplink) => acceptRa(uplink.interface))];
}

/** True when the kernel has IPv6 and nobody switched it off where we need it: else routes would be refused, and IPv4 must not suffer from that. */
export function isIpv6On(config: NodeConfig, observed: Observed): boolean {
  return offSwitches(config).every((name) => observed.sysctls.get(name) === '0');
}

/** The same for a kernel without IPv6, which forwards none of it. */
export function withoutIpv6(wanted: DataplaneWanted): DataplaneWanted {
  const { address6: _, ...lan } = wanted.config.lan;
  const only4 = (prefixes: readonly string[]): string[] => ofFamily(prefixes, 'ipv4');
  return {
    ...wanted,
    config: {
      ...wanted.config,
      lan,
      protectedPrefixes: only4(wanted.config.protectedPrefixes),
      sites: wanted.config.sites.map((site) => ({ ...site, prefixes: only4(site.prefixes) })),
    },
    lanes: wanted.lanes.map((lane) => ({ ...lane, prefixes: only4(lane.prefixes) })),
  };
}

/**
 * Forwarding of IPv6. A host that forwards takes no more router advertisements unless told so, and an uplink may have
 * its default route from one: such an uplink is told first (`accept_ra` 2), so the route stays. 0 stays 0.
 */
export function forwardingChanges6(wanted: DataplaneWanted, observed: Observed): Change[] {
  if (!carriesIpv6(wanted.config) || observed.sysctls.get(FORWARDING) === '1') return [];
  const listening = wanted.config.uplinks.map((uplink) => acceptRa(uplink.interface)).filter((name) => observed.sysctls.get(name) === '1');
  return [...listening.map((name) => setting(name, '2')), setting(FORWARDING, '1')];
}

const FORWARDING = 'net/ipv6/conf/all/forwarding';

function acceptRa(interfaceName: string): string {
  return `net/ipv6/conf/${interfaceName}/accept_ra`;
}

/** `default`: tunnels' interfaces are born with it. */
function offSwitches({ lan }: NodeConfig): string[] {
  return ['all', 'default', lan.interface].map((name) => `net/ipv6/conf/${name}/disable_ipv6`);
}

function setting(name: string, value: string): Change {
  return { says: `${name} = ${value}`, commands: [{ do: 'sysctl', name, value }] };
}

/** Of a lane whose prefixes it is: true when it needs a rule for IPv6 too. */
export function hasIpv6(prefixes: readonly string[]): boolean {
  return prefixes.some((prefix) => familyOf(prefix) === 'ipv6');
}
