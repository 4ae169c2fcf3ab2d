import { hostPrefixOf, rangeOf } from '../../base/index.ts';
import { HEADER_6_BYTES, ICMP_6, isLinkTalk, upperOf } from './packet6.ts';

/**
 * What the underlay takes a packet for.
 * `esp`: IP protocol 50, or UDP 4500 with an SPI. `ike`: UDP 500, UDP 4500 with the zero marker, NAT keepalives.
 * `icmpError`: a router's or host's complaint about one of those; it holds no user data.
 * `clearText`: everything else, above all whatever has an address that is no uplink's.
 */
export type PacketClass = 'esp' | 'ike' | 'icmpError' | 'clearText';

/** Offsets in a VXLAN datagram: 8 bytes VXLAN, 14 Ethernet, then the inner IP packet. */
export const INNER_ETHERNET = 8;
export const INNER_IP = 22;
const ETHERTYPE_AT = 20;
const IPV4 = 0x0800;
const IPV6 = 0x86dd;

const ICMP = 1;
const UDP = 17;
const ESP = 50;
const IKE_PORT = 500;
const NAT_TRAVERSAL_PORT = 4500;

/** An address as a key: of IPv4 its number, of IPv6 its 16 bytes as latin1. */
export type AddressKey = number | string;

/** True for packets that a router would carry: IPv4, and IPv6 but for what stays on its link. */
export function isIpDatagram(datagram: Buffer): boolean {
  if (datagram.length < INNER_IP) return false;
  const type = datagram.readUInt16BE(ETHERTYPE_AT);
  if (type === IPV4) return datagram.length >= INNER_IP + 20;
  return type === IPV6 && datagram.length >= INNER_IP + HEADER_6_BYTES && !isLinkTalk(datagram);
}

function isIpv6(datagram: Buffer): boolean {
  return datagram.readUInt16BE(ETHERTYPE_AT) === IPV6;
}

export function sourceOf(datagram: Buffer): AddressKey {
  return isIpv6(datagram) ? datagram.toString('latin1', INNER_IP + 8, INNER_IP + 24) : datagram.readUInt32BE(INNER_IP + 12);
}

export function destinationOf(datagram: Buffer): AddressKey {
  return isIpv6(datagram) ? datagram.toString('latin1', INNER_IP + 24, INNER_IP + 40) : datagram.readUInt32BE(INNER_IP + 16);
}

/** Length on the emulated wire: the inner IP packet, bytes. */
export function wireBytes(datagram: Buffer): number {
  return datagram.length - INNER_IP;
}

/**
 * Classifies the inner packet of a datagram for which `isIpDatagram` holds. Whether its addresses are uplinks' is for
 * the caller to know. A later fragment has no ports; it is `null` here and counts as what its first fragment was.
 */
export function classify(datagram: Buffer): PacketClass | null {
  return isIpv6(datagram) ? classifyIp6(datagram, INNER_IP, true) : classifyIp(datagram, INNER_IP, true);
}

/** Source, destination and identification: what fragments of one packet share. */
export function fragmentKey(datagram: Buffer): string {
  const id = isIpv6(datagram) ? upperOf(datagram, INNER_IP)?.fragment?.id : datagram.readUInt16BE(INNER_IP + 4);
  return `${sourceOf(datagram)}:${destinationOf(datagram)}:${id}`;
}

/** True for a first fragment: more follow. */
export function hasMoreFragments(datagram: Buffer): boolean {
  if (isIpv6(datagram)) {
    const fragment = upperOf(datagram, INNER_IP)?.fragment;
    return fragment?.hasMore === true && fragment.offset === 0;
  }
  const field = datagram.readUInt16BE(INNER_IP + 6);
  return (field & 0x2000) !== 0 && (field & 0x1fff) === 0;
}

function classifyIp(bytes: Buffer, at: number, outermost: boolean): PacketClass | null {
  if (bytes.length < at + 20) return 'clearText';
  if ((bytes.readUInt16BE(at + 6) & 0x1fff) !== 0) return null;
  const protocol = bytes[at + 9];
  const payloadAt = at + (bytes[at]! & 0x0f) * 4;
  if (protocol === ESP) return 'esp';
  if (protocol === UDP) return classifyUdp(bytes, payloadAt, outermost);
  if (protocol === ICMP && outermost) return isComplaintAboutOurs(bytes, payloadAt) ? 'icmpError' : 'clearText';
  return 'clearText';
}

