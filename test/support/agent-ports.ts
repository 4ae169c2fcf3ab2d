import { createLog, createRng, ForemeshError, type Rng, type VirtualClock } from '../../src/base/index.ts';
import type { NodeId, Steering, TunnelId } from '../../src/model/index.ts';
import { createFailover } from '../../agent/failover/index.ts';
import { NO_LAN_SHARED } from '../../agent/standby/index.ts';
import type { AgentPorts, ConnectionSpec, Credentials, DataplaneCounters, DataplaneWanted, LanePort, LaneWanted, ProbePort } from '../../agent/ports.ts';

export interface TestPath {
  delayMs: number;
  lossRatio: number;
  down: boolean;
}

/** A few gateways joined by tunnels, with a virtual clock and every port answered in the same turn. */
export interface TestNet {
  ports(node: NodeId): AgentPorts;
  machine(node: NodeId): TestMachine;
  path(tunnel: TunnelId): TestPath;
  /** One packet of a host at `from`'s site, as the kernel there would send it; answers whether it will arrive. */
  sendPacket(from: NodeId, steeringIndex: number): boolean;
}

/** What one gateway has: its daemon and its kernel. It outlives the agent. */
export interface TestMachine {
  readonly calls: string[];
  readonly connections: Map<TunnelId, ConnectionSpec>;
  readonly sas: Set<TunnelId>;
  /** IKE SAs that were made anew, and those with their predecessor still beside them. */
  readonly ikeIds: Map<TunnelId, number>;
  readonly besides: Set<TunnelId>;
  /** The peer takes no second IKE SA. */
  isBesideRefused: boolean;
  readonly interfaces: Set<TunnelId>;
  readonly lanes: Map<number, LaneWanted>;
  wanted: DataplaneWanted | null;
  offered: DataplaneCounters['offered'];
  rxPackets: Map<TunnelId, number>;
  links: DataplaneCounters['links'];
  credentials: Credentials | null;
  daemonUp: boolean;
  /** Ends the daemon with its SAs and, as with libipsec, the interfaces. */
  killDaemon(): void;
  startDaemon(): void;
  /** Tells the listeners of the daemon that something changed. */
  changed(): void;
  applyError: Error | null;
  /** Somebody else takes away what the agent made; the next apply answers this line. */
  disturb(change: string, isLoss?: boolean): void;
}

