import type { PathId } from '../../model/index.ts';
import { controlCall } from '../control/index.ts';
import type { LabLayout, PathProfiles } from '../net/index.ts';
import { PROVIDER_ROUTER_MAC, UNDERLAY_ADDRESS, WAN_ADDRESS, wanAddress } from '../net/index.ts';
import type { PathProfile, UnderlayReport } from '../world.ts';
import type { Direction, DirectionCount, RelayConfig, WanReport } from './protocol.ts';

/** The relay's config for a layout. */
export function relayConfig(layout: LabLayout, profiles: PathProfiles[], seed: string, controlSocket: string): RelayConfig {
  const endpoints = layout.gateways.flatMap((gateway) =>
    gateway.uplinks.map(({ uplink, address, nat, vni, port, mac, upMbps, downMbps }) => ({ uplink, address: wanAddress({ address, nat }), vni, port, mac, upMbps, downMbps })),
  );
  return { controlSocket, bindAddress: WAN_ADDRESS, peerAddress: UNDERLAY_ADDRESS, seed, routerMac: PROVIDER_ROUTER_MAC, endpoints, profiles };
}

export async function setWanPath(controlSocket: string, path: PathId, profile: Partial<PathProfile>, direction: 'both' | Direction): Promise<void> {
  const directions = direction === 'both' ? ['forward', 'reverse'] : [direction];
  await controlCall(controlSocket, 'setPath', { path, directions, profile });
}

export function wanReport(controlSocket: string): Promise<WanReport> {
  return controlCall<WanReport>(controlSocket, 'report', null);
}

/** The World's view of a relay report: both directions together; stray clear text counts in the sum, on no path. */
export function underlayReport(report: WanReport): UnderlayReport {
  const paths = report.paths.map(({ path, forward, reverse }) => ({
    path,
    espPackets: forward.espPackets + reverse.espPackets,
    espBytes: forward.espBytes + reverse.espBytes,
    ikePackets: forward.ikePackets + reverse.ikePackets,
    clearTextPackets: forward.clearTextPackets + reverse.clearTextPackets,
    droppedPackets: droppedOf(forward) + droppedOf(reverse),
  }));
  const sum = (key: 'espPackets' | 'ikePackets' | 'clearTextPackets'): number => paths.reduce((total, path) => total + path[key], 0);
  return { espPackets: sum('espPackets'), ikePackets: sum('ikePackets'), clearTextPackets: sum('clearTextPackets') + report.strayPackets, clearTextSeen: report.clearTextSeen.map(({ uplink, at, header }) => `${new Date(at).toISOString()} ${uplink} ${header}`), paths };
}

function droppedOf(count: DirectionCount): number {
  return count.lostPackets + count.cutPackets + count.queueDroppedPackets;
}
