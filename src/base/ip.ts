import { containsCidr, overlapCidr } from 'cidr-tools';
import type IpAddr from 'ipaddr.js';
import { requireCommonJs } from './common-js.ts';

const ipaddr = requireCommonJs<typeof IpAddr>('ipaddr.js');

export type IpFamily = 'ipv4' | 'ipv6';

/** Of an address or a prefix. */
export function familyOf(text: string): IpFamily {
  return text.includes(':') ? 'ipv6' : 'ipv4';
}

/** Those of one family. */
export function ofFamily(texts: readonly string[], family: IpFamily): string[] {
  return texts.filter((text) => familyOf(text) === family);
}

/** An address as a prefix of its own: `10.1.0.1/32`, `fd00::1/128`. */
export function hostPrefixOf(address: string): string {
  return `${address}/${familyOf(address) === 'ipv4' ? 32 : 128}`;
}

/** True for `10.1.0.0/24` and `fd00::/8` with no host bits set, written in the one normal way. */
export function isPrefix(text: string): boolean {
  try {
    if (text.length > 50 || text.includes('%') || !isStrict(text.split('/')[0]!)) return false;
    const [address, length] = ipaddr.parseCIDR(text);
    const network = address.kind() === 'ipv4' ? ipaddr.IPv4.networkAddressFromCIDR(text) : ipaddr.IPv6.networkAddressFromCIDR(text);
    return text === `${network.toString()}/${length}`;
  } catch {
    return false; // not parseable is the answer, not an error
  }
}

/** True for one IPv4 or IPv6 address without zone, octal or short forms. */
export function isAddress(text: string): boolean {
  return text.length <= 45 && !text.includes('%') && isStrict(text) && ipaddr.isValid(text);
}

/**
 * True for an address written as the kernel writes it (RFC 5952), so that texts can be compared; false for IPv4 inside
 * IPv6 and for the unspecified and the loopback address of IPv6, which no interface of a mesh has.
 */
export function isNormalAddress(text: string): boolean {
  return isAddress(text) && !text.startsWith('::') && text === ipaddr.parse(text).toString();
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

/** The address `offset` above the start of a prefix; host bits of the prefix are left out. */
export function addressAt(prefix: string, offset: number): string {
  const [address, length] = ipaddr.parseCIDR(prefix);
  const bits = address.toByteArray().length * 8;
  const hostBits = BigInt(bits - length);
  let value = ((rangeOf(prefix).first >> hostBits) << hostBits) + BigInt(offset);
  const bytes = Array.from({ length: bits / 8 }, () => {
    const byte = Number(value & 0xffn);
    value >>= 8n;
    return byte;
  });
  return ipaddr.fromByteArray(bytes.reverse()).toString();
}

/** First and last address of a prefix as numbers, both included. */
export interface AddressRange {
  family: 4 | 6;
  first: bigint;
  last: bigint;
}

/** The range of a text for which `isPrefix` holds. */
export function rangeOf(prefix: string): AddressRange {
  const [address, length] = ipaddr.parseCIDR(prefix);
  const bytes = address.toByteArray();
  const first = bytes.reduce((sum, byte) => (sum << 8n) | BigInt(byte), 0n);
  return { family: bytes.length === 4 ? 4 : 6, first, last: first + (1n << BigInt(bytes.length * 8 - length)) - 1n };
}

function isStrict(address: string): boolean {
  return address.includes(':') ? ipaddr.IPv6.isValid(address) : ipaddr.IPv4.isValidFourPartDecimal(address);
}
