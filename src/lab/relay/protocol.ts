import type { PathId, UplinkId } from '../../model/index.ts';
import type { PathProfile } from '../world.ts';
import type { PathProfiles } from '../net/index.ts';

/** What the relay process is started with: a JSON file. */
export interface RelayConfig {
  controlSocket: string;
  bindAddress: string;
  peerAddress: string;
  seed: string;
  routerMac: string;
  endpoints: RelayEndpoint[];
  profiles: PathProfiles[];
}

export interface RelayEndpoint {
  uplink: UplinkId;
  address: string;
  vni: number;
  port: number;
  mac: string;
  upMbps: number;
  downMbps: number;
}

/** From the lesser uplink id to the greater is `forward`. */
export type Direction = 'forward' | 'reverse';

/** `clear` counts packets that are neither ESP nor IKE nor complaints about them. Packets count when they enter the path. */
export interface DirectionCount {
  espPackets: number;
  espBytes: number;
  ikePackets: number;
  icmpErrorPackets: number;
  clearTextPackets: number;
  deliveredPackets: number;
  /** By the path's loss, because it is down, by a full queue. */
  lostPackets: number;
  cutPackets: number;
  queueDroppedPackets: number;
}

export interface WanReport {
  paths: { path: PathId; forward: DirectionCount; reverse: DirectionCount; profiles: PathProfiles }[];
  /** Clear text that belongs to no path: one of its addresses is no uplink's. Never delivered. */
  strayPackets: number;
  /** Frames that no router carries: ARP (there should be none) and IPv6's neighbour discovery. */
  otherFrames: number;
  /** Headers of the first clear-text packets. */
  clearTextSeen: { path: PathId | null; uplink: UplinkId; at: number; header: string }[];
}

export interface SetPathRequest {
  path: PathId;
  directions: Direction[];
  profile: Partial<PathProfile>;
}
