import { classId, nodeId, pathId, siteId, uplinkId } from '../../src/model/index.ts';
import type { NodeStatus, PathSample, TrafficSample, TunnelId, TunnelSample } from '../../src/model/index.ts';

export const BERLIN = siteId('berlin');
export const PARIS = siteId('paris');
export const MADRID = siteId('madrid');
export const BULK = classId('bulk');
export const VOICE = classId('voice');
export const BERLIN_GW1 = nodeId('berlin-gw1');
export const BERLIN_GW2 = nodeId('berlin-gw2');
export const PARIS_GW1 = nodeId('paris-gw1');
export const PATH = pathId(uplinkId(BERLIN_GW1, 'fibre'), uplinkId(PARIS_GW1, 'dsl'));
export const TUNNEL = 't-0000000a' as TunnelId;
export const OTHER_TUNNEL = 't-0000000b' as TunnelId;
/** A multiple of every slot length used here. */
export const START = Date.UTC(2026, 0, 5);

export function traffic(sampledAt: number, offeredBytes: number, more: Partial<TrafficSample> = {}): TrafficSample {
  return { kind: 'traffic', sampledAt, windowMs: 10_000, node: BERLIN_GW1, from: BERLIN, to: PARIS, classId: BULK, offeredBytes, offeredPackets: Math.ceil(offeredBytes / 1000), droppedBytes: 0, ...more };
}

export function path(sampledAt: number, more: Partial<PathSample> = {}): PathSample {
  return { kind: 'path', sampledAt, windowMs: 1000, node: BERLIN_GW1, peer: PARIS_GW1, tunnel: TUNNEL, path: PATH, state: 'up', latencyMs: 20, jitterMs: 1, lossForwardRatio: 0, lossReverseRatio: 0, ...more };
}

export function tunnel(sampledAt: number, rxBytes: number, txBytes: number, more: Partial<TunnelSample> = {}): TunnelSample {
  return { kind: 'tunnel', sampledAt, windowMs: 1000, node: BERLIN_GW1, tunnel: TUNNEL, rxBytes, txBytes, ...more };
}

export const NODE_STATUS: NodeStatus = { node: BERLIN_GW1, connected: true, lastSeenAt: START, generation: 3, commit: null, drift: [] };
