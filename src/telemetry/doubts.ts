import { sortedBy } from '../base/index.ts';
import type { NodeId, ReportDoubt, Sample } from '../model/index.ts';
import type { Plausible } from './plausible.ts';
import { getOrSet } from './tunnel-usage.ts';

/** Batches by which a clock is judged: of those that wait in an outbox the newest comes last. */
const BATCHES_KEPT = 12;
/** A clock may be ahead by this, ms; behind by more, since batches take their time. */
const AHEAD_MAX_MS = 60_000;
const BEHIND_MAX_MS = 300_000;
/** What cannot be true is told of for so long after it last came. */
const TOLD_MS = 3_600_000;

interface NodeDoubts {
  implausible: { samples: number; lastAt: number; example: string } | null;
  /** How far the newest sample of each of the newest batches was ahead of the engine's clock, ms. */
  offsets: number[];
  heardAt: number;
}

/** What single nodes report that cannot be, and whose clocks are wrong; in memory, from a start on. */
export class DoubtBook {
  readonly #nodes = new Map<NodeId, NodeDoubts>();

  note(node: NodeId, samples: readonly Sample[], { dropped, example }: Plausible, now: number): void {
    const of = getOrSet(this.#nodes, node, () => ({ implausible: null, offsets: [], heardAt: now }));
    of.heardAt = now;
    const newestAt = samples.reduce((most, { sampledAt }) => (Number.isFinite(sampledAt) ? Math.max(most, sampledAt) : most), -Infinity);
    if (newestAt > -Infinity) of.offsets = [...of.offsets, newestAt - now].slice(-BATCHES_KEPT);
    if (dropped.figures === 0) return;
    of.implausible = { samples: (of.implausible?.samples ?? 0) + dropped.figures, lastAt: now, example: example ?? '' };
  }

  /** By node. */
  doubts(now: number): ReportDoubt[] {
    const found = [...this.#nodes].flatMap(([node, { implausible, offsets, heardAt }]): ReportDoubt[] => {
      if (now - heardAt > TOLD_MS) return [];
      // one batch may have waited; the newest of many did not
      const offsetMs = offsets.length === 0 ? 0 : Math.max(...offsets);
      return [
        ...(implausible && now - implausible.lastAt <= TOLD_MS ? [{ node, kind: 'figures' as const, ...implausible }] : []),
        ...(offsetMs > AHEAD_MAX_MS || (offsetMs < -BEHIND_MAX_MS && offsets.length >= BATCHES_KEPT) ? [{ node, kind: 'clock' as const, offsetMs }] : []),
      ];
    });
    return sortedBy(found, ({ node, kind }) => `${node} ${kind}`);
  }
}
