import { isPrefix } from '../base/index.ts';

/** An IPv4 prefix as first and last address; both included. */
export interface Ipv4Range {
  first: number;
  last: number;
}

/** The range of `10.1.0.0/24`; null for what is no IPv4 prefix and for the one that holds every address, which nobody means. */
export function ipv4Range(prefix: string): Ipv4Range | null {
  if (prefix.includes(':') || !isPrefix(prefix) || prefix.endsWith('/0')) return null;
  const [address = '', length = '32'] = prefix.split('/');
  const first = address.split('.').reduce((sum, part) => sum * 256 + Number(part), 0);
  return { first, last: first + 2 ** (32 - Number(length)) - 1 };
}

export function rangeContains(outer: Ipv4Range, inner: Ipv4Range): boolean {
  return outer.first <= inner.first && inner.last <= outer.last;
}

/**
 * All pairs of prefixes of which one holds the other, each inner one with the narrowest that holds it.
 * Prefixes nest or are apart, so one pass over them in order of address is enough (n log n).
 */
export function overlappingPairs<T extends { range: Ipv4Range }>(items: readonly T[]): [T, T][] {
  const sorted = items.map((item, index) => ({ item, index }));
  sorted.sort((left, right) => left.item.range.first - right.item.range.first || right.item.range.last - left.item.range.last || left.index - right.index);
  const pairs: [T, T][] = [];
  const open: T[] = [];
  for (const { item } of sorted) {
    while (open.length > 0 && open.at(-1)!.range.last < item.range.first) open.pop();
    const outer = open.at(-1);
    if (outer) pairs.push([outer, item]);
    open.push(item);
  }
  return pairs;
}
