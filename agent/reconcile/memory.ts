import type { NodeTunnel, TunnelId } from '../../src/model/index.ts';
import { pointedAs } from '../failover/index.ts';
import type { LaneWanted } from '../ports.ts';
import { loadedConnectionOf } from './connection-spec.ts';
import { noteRenewal, rememberCredentials, rememberRenewal } from './renewal.ts';
import { retryDelayMs, tryKey, type TryKind } from './timing.ts';
import type { Action, Desired, Draining, Memory, Observed } from './types.ts';

/** What an agent knows when its life begins. */
export function firstMemory(nowMs: number): Memory {
  return {
    startedAtMs: nowMs,
    desiredSinceMs: nowMs,
    known: new Map(),
    adopted: null,
    credentialsSerial: null,
    loaded: new Map(),
    tries: new Map(),
    absentSinceMs: new Map(),
    inForce: null,
    applied: null,
    touched: null,
    probing: new Map(),
    draining: new Map(),
    stale: new Set(),
    renewal: null,
  };
}

/** A new config is wanted from now on; definitions of earlier tunnels are kept, the config's own win. */
export function rememberDesired(memory: Memory, desired: Desired, nowMs: number): Memory {
  const known = new Map<TunnelId, NodeTunnel>(memory.known);
  for (const config of [...desired.earlier].reverse()) for (const tunnel of config.tunnels) known.set(tunnel.id, tunnel);
  for (const tunnel of desired.config.tunnels) known.set(tunnel.id, tunnel);
  const startedAtMs = memory.adopted === null ? nowMs : memory.startedAtMs;
  return { ...memory, known, startedAtMs, desiredSinceMs: nowMs, tries: new Map() };
}

/** Takes in what was observed: what is there to adopt, what is absent since when, what drains. */
export function noteObserved(memory: Memory, desired: Desired, observed: Observed, nowMs: number): Memory {
  const working = workingTunnels(memory, observed);
  const installed = installedTunnels(memory, observed);
  const wanted = wantedTunnels(desired);
  const used = usedTunnels(memory);
  const exists = new Set<TunnelId>([...(observed.daemon?.sas.map((sa) => sa.tunnel) ?? working), ...observed.interfaces]);
  const renewal = noteRenewal(memory, desired, observed, installed, nowMs);
  const tries = new Map([...renewal.tries].filter(([key]) => !isSettled(key, installed, exists)));
  return {
    ...memory,
    ...renewal,
    tries,
    adopted: memory.adopted ?? new Set([...working].filter((tunnel) => observed.interfaces.includes(tunnel))),
    known: new Map([...memory.known].filter(([tunnel]) => wanted.has(tunnel) || exists.has(tunnel) || used.has(tunnel))),
    absentSinceMs: new Map([...wanted.keys()].filter((tunnel) => !installed.has(tunnel)).map((tunnel) => [tunnel, memory.absentSinceMs.get(tunnel) ?? nowMs])),
    draining: new Map([...exists].filter((tunnel) => !wanted.has(tunnel) && !used.has(tunnel)).map((tunnel) => [tunnel, drainingOf(memory.draining.get(tunnel), observed.rxPackets.get(tunnel) ?? null, nowMs)])),
  };
}

function isSettled(key: string, installed: ReadonlySet<TunnelId>, exists: ReadonlySet<TunnelId>): boolean {
  const [kind, tunnel] = key.split(' ') as [TryKind, TunnelId];
  return (kind === 'initiate' && installed.has(tunnel)) || (kind === 'terminate' && !exists.has(tunnel));
}

function drainingOf(before: Draining | undefined, rxPackets: number | null, nowMs: number): Draining {
  if (!before) return { sinceMs: nowMs, rxPackets, quietSinceMs: nowMs };
  const isQuiet = before.rxPackets === rxPackets;
  return { sinceMs: before.sinceMs, rxPackets, quietSinceMs: isQuiet ? before.quietSinceMs : nowMs };
}

/** The tunnels that should exist. */
export function wantedTunnels(desired: Desired): Map<TunnelId, NodeTunnel> {
  return new Map(desired.config.tunnels.map((tunnel) => [tunnel.id, tunnel]));
}

/** Known tunnels whose CHILD SA is installed; while the daemon does not answer, those that still have an interface. */
export function installedTunnels(memory: Memory, observed: Observed): Set<TunnelId> {
  const found = observed.daemon ? observed.daemon.sas.filter((sa) => sa.childState === 'INSTALLED').map((sa) => sa.tunnel) : observed.interfaces;
  return new Set(found.filter((tunnel) => memory.known.has(tunnel)));
}

