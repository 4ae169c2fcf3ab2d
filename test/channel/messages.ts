import type { SampleSink } from '../../src/channel/index.ts';
import { nodeId, pathId, siteId, classId, tunnelId, uplinkId, type AgentMessage, type NodeId, type Sample, type SignedConfig } from '../../src/model/index.ts';

export const BERLIN = nodeId('berlin-gw1');
export const PARIS = nodeId('paris-gw1');
const path = pathId(uplinkId(BERLIN, 'fibre'), uplinkId(PARIS, 'dsl'));
const tunnel = tunnelId(path, 'x');

export const TRAFFIC: Sample = {
  kind: 'traffic',
  sampledAt: 1_767_571_200_000,
  windowMs: 10_000,
  node: BERLIN,
  from: siteId('berlin'),
  to: siteId('paris'),
  classId: classId('voice'),
  offeredBytes: 12_500,
  offeredPackets: 100,
  droppedBytes: 2_500,
};

export const SAMPLES: Sample[] = [
  TRAFFIC,
  { kind: 'path', sampledAt: 1, windowMs: 1, node: BERLIN, peer: PARIS, tunnel, path, state: 'up', latencyMs: 12.5, jitterMs: null, lossForwardRatio: 0, lossReverseRatio: null },
  { kind: 'tunnel', sampledAt: 1, windowMs: 1, node: BERLIN, tunnel, rxBytes: 1, txBytes: 2 },
  { kind: 'uplink', sampledAt: 1, windowMs: 1, node: BERLIN, uplink: uplinkId(BERLIN, 'fibre'), rxBytes: 1, txBytes: 2 },
  { kind: 'host', sampledAt: 1, windowMs: 1, node: BERLIN, cpuRatio: 0.5, load: 1.5, memoryUsedBytes: 1, memoryTotalBytes: 2, agentCpuRatio: 0.1, agentRssBytes: 3, daemonCpuRatio: null, daemonRssBytes: null, connections: null },
  { kind: 'services', sampledAt: 1, windowMs: 1, node: BERLIN, from: siteId('berlin'), to: siteId('paris'), classId: classId('voice'), service: 'udp/5004', connections: null, packets: 7 },
];

export const MESSAGES = {
  hello: { type: 'hello', node: BERLIN, version: '0.1.0', generation: 0, commit: null },
  samples: { type: 'samples', sequence: 1, samples: SAMPLES },
  status: {
    type: 'status',
    status: { node: BERLIN, generation: 3, commit: 'a'.repeat(40), drift: ['route missing'], ike: { version: '5.9.8', mlKem: false } },
    tunnels: [{ tunnel, ikeState: 'ESTABLISHED', childState: null, pathState: 'up' }],
    leakPackets: 0,
    repairs: 0,
    shaped: [{ uplink: 'fibre', classId: classId('bulk'), droppedPackets: 3, droppedBytes: 4200 }],
    configSignedAt: 1_767_571_000_000,
    alarms: ['no engine for 2 h'],
  },
  event: { type: 'event', event: { kind: 'path-down', tunnel, at: 1, lanesSwitched: 2 } },
} as const satisfies Record<string, AgentMessage>;

export function signedConfig(commit: string, node: NodeId = BERLIN): SignedConfig {
  return { schema: 'foremesh/signed-config/v1', node, commit, commitObject: '', trees: ['', '', ''], blob: '' };
}

/** As the telemetry stores do it: a batch and its number together, one sent twice counts once. */
export function createSink(): SampleSink & { batches: { node: NodeId; sequence: number; samples: readonly Sample[] }[]; failures: number } {
  const sink = {
    batches: [] as { node: NodeId; sequence: number; samples: readonly Sample[] }[],
    /** So many of the next calls fail. */
    failures: 0,
    async append(node: NodeId, sequence: number, samples: readonly Sample[]): Promise<{ stored: boolean }> {
      await new Promise((resolve) => setImmediate(resolve));
      if (sink.failures > 0) {
        sink.failures--;
        throw new Error('disk full');
      }
      if (sink.batches.some((batch) => batch.node === node && batch.sequence >= sequence)) return { stored: false };
      sink.batches.push({ node, sequence, samples });
      return { stored: true };
    },
  };
  return sink;
}
