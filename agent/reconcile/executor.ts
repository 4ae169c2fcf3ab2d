import { type Cancel, type Clock, ForemeshError, type Log, messageOf, sleep, Waiting } from '../../src/base/index.ts';
import type { TunnelId } from '../../src/model/index.ts';
import type { Failover } from '../failover/index.ts';
import type { AgentPorts, Credentials, DataplaneWanted, LaneWanted, SaState } from '../ports.ts';
import { firstMemory, keptTunnels, noteObserved, remember, rememberDesired, rememberSwitch, rememberTouch, rememberTry } from './memory.ts';
import { differences, nextActions, pathSettingsOf } from './next-actions.ts';
import { retryDelayMs } from './timing.ts';
import type { Action, Desired, Memory, Observed } from './types.ts';

export interface ReconcilerDeps {
  ports: AgentPorts;
  clock: Clock;
  log: Log;
  failover: Failover;
  credentials: () => Credentials;
  /** After each pass, for status reports. */
  onPass: () => void;
  /** Somebody else changed the kernel and it was set right: one line each of what had to be done. */
  onRepair: (changes: readonly string[]) => void;
}

/** Keeps the node as its config says: one pass at a time, woken by changes, ended by `stop` (which leaves all as it is). */
export interface Reconciler {
  setDesired(desired: Desired): void;
  wake(): void;
  /** Lanes were switched by the fail-over; the next pass has them confirmed. */
  noteSwitched(lanes: readonly LaneWanted[], number: number): void;
  view(): ReconcilerView;
  stop(): Promise<void>;
}

export interface ReconcilerView {
  sas: readonly SaState[];
  /** What differs from the config, one line each. */
  drift: readonly string[];
  /** Nothing differs from the config and nothing is left to do; says nothing about whether paths answer. */
  isSettled: boolean;
  /** Every tunnel that is up stands on the certificate of now. */
  isRenewed: boolean;
}

/** Passes in a row without rest after which something undoes what we do; then one a second. */
const RESTLESS_PASSES = 60;
const RESTLESS_PAUSE_MS = 1_000;
/** A pass that took this long is followed by a rest of so many times that, up to a bound, ms. */
const LONG_PASS_MS = 50;
const REST_FACTOR = 3;
const REST_MAX_MS = 600;

