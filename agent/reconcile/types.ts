import type { ClassId, IkeDaemon, NodeConfig, NodeId, NodeTunnel, SiteId, Steering, TunnelId } from '../../src/model/index.ts';
import type { Ppk, ConnectionSpec, DataplaneWanted, SaState } from '../ports.ts';
import type { ProbeView } from '../probe/index.ts';

/** What the node should be. */
export interface Desired {
  config: NodeConfig;
  /** Configs it ran before and whose tunnels may still carry traffic after a restart, newest first. */
  earlier: readonly NodeConfig[];
  /** Counts up with every new certificate, so that the daemon gets it. */
  credentialsSerial: number;
  /** SAs found at the start were made with the certificate of now. */
  adoptedAreCurrent: boolean;
  /** What comes out of tunnels cannot be delivered: peers are to take another gateway of the site, so probes are not answered. */
  isLanLost: boolean;
  /** Post-quantum keys by peer. */
  ppks: ReadonlyMap<NodeId, Ppk>;
}

/** What the node is, read at one instant. */
export interface Observed {
  /** Null while the IKE daemon does not answer. */
  daemon: { connections: readonly TunnelId[]; sas: readonly SaState[]; ike: IkeDaemon | null } | null;
  interfaces: readonly TunnelId[];
  /** Tunnels that the kernel carries though the daemon knows no SA of them: it was killed and started again. They answer. */
  kept: readonly TunnelId[];
  probes: ReadonlyMap<TunnelId, ProbeView>;
  /** Packets received by tunnel interfaces so far; read only while a tunnel drains. */
  rxPackets: ReadonlyMap<TunnelId, number>;
}

/** What was done and seen so far in this life of the agent. Immutable; memory.ts makes the next from the last. Times are monotonic ms. */
export interface Memory {
  startedAtMs: number;
  /** Since when `desired.config` is wanted. */
  desiredSinceMs: number;
  /** Every tunnel whose definition is known: of the config, and of earlier ones while their tunnels exist. */
  known: ReadonlyMap<TunnelId, NodeTunnel>;
  /** Tunnels found working when this life began; null before the first look. */
  adopted: ReadonlySet<TunnelId> | null;
  credentialsSerial: number | null;
  loaded: ReadonlyMap<TunnelId, LoadedConnection>;
  /** Tries so far, by `kind tunnel`, and when the next is due. */
  tries: ReadonlyMap<string, Tries>;
  /** Since when a wanted tunnel has had no working CHILD SA. */
  absentSinceMs: ReadonlyMap<TunnelId, number>;
  /** Steering as last given to the kernel; null before the first time. */
  inForce: readonly Steering[] | null;
  /** `isUnconfirmed`: lanes were switched since, past `apply` and without an answer. */
  applied: { wanted: DataplaneWanted; atMs: number; isUnconfirmed: boolean } | null;
  /** Changes that the kernel told of and no apply has looked at yet: since when, and whether all our rules went; null when there are none. */
  touched: { atMs: number; isLoss: boolean } | null;
  /** Probe sessions started, with the settings they were started with. */
  probing: ReadonlyMap<TunnelId, string>;
  draining: ReadonlyMap<TunnelId, Draining>;
  /** Tunnels whose SAs were authenticated with an older certificate than the daemon has now. */
  stale: ReadonlySet<TunnelId>;
  /** The one whose keys are being made anew. */
  renewal: Renewal | null;
}

/** Where the move of one tunnel to a new certificate stands (see renewal.ts). */
export interface Renewal {
  tunnel: TunnelId;
  phase: 'leaving' | 'making' | 'proving' | 'ending';
  /** Since when it is in this phase. */
  sinceMs: number;
  /** The IKE SA that is to be replaced. */
  ikeId: number;
}

export interface LoadedConnection {
  digest: string;
  /** Addresses both ways; a change of these needs a new SA. */
  ends: string;
}

export interface Tries {
  count: number;
  nextAtMs: number;
}

/** A tunnel that no steering of ours uses any more; the peer may still send. */
export interface Draining {
  sinceMs: number;
  rxPackets: number | null;
  quietSinceMs: number;
}

/** One step, in the words of the ports. The order in a list is the order of execution. */
export type Action =
  | { kind: 'load-credentials'; serial: number; adoptedAreCurrent: boolean }
  /** `isRepair`: what the kernel was told last is still wanted, so what this changes was undone by somebody else. */
  | { kind: 'apply'; wanted: DataplaneWanted; inForce: readonly Steering[]; isRepair: boolean }
  | { kind: 'load-connection'; spec: ConnectionSpec }
  | { kind: 'initiate'; tunnel: TunnelId }
  | { kind: 'initiate-beside'; tunnel: TunnelId }
  | { kind: 'terminate-some'; tunnel: TunnelId; which: 'older' | 'newest' }
  | { kind: 'start-probe'; tunnel: TunnelId; localOverlay: string; remoteOverlay: string; settingsKey: string }
  | { kind: 'stop-probe'; tunnel: TunnelId }
  | { kind: 'terminate'; tunnel: TunnelId }
  | { kind: 'unload-connection'; tunnel: TunnelId }
  /** Nothing more to do before `untilMs` unless something changes. */
  | { kind: 'wait'; untilMs: number; for: string };

export type SteeringKey = `${SiteId} ${ClassId}`;

export function steeringKey(steering: Pick<Steering, 'to' | 'classId'>): SteeringKey {
  return `${steering.to} ${steering.classId}`;
}
