import { isPrefix, rangeOf, type AddressRange } from '../base/index.ts';

/** The range of `10.1.0.0/24` or `fd00:1::/64`; null for what is no prefix and for the ones that hold every address, which nobody means. */
export function rangeOfPrefix(prefix: string): AddressRange | null {
  return !isPrefix(prefix) || prefix.endsWith('/0') ? null : rangeOf(prefix);
}

export function rangeContains(outer: AddressRange, inner: AddressRange): boolean {
  return outer.family === inner.family && outer.first <= inner.first && inner.last <= outer.last;
}

/**
 * All pairs of prefixes of which one holds the other, each inner one with the narrowest that holds it.
 * Prefixes nest or are apart, so one pass over them in order of address is enough (n log n).
 */
export function overlappingPairs<T extends { range: AddressRange }>(items: readonly T[]): [T, T][] {
  const sorted = items.map((item, index) => ({ item, index }));
  sorted.sort((left, right) => compareRanges(left.item.range, right.item.range) || left.index - right.index);
  const pairs: [T, T][] = [];
  const open: T[] = [];
  for (const { item } of sorted) {
    while (open.length > 0 && !rangeContains(open.at(-1)!.range, item.range)) open.pop();
    const outer = open.at(-1);
    if (outer) pairs.push([outer, item]);
    open.push(item);
  }
  return pairs;
}

/** By family, then by first address; of those with the same one the widest first. */
function compareRanges(left: AddressRange, right: AddressRange): number {
  if (left.family !== right.family) return left.family - right.family;
  if (left.first !== right.first) return left.first < right.first ? -1 : 1;
  return left.last === right.last ? 0 : left.last > right.last ? -1 : 1;
}
