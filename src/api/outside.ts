/** Names of members that hold an instant: epoch ms inside, ISO 8601 outside. */
const INSTANT = /(?:At|^at|^until|^since)$/;

/**
 * A copy for the outside world: instants as ISO 8601 in UTC, maps as objects, everything else as it is. Numbers that are
 * no instants of this era (an override "for ever") stay numbers.
 */
export function toOutside(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(toOutside);
  if (value instanceof Map) return Object.fromEntries([...value].map(([key, member]) => [String(key), toOutside(member)]));
  if (typeof value !== 'object' || value === null) return value;
  return Object.fromEntries(Object.entries(value).map(([key, member]) => [key, INSTANT.test(key) && typeof member === 'number' ? instant(member) : toOutside(member)]));
}

function instant(ms: number): string | number {
  return Math.abs(ms) <= 8.64e15 ? new Date(ms).toISOString() : ms;
}
