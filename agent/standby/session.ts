import { createHash, createHmac, createPrivateKey, createPublicKey, diffieHellman, generateKeyPairSync, hkdfSync, sign, timingSafeEqual, verify, X509Certificate, type KeyObject } from 'node:crypto';
import type { NodeId } from '../../src/model/index.ts';
import type { Credentials } from '../ports.ts';

/**
 * How gateways of one site know each other on a LAN that anybody may send on. A hello carries a key of this life (X25519)
 * signed by the node's certified key; both hellos together give a secret that seals every heartbeat. A replayed hello is
 * harmless: whoever replays it cannot seal, and what was agreed before holds until something sealed anew arrives.
 */
export interface LanIdentity {
  node: NodeId;
  /** For this life of the agent. */
  publicKey: Buffer;
  privateKey: KeyObject;
}

/** A peer's hello that was believed, and the secret shared with it. */
export interface Session {
  peerKey: Buffer;
  secret: Buffer;
  /** Digest of the certified key that signed the peer's hello, as lists of revocations have it: sha256 of SPKI in DER, hex. */
  keySha256: string;
  /** Of the last heartbeat that was accepted: later ones have greater numbers. */
  lastNumber: number;
}

const MAGIC = Buffer.from('FMLN');
const VERSION = 1;
const HELLO = 1;
const HEARTBEAT = 2;
const HEAD_BYTES = 6;
const KEY_BYTES = 32;
const SEAL_BYTES = 16;
const NUMBER_BYTES = 8;
/** More is no packet of ours; a hello carries one certificate. */
const PACKET_BYTES_MAX = 8192;
const SPKI_PREFIX = Buffer.from('302a300506032b656e032100', 'hex');
/**
 * A certificate that has ended counts this much longer here, ms: two gateways that lost the engine for weeks must not
 * both take the address because of it. For tunnels and the channel it has ended.
 */
const EXPIRED_GRACE_MS = 30 * 86_400_000;

export function createLanIdentity(node: NodeId): LanIdentity {
  const { publicKey, privateKey } = generateKeyPairSync('x25519');
  return { node, privateKey, publicKey: publicKey.export({ format: 'der', type: 'spki' }).subarray(-KEY_BYTES) };
}

/** `magic version type | key | length of certificate | certificate, DER | signature over all before it` */
export function encodeHello(identity: LanIdentity, { certificatePem, privateKeyPem }: Credentials): Buffer {
  const certificate = new X509Certificate(certificatePem).raw;
  const length = Buffer.alloc(2);
  length.writeUInt16BE(certificate.length);
  const signed = Buffer.concat([head(HELLO), identity.publicKey, length, certificate]);
  return Buffer.concat([signed, sign('sha256', signed, createPrivateKey(privateKeyPem))]);
}

/** The key in a hello, before anything is believed; null when it is none. Cheap. */
export function peekHello(packet: Uint8Array): Buffer | null {
  const bytes = Buffer.from(packet.buffer, packet.byteOffset, packet.length);
  return isOfType(bytes, HELLO) && bytes.length > HEAD_BYTES + KEY_BYTES + 2 ? Buffer.from(bytes.subarray(HEAD_BYTES, HEAD_BYTES + KEY_BYTES)) : null;
}

/** Who sent a hello: a node, and the digest of its certified key. */
export interface Sender {
  node: NodeId;
  keySha256: string;
}

