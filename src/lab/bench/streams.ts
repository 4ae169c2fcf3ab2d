import { ForemeshError } from '../../base/index.ts';
import type { PathId } from '../../model/index.ts';
import type { LabWorld } from '../lab-world.ts';
import type { SenderSpec } from '../world.ts';

/** Streams that run through all trials of a scenario; counted anew for each. */
export interface Streams {
  reset(): Promise<void>;
  /** Of all streams since the reset; the gap is the longest of any. */
  count(): Promise<{ sent: number; lost: number; duplicated: number; longestGapMs: number }>;
  /** ESP packets that entered a path so far, both directions. */
  packetsOver(path: PathId): Promise<number>;
  /** The path that carries most now. */
  busiestPath(): Promise<PathId>;
  stop(): Promise<void>;
}

export async function createStreams(world: LabWorld, specs: readonly SenderSpec[]): Promise<Streams> {
  const senders = await Promise.all(specs.map((spec) => world.startSender(spec)));
  await world.pass(1000);
  const packets = async (): Promise<Map<PathId, number>> => new Map((await world.underlay()).paths.map(({ path, espPackets }) => [path, espPackets]));
  return {
    async reset() {
      for (const sender of senders) await sender.reset();
    },
    async count() {
      const reports = await Promise.all(senders.map((sender) => sender.report()));
      const sum = (key: 'sent' | 'lost' | 'duplicated'): number => reports.reduce((total, report) => total + report[key], 0);
      return { sent: sum('sent'), lost: sum('lost'), duplicated: sum('duplicated'), longestGapMs: Math.max(...reports.map(({ longestGapMs }) => longestGapMs)) };
    },
    packetsOver: async (path) => (await packets()).get(path) ?? 0,
    async busiestPath() {
      const before = await packets();
      await world.pass(300);
      const after = await packets();
      const [busiest] = [...after].map(([path, count]) => ({ path, count: count - (before.get(path) ?? 0) })).sort((left, right) => right.count - left.count);
      if (!busiest || busiest.count < 100) throw new ForemeshError('LAB_FAILED', { what: 'no path carries the streams', fix: 'see the agents’ logs' });
      return busiest.path;
    },
    async stop() {
      for (const sender of senders) await sender.stop();
    },
  };
}
