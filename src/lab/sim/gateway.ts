import type { AgentPorts, ConnectionSpec, Credentials, DataplaneCounters, DataplanePort, DataplaneWanted, IpsecPort, LaneWanted, ProbePort, SaState } from '../../../agent/ports.ts';
import { canonicalJson, hash32, type Cancel, type Clock } from '../../base/index.ts';
import type { ClassId, NodeConfig, NodeId, SiteId, TrafficMatch, TunnelId, UplinkId } from '../../model/index.ts';
import type { SimWan } from './wan.ts';

/** A host's packet on its way between sites. */
export interface HostPacket {
  from: SiteId;
  to: SiteId;
  protocol: 'udp' | 'icmp';
  port: number;
  /** Tells flows apart: what source port is on a real network. */
  flow: string;
  bytes: number;
  arrive: () => void;
}

interface SimSa {
  establishedMs: number;
  bytesIn: number;
  bytesOut: number;
  packetsIn: number;
  packetsOut: number;
  silentChecks: number;
}

/** ESP in UDP with VXLAN inside, as the libipsec driver sends it. */
const TUNNEL_OVERHEAD_BYTES = 114;
const PROBE_OVERHEAD_BYTES = 60;
const IKE_MESSAGE_BYTES = 400;
const IKE_RETRANSMIT_MS = 300;
const IKE_TRIES = 3;
const DPD_INTERVAL_MS = 1000;
const DPD_MISSES_MAX = 3;

const NO_TRAFFIC = { rxBytes: 0, txBytes: 0, rxPackets: 0, txPackets: 0 };

/**
 * One gateway of the simulated network: IKE daemon, kernel forwarding and probe sockets behind the agent's own ports, as
 * far as an agent can tell. SAs need two round trips, both ends' connections and certificates of the same CA; traffic
 * needs an SA and an interface at both ends, and leaves in no other way.
 */
export class SimGateway {
  readonly node: NodeId;
  readonly ports: AgentPorts;
  readonly #clock: Clock;
  readonly #wan: SimWan;
  readonly #peers: ReadonlyMap<NodeId, SimGateway>;
  readonly #addresses: ReadonlyMap<string, UplinkId>;
  readonly #toHost: (site: SiteId, packet: HostPacket) => void;

  #credentials: Credentials | null = null;
  readonly #connections = new Map<TunnelId, ConnectionSpec>();
  readonly #sas = new Map<TunnelId, SimSa>();
  readonly #initiating = new Set<TunnelId>();
  readonly #listeners = new Set<() => void>();
  readonly #probeSockets = new Map<TunnelId, (packet: Uint8Array) => void>();
  #daemonUp = true;

  #wanted: DataplaneWanted | null = null;
  #interfaces = new Set<TunnelId>();
  readonly #lanes = new Map<number, LaneWanted>();
  #allowed = new Set<string>();
  readonly #offered = new Map<string, { to: SiteId; classId: ClassId; bytes: number; packets: number }>();
  readonly #tunnelCounters = new Map<TunnelId, { rxBytes: number; txBytes: number; rxPackets: number; txPackets: number }>();