/** Who sent a hello: the node that our CA certified for the signing key; null when it is not to be believed, or the key was revoked. Costs about 0.3 ms. */
export function verifyHello(packet: Uint8Array, caPem: string, now: number, revoked: ReadonlySet<string>): Sender | null {
  const bytes = Buffer.from(packet.buffer, packet.byteOffset, packet.length);
  const certificateAt = HEAD_BYTES + KEY_BYTES + 2;
  const signedBytes = certificateAt + bytes.readUInt16BE(certificateAt - 2);
  if (bytes.length <= signedBytes) return null;
  try {
    const certificate = new X509Certificate(bytes.subarray(certificateAt, signedBytes));
    const isOurs = authorities(caPem).some((authority) => certificate.checkIssued(authority) && certificate.verify(authority.publicKey));
    const isInTime = now >= Date.parse(certificate.validFrom) && now <= Date.parse(certificate.validTo) + EXPIRED_GRACE_MS;
    if (!isOurs || !isInTime || !verify('sha256', bytes.subarray(0, signedBytes), certificate.publicKey, bytes.subarray(signedBytes))) return null;
    const node = nodeOf(certificate);
    const keySha256 = createHash('sha256').update(certificate.publicKey.export({ format: 'der', type: 'spki' })).digest('hex');
    return node === null || revoked.has(keySha256) ? null : { node, keySha256 };
  } catch {
    return null; // bytes that are no certificate are no gateway
  }
}

export function openSession(identity: LanIdentity, { node: peer, keySha256 }: Sender, peerKey: Buffer): Session {
  const publicKey = createPublicKey({ key: Buffer.concat([SPKI_PREFIX, peerKey]), format: 'der', type: 'spki' });
  const shared = diffieHellman({ privateKey: identity.privateKey, publicKey });
  const ends = [`${identity.node} ${identity.publicKey.toString('hex')}`, `${peer} ${peerKey.toString('hex')}`].sort().join(' ');
  return { peerKey, keySha256, secret: Buffer.from(hkdfSync('sha256', shared, 'foremesh lan', ends, 32)), lastNumber: -1 };
}

/** `magic version type | number | JSON | seal`. The sender's key is in the seal: what was sent does not come back as received. */
export function encodeHeartbeat(identity: LanIdentity, session: Session, number: number, body: object): Buffer {
  const count = Buffer.alloc(NUMBER_BYTES);
  count.writeBigUInt64BE(BigInt(number));
  const sealed = Buffer.concat([head(HEARTBEAT), count, Buffer.from(JSON.stringify(body))]);
  return Buffer.concat([sealed, sealOf(session, identity.publicKey, sealed)]);
}

/** What a heartbeat says, and its number; null when it is not sealed by this session's peer, or not newer than the last. */
export function openHeartbeat(packet: Uint8Array, session: Session): { number: number; body: unknown } | null {
  const bytes = Buffer.from(packet.buffer, packet.byteOffset, packet.length);
  if (!isOfType(bytes, HEARTBEAT) || bytes.length < HEAD_BYTES + NUMBER_BYTES + SEAL_BYTES) return null;
  const sealed = bytes.subarray(0, -SEAL_BYTES);
  if (!timingSafeEqual(sealOf(session, session.peerKey, sealed), bytes.subarray(-SEAL_BYTES))) return null;
  const number = Number(bytes.readBigUInt64BE(HEAD_BYTES));
  if (number <= session.lastNumber) return null;
  return { number, body: JSON.parse(sealed.subarray(HEAD_BYTES + NUMBER_BYTES).toString('utf8')) as unknown };
}

function sealOf(session: Session, senderKey: Buffer, sealed: Buffer): Buffer {
  return createHmac('sha256', session.secret).update(senderKey).update(sealed).digest().subarray(0, SEAL_BYTES);
}

function head(type: number): Buffer {
  return Buffer.concat([MAGIC, Buffer.from([VERSION, type])]);
}

function isOfType(bytes: Buffer, type: number): boolean {
  return bytes.length <= PACKET_BYTES_MAX && bytes.length > HEAD_BYTES && bytes.subarray(0, MAGIC.length).equals(MAGIC) && bytes[4] === VERSION && bytes[5] === type;
}

/** Its one DNS name, as the CA writes it. */
function nodeOf({ subjectAltName }: X509Certificate): NodeId | null {
  const names = (subjectAltName ?? '').split(', ').filter((name) => name.startsWith('DNS:'));
  return names.length === 1 ? (names[0]!.slice('DNS:'.length) as NodeId) : null;
}

function authorities(caPem: string): X509Certificate[] {
  return (caPem.match(/-----BEGIN CERTIFICATE-----[^-]+-----END CERTIFICATE-----/g) ?? []).map((pem) => new X509Certificate(pem));
}
