import { roundTo } from '../../src/base/index.ts';
import { type ClassId, type NodeConfig, type PathState, type Sample, type SiteId, type TunnelId, uplinkId, USERS_MIN } from '../../src/model/index.ts';
import type { DataplaneCounters } from '../ports.ts';
import type { HostReading, ProcessReading } from '../posture/index.ts';
import type { PathWindow } from '../probe/index.ts';
import { droppedRatios, grown, type QueueReading } from './dropped.ts';

/** The kernel's counters at one instant; two of them make a window. */
export interface CounterReading extends QueueReading {
  /** Epoch ms. */
  readAt: number;
  offered: { to: SiteId; classId: ClassId; bytes: number; packets: number }[];
  tunnels: { tunnel: TunnelId; rxBytes: number; txBytes: number; ownRxBytes?: number; ownTxBytes?: number }[];
  /** Absent in what an earlier version kept. */
  links?: DataplaneCounters['links'];
  users?: DataplaneCounters['users'];
  host?: HostReading | null;
}

export interface PathReading {
  state: PathState;
  window: PathWindow | null;
}

export interface SampleContext {
  config: NodeConfig;
  paths: ReadonlyMap<TunnelId, PathReading>;
  /** How long the probes measured for this window, ms. */
  probedMs: number;
  /** (site, class) pairs that had traffic lately: their silence is news, that of others is not. */
  isActive: (to: SiteId, classId: ClassId) => boolean;
}

/** Two readings further apart tell nothing about when the traffic was. */
export const WINDOW_MAX_MS = 3_600_000;

export function readingOf(counters: DataplaneCounters, readAt: number, host: HostReading | null = null): CounterReading {
  return {
    readAt,
    offered: counters.offered.map(({ to, classId, bytes, packets }) => ({ to, classId, bytes, packets })),
    tunnels: counters.tunnels.map(({ tunnel, rxBytes, txBytes, ownRxBytes, ownTxBytes }) => ({ tunnel, rxBytes, txBytes, ...(ownRxBytes === undefined ? {} : { ownRxBytes }), ...(ownTxBytes === undefined ? {} : { ownTxBytes }) })),
    links: counters.links,
    shaped: counters.shaped.map(({ uplink, classId, sentPackets, droppedPackets }) => ({ uplink, classId, sentPackets, droppedPackets })),
    queued: counters.queued ?? [],
    users: (counters.users ?? []).map((one) => ({ ...one, hosts: one.hosts < USERS_MIN ? 0 : one.hosts })),
    host,
  };
}

/**
 * Samples of the window between two readings: traffic per (site, class), bytes per tunnel and uplink, the machine's load,
 * and the paths' probes.
 * A counter below its last value has started again, so all of it is new. Without a last reading, or after a step of
 * the wall clock, only paths are reported.
 */
export function samplesOf(before: CounterReading | null, now: CounterReading, context: SampleContext): Sample[] {
  const { config } = context;
  const windowMs = before ? now.readAt - before.readAt : 0;
  const hasWindow = windowMs > 0 && windowMs <= WINDOW_MAX_MS;
  return [...(before && hasWindow ? [...trafficSamples(before, now, windowMs, context), ...tunnelSamples(before, now, windowMs, config), ...uplinkSamples(before, now, windowMs, config), ...hostSamples(before, now, windowMs, config), ...usersSamples(now, windowMs, config)] : []), ...pathSamples(now.readAt, context)];
}

function trafficSamples(before: CounterReading, now: CounterReading, windowMs: number, { config, isActive }: SampleContext): Sample[] {
  const last = new Map(before.offered.map((counter) => [`${counter.to} ${counter.classId}`, counter]));
  const droppedRatio = droppedRatios(before, now);
  return now.offered.flatMap((counter): Sample[] => {
    const { to, classId } = counter;
    const offeredBytes = grown(counter.bytes, last.get(`${to} ${classId}`)?.bytes);
    const offeredPackets = grown(counter.packets, last.get(`${to} ${classId}`)?.packets);
    if (to === config.site || (offeredPackets === 0 && !(config.serving && isActive(to, classId)))) return [];
    return [{ kind: 'traffic', sampledAt: now.readAt, windowMs, node: config.node, from: config.site, to, classId, offeredBytes, offeredPackets, droppedBytes: Math.round(offeredBytes * droppedRatio(to, classId)) }];
  });
}

