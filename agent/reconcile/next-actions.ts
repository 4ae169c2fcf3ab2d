import { isDeepStrictEqual } from 'node:util';
import { canonicalJson, compareText } from '../../src/base/index.ts';
import type { ClassId, NodeConfig, NodeTunnel, Steering, TunnelId } from '../../src/model/index.ts';
import { chooseLanes, healthOf, type TunnelHealth } from '../failover/index.ts';
import type { DataplaneWanted, TunnelInterface } from '../ports.ts';
import type { PathSettings, ProbeView } from '../probe/index.ts';
import { type KeyMeans, lackOf, wantedConnectionOf } from './connection-spec.ts';
import { installedTunnels, usedTunnels, wantedTunnels, workingTunnels } from './memory.ts';
import { onceFor } from './once.ts';
import { RENEWAL_POLL_MS, renewalActions } from './renewal.ts';
import { chooseSteering } from './steering.ts';
import { ABSENT_POLL_MS, ADOPT_MARGIN_MS, DAEMON_POLL_MS, DRAIN_MAX_MS, DRAIN_MS, DRAIN_POLL_MS, HEAL_MS, REAPPLY_MS, RESPONDER_GRACE_MS, STEERING_PATIENCE_MS, TOUCHED_MS, TOUCHED_PAUSE_MS, tryKey, type TryKind } from './timing.ts';
import type { Action, Desired, Memory, Observed } from './types.ts';

/**
 * The steps from what is to what should be, in order of execution; repeating it after each pass ends in a lone `wait`.
 * Makes before it breaks: addresses, interfaces and connections first, then exchanges, then probes; traffic moves when
 * a probe came back; what nothing uses any more goes last. SAs found at the start are adopted, those of no config end.
 *
 * @param memory  after `noteObserved` of the same `observed`
 * @param nowMs   monotonic
 */
export function nextActions(desired: Desired, observed: Observed, memory: Memory, nowMs: number): Action[] {
  const scene = look(desired, observed, memory, nowMs);
  if (isAdopting(scene)) {
    const loads = connections(scene).filter((action) => action.kind === 'load-connection' && scene.working.has(action.spec.tunnel));
    return [...credentials(scene, loads), ...loads, ...probeStarts(scene, [...scene.working]), { kind: 'wait', untilMs: adoptLimitMs(scene), for: 'probes of adopted tunnels' }];
  }
  const wanted = dataplaneWanted(scene);
  const loads = connections(scene);
  const actions = [
    ...credentials(scene, loads),
    ...application(scene, wanted),
    ...loads,
    ...initiations(scene),
    ...renewalActions(memory, desired, observed, nowMs),
    ...probes(scene, wanted),
    ...retirements(scene),
  ];
  return [...actions, ...waits(scene, actions)];
}

/** What still differs from the config, one line each; empty when the node is in step. */
export function differences(desired: Desired, observed: Observed, memory: Memory, nowMs: number): string[] {
  const scene = look(desired, observed, memory, nowMs);
  return [
    ...(observed.daemon ? [] : ['the IKE daemon does not answer']),
    ...(desired.isLanLost ? ['the LAN is lost: another gateway of the site has to carry its traffic'] : []),
    ...[...scene.wanted.keys()].filter((tunnel) => !scene.installed.has(tunnel)).map((tunnel) => `tunnel ${tunnel} has ${isNarrowed(tunnel, observed) ? 'an SA for its overlay addresses only: the peer runs another driver' : 'no SA'}`),
    ...[...scene.wanted.keys()].filter((tunnel) => scene.working.has(tunnel) && !observed.interfaces.includes(tunnel)).map((tunnel) => `tunnel ${tunnel} has no interface`),
    ...[...scene.wanted.values()].flatMap((tunnel) => {
      const lack = lackOf(tunnel, meansOf(desired, observed));
      return lack === null ? [] : [`tunnel ${tunnel.id} ${lack}`];
    }),
    ...scene.steeringWaits,
    ...[...scene.old].map((tunnel) => `tunnel ${tunnel} is not in the config and not gone yet`),
  ].sort(compareText);
}

