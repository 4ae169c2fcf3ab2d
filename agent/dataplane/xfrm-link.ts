import { ifIdOf } from '../driver.ts';
import type { DataplaneWanted, TunnelInterface } from '../ports.ts';
import { type Change, ipChange } from './commands.ts';
import type { TunnelDriver } from './driver.ts';
import type { Machine } from './machine.ts';
import { xfrmMtuBytes, xfrmMtuSettings } from './mtu.ts';
import type { Observed } from './observe.ts';

/**
 * ESP in the kernel: a tunnel's interface is an XFRM device, tied to the tunnel's SAs by its interface id. The SAs take
 * any address (0.0.0.0/0), so routes alone decide what goes through; without an SA the device refuses every packet.
 */
export const xfrmDriver: TunnelDriver = {
  name: 'xfrm',
  keepsSas: true,
  device: null,
  countsProbes: true,
  linkChanges,
  mtuOf: xfrmMtuSettings,
  nextHop: ({ tunnel }) => ({ interface: tunnel, address: null, address6: null }),
  // an encrypted packet keeps the priority of what is in it
  shaperPlace: (uplinkInterface) => ({ device: uplinkInterface, overheadBytes: 0 }),
  inputLines,
  // a packet that the device has taken passes once more, towards the uplink, just before it is encrypted
  outputLines: ['rt ipsec exists accept'],
};

const TRIAL_INTERFACE = 'fm-xfrm-try';
const TRIAL_IF_ID = 0xffff_fffd;

/** Whether the kernel makes XFRM interfaces, found out by making one: that also loads the module, where it is one. */
export async function canMakeXfrmInterface(machine: Machine): Promise<boolean> {
  await machine.run('ip', ['link', 'del', TRIAL_INTERFACE]); // of one that was killed in between; usually not there
  const made = await machine.run('ip', ['link', 'add', TRIAL_INTERFACE, 'type', 'xfrm', 'dev', 'lo', 'if_id', String(TRIAL_IF_ID)]);
  if (made.exitCode !== 0) return false;
  await machine.run('ip', ['link', 'del', TRIAL_INTERFACE]);
  return true;
}

function linkChanges(wanted: TunnelInterface, observed: Observed): Change[] {
  const { tunnel, uplink, localOverlay, remoteOverlay } = wanted;
  const ifId = ifIdOf(tunnel);
  const mtu = xfrmMtuBytes(wanted, observed.links.find(({ name }) => name === uplink)?.mtu);
  const link = observed.links.find(({ name }) => name === tunnel);
  const add = `link add ${tunnel} type xfrm dev ${uplink} if_id ${ifId}`;
  const settings = `link set ${tunnel} mtu ${mtu} addrgenmode none up`;
  // with the near address as source, so that what this gateway itself sends to the far end comes from the overlay
  const route = `route replace ${remoteOverlay}/32 dev ${tunnel} src ${localOverlay}`;

  if (!link) return [ipChange(`interface ${tunnel} made`, add, settings, route)];
  if (link.xfrm?.ifId !== ifId || link.xfrm.lower !== uplink) return [ipChange(`interface ${tunnel} made anew`, `link del ${tunnel}`, add, settings, route)];
  const changes: Change[] = [];
  if (!link.isUp || link.mtu !== mtu) changes.push(ipChange(`interface ${tunnel} set up`, settings));
  const isRouted = observed.routes.some((one) => one.table === 'main' && one.prefix === `${remoteOverlay}/32` && one.metric === 0 && one.via?.interface === tunnel && one.via.address === null);
  // an interface that was down has lost its routes
  if (!isRouted || !link.isUp) changes.push(ipChange(`overlay address ${remoteOverlay} is reached through ${tunnel}`, route));
  return changes;
}

/** Any peer could send anything through its own tunnel: an overlay address hears its own tunnel and nothing else. */
function inputLines({ overlayAddresses, interfaces }: DataplaneWanted): string[] {
  const overlays = [...new Set(overlayAddresses)].sort();
  if (overlays.length === 0) return [];
  const pairs = interfaces.map(({ tunnel, localOverlay }) => `"${tunnel}" . ${localOverlay}`).sort();
  const others = pairs.length === 0 ? '' : ` iifname . ip daddr != { ${pairs.join(', ')} }`;
  return [`ip daddr { ${overlays.join(', ')} } iifname != "lo"${others} drop`];
}
