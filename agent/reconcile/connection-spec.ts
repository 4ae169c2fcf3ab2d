import { digest } from '../../src/base/index.ts';
import type { NodeConfig, NodeId, NodeTunnel } from '../../src/model/index.ts';
import type { ConnectionSpec, Ppk } from '../ports.ts';
import { rekeyTimesOf } from './rekey-schedule.ts';
import type { LoadedConnection } from './types.ts';

/** The IKE connection of one tunnel of this node; identities are node names, as in the certificates. */
export function connectionSpecOf(config: NodeConfig, tunnel: NodeTunnel, ppks: ReadonlyMap<NodeId, Ppk>): ConnectionSpec {
  return {
    tunnel: tunnel.id,
    initiator: tunnel.initiator,
    localAddress: tunnel.local.address,
    remoteAddress: tunnel.remote.address,
    localIdentity: config.node,
    remoteIdentity: tunnel.peer,
    localOverlay: tunnel.local.overlay,
    remoteOverlay: tunnel.remote.overlay,
    ike: tunnel.ike,
    esp: tunnel.esp,
    ...rekeyTimesOf(config, tunnel),
    ppk: tunnel.postQuantum === 'ppk' ? (ppks.get(tunnel.peer) ?? null) : null,
  };
}

/** The tunnel asks for a post-quantum key that this node has not got yet; it does without the tunnel until then. */
export function isKeyMissing(tunnel: NodeTunnel, ppks: ReadonlyMap<NodeId, Ppk>): boolean {
  return tunnel.postQuantum === 'ppk' && !ppks.has(tunnel.peer);
}

/** What is remembered of a loaded connection: whether it is still the wanted one, and whether its SAs are. */
export function loadedConnectionOf(spec: ConnectionSpec): LoadedConnection {
  return { digest: digest(spec), ends: [spec.localAddress, spec.remoteAddress, spec.localOverlay, spec.remoteOverlay].join(' ') };
}
