import type { Clock, Log, Rng } from '../../src/base/index.ts';
import { messageOf } from '../../src/base/index.ts';
import type { ClassId, PathState, TunnelId } from '../../src/model/index.ts';
import type { ProbePort, ProbeSocket, TrafficPort } from '../ports.ts';
import type { FallMemory } from './damping.ts';
import { createMtuProbe, type MtuProbe, type MtuSettings } from './mtu-probe.ts';
import { createProbeSession } from './session.ts';
import type { PathSettings, ProbeSession } from './session-types.ts';
import type { PathWindow } from './window.ts';

export interface ProbeSetDeps {
  port: ProbePort;
  traffic: TrafficPort;
  clock: Clock;
  rng: Rng;
  log: Log;
  /** Called synchronously from the timer or packet that changed a verdict. */
  onChange: (tunnel: TunnelId, from: PathState, to: PathState) => void;
  /** A peer's wish for new keys came or went, a path serves other classes badly than before, or carries packets of another size. */
  onWish: () => void;
  /** A tunnel that worked has missed a probe. */
  onSuspect: (tunnel: TunnelId) => void;
  /** A doubted tunnel has answered, or one that was about to be up again has not. */
  onCertain: () => void;
}

/** What the rest of the agent sees of one tunnel's probes. */
export interface ProbeView {
  state: PathState;
  wasEverUp: boolean;
  /** The peer points traffic here; null when not known. */
  peerInUse: boolean | null;
  /** The peer wants this tunnel's keys made anew, and nothing sent through it meanwhile. */
  peerRenews: boolean;
  /** The peer's LAN is dead: what is sent there reaches nobody. */
  peerLame: boolean;
  /** Asked because another tunnel fell silent, and has not answered since: what its state says may be over. */
  isDoubted: boolean;
  /** Down, but answering, and about to be up again. */
  isReturning: boolean;
  /** Classes whose SLA the path does not keep, though it answers. */
  violated: readonly ClassId[];
  /** The greatest packet that its path carries, and that its interface takes; null while the former is not known. */
  mtu: { pathBytes: number; interfaceBytes: number } | null;
}

/** One session a tunnel; starting one that runs, or stopping one that does not, does nothing. */
export interface ProbeSet {
  start(tunnel: TunnelId, localOverlay: string, remoteOverlay: string, settings: PathSettings): Promise<void>;
  stop(tunnel: TunnelId): void;
  views(): Map<TunnelId, ProbeView>;
  /** Tells the peers which tunnels carry traffic from here; before the first time that any may. */
  setInUse(tunnels: ReadonlySet<TunnelId>): void;
  /** Asks at once whether this tunnel still answers; one that is not up is not asked. */
  doubt(tunnel: TunnelId): void;
  /** Tells the peers which tunnels' keys are to be made anew. */
  setRenews(tunnels: ReadonlySet<TunnelId>): void;
  /** How the paths of these tunnels are measured; those of others are not. */
  setMtus(mtus: ReadonlyMap<TunnelId, MtuSettings>): void;
  /** Tells all peers whether our LAN is dead. */
  setLame(lame: boolean): void;
  takeWindow(tunnel: TunnelId): PathWindow | null;
  /** Asks all peers for patience (0: tells them nothing), then ends all sessions. */
  close(pauseMs: number): void;
}

/** A tunnel that comes back sooner after its path was down stands the hold-down, although it is a new SA, ms. */
const FALLEN_MS = 300_000;

interface Running {
  socket: ProbeSocket;
  session: ProbeSession;
  ends: string;
  number: number;
  mtu: { probe: MtuProbe; settings: MtuSettings } | null;
}

