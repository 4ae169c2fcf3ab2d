import type { Mesh, NodeShaping, SiteNode, TrafficClass } from '../model/index.ts';

/** Of an uplink's `up`: less than it, or the queue is the modem's, which knows no classes. */
const UPLINK_RATIO = 0.95;
/** Of an uplink, what a class without a share gets when others want it all: enough for the packets that keep a connection alive. */
const LEAST_RATIO = 0.01;
/** HTB knows eight priorities. */
const LAST_PRIORITY = 7;
/** Below this no rate makes sense, kbit/s. */
const LEAST_KBPS = 16;

/**
 * How a node's uplinks are divided between the classes, in order of priority; null without shaping. Guaranteed rates of
 * an uplink sum to its rate at most: with shares of 100 % those are cut by what classes without one get.
 */
export function shapingOf(mesh: Mesh, node: SiteNode, classes: readonly TrafficClass[]): NodeShaping[] | null {
  if (!mesh.shaping || classes.length === 0) return null;
  const wanted = classes.map(({ shareRatio }) => Math.max(shareRatio, LEAST_RATIO));
  const scale = Math.min(1, 1 / wanted.reduce((sum, share) => sum + share, 0));
  return node.uplinks.map(({ name, upMbps }) => {
    const rateKbps = Math.max(LEAST_KBPS * classes.length, Math.floor(upMbps * 1000 * UPLINK_RATIO));
    return {
      uplink: name,
      rateKbps,
      classes: classes.map(({ id }, index) => ({ id, rateKbps: Math.max(LEAST_KBPS, Math.floor(rateKbps * wanted[index]! * scale)), priority: Math.min(index, LAST_PRIORITY) })),
    };
  });
}
