import { digest, ofFamily } from '../../src/base/index.ts';
import { type IkeDaemon, ikeIdentity, type NodeConfig, type NodeId, type NodeTunnel } from '../../src/model/index.ts';
import type { ConnectionSpec, Ppk } from '../ports.ts';
import { onceFor } from './once.ts';
import { rekeyTimesOf } from './rekey-schedule.ts';
import type { LoadedConnection } from './types.ts';

/** What a tunnel's key exchange may need besides its suites. */
export interface KeyMeans {
  ppks: ReadonlyMap<NodeId, Ppk>;
  /** Null: the daemon has not said what it can. */
  ike: IkeDaemon | null;
}

/** A tunnel's connection, and what is remembered of it once it is loaded. */
export interface WantedConnection {
  spec: ConnectionSpec;
  loaded: LoadedConnection;
}

/** `connectionSpecOf` with its digest; worked out anew only when the config or the means are others: each pass asks it of all tunnels. */
export function wantedConnectionOf(config: NodeConfig, tunnel: NodeTunnel, means: KeyMeans): WantedConnection {
  const memo = connectionsOf(config);
  if (memo.ppks !== means.ppks || memo.ike !== means.ike) Object.assign(memo, { ...means, byTunnel: new Map() });
  const known = memo.byTunnel.get(tunnel);
  if (known) return known;
  const spec = connectionSpecOf(config, tunnel, means);
  const wanted = { spec, loaded: loadedConnectionOf(spec) };
  memo.byTunnel.set(tunnel, wanted);
  return wanted;
}

const connectionsOf = onceFor((_config: NodeConfig): Partial<KeyMeans> & { byTunnel: Map<NodeTunnel, WantedConnection> } => ({ byTunnel: new Map() }));

const hasIpv6 = onceFor(({ sites }: NodeConfig) => sites.some(({ prefixes }) => ofFamily(prefixes, 'ipv6').length > 0));

/** The IKE connection of one tunnel of this node; identities are node names, as in the certificates. */
export function connectionSpecOf(config: NodeConfig, tunnel: NodeTunnel, means: KeyMeans): ConnectionSpec {
  return {
    tunnel: tunnel.id,
    initiator: tunnel.initiator,
    localAddress: tunnel.local.address,
    remoteAddress: tunnel.remote.address ?? null,
    ...(tunnel.local.nat ? { isBehindNat: true } : {}),
    localIdentity: ikeIdentity(config.node, tunnel.initiator ? tunnel.initiatorNumber : undefined),
    remoteIdentity: ikeIdentity(tunnel.peer, tunnel.initiator ? undefined : tunnel.initiatorNumber),
    localOverlay: tunnel.local.overlay,
    remoteOverlay: tunnel.remote.overlay,
    ...(hasIpv6(config) ? { ipv6: true as const } : {}),
    ike: tunnel.ike,
    esp: tunnel.esp,
    ...rekeyTimesOf(config, tunnel),
    ppk: tunnel.postQuantum === 'ppk' ? (means.ppks.get(tunnel.peer) ?? null) : null,
    ...mlKemOf(tunnel, means),
  };
}

/** What the key exchange of a tunnel lacks at this node, which does without the tunnel until it has it; null: nothing. */
export function lackOf({ postQuantum, peer }: NodeTunnel, { ppks, ike }: KeyMeans): string | null {
  if (postQuantum === 'ppk' && !ppks.has(peer)) return 'waits for its post-quantum key';
  if (postQuantum !== 'mlkem' || ike?.mlKem === true) return null;
  return `does not come up (AGENT_MLKEM_MISSING): the IKE daemon here (${ike?.version ?? 'of unknown version'}) has no ML-KEM; install strongSwan 6 with it, or write postQuantum: mlkem-preferred`;
}

function mlKemOf({ postQuantum }: NodeTunnel, { ike }: KeyMeans): Pick<ConnectionSpec, 'mlKem'> {
  if (postQuantum === 'mlkem') return { mlKem: 'required' };
  return postQuantum === 'mlkem-preferred' && ike?.mlKem === true ? { mlKem: 'preferred' } : {};
}

/** What is remembered of a loaded connection: whether it is still the wanted one, and whether its SAs are. */
export function loadedConnectionOf(spec: ConnectionSpec): LoadedConnection {
  return { digest: digest(spec), ends: [spec.localAddress, spec.remoteAddress ?? 'any', spec.localOverlay, spec.remoteOverlay].join(' ') };
}
