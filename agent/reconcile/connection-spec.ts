import { digest } from '../../src/base/index.ts';
import type { NodeConfig, NodeTunnel } from '../../src/model/index.ts';
import type { ConnectionSpec } from '../ports.ts';
import type { LoadedConnection } from './types.ts';

/** The IKE connection of one tunnel of this node; identities are node names, as in the certificates. */
export function connectionSpecOf(config: NodeConfig, tunnel: NodeTunnel): ConnectionSpec {
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
    ikeRekeyMs: tunnel.ikeRekeyMs,
    espRekeyMs: tunnel.espRekeyMs,
  };
}

/** What is remembered of a loaded connection: whether it is still the wanted one, and whether its SAs are. */
export function loadedConnectionOf(spec: ConnectionSpec): LoadedConnection {
  return { digest: digest(spec), ends: [spec.localAddress, spec.remoteAddress, spec.localOverlay, spec.remoteOverlay].join(' ') };
}
