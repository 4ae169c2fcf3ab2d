import type { ConnectionSpec, Credentials, IpsecPort, SaState } from '../../../agent/ports.ts';
import { canonicalJson, ForemeshError, type Cancel, type Clock } from '../../base/index.ts';
import { type NodeId, nodeOfIkeIdentity, type TunnelId, type UplinkId } from '../../model/index.ts';
import type { SimWan } from './wan.ts';

interface SimSa {
  ikeId: number;
  establishedMs: number;
  bytesIn: number;
  bytesOut: number;
  packetsIn: number;
  packetsOut: number;
  silentChecks: number;
}

/** ESP in UDP, without what is inside. */
export const ESP_OVERHEAD_BYTES = 60;
const IKE_MESSAGE_BYTES = 400;
const IKE_RETRANSMIT_MS = 300;
const IKE_TRIES = 3;
const DPD_INTERVAL_MS = 1000;
const DPD_MISSES_MAX = 3;

export interface SimDaemonOptions {
  clock: Clock;
  wan: SimWan;
  /** All daemons of the mesh, this one too; filled while they are made. */
  daemons: ReadonlyMap<NodeId, SimDaemon>;
  /** Underlay address → uplink, for the whole mesh. */
  addresses: ReadonlyMap<string, UplinkId>;
}

interface Ends {
  local: UplinkId;
  remote: UplinkId;
  peer: SimDaemon;
}

/**
 * The IKE daemon of one gateway and its ESP, behind the agent's own port. An SA needs two exchanges, both ends'
 * connections and certificates of the same CA; what is sent through it costs the underlay what ESP would.
 */
export class SimDaemon {
  readonly port: IpsecPort;
  readonly #options: SimDaemonOptions;
  #credentials: Credentials | null = null;
  readonly #connections = new Map<TunnelId, ConnectionSpec>();
  readonly #sas = new Map<TunnelId, SimSa>();
  readonly #initiating = new Set<TunnelId>();
  readonly #listeners = new Set<() => void>();
  #isUp = true;
  #ikeIds = 0;

  constructor(options: SimDaemonOptions) {
    this.#options = options;
    this.port = this.#createPort();
    this.#scheduleDeadPeerDetection();
  }

  get isUp(): boolean {
    return this.#isUp;
  }

