import { ForemeshError } from '../../base/index.ts';
import type { PathId } from '../../model/index.ts';
import type { LabWorld } from '../lab-world.ts';
import type { StreamReport } from '../traffic/index.ts';
import type { SenderSpec } from '../world.ts';

/** A flow's packet comes every 4 ms; what four flows lose at once ends within this. */
const SAME_TIME_MS = 20;

/** Packets that one stream lost at one time, epoch ms. */
export interface Hole {
  stream: string;
  packets: number;
  at: number;
}

/** Streams that run through all trials of a scenario; counted anew for each. */
export interface Streams {
  reset(): Promise<void>;
  /** Of all streams since the reset; the gap is the longest of any. */
  count(): Promise<{ sent: number; lost: number; duplicated: number; longestGapMs: number; holes: Hole[] }>;
  /** ESP packets that entered a path so far, both directions. */
  packetsOver(path: PathId): Promise<number>;
  /** The path that carries most now. */
  busiestPath(): Promise<PathId>;
  stop(): Promise<void>;
}

export async function createStreams(world: LabWorld, specs: readonly SenderSpec[]): Promise<Streams> {
  const senders = await Promise.all(specs.map((spec) => world.network.startSender(spec)));
  await world.pass(1000);
  const packets = async (): Promise<Map<PathId, number>> => new Map((await world.underlay()).paths.map(({ path, espPackets }) => [path, espPackets]));
  return {
    async reset() {
      for (const sender of senders) await sender.reset();
    },
    async count() {
      const reports = await Promise.all(senders.map((sender) => sender.report()));
      const sum = (key: 'sent' | 'lost' | 'duplicated'): number => reports.reduce((total, report) => total + report[key], 0);
      return { sent: sum('sent'), lost: sum('lost'), duplicated: sum('duplicated'), longestGapMs: Math.max(...reports.map(({ longestGapMs }) => longestGapMs)), holes: reports.flatMap(({ holes }, index) => merge(specs[index]!.name, holes)) };
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

/** Flows that lose at one time are one hole. */
function merge(stream: string, holes: StreamReport['holes']): Hole[] {
  const merged: Hole[] = [];
  for (const { packets, at } of [...holes].sort((left, right) => left.at - right.at)) {
    const last = merged.at(-1);
    if (last && at - last.at <= SAME_TIME_MS) last.packets += packets;
    else merged.push({ stream, packets, at });
  }
  return merged;
}
