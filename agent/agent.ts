import { type Cancel, type Clock, createAnchoredClock, ForemeshError, type Log, messageOf } from '../src/base/index.ts';
import { type AgentMessage, type ClassId, DRIFT_LINES_MAX, type EngineMessage, ikeIdentity, type NodeConfig, type NodeId, type PathId, type PathState, type SignedConfig, type StatusMessage, type TunnelId } from '../src/model/index.ts';
import { X509Certificate } from 'node:crypto';
import { join } from 'node:path';
import type { AgentPorts, Credentials } from './ports.ts';
import type { ProbeView } from './probe/index.ts';
import type { StandbySettings, StandbyView } from './standby/index.ts';
import { createNameLearner } from './names/index.ts';
import { createLanTarget } from './lan-target.ts';
import { createReconciler, type Reconciler } from './reconcile/index.ts';
import { createFileOutbox, createReporter, type Outbox } from './report/index.ts';
import { admit, type Candidate, type ConfigStore, createFileConfigStore, NO_STANDING, type PpkKeeper, type RevocationGuard, type Standing, type StoredConfig } from './sync/index.ts';
import { alarmsOf } from './alarms.ts';
import { createStatusFeed } from './status-feed.ts';

export interface AgentDeps {
  node: NodeId;
  /** Holds both copies of the config and the outbox, unless `storage` is given. */
  stateDir: string;
  ports: AgentPorts;
  clock: Clock;
  log: Log;
  credentials: Credentials;
  /** Where the engine is: a plan that takes the way there away is refused. */
  engineHost?: string;
  /** Checks hashes, signature and form; throws ForemeshError AGENT_PLAN_INVALID. */
  verify: (signed: SignedConfig) => Promise<Candidate>;
  /** To the engine; only called between `connected` and `disconnected`. */
  send: (message: AgentMessage) => void;
  /** What outlives the agent when that is not a folder: the simulated network keeps these objects across restarts. */
  storage?: { configs: ConfigStore; outbox: Outbox };
  /** Remembers over restarts which certificate all tunnels stand on; without it, what is found at the start is taken for current. */
  renewal?: RenewalNote;
  /** Keeps revoked nodes out; in force before the first tunnel is. */
  revocations?: RevocationGuard;
  /** Post-quantum keys with peers; without it, tunnels that need one wait. */
  ppks?: PpkKeeper;
  /** Gets a new certificate now, though the present one is not half over; the engine may ask for it. */
  renewCertificate?: () => void;
}

/** See `AgentDeps.renewal`. */
export interface RenewalNote {
  isDone(credentials: Credentials): boolean;
  setDone(credentials: Credentials): void;
}

/** Keeps one node as the newest accepted config says, with or without an engine to talk to. */
export interface Agent {
  /** Takes up the last good config from disk and runs it; does not need the engine. */
  start(): Promise<void>;
  /** A message of the engine; resolves when it is safe on disk and work on it has begun. Never rejects on bad content. */
  receive(message: EngineMessage): Promise<void>;
  /** The channel is open and has said hello with `runtime()`'s generation. */
  connected(): void;
  disconnected(): void;
  /** A renewed certificate: into the daemon for exchanges from now on; SAs stay. */
  useCredentials(credentials: Credentials): void;
  /** Ends the process's part and leaves forwarding as it is. `abrupt`: as if killed, peers are not told. */
  stop(options?: { abrupt?: boolean }): Promise<void>;
  runtime(): AgentRuntime;
}

/** What a node says of itself, locally. */
export interface AgentRuntime {
  node: NodeId;
  generation: number;
  commit: string | null;
  tunnels: { tunnel: TunnelId; path: PathId; pathState: PathState; childState: string | null; /** Greatest packet that its path was measured to carry; null: not known. */ mtuBytes: number | null; /** Classes whose SLA it does not keep, though it answers: they use another while there is one. */ violated: readonly ClassId[]; /** One end asks to use another: it renews keys, or its LAN is dead. */ isLeaving: boolean }[];
  leakPackets: number;
  /** How often somebody else's changes had to be set right since the agent began. */
  repairs: number;
  /** When what runs was signed, epoch ms: its age is the plan's. */
  configSignedAt: number | null;
  /** Since the engine was last heard of, or since the start; 0 while connected. */
  engineSilentMs: number;
  /** What a person should look at; none of it changes forwarding. */
  alarms: string[];
  /** It owns its site's LAN address. */
  holdsLan: boolean;
  /** The shared LAN addresses that it owns, its own and those of others. */
  lanAddresses: string[];
  /** What differs from the config, with the last refused config, if any. */
  drift: string[];
  connected: boolean;
  /** Nothing is left to do until something changes. */
  settled: boolean;
}

