import type { Clock, Log, Rng } from '../../src/base/index.ts';
import { messageOf } from '../../src/base/index.ts';
import type { ClassId, PathState, TunnelId } from '../../src/model/index.ts';
import type { ProbePort, ProbeSocket, TrafficPort } from '../ports.ts';
import type { FallMemory } from './damping.ts';
import { createProbeSession, type PathSettings, type ProbeSession } from './session.ts';
import type { PathWindow } from './window.ts';

export interface ProbeSetDeps {
  port: ProbePort;
  traffic: TrafficPort;
  clock: Clock;
  rng: Rng;
  log: Log;
  /** Called synchronously from the timer or packet that changed a verdict. */
  onChange: (tunnel: TunnelId, from: PathState, to: PathState) => void;
  /** A peer's wish for new keys came or went, or a path serves other classes badly than before. */
  onWish: () => void;
  /** A tunnel that worked has missed a probe. */
  onSuspect: (tunnel: TunnelId) => void;
  /** A doubted tunnel has answered. */
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
  /** Classes whose SLA the path does not keep, though it answers. */
  violated: readonly ClassId[];
}

/** One session a tunnel; starting one that runs, or stopping one that does not, does nothing. */
export interface ProbeSet {
  start(tunnel: TunnelId, localOverlay: string, remoteOverlay: string, settings: PathSettings): Promise<void>;
  stop(tunnel: TunnelId): void;
  views(): Map<TunnelId, ProbeView>;
  /** Tells the peers which tunnels carry traffic from here. */
  setInUse(tunnels: ReadonlySet<TunnelId>): void;
  /** Asks at once whether this tunnel still answers; one that is not up is not asked. */
  doubt(tunnel: TunnelId): void;
  /** Tells the peers which tunnels' keys are to be made anew. */
  setRenews(tunnels: ReadonlySet<TunnelId>): void;
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
}

export function createProbeSet(deps: ProbeSetDeps): ProbeSet {
  const running = new Map<TunnelId, Running>();
  const opening = new Set<TunnelId>();
  let started = 0;
  let lame = false;
  let closed = false;
  const reported = new Set<TunnelId>();
  /** Of paths that were down when their session ended. */
  const fallen = new Map<TunnelId, { memory: FallMemory; endedAtMs: number }>();

  const end = (tunnel: TunnelId): void => {
    const found = running.get(tunnel);
    running.delete(tunnel);
    if (found?.session.state() === 'down' && found.session.wasEverUp()) fallen.set(tunnel, { memory: found.session.fallMemory(), endedAtMs: deps.clock.monotonicMs() });
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
        const session = createProbeSession({
          ...(before && deps.clock.monotonicMs() - before.endedAtMs < FALLEN_MS ? { fallen: before.memory } : {}),
          traffic: () => deps.traffic.counts(tunnel),
          settings,
          clock: deps.clock,
          session: deps.rng.fork(`session ${tunnel} ${started++}`).integer(0xffff_fffe) + 1,
          send: (packet) => send(tunnel, socket, packet),
          onChange: (from, to) => deps.onChange(tunnel, from, to),
          onWish: deps.onWish,
          onSuspect: () => deps.onSuspect(tunnel),
          onCertain: deps.onCertain,
        });
        receive = (packet) => session.receive(packet);
        session.setLame(lame);
        running.set(tunnel, { socket, session, ends });
      } finally {
        opening.delete(tunnel);
      }
    },
    stop: end,
    views: () =>
      new Map([...running].map(([tunnel, { session }]) => [tunnel, { state: session.state(), wasEverUp: session.wasEverUp(), peerInUse: session.peerInUse(), peerRenews: session.peerRenews(), peerLame: session.peerLame(), isDoubted: session.isDoubted(), violated: session.violated() }])),
    setInUse(tunnels) {
      for (const [tunnel, { session }] of running) session.setInUse(tunnels.has(tunnel));
    },
    doubt: (tunnel) => running.get(tunnel)?.session.doubt(),
    setRenews(tunnels) {
      for (const [tunnel, { session }] of running) session.setRenews(tunnels.has(tunnel));
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
