import type { ClassId, NodeId, PathId, SiteId, TunnelId, UplinkId } from './ids.ts';

/** What one node counted for one (pair, class) in one window. Offered: what hosts wanted to send, before any limit. */
export interface TrafficSample {
  kind: 'traffic';
  /** End of the window, epoch ms. */
  sampledAt: number;
  windowMs: number;
  node: NodeId;
  from: SiteId;
  to: SiteId;
  classId: ClassId;
  offeredBytes: number;
  offeredPackets: number;
  /** What of it class queues dropped afterwards, about: the kernel counts drops by queue, not by pair. */
  droppedBytes: number;
}

export type PathState = 'up' | 'degraded' | 'down' | 'unknown';

/** What one end measured of one tunnel's path with its own probes in one window. */
export interface PathSample {
  kind: 'path';
  sampledAt: number;
  windowMs: number;
  node: NodeId;
  peer: NodeId;
  tunnel: TunnelId;
  path: PathId;
  state: PathState;
  /** Round trip, mean of the window; null when no probe came back. */
  latencyMs: number | null;
  jitterMs: number | null;
  /** 0…1, from this node to the peer (by the peer's receive counter) and back; null when not known. */
  lossForwardRatio: number | null;
  lossReverseRatio: number | null;
}

/** Interface counters of one tunnel in one window. */
export interface TunnelSample {
  kind: 'tunnel';
  sampledAt: number;
  windowMs: number;
  node: NodeId;
  tunnel: TunnelId;
  rxBytes: number;
  txBytes: number;
}

/** Counters of the interface of one uplink in one window: everything, also what is not ours. */
export interface UplinkSample {
  kind: 'uplink';
  sampledAt: number;
  windowMs: number;
  node: NodeId;
  uplink: UplinkId;
  rxBytes: number;
  txBytes: number;
}

/** How busy a gateway was in one window. */
export interface HostSample {
  kind: 'host';
  sampledAt: number;
  windowMs: number;
  node: NodeId;
  /** Of all cores, 0…1. */
  cpuRatio: number;
  /** Running and waiting tasks, mean of the last minute. */
  load: number;
  memoryUsedBytes: number;
  memoryTotalBytes: number;
  /** Of one core, so it may be above 1. */
  agentCpuRatio: number;
  agentRssBytes: number;
  /** Of the IKE daemon; null when none was there for the whole window. */
  daemonCpuRatio: number | null;
  daemonRssBytes: number | null;
  /** Entries of the kernel's connection table; null unless the mesh permits counting them. */
  connections: number | null;
}

/** So many hosts at least are told by their number; fewer are 0, so that nobody is told apart. */
export const USERS_MIN = 5;

/** How many hosts of a site sent anything to other sites lately, in one class or of one role; never which. */
export interface UsersSample {
  kind: 'users';
  sampledAt: number;
  windowMs: number;
  node: NodeId;
  group: 'class' | 'role';
  name: string;
  /** 0, or `USERS_MIN` and more. */
  hosts: number;
}

/** So many ports of one pair, class and protocol are told, those with most. */
export const SERVICES_TOLD_MAX = 10;

/** What is counted of a service; nobody knows the flows of UDP. */
export interface ServiceFigures<Figure> {
  /** That hosts began; null for a UDP port. Each 0, or `USERS_MIN` and more. */
  connections: Figure | null;
  /** That hosts sent; null for a TCP port. Likewise. */
  packets: Figure | null;
}

export function serviceFigures<Figure>(service: string, figure: Figure): ServiceFigures<Figure> {
  return service.startsWith('tcp/') ? { connections: figure, packets: null } : { connections: null, packets: figure };
}

/** How many connections hosts of a site began in one window to one TCP port at another site, or packets they sent to one UDP port; never whose. */
export interface ServicesSample extends ServiceFigures<number> {
  kind: 'services';
  sampledAt: number;
  windowMs: number;
  node: NodeId;
  from: SiteId;
  to: SiteId;
  classId: ClassId;
  /** `tcp/443`. */
  service: string;
}

export type Sample = TrafficSample | PathSample | TunnelSample | UplinkSample | HostSample | UsersSample | ServicesSample;

/** Quality of a path as both ends see it together: the worse figure of the two counts. */
export interface PathQuality {
  path: PathId;
  state: PathState;
  latencyMs: number | null;
  jitterMs: number | null;
  lossRatio: number | null;
  sampledAt: number;
}

/** What each end of a tunnel measured of it lately, side by side: who makes figures up, or is cut off on one side, shows. */
export interface PathEnds {
  path: PathId;
  tunnel: TunnelId;
  /** Medians of the last windows, by node; null where too few are known. */
  ends: PathEnd[];
  /** In what the ends cannot both be right; null when they agree or only one speaks. */
  disagreement: string | null;
}

export interface PathEnd {
  node: NodeId;
  state: PathState;
  latencyMs: number | null;
  jitterMs: number | null;
  /** From this node to the other. */
  lossForwardRatio: number | null;
  lossReverseRatio: number | null;
  sampledAt: number;
}

/** One demand's recent past, a value a slot, oldest first; null where nothing was reported. */
export interface DemandSeries {
  from: SiteId;
  to: SiteId;
  classId: ClassId;
  /** Mbit/s averaged over the slot, offered. */
  mbps: (number | null)[];
  /** What of it shaping dropped, about; absent where it dropped nothing in any of the slots. */
  droppedMbps?: number[];
}

/** How many hosts of a site were active at one gateway, by class or role, a value a slot, oldest first; null where nobody counted. */
export interface ActiveHostsSeries {
  node: NodeId;
  group: UsersSample['group'];
  name: string;
  /** Mean of the slot's counts by time; a count below `USERS_MIN` is 0. */
  hosts: (number | null)[];
}

/** How many connections were begun, or packets sent, from site to site to one destination port, a value a slot, oldest first; 0 where none were told. */
export interface ServiceSeries extends ServiceFigures<number[]> {
  from: SiteId;
  to: SiteId;
  classId: ClassId;
  service: string;
}

/** What the ends of one path measured of it, a value a slot, oldest first; NaN where nobody measured. Of two ends the worse figure counts. */
export interface PathSeries {
  path: PathId;
  /** Means of the slot by time. */
  latencyMs: Float32Array;
  jitterMs: Float32Array;
  /** 0…1; time in which a path was down counts as 1. */
  lossRatio: Float32Array;
}

export interface TunnelUsage {
  tunnel: TunnelId;
  /** Last time anything but probes went through, epoch ms; null: never seen. */
  lastUsedAt: number | null;
  mbps: number;
}

/** The IKE daemon of a node, by its own words. */
export interface IkeDaemon {
  version: string;
  /** It can add ML-KEM-768 to a key exchange (RFC 9370): strongSwan 6 with a plugin that has it. */
  mlKem: boolean;
}

export interface NodeStatus {
  node: NodeId;
  connected: boolean;
  lastSeenAt: number | null;
  /** What the node runs. */
  generation: number;
  commit: string | null;
  /** Differences between its config and the kernel, empty when in step. */
  drift: string[];
  /** Null or absent: it has not said yet. */
  ike?: IkeDaemon | null;
}

/** All the engine knows of the network's recent past at one instant. Recorded, so a decision can be replayed. */
export interface Observation {
  observedAt: number;
  slotMs: number;
  /** End of the last complete slot, epoch ms. */
  lastSlotEndAt: number;
  demands: DemandSeries[];
  paths: PathQuality[];
  tunnels: TunnelUsage[];
  nodes: NodeStatus[];
}