function meansOf({ ppks }: Desired, { daemon }: Observed): KeyMeans {
  return { ppks, ike: daemon?.ike ?? null };
}

function isNarrowed(tunnel: TunnelId, { daemon }: Observed): boolean {
  return daemon?.sas.some((sa) => sa.tunnel === tunnel && sa.childState === 'NARROWED') === true;
}

/** How a tunnel of this node is probed, and what its classes need of a path. */
export function pathSettingsOf({ probe, classes }: NodeConfig): PathSettings {
  return { ...probe, classes: classes.flatMap(({ id, sla }) => (sla ? [{ classId: id, ...sla }] : [])) };
}

const pathSettingsKey = onceFor((config: NodeConfig) => canonicalJson(pathSettingsOf(config)));

/** The daemon may hold connections of other people; ours are named by tunnel ids. */
const OURS = /^t-[0-9a-f]{8}$/;

interface Scene {
  desired: Desired;
  observed: Observed;
  memory: Memory;
  nowMs: number;
  wanted: Map<TunnelId, NodeTunnel>;
  working: Set<TunnelId>;
  /** Tunnels that the daemon has an SA for. */
  installed: Set<TunnelId>;
  /** Not wanted, but with an SA or a connection. */
  old: TunnelId[];
  /** Not wanted, and in the way: a wanted tunnel has their overlay address. */
  conflicting: Set<TunnelId>;
  health: (tunnel: TunnelId, classes?: readonly ClassId[]) => TunnelHealth;
  inForce: Steering[];
  steeringWaits: string[];
}

function look(desired: Desired, observed: Observed, memory: Memory, nowMs: number): Scene {
  const wanted = wantedTunnels(desired);
  const overlays = new Set([...wanted.values()].map((tunnel) => tunnel.local.overlay));
  const isConflicting = (tunnel: TunnelId): boolean => !wanted.has(tunnel) && overlays.has(memory.known.get(tunnel)?.local.overlay ?? '');
  const all = workingTunnels(memory, observed);
  const conflicting = new Set([...all].filter(isConflicting));
  const working = new Set([...all].filter((tunnel) => !conflicting.has(tunnel)));
  const renewing = new Set(memory.renewal ? [memory.renewal.tunnel] : []);
  const health = (tunnel: TunnelId, classes: readonly ClassId[] = []): TunnelHealth => healthOf(tunnel, working, memory.adopted, observed.probes, renewing, classes);
  const choice = chooseSteering(desired, memory, health, nowMs);
  const inDaemon = [...(observed.daemon?.sas.map((sa) => sa.tunnel) ?? []), ...(observed.daemon?.connections ?? [])];
  const old = [...new Set(inDaemon)].filter((tunnel) => OURS.test(tunnel) && !wanted.has(tunnel)).sort(compareText);
  return { desired, observed, memory, nowMs, wanted, working, installed: installedTunnels(memory, observed), old, conflicting, health, inForce: choice.inForce, steeringWaits: choice.waiting };
}

function isAdopting(scene: Scene): boolean {
  if (scene.memory.applied || scene.nowMs >= adoptLimitMs(scene)) return false;
  const found = [...(scene.memory.adopted ?? [])].filter((tunnel) => scene.working.has(tunnel));
  return found.some((tunnel) => (scene.observed.probes.get(tunnel)?.state ?? 'unknown') === 'unknown');
}

function adoptLimitMs({ memory, desired }: Scene): number {
  return memory.startedAtMs + desired.config.probe.intervalMs * (desired.config.probe.downAfter + 1) + ADOPT_MARGIN_MS;
}

