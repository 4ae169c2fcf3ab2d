import type { Cancel } from '../src/base/index.ts';
import type { ClassId, CryptoSuite, IkeDaemon, NodeConfig, SiteId, TunnelId } from '../src/model/index.ts';
import type { StartFailover } from './failover/index.ts';
import type { HostPort } from './posture/index.ts';
import type { MtuSettings } from './probe/index.ts';
import type { StartStandby } from './standby/index.ts';

/**
 * For whoever starts an agent: a small nursery, since most of what it makes lives for one packet or one pass; 20 MB less.
 * Each thread collects its own garbage alone: helpers would be of usual priority, and the probe thread would wait for them.
 */
export const AGENT_NODE_FLAGS = ['--max-semi-space-size=4', '--optimize-for-size', '--single-threaded-gc', '--v8-pool-size=1'];

/**
 * What the agent's core needs from the machine it runs on. The real adapters are `agent/vici`, `agent/dataplane` and
 * `agent/probe`; the simulated network has its own behind the same ports, and one contract test runs against both.
 */
export interface AgentPorts {
  /** Pings an address about five times a second until it is cancelled; `onReply` for each answer. Left out: LAN targets are not looked at. */
  ping?: (address: string, onReply: () => void) => Cancel;
  ipsec: IpsecPort;
  dataplane: DataplanePort;
  /** How busy the machine is; the simulated network has none. */
  host?: HostPort;
  /** Answers of name servers to hosts; left out: classes are not told by name. */
  names?: NamePort;
  /** Probes tunnels and switches lanes: in a thread of its own on a gateway, in the same one in the simulated network. */
  failover: StartFailover;
  /** Settles with the other gateways of the site whose the LAN address is: in a thread of its own on a gateway that has such. */
  standby: StartStandby;
}

/** An address of a class that is told by host name. */
export interface LearnedAddress {
  classId: ClassId;
  /** Index of the match in its class. */
  match: number;
  address: string;
  /** From now on. */
  ttlSeconds: number;
}

/** What resolvers answer to hosts, on its way to them. */
export interface NamePort {
  /** Has answers of these come here for a few seconds from now, or ends it; hosts get them themselves when this is not called again. */
  divert(resolvers: readonly string[], isWanted: boolean): Promise<void>;
  /** Packets to these addresses belong to their classes from now on, or no more. All at once or, when it throws, none. */
  learn(learned: readonly LearnedAddress[], forgotten: readonly Omit<LearnedAddress, 'ttlSeconds'>[]): Promise<void>;
  /** Where answers are to come to on this node; null: nowhere, nothing is to be learned. */
  addressOf(config: NodeConfig): string | null;
  /** Hears answers. @throws Error while the address is not there or a port is taken */
  listen(address: string, resolvers: readonly string[], onAnswer: (answer: ResolverAnswer) => void): Promise<Cancel>;
}

export interface ResolverAnswer {
  message: Uint8Array;
  /** Sends it on to the host that it is for, as the resolver's. Once. */
  pass(): void;
}

/** A post-quantum pre-shared key (RFC 8784). */
export interface Ppk {
  /** As IKE names it. */
  id: string;
  /** 32 bytes, base64; not logged. */
  secret: string;
}

/** Our wish for one IKE connection, named by its tunnel. */
export interface ConnectionSpec {
  tunnel: TunnelId;
  initiator: boolean;
  localAddress: string;
  /** Null: it may come from any address. */
  remoteAddress: string | null;
  /** This end is behind NAT: its own packets keep the way back open, and tell the peer when that has changed. */
  isBehindNat?: boolean;
  /** IKE identities, which are SANs of the certificates: node names, or numbered ones (see `ikeIdentity`). */
  localIdentity: string;
  remoteIdentity: string;
  localOverlay: string;
  remoteOverlay: string;
  /** Hosts' packets may be IPv6; absent: they are IPv4. Only a driver whose selectors are the hosts' asks. */
  ipv6?: true;
  ike: CryptoSuite[];
  esp: CryptoSuite[];
  /** After which this end renews keys, exactly: the schedule has chosen it. */
  ikeRekeyMs: number;
  espRekeyMs: number;
  /** Mixed into the keys; without it no exchange succeeds. Null: not asked for. */
  ppk: Ppk | null;
  /** ML-KEM-768 in each key exchange of both SAs: always, or where the peer can; left out: never. */
  mlKem?: 'required' | 'preferred';
}

