import type { ClassId, NodeId, PathId, SiteId, TunnelId } from './ids.ts';
import type { CryptoSuite, ProbeSettings, Role, TrafficMatch } from './intent.ts';

/**
 * Everything one agent needs and no choice left to it: `plan/nodes/<node>.yaml`. The generation comes from the signed
 * commit that carries the file (see `SignedConfig`), so it is not in here.
 */
export interface NodeConfig {
  schema: 'foremesh/node-config/v1';
  node: NodeId;
  site: SiteId;
  /** Whether this node is to own the site's LAN address and carry its traffic. Of a site with several, `lan.shared` says how they settle it. */
  serving: boolean;
  /** `shared` is there when the site has several gateways. */
  lan: { interface: string; address: string; /** The same for hosts with IPv6. */ address6?: string; prefixes: string[]; /** Something behind the gateway that answers pings. */ target?: string; shared?: SharedLan };
  uplinks: { name: string; interface: string; address: string }[];
  /** Destinations that may leave through tunnels only. */
  protectedPrefixes: string[];
  probe: ProbeSettings;
  sampleIntervalMs: number;
  /** How many connections the gateway tracks may be reported; absent: not. */
  countConnections?: boolean;
  /** How many hosts are active may be reported, by class and by these roles; absent: not. */
  countUsers?: { roles: Role[] };
  /** How many connections (TCP) and packets (UDP) go to which destination port may be reported, by pair and class; absent: not. */
  countServices?: true;
  /** In order of priority: the first class that matches a packet is its class. */
  classes: NodeClass[];
  /** Resolvers that hosts of the site ask; there when a class is told by name. */
  resolvers?: string[];
  /** How uplinks are divided between classes; absent: whoever comes first goes first. */
  shaping?: NodeShaping[];
  /** All sites of the mesh, for counting per pair. */
  sites: { id: SiteId; prefixes: string[] }[];
  tunnels: NodeTunnel[];
  /** Sorted by site, then class. */
  steering: Steering[];
  /** Prefix pairs this node forwards, both directions each; everything else is dropped. */
  allow: { from: string[]; to: string[] }[];
}

export interface NodeClass {
  id: ClassId;
  priority: number;
  match: TrafficMatch[];
  /** What it needs of a path: gateways move it off a path that does not keep this. Without: anything that answers will do. */
  sla?: { latencyMaxMs: number; lossMaxRatio: number };
  /** Other gateways send each of its packets twice: the first to come is passed on. */
  duplicate?: true;
  /** Code point its packets leave with; absent: the host's. */
  dscp?: number;
}

/** One uplink's queues. */
export interface NodeShaping {
  /** Name of the uplink. */
  uplink: string;
  rateKbps: number;
  /** What each class is sure of, in order of priority; what is left goes to the lowest `priority` that wants it. Rates sum to `rateKbps` at most. */
  classes: { id: ClassId; rateKbps: number; priority: number }[];
}

/** One LAN address or more, several gateways: the same at all of them but for the generation. */
export interface SharedLan {
  /** Whose `lan.address` is while all is well; one that `serving` is true for. */
  preferred: NodeId;
  /** Where gateways share the site's traffic: further addresses by which its hosts reach it, each with whose it is while all is well. */
  others?: { address: string; address6?: string; preferred: NodeId }[];
  /** All gateways of the site, this one too, sorted; `address` is theirs alone, for heartbeats over the LAN. */
  members: { node: NodeId; address: string }[];
  heartbeat: HeartbeatSettings;
}

export interface HeartbeatSettings {
  intervalMs: number;
  /** Heartbeats missed in a row after which a gateway counts as gone. */
  missedMax: number;
  /** How long a gateway that came back must be well before it takes the address again, ms. */
  holdDownMs: number;
}

export interface NodeTunnel {
  id: TunnelId;
  path: PathId;
  peer: NodeId;
  /** This end starts the IKE exchange. */
  initiator: boolean;
  /** `nat`: this end is behind one. */
  local: { interface: string; address: string; overlay: string; nat?: true };
  /** Without an address it may come from any: its certificate tells who it is, and it begins. */
  remote: { address?: string; overlay: string };
  /** Which uplink of the initiating node it is, from 1, where its address cannot tell that at the other end. */
  initiatorNumber?: number;
  ike: CryptoSuite[];
  esp: CryptoSuite[];
  ikeRekeyMs: number;
  espRekeyMs: number;
  /**
   * `ppk`: a post-quantum pre-shared key of the two nodes is mixed in (RFC 8784), and required. `mlkem`: each key exchange is
   * done with ML-KEM-768 besides (RFC 9370), or not at all; `mlkem-preferred`: where both daemons can, else without.
   */
  postQuantum?: 'ppk' | 'mlkem' | 'mlkem-preferred';
}

/** Where packets of one class to one site go. */
export interface Steering {
  to: SiteId;
  prefixes: string[];
  classId: ClassId;
  lanes: Lane[];
}

/**
 * An ordered list of tunnels towards one site; traffic uses the first that is up. `mark` is the packet mark and the
 * routing table, the same for the same content, so a changed lane never shares a table with the one it replaces.
 */
export interface Lane {
  mark: number;
  /** Whole per cent of the flows, by flow hash. */
  weight: number;
  tunnels: TunnelId[];
  /** A second copy of each packet goes over the first of these that is up and does not carry the packet itself. */
  copies?: TunnelId[];
}

/**
 * A node's config with the proof that it is part of a signed commit: the objects of Git from commit to file, so an
 * agent can check every byte without a clone and without trusting who brought it.
 */
export interface SignedConfig {
  schema: 'foremesh/signed-config/v1';
  node: NodeId;
  /** Id of the commit on mesh/live (40 hex). */
  commit: string;
  /** The raw commit object, base64 (without Git's header). */
  commitObject: string;
  /** Raw tree objects: root, plan, plan/nodes; base64. */
  trees: [string, string, string];
  /** The file's bytes, base64. */
  blob: string;
}

/** Trailers that every commit on mesh/live carries. */
export interface LiveTrailers {
  generation: number;
  /** The commit it was computed against, or 'none' for the first. */
  parent: string;
  intent: string;
  policy: string;
  forecast: string;
  telemetry: string;
  decision: 'auto' | 'reviewed' | 'reverted' | 'override' | 'emergency';
  cause: string;
}
