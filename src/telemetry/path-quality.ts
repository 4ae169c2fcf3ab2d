import { sortedBy } from '../base/index.ts';
import type { PathEnds, PathId, PathQuality, PathSample, PathState, TunnelId } from '../model/index.ts';
import { compareEnds } from './path-ends.ts';
import { getOrSet, insertNewest } from './tunnel-usage.ts';

/**
 * Windows that count, and how many of them a figure needs. The median of fifteen: some bad windows in a row (the burst
 * while tunnels come up, a busy moment of a gateway) are not what the path is like. Gateways act on those at once and by
 * themselves; plans are for what lasts, and until most of the windows are known the estimate is the better guess.
 */
export const PATH_WINDOWS = 15;
const FIGURE_WINDOWS_MIN = 8;
/** How many window lengths an end may be silent before its view no longer counts. */
const SILENT_WINDOWS = 5;
const SILENT_MIN_MS = 3000;
const BADNESS: Record<PathState, number> = { up: 0, degraded: 1, unknown: 2, down: 3 };

/** What both ends of each path measured last. Grows with paths, not with time. */
export class PathBook {
  /** path → `tunnel` → node → newest windows. */
  readonly #windows = new Map<PathId, Map<string, Map<string, PathSample[]>>>();

  add(sample: PathSample): void {
    const tunnels = getOrSet(this.#windows, sample.path, () => new Map<string, Map<string, PathSample[]>>());
    const ends = getOrSet(tunnels, sample.tunnel, () => new Map<string, PathSample[]>());
    insertNewest(getOrSet(ends, sample.node, () => []), sample, PATH_WINDOWS);
  }

  /**
   * All paths, by id. Of two ends the worse figure counts; of two tunnels over one path (while a suite changes) the
   * better of those that speak, since the path is then fine. An end silent for 5 windows (at least 3 s) has no say; when
   * all are, the state is unknown and the figures are the last known ones.
   */
  qualities(now: number): PathQuality[] {
    const qualities = [...this.#windows].flatMap(([path, tunnels]) => {
      const views = [...tunnels.values()].map((ends) => tunnelView(path, [...ends.values()], now));
      const best = views.sort((left, right) => Number(left.isSilent) - Number(right.isSilent) || BADNESS[left.quality.state] - BADNESS[right.quality.state] || right.quality.sampledAt - left.quality.sampledAt)[0];
      return best ? [best.quality] : [];
    });
    return sortedBy(qualities, (quality) => quality.path);
  }

  /** The ends of every tunnel that spoke lately, by tunnel, with what they cannot both be right in. */
  ends(now: number): PathEnds[] {
    const found = [...this.#windows].flatMap(([path, tunnels]) =>
      [...tunnels].map(([tunnel, ends]) => {
        const heard = [...ends].filter(([, windows]) => isHeard(windows.at(-1), now));
        return compareEnds(
          path,
          tunnel as TunnelId,
          heard.map(([, windows]) => endOf(windows)),
        );
      }),
    );
    return sortedBy(found, ({ tunnel }) => tunnel);
  }

  /** Forgets paths without a window since `before`. */
  forget(before: number): void {
    for (const [path, tunnels] of this.#windows) {
      for (const [tunnel, ends] of tunnels) {
        if ([...ends.values()].every((windows) => (windows.at(-1)?.sampledAt ?? 0) < before)) tunnels.delete(tunnel);
      }
      if (tunnels.size === 0) this.#windows.delete(path);
    }
  }
}

function endOf(windows: readonly PathSample[]): PathEnds['ends'][number] {
  const newest = windows.at(-1)!;
  const median = (figure: (sample: PathSample) => number | null): number | null => worst([[...windows]], figure);
  return {
    node: newest.node,
    state: newest.state,
    latencyMs: median((sample) => sample.latencyMs),
    jitterMs: median((sample) => sample.jitterMs),
    lossForwardRatio: median((sample) => sample.lossForwardRatio),
    lossReverseRatio: median((sample) => sample.lossReverseRatio),
    sampledAt: newest.sampledAt,
  };
}

function tunnelView(path: PathId, ends: readonly PathSample[][], now: number): { isSilent: boolean; quality: PathQuality } {
  const heard = ends.filter((windows) => isHeard(windows.at(-1), now));
  const counted = heard.length > 0 ? heard : ends;
  const states = heard.map((windows) => windows.at(-1)!.state);
  const quality: PathQuality = {
    path,
    state: states.length === 0 ? 'unknown' : states.reduce((worst, state) => (BADNESS[state] > BADNESS[worst] ? state : worst)),
    latencyMs: worst(counted, (sample) => sample.latencyMs),
    jitterMs: worst(counted, (sample) => sample.jitterMs),
    lossRatio: worst(counted, (sample) => (sample.lossForwardRatio === null && sample.lossReverseRatio === null ? null : Math.max(sample.lossForwardRatio ?? 0, sample.lossReverseRatio ?? 0))),
    sampledAt: Math.max(...counted.map((windows) => windows.at(-1)!.sampledAt)),
  };
  return { isSilent: heard.length === 0, quality };
}

function isHeard(newest: PathSample | undefined, now: number): boolean {
  return newest !== undefined && newest.sampledAt > now - Math.max(SILENT_MIN_MS, SILENT_WINDOWS * newest.windowMs);
}

/** The greater of the ends' medians; windows in which a figure is not known are left out, null while too few are known. */
function worst(ends: readonly PathSample[][], figure: (sample: PathSample) => number | null): number | null {
  const medians = ends.flatMap((windows) => {
    const known = windows.map(figure).filter((value) => value !== null);
    return known.length < FIGURE_WINDOWS_MIN ? [] : [medianOf(known)];
  });
  return medians.length === 0 ? null : Math.max(...medians);
}

function medianOf(values: readonly number[]): number {
  const sorted = values.toSorted((left, right) => left - right);
  const middle = sorted.length >> 1;
  return sorted.length % 2 === 1 ? sorted[middle]! : (sorted[middle - 1]! + sorted[middle]!) / 2;
}
