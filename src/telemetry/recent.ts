import type { HostSample, NodeStatus, Observation, PathEnds, PathSample, Sample, ServicesSample, TunnelId, TunnelSample, UplinkSample, UsersSample } from '../model/index.ts';
import { isMomentary, MomentaryBook } from './momentary.ts';
import { PathBook } from './path-quality.ts';
import type { SlotGrid } from './slot-grid.ts';
import type { ObserveQuery } from './store.ts';
import { TunnelBook } from './tunnel-usage.ts';

/** Grids of different slot lengths kept at a time: the engine uses one, an operator may look at another. */
const GRIDS_MAX = 3;
const FORGET_AFTER_MS = 30 * 86_400_000;

/** The recent past in memory, from which observations are answered; the log is asked only to fill it. */
export class RecentPast {
  readonly #paths = new PathBook();
  readonly #tunnels = new TunnelBook();
  readonly #momentary = new MomentaryBook();
  /** Oldest use first. */
  #grids: SlotGrid[] = [];

  add(samples: readonly Sample[]): void {
    for (const sample of samples) {
      if (isMomentary(sample) || sample.kind === 'users' || sample.kind === 'services') {
        this.#momentary.add(sample);
        continue;
      }
      if (sample.kind === 'path') this.#paths.add(sample);
      if (sample.kind === 'tunnel') this.#tunnels.add(sample);
      for (const grid of this.#grids) grid.add(sample);
    }
  }

  loadWindows(windows: { paths: PathSample[]; tunnels: TunnelSample[]; lastUsed: Map<TunnelId, number> }): void {
    for (const sample of windows.paths) this.#paths.add(sample);
    for (const sample of windows.tunnels) this.#tunnels.add(sample);
    for (const [tunnel, at] of windows.lastUsed) this.#tunnels.noteUse(tunnel, at);
  }

  /** The grid that can answer the query, or null when one must be filled from the log first. */
  gridFor(query: ObserveQuery): SlotGrid | null {
    const grid = this.#grids.find((candidate) => candidate.slotMs === query.slotMs && candidate.covers(query));
    if (!grid) return null;
    this.#grids = [...this.#grids.filter((other) => other !== grid), grid];
    return grid;
  }

  addGrid(grid: SlotGrid): void {
    this.#grids = [...this.#grids.filter((other) => other.slotMs !== grid.slotMs), grid].slice(-GRIDS_MAX);
  }

  observe(query: ObserveQuery, grid: SlotGrid, nodes: readonly NodeStatus[]): Observation {
    return {
      observedAt: query.now,
      slotMs: query.slotMs,
      lastSlotEndAt: Math.floor(query.now / query.slotMs) * query.slotMs,
      demands: grid.read(query),
      paths: this.#paths.qualities(query.now),
      tunnels: this.#tunnels.usages(query.now),
      nodes: [...nodes],
    };
  }

  pathEnds(now: number): PathEnds[] {
    return this.#paths.ends(now);
  }

  uplinks(now: number): UplinkSample[] {
    return this.#momentary.uplinks(now);
  }

  hosts(now: number): HostSample[] {
    return this.#momentary.hosts(now);
  }

  users(now: number): UsersSample[] {
    return this.#momentary.users(now);
  }

  services(now: number): ServicesSample[] {
    return this.#momentary.services(now);
  }

  forget(now: number): void {
    this.#momentary.forget(now - FORGET_AFTER_MS);
    this.#paths.forget(now - FORGET_AFTER_MS);
    this.#tunnels.forget(now - FORGET_AFTER_MS);
  }
}