export function createReconciler(deps: ReconcilerDeps): Reconciler {
  const { ports, clock, log, failover } = deps;
  let memory: Memory = firstMemory(clock.monotonicMs());
  let desired: Desired | null = null;
  let view: ReconcilerView = { sas: [], drift: [], isSettled: false, isRenewed: false };
  let isWoken = false;
  let isStopped = false;
  let isRunning = false;
  let lastLoop: Promise<void> = Promise.resolve();
  let cancelTimer: Cancel = () => undefined;
  let failures = 0;
  let restless = 0;
  let lastError = '';
  let isDaemonMissed = false;
  let toldRenewal: TunnelId | null = null;
  /** The last apply could not do everything yet. */
  let isApplyWaiting = false;
  /** Number of the newest switch that was heard of, and of the newest that this pass's actions know. */
  let switchesHeard = 0;
  let switchesKnown = 0;

  function wake(): void {
    isWoken = true;
    if (!isRunning && !isStopped && desired) lastLoop = loop();
  }

  async function loop(): Promise<void> {
    isRunning = true;
    try {
      while (shouldRun()) {
        isWoken = false;
        cancelTimer();
        const beganMs = clock.monotonicMs();
        const untilMs = await onePass();
        deps.onPass();
        if (untilMs === 'again') isWoken = true;
        if (shouldRun()) await rest(clock.monotonicMs() - beganMs);
        else if (untilMs !== 'again' && !isStopped) cancelTimer = clock.setTimer(Math.max(0, untilMs - clock.monotonicMs()), wake);
      }
    } finally {
      isRunning = false; // in the same turn as the last look at isWoken, so no wake is lost
    }
  }

  /** While hundreds of tunnels come up each event wakes a pass over all of them: a quarter of the time goes into passes, more where they are slow. */
  async function rest(tookMs: number): Promise<void> {
    if (tookMs >= LONG_PASS_MS) await sleep(clock, Math.min(REST_FACTOR * tookMs, REST_MAX_MS));
  }

  function shouldRun(): boolean {
    return isWoken && !isStopped;
  }

  /** Does what is to do now and answers when to look again, monotonic ms. */
  async function onePass(): Promise<number | 'again'> {
    try {
      const untilMs = await pass(desired!);
      failures = 0;
      lastError = '';
      restless = untilMs === 'again' ? restless + 1 : 0;
      if (restless < RESTLESS_PASSES) return untilMs;
      log.error({ passes: restless }, 'reconcile finds no rest: something undoes its work');
      restless = 0;
      return clock.monotonicMs() + RESTLESS_PAUSE_MS;
    } catch (cause) {
      return clock.monotonicMs() + pauseAfter(cause);
    }
  }

  function pauseAfter(cause: unknown): number {
    failures++;
    const message = messageOf(cause);
    if (message !== lastError) log[cause instanceof ForemeshError ? 'warn' : 'error']({ error: message, failures }, 'reconcile pass failed, will be repeated');
    lastError = message;
    view = { ...view, drift: [`last pass failed: ${message}`], isSettled: false };
    return cause instanceof Waiting ? cause.retryAfterMs : retryDelayMs('pass', failures);
  }

  async function pass(target: Desired): Promise<number | 'again'> {
    const observed = await observe();
    if (target !== desired) return 'again';
    const nowMs = clock.monotonicMs();
    switchesKnown = switchesHeard;
    memory = noteObserved(memory, target, observed, nowMs);
    tellRenewal(memory.renewal?.tunnel ?? null);
    const actions = nextActions(target, observed, memory, nowMs);
    const drift = differences(target, observed, memory, nowMs);
    view = { sas: observed.daemon?.sas ?? [], drift, isSettled: drift.length === 0 && memory.renewal === null && memory.stale.size === 0 && actions.every(({ kind }) => kind === 'wait'), isRenewed: memory.credentialsSerial === target.credentialsSerial && memory.stale.size === 0 };
    for (const action of actions) {
      if (isStopped || target !== desired) return 'again';
      if (action.kind === 'wait') return action.untilMs;
      await attempt(action);
    }
    return 'again';
  }

  function tellRenewal(tunnel: TunnelId | null): void {
    if (tunnel !== toldRenewal) failover.setRenews(tunnel === null ? [] : [tunnel]);
    toldRenewal = tunnel;
  }

  async function observe(): Promise<Observed> {
    const counters = await ports.dataplane.tunnelCounters();
    const daemon = await observeDaemon();
    const interfaces = counters.map(({ tunnel }) => tunnel);
    const probes = failover.views();
    return { daemon, interfaces, kept: ports.dataplane.keepsSas === true ? keptTunnels(desired!, interfaces, probes) : [], probes, rxPackets: new Map(counters.map((counter) => [counter.tunnel, counter.rxPackets])) };
  }

  async function observeDaemon(): Promise<Observed['daemon']> {
    try {
      const daemon = { connections: await ports.ipsec.listConnections(), sas: await ports.ipsec.listSas(), ike: ports.ipsec.ike?.() ?? null };
      isDaemonMissed = false;
      return daemon;
    } catch (cause) {
      // A daemon that is away is a state to handle, not a failure of the pass: the kernel still gets what it can.
      if (!isDaemonMissed) log.warn({ error: messageOf(cause) }, 'the IKE daemon does not answer');
      isDaemonMissed = true;
      return null;
    }
  }

  /** One tunnel's trouble does not hold up the others; trouble with the kernel or a lost daemon ends the pass. */
  async function attempt(action: Action): Promise<void> {
    try {
      await execute(action);
      memory = remember(memory, action, clock.monotonicMs());
      if (action.kind === 'apply') giveLanes();
    } catch (cause) {
      const kind = RETRIED[action.kind];
      if (!kind || cause instanceof Waiting) throw cause;
      const tunnel = action.kind === 'load-connection' ? action.spec.tunnel : (action as { tunnel: TunnelId }).tunnel;
      log.warn({ tunnel, action: action.kind, error: messageOf(cause) }, 'action failed, will be repeated');
      memory = rememberTry(memory, kind, tunnel, clock.monotonicMs());
    }
  }

  async function execute(action: Action): Promise<void> {
    log.debug({ action: action.kind, ...('tunnel' in action ? { tunnel: action.tunnel } : {}) }, 'reconcile');
    switch (action.kind) {
      case 'load-credentials':
        return ports.ipsec.loadCredentials(deps.credentials());
      case 'apply':
        return applyNow(action.wanted, action.isRepair);
      case 'load-connection':
        return ports.ipsec.loadConnection(action.spec);
      case 'initiate':
        return ports.ipsec.initiate(action.tunnel);
      case 'initiate-beside':
        log.info({ tunnel: action.tunnel }, 'a second IKE SA with the new certificate');
        return ports.ipsec.initiateBeside(action.tunnel);
      case 'terminate-some':
        return ports.ipsec.terminateSome(action.tunnel, action.which);
      case 'start-probe':
        return failover.startProbe(action.tunnel, action.localOverlay, action.remoteOverlay, pathSettingsOf(desired!.config));
      case 'stop-probe':
        return failover.stopProbe(action.tunnel);
      case 'terminate':
        return ports.ipsec.terminate(action.tunnel);
      case 'unload-connection':
        return ports.ipsec.unloadConnection(action.tunnel);
      case 'wait':
    }
  }

  async function applyNow(wanted: DataplaneWanted, isRepair: boolean): Promise<void> {
    const { touched } = memory;
    memory = { ...memory, touched: null }; // what is told from now on may come too late for this look
    const wasWaiting = isApplyWaiting;
    try {
      const changes = await ports.dataplane.apply(wanted);
      isApplyWaiting = changes.some((change) => change.startsWith('waiting'));
      if (changes.length === 0) return;
      const isForeign = isRepair && !wasWaiting && !isApplyWaiting;
      log[isForeign ? 'warn' : 'info']({ changes: changes.length, first: changes.slice(0, 8) }, isForeign ? 'somebody else changed forwarding; set right' : 'forwarding changed');
      if (isForeign) deps.onRepair(changes);
    } catch (cause) {
      if (touched) memory = rememberTouch(memory, touched);
      throw cause;
    }
  }

  function noteTouch(isLoss: boolean): void {
    if (!memory.applied || (memory.touched && (memory.touched.isLoss || !isLoss))) return;
    memory = rememberTouch(memory, { atMs: clock.monotonicMs(), isLoss });
    wake();
  }

  /** The fail-over goes on from what the apply left. */
  function giveLanes(): void {
    const { applied, inForce, adopted } = memory;
    if (!applied || !inForce || isStopped) return;
    const { interfaces, lanes } = applied.wanted;
    const mtus = ports.dataplane.tunnelMtus?.();
    const tunnels = interfaces.map(({ tunnel, remoteOverlay, pathMtuBytes }) => {
      const mtu = mtus?.get(tunnel);
      return { tunnel, remoteOverlay, ...(pathMtuBytes === undefined ? {} : { pathMtuBytes }), ...(mtu ? { mtu } : {}) };
    });
    failover.setLanes({ inForce, tunnels, adopted: [...(adopted ?? [])], lanes, switchesKnown });
  }

  const cancelChange = ports.ipsec.onChange(wake);
  const cancelWatch = ports.dataplane.onChange(noteTouch);
  return {
    setDesired(next) {
      desired = next;
      memory = rememberDesired(memory, next, clock.monotonicMs());
      wake();
    },
    wake,
    noteSwitched(lanes, number) {
      switchesHeard = number;
      ports.dataplane.noteSwitched(lanes);
      memory = rememberSwitch(memory, lanes);
    },
    view: () => view,
    async stop() {
      isStopped = true;
      cancelChange();
      cancelWatch();
      cancelTimer();
      await lastLoop;
    },
  };
}

/** Actions on a single tunnel, and how their tries are counted. */
const RETRIED: Partial<Record<Action['kind'], 'initiate' | 'load' | 'terminate' | 'probe' | 'renew'>> = {
  'load-connection': 'load',
  initiate: 'initiate',
  terminate: 'terminate',
  'start-probe': 'probe',
  'initiate-beside': 'renew',
  'terminate-some': 'renew',
};