/** One IKE SA as the daemon lists it, with its installed child. */
export interface SaState {
  tunnel: TunnelId;
  ikeState: string;
  /** State of the newest CHILD SA that is not being deleted; null without one; NARROWED: the peer lets less through than it must. */
  childState: string | null;
  ikeSuite: string;
  espSuite: string;
  /** ESP counters of the child. */
  bytesIn: number;
  bytesOut: number;
  packetsIn: number;
  packetsOut: number;
  establishedSeconds: number;
  /** Names the IKE SA: another number after each rekey and each new SA. */
  ikeId: number;
  /** Further IKE SAs of the tunnel with packets flowing: one that is replaced stands beside its successor for a while. */
  besides: number;
}

export interface Credentials {
  caPem: string;
  certificatePem: string;
  /** Never leaves the node; not logged. */
  privateKeyPem: string;
}

/** The IKE daemon. Every call may be repeated; errors are ForemeshError VICI_*. */
export interface IpsecPort {
  /** What the daemon said of itself when it was last reached; null before. Left out: it has no ML-KEM. */
  ike?(): IkeDaemon | null;
  loadCredentials(credentials: Credentials): Promise<void>;
  /** The CA's list of revoked certificates (PEM): no exchange succeeds with one of them from now on. Kept over restarts of the daemon. */
  loadRevocations(crlPem: string): Promise<void>;
  /** Ends all IKE SAs with these peers, whichever of their identities they used, without waiting for them; how many there were. */
  terminatePeers(nodes: readonly string[]): Promise<number>;
  /** Loads or replaces one connection; does not touch SAs that exist. */
  loadConnection(spec: ConnectionSpec): Promise<void>;
  unloadConnection(tunnel: TunnelId): Promise<void>;
  /** Names of loaded connections. */
  listConnections(): Promise<TunnelId[]>;
  /** Starts the exchange and returns; completion shows in `listSas` and wakes `onChange`. */
  initiate(tunnel: TunnelId): Promise<void>;
  /**
   * A further IKE SA with its child beside those that exist, authenticated with the credentials loaded now. Packets use the
   * newest at once, at the answering end a moment before the other end can read them: have nothing depend on it (see renewal.ts).
   */
  initiateBeside(tunnel: TunnelId): Promise<void>;
  /** Ends all IKE SAs of the tunnel but the newest, or the newest alone, in agreement with the peer. */
  terminateSome(tunnel: TunnelId, which: 'older' | 'newest'): Promise<void>;
  terminate(tunnel: TunnelId): Promise<void>;
  listSas(): Promise<SaState[]>;
  /** Called when an SA came up or went away, and when the daemon came back. */
  onChange(listener: () => void): Cancel;
}

/** A lane as the kernel should have it: packets with `mark` use `active`, or are unreachable when null. */
export interface LaneWanted {
  mark: number;
  prefixes: string[];
  active: TunnelId | null;
  /** Where a second copy of each packet goes; null while there is no other tunnel for it; absent for lanes that send once. */
  copy?: TunnelId | null;
}

export interface TunnelInterface {
  tunnel: TunnelId;
  localOverlay: string;
  remoteOverlay: string;
  /** Interface of the uplink that its ESP packets leave through. */
  uplink: string;
  /** Of the addresses that its ESP packets go between. */
  underlay: 'ipv4' | 'ipv6';
  /** Any of them may be in use: with `uplink` they decide the MTU. */
  esp: readonly Pick<CryptoSuite, 'encryption' | 'integrity'>[];
  /** What its path was measured to carry, where that is less than the interface takes: routes through it say so. */
  pathMtuBytes?: number;
}

/** One of the lanes that the flows of a class to a site are split over. */
export interface SteeringLane {
  mark: number;
  weight: number;
  /** Stays the same while weight and fall-backs change, so that flows stay too: the lane's first tunnel. Default: the mark. */
  key?: string;
}

/** The whole wanted state of nftables, addresses, interfaces, rules and routes of one node. */
export interface DataplaneWanted {
  config: NodeConfig;
  /** On `lo` before the IKE exchange. */
  overlayAddresses: string[];
  /** Only tunnels whose CHILD SA is installed. */
  interfaces: TunnelInterface[];
  lanes: LaneWanted[];
  /** Per (site, class) the marks in use; may lag behind `config.steering` while a new tunnel is not ready. */
  steering: { to: SiteId; classId: ClassId; prefixes: string[]; lanes: SteeringLane[] }[];
}