  constructor(options: {
    node: NodeId;
    clock: Clock;
    wan: SimWan;
    peers: ReadonlyMap<NodeId, SimGateway>;
    /** Underlay address → uplink, for the whole mesh. */
    addresses: ReadonlyMap<string, UplinkId>;
    toHost: (site: SiteId, packet: HostPacket) => void;
  }) {
    this.node = options.node;
    this.#clock = options.clock;
    this.#wan = options.wan;
    this.#peers = options.peers;
    this.#addresses = options.addresses;
    this.#toHost = options.toHost;
    this.ports = { ipsec: this.#ipsecPort(), dataplane: this.#dataplanePort(), probes: this.#probePort() };
    this.#scheduleDeadPeerDetection();
  }

  get config(): NodeConfig | null {
    return this.#wanted?.config ?? null;
  }

  /** True when this node owns its site's LAN address. */
  get isServing(): boolean {
    return this.#wanted?.config.serving ?? false;
  }

  listSas(): (SaState & { peer: NodeId })[] {
    return [...this.#sas].map(([tunnel, sa]) => {
      const spec = this.#connections.get(tunnel);
      return { ...this.#saState(tunnel, sa), peer: (spec?.remoteIdentity ?? '') as NodeId };
    });
  }

  /** The IKE daemon dies: SAs and tunnel interfaces go with it; guards stay, so nothing leaves in clear. */
  killDaemon(): void {
    this.#daemonUp = false;
    this.#sas.clear();
    this.#initiating.clear();
    this.#connections.clear();
    this.#credentials = null;
    this.#interfaces.clear();
  }

  startDaemon(): void {
    this.#daemonUp = true;
    this.#notify();
  }

  /** A packet from a host of this site, or out of a tunnel for another site. */
  forward(packet: HostPacket, ingress: 'lan' | 'tunnel'): void {
    const wanted = this.#wanted;
    if (!wanted) return;
    const config = wanted.config;
    const classId = classOf(config, packet);
    if (ingress === 'lan' && classId) this.#countOffered(packet, classId);
    if (!this.#allowed.has(`${packet.from}>${packet.to}`) || !classId) return;
    if (packet.to === config.site) {
      this.#toHost(config.site, packet);
      return;
    }
    const steering = wanted.steering.find((entry) => entry.to === packet.to && entry.classId === classId);
    const mark = steering ? laneFor(steering.lanes, packet) : null;
    const active = mark === null ? null : (this.#lanes.get(mark)?.active ?? null);
    if (active) this.#sendThrough(active, packet);
  }

  /** Sends `bytes` through exactly this tunnel, as a measuring program bound to the overlay address does. */
  sendThroughTunnel(tunnel: TunnelId, bytes: number, arrive: () => void): void {
    const sa = this.#sas.get(tunnel);
    const ends = this.#ends(tunnel);
    if (!sa || !ends) return;
    sa.packetsOut++;
    sa.bytesOut += bytes;
    this.#wan.send({
      from: ends.local,
      to: ends.remote,
      bytes: bytes + PROBE_OVERHEAD_BYTES,
      kind: 'esp',
      arrive: () => {
        const received = ends.peer.#sas.get(tunnel);
        if (!received) return;
        received.packetsIn++;
        received.bytesIn += bytes;
        arrive();
      },
    });
  }

  #sendThrough(tunnel: TunnelId, packet: HostPacket): void {
    if (!this.#interfaces.has(tunnel)) return;
    const bytes = packet.bytes + TUNNEL_OVERHEAD_BYTES - PROBE_OVERHEAD_BYTES;
    const counter = this.#tunnelCounter(tunnel);
    counter.txPackets++;
    counter.txBytes += packet.bytes;
    const peer = this.#ends(tunnel)?.peer;
    this.sendThroughTunnel(tunnel, bytes, () => {
      if (!peer || !peer.#interfaces.has(tunnel)) return;
      const received = peer.#tunnelCounter(tunnel);
      received.rxPackets++;
      received.rxBytes += packet.bytes;
      peer.forward(packet, 'tunnel');
    });
  }

  #countOffered(packet: HostPacket, classId: ClassId): void {
    const key = `${packet.to} ${classId}`;
    let count = this.#offered.get(key);
    if (!count) {
      count = { to: packet.to, classId, bytes: 0, packets: 0 };
      this.#offered.set(key, count);
    }
    count.bytes += packet.bytes;
    count.packets++;
  }

  #tunnelCounter(tunnel: TunnelId): { rxBytes: number; txBytes: number; rxPackets: number; txPackets: number } {
    let counter = this.#tunnelCounters.get(tunnel);
    if (!counter) {
      counter = { rxBytes: 0, txBytes: 0, rxPackets: 0, txPackets: 0 };
      this.#tunnelCounters.set(tunnel, counter);
    }
    return counter;
  }

