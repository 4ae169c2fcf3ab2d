import type { Clock, Log, Rng } from '../../src/base/index.ts';
import type { PathState, Steering, TunnelId } from '../../src/model/index.ts';
import type { LanePort, LaneTunnel, LaneWanted, ProbePort, TrafficPort } from '../ports.ts';
import { createProbeSet, type MtuSettings, type PathSettings, type PathWindow, type ProbeView } from '../probe/index.ts';
import { healthOf } from './health.ts';
import { changedLanes, chooseLanes, pointedAs } from './lanes.ts';

/** The lanes as `DataplanePort.apply` left them, and what is needed to choose anew without asking anybody. */
export interface LaneTable {
  inForce: readonly Steering[];
  /** Tunnels that have an interface; `mtu`: how their paths are measured. */
  tunnels: readonly (LaneTunnel & { mtu?: MtuSettings })[];
  /** Tunnels that worked when the agent began: silent ones among them are stale, not absent. */
  adopted: readonly TunnelId[];
  lanes: readonly LaneWanted[];
  /** Number of the newest switch that was known when `lanes` were decided. */
  switchesKnown: number;
}

/** What a fail-over tells; called from the timer or packet that decided, after the lanes were switched. */
export interface FailoverEvents {
  onVerdict(tunnel: TunnelId, from: PathState, to: PathState, lanesSwitched: number): void;
  /** @param number  counts switches of this agent's life from 1 */
  onSwitch(lanes: readonly LaneWanted[], number: number): void;
  /** A peer's wish for new keys came or went, or a path serves other classes badly than before (see `ProbeView`); before lanes are switched for it. */
  onWish(): void;
}

/**
 * Probes tunnels and points lanes at those that answer, alone: no config, daemon or engine is asked. What the rest of the
 * agent wants comes by `setLanes` and `startProbe`.
 */
export interface Failover {
  /** Starting one that runs gives it these settings. @throws ForemeshError PROBE_FAILED */
  startProbe(tunnel: TunnelId, localOverlay: string, remoteOverlay: string, settings: PathSettings): Promise<void>;
  stopProbe(tunnel: TunnelId): void;
  views(): ReadonlyMap<TunnelId, ProbeView>;
  /** After every `apply`. Lanes that were switched since `switchesKnown` are written again: the apply may have undone them. */
  setLanes(table: LaneTable): void;
  /** Tells peers that these tunnels' keys are to be made anew, and leaves the tunnels where others are up. */
  setRenews(tunnels: readonly TunnelId[]): void;
  /** Tells peers that what they send here reaches nobody, so that they use another gateway of the site where there is one. */
  setLame(lame: boolean): void;
  /** Interfaces were made anew: whoever writes routes must not use what it remembers of the old ones. */
  renewLanes(): void;
  /** Of each of these, what its probes measured since it was last asked. */
  takeWindows(tunnels: readonly TunnelId[]): Promise<ReadonlyMap<TunnelId, PathWindow>>;
  /** Asks all peers for patience (0: tells them nothing), then ends all probes; lanes stay as they are. */
  close(pauseMs: number): Promise<void>;
}

/** Who makes a `Failover`, once it has somebody to tell. */
export type StartFailover = (events: FailoverEvents) => Failover;

export interface FailoverDeps {
  probes: ProbePort;
  traffic: TrafficPort;
  lanes: LanePort;
  clock: Clock;
  rng: Rng;
  log: Log;
  events: FailoverEvents;
}

const NO_LANES: LaneTable = { inForce: [], tunnels: [], adopted: [], lanes: [], switchesKnown: 0 };

