import type { DataplaneWanted, TunnelInterface } from '../ports.ts';
import type { DriverName } from '../driver.ts';
import type { MtuSettings } from '../probe/index.ts';
import type { Change } from './commands.ts';
import { libipsecDriver } from './libipsec-link.ts';
import type { Observed } from './observe.ts';
import type { PlaceOf } from './shaping.ts';
import { xfrmDriver } from './xfrm-link.ts';

/** Where packets of a lane go: through an interface, to a neighbour on it where it has any, one for each family. */
export interface NextHop {
  interface: string;
  address: string | null;
  /** No larger packet takes it, though the interface would; absent: the interface's own. */
  mtuBytes?: number;
  address6: string | null;
  /** Its MTU is too small for IPv6. */
  isNarrow?: boolean;
}

/** What `linkChanges` need not do on a gateway that carries no IPv6. */
export interface LinkOptions {
  withIpv6: boolean;
}

/** What is different between the ways to make a tunnel an interface. Everything else in this folder is the same for all. */
export interface TunnelDriver {
  readonly name: DriverName;
  /** SAs outlive the daemon. */
  readonly keepsSas: boolean;
  /** The daemon's own device, without which no interface can be made; null when there is none. */
  readonly device: string | null;
  /** What is to be changed to have the tunnel's interface, and the way to its far overlay address; [] when all is there. */
  linkChanges(tunnel: TunnelInterface, observed: Observed, options: LinkOptions): Change[];
  /** What the tunnel's interface takes, and what a probe has to add to a packet to be as large on the wire. */
  mtuOf(tunnel: TunnelInterface, uplinkMtuBytes: number | undefined): MtuSettings;
  nextHop(tunnel: Pick<TunnelInterface, 'tunnel' | 'remoteOverlay'>): NextHop;
  /** Probes go through the tunnel's interface, so that its counters have them too. */
  readonly countsProbes: boolean;
  /** Where packets of all tunnels over an uplink can be queued by class. */
  shaperPlace: PlaceOf;
  /** nft lines for packets that come to our overlay addresses: what did not come out of ESP is dropped. */
  inputLines(wanted: DataplaneWanted): string[];
  /** nft lines for packets towards an uplink that come before all others. */
  outputLines: readonly string[];
}

export function driverOf(name: DriverName): TunnelDriver {
  return name === 'xfrm' ? xfrmDriver : libipsecDriver;
}
