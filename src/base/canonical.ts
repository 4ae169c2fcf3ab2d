import { createHash } from 'node:crypto';

export type Json = null | boolean | number | string | readonly Json[] | { readonly [key: string]: Json | undefined };

/**
 * JSON with sorted keys and no white space: the same value gives the same bytes on every machine, so digests can be
 * compared. `undefined` members are left out; NaN and infinities are refused with a TypeError, never written as null.
 */
export function canonicalJson(value: unknown): string {
  if (value === null || typeof value === 'boolean' || typeof value === 'string') return JSON.stringify(value);
  if (typeof value === 'number') {
    if (!Number.isFinite(value)) throw new TypeError(`canonicalJson: ${value} has no JSON form`);
    return JSON.stringify(value);
  }
  if (Array.isArray(value)) return `[${value.map((item) => canonicalJson(item)).join(',')}]`;
  if (typeof value === 'object') {
    const members = Object.entries(value)
      .filter(([, member]) => member !== undefined)
      .sort(([left], [right]) => compareText(left, right))
      .map(([key, member]) => `${JSON.stringify(key)}:${canonicalJson(member)}`);
    return `{${members.join(',')}}`;
  }
  throw new TypeError(`canonicalJson: ${typeof value} has no JSON form`);
}

/** `sha256:<hex>` of the bytes, or of the canonical JSON of anything else. */
export function digest(value: unknown): string {
  const bytes = typeof value === 'string' || value instanceof Uint8Array ? value : canonicalJson(value);
  return `sha256:${createHash('sha256').update(bytes).digest('hex')}`;
}

/** Order by UTF-16 code unit, independent of locale: what every sorted output uses. */
export function compareText(left: string, right: string): number {
  return left < right ? -1 : left > right ? 1 : 0;
}

/** A sorted copy, by the text that `key` gives. */
export function sortedBy<T>(items: readonly T[], key: (item: T) => string): T[] {
  return items.map((item) => ({ item, text: key(item) })).sort((left, right) => compareText(left.text, right.text)).map(({ item }) => item);
}

/** Rounds once, at the border, to `digits` decimals. */
export function roundTo(value: number, digits: number): number {
  const scale = 10 ** digits;
  const rounded = Math.round(value * scale) / scale;
  return Object.is(rounded, -0) ? 0 : rounded;
}
