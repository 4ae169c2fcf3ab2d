import type { ClassId, NodeId, SiteId, UplinkId } from './ids.ts';
import type { PlannedEvent } from './planned-event.ts';

export type Provider = 'onprem' | 'aws' | 'azure' | 'gcp';
export type NodeRole = 'active' | 'standby';

/** Settings of the whole mesh: exactly one document of kind `Mesh`. */
export interface Mesh {
  name: string;
  /** How often the engine reconsiders without being woken, ms. */
  cycleMs: number;
  /** Overlay addresses of tunnels are taken from here (IPv4). */
  overlayPrefix: string;
  /** No gateway lets these leave in clear text, whatever else happens. */
  protectedPrefixes: string[];
  /** A path is planned up to this share of its bandwidth, 0…1. */
  utilisationMax: number;
  /** An `auto` tunnel without traffic and without forecast for this long is torn down, ms. */
  idleTimeoutMs: number;
  /** A tunnel is kept at least this long after it was planned, so plans do not flap, ms. */
  holdMs: number;
  forecast: ForecastSettings;
  probe: ProbeSettings;
  /** `connections`: how many each gateway tracks may be counted; never whose. */
  telemetry: { sampleIntervalMs: number; connections: boolean; /** How many hosts are active may be counted, by class and by role; absent: not. */ users?: { roles: Role[] }; /** How much goes to which destination port may be counted; absent: not. */ services?: true };
  /** Whether gateways queue what they send by class, within what each uplink can send. */
  shaping: boolean;
  /** Small changes applied without a person per hour, whatever the forecast says; the policy reads it. */
  autoApply: { tunnelsMax: number; sitesMax: number; trafficShareMax: number; changesPerHourMax: number };
  /** How long a revert vetoes the reverted change, ms. */
  vetoMs: number;
}

/** People or machines of one kind, told by where they sit. */
export interface Role {
  name: string;
  prefixes: string[];
}

export interface ForecastSettings {
  /** Length of a slot, ms; demand is averaged over it. */
  slotMs: number;
  /** Slots in one season (a day); a week is seven of them. */
  slotsPerDay: number;
  /** How many slots ahead are forecast. */
  horizonSlots: number;
  /** Which quantile a class's plan provides for. */
  provision: 'p50' | 'p90' | 'p95';
}

export interface ProbeSettings {
  intervalMs: number;
  /** Missed probes in a row after which a path is down. */
  downAfter: number;
  /** Clean time before traffic returns to a path, ms. */
  holdDownMs: number;
  /** For a path that keeps failing the clean time doubles each time, up to this, ms. */
  holdDownMaxMs: number;
}

export interface Site {
  id: SiteId;
  location: { city: string; country: string; latitude: number; longitude: number };
  provider: Provider;
  region: string;
  /** What the site's hosts live in; routes lead here. */
  prefixes: string[];
  /** Whose answers its gateways look at, for classes that are told by name; IPv4, of another site or the gateways' own LAN address. */
  resolvers?: string[];
  /** May carry other sites' traffic. */
  relay: boolean;
  nodes: SiteNode[];
}

export interface SiteNode {
  id: NodeId;
  site: SiteId;
  role: NodeRole;
  /** Tunnels it can hold. */
  tunnelsMax: number;
  /** All traffic it can en- or decrypt, Mbit/s. */
  cryptoMbps: number;
  lan: { interface: string; address: string; /** The same for hosts with IPv6. */ address6?: string; /** Answers pings while the LAN behind the gateway is alive. */ target?: string };
  uplinks: Uplink[];
}

export interface Uplink {
  id: UplinkId;
  name: string;
  /** Who sells it; two uplinks of one provider may fail together. */
  provider: string;
  interface: string;
  /** IPv4 or IPv6: paths join uplinks of one family. */
  address: string;
  /** It is behind NAT: peers see another address, which is fixed and has IKE's ports forwarded to it, or is not known. */
  nat?: { publicAddress?: string };
  upMbps: number;
  downMbps: number;
  usdPerGb: number;
  /** Shared-risk groups: ducts, exchanges, buildings. */
  riskGroups: string[];
  /** Being emptied for maintenance: no new tunnels, existing ones move away. */
  drain: boolean;
}

export interface TrafficClass {
  id: ClassId;
  /** 0 is served first. */
  priority: number;
  match: TrafficMatch[];
  sla: { latencyMaxMs: number; lossMaxRatio: number; jitterMaxMs: number };
  /** `backup`: a disjoint second path stands by; `duplicate`: every packet is sent over two disjoint paths, and the far gateway passes on the first of each; `none`. */
  protection: 'none' | 'backup' | 'duplicate';
  /** Of every uplink's rate, 0…1: what the class gets even when more urgent ones want it all. Only with shaping. */
  shareRatio: number;
  /** Code point its packets leave with, 0…63; null keeps the host's. */
  dscp: number | null;
}