export interface DataplaneCounters {
  offered: { to: SiteId; classId: ClassId; bytes: number; packets: number }[];
  /** Of the interfaces; `own`: what of it the gateway itself received and sent, where that is in there at all (probes, with XFRM). */
  tunnels: { tunnel: TunnelId; rxBytes: number; txBytes: number; rxPackets: number; txPackets: number; ownRxBytes?: number; ownTxBytes?: number }[];
  /** Of all other interfaces, by name. */
  links: { interface: string; rxBytes: number; txBytes: number }[];
  /** What class queues let through and dropped since they were made, by uplink; [] without shaping. Dropped bytes by the mean size of what went through the queue: the kernel counts packets only. */
  shaped: { uplink: string; classId: ClassId; sentPackets: number; droppedPackets: number; droppedBytes: number }[];
  /** Into which uplink's queues flows are led just now; absent or [] without shaping. */
  queued?: QueuedFlows[];
  /** How many hosts of the site sent anything lately, exactly; absent or [] where nobody may count. */
  users?: { group: 'class' | 'role'; name: string; hosts: number }[];
  leakPackets: number;
}

/** A share of what hosts offer to one site in one class, 0…1, waits at one uplink; where it is sent twice, at another one too. */
export interface QueuedFlows {
  to: SiteId;
  classId: ClassId;
  uplink: string;
  share: number;
  copyUplink: string | null;
}

/** What hosts sent to one destination port at one site, in one class, since it was first seen. */
export interface ServiceCount {
  to: SiteId;
  classId: ClassId;
  /** `tcp/443`. */
  service: string;
  /** Connections begun to a TCP port, packets to a UDP port. */
  count: number;
}

/** Kernel forwarding. */
export interface DataplanePort {
  /** SAs are the kernel's: they go on when the daemon dies, and until it makes new ones. */
  readonly keepsSas?: boolean;
  /** Makes it so and answers one line for each thing it changed; [] when nothing was to do. Atomic per nft ruleset. */
  apply(wanted: DataplaneWanted): Promise<string[]>;
  /** Lanes were switched by `LanePort`, past this port: an apply under way leaves them so. */
  noteSwitched(lanes: readonly LaneWanted[]): void;
  /** Counters since the table was made; they may start again from 0. */
  counters(): Promise<DataplaneCounters>;
  /** Where it may be counted, of these pairs; one program each, so not asked in every sample. Absent: not counted. */
  serviceCounts?(pairs: readonly { to: SiteId; classId: ClassId }[]): Promise<ServiceCount[]>;
  /** Of the tunnel interfaces that exist now, by id, which is also what a restarted agent adopts. Cheap: asked in every pass. */
  tunnelCounters(): Promise<DataplaneCounters['tunnels']>;
  /** Of the tunnel interfaces of the last apply: what they take, for measuring how much of it passes. Absent: MTUs are not measured. */
  tunnelMtus?(): ReadonlyMap<TunnelId, MtuSettings>;
  /**
   * Called when links, addresses, routes, rules, settings or nftables changed, by us or by anybody; at most a few times a
   * second. `isLoss`: all our rules went at once, so nothing is forwarded until the next apply.
   */
  onChange(listener: (isLoss: boolean) => void): Cancel;
  /** Takes away everything of ours, guards last. */
  clear(): Promise<void>;
}

/** What a route through a tunnel needs to know of it. */
export type LaneTunnel = Pick<TunnelInterface, 'tunnel' | 'remoteOverlay' | 'pathMtuBytes'>;

/** The fast way for a fail-over. */
export interface LanePort {
  /** Points lanes at other tunnels at once, without waiting for an `apply` and without an answer. */
  switchLanes(lanes: readonly LaneWanted[], tunnels: ReadonlyMap<TunnelId, LaneTunnel>): void;
  /** Tunnel interfaces were made anew. */
  renew(): void;
  close(): void;
}

/** Packets of traffic through tunnels, read at this moment or a few milliseconds before; for comparing both ends. */
export interface TrafficPort {
  /** Null when this tunnel's cannot be counted. */
  counts(tunnel: TunnelId): { sent: number; received: number } | null;
}

/** Carries probe packets inside one tunnel, between the two overlay addresses. */
export interface ProbeSocket {
  send(packet: Uint8Array): void;
  close(): void;
}

export interface ProbePort {
  open(tunnel: TunnelId, localOverlay: string, remoteOverlay: string, onPacket: (packet: Uint8Array) => void): Promise<ProbeSocket>;
}

export type { CryptoSuite };
