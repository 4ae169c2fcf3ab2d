import ipaddr from 'ipaddr.js';
import { containsCidr, overlapCidr } from 'cidr-tools';

/** True for `10.1.0.0/24` and `fd00::/8` with no host bits set, written in the one normal way. */
export function isPrefix(text: string): boolean {
  try {
    if (text.length > 50 || text.includes('%') || !isStrict(text.split('/')[0]!)) return false;
    const [address, length] = ipaddr.parseCIDR(text);
    const network = address.kind() === 'ipv4' ? ipaddr.IPv4.networkAddressFromCIDR(text) : ipaddr.IPv6.networkAddressFromCIDR(text);
    return network.toString() === address.toString() && text.endsWith(`/${length}`);
  } catch {
    return false; // not parseable is the answer, not an error
  }
}

/** True for one IPv4 or IPv6 address without zone, octal or short forms. */
export function isAddress(text: string): boolean {
  return text.length <= 45 && !text.includes('%') && isStrict(text) && ipaddr.isValid(text);
}

/** True when two lists of prefixes share an address. */
export function prefixesOverlap(left: readonly string[], right: readonly string[]): boolean {
  return left.length > 0 && right.length > 0 && overlapCidr([...left], [...right]);
}

/**
 * The neighbours in address order that share an address, of prefixes with owners; [] when all are apart. For many at
 * once: n log n. What is no prefix is left out.
 */
export function sharedPrefixes<Owner>(owned: readonly { owner: Owner; prefix: string }[]): { one: Owner; other: Owner; prefix: string }[] {
  const ranges = owned.filter(({ prefix }) => isPrefix(prefix)).map(({ owner, prefix }) => ({ owner, prefix, ...rangeOf(prefix) }));
  ranges.sort((left, right) => left.family - right.family || (left.first < right.first ? -1 : left.first > right.first ? 1 : 0));
  const found: { one: Owner; other: Owner; prefix: string }[] = [];
  let widest = ranges[0];
  for (const range of ranges.slice(1)) {
    if (widest && widest.family === range.family && range.first <= widest.last) found.push({ one: widest.owner, other: range.owner, prefix: range.prefix });
    if (!widest || widest.family !== range.family || range.last > widest.last) widest = range;
  }
  return found;
}

/** True when every address of `inner` is in `outer`. */
export function prefixContains(outer: string | readonly string[], inner: string): boolean {
  return containsCidr(typeof outer === 'string' ? outer : [...outer], inner);
}

/** The address `offset` above the start of an IPv4 prefix. */
export function addressAt(prefix: string, offset: number): string {
  const start = ipaddr.IPv4.networkAddressFromCIDR(prefix).toByteArray().reduce((sum, byte) => sum * 256 + byte, 0);
  const value = start + offset;
  return [value / 0x1000000, value / 0x10000, value / 0x100, value].map((part) => Math.floor(part) % 256).join('.');
}

function rangeOf(prefix: string): { family: 4 | 6; first: bigint; last: bigint } {
  const [address, length] = ipaddr.parseCIDR(prefix);
  const bytes = address.toByteArray();
  const first = bytes.reduce((sum, byte) => (sum << 8n) | BigInt(byte), 0n);
  return { family: bytes.length === 4 ? 4 : 6, first, last: first + (1n << BigInt(bytes.length * 8 - length)) - 1n };
}

function isStrict(address: string): boolean {
  return address.includes(':') ? ipaddr.IPv6.isValid(address) : ipaddr.IPv4.isValidFourPartDecimal(address);
}
