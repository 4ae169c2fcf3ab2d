import type { Clock } from '../base/index.ts';
import type { ClassId, NodeId, PathId, PathState, SiteId, TunnelId } from '../model/index.ts';

/**
 * A running mesh to do things to: engine, agents, hosts, WAN. Two of them exist, with the same story told on both:
 * `lab` (network namespaces, real strongSwan) and `simulated` (one process, virtual time).
 */
export interface World {
  readonly kind: 'lab' | 'simulated';
  readonly clock: Clock;
  /** The forge: a bare repository with `main`, `mesh/live` and `refs/mesh/changes/*`. */
  readonly forgeDir: string;
  /** Where the API listens, for `createApiClient`. */
  readonly api: { request(method: string, path: string, body?: unknown): Promise<{ status: number; body: unknown }> };
  /** Private key of the person who runs the demo; its public half is in mesh-config/allowed_signers of `main`. */
  readonly operatorKeyFile: string;
  /** Lets time pass (real or virtual). */
  pass(durationMs: number): Promise<void>;
  /** Passes time in small steps until `check` gives something, or gives null after `limitMs`. */
  until<T>(check: () => Promise<T | null | undefined | false> | T | null | undefined | false, limitMs: number): Promise<T | null>;
  startSender(spec: SenderSpec): Promise<Sender>;
  /** What the underlay saw, by path, since the start; read from packets, not from our own agents. */
  underlay(): Promise<UnderlayReport>;
  /** Changes one underlay path, both directions unless said. */
  setPath(path: PathId, profile: Partial<PathProfile>, direction?: 'both' | 'forward' | 'reverse'): Promise<void>;
  listSas(node: NodeId): Promise<WorldSa[]>;
  /** Pings from a host of one site to a host of another. */
  ping(from: SiteId, to: SiteId, count: number): Promise<PingReport>;
  /** iperf3 (or its simulated likeness) through exactly one tunnel, a to b. */
  throughput(tunnel: TunnelId, durationMs: number, targetMbps: number): Promise<{ mbps: number; lostRatio: number }>;
  /** What was started for each gateway, for people to look at: where it runs, its IKE daemon, its certificate. */
  inventory(): Promise<{ node: NodeId; where: string; daemon: string; certificate: string }[]>;
  /** What a node itself says it runs, read at the node. */
  nodeState(node: NodeId): Promise<NodeRuntime>;
  /** Ends an agent, daemon or engine at once (SIGKILL), or a whole gateway with its links, and starts it again. */
  kill(what: Killable): Promise<void>;
  restart(what: Killable): Promise<void>;
  /** Pulls a gateway's LAN cable, or plugs it in again; its uplinks stay. */
  setLan(node: NodeId, isConnected: boolean): Promise<void>;
  /** Ends every process and removes every namespace and file; may be called twice. */
  close(): Promise<void>;
}

export type Killable = { kind: 'engine' } | { kind: 'agent' | 'daemon' | 'node'; node: NodeId };

/** Traffic from a host of one site to a host of another: UDP packets with a sequence number and a send time. */
export interface SenderSpec {
  name: string;
  from: SiteId;
  to: SiteId;
  classId: ClassId;
  /** Of its packets; both hosts need an address of it. Default: IPv4, which the simulated network has alone. */
  family?: 'ipv4' | 'ipv6';
  /** Destination port, which decides the class. */
  port: number;
  /** Different source ports, so that flows spread over tunnels. */
  flows: number;
  packetBytes: number;
  rate: SenderRate;
}

export type SenderRate =
  | { kind: 'constant'; mbps: number }
  /** The day curve of `dayCurve` between `lowMbps` and `highMbps`, phase by the clock. */
  | { kind: 'day-curve'; lowMbps: number; highMbps: number; slotMs: number; slotsPerDay: number; /** Added to the clock before the curve is read, ms. */ phaseMs: number };

export interface Sender {
  readonly spec: SenderSpec;
  /** Read at the receiver. `gapsMs`: the longest silences between neighbouring packets with their time of begin. */
  report(): Promise<ReceiverReport>;
  /** Starts a new count, e.g. before a cut. */
  reset(): Promise<void>;
  stop(): Promise<void>;
}

export interface ReceiverReport {
  sent: number;
  received: number;
  /** Sent at least 500 ms ago and not received. */
  lost: number;
  duplicated: number;
  reordered: number;
  /** Longest silence, ms, and when it began (epoch ms of the world's clock). */
  longestGapMs: number;
  longestGapAt: number;
  mbps: number;
}

export interface PathProfile {
  delayMs: number;
  jitterMs: number;
  lossRatio: number;
  bandwidthMbps: number;
  down: boolean;
  /** Larger packets are dropped, silently; absent: none is. The simulated network has no sizes. */
  mtuBytes?: number;
}

export interface UnderlayReport {
  /** Sums over all paths, both directions. */
  espPackets: number;
  ikePackets: number;
  clearTextPackets: number;
  /** The headers of the first of them, for whoever looks for the leak; the simulated network has none. */
  clearTextSeen: string[];
  paths: { path: PathId; espPackets: number; espBytes: number; ikePackets: number; clearTextPackets: number; droppedPackets: number }[];
}

export interface WorldSa {
  tunnel: TunnelId;
  peer: NodeId;
  ikeState: string;
  childState: string | null;
  ikeSuite: string;
  espSuite: string;
  packetsIn: number;
  packetsOut: number;
}

export interface PingReport {
  sent: number;
  received: number;
  latencyMs: number | null;
}

export interface NodeRuntime {
  generation: number;
  commit: string | null;
  tunnels: { tunnel: TunnelId; path: PathId; pathState: PathState; childState: string | null; /** Classes whose SLA the path does not keep. */ violated: readonly ClassId[] }[];
  leakPackets: number;
  /** It owns its site's LAN address. */
  holdsLan: boolean;
  /** The shared LAN addresses that it owns, its own and those of others. */
  lanAddresses: string[];
}
