import type { Cancel } from '../../base/index.ts';
import type { PathId } from '../../model/index.ts';
import type { Sender, World } from '../world.ts';

/** One rise of the demand: when the second path began to carry, and when the first alone would have been full. */
export interface PeakEpisode {
  secondPath: PathId;
  /** Epoch ms of the world's clock. */
  carriesAt: number;
  /** When the pair's traffic first was more than the first path may carry. */
  exceededAt: number | null;
  /** Received of the pair at that moment, Mbit/s, and the share on the second path. */
  peakMbps: number;
  secondPathMbps: number;
}

export interface PeakWatch {
  /** The first rise that was seen whole. */
  episode(): PeakEpisode | null;
  /** Mbit/s of the pair now, as the receiver counts. */
  currentMbps(): number;
  /** Forgets what was seen, for another rise. */
  restart(): void;
  stop(): void;
}

const SAMPLE_MS = 250;
/** Probes alone make less than this on a path; more is traffic. */
const CARRYING_MBPS = 0.3;

/**
 * Watches one pair from packets only: what its receiver counts, and the ESP bytes that the underlay sees on each path
 * between its two gateways. A rise is seen whole when the second path was idle before it.
 * @param limitMbps  what the first path may carry
 */
export function watchPeak(world: World, sender: Sender, candidatePaths: (path: PathId) => boolean, limitMbps: number): PeakWatch {
  let last: { at: number; bytes: Map<PathId, number> } | null = null;
  let episode: PeakEpisode | null = null;
  let wasSingle = false;
  let currentMbps = 0;
  let stopped = false;
  let cancel: Cancel = () => undefined;

  const look = async (): Promise<void> => {
    const [underlay, report] = await Promise.all([world.underlay(), sender.report()]);
    const at = world.clock.now();
    currentMbps = report.mbps;
    const bytes = new Map(underlay.paths.filter(({ path }) => candidatePaths(path)).map(({ path, espBytes }) => [path, espBytes]));
    if (last && at > last.at) {
      const before = last;
      const rates = [...bytes].map(([path, now]) => ({ path, mbps: ((now - (before.bytes.get(path) ?? now)) * 8) / ((at - before.at) * 1000) }));
      const carrying = rates.filter(({ mbps }) => mbps > CARRYING_MBPS).sort((left, right) => right.mbps - left.mbps);
      const second = carrying[1];
      if (carrying.length === 1 && report.mbps < limitMbps) {
        wasSingle = true;
        if (episode?.exceededAt === null) episode = null; // it went again without a peak: not a rise
      }
      if (wasSingle && second && episode === null) episode = { secondPath: second.path, carriesAt: at, exceededAt: null, peakMbps: report.mbps, secondPathMbps: second.mbps };
      if (episode && report.mbps > episode.peakMbps) {
        episode = { ...episode, peakMbps: report.mbps, secondPathMbps: rates.find(({ path }) => path === episode?.secondPath)?.mbps ?? episode.secondPathMbps };
      }
      if (episode && episode.exceededAt === null && report.mbps >= limitMbps) episode = { ...episode, exceededAt: at };
    }
    last = { at, bytes };
  };

  const round = (): void => {
    if (stopped) return;
    void look()
      .catch(() => undefined) // a query that fails while the lab is being torn down or broken on purpose is a sample less
      .finally(() => {
        if (!stopped) cancel = world.clock.setTimer(SAMPLE_MS, round);
      });
  };
  round();
  return {
    episode: () => episode,
    currentMbps: () => currentMbps,
    restart() {
      episode = null;
      wasSingle = false;
    },
    stop() {
      stopped = true;
      cancel();
    },
  };
}
