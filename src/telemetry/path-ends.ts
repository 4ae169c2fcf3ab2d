import { sortedBy } from '../base/index.ts';
import type { PathEnd, PathEnds, PathId, TunnelId } from '../model/index.ts';

/** Round trips measured from both ends are of the same packets' way: what differs by both of these is not chance. */
const LATENCY_GAP_MS = 20;
const LATENCY_FACTOR = 2;
/** Loss of one direction, as its sender and its receiver count it, in medians of at least eight windows. */
const LOSS_GAP_RATIO = 0.1;

/** Puts the ends of one tunnel side by side. @param ends  at most two that spoke lately */
export function compareEnds(path: PathId, tunnel: TunnelId, ends: readonly PathEnd[]): PathEnds {
  const sorted = sortedBy([...ends], ({ node }) => node);
  const [one, other] = sorted;
  return { path, tunnel, ends: sorted, disagreement: one && other ? disagreementOf(one, other) : null };
}

function disagreementOf(one: PathEnd, other: PathEnd): string | null {
  const said = [
    latencyGap(one, other),
    lossGap(one, other, one.lossForwardRatio, other.lossReverseRatio),
    lossGap(other, one, other.lossForwardRatio, one.lossReverseRatio),
  ].filter((text) => text !== null);
  return said.length === 0 ? null : said.join('; ');
}

function latencyGap(one: PathEnd, other: PathEnd): string | null {
  const [left, right] = [one.latencyMs, other.latencyMs];
  if (left === null || right === null) return null;
  const [least, most] = [Math.min(left, right), Math.max(left, right)];
  return most - least > LATENCY_GAP_MS && most > least * LATENCY_FACTOR ? `round trip ${left.toFixed(1)} ms says ${one.node}, ${right.toFixed(1)} ms ${other.node}` : null;
}

function lossGap(from: PathEnd, to: PathEnd, sent: number | null, received: number | null): string | null {
  if (sent === null || received === null || Math.abs(sent - received) <= LOSS_GAP_RATIO) return null;
  return `loss from ${from.node} to ${to.node} ${(sent * 100).toFixed(1)} % says ${from.node}, ${(received * 100).toFixed(1)} % ${to.node}`;
}
