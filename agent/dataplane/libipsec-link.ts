import type { TunnelInterface } from '../ports.ts';
import { type Change, ipChange } from './commands.ts';
import type { LinkOptions, TunnelDriver } from './driver.ts';
import { IPV6_MTU_MIN_BYTES, libipsecMtuBytes, libipsecMtuSettings } from './mtu.ts';
import { ESP_INTERFACE, linkLocalOf, macOf, vniOf, VXLAN_PORT } from './names.ts';
import type { Observed } from './observe.ts';

/**
 * ESP in userspace: a tunnel's interface is a VXLAN device between its two overlay addresses, whose packets charon's
 * `ipsec0` encrypts. charon itself routes the far overlay address there.
 */
export const libipsecDriver: TunnelDriver = {
  name: 'libipsec',
  keepsSas: false,
  device: ESP_INTERFACE,
  countsProbes: false,
  linkChanges,
  mtuOf: libipsecMtuSettings,
  nextHop: ({ tunnel, remoteOverlay }) => ({ interface: tunnel, address: remoteOverlay, address6: linkLocalOf(remoteOverlay) }),
  // charon sends from its own sockets, which know no classes: the last place where packets can be told is its device
  shaperPlace: () => ({ device: ESP_INTERFACE, overheadBytes: ESP_OVERHEAD_BYTES }),
  inputLines({ overlayAddresses }) {
    const overlays = [...new Set(overlayAddresses)].sort();
    return overlays.length === 0 ? [] : [`ip daddr { ${overlays.join(', ')} } iifname != { "${ESP_INTERFACE}", "lo" } drop`];
  },
  outputLines: [],
};

/** Of IP, UDP and ESP with AES-GCM and some padding (see mtu.ts). */
const ESP_OVERHEAD_BYTES = 64;

/** Both ends derive network id and MACs from the addresses, so nothing needs to be learned or asked for. */
function linkChanges(wanted: TunnelInterface, observed: Observed, { withIpv6 }: LinkOptions): Change[] {
  const { tunnel, localOverlay, remoteOverlay } = wanted;
  const vni = vniOf(localOverlay, remoteOverlay);
  const mac = macOf(localOverlay);
  const mtu = libipsecMtuBytes(wanted, observed.links.find(({ name }) => name === wanted.uplink)?.mtu);
  const link = observed.links.find(({ name }) => name === tunnel);
  const settings = `link set ${tunnel} address ${mac} mtu ${mtu} addrgenmode none up`;
  const neighbours = [remoteOverlay, ...(withIpv6 && mtu >= IPV6_MTU_MIN_BYTES ? [linkLocalOf(remoteOverlay)] : [])];
  const meet = (address: string): string => `neigh replace ${address} dev ${tunnel} lladdr ${macOf(remoteOverlay)} nud permanent`;
  const add = `link add ${tunnel} type vxlan id ${vni} local ${localOverlay} remote ${remoteOverlay} dev ${ESP_INTERFACE} dstport ${VXLAN_PORT} nolearning noudpcsum`;

  if (!link) return [ipChange(`interface ${tunnel} made`, add, settings, ...neighbours.map(meet))];
  const { vxlan } = link;
  if (vxlan?.vni !== vni || vxlan.local !== localOverlay || vxlan.remote !== remoteOverlay || vxlan.port !== VXLAN_PORT || vxlan.lower !== ESP_INTERFACE) {
    return [ipChange(`interface ${tunnel} made anew`, `link del ${tunnel}`, add, settings, ...neighbours.map(meet))];
  }
  const changes: Change[] = [];
  if (!link.isUp || link.mac !== mac || link.mtu !== mtu) changes.push(ipChange(`interface ${tunnel} set up`, settings));
  const isKnown = (address: string): boolean => observed.neighbours.some((one) => one.interface === tunnel && one.address === address && one.mac === macOf(remoteOverlay));
  return [...changes, ...neighbours.filter((address) => !isKnown(address)).map((address) => ipChange(`neighbour ${address} of ${tunnel} set`, meet(address)))];
}