function tunnelSamples(before: CounterReading, now: CounterReading, windowMs: number, config: NodeConfig): Sample[] {
  const last = new Map(before.tunnels.map((counter) => [counter.tunnel, counter]));
  return now.tunnels
    .filter(({ tunnel }) => config.tunnels.some(({ id }) => id === tunnel))
    .map(({ tunnel, rxBytes, txBytes, ownRxBytes, ownTxBytes }) => ({
      kind: 'tunnel',
      sampledAt: now.readAt,
      windowMs,
      node: config.node,
      tunnel,
      rxBytes: withoutOwn(grown(rxBytes, last.get(tunnel)?.rxBytes), ownRxBytes, last.get(tunnel)?.ownRxBytes),
      txBytes: withoutOwn(grown(txBytes, last.get(tunnel)?.txBytes), ownTxBytes, last.get(tunnel)?.ownTxBytes),
    }));
}

function uplinkSamples(before: CounterReading, now: CounterReading, windowMs: number, { node, uplinks }: NodeConfig): Sample[] {
  const counterOf = (reading: CounterReading, name: string): DataplaneCounters['links'][number] | undefined => reading.links?.find((link) => link.interface === name);
  return uplinks.flatMap(({ name, interface: device }): Sample[] => {
    const [last, counter] = [counterOf(before, device), counterOf(now, device)];
    if (!last || !counter) return []; // what an interface carried before it was first seen is no rate of this window
    return [{ kind: 'uplink', sampledAt: now.readAt, windowMs, node, uplink: uplinkId(node, name), rxBytes: grown(counter.rxBytes, last.rxBytes), txBytes: grown(counter.txBytes, last.txBytes) }];
  });
}

/** Nothing over a restart of the machine, when its counters began again; of a process, only where it is the same one. */
function hostSamples(before: CounterReading, now: CounterReading, windowMs: number, { node }: NodeConfig): Sample[] {
  const [last, host] = [before.host, now.host];
  if (!last || !host || host.cpuTotalMs <= last.cpuTotalMs) return [];
  const shareOf = (process: ProcessReading | null, then: ProcessReading | null): number | null =>
    process && then?.pid === process.pid ? roundTo(Math.max(0, process.cpuMs - then.cpuMs) / windowMs, 4) : null;
  return [
    {
      kind: 'host',
      sampledAt: now.readAt,
      windowMs,
      node,
      cpuRatio: roundTo(Math.min(1, Math.max(0, host.cpuBusyMs - last.cpuBusyMs) / (host.cpuTotalMs - last.cpuTotalMs)), 4),
      load: host.load,
      memoryUsedBytes: host.memoryUsedBytes,
      memoryTotalBytes: host.memoryTotalBytes,
      agentCpuRatio: shareOf(host.agent, last.agent) ?? roundTo(host.agent.cpuMs / windowMs, 4),
      agentRssBytes: host.agent.rssBytes,
      daemonCpuRatio: shareOf(host.daemon, last.daemon),
      daemonRssBytes: host.daemon?.rssBytes ?? null,
      connections: host.connections,
    },
  ];
}

function usersSamples({ readAt, users = [] }: CounterReading, windowMs: number, { node, countUsers }: NodeConfig): Sample[] {
  return countUsers ? users.map(({ group, name, hosts }) => ({ kind: 'users', sampledAt: readAt, windowMs, node, group, name, hosts })) : [];
}

function pathSamples(sampledAt: number, { config, paths, probedMs }: SampleContext): Sample[] {
  return config.tunnels.map(({ id, path, peer }) => {
    const { state, window } = paths.get(id) ?? { state: 'unknown', window: null };
    return {
      kind: 'path',
      sampledAt,
      windowMs: probedMs,
      node: config.node,
      peer,
      tunnel: id,
      path,
      state,
      latencyMs: rounded(window?.latencyMs, 3),
      jitterMs: rounded(window?.jitterMs, 3),
      lossForwardRatio: rounded(window?.lossForwardRatio, 5),
      lossReverseRatio: rounded(window?.lossReverseRatio, 5),
    };
  });
}

/** Probes are no traffic: they would keep a tunnel that nobody uses for ever. Both were read together, so more than all is rounding at the edge. */
function withoutOwn(grownBytes: number, own: number | undefined, before: number | undefined): number {
  return own === undefined ? grownBytes : Math.max(0, grownBytes - grown(own, before));
}

function rounded(value: number | null | undefined, digits: number): number | null {
  return value === null || value === undefined ? null : roundTo(value, digits);
}