/** Loaded anew when there are new ones, and whenever the daemon has nothing of ours and is about to get something. */
function credentials({ desired, observed, memory }: Scene, loads: readonly Action[]): Action[] {
  if (!observed.daemon) return [];
  const { connections } = observed.daemon;
  const isBlank = loads.length > 0 && !connections.some((tunnel) => memory.loaded.has(tunnel));
  return memory.credentialsSerial !== desired.credentialsSerial || isBlank ? [{ kind: 'load-credentials', serial: desired.credentialsSerial, adoptedAreCurrent: desired.adoptedAreCurrent }] : [];
}

function dataplaneWanted(scene: Scene): DataplaneWanted {
  const { desired, observed, memory, wanted, working } = scene;
  const present = [...working].sort(compareText).map((id) => wanted.get(id) ?? memory.known.get(id)!);
  const overlays = new Set([...wanted.values(), ...present].map((tunnel) => tunnel.local.overlay));
  const previous = new Map((memory.applied?.wanted.lanes ?? []).map((lane) => [lane.mark, lane]));
  return {
    config: desired.config,
    overlayAddresses: [...overlays].sort(compareText),
    interfaces: present.map((tunnel) => interfaceOf(tunnel, observed.probes.get(tunnel.id)?.mtu ?? null)),
    lanes: chooseLanes(scene.inForce, scene.health, previous, scene.observed.probes),
    steering: scene.inForce.map(({ to, classId, prefixes, lanes }) => ({ to, classId, prefixes, lanes: lanes.map(({ mark, weight, tunnels: [key] }) => ({ mark, weight, ...(key === undefined ? {} : { key }) })) })),
  };
}

function interfaceOf({ id, local, remote, esp }: NodeTunnel, mtu: ProbeView['mtu']): TunnelInterface {
  return {
    tunnel: id,
    localOverlay: local.overlay,
    remoteOverlay: remote.overlay,
    uplink: local.interface,
    underlay: local.address.includes(':') ? 'ipv6' : 'ipv4',
    esp: esp.map(({ encryption, integrity }) => ({ encryption, integrity })),
    ...(mtu && mtu.pathBytes < mtu.interfaceBytes ? { pathMtuBytes: mtu.pathBytes } : {}),
  };
}

function application({ memory, observed, inForce, nowMs }: Scene, wanted: DataplaneWanted): Action[] {
  const { applied } = memory;
  const isSame = applied !== null && !applied.isUnconfirmed && applied.wanted.config === wanted.config && isDeepStrictEqual({ ...applied.wanted, config: null }, { ...wanted, config: null });
  const isDue = applied !== null && nowMs >= Math.min(applied.atMs + (isMissing(wanted, observed) ? REAPPLY_MS : HEAL_MS), touchedDueMs(memory) ?? Number.POSITIVE_INFINITY);
  return isSame && !isDue ? [] : [{ kind: 'apply', wanted, inForce, isRepair: isSame }];
}

/** When the kernel is to be compared because it told of changes; null when it did not. */
function touchedDueMs({ touched, applied }: Memory): number | null {
  if (!touched || !applied) return null;
  return touched.isLoss ? Math.max(touched.atMs, applied.atMs + REAPPLY_MS) : Math.max(touched.atMs + TOUCHED_MS, applied.atMs + TOUCHED_PAUSE_MS);
}

/** The kernel lost an interface, or could not make it yet because the daemon's own device is not there. */
function isMissing(wanted: DataplaneWanted, observed: Observed): boolean {
  const present = new Set(observed.interfaces);
  return wanted.interfaces.some(({ tunnel }) => !present.has(tunnel));
}

function connections({ desired, observed, memory, wanted, nowMs }: Scene): Action[] {
  if (!observed.daemon) return [];
  const { connections, sas } = observed.daemon;
  const present = new Set(connections);
  const means = meansOf(desired, observed);
  return [...wanted.values()].flatMap((tunnel): Action[] => {
    if (lackOf(tunnel, means) !== null) return [];
    const { spec, loaded: next } = wantedConnectionOf(desired.config, tunnel, means);
    const before = memory.loaded.get(tunnel.id);
    if ((before?.digest === next.digest && present.has(tunnel.id)) || !isDue(memory, 'load', tunnel.id, nowMs)) return [];
    const isMoved = before !== undefined && before.ends !== next.ends && sas.some((sa) => sa.tunnel === tunnel.id);
    return [{ kind: 'load-connection', spec }, ...(isMoved ? [{ kind: 'terminate', tunnel: tunnel.id } as const] : [])];
  });
}

