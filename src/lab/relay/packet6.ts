import { INNER_IP } from './packet.ts';

/** Bytes of the fixed header (RFC 8200 section 3). */
export const HEADER_6_BYTES = 40;
const FRAGMENT = 44;
/** Hop-by-hop options, routing, destination options: next header, then length in units of 8 bytes beyond the first. */
const SKIPPED: ReadonlySet<number> = new Set([0, 43, 60]);
export const ICMP_6 = 58;

/** What is behind the extension headers of an IPv6 packet that begins at `at`. */
export interface Upper {
  protocol: number;
  at: number;
  fragment: { offset: number; hasMore: boolean; id: number } | null;
}

/** Null for a header chain that is cut off. */
export function upperOf(bytes: Buffer, at: number): Upper | null {
  if (bytes.length < at + HEADER_6_BYTES) return null;
  let protocol = bytes[at + 6]!;
  let next = at + HEADER_6_BYTES;
  let fragment: Upper['fragment'] = null;
  while (SKIPPED.has(protocol) || protocol === FRAGMENT) {
    if (bytes.length < next + 8) return null;
    const length = protocol === FRAGMENT ? 8 : (bytes[next + 1]! + 1) * 8;
    if (protocol === FRAGMENT) fragment = { offset: bytes.readUInt16BE(next + 2) & 0xfff8, hasMore: (bytes.readUInt16BE(next + 2) & 1) === 1, id: bytes.readUInt32BE(next + 4) };
    protocol = bytes[next]!;
    next += length;
    if (fragment && fragment.offset > 0) break; // what follows is the middle of something
  }
  return { protocol, at: next, fragment };
}

/**
 * Talk of a link with itself, which no router passes on (neighbour and router discovery, RFC 4861; listener reports,
 * RFC 3810): to IPv6 what ARP frames are to IPv4.
 */
export function isLinkTalk(datagram: Buffer): boolean {
  const upper = upperOf(datagram, INNER_IP);
  if (upper?.protocol !== ICMP_6 || datagram.length <= upper.at) return false;
  const type = datagram[upper.at]!;
  return (type >= 133 && type <= 137) || type === 143 || (type >= 130 && type <= 132);
}