/** Those, and the ones that the kernel goes on with: they carry traffic while their SA is made anew. */
export function workingTunnels(memory: Memory, observed: Observed): Set<TunnelId> {
  return new Set([...installedTunnels(memory, observed), ...observed.kept.filter((tunnel) => memory.known.has(tunnel))]);
}

/** Wanted tunnels with an interface whose probes come back: whatever the daemon lists, packets flow. */
export function keptTunnels(desired: Desired, interfaces: readonly TunnelId[], probes: Observed['probes']): TunnelId[] {
  const wanted = wantedTunnels(desired);
  return interfaces.filter((tunnel) => wanted.has(tunnel) && ['up', 'degraded'].includes(probes.get(tunnel)?.state ?? 'unknown'));
}

/** The tunnels that the steering in the kernel names. */
export function usedTunnels(memory: Memory): Set<TunnelId> {
  return new Set((memory.inForce ?? []).flatMap((steering) => steering.lanes.flatMap((lane) => [...lane.tunnels, ...(lane.copies ?? [])])));
}

/** The kernel's forwarding state changed, by us or by somebody. */
export function rememberTouch(memory: Memory, { atMs, isLoss }: NonNullable<Memory['touched']>): Memory {
  return { ...memory, touched: { atMs: memory.touched?.atMs ?? atMs, isLoss: isLoss || memory.touched?.isLoss === true } };
}

/** An action was done. */
export function remember(memory: Memory, action: Action, nowMs: number): Memory {
  switch (action.kind) {
    case 'load-credentials':
      return rememberCredentials(memory, action.serial, action.adoptedAreCurrent);
    case 'initiate-beside':
    case 'terminate-some':
      return rememberRenewal(memory, action, nowMs);
    case 'apply':
      return { ...memory, inForce: action.inForce, applied: { wanted: action.wanted, atMs: nowMs, isUnconfirmed: false } };
    case 'load-connection':
      return { ...memory, loaded: withEntry(memory.loaded, action.spec.tunnel, loadedConnectionOf(action.spec)), tries: withoutEntry(memory.tries, tryKey('load', action.spec.tunnel)) };
    case 'initiate':
      return rememberTry(memory, 'initiate', action.tunnel, nowMs);
    case 'start-probe':
      return { ...memory, probing: withEntry(memory.probing, action.tunnel, action.settingsKey), tries: withoutEntry(memory.tries, tryKey('probe', action.tunnel)) };
    case 'stop-probe':
      return { ...memory, probing: withoutEntry(memory.probing, action.tunnel) };
    case 'terminate':
      return rememberTry(memory, 'terminate', action.tunnel, nowMs);
    case 'unload-connection':
      return { ...memory, loaded: withoutEntry(memory.loaded, action.tunnel) };
    default:
      return memory;
  }
}

/** An action on one tunnel failed; the others go on, and it is tried again later. */
export function rememberTry(memory: Memory, kind: TryKind, tunnel: TunnelId, nowMs: number): Memory {
  const key = tryKey(kind, tunnel);
  const count = (memory.tries.get(key)?.count ?? 0) + 1;
  return { ...memory, tries: withEntry(memory.tries, key, { count, nextAtMs: nowMs + retryDelayMs(key, count) }) };
}

/** Lanes were switched past `apply`, the fast way; the next pass has it confirmed. */
export function rememberSwitch(memory: Memory, switched: readonly LaneWanted[]): Memory {
  if (!memory.applied) return memory;
  const now = new Map(switched.map((lane) => [lane.mark, lane]));
  const lanes = memory.applied.wanted.lanes.map((lane) => pointedAs(lane, now.get(lane.mark) ?? lane));
  return { ...memory, applied: { ...memory.applied, isUnconfirmed: true, wanted: { ...memory.applied.wanted, lanes } } };
}

function withEntry<Key, Value>(map: ReadonlyMap<Key, Value>, key: Key, value: Value): ReadonlyMap<Key, Value> {
  return new Map(map).set(key, value);
}

function withoutEntry<Key, Value>(map: ReadonlyMap<Key, Value>, key: Key): ReadonlyMap<Key, Value> {
  return new Map([...map].filter(([other]) => other !== key));
}
