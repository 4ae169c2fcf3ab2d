import type { ClassId, NodeId, TunnelId } from './ids.ts';
import type { SignedConfig } from './node-config.ts';
import type { PackedSamples } from './sample-coding.ts';
import type { NodeStatus, PathState, Sample } from './telemetry.ts';

/** First frame of an agent; the node's name is taken from its certificate, and this must agree. */
export interface HelloMessage {
  type: 'hello';
  node: NodeId;
  version: string;
  generation: number;
  commit: string | null;
}

/**
 * Samples from the agent's outbox. `sequence` counts batches of this node from 1 for ever; the engine stores a batch
 * and its number in one transaction, so one sent twice counts once.
 */
export interface SamplesMessage {
  type: 'samples';
  sequence: number;
  samples: Sample[];
}

/** The same as it travels, see sample-coding.ts. */
export interface PackedSamplesMessage extends PackedSamples {
  type: 'packed';
  sequence: number;
}

/** What the node runs now; only the newest counts, so it needs no outbox. */
export interface StatusMessage {
  type: 'status';
  status: Omit<NodeStatus, 'connected' | 'lastSeenAt'>;
  tunnels: TunnelStatus[];
  /** Packets that the anti-leak chain stopped; must stay 0. */
  leakPackets: number;
  /** What class queues dropped since they were made: demand that hosts offered and nobody received. [] without shaping. */
  shaped: { uplink: string; classId: ClassId; droppedPackets: number; /** Absent from agents that do not know. */ droppedBytes?: number }[];
  /** How often somebody else's changes had to be set right since the agent began. */
  repairs: number;
  /** When what the node runs was signed, epoch ms; null when it runs nothing. */
  configSignedAt: number | null;
  /** What a person at the node should look at, a line each; at most `ALARMS_MAX`. */
  alarms: string[];
}

export interface TunnelStatus {
  tunnel: TunnelId;
  /** The IKE SA as the daemon lists it: ESTABLISHED, CONNECTING …; null when absent. */
  ikeState: string | null;
  childState: string | null;
  pathState: PathState;
  /** Greatest packet that the tunnel's path was measured to carry, bytes; null or absent: not known. */
  mtuBytes?: number | null;
}

/** Something the engine should react to at once rather than at the next cycle. */
export interface EventMessage {
  type: 'event';
  event: PathEvent | DriftEvent;
}

export interface PathEvent {
  kind: 'path-down' | 'path-up';
  tunnel: TunnelId;
  at: number;
  lanesSwitched: number;
}

/** Somebody else changed rules, routes or settings that are the agent's, and it set them right. */
export interface DriftEvent {
  kind: 'drift';
  at: number;
  /** What had to be done, a line each; at most `DRIFT_LINES_MAX`. */
  changes: string[];
}

export const DRIFT_LINES_MAX = 20;
export const ALARMS_MAX = 20;

export type AgentMessage = HelloMessage | SamplesMessage | StatusMessage | EventMessage;

/** The engine has these samples on disk: the agent may forget batches up to and including `sequence`. */
export interface AckMessage {
  type: 'ack';
  sequence: number;
  /** Of batch `sequence`; absent: all were taken. */
  refused?: RefusedSamples;
}

/** Samples of a batch that the engine leaves out, while it takes the others: sent again they would be no truer. */
export interface RefusedSamples {
  samples: number;
  /** In a few words, the first of them. */
  example: string;
}

/** The newest config for the node; sent on connect and on every new commit. */
export interface DesiredMessage {
  type: 'desired';
  config: SignedConfig;
}

export interface ErrorMessage {
  type: 'error';
  code: string;
  message: string;
}

/** An operator wants the node to have a new certificate now, and its tunnels to stand on it. */
export interface RenewMessage {
  type: 'renew';
}

/** A key that counts no more. */
export interface Revocation {
  node: NodeId;
  /** sha256 of the public key (SPKI, DER), hex. */
  keySha256: string;
  revokedAt: number;
}

/** Sent on connect and on every revocation: what the IKE daemon has to refuse from now on, and whose SAs have to end. */
export interface RevocationsMessage {
  type: 'revocations';
  /** Rises with every revocation; an agent takes no older one. */
  number: number;
  /** The CA's list of revoked certificates, signed by it. */
  crlPem: string;
  revoked: Revocation[];
}

export type EngineMessage = AckMessage | DesiredMessage | ErrorMessage | RenewMessage | RevocationsMessage;

/** A frame may not be larger than this, bytes. */
export const FRAME_BYTES_MAX = 1_048_576;
/** Name of the WebSocket sub-protocol. */
export const CHANNEL_PROTOCOL = 'foremesh.v1';
