import { compareText } from '../../base/index.ts';
import type { NodeId } from '../../model/index.ts';

/** Two gateways that counted the same tunnel, and whether both can be right. */
export interface Comparison {
  one: NodeId;
  other: NodeId;
  agrees: boolean;
}

/**
 * Who of those that contradict each other is wrong: whoever is contradicted by most, then what is left. Of two that
 * contradict only each other it is the one whom nobody else confirms; where that is both or neither, nobody is blamed.
 */
export function blame(comparisons: readonly Comparison[]): Set<NodeId> {
  const blamed = new Set<NodeId>();
  for (;;) {
    const left = comparisons.filter(({ one, other }) => !blamed.has(one) && !blamed.has(other));
    const standing = standingsOf(left);
    const worst = [...standing.values()].filter(({ accusers }) => accusers.size > 0).sort((a, b) => b.accusers.size - a.accusers.size || a.friends.size - b.friends.size || compareText(a.node, b.node))[0];
    if (!worst) return blamed;
    const isOutvoted = [...worst.accusers].every((node) => {
      const accuser = standing.get(node)!;
      return accuser.accusers.size < worst.accusers.size || (accuser.accusers.size === worst.accusers.size && accuser.friends.size > worst.friends.size);
    });
    if (!isOutvoted) return blamed;
    blamed.add(worst.node);
  }
}

interface Standing {
  node: NodeId;
  accusers: Set<NodeId>;
  friends: Set<NodeId>;
}

/** Two gateways may have several tunnels: one in contradiction is one too many. */
function standingsOf(comparisons: readonly Comparison[]): Map<NodeId, Standing> {
  const standings = new Map<NodeId, Standing>();
  const of = (node: NodeId): Standing => {
    const known = standings.get(node) ?? { node, accusers: new Set(), friends: new Set() };
    standings.set(node, known);
    return known;
  };
  for (const { one, other, agrees } of comparisons) {
    of(one)[agrees ? 'friends' : 'accusers'].add(other);
    of(other)[agrees ? 'friends' : 'accusers'].add(one);
  }
  for (const { accusers, friends } of standings.values()) for (const node of accusers) friends.delete(node);
  return standings;
}
