import type { DataplanePort, DataplaneWanted, LanePort, LaneWanted, TrafficPort } from '../../../agent/ports.ts';
import { canonicalJson, hash32, prefixesOverlap } from '../../base/index.ts';
import type { ClassId, NodeConfig, NodeId, SiteId, TrafficMatch, TunnelId } from '../../model/index.ts';
import { ESP_OVERHEAD_BYTES, type SimDaemon } from './daemon.ts';

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

interface TunnelCount {
  rxBytes: number;
  txBytes: number;
  rxPackets: number;
  txPackets: number;
}

/** ESP in UDP with VXLAN inside, as the libipsec driver sends it. */
const TUNNEL_OVERHEAD_BYTES = 114;

export interface SimKernelOptions {
  daemon: SimDaemon;
  /** All kernels of the mesh, this one too; filled while they are made. */
  kernels: ReadonlyMap<NodeId, SimKernel>;
  toHost: (site: SiteId, packet: HostPacket) => void;
}

/** Forwarding of one gateway, behind the agent's own port: traffic needs an SA and an interface at both ends, and leaves in no other way. */
export class SimKernel {
  readonly port: DataplanePort;
  readonly trafficPort: TrafficPort = {
    counts: (tunnel) => {
      const { txPackets: sent, rxPackets: received } = this.#countOf(tunnel);
      return { sent, received };
    },
  };
  readonly lanePort: LanePort = {
    switchLanes: (lanes) => {
      for (const lane of lanes) this.#lanes.set(lane.mark, lane);
    },
    renew: () => undefined,
    close: () => undefined,
  };
  readonly #options: SimKernelOptions;
  #wanted: DataplaneWanted | null = null;
  #interfaces = new Set<TunnelId>();
  readonly #lanes = new Map<number, LaneWanted>();
  #allowed = new Set<string>();
  #isFlushed = false;
  readonly #offered = new Map<string, { to: SiteId; classId: ClassId; bytes: number; packets: number }>();
  readonly #passed = new WeakSet<HostPacket>();
  readonly #counts = new Map<TunnelId, TunnelCount>();
  readonly #listeners = new Set<(isLoss: boolean) => void>();

  constructor(options: SimKernelOptions) {
    this.#options = options;
    this.port = this.#createPort();
  }

  get config(): NodeConfig | null {
    return this.#wanted?.config ?? null;
  }

  /** As after a boot. */
  reset(): void {
    this.#wanted = null;
    this.#interfaces.clear();
    this.#lanes.clear();
    this.#allowed.clear();
  }

  /** The daemon's device went, and tunnel interfaces with it; guards stay, so nothing leaves in clear. */
  dropInterfaces(): void {
    this.#interfaces.clear();
  }

  /** As `nft flush ruleset` by hand does it: nothing is forwarded until somebody sets it right. */
  flushRules(): void {
    this.#allowed.clear();
    this.#isFlushed = true;
    for (const listener of this.#listeners) listener(true);
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
      if (config.classes.find(({ id }) => id === classId)?.duplicate && this.#hasPassed(packet)) return;
      this.#options.toHost(config.site, packet);
      return;
    }
    const steering = wanted.steering.find((entry) => entry.to === packet.to && entry.classId === classId);
    const mark = steering ? laneFor(steering.lanes, packet) : null;
    const lane = mark === null ? undefined : this.#lanes.get(mark);
    if (lane?.active) this.#sendThrough(lane.active, packet);
    if (lane?.copy && ingress === 'lan') this.#sendThrough(lane.copy, packet);
  }

  /** True for the second copy of a packet. */
  #hasPassed(packet: HostPacket): boolean {
    if (this.#passed.has(packet)) return true;
    this.#passed.add(packet);
    return false;
  }

  #sendThrough(tunnel: TunnelId, packet: HostPacket): void {
    if (!this.#interfaces.has(tunnel)) return;
    const count = this.#countOf(tunnel);
    count.txPackets++;
    count.txBytes += packet.bytes;
    const node = this.#options.daemon.peerOf(tunnel);
    const peer = node === null ? undefined : this.#options.kernels.get(node);
    this.#options.daemon.send(tunnel, packet.bytes + TUNNEL_OVERHEAD_BYTES - ESP_OVERHEAD_BYTES, () => {
      if (peer) peer.#receive(tunnel, packet);
    });
  }

  #receive(tunnel: TunnelId, packet: HostPacket): void {
    if (!this.#interfaces.has(tunnel)) return;
    const count = this.#countOf(tunnel);
    count.rxPackets++;
    count.rxBytes += packet.bytes;
    this.forward(packet, 'tunnel');
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

  #countOf(tunnel: TunnelId): TunnelCount {
    let count = this.#counts.get(tunnel);
    if (!count) {
      count = { rxBytes: 0, txBytes: 0, rxPackets: 0, txPackets: 0 };
      this.#counts.set(tunnel, count);
    }
    return count;
  }

  #createPort(): DataplanePort {
    const tunnels = (): ({ tunnel: TunnelId } & TunnelCount)[] => [...this.#interfaces].map((tunnel) => ({ tunnel, ...this.#countOf(tunnel) }));
    return {
      apply: async (wanted) => this.#apply(wanted),
      noteSwitched: () => undefined, // an apply here takes no time
      counters: async () => ({ offered: [...this.#offered.values()].map((count) => ({ ...count })), tunnels: tunnels(), links: [], shaped: [], leakPackets: 0 }),
      tunnelCounters: async () => tunnels(),
      onChange: (listener) => {
        this.#listeners.add(listener);
        return () => this.#listeners.delete(listener);
      },
      clear: async () => this.reset(),
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
    if (this.#isFlushed) changes.push('nft ruleset replaced');
    this.#isFlushed = false;
    this.#wanted = wanted;
    this.#interfaces = this.#options.daemon.isUp ? present : new Set();
    this.#allowed = new Set(allowedPairs(wanted.config));
    return changes;
  }
}

function classOf(config: NodeConfig, packet: HostPacket): ClassId | null {
  const prefixes = config.sites.find(({ id }) => id === packet.to)?.prefixes ?? [];
  return config.classes.find((entry) => entry.match.some((match) => matches(match, packet, prefixes)))?.id ?? null;
}

/** @param prefixes  of the site it goes to; a packet here has no address */
function matches(match: TrafficMatch, packet: HostPacket, prefixes: readonly string[]): boolean {
  if (match.protocol !== 'any' && match.protocol !== packet.protocol) return false;
  if (match.ports.length > 0 && !match.ports.some(({ from, to }) => packet.port >= from && packet.port <= to)) return false;
  if (match.prefixes && !prefixesOverlap(match.prefixes, prefixes)) return false;
  return match.dscp.length === 0 && match.fwmark === undefined && match.names === undefined;
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
