import type { TunnelInterface } from '../ports.ts';
import { type Change, ipChange } from './commands.ts';
import { ESP_INTERFACE, macOf, vniOf, VXLAN_PORT } from './names.ts';
import type { Observed } from './observe.ts';

/**
 * How a tunnel becomes an interface where ESP is done in userspace: a VXLAN device between the two overlay addresses,
 * whose packets charon's `ipsec0` encrypts. Both ends derive network id and MACs from the addresses, so nothing needs
 * to be learned or asked for.
 * @returns what is to be changed to have it; [] when it is there
 */
export function linkChanges(wanted: TunnelInterface, observed: Observed): Change[] {
  const { tunnel, localOverlay, remoteOverlay, mtu } = wanted;
  const vni = vniOf(localOverlay, remoteOverlay);
  const mac = macOf(localOverlay);
  const link = observed.links.find(({ name }) => name === tunnel);
  const settings = `link set ${tunnel} address ${mac} mtu ${mtu} addrgenmode none up`;
  const neighbour = `neigh replace ${remoteOverlay} dev ${tunnel} lladdr ${macOf(remoteOverlay)} nud permanent`;
  const add = `link add ${tunnel} type vxlan id ${vni} local ${localOverlay} remote ${remoteOverlay} dev ${ESP_INTERFACE} dstport ${VXLAN_PORT} nolearning noudpcsum`;

  if (!link) return [ipChange(`interface ${tunnel} made`, add, settings, neighbour)];
  const { vxlan } = link;
  if (vxlan?.vni !== vni || vxlan.local !== localOverlay || vxlan.remote !== remoteOverlay || vxlan.port !== VXLAN_PORT || vxlan.lower !== ESP_INTERFACE) {
    return [ipChange(`interface ${tunnel} made anew`, `link del ${tunnel}`, add, settings, neighbour)];
  }
  const changes: Change[] = [];
  if (!link.isUp || link.mac !== mac || link.mtu !== mtu) changes.push(ipChange(`interface ${tunnel} set up`, settings));
  const known = observed.neighbours.some((one) => one.interface === tunnel && one.address === remoteOverlay && one.mac === macOf(remoteOverlay));
  if (!known) changes.push(ipChange(`neighbour ${remoteOverlay} of ${tunnel} set`, neighbour));
  return changes;
}