/**
 * The initiating end at once, the other after a grace time and from its last tunnel on: where hundreds come up the two
 * ends meet in the middle, and do not make the same SA twice. Both with growing pauses; nobody towards a peer whose
 * address is not known.
 */
function initiations({ desired, observed, memory, wanted, installed, nowMs }: Scene): Action[] {
  if (!observed.daemon) return [];
  const sas = new Map(observed.daemon.sas.map((sa) => [sa.tunnel, sa]));
  const tunnels = [...wanted.values()];
  const inTurn = [...tunnels.filter(({ initiator }) => initiator), ...tunnels.filter(({ initiator }) => !initiator).reverse()];
  return inTurn.flatMap((tunnel): Action[] => {
    const graceOverAtMs = (memory.absentSinceMs.get(tunnel.id) ?? nowMs) + (tunnel.initiator ? 0 : RESPONDER_GRACE_MS);
    if (lackOf(tunnel, meansOf(desired, observed)) !== null || tunnel.remote.address === undefined) return [];
    if (installed.has(tunnel.id) || nowMs < graceOverAtMs || !isDue(memory, 'initiate', tunnel.id, nowMs) || !isDue(memory, 'load', tunnel.id, nowMs)) return [];
    const sa = sas.get(tunnel.id);
    const isChildless = sa?.ikeState === 'ESTABLISHED' && sa.childState === null;
    const tries = memory.tries.get(tryKey('initiate', tunnel.id))?.count ?? 0;
    if (sa && !isChildless) return []; // an exchange is under way
    return [...(isChildless && tries >= 3 ? [{ kind: 'terminate', tunnel: tunnel.id } as const] : []), { kind: 'initiate', tunnel: tunnel.id }];
  });
}

function probes(scene: Scene, wanted: DataplaneWanted): Action[] {
  const there = scene.desired.isLanLost ? [] : wanted.interfaces.map(({ tunnel }) => tunnel);
  const stops = [...scene.observed.probes.keys()].filter((tunnel) => !there.includes(tunnel)).sort(compareText);
  return [...stops.map((tunnel): Action => ({ kind: 'stop-probe', tunnel })), ...probeStarts(scene, there)];
}

function probeStarts({ desired, observed, memory, wanted, nowMs }: Scene, tunnels: readonly TunnelId[]): Action[] {
  return [...tunnels].sort(compareText).flatMap((id): Action[] => {
    const tunnel = wanted.get(id) ?? memory.known.get(id)!;
    const settingsKey = `${pathSettingsKey(desired.config)} ${tunnel.local.overlay} ${tunnel.remote.overlay}`;
    if (!isDue(memory, 'probe', id, nowMs) || (observed.probes.has(id) && memory.probing.get(id) === settingsKey)) return [];
    return [{ kind: 'start-probe', tunnel: id, localOverlay: tunnel.local.overlay, remoteOverlay: tunnel.remote.overlay, settingsKey }];
  });
}

function retirements(scene: Scene): Action[] {
  if (!scene.observed.daemon) return [];
  const { sas, connections } = scene.observed.daemon;
  return scene.old.filter((tunnel) => mayGo(tunnel, scene)).flatMap((tunnel): Action[] => [
    ...(scene.observed.probes.has(tunnel) ? [{ kind: 'stop-probe', tunnel } as const] : []),
    ...(sas.some((sa) => sa.tunnel === tunnel) && isDue(scene.memory, 'terminate', tunnel, scene.nowMs) ? [{ kind: 'terminate', tunnel } as const] : []),
    ...(connections.includes(tunnel) ? [{ kind: 'unload-connection', tunnel } as const] : []),
  ]);
}