export const AGENT_VERSION = '0.1.0';
/** Peers do not judge our silence for this long after a stop: time for a restart, ms. */
const RESTART_PAUSE_MS = 10_000;
/** How many configs before the running one are kept, for tunnels that still carry traffic when the agent comes back. */
const EARLIER_MAX = 2;
/** After this a config that could not be kept or verified for want of disk is tried again, ms. */
const RETRY_MS = 5_000;

export function createAgent(deps: AgentDeps): Agent {
  const { node, log, ports } = deps;
  const clock = createAnchoredClock(deps.clock);
  const configs = deps.storage?.configs ?? createFileConfigStore(deps.stateDir, log);
  const outbox = deps.storage?.outbox ?? createFileOutbox({ dir: join(deps.stateDir, 'outbox'), log });
  let standing: Standing = NO_STANDING;
  let earlier: { candidate: Candidate; signed: SignedConfig }[] = [];
  let runningSigned: SignedConfig | null = null;
  let refusal: string | null = null;
  let credentials = deps.credentials;
  let credentialsSerial = 1;
  let isLanLost = false;
  let isUnheard = false;
  let isNumberingAsked = false;
  let isConnected = false;
  let isStopped = false;
  let repairs = 0;
  let engineHeardMs = clock.monotonicMs();
  let cancelRetry: Cancel = () => undefined;
  let receiving: Promise<void> = Promise.resolve();

  const standby = ports.standby(credentials, onLan);
  const failover = ports.failover({ onVerdict, onSwitch: (lanes, number) => reconciler.noteSwitched(lanes, number), onWish: () => reconciler.wake() });
  const reconciler: Reconciler = createReconciler({ ports, clock, log, failover, credentials: () => credentials, onPass, onRepair });
  const reporter = createReporter({ outbox, dataplane: ports.dataplane, ...(ports.host ? { host: ports.host } : {}), failover, clock, log, send });
  const status = createStatusFeed({ clock, current: statusMessage, send });

  const names = ports.names ? createNameLearner({ port: ports.names, clock, log }) : null;
  const lanTarget = ports.ping ? createLanTarget({ ping: ports.ping, clock, log, onChange: onLame }) : null;

  function onPass(): void {
    tellReach();
    if (reconciler.view().isRenewed) deps.renewal?.setDone(credentials);
    status.changed();
  }

  function send(message: AgentMessage): void {
    if (isConnected && !isStopped) deps.send(message);
  }

  /** Traffic has moved already; now the words. */
  function onVerdict(tunnel: TunnelId, from: PathState, to: PathState, lanesSwitched: number): void {
    if (isStopped) return;
    reconciler.wake();
    tellReach();
    const isWanted = standing.running?.config.tunnels.some(({ id }) => id === tunnel) === true; // the end of an old tunnel is no news
    if (isWanted && to === 'down' && from !== 'unknown') send({ type: 'event', event: { kind: 'path-down', tunnel, at: clock.now(), lanesSwitched } });
    if (isWanted && to === 'up' && from !== 'degraded') send({ type: 'event', event: { kind: 'path-up', tunnel, at: clock.now(), lanesSwitched } });
    log.info({ tunnel, from, to, lanesSwitched }, 'path changed');
    status.changed();
  }

  function onRepair(changes: readonly string[]): void {
    repairs++;
    send({ type: 'event', event: { kind: 'drift', at: clock.now(), changes: changes.slice(0, DRIFT_LINES_MAX).map((change) => change.slice(0, 300)) } });
    status.changed();
  }

  /** The LAN side took the address, gave it up, or lost its LAN. */
  function onLan({ isLanUp, ...view }: StandbyView): void {
    if (isStopped) return;
    if (isUnheard !== view.isUnheard) {
      isUnheard = view.isUnheard;
      log[isUnheard ? 'error' : 'info']({ isUnheard }, 'whether the other gateways of the site hear this one changed');
      onLame();
    }
    if (isLanLost === isLanUp) {
      isLanLost = !isLanUp;
      log[isLanLost ? 'error' : 'info']({ isLanLost }, 'the LAN of this gateway changed');
      if (standing.running) setDesired(standing.running);
    }
    status.changed();
  }

  /** What peers send here may reach nobody, and hosts may not reach us: another gateway of the site should have both. */
  function onLame(): void {
    failover.setLame(isLame());
    tellReach();
    status.changed();
  }

  function isLame(): boolean {
    return isUnheard || lanTarget?.isDead() === true;
  }

  /** For the election; a gateway that shares no address has nobody to tell, and hundreds of verdicts at once while its tunnels come up. */
  function tellReach(): void {
    if (standing.running?.config.lan.shared) standby.setReach(reachNow());
  }

  /** Sites that a tunnel leads to now; 1 when there are none to reach, 0 when the LAN behind this gateway is dead, or does not hear it. */
  function reachNow(): number {
    if (isLame()) return 0;
    const steering = standing.running?.config.steering ?? [];
    if (steering.length === 0) return 1;
    const views = failover.views();
    const isUp = (tunnel: TunnelId): boolean => ['up', 'degraded'].includes(views.get(tunnel)?.state ?? 'unknown');
    return new Set(steering.filter(({ lanes }) => lanes.some(({ tunnels }) => tunnels.some(isUp))).map(({ to }) => to)).size;
  }

  async function takeUp(isAgain = false): Promise<void> {
    const copies = await configs.load();
    const [newest] = copies;
    if (newest) standing = { generation: newest.generation, commit: newest.commit, running: null };
    for (const copy of copies) {
      const candidate = await verifyStored(copy.signed);
      if (!candidate || candidate.generation !== copy.generation || candidate.commit !== copy.commit) continue;
      earlier = await verifyEarlier(copy);
      if (copy === newest && (copies.length < 2 || copies.some((other) => other.commit !== copy.commit))) await healCopies(copy);
      run(candidate, copy.signed);
      return;
    }
    if (!newest) return;
    if (!isAgain) log.error({ generation: newest.generation }, 'STATE_DAMAGED: no stored config could be verified; forwarding stays as it is until the engine sends one, or it can be verified after all');
    cancelRetry = clock.setTimer(RETRY_MS, () => {
      // a full /tmp or a signers file that is on its way must not keep a node without its plan
      if (!isStopped && !standing.running) receiving = receiving.then(() => takeUp(true));
    });
  }

  /** A crash or a bad disk left one good copy: make it two before it runs, or the next damage takes the generation back. */
  async function healCopies(copy: StoredConfig): Promise<void> {
    try {
      await configs.save(copy);
    } catch (cause) {
      log.error({ error: messageOf(cause) }, 'STATE_DAMAGED: the second copy of the config cannot be written');
    }
  }

  async function verifyEarlier(copy: StoredConfig): Promise<{ candidate: Candidate; signed: SignedConfig }[]> {
    const verified = await Promise.all(copy.earlier.map(async (signed) => ({ signed, candidate: await verifyStored(signed) })));
    return verified.flatMap(({ signed, candidate }) => (candidate ? [{ signed, candidate }] : []));
  }

  async function verifyStored(signed: SignedConfig): Promise<Candidate | null> {
    try {
      const candidate = await deps.verify(signed);
      return candidate.config.node === node ? candidate : null;
    } catch (cause) {
      log.error({ commit: signed.commit, error: messageOf(cause) }, 'a stored config does not verify and is left out');
      return null;
    }
  }

  function run(candidate: Candidate, signed: SignedConfig): void {
    clock.anchor(candidate.signedAt);
    standing = { generation: Math.max(standing.generation, candidate.generation), commit: candidate.generation >= standing.generation ? candidate.commit : standing.commit, running: candidate };
    runningSigned = signed;
    setDesired(candidate);
    tellRevoked(candidate);
    standby.configure(standbySettingsOf(candidate));
    tellReach();
    lanTarget?.watch(candidate.config.lan.target ?? null);
    names?.setConfig(candidate.config);
    reporter.setConfig(candidate.config);
    log.info({ generation: candidate.generation, commit: candidate.commit, tunnels: candidate.config.tunnels.length }, 'config runs');
  }

  /** Another gateway of the site whose key was revoked must not win its address. */
  function tellRevoked({ config }: Candidate): void {
    standby.setRevoked(deps.revocations?.keysOf(config.lan.shared?.members.map((member) => member.node) ?? []) ?? []);
  }

  function setDesired({ config }: Candidate): void {
    reconciler.setDesired({ config, earlier: earlier.map(({ candidate }) => candidate.config), credentialsSerial, isLanLost, adoptedAreCurrent: deps.renewal?.isDone(credentials) ?? true, ppks: new Map(deps.ppks?.keys()) });
    if (!isNumberingAsked && lacksIdentity(config, credentials)) {
      isNumberingAsked = true;
      log.info({ node }, 'the certificate is from before uplinks had identities: a new one is asked for');
      deps.renewCertificate?.();
    }
    deps.ppks?.want(config.tunnels.filter(({ postQuantum }) => postQuantum === 'ppk').map(({ peer }) => peer));
  }

  function takeDesired(signed: SignedConfig): Promise<void> {
    receiving = receiving.then(() => receiveDesired(signed));
    return receiving;
  }

  async function receiveDesired(signed: SignedConfig): Promise<void> {
    cancelRetry();
    try {
      const candidate = await deps.verify(signed);
      const answer = admit(node, standing, candidate, deps.engineHost ?? null);
      if (answer instanceof ForemeshError) throw answer;
      if (answer === 'run') await accept(candidate, signed);
      refusal = null;
    } catch (cause) {
      refuse(signed, cause);
      // not the config's fault, but a full disk's or the like: the engine will not send it again
      if (!(cause instanceof ForemeshError) && !isStopped) cancelRetry = clock.setTimer(RETRY_MS, () => void takeDesired(signed));
    }
    status.changed();
  }

  /** On disk first: what runs is what a restart would run. */
  async function accept(candidate: Candidate, signed: SignedConfig): Promise<void> {
    const before = standing.running && runningSigned ? [{ candidate: standing.running, signed: runningSigned }] : [];
    const nextEarlier = [...before, ...earlier].slice(0, EARLIER_MAX);
    await configs.save({ generation: candidate.generation, commit: candidate.commit, signed, earlier: nextEarlier.map((item) => item.signed) });
    earlier = nextEarlier;
    run(candidate, signed);
  }

  function refuse(signed: SignedConfig, cause: unknown): void {
    const text = cause instanceof ForemeshError ? `${cause.code} ${cause.what}` : `STATE_DAMAGED the config could not be kept: ${messageOf(cause)}`;
    if (refusal !== text) log.error({ commit: signed.commit, running: standing.generation, reason: text }, 'config refused, the running one stays');
    refusal = text;
  }

  function driftNow(): string[] {
    return [...(refusal ? [`refused: ${refusal}`] : []), ...(standing.running ? reconciler.view().drift : ['no config yet'])];
  }

  function tunnelStates(): (AgentRuntime['tunnels'][number] & { ikeState: string | null; mtu: ProbeView['mtu'] })[] {
    const views = failover.views();
    const sas = new Map(reconciler.view().sas.map((sa) => [sa.tunnel, sa]));
    return (standing.running?.config.tunnels ?? []).map(({ id, path }) => ({
      tunnel: id,
      path,
      pathState: views.get(id)?.state ?? 'unknown',
      mtu: views.get(id)?.mtu ?? null,
      mtuBytes: views.get(id)?.mtu?.pathBytes ?? null,
      violated: views.get(id)?.violated ?? [],
      isLeaving: views.get(id)?.peerRenews === true || views.get(id)?.peerLame === true,
      ikeState: sas.get(id)?.ikeState ?? null,
      childState: sas.get(id)?.childState ?? null,
    }));
  }

  function statusMessage(): StatusMessage {
    const running = standing.running;
    return {
      type: 'status',
      status: { node, generation: running?.generation ?? 0, commit: running?.commit ?? null, drift: driftNow(), ike: ports.ipsec.ike?.() ?? null },
      tunnels: tunnelStates().map(({ tunnel, ikeState, childState, pathState, mtuBytes }) => ({ tunnel, ikeState, childState, pathState, mtuBytes })),
      leakPackets: reporter.leakPackets(),
      shaped: reporter.shaped(),
      repairs,
      configSignedAt: running?.signedAt ?? null,
      alarms: alarms(),
    };
  }

  function alarms(): string[] {
    const configSignedAt = standing.running?.signedAt ?? null;
    return alarmsOf({ engineSilentMs: engineSilentMs(), configSignedAt, clockBehindMs: clock.behindMs(), leakPackets: reporter.leakPackets(), droppedBatches: outbox.view().droppedBatches, sampleError: reporter.lastError(), deadLanTarget: lanTarget?.isDead() === true ? (standing.running?.config.lan.target ?? null) : null, narrowPaths: narrowPaths() });
  }

  function narrowPaths(): { path: PathId; pathBytes: number; interfaceBytes: number }[] {
    return tunnelStates().flatMap(({ path, mtu }) => (mtu && mtu.pathBytes < mtu.interfaceBytes ? [{ path, ...mtu }] : []));
  }

  function engineSilentMs(): number {
    return isConnected ? 0 : clock.monotonicMs() - engineHeardMs;
  }

  return {
    async start() {
      await reporter.start();
      await deps.revocations?.start();
      await deps.ppks?.start();
      deps.ppks?.onChange(() => {
        if (standing.running && !isStopped) setDesired(standing.running);
      });
      await takeUp();
      status.start();
    },
    async receive(message) {
      if (isStopped) return;
      if (message.type === 'error') log.warn({ code: message.code, reason: message.message }, 'the engine reports an error');
      if (message.type === 'revocations') {
        await deps.revocations?.receive(message);
        if (standing.running) tellRevoked(standing.running);
      }
      if (message.type === 'renew') deps.renewCertificate?.();
      if (message.type === 'ack') await reporter.acknowledged(message.sequence, message.refused);
      if (message.type === 'desired') await takeDesired(message.config);
    },
    connected() {
      isConnected = true;
      status.sendNow();
      reporter.connected();
    },
    disconnected() {
      if (isConnected) engineHeardMs = clock.monotonicMs();
      isConnected = false;
      reporter.disconnected();
    },
    useCredentials(next) {
      credentials = next;
      credentialsSerial++;
      standby.useCredentials(next);
      if (standing.running) setDesired(standing.running);
    },
    async stop(options = {}) {
      isStopped = true;
      cancelRetry();
      deps.revocations?.stop();
      deps.ppks?.stop();
      status.stop();
      const pauseMs = options.abrupt === true ? 0 : RESTART_PAUSE_MS;
      lanTarget?.stop();
      await names?.stop();
      const closing = Promise.all([standby.close(pauseMs), failover.close(pauseMs)]);
      await receiving;
      await reconciler.stop();
      await reporter.stop();
      await closing;
    },
    runtime() {
      const running = standing.running;
      return {
        node,
        generation: running?.generation ?? 0,
        commit: running?.commit ?? null,
        tunnels: tunnelStates().map(({ tunnel, path, pathState, childState, mtuBytes, violated, isLeaving }) => ({ tunnel, path, pathState, childState, mtuBytes, violated, isLeaving })),
        leakPackets: reporter.leakPackets(),
        repairs,
        holdsLan: running?.config.lan.shared ? standby.view().holds : running?.config.serving === true,
        lanAddresses: running?.config.lan.shared ? standby.view().owns : [],
        configSignedAt: running?.signedAt ?? null,
        engineSilentMs: Math.round(engineSilentMs()),
        alarms: alarms(),
        drift: driftNow(),
        connected: isConnected,
        settled: running !== null && reconciler.view().isSettled,
      };
    },
  };
}

/** How the site's gateways share its LAN address; null where there is one only. */
function standbySettingsOf({ config, generation }: Candidate): StandbySettings | null {
  const { shared, interface: name, address, address6, prefixes } = config.lan;
  return shared ? { generation, interface: name, address, ...(address6 === undefined ? {} : { address6 }), prefixes, shared, holdDownMaxMs: config.probe.holdDownMaxMs } : null;
}

/** Tunnels begin here under an identity that the certificate does not have yet. */
function lacksIdentity({ node, tunnels }: NodeConfig, { certificatePem }: Credentials): boolean {
  const numbers = tunnels.flatMap(({ initiator, initiatorNumber }) => (initiator && initiatorNumber !== undefined ? [initiatorNumber] : []));
  if (numbers.length === 0) return false;
  const names = new X509Certificate(certificatePem).subjectAltName ?? '';
  return !numbers.every((number) => names.split(', ').includes(`email:${ikeIdentity(node, number)}`));
}
