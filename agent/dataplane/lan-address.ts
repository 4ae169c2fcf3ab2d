import { addressAt, hostPrefixOf, ofFamily, prefixContains } from '../../src/base/index.ts';
import type { NodeConfig } from '../../src/model/index.ts';
import type { DataplaneWanted } from '../ports.ts';
import { type Change, ipChange } from './commands.ts';
import { addressLabel, LAN_METRIC, notifySysctls, OWN_ADDRESS_METRIC, OWN_LABEL_6 } from './names.ts';
import type { Observed } from './observe.ts';

/** Names of the settings that a shared LAN wants to see. */
export function lanSysctls({ lan }: NodeConfig): string[] {
  return lan.shared ? wantedSysctls(lan) : [];
}

/**
 * What a gateway needs on a LAN whose address it shares: an address of its own, by which the others hear it; the way to
 * the hosts, which goes with the shared address but must not (what comes out of a tunnel is delivered by whoever gets
 * it); and a kernel that announces the shared address when `agent/standby` takes it.
 */
export function sharedLanChanges({ config }: DataplaneWanted, observed: Observed): Change[] {
  const { interface: name, shared } = config.lan;
  const own = ownLanAddress(config);
  if (!shared || own === null) return [];
  const label = addressLabel(name);
  const hasRoute = (subnet: string): boolean => observed.routes.some((route) => route.table === 'main' && route.prefix === subnet && route.via?.interface === name && route.metric === LAN_METRIC);
  return [
    ...wantedSysctls(config.lan)
      .filter((setting) => observed.sysctls.get(setting) !== '1')
      .map((setting): Change => ({ says: `${setting} = 1`, commands: [{ do: 'sysctl', name: setting, value: '1' }] })),
    ...(observed.addresses.some((one) => one.interface === name && one.address === own) ? [] : [ipChange(`own LAN address ${own} added`, `addr add ${own} dev ${name} scope link${label === '' ? '' : ` label ${label}`}`)]),
    ...lanSubnets(config.lan)
      .filter((subnet) => !hasRoute(subnet))
      .map((subnet) => ipChange(`LAN ${subnet} is reached without the shared address`, `route replace ${subnet} dev ${name}${subnet.includes(':') ? '' : ' scope link'} metric ${LAN_METRIC}`)),
  ];
}

/** What is left of sharing the LAN when there is nobody to share it with any more, or by another address; and an IPv6 address of an earlier config. */
export function staleLanChanges({ config }: DataplaneWanted, observed: Observed): Change[] {
  const { interface: name, shared, address6 } = config.lan;
  const own = ownLanAddress(config);
  const wanted6 = [address6, ...(shared?.others ?? []).map((other) => other.address6)];
  const subnets = shared ? lanSubnets(config.lan) : [];
  const ours = observed.addresses.filter((one) => one.interface === name && isOurs(one));
  return [
    ...ours
      .filter((one) => prefixContains(SHARED_LAN_PREFIX, hostPrefixOf(one.address.split('/')[0]!)) && one.address !== own)
      .map(({ address }) => ipChange(`own LAN address ${address} removed`, `addr del ${address} dev ${name}`)),
    ...ours
      .filter(({ address }) => address.includes(':') && !wanted6.includes(address))
      .map(({ address }) => ipChange(`LAN address ${address} given up`, `addr del ${address} dev ${name}`)),
    ...observed.routes
      .filter((route) => route.table === 'main' && route.via?.interface === name && route.metric === LAN_METRIC && !subnets.includes(route.prefix))
      .map(({ prefix }) => ipChange(`LAN route ${prefix} removed`, `route del ${prefix} dev ${name} metric ${LAN_METRIC}`)),
  ];
}

/** By its label; where the name of the interface leaves no room for one, gateways' own addresses can be told all the same. */
export function isOurs({ interface: name, address, label }: Observed['addresses'][number]): boolean {
  const ourLabel = addressLabel(name);
  if (label === OWN_LABEL_6) return true;
  return ourLabel === '' ? prefixContains(SHARED_LAN_PREFIX, hostPrefixOf(address.split('/')[0]!)) : label === ourLabel;
}

/** Hosts choose no address in here for themselves (RFC 3927 section 2.1), so plans give it to gateways. */
export const SHARED_LAN_PREFIX = '169.254.255.0/24';

function ownLanAddress({ node, lan }: NodeConfig): string | null {
  const member = lan.shared?.members.find((one) => one.node === node);
  return member ? `${member.address}/24` : null;
}

function lanSubnets(lan: NodeConfig['lan']): string[] {
  return lanAddressesOf(lan).map((address) => `${addressAt(address, 0)}/${address.split('/')[1]}`);
}

/** The kernel announces what is taken; and of two addresses of one network, to give up the one that came first must not take the other with it. */
function wantedSysctls({ interface: name, address6, shared }: NodeConfig['lan']): string[] {
  return [...notifySysctls(name).slice(0, address6 === undefined ? 1 : 2), ...(shared?.others ? [`net/ipv4/conf/${name}/promote_secondaries`] : [])];
}

/** Of a site with one gateway. Where several share the address, `agent/standby` alone takes and gives it up. */
export function lanAddressChanges({ config }: DataplaneWanted, observed: Observed): Change[] {
  if (config.lan.shared) return [];
  const { interface: name } = config.lan;
  const moving = lanAddressesOf(config.lan).filter((address) => config.serving !== observed.addresses.some((one) => one.interface === name && one.address === address));
  if (!config.serving) return moving.map((address) => ipChange(`LAN address ${address} given up`, `addr del ${address} dev ${name}`));
  const mac = observed.links.find((link) => link.name === name)?.mac ?? '';
  return moving.map((address, index) => {
    const change = ipChange(`LAN address ${address} taken`, addressLine('add', address, name));
    const isLast = index === moving.length - 1;
    return { ...change, commands: [...change.commands, ...(mac === '' || !isLast ? [] : [{ do: 'announce' as const, interface: name, mac }])] };
  });
}

/** The line that takes a LAN address as ours. IPv6 does without looking for a double first: that would take a second, and whose it is has been settled. */
export function addressLine(how: 'add' | 'replace', address: string, interfaceName: string): string {
  const label = addressLabel(interfaceName);
  if (address.includes(':')) return `addr ${how} ${address} dev ${interfaceName} metric ${OWN_ADDRESS_METRIC} nodad`;
  return `addr ${how} ${address} dev ${interfaceName}${label === '' ? '' : ` label ${label}`}`;
}

/** The addresses with the length of the LAN prefix that they lie in, when they do not say. */
export function lanAddressesOf(lan: { address: string; address6?: string | undefined; prefixes: readonly string[] }): string[] {
  return [lan.address, ...(lan.address6 === undefined ? [] : [lan.address6])].map((address) => {
    if (address.includes('/')) return address;
    const family = address.includes(':') ? 'ipv6' : 'ipv4';
    const prefix = ofFamily(lan.prefixes, family).find((one) => prefixContains(one, hostPrefixOf(address)));
    return prefix ? `${address}/${prefix.split('/')[1]}` : hostPrefixOf(address);
  });
}