/** A fail-over in this very thread. */
export function createFailover(deps: FailoverDeps): Failover {
  const { events } = deps;
  const probes = createProbeSet({ port: deps.probes, traffic: deps.traffic, clock: deps.clock, rng: deps.rng, log: deps.log, onChange, onWish, onSuspect, onCertain });
  let renewing: ReadonlySet<TunnelId> = new Set();
  let table = NO_LANES;
  let current: readonly LaneWanted[] = [];
  let switches = 0;
  /** Lanes wait for the answer of a tunnel in doubt, or for one that is about to be up again. */
  let isHeldBack = false;
  /** By mark, the number of the last switch of this lane. */
  const switchedAt = new Map<number, number>();

  function onChange(tunnel: TunnelId, from: PathState, to: PathState): void {
    events.onVerdict(tunnel, from, to, switchLanes(new Set()));
  }

  function onWish(): void {
    events.onWish();
    switchLanes(new Set());
  }

  /** What may have to take over is asked now, so that it is known to live when the verdict falls. */
  function onSuspect(tunnel: TunnelId): void {
    const lanes = table.inForce.filter((steering) => current.some(({ mark, active }) => active === tunnel && steering.lanes.some((lane) => lane.mark === mark)));
    const others = new Set(lanes.flatMap((steering) => steering.lanes.flatMap((lane) => lane.tunnels)));
    others.delete(tunnel);
    for (const other of others) probes.doubt(other);
  }

  function onCertain(): void {
    if (isHeldBack) onWish();
  }

  /** @param unsure  marks of lanes that the kernel may not have as `current` says */
  function switchLanes(unsure: ReadonlySet<number>): number {
    const views = probes.views();
    const interfaces = new Set(table.tunnels.map(({ tunnel }) => tunnel));
    const adopted = new Set(table.adopted);
    const choose = (trust?: typeof views): LaneWanted[] =>
      chooseLanes(table.inForce, (tunnel, classes) => healthOf(tunnel, interfaces, adopted, views, renewing, classes), new Map(current.map((lane) => [lane.mark, lane])), trust);
    const next = choose(views);
    isHeldBack = [...views.values()].some(({ isDoubted, isReturning }) => isDoubted || isReturning) && changedLanes(next, choose()).length > 0;
    const changed = changedLanes(current, next);
    const written = next.filter((lane) => changed.includes(lane) || unsure.has(lane.mark));
    if (written.length > 0) {
      deps.lanes.switchLanes(written, new Map(table.tunnels.map((tunnel) => [tunnel.tunnel, tunnel])));
      switches++;
      for (const { mark } of written) switchedAt.set(mark, switches);
      const now = new Map(written.map((lane) => [lane.mark, lane]));
      current = current.map((lane) => pointedAs(lane, now.get(lane.mark) ?? lane));
      events.onSwitch(written, switches);
    }
    if (table !== NO_LANES) probes.setInUse(new Set(next.flatMap((lane) => [lane.active ?? [], lane.copy ?? []].flat())));
    return changed.length;
  }

  return {
    async startProbe(tunnel, localOverlay, remoteOverlay, settings) {
      await probes.start(tunnel, localOverlay, remoteOverlay, settings);
      probes.setRenews(renewing);
    },
    stopProbe: (tunnel) => probes.stop(tunnel),
    views: () => probes.views(),
    setLanes(next) {
      const before = new Map(current.map((lane) => [lane.mark, lane]));
      for (const [mark, number] of switchedAt) if (number <= next.switchesKnown) switchedAt.delete(mark);
      table = next;
      probes.setMtus(new Map(next.tunnels.flatMap(({ tunnel, mtu }) => (mtu ? [[tunnel, mtu] as const] : []))));
      current = next.lanes.map((lane) => (switchedAt.has(lane.mark) ? pointedAs(lane, before.get(lane.mark) ?? lane) : lane));
      switchLanes(new Set(switchedAt.keys()));
    },
    setRenews(tunnels) {
      const isSame = tunnels.length === renewing.size && tunnels.every((tunnel) => renewing.has(tunnel));
      renewing = new Set(tunnels);
      probes.setRenews(renewing);
      if (!isSame) switchLanes(new Set());
    },
    setLame: (lame) => probes.setLame(lame),
    renewLanes: () => deps.lanes.renew(),
    takeWindows: (tunnels) => Promise.resolve(new Map(tunnels.flatMap((tunnel) => [[tunnel, probes.takeWindow(tunnel)] as const]).filter((entry): entry is [TunnelId, PathWindow] => entry[1] !== null))),
    close(pauseMs) {
      probes.close(pauseMs);
      deps.lanes.close();
      return Promise.resolve();
    },
  };
}