export function createProbeSet(deps: ProbeSetDeps): ProbeSet {
  const running = new Map<TunnelId, Running>();
  const opening = new Set<TunnelId>();
  let started = 0;
  let lame = false;
  let used: ReadonlySet<TunnelId> | null = null;
  let mtus: ReadonlyMap<TunnelId, MtuSettings> = new Map();
  let closed = false;
  const reported = new Set<TunnelId>();
  /** Tunnels whose paths carry less than their interfaces take, as last told. */
  const narrow = new Set<TunnelId>();
  /** Of paths that were down when their session ended. */
  const fallen = new Map<TunnelId, { memory: FallMemory; endedAtMs: number }>();

  const end = (tunnel: TunnelId): void => {
    const found = running.get(tunnel);
    running.delete(tunnel);
    if (found?.session.state() === 'down' && found.session.wasEverUp()) fallen.set(tunnel, { memory: found.session.fallMemory(), endedAtMs: deps.clock.monotonicMs() });
    found?.mtu?.probe.close();
    found?.session.close();
    found?.socket.close();
  };

  const send = (tunnel: TunnelId, socket: ProbeSocket, packet: Uint8Array): void => {
    try {
      socket.send(packet);
    } catch (cause) {
      // A socket that cannot send is a path that does not answer, which the session finds out; said once.
      if (!reported.has(tunnel)) deps.log.warn({ tunnel, error: messageOf(cause) }, 'probe could not be sent');
      reported.add(tunnel);
    }
  };

  const measure = (tunnel: TunnelId, found: Running): void => {
    const settings = mtus.get(tunnel);
    if (!settings) {
      found.mtu?.probe.close();
      found.mtu = null;
    } else if (!found.mtu) {
      const probe = createMtuProbe({ settings, clock: deps.clock, session: found.number, send: (packet) => send(tunnel, found.socket, packet), onChange: () => noteMtu(tunnel, found) });
      found.mtu = { probe, settings };
    } else if (found.mtu.settings.maxBytes !== settings.maxBytes || found.mtu.settings.payloadBytes !== settings.payloadBytes) {
      found.mtu.settings = settings;
      found.mtu.probe.retune(settings);
    }
  };

  /** That all passes is what everybody takes for granted, and no news. */
  const noteMtu = (tunnel: TunnelId, found: Running): void => {
    const mtu = viewOfMtu(found);
    if (!mtu) return;
    const isSmall = mtu.pathBytes < mtu.interfaceBytes;
    if (isSmall) deps.log.warn({ tunnel, ...mtu }, 'the path of a tunnel carries smaller packets than its uplink');
    else if (narrow.has(tunnel)) deps.log.info({ tunnel, ...mtu }, 'the path of a tunnel carries full packets again');
    if (isSmall || narrow.has(tunnel)) deps.onWish();
    if (isSmall) narrow.add(tunnel);
    else narrow.delete(tunnel);
  };

  return {
    async start(tunnel, localOverlay, remoteOverlay, settings) {
      const ends = `${localOverlay} ${remoteOverlay}`;
      if (closed || opening.has(tunnel)) return;
      const found = running.get(tunnel);
      if (found?.ends === ends) {
        found.session.retune(settings);
        return;
      }
      end(tunnel);
      opening.add(tunnel);
      try {
        let receive = (_packet: Uint8Array): void => undefined;
        const socket = await deps.port.open(tunnel, localOverlay, remoteOverlay, (packet) => receive(packet));
        if (closed) {
          socket.close();
          return;
        }
        const before = fallen.get(tunnel);
        fallen.delete(tunnel);
        const number = deps.rng.fork(`session ${tunnel} ${started++}`).integer(0xffff_fffe) + 1;
        const session = createProbeSession({
          ...(before && deps.clock.monotonicMs() - before.endedAtMs < FALLEN_MS ? { fallen: before.memory } : {}),
          traffic: () => deps.traffic.counts(tunnel),
          settings,
          clock: deps.clock,
          session: number,
          send: (packet) => send(tunnel, socket, packet),
          onChange: (from, to) => deps.onChange(tunnel, from, to),
          onWish: deps.onWish,
          onSuspect: () => deps.onSuspect(tunnel),
          onCertain: deps.onCertain,
          onTrafficLost: () => running.get(tunnel)?.mtu?.probe.suspect(),
        });
        const found: Running = { socket, session, ends, number, mtu: null };
        receive = (packet) => {
          if (found.mtu?.probe.receive(packet) !== true) session.receive(packet);
        };
        session.setLame(lame);
        if (used) session.setInUse(used.has(tunnel));
        running.set(tunnel, found);
        measure(tunnel, found);
      } finally {
        opening.delete(tunnel);
      }
    },
    stop: end,
    views: () =>
      new Map([...running].map(([tunnel, found]) => [tunnel, viewOf(found)])),
    setInUse(tunnels) {
      used = tunnels;
      for (const [tunnel, { session }] of running) session.setInUse(tunnels.has(tunnel));
    },
    doubt: (tunnel) => running.get(tunnel)?.session.doubt(),
    setRenews(tunnels) {
      for (const [tunnel, { session }] of running) session.setRenews(tunnels.has(tunnel));
    },
    setMtus(next) {
      mtus = next;
      for (const [tunnel, found] of running) measure(tunnel, found);
    },
    setLame(next) {
      lame = next;
      for (const { session } of running.values()) session.setLame(next);
    },
    takeWindow: (tunnel) => running.get(tunnel)?.session.takeWindow() ?? null,
    close(pauseMs) {
      closed = true;
      if (pauseMs > 0) for (const { session } of running.values()) session.pausePeer(pauseMs);
      for (const tunnel of running.keys()) end(tunnel);
    },
  };
}

/** As a record, so that a new field cannot be forgotten. */
const PLAIN_FIELDS: Record<Exclude<keyof ProbeView, 'violated' | 'mtu'>, true> = { state: true, wasEverUp: true, peerInUse: true, peerRenews: true, peerLame: true, isDoubted: true, isReturning: true };
const PLAIN = Object.keys(PLAIN_FIELDS) as (keyof typeof PLAIN_FIELDS)[];

/** Asked ten times a second for every tunnel: no text is made of them. */
export function isSameView(one: ProbeView, other: ProbeView): boolean {
  for (const name of PLAIN) if (one[name] !== other[name]) return false;
  if (one.mtu?.pathBytes !== other.mtu?.pathBytes || one.mtu?.interfaceBytes !== other.mtu?.interfaceBytes) return false;
  return one.violated.length === other.violated.length && one.violated.every((classId, at) => classId === other.violated[at]);
}

function viewOf(found: Running): ProbeView {
  const { session } = found;
  return { state: session.state(), wasEverUp: session.wasEverUp(), peerInUse: session.peerInUse(), peerRenews: session.peerRenews(), peerLame: session.peerLame(), isDoubted: session.isDoubted(), isReturning: session.isReturning(), violated: session.violated(), mtu: viewOfMtu(found) };
}

function viewOfMtu({ mtu }: Running): ProbeView['mtu'] {
  const pathBytes = mtu?.probe.mtuBytes() ?? null;
  return mtu && pathBytes !== null ? { pathBytes, interfaceBytes: mtu.settings.maxBytes } : null;
}
