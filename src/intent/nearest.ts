import { compareText } from '../base/index.ts';

/** The candidate most like `text` (edit distance ≤ a third of its length, at least 1), ignoring case; null when none is near. */
export function nearest(text: string, candidates: Iterable<string>): string | null {
  const wanted = text.slice(0, 80).toLowerCase();
  const limit = Math.max(1, Math.floor(wanted.length / 3));
  let best: string | null = null;
  let bestDistance = limit + 1;
  for (const candidate of [...candidates].sort(compareText)) {
    if (Math.abs(candidate.length - wanted.length) > limit) continue;
    const distance = editDistance(wanted, candidate.toLowerCase());
    if (distance < bestDistance) {
      best = candidate;
      bestDistance = distance;
    }
  }
  return best;
}

/** `use berlin` or, without a near one, `use one of berlin, paris, … (7 in all)`. */
export function suggestion(text: string, candidates: readonly string[], otherwise: string): string {
  const near = nearest(text, candidates);
  if (near !== null) return `did you mean ${near}?`;
  if (candidates.length === 0) return otherwise;
  const shown = [...candidates].sort(compareText).slice(0, 8);
  return `use one of ${shown.join(', ')}${candidates.length > shown.length ? ` (${candidates.length} in all)` : ''}`;
}

/** Edits (insert, delete, replace, swap of neighbours) from one text to the other. */
function editDistance(left: string, right: string): number {
  let beforeLast: number[] = [];
  let last = Array.from({ length: right.length + 1 }, (_, index) => index);
  for (let row = 1; row <= left.length; row++) {
    const current = [row];
    for (let column = 1; column <= right.length; column++) {
      const same = left[row - 1] === right[column - 1];
      let cost = Math.min(last[column]! + 1, current[column - 1]! + 1, last[column - 1]! + (same ? 0 : 1));
      if (row > 1 && column > 1 && left[row - 1] === right[column - 2] && left[row - 2] === right[column - 1]) {
        cost = Math.min(cost, beforeLast[column - 2]! + 1);
      }
      current.push(cost);
    }
    beforeLast = last;
    last = current;
  }
  return last[right.length]!;
}