function classifyIp6(bytes: Buffer, at: number, outermost: boolean): PacketClass | null {
  const upper = upperOf(bytes, at);
  if (!upper) return 'clearText';
  if (upper.fragment && upper.fragment.offset > 0) return null;
  if (upper.protocol === ESP) return 'esp';
  if (upper.protocol === UDP) return classifyUdp(bytes, upper.at, outermost);
  if (upper.protocol === ICMP_6 && outermost) return isComplaintAboutOurs6(bytes, upper.at) ? 'icmpError' : 'clearText';
  return 'clearText';
}

/** ICMPv6 1 (unreachable), 2 (too big), 3 (time exceeded) and 4 (parameter) quote the packet they are about. */
function isComplaintAboutOurs6(bytes: Buffer, at: number): boolean {
  if (bytes.length < at + 8 || bytes[at]! < 1 || bytes[at]! > 4) return false;
  const quoted = classifyIp6(bytes, at + 8, false);
  return quoted === 'esp' || quoted === 'ike';
}

function classifyUdp(bytes: Buffer, at: number, whole: boolean): PacketClass {
  if (bytes.length < at + 8) return 'clearText';
  const [source, destination] = [bytes.readUInt16BE(at), bytes.readUInt16BE(at + 2)];
  if (source === IKE_PORT || destination === IKE_PORT) return 'ike';
  if (source !== NAT_TRAVERSAL_PORT && destination !== NAT_TRAVERSAL_PORT) return 'clearText';
  if (!whole) return 'esp';
  const payload = bytes.length - at - 8;
  if (payload === 1 && bytes[at + 8] === 0xff) return 'ike';
  return payload >= 4 && bytes.readUInt32BE(at + 8) !== 0 ? 'esp' : 'ike';
}

/** ICMP 3 (unreachable), 11 (time exceeded) and 12 (parameter) quote the packet they are about. */
function isComplaintAboutOurs(bytes: Buffer, at: number): boolean {
  if (bytes.length < at + 8 || ![3, 11, 12].includes(bytes[at]!)) return false;
  const quoted = classifyIp(bytes, at + 8, false);
  return quoted === 'esp' || quoted === 'ike';
}

/** `udp 10.1.0.10:40000 > 10.2.0.10:7000 (1200 bytes)`: header of a packet, for diagnosis; never its payload. */
export function describe(datagram: Buffer): string {
  const upper = upperIn(datagram);
  const ports = portsOf(datagram, upper);
  const end = (address: AddressKey, port: number | undefined): string => formatAddress(address) + (port === undefined ? '' : `:${port}`);
  const protocol = { [ICMP]: 'icmp', [ICMP_6]: 'icmp6', 6: 'tcp', [UDP]: 'udp', [ESP]: 'esp' }[upper.protocol] ?? `protocol ${upper.protocol}`;
  return `${protocol} ${end(sourceOf(datagram), ports?.[0])} > ${end(destinationOf(datagram), ports?.[1])} (${wireBytes(datagram)} bytes)`;
}

function upperIn(datagram: Buffer): { protocol: number; at: number } {
  if (isIpv6(datagram)) return upperOf(datagram, INNER_IP) ?? { protocol: datagram[INNER_IP + 6]!, at: datagram.length };
  return { protocol: datagram[INNER_IP + 9]!, at: INNER_IP + (datagram[INNER_IP]! & 0x0f) * 4 };
}

function portsOf(datagram: Buffer, { protocol, at }: { protocol: number; at: number }): [number, number] | null {
  if ((protocol !== UDP && protocol !== 6) || datagram.length < at + 4) return null;
  return [datagram.readUInt16BE(at), datagram.readUInt16BE(at + 2)];
}

export function parseAddress(text: string): AddressKey {
  if (!text.includes(':')) return text.split('.').reduce((sum, part) => sum * 256 + Number(part), 0);
  return Buffer.from(rangeOf(hostPrefixOf(text)).first.toString(16).padStart(32, '0'), 'hex').toString('latin1');
}

function formatAddress(address: AddressKey): string {
  if (typeof address === 'number') return [24, 16, 8, 0].map((shift) => (address >>> shift) & 0xff).join('.');
  const groups = Buffer.from(address, 'latin1').toString('hex').match(/.{4}/g) ?? [];
  return `[${groups.map((group) => Number.parseInt(group, 16).toString(16)).join(':')}]`;
}
