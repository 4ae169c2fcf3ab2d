import type { CryptoSuite, TunnelInterface } from '../ports.ts';
import type { MtuSettings } from '../probe/index.ts';

/** Outer headers, bytes: IP as of RFC 791 and RFC 8200 without options, and UDP around ESP (RFC 3948). */
const OUTER_IP_BYTES = { ipv4: 20, ipv6: 40 } as const;
const UDP_BYTES = 8;
/** SPI and sequence number (RFC 4303). */
const ESP_HEADER_BYTES = 8;
/** Pad length and next header; they end on the cipher's block border, and on a border of 4 bytes at least. */
const ESP_TRAILER_BYTES = 2;
/** IP, UDP, VXLAN (RFC 7348) and Ethernet: what the libipsec driver puts between a packet and ESP. */
const VXLAN_BYTES = 20 + 8 + 8 + 14;
/** charon reads this much at once from its device and cuts the rest off, whatever MTU the device is given. */
const LIBIPSEC_DEVICE_BYTES = 1400;
/** Every IPv4 host takes this much (RFC 791); below, we do not go. */
const MTU_MIN_BYTES = 576;
/** Below this the kernel has no IPv6 on an interface (RFC 8200 section 5). */
export const IPV6_MTU_MIN_BYTES = 1280;
/** What an uplink whose interface is not there (yet) is taken to have. */
const UPLINK_MTU_BYTES = 1500;

/** Every IPv6 link has it, and in fact nearly every path: what is used while a smaller path MTU than expected is measured. */
const PATH_MTU_BASE_BYTES = 1280;
/** IPv4 and UDP of a probe between overlay addresses. */
const PROBE_HEADER_BYTES = 20 + 8;

interface CipherSizes {
  /** Initialisation vector on the wire. */
  ivBytes: number;
  blockBytes: number;
  /** Integrity check value of a cipher that has its own; 0: the integrity algorithm's. */
  icvBytes: number;
}

/** RFC 4106 (GCM), RFC 7634 (ChaCha20), RFC 3602 (CBC), RFC 2451 (3DES), RFC 2410 (NULL). */
const CIPHERS: Record<CryptoSuite['encryption'], CipherSizes> = {
  aes128gcm16: { ivBytes: 8, blockBytes: 4, icvBytes: 16 },
  aes256gcm16: { ivBytes: 8, blockBytes: 4, icvBytes: 16 },
  chacha20poly1305: { ivBytes: 8, blockBytes: 4, icvBytes: 16 },
  aes128cbc: { ivBytes: 16, blockBytes: 16, icvBytes: 0 },
  aes256cbc: { ivBytes: 16, blockBytes: 16, icvBytes: 0 },
  '3des': { ivBytes: 8, blockBytes: 8, icvBytes: 0 },
  null: { ivBytes: 0, blockBytes: 4, icvBytes: 0 },
};
/** HMAC, cut to half its length (RFC 4868); 96 bit for SHA-1 and MD5 (RFC 2403, 2404). */
const ICV_BYTES: Record<CryptoSuite['integrity'], number> = { none: 0, sha256: 16, sha384: 24, sha512: 32, sha1: 12, md5: 12 };

/**
 * The greatest packet that fits into one ESP packet in UDP on a path with this MTU, bytes.
 * UDP is always counted: whether there is a NAT on the way is known later than the interface is made.
 * @param pathMtuBytes  of the outer packet, IP header included
 */
export function espPayloadBytes(pathMtuBytes: number, suite: Pick<CryptoSuite, 'encryption' | 'integrity'>, underlay: TunnelInterface['underlay']): number {
  const { ivBytes, blockBytes, icvBytes } = CIPHERS[suite.encryption];
  const integrityBytes = icvBytes === 0 ? ICV_BYTES[suite.integrity] : icvBytes;
  const room = pathMtuBytes - OUTER_IP_BYTES[underlay] - UDP_BYTES - ESP_HEADER_BYTES - ivBytes - integrityBytes;
  return Math.floor(room / blockBytes) * blockBytes - ESP_TRAILER_BYTES;
}

/** MTU of a tunnel's interface with XFRM: what fits into ESP whichever of its suites is negotiated. */
export function xfrmMtuBytes(tunnel: TunnelInterface, uplinkMtuBytes: number | undefined): number {
  const payloads = tunnel.esp.map((suite) => espPayloadBytes(uplinkMtuBytes ?? UPLINK_MTU_BYTES, suite, tunnel.underlay));
  return Math.max(MTU_MIN_BYTES, Math.min(...payloads));
}

/** MTU of a tunnel's interface with libipsec: VXLAN has to fit as well, and into charon's device before that. */
export function libipsecMtuBytes(tunnel: TunnelInterface, uplinkMtuBytes: number | undefined): number {
  return Math.max(MTU_MIN_BYTES, Math.min(xfrmMtuBytes(tunnel, uplinkMtuBytes), LIBIPSEC_DEVICE_BYTES) - VXLAN_BYTES);
}

/** For measuring a path: probes of the xfrm driver go through the tunnel's interface, like traffic. */
export function xfrmMtuSettings(tunnel: TunnelInterface, uplinkMtuBytes: number | undefined): MtuSettings {
  return { maxBytes: xfrmMtuBytes(tunnel, uplinkMtuBytes), baseBytes: xfrmMtuBytes(tunnel, PATH_MTU_BASE_BYTES), payloadBytes: -PROBE_HEADER_BYTES };
}

/** Probes of the libipsec driver go past the tunnel's interface, so they must be larger by what VXLAN adds. */
export function libipsecMtuSettings(tunnel: TunnelInterface, uplinkMtuBytes: number | undefined): MtuSettings {
  return { maxBytes: libipsecMtuBytes(tunnel, uplinkMtuBytes), baseBytes: libipsecMtuBytes(tunnel, PATH_MTU_BASE_BYTES), payloadBytes: VXLAN_BYTES - PROBE_HEADER_BYTES };
}
