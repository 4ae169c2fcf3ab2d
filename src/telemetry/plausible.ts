import type { HostSample, NodeId, PathSample, Sample, ServicesSample, TrafficSample, TunnelSample } from '../model/index.ts';

/** No window of one pair or tunnel holds more: 10^15 bytes would be 800 Gbit/s for hours. */
export const SAMPLE_BYTES_MAX = 1e15;
/** How far ahead of the engine's clock a node's may be, ms. */
export const FUTURE_MAX_MS = 3_600_000;
const WINDOW_MAX_MS = 86_400_000;
const LATENCY_MAX_MS = 600_000;
/** No packet goes through two kernels and two ciphers and back in less; who says so makes it up. */
export const LATENCY_MIN_MS = 0.01;
const NAME_LENGTH_MAX = 200;
const LOAD_MAX = 100_000;
const CORES_MAX = 4_096;
const CONNECTIONS_MAX = 1e9;
const USERS_MAX = 1e6;
const PACKETS_MAX = 1e15;

/** Why a sample cannot be true. `clock`: its window ends more than an hour from now; `figures`: no counter or packet can say so. */
export type Implausibility = 'clock' | 'figures';

export interface Plausible {
  plausible: Sample[];
  /** Of those that cannot be true; what was read together with one of them is left out as well, and not in here. */
  dropped: Record<Implausibility, number>;
  /** In a few words, the first that cannot be true. */
  example: string | null;
}

/**
 * Parts a batch into samples that can be true and the number of those that cannot: figures that are NaN, negative or
 * beyond all bounds, round trips that no packet can make, ends of windows more than an hour ahead, and samples that speak for another node than the sender.
 * Where one counter of offered traffic cannot be true, nothing that the node read of traffic, paths and tunnels at that
 * instant counts: the rest alone would say that hosts had offered nothing, which is no more known than what they did.
 */
export function splitPlausible(node: NodeId, samples: readonly Sample[], now: number): Plausible {
  const dropped = { clock: 0, figures: 0 };
  const unreadable = new Set<number>();
  let example: string | null = null;
  const possible = samples.filter((sample) => {
    if (isPlausible(node, sample, now)) return true;
    const reason: Implausibility = sample.node === node && sample.sampledAt > now + FUTURE_MAX_MS ? 'clock' : 'figures';
    dropped[reason] += 1;
    example ??= exampleOf(sample);
    if (sample.node === node && sample.kind === 'traffic' && sample.from !== sample.to && isTimely(sample, now)) unreadable.add(sample.sampledAt);
    return false;
  });
  const plausible = unreadable.size === 0 ? possible : possible.filter(({ kind, sampledAt }) => !(unreadable.has(sampledAt) && ['traffic', 'path', 'tunnel'].includes(kind)));
  return { plausible, dropped, example };
}

function exampleOf(sample: Sample): string {
  if (sample.kind === 'traffic') return `${isText(sample.from) ? sample.from : '?'} to ${isText(sample.to) ? sample.to : '?'}: ${String(sample.offeredBytes).slice(0, 24)} bytes offered`;
  if (sample.kind === 'tunnel') return `tunnel ${isText(sample.tunnel) ? sample.tunnel : '?'}: ${String(sample.rxBytes).slice(0, 24)} bytes in, ${String(sample.txBytes).slice(0, 24)} out`;
  if (sample.kind === 'path') return `path ${isText(sample.path) ? sample.path : '?'}: round trip ${String(sample.latencyMs).slice(0, 24)} ms`;
  return `a sample of kind ${String((sample as { kind: unknown }).kind).slice(0, 24)}`;
}

function isTimely(sample: Sample, now: number): boolean {
  return isBetween(sample.sampledAt, 1, now + FUTURE_MAX_MS) && isBetween(sample.windowMs, 1, WINDOW_MAX_MS);
}

function isPlausible(node: NodeId, sample: Sample, now: number): boolean {
  if (sample.node !== node) return false;
  if (!isTimely(sample, now)) return false;
  switch (sample.kind) {
    case 'traffic':
      return isTrafficPlausible(sample);
    case 'path':
      return isPathPlausible(sample);
    case 'tunnel':
      return isTunnelPlausible(sample);
    case 'uplink':
      return uplinksNode(sample.uplink) === node && isBytes(sample.rxBytes) && isBytes(sample.txBytes);
    case 'host':
      return isHostPlausible(sample);
    case 'users':
      return ['class', 'role'].includes(sample.group) && isText(sample.name) && isBetween(sample.hosts, 0, USERS_MAX);
    case 'services':
      return isServicesPlausible(sample);
    default:
      return false; // a newer agent's kind: not ours to guess
  }
}

function isTrafficPlausible(sample: TrafficSample): boolean {
  return [sample.from, sample.to, sample.classId].every(isText) && sample.from !== sample.to && isBytes(sample.offeredBytes) && isBytes(sample.offeredPackets) && isBetween(sample.droppedBytes, 0, sample.offeredBytes);
}

/** One of the two figures, which its protocol says. */
function isServicesPlausible(sample: ServicesSample): boolean {
  const isCounted = sample.service.startsWith('tcp/') ? sample.packets === null && isBetween(sample.connections, 0, CONNECTIONS_MAX) : sample.connections === null && isBetween(sample.packets, 0, PACKETS_MAX);
  return [sample.from, sample.to, sample.classId, sample.service].every(isText) && sample.from !== sample.to && isCounted;
}

function isPathPlausible(sample: PathSample): boolean {
  return (
    [sample.path, sample.tunnel, sample.peer].every(isText) &&
    ['up', 'degraded', 'down', 'unknown'].includes(sample.state) &&
    isNullOrBetween(sample.latencyMs, LATENCY_MIN_MS, LATENCY_MAX_MS) &&
    isNullOrBetween(sample.jitterMs, 0, LATENCY_MAX_MS) &&
    isNullOrBetween(sample.lossForwardRatio, 0, 1) &&
    isNullOrBetween(sample.lossReverseRatio, 0, 1)
  );
}

function isTunnelPlausible(sample: TunnelSample): boolean {
  return isText(sample.tunnel) && isBytes(sample.rxBytes) && isBytes(sample.txBytes);
}

function isHostPlausible(sample: HostSample): boolean {
  const bytes = [sample.memoryUsedBytes, sample.memoryTotalBytes, sample.agentRssBytes];
  return (
    isBetween(sample.cpuRatio, 0, 1) &&
    isBetween(sample.load, 0, LOAD_MAX) &&
    bytes.every(isBytes) &&
    isBetween(sample.agentCpuRatio, 0, CORES_MAX) &&
    isNullOrBetween(sample.daemonCpuRatio, 0, CORES_MAX) &&
    isNullOrBetween(sample.daemonRssBytes, 0, SAMPLE_BYTES_MAX) &&
    isNullOrBetween(sample.connections, 0, CONNECTIONS_MAX)
  );
}

function uplinksNode(uplink: unknown): string | null {
  return isText(uplink) ? String(uplink).split('/')[0]! : null;
}

function isText(value: unknown): boolean {
  return typeof value === 'string' && value.length > 0 && value.length <= NAME_LENGTH_MAX;
}

function isBytes(value: unknown): boolean {
  return isBetween(value, 0, SAMPLE_BYTES_MAX);
}

function isNullOrBetween(value: unknown, low: number, high: number): boolean {
  return value === null || isBetween(value, low, high);
}

function isBetween(value: unknown, low: number, high: number): boolean {
  return typeof value === 'number' && value >= low && value <= high;
}