export function createTestNet(clock: VirtualClock, seed = 'net'): TestNet {
  const machines = new Map<NodeId, Machine>();
  const paths = new Map<TunnelId, TestPath>();
  const rng = createRng(seed);
  const machine = (node: NodeId): Machine => getOrMake(machines, node, () => new Machine(node));
  const path = (tunnel: TunnelId): TestPath => getOrMake(paths, tunnel, () => ({ delayMs: 10, lossRatio: 0, down: false }));
  const peerOf = (node: NodeId, tunnel: TunnelId): Machine | null => {
    const spec = machine(node).connections.get(tunnel) ?? machine(node).lastSpecs.get(tunnel);
    return spec ? machine(spec.remoteIdentity as NodeId) : null;
  };
  const carries = (tunnel: TunnelId, draw: Rng): boolean => !path(tunnel).down && draw.next() >= path(tunnel).lossRatio;

  function ports(node: NodeId): AgentPorts {
    const own = machine(node);
    const draw = rng.fork(node);
    const note = (text: string): void => void own.calls.push(text);
    const daemon = (): void => {
      if (!own.daemonUp) throw new ForemeshError('VICI_CLOSED', { what: 'no daemon', fix: 'start it' });
    };
    const initiate = (tunnel: TunnelId): void => {
      const peer = peerOf(node, tunnel);
      clock.setTimer(4 * path(tunnel).delayMs, () => {
        if (!peer?.daemonUp || !own.daemonUp || !own.connections.has(tunnel) || !peer.connections.has(tunnel) || path(tunnel).down) return;
        for (const end of [own, peer]) {
          end.sas.add(tunnel);
          end.changed();
        }
      });
    };
    const probes: ProbePort = {
      async open(tunnel, _local, _remote, onPacket) {
        own.sockets.set(tunnel, onPacket);
        return {
          send(packet) {
            const peer = peerOf(node, tunnel);
            if (!own.sas.has(tunnel) || !carries(tunnel, draw)) return;
            clock.setTimer(path(tunnel).delayMs, () => {
              if (peer?.sas.has(tunnel) === true) peer.sockets.get(tunnel)?.(packet);
            });
          },
          close() {
            if (own.sockets.get(tunnel) === onPacket) own.sockets.delete(tunnel);
          },
        };
      },
    };
    const lanes: LanePort = {
      switchLanes(switched) {
        for (const lane of switched) {
          note(`switch ${lane.mark} ${lane.active ?? 'unreachable'}`);
          own.lanes.set(lane.mark, lane);
        }
      },
      renew: () => undefined,
      close: () => undefined,
    };
    return {
      standby: () => ({ configure: () => undefined, useCredentials: () => undefined, setRevoked: () => undefined, setReach: () => undefined, view: () => NO_LAN_SHARED, close: () => Promise.resolve() }),
      failover: (events) => createFailover({ probes, traffic: { counts: () => null }, lanes, clock, rng: createRng(`${seed} ${node} ${clock.now()}`), log: createLog('failover', 'silent'), events }),
      ipsec: {
        async loadCredentials(credentials) {
          daemon();
          note('load-credentials');
          own.credentials = credentials;
        },
        async loadRevocations(crlPem) {
          daemon();
          note(`load-revocations ${crlPem.length > 0}`);
        },
        async terminatePeers(identities) {
          daemon();
          note(`terminate-peers ${identities.join(',')}`);
          const tunnels = [...own.sas].filter((tunnel) => identities.includes(own.connections.get(tunnel)?.remoteIdentity ?? ''));
          for (const tunnel of tunnels) own.sas.delete(tunnel);
          own.changed();
          return tunnels.length;
        },
        async loadConnection(spec) {
          daemon();
          note(`load ${spec.tunnel}`);
          own.connections.set(spec.tunnel, spec);
          own.lastSpecs.set(spec.tunnel, spec);
        },
        async unloadConnection(tunnel) {
          daemon();
          note(`unload ${tunnel}`);
          own.connections.delete(tunnel);
        },
        async listConnections() {
          daemon();
          return [...own.connections.keys()];
        },
        async initiate(tunnel) {
          daemon();
          note(`initiate ${tunnel}`);
          initiate(tunnel);
        },
        async initiateBeside(tunnel) {
          daemon();
          note(`initiate-beside ${tunnel}`);
          const peer = peerOf(node, tunnel);
          const install = (end: Machine): void => {
            end.ikeIds.set(tunnel, (end.ikeIds.get(tunnel) ?? 1) + 1);
            end.besides.add(tunnel);
            end.changed();
          };
          clock.setTimer(3 * path(tunnel).delayMs, () => {
            if (!peer?.daemonUp || !own.sas.has(tunnel) || !peer.sas.has(tunnel) || path(tunnel).down || own.isBesideRefused) return;
            install(peer);
            peer.unread.add(tunnel); // the answering end sends through it before the other can read it
            clock.setTimer(path(tunnel).delayMs, () => {
              peer.unread.delete(tunnel);
              install(own);
            });
          });
        },
        async terminateSome(tunnel, which) {
          daemon();
          note(`terminate-some ${tunnel} ${which}`);
          for (const end of [own, peerOf(node, tunnel)]) {
            end?.besides.delete(tunnel);
            end?.changed();
          }
        },
        async terminate(tunnel) {
          daemon();
          note(`terminate ${tunnel}`);
          own.sas.delete(tunnel);
          own.changed();
          const peer = peerOf(node, tunnel);
          clock.setTimer(path(tunnel).delayMs, () => {
            if (peer?.sas.delete(tunnel) === true) peer.changed();
          });
        },
        async listSas() {
          daemon();
          return [...own.sas].map((tunnel) => ({ tunnel, ikeState: 'ESTABLISHED', childState: 'INSTALLED', ikeSuite: '', espSuite: '', bytesIn: 0, bytesOut: 0, packetsIn: 0, packetsOut: 0, establishedSeconds: 0, ikeId: own.ikeIds.get(tunnel) ?? 1, besides: own.besides.has(tunnel) ? 1 : 0 }));
        },
        onChange(listener) {
          own.listeners.add(listener);
          return () => own.listeners.delete(listener);
        },
      },
      dataplane: {
        async apply(wanted) {
          if (own.applyError) throw own.applyError;
          note('apply');
          own.wanted = wanted;
          own.interfaces.clear();
          for (const { tunnel } of wanted.interfaces) own.interfaces.add(tunnel);
          own.lanes.clear();
          for (const lane of wanted.lanes) own.lanes.set(lane.mark, lane);
          return own.undone.splice(0);
        },
        noteSwitched: () => undefined,
        async counters() {
          return { offered: own.offered, tunnels: [...own.rxPackets].map(([tunnel, rxPackets]) => ({ tunnel, rxPackets, rxBytes: rxPackets * 100, txBytes: 0, txPackets: 0 })), links: own.links, shaped: [], leakPackets: 0 };
        },
        async tunnelCounters() {
          return [...own.interfaces].map((tunnel) => ({ tunnel, rxPackets: own.rxPackets.get(tunnel) ?? 0, rxBytes: (own.rxPackets.get(tunnel) ?? 0) * 100, txBytes: 0, txPackets: 0 }));
        },
        onChange(listener) {
          own.kernelListeners.add(listener);
          return () => own.kernelListeners.delete(listener);
        },
        async clear() {
          note('clear');
          own.interfaces.clear();
          own.lanes.clear();
          own.wanted = null;
        },
      },
    };
  }

  function sendPacket(from: NodeId, steeringIndex: number): boolean {
    const own = machine(from);
    const steering = own.wanted?.steering[steeringIndex];
    const mark = steering?.lanes[0]?.mark;
    const active = mark === undefined ? null : (own.lanes.get(mark)?.active ?? null);
    const peer = active ? peerOf(from, active) : null;
    if (active && own.unread.has(active)) return false;
    if (!active || !peer || !own.interfaces.has(active) || !own.sas.has(active) || path(active).down) return false;
    const arrives = peer.sas.has(active) && peer.interfaces.has(active);
    if (arrives) peer.rxPackets.set(active, (peer.rxPackets.get(active) ?? 0) + 1);
    return arrives;
  }

  return { ports, machine, path, sendPacket };
}

