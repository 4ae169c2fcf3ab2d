import { createFailover } from '../../../agent/failover/index.ts';
import { createStandby } from '../../../agent/standby/index.ts';
import type { AgentPorts, ProbePort, SaState } from '../../../agent/ports.ts';
import { compareText, createRng, hash32, type Clock, type Log } from '../../base/index.ts';
import type { NodeConfig, NodeId, SiteId, TunnelId, UplinkId } from '../../model/index.ts';
import { SimDaemon } from './daemon.ts';
import { SimKernel, type HostPacket } from './kernel.ts';
import type { SimLan } from './lan.ts';
import type { SimWan } from './wan.ts';

/** What the gateways of one simulated mesh know of each other and of the underlay. */
export interface SimMesh {
  clock: Clock;
  seed: string;
  log: Log;
  wan: SimWan;
  daemons: Map<NodeId, SimDaemon>;
  kernels: Map<NodeId, SimKernel>;
  gateways: Map<NodeId, SimGateway>;
  /** Underlay address → uplink, for the whole mesh. */
  addresses: ReadonlyMap<string, UplinkId>;
  /** By site. */
  lans: ReadonlyMap<SiteId, SimLan>;
  toHost: (site: SiteId, packet: HostPacket) => void;
}

/** One gateway of the simulated network: IKE daemon, kernel forwarding and probe sockets behind the agent's own ports, as far as an agent can tell. */
export class SimGateway {
  readonly ports: AgentPorts;
  readonly #mesh: SimMesh;
  readonly #daemon: SimDaemon;
  readonly #kernel: SimKernel;
  readonly #node: NodeId;
  readonly #lan: SimLan;
  readonly #probeSockets = new Map<TunnelId, (packet: Uint8Array) => void>();

  /** Enters itself into the mesh. */
  constructor(node: NodeId, site: SiteId, mesh: SimMesh) {
    this.#mesh = mesh;
    this.#node = node;
    this.#lan = mesh.lans.get(site)!;
    this.#daemon = new SimDaemon(mesh);
    const toHost = (to: SiteId, packet: HostPacket): void => {
      if (this.#lan.isConnected(node)) mesh.toHost(to, packet);
    };
    this.#kernel = new SimKernel({ daemon: this.#daemon, kernels: mesh.kernels, toHost });
    mesh.daemons.set(node, this.#daemon);
    mesh.kernels.set(node, this.#kernel);
    mesh.gateways.set(node, this);
    const probes = this.#probePort();
    this.ports = {
      ipsec: this.#daemon.port,
      dataplane: this.#kernel.port,
      failover: (events) => createFailover({ probes, traffic: this.#kernel.trafficPort, lanes: this.#kernel.lanePort, clock: mesh.clock, rng: createRng(`${mesh.seed}/${node}/${mesh.clock.now()}`), log: mesh.log, events }),
      standby: (credentials, onView) => createStandby({ node, lan: this.#lan.portOf(node, () => this.#kernel.config?.lan.shared !== undefined), clock: mesh.clock, log: mesh.log, credentials, onView }),
    };
  }

  get config(): NodeConfig | null {
    return this.#kernel.config;
  }

  /** True when hosts of its site send it this flow: it owns the LAN address alone, or announced a shared one last that the flow's host has. */
  serves(flow: string): boolean {
    const config = this.#kernel.config;
    if (!config?.lan.shared) return config?.serving ?? false;
    const addresses = [config.lan.address, ...(config.lan.shared.others ?? []).map(({ address }) => address)].sort(compareText);
    return this.#lan.gateway(addresses[hash32(flow) % addresses.length]) === this.#node;
  }

  /** The machine is gone, with daemon, kernel and LAN; its agent must have been stopped. */
  powerOff(): void {
    this.#daemon.kill();
    this.#kernel.reset();
    this.#lan.powerOff(this.#node);
  }

  powerOn(): void {
    this.#daemon.start();
    this.#lan.setConnected(this.#node, true);
  }

  setLan(isConnected: boolean): void {
    this.#lan.setConnected(this.#node, isConnected);
  }

  listSas(): (SaState & { peer: NodeId })[] {
    return this.#daemon.listSas();
  }

  killDaemon(): void {
    this.#daemon.kill();
    this.#kernel.dropInterfaces();
  }

  startDaemon(): void {
    this.#daemon.start();
  }

  /** A packet from a host of this site. */
  forward(packet: HostPacket): void {
    this.#kernel.forward(packet, 'lan');
  }

  /** Sends `bytes` through exactly this tunnel, as a measuring program bound to the overlay address does. */
  sendThroughTunnel(tunnel: TunnelId, bytes: number, arrive: () => void): void {
    this.#daemon.send(tunnel, bytes, arrive);
  }

  #probePort(): ProbePort {
    return {
      open: async (tunnel, _localOverlay, _remoteOverlay, onPacket) => {
        this.#probeSockets.set(tunnel, onPacket);
        return {
          send: (packet) => {
            const copy = Uint8Array.from(packet);
            const node = this.#daemon.peerOf(tunnel);
            const peer = node === null ? undefined : this.#mesh.gateways.get(node);
            this.#daemon.send(tunnel, packet.length, () => {
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
