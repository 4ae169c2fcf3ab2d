import { ALARMS_MAX, type PathId } from '../src/model/index.ts';

export interface Condition {
  /** Since the engine was last heard of in this life of the agent, or since its start; 0 while connected, ms. */
  engineSilentMs: number;
  /** What runs was signed at this time, epoch ms; null when nothing runs. */
  configSignedAt: number | null;
  clockBehindMs: number;
  leakPackets: number;
  /** Lost since the agent began, because the outbox was full or its disk bad. */
  droppedBatches: number;
  /** Why the last sample could not be kept; '' when it was. */
  sampleError: string;
  /** What the config names behind this gateway and does not answer; null: all is well. */
  deadLanTarget: string | null;
  /** Paths that carry smaller packets than their uplinks' interfaces take. */
  narrowPaths: readonly { path: PathId; pathBytes: number; interfaceBytes: number }[];
}

const ENGINE_SILENT_MS = 3_600_000;
const CLOCK_BEHIND_MS = 300_000;
const HOUR_MS = 3_600_000;

/** What a person should look at though the node goes on, a line each. None of it changes forwarding. */
export function alarmsOf(condition: Condition): string[] {
  const { engineSilentMs, configSignedAt, clockBehindMs, leakPackets, droppedBatches, sampleError, deadLanTarget, narrowPaths } = condition;
  const plan = configSignedAt === null ? 'no plan' : `the plan of ${new Date(configSignedAt).toISOString()}`;
  return [
    ...(engineSilentMs >= ENGINE_SILENT_MS ? [`no engine for ${Math.floor(engineSilentMs / HOUR_MS)} h: the node goes on with ${plan}`] : []),
    ...(clockBehindMs >= CLOCK_BEHIND_MS ? [`the clock is ${Math.floor(clockBehindMs / 60_000)} min behind the newest signature that was seen: set it, or peers' certificates look not yet valid`] : []),
    ...(leakPackets > 0 ? [`${leakPackets} packets to protected networks were about to leave in clear text and were stopped: somebody took the guard routes away`] : []),
    ...(droppedBatches > 0 ? [`${droppedBatches} batches of samples were lost: the outbox was full or its disk bad`] : []),
    ...(deadLanTarget === null ? [] : [`${deadLanTarget} behind this gateway does not answer: look at the LAN, or name another target`]),
    ...narrowPaths.map(({ path, pathBytes, interfaceBytes }) => `path ${path} carries packets of ${pathBytes} bytes at most, its uplink's interface allows ${interfaceBytes}: larger ones are lost on the way. Traffic is fitted to it; if it is to stay so, set the MTU of the uplink`),
    ...(sampleError === '' ? [] : [`samples cannot be kept: ${sampleError}`]),
  ]
    .map((text) => text.slice(0, 300))
    .slice(0, ALARMS_MAX);
}