/** Nothing of ours uses it, what was under way has arrived, and the peer has left it too (or has had its time). */
function mayGo(tunnel: TunnelId, { memory, observed, conflicting, nowMs, inForce }: Scene): boolean {
  if (!memory.known.has(tunnel) || conflicting.has(tunnel)) return true;
  if (usedTunnels(memory).has(tunnel) || inForce.some((steering) => steering.lanes.some((lane) => lane.tunnels.includes(tunnel) || lane.copies?.includes(tunnel)))) return false;
  const draining = memory.draining.get(tunnel);
  const drainedMs = draining ? nowMs - draining.sinceMs : 0;
  if (!draining || drainedMs < DRAIN_MS) return false;
  const isQuiet = nowMs - draining.quietSinceMs >= DRAIN_MS || !observed.interfaces.includes(tunnel);
  const isPeerSending = observed.probes.get(tunnel)?.peerInUse ?? !isQuiet; // its word, or what comes in while its agent is away
  return !isPeerSending || drainedMs >= DRAIN_MAX_MS;
}

function isDue(memory: Memory, kind: TryKind, tunnel: TunnelId, nowMs: number): boolean {
  return nowMs >= (memory.tries.get(tryKey(kind, tunnel))?.nextAtMs ?? 0);
}

/** When to look again though nothing happens. After any action the next pass comes at once, so there is no wait then. */
function waits(scene: Scene, actions: readonly Action[]): Action[] {
  if (actions.length > 0) return [];
  const { memory, nowMs, wanted, installed, old, desired } = scene;
  const times: { untilMs: number; for: string }[] = [{ untilMs: (memory.applied?.atMs ?? nowMs) + HEAL_MS, for: 'comparison with the kernel' }];
  if (memory.applied && isMissing(memory.applied.wanted, scene.observed)) times.push({ untilMs: memory.applied.atMs + REAPPLY_MS, for: 'interfaces' });
  const touchedMs = touchedDueMs(memory);
  if (touchedMs !== null) times.push({ untilMs: touchedMs, for: 'comparison after changes in the kernel' });
  if (!scene.observed.daemon) times.push({ untilMs: nowMs + DAEMON_POLL_MS, for: 'the IKE daemon' });
  for (const { nextAtMs } of memory.tries.values()) if (nextAtMs > nowMs) times.push({ untilMs: nextAtMs, for: 'the next try' });
  for (const tunnel of wanted.values()) {
    const graceOverAtMs = (memory.absentSinceMs.get(tunnel.id) ?? nowMs) + RESPONDER_GRACE_MS;
    if (!installed.has(tunnel.id) && !tunnel.initiator && graceOverAtMs > nowMs) times.push({ untilMs: graceOverAtMs, for: `the peer's exchange for ${tunnel.id}` });
    else if (!installed.has(tunnel.id)) times.push({ untilMs: nowMs + ABSENT_POLL_MS, for: `the SA of ${tunnel.id}` });
  }
  if (old.some((tunnel) => !usedTunnels(memory).has(tunnel))) times.push({ untilMs: nowMs + DRAIN_POLL_MS, for: 'old tunnels to drain' });
  if (memory.renewal) times.push({ untilMs: nowMs + RENEWAL_POLL_MS, for: `new keys of ${memory.renewal.tunnel}` });
  else if (memory.stale.size > 0) times.push({ untilMs: nowMs + ABSENT_POLL_MS, for: 'tunnels that want new keys' });
  if (scene.steeringWaits.length > 0 && nowMs < memory.desiredSinceMs + STEERING_PATIENCE_MS) times.push({ untilMs: memory.desiredSinceMs + STEERING_PATIENCE_MS, for: `new steering of ${desired.config.site}` });
  times.sort((left, right) => left.untilMs - right.untilMs);
  const [first] = times;
  return first ? [{ kind: 'wait', ...first }] : [];
}