class Machine implements TestMachine {
  readonly calls: string[] = [];
  readonly connections = new Map<TunnelId, ConnectionSpec>();
  readonly lastSpecs = new Map<TunnelId, ConnectionSpec>();
  readonly sas = new Set<TunnelId>();
  readonly ikeIds = new Map<TunnelId, number>();
  readonly besides = new Set<TunnelId>();
  readonly unread = new Set<TunnelId>();
  isBesideRefused = false;
  readonly interfaces = new Set<TunnelId>();
  readonly lanes = new Map<number, LaneWanted>();
  readonly sockets = new Map<TunnelId, (packet: Uint8Array) => void>();
  readonly listeners = new Set<() => void>();
  readonly kernelListeners = new Set<(isLoss: boolean) => void>();
  readonly undone: string[] = [];
  wanted: DataplaneWanted | null = null;
  offered: DataplaneCounters['offered'] = [];
  rxPackets = new Map<TunnelId, number>();
  links: DataplaneCounters['links'] = [];
  credentials: Credentials | null = null;
  daemonUp = true;
  applyError: Error | null = null;
  readonly node: NodeId;

  constructor(node: NodeId) {
    this.node = node;
  }

  changed(): void {
    for (const listener of this.listeners) listener();
  }

  killDaemon(): void {
    this.daemonUp = false;
    this.sas.clear();
    this.interfaces.clear();
    this.connections.clear();
    this.credentials = null;
    this.changed();
  }

  disturb(change: string, isLoss = false): void {
    this.undone.push(change);
    for (const listener of this.kernelListeners) listener(isLoss);
  }

  startDaemon(): void {
    this.daemonUp = true;
    this.changed();
  }
}

/** A steering entry with one lane a list of tunnels; marks by content, as the renderer gives them. */
export function laneMark(tunnels: readonly TunnelId[]): number {
  return 0x1000 + Number.parseInt(tunnels.map((tunnel) => tunnel.slice(2)).join(''), 16) % 0x10000;
}

export function markOf(steering: Steering): number[] {
  return steering.lanes.map((lane) => lane.mark);
}

function getOrMake<Key, Value>(map: Map<Key, Value>, key: Key, make: () => Value): Value {
  let value = map.get(key);
  if (value === undefined) {
    value = make();
    map.set(key, value);
  }
  return value;
}