  listSas(): (SaState & { peer: NodeId })[] {
    return [...this.#sas].map(([tunnel, sa]) => ({ ...this.#saState(tunnel, sa), peer: nodeOfIkeIdentity(this.#connections.get(tunnel)?.remoteIdentity ?? '') }));
  }

  /** SAs, connections and keys go with it. */
  kill(): void {
    this.#isUp = false;
    this.#sas.clear();
    this.#initiating.clear();
    this.#connections.clear();
    this.#credentials = null;
  }

  start(): void {
    this.#isUp = true;
    this.#notify();
  }

  /** The node at the other end of a tunnel that has a connection here. */
  peerOf(tunnel: TunnelId): NodeId | null {
    const identity = this.#connections.get(tunnel)?.remoteIdentity;
    return identity === undefined ? null : nodeOfIkeIdentity(identity);
  }

  /** Sends `bytes` through the tunnel's SA; `arrive` is called when the peer has an SA for it too. Nothing leaves without one. */
  send(tunnel: TunnelId, bytes: number, arrive: () => void): void {
    const sa = this.#sas.get(tunnel);
    const ends = this.#ends(tunnel);
    if (!sa || !ends) return;
    sa.packetsOut++;
    sa.bytesOut += bytes;
    this.#options.wan.send({
      from: ends.local,
      to: ends.remote,
      bytes: bytes + ESP_OVERHEAD_BYTES,
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

  #ends(tunnel: TunnelId): Ends | null {
    const { addresses, daemons } = this.#options;
    const spec = this.#connections.get(tunnel);
    const local = spec && addresses.get(spec.localAddress);
    const peer = spec && daemons.get(nodeOfIkeIdentity(spec.remoteIdentity));
    const remote = spec && addresses.get(spec.remoteAddress ?? (peer ? peer.#connections.get(tunnel)?.localAddress : null) ?? '');
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
      establishedSeconds: Math.floor((this.#options.clock.monotonicMs() - sa.establishedMs) / 1000),
      ikeId: sa.ikeId,
      besides: 0,
    };
  }

  #notify(): void {
    for (const listener of this.#listeners) listener();
  }

  #createPort(): IpsecPort {
    const requireUp = (): void => {
      if (!this.#isUp) throw new ForemeshError('VICI_CLOSED', { what: 'VICI: the simulated IKE daemon is not running', fix: 'nothing, it is tried again' });
    };
    return {
      loadCredentials: async (credentials) => {
        requireUp();
        this.#credentials = credentials;
      },
      // certificates are compared by their CA only here: a revoked node is kept out by its SAs being ended, and may come again
      loadRevocations: async () => requireUp(),
      terminatePeers: async (identities) => {
        requireUp();
        const tunnels = [...this.#sas.keys()].filter((tunnel) => identities.includes(nodeOfIkeIdentity(this.#connections.get(tunnel)?.remoteIdentity ?? '')));
        for (const tunnel of tunnels) this.#sas.delete(tunnel);
        this.#notify();
        return tunnels.length;
      },
      loadConnection: async (spec) => {
        requireUp();
        this.#connections.set(spec.tunnel, spec);
      },
      unloadConnection: async (tunnel) => {
        requireUp();
        this.#connections.delete(tunnel);
      },
      listConnections: async () => {
        requireUp();
        return [...this.#connections.keys()];
      },
      initiate: async (tunnel) => {
        requireUp();
        if (this.#initiating.has(tunnel) || this.#sas.has(tunnel)) return;
        this.#initiating.add(tunnel);
        this.#tryInitiate(tunnel, 1);
      },
      // packets pass from the old SA to the new one without a gap here, so the old one needs no time beside it
      initiateBeside: async (tunnel) => {
        requireUp();
        const ends = this.#ends(tunnel);
        if (!ends || !this.#sas.has(tunnel)) return;
        this.#sendIke(ends, () => {
          if (!ends.peer.#replace(tunnel)) return;
          ends.peer.#sendIke({ local: ends.remote, remote: ends.local, peer: this }, () => this.#replace(tunnel));
        });
      },
      terminateSome: async () => requireUp(),
      terminate: async (tunnel) => {
        requireUp();
        const ends = this.#ends(tunnel);
        if (!this.#sas.delete(tunnel) || !ends) return;
        this.#notify();
        this.#sendIke(ends, () => {
          if (ends.peer.#sas.delete(tunnel)) ends.peer.#notify();
        });
      },
      listSas: async () => {
        requireUp();
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
    if (!ends || !spec || !this.#isUp || attempt > IKE_TRIES) {
      this.#initiating.delete(tunnel);
      this.#notify();
      return;
    }
    let answered = false;
    const back = (then: () => void): void => ends.peer.#sendIke({ local: ends.remote, remote: ends.local, peer: this }, then);
    this.#sendIke(ends, () => {
      if (!ends.peer.#isUp) return;
      back(() =>
        this.#sendIke(ends, () => {
          if (!ends.peer.#accepts(tunnel, spec, this.#credentials)) return;
          ends.peer.#install(tunnel);
          back(() => {
            answered = true;
            if (!this.#initiating.delete(tunnel) || !this.#isUp) return;
            this.#install(tunnel);
          });
        }),
      );
    });
    this.#options.clock.setTimer(IKE_RETRANSMIT_MS * attempt * 2, () => {
      if (!answered && this.#initiating.has(tunnel)) this.#tryInitiate(tunnel, attempt + 1);
    });
  }

  #sendIke(ends: Ends, arrive: () => void): void {
    this.#options.wan.send({ from: ends.local, to: ends.remote, bytes: IKE_MESSAGE_BYTES, kind: 'ike', arrive });
  }

  #accepts(tunnel: TunnelId, offered: ConnectionSpec, credentials: Credentials | null): boolean {
    const own = this.#connections.get(tunnel);
    return (
      this.#isUp &&
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
    const establishedMs = this.#options.clock.monotonicMs();
    if (!this.#sas.has(tunnel)) this.#sas.set(tunnel, { establishedMs, ikeId: ++this.#ikeIds, bytesIn: 0, bytesOut: 0, packetsIn: 0, packetsOut: 0, silentChecks: 0 });
    this.#notify();
  }

  #replace(tunnel: TunnelId): boolean {
    const sa = this.#sas.get(tunnel);
    if (!sa || !this.#isUp) return false;
    this.#sas.set(tunnel, { ...sa, ikeId: ++this.#ikeIds, establishedMs: this.#options.clock.monotonicMs() });
    this.#notify();
    return true;
  }

  /** Only tidies up: an SA whose peer is silent goes after some seconds. */
  #scheduleDeadPeerDetection(): void {
    this.#options.clock.setTimer(DPD_INTERVAL_MS, () => {
      for (const [tunnel, sa] of this.#sas) {
        const ends = this.#ends(tunnel);
        if (++sa.silentChecks > DPD_MISSES_MAX || !ends) {
          this.#sas.delete(tunnel);
          this.#notify();
          continue;
        }
        this.#sendIke(ends, () => {
          if (!ends.peer.#isUp || !ends.peer.#sas.has(tunnel)) return;
          ends.peer.#sendIke({ local: ends.remote, remote: ends.local, peer: this }, () => {
            sa.silentChecks = 0;
          });
        });
      }
      this.#scheduleDeadPeerDetection();
    });
  }
}