/** Traffic matches when all given parts match; an empty match is everything. Classes are tried in order of priority. */
export interface TrafficMatch {
  protocol: 'tcp' | 'udp' | 'icmp' | 'any';
  /** Destination ports, inclusive ranges; empty: any. */
  ports: { from: number; to: number }[];
  /** DSCP code points, empty: any. */
  dscp: number[];
  /** Destinations; absent: any. */
  prefixes?: string[];
  /** The packet mark that something else on the first gateway has set; absent: any. Relays and the far gateway do not see it. */
  fwmark?: number;
  /** Host names, `*.` for all below one: destinations are the addresses that the site's resolvers gave for them; absent: any. Only the first gateway knows them. */
  names?: string[];
}

export type ConnectionMode = 'always' | 'auto' | 'never';

/** What may and should run between two sites, both directions. Later rules in the same file order win over earlier, narrower is not cleverer. */
export interface Connection {
  name: string;
  /** Site names; `*` at the end matches a prefix; a rule holds for (a, b) and (b, a). */
  between: [string, string];
  mode: ConnectionMode;
  minMbps: number;
  /** 0: no upper bound. */
  maxMbps: number;
  relays: 'allow' | 'deny';
  securityProfile: string;
  /** Applies on top of the class's own protection. */
  backup: 'class' | 'none';
  avoid: { regions: string[]; providers: string[]; uplinks: string[] };
  /** The classes that may use it; empty: all. */
  classes: ClassId[];
}

/** Crypto of tunnels in our words; only `agent/vici` knows strongSwan's. */
export interface SecurityProfile {
  name: string;
  /** 1 (least) … 3. */
  level: number;
  ike: CryptoSuite[];
  esp: CryptoSuite[];
  ikeRekeyMs: number;
  espRekeyMs: number;
  pfs: boolean;
  /** `mlkem`: no tunnel without it; `mlkem-preferred`: where both ends' daemons have it. */
  postQuantum: 'off' | 'ppk' | 'mlkem' | 'mlkem-preferred';
}

export interface CryptoSuite {
  encryption: 'aes128gcm16' | 'aes256gcm16' | 'chacha20poly1305' | 'aes128cbc' | 'aes256cbc' | '3des' | 'null';
  /** Only for ciphers that are not AEAD. */
  integrity: 'none' | 'sha256' | 'sha384' | 'sha512' | 'sha1' | 'md5';
  /** IKE only. */
  prf: 'none' | 'prfsha256' | 'prfsha384' | 'prfsha512' | 'prfsha1';
  group: 'none' | 'x25519' | 'ecp256' | 'ecp384' | 'ecp521' | 'modp2048' | 'modp3072' | 'modp1024' | 'modp1536' | 'modp768';
}

/** The whole intent of one tree, normalised: sorted, defaults filled in, references resolved. Immutable. */
export interface Intent {
  /** Commit on main, or null for a working tree. */
  commit: string | null;
  mesh: Mesh;
  sites: Site[];
  classes: TrafficClass[];
  connections: Connection[];
  securityProfiles: SecurityProfile[];
  /** The calendar, by name; absent: nothing is planned. */
  plannedEvents?: PlannedEvent[];
}

export function findSite(intent: Intent, id: SiteId): Site | undefined {
  return intent.sites.find((site) => site.id === id);
}

export function nodesOf(intent: Intent): SiteNode[] {
  return intent.sites.flatMap((site) => site.nodes);
}

export function findUplink(intent: Intent, id: UplinkId): Uplink | undefined {
  return nodesOf(intent).flatMap((node) => node.uplinks).find((uplink) => uplink.id === id);
}

/** The rule that governs two sites: the last one in order that names both; without any, the pair may not talk. */
export function connectionFor(intent: Intent, one: SiteId, other: SiteId): Connection | null {
  for (let index = intent.connections.length - 1; index >= 0; index--) {
    const connection = intent.connections[index]!;
    const [a, b] = connection.between;
    if ((matchesName(a, one) && matchesName(b, other)) || (matchesName(a, other) && matchesName(b, one))) return connection;
  }
  return null;
}

/** True when two different sites may exchange traffic at all. */
export function isAdmitted(intent: Intent, one: SiteId, other: SiteId): boolean {
  const connection = connectionFor(intent, one, other);
  return one !== other && connection !== null && connection.mode !== 'never';
}

export function matchesName(selector: string, name: string): boolean {
  return selector.endsWith('*') ? name.startsWith(selector.slice(0, -1)) : selector === name;
}

/** Where peers can reach an uplink; null: nowhere, it has to begin the conversation itself. */
export function reachableAddress({ address, nat }: Pick<Uplink, 'address' | 'nat'>): string | null {
  return nat ? (nat.publicAddress ?? null) : address;
}
