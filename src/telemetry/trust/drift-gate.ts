import type { Evidence, NodeId, SiteId } from '../../model/index.ts';
import { countedWindows } from './counted.ts';
import type { Topology } from './topology.ts';

/** A gateway whose figures move away from those of all others, too slowly for any window to show it. */
export interface NodeDrift {
  node: NodeId;
  site: SiteId;
  /** Begin of the first day that was away already. */
  fromAt: number;
  why: string;
}

/** Days that say what is usual, and days in a row that must be beyond the bound. */
const ANCHOR_DAYS = 3;
const BEYOND_DAYS = 2;
/** So far from usual may what a gateway reports move, against what the others counted of it. */
const BOUND = 1.1;
/** From here on it counts as moving. */
const BEGUN = 1.02;
/** Less than this, Mbit/s over a day, shows nothing. */
const DAY_MBPS_MIN = 0.02;

/**
 * Looks at whole days (`evidence` has windows of a day): what each gateway reports against what the gateways at the
 * other ends counted, compared with the first days of the same ratio. Growth that both see leaves it as it is. Of a
 * gateway that relays, only what it sends is looked at: what its own hosts offer is not all of it.
 */
export function driftsOf(evidence: Evidence, topology: Topology): NodeDrift[] {
  const counted = countedWindows(evidence);
  const days = Array.from({ length: evidence.untilWindow - evidence.fromWindow }, (_, index) => evidence.fromWindow + index);
  return [...topology.nodes].flatMap(([node, { site, isRelay }]) => {
    const perDay = days.map((day) => ratiosOf(counted, topology, day, node));
    const sent = driftOf(perDay.map((ratios) => ratios?.sent ?? null));
    const offered = isRelay ? null : driftOf(perDay.map((ratios) => ratios?.offered ?? null));
    const found = offered ?? sent;
    if (!found) return [];
    const what = offered ? 'what it says that hosts offered' : 'what it says that it sent';
    return [{ node, site, fromAt: days[found.fromIndex]! * evidence.windowMs, why: `${node}: ${what} has moved by ${(100 * (found.factor - 1)).toFixed(0)} % in ${days.length - found.fromIndex} days against what the other ends counted` }];
  });
}

/** @param ratios  a value a day, null where unknown */
export function driftOf(ratios: readonly (number | null)[]): { fromIndex: number; factor: number } | null {
  const known = ratios.flatMap((ratio, index) => (ratio === null ? [] : [{ ratio, index }]));
  if (known.length < ANCHOR_DAYS + BEYOND_DAYS) return null;
  const usual = median(known.slice(0, ANCHOR_DAYS).map(({ ratio }) => ratio));
  const newest = known.slice(-BEYOND_DAYS).map(({ ratio }) => ratio / usual);
  if (!newest.every((factor) => factor > BOUND)) return null;
  const lastUsual = known.findLastIndex(({ ratio }) => ratio <= BEGUN * usual);
  return { fromIndex: known[Math.min(lastUsual + 1, known.length - 1)]!.index, factor: newest.at(-1)! };
}

function ratiosOf(counted: ReturnType<typeof countedWindows>, { tunnels, nodes, lastHops }: Topology, day: number, node: NodeId): { sent: number; offered: number | null } | null {
  let sent = 0;
  let arrived = 0;
  for (const [id, { ends }] of tunnels) {
    const index = ends.indexOf(node);
    if (index < 0) continue;
    const own = counted.tunnel(day, id, node);
    const other = counted.tunnel(day, id, ends[1 - index]!);
    if (!own || !other) continue;
    sent += own.txBytes;
    arrived += other.rxBytes;
  }
  if ((arrived * 8) / counted.windowMs / 1000 < DAY_MBPS_MIN) return null;
  const site = nodes.get(node)?.site;
  const offered = counted.offered(day).filter((one) => one.node === node && one.from === site && lastHops.has(`${one.from}>${one.to}`));
  return { sent: sent / arrived, offered: offered.length > 0 ? offered.reduce((sum, { bytes, droppedBytes }) => sum + bytes - droppedBytes, 0) / arrived : null };
}

function median(values: readonly number[]): number {
  return values.toSorted((left, right) => left - right)[values.length >> 1]!;
}
