/**
 * What the underlay takes a packet for.
 * `esp`: IP protocol 50, or UDP 4500 with an SPI. `ike`: UDP 500, UDP 4500 with the zero marker, NAT keepalives.
 * `icmpError`: a router's or host's complaint about one of those; it holds no user data.
 * `clearText`: everything else, above all whatever has an address that is no uplink's.
 */
export type PacketClass = 'esp' | 'ike' | 'icmpError' | 'clearText';

/** Offsets in a VXLAN datagram: 8 bytes VXLAN, 14 Ethernet, then the inner IPv4 packet. */
export const INNER_ETHERNET = 8;
export const INNER_IP = 22;
const ETHERTYPE_AT = 20;
const IPV4 = 0x0800;
const LENGTH_MIN = INNER_IP + 20;

const ICMP = 1;
const UDP = 17;
const ESP = 50;
const IKE_PORT = 500;
const NAT_TRAVERSAL_PORT = 4500;

export function isIpv4Datagram(datagram: Buffer): boolean {
  return datagram.length >= LENGTH_MIN && datagram.readUInt16BE(ETHERTYPE_AT) === IPV4;
}

export function sourceOf(datagram: Buffer): number {
  return datagram.readUInt32BE(INNER_IP + 12);
}

export function destinationOf(datagram: Buffer): number {
  return datagram.readUInt32BE(INNER_IP + 16);
}

/** Length on the emulated wire: the inner IP packet, bytes. */
export function wireBytes(datagram: Buffer): number {
  return datagram.length - INNER_IP;
}

/**
 * Classifies the inner packet of a datagram for which `isIpv4Datagram` holds. Whether its addresses are uplinks' is for
 * the caller to know. A later fragment has no ports; it is `null` here and counts as what its first fragment was.
 */
export function classify(datagram: Buffer): PacketClass | null {
  return classifyIp(datagram, INNER_IP, true);
}

/** Source, destination and identification: what fragments of one packet share. */
export function fragmentKey(datagram: Buffer): string {
  return `${sourceOf(datagram)}:${destinationOf(datagram)}:${datagram.readUInt16BE(INNER_IP + 4)}`;
}

/** True for a first fragment: more follow. */
export function hasMoreFragments(datagram: Buffer): boolean {
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
  const ports = portsOf(datagram);
  const end = (address: number, port: number | undefined): string => formatAddress(address) + (port === undefined ? '' : `:${port}`);
  const protocol = { [ICMP]: 'icmp', 6: 'tcp', [UDP]: 'udp', [ESP]: 'esp' }[datagram[INNER_IP + 9]!] ?? `protocol ${datagram[INNER_IP + 9]}`;
  return `${protocol} ${end(sourceOf(datagram), ports?.[0])} > ${end(destinationOf(datagram), ports?.[1])} (${wireBytes(datagram)} bytes)`;
}

function portsOf(datagram: Buffer): [number, number] | null {
  const at = INNER_IP + (datagram[INNER_IP]! & 0x0f) * 4;
  const protocol = datagram[INNER_IP + 9];
  if ((protocol !== UDP && protocol !== 6) || datagram.length < at + 4) return null;
  return [datagram.readUInt16BE(at), datagram.readUInt16BE(at + 2)];
}

export function parseAddress(text: string): number {
  return text.split('.').reduce((sum, part) => sum * 256 + Number(part), 0);
}

function formatAddress(address: number): string {
  return [24, 16, 8, 0].map((shift) => (address >>> shift) & 0xff).join('.');
}