  #ends(tunnel: TunnelId): { local: UplinkId; remote: UplinkId; peer: SimGateway } | null {
    const spec = this.#connections.get(tunnel);
    const local = spec && this.#addresses.get(spec.localAddress);
    const remote = spec && this.#addresses.get(spec.remoteAddress);
    const peer = spec && this.#peers.get(spec.remoteIdentity as NodeId);
    return local && remote && peer ? { local, remote, peer } : null;
  }

  #saState(tunnel: TunnelId, sa: SimSa): SaState {
    const spec = this.#connections.get(tunnel);
    const ike = spec?.ike[0];
    const esp = spec?.esp[0];
    return {
      tunnel,
      ikeState: 'ESTABLISHED',
      childState: 'INSTALLED',
      ikeSuite: ike ? `${ike.encryption}-${ike.prf}-${ike.group}` : '',
      espSuite: esp ? `${esp.encryption}-${esp.group}` : '',
      bytesIn: sa.bytesIn,
      bytesOut: sa.bytesOut,
      packetsIn: sa.packetsIn,
      packetsOut: sa.packetsOut,
      establishedSeconds: Math.floor((this.#clock.monotonicMs() - sa.establishedMs) / 1000),
    };
  }

  #notify(): void {
    for (const listener of this.#listeners) listener();
  }

  // ---- IKE

  #ipsecPort(): IpsecPort {
    const requireDaemon = (): void => {
      if (!this.#daemonUp) throw new SimDaemonDown();
    };
    return {
      loadCredentials: async (credentials) => {
        requireDaemon();
        this.#credentials = credentials;
      },
      loadConnection: async (spec) => {
        requireDaemon();
        this.#connections.set(spec.tunnel, spec);
      },
      unloadConnection: async (tunnel) => {
        requireDaemon();
        this.#connections.delete(tunnel);
      },
      listConnections: async () => {
        requireDaemon();
        return [...this.#connections.keys()];
      },
      initiate: async (tunnel) => {
        requireDaemon();
        if (this.#initiating.has(tunnel) || this.#sas.has(tunnel)) return;
        this.#initiating.add(tunnel);
        this.#tryInitiate(tunnel, 1);
      },
      terminate: async (tunnel) => {
        requireDaemon();
        const ends = this.#ends(tunnel);
        if (!this.#sas.delete(tunnel) || !ends) return;
        this.#notify();
        this.#sendIke(ends, () => {
          if (ends.peer.#sas.delete(tunnel)) ends.peer.#notify();
        });
      },
      listSas: async () => {
        requireDaemon();
        return [...this.#sas].map(([tunnel, sa]) => this.#saState(tunnel, sa));
      },
      onChange: (listener): Cancel => {
        this.#listeners.add(listener);
        return () => this.#listeners.delete(listener);
      },
    };
  }

  /** IKE_SA_INIT and IKE_AUTH: two exchanges, then both ends have the SA. */
  #tryInitiate(tunnel: TunnelId, attempt: number): void {
    const ends = this.#ends(tunnel);
    const spec = this.#connections.get(tunnel);
    if (!ends || !spec || !this.#daemonUp || attempt > IKE_TRIES) {
      this.#initiating.delete(tunnel);
      this.#notify();
      return;
    }
    let answered = false;
    const back = (then: () => void): void => ends.peer.#sendIke({ local: ends.remote, remote: ends.local, peer: this }, then);
    this.#sendIke(ends, () => {
      if (!ends.peer.#daemonUp) return;
      back(() =>
        this.#sendIke(ends, () => {
          if (!ends.peer.#accepts(tunnel, spec, this.#credentials)) return;
          ends.peer.#install(tunnel);
          back(() => {
            answered = true;
            if (!this.#initiating.delete(tunnel) || !this.#daemonUp) return;
            this.#install(tunnel);
          });
        }),
      );
    });
    this.#clock.setTimer(IKE_RETRANSMIT_MS * attempt * 2, () => {
      if (!answered && this.#initiating.has(tunnel)) this.#tryInitiate(tunnel, attempt + 1);
    });
  }

  #sendIke(ends: { local: UplinkId; remote: UplinkId; peer: SimGateway }, arrive: () => void): void {
    this.#wan.send({ from: ends.local, to: ends.remote, bytes: IKE_MESSAGE_BYTES, kind: 'ike', arrive });
  }

  #accepts(tunnel: TunnelId, offered: ConnectionSpec, credentials: Credentials | null): boolean {
    const own = this.#connections.get(tunnel);
    return (
      this.#daemonUp &&
      own !== undefined &&
      own.localIdentity === offered.remoteIdentity &&
      own.remoteIdentity === offered.localIdentity &&
      canonicalJson(own.ike) === canonicalJson(offered.ike) &&
      canonicalJson(own.esp) === canonicalJson(offered.esp) &&
      credentials !== null &&
      credentials.caPem === this.#credentials?.caPem
    );
  }

  #install(tunnel: TunnelId): void {
    if (!this.#sas.has(tunnel)) this.#sas.set(tunnel, { establishedMs: this.#clock.monotonicMs(), bytesIn: 0, bytesOut: 0, packetsIn: 0, packetsOut: 0, silentChecks: 0 });
    this.#notify();
  }

  /** Only tidies up: an SA whose peer is silent goes after some seconds. */
  #scheduleDeadPeerDetection(): void {
    this.#clock.setTimer(DPD_INTERVAL_MS, () => {
      for (const [tunnel, sa] of this.#sas) {
        const ends = this.#ends(tunnel);
        if (++sa.silentChecks > DPD_MISSES_MAX || !ends) {
          this.#sas.delete(tunnel);
          this.#notify();
          continue;
        }
        this.#sendIke(ends, () => {
          if (!ends.peer.#daemonUp || !ends.peer.#sas.has(tunnel)) return;
          ends.peer.#sendIke({ local: ends.remote, remote: ends.local, peer: this }, () => {
            sa.silentChecks = 0;
          });
        });
      }
      this.#scheduleDeadPeerDetection();
    });
  }

  // ---- kernel

  #dataplanePort(): DataplanePort {
    return {
      apply: async (wanted) => this.#apply(wanted),
      switchLanes: (lanes) => {
        for (const lane of lanes) this.#lanes.set(lane.mark, lane);
      },
      counters: async (): Promise<DataplaneCounters> => ({
        offered: [...this.#offered.values()].map((count) => ({ ...count })),
        tunnels: [...this.#tunnelCounters].map(([tunnel, counter]) => ({ tunnel, ...counter })),
        leakPackets: 0,
      }),
      tunnelCounters: async () => [...this.#interfaces].map((tunnel) => ({ tunnel, ...(this.#tunnelCounters.get(tunnel) ?? NO_TRAFFIC) })),
      clear: async () => {
        this.#wanted = null;
        this.#interfaces.clear();
        this.#lanes.clear();
      },
    };
  }

  #apply(wanted: DataplaneWanted): string[] {
    const changes: string[] = [];
    const present = new Set(wanted.interfaces.map(({ tunnel }) => tunnel));
    for (const tunnel of present) if (!this.#interfaces.has(tunnel)) changes.push(`+ interface ${tunnel}`);
    for (const tunnel of this.#interfaces) if (!present.has(tunnel)) changes.push(`- interface ${tunnel}`);
    const marks = new Set(wanted.lanes.map(({ mark }) => mark));
    for (const lane of wanted.lanes) {
      const current = this.#lanes.get(lane.mark);
      if (!current || canonicalJson(current) !== canonicalJson(lane)) changes.push(`~ lane ${lane.mark} ${lane.active ?? 'unreachable'}`);
      this.#lanes.set(lane.mark, lane);
    }
    for (const mark of this.#lanes.keys()) {
      if (marks.has(mark)) continue;
      this.#lanes.delete(mark);
      changes.push(`- lane ${mark}`);
    }
    if (!this.#wanted || canonicalJson({ ...this.#wanted, lanes: [], interfaces: [] }) !== canonicalJson({ ...wanted, lanes: [], interfaces: [] })) changes.push('~ ruleset');
    this.#wanted = wanted;
    this.#interfaces = this.#daemonUp ? present : new Set();
    this.#allowed = new Set(allowedPairs(wanted.config));
    return changes;
  }

  // ---- probes

  #probePort(): ProbePort {
    return {
      open: async (tunnel, _localOverlay, _remoteOverlay, onPacket) => {
        this.#probeSockets.set(tunnel, onPacket);
        return {
          send: (packet) => {
            const peer = this.#ends(tunnel)?.peer;
            const copy = Uint8Array.from(packet);
            this.sendThroughTunnel(tunnel, packet.length, () => {
              if (peer) peer.#probeSockets.get(tunnel)?.(copy);
            });
          },
          close: () => {
            if (this.#probeSockets.get(tunnel) === onPacket) this.#probeSockets.delete(tunnel);
          },
        };
      },
    };
  }
}

/** What every call of a dead daemon gives. */
export class SimDaemonDown extends Error {
  constructor() {
    super('the IKE daemon is not running');
  }
}

function classOf(config: NodeConfig, packet: HostPacket): ClassId | null {
  return config.classes.find((entry) => entry.match.some((match) => matches(match, packet)))?.id ?? null;
}

function matches(match: TrafficMatch, packet: HostPacket): boolean {
  if (match.protocol !== 'any' && match.protocol !== packet.protocol) return false;
  if (match.ports.length > 0 && !match.ports.some(({ from, to }) => packet.port >= from && packet.port <= to)) return false;
  return match.dscp.length === 0;
}

/** Packets of one flow stay on one lane; weights are shares of the flows. */
function laneFor(lanes: readonly { mark: number; weight: number }[], packet: HostPacket): number | null {
  const total = lanes.reduce((sum, lane) => sum + lane.weight, 0);
  if (total <= 0) return null;
  let bucket = hash32(`${packet.from}>${packet.to} ${packet.port} ${packet.flow}`) % total;
  for (const lane of lanes) {
    if (bucket < lane.weight) return lane.mark;
    bucket -= lane.weight;
  }
  return null;
}

/** `from>to` for each pair of sites whose prefixes an allow entry names. */
function allowedPairs(config: NodeConfig): string[] {
  const sitesIn = (prefixes: readonly string[]): SiteId[] => config.sites.filter((site) => site.prefixes.some((prefix) => prefixes.includes(prefix))).map(({ id }) => id);
  return config.allow.flatMap((entry) => sitesIn(entry.from).flatMap((from) => sitesIn(entry.to).flatMap((to) => [`${from}>${to}`, `${to}>${from}`])));
}

