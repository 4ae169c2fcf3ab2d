import { randomBytes, X509Certificate, type KeyObject } from 'node:crypto';
import { isAddress } from '../base/index.ts';
import { ikeIdentity, type NodeId, NUMBERED_UPLINKS_MAX } from '../model/index.ts';
import {
  AuthorityKeyIdentifierExtension,
  BasicConstraintsExtension,
  ExtendedKeyUsageExtension,
  KeyUsageFlags,
  KeyUsagesExtension,
  Name,
  PublicKey,
  SubjectAlternativeNameExtension,
  SubjectKeyIdentifierExtension,
  webcrypto,
  X509CertificateGenerator,
  X509CrlGenerator,
  Extension,
} from './x509.ts';

const SERVER_AUTH = '1.3.6.1.5.5.7.3.1';
const CLIENT_AUTH = '1.3.6.1.5.5.7.3.2';
const IPSEC_IKE = '1.3.6.1.5.5.7.3.17';
const CURVE = { name: 'ECDSA', namedCurve: 'P-256' };
const SIGNING = { name: 'ECDSA', hash: 'SHA-256' };
/** Clocks of nodes may be this much behind ours. */
const SKEW_MS = 300_000;
const CRL_NUMBER = '2.5.29.20';
const CRL_MS = 30 * 86_400_000;
const ROOT_MS = 3650 * 86_400_000;

/** The CA's key and name, as an issuer needs them. */
export interface Issuer {
  key: KeyObject;
  publicKey: KeyObject;
  commonName: string;
}

export type LeafUse = { kind: 'node'; node: NodeId; mesh: string } | { kind: 'server'; hosts: readonly string[]; mesh: string };

/** A self-signed ECDSA P-256 root for 10 years that may sign leaves only; PEM. */
export async function issueRoot(issuer: Issuer, now: number): Promise<string> {
  return issue(issuer, issuer.publicKey, issuer.commonName, now - SKEW_MS, now + ROOT_MS, [
    new BasicConstraintsExtension(true, 0, true),
    new KeyUsagesExtension(KeyUsageFlags.keyCertSign | KeyUsageFlags.cRLSign, true),
  ]);
}

/**
 * A certificate for this public key; PEM. A node's is for TLS at both ends and for IKE: its name is the DNS SAN, which strongSwan
 * compares with the IKE identity, `spiffe://<mesh>/node/<node>` the URI SAN, which the channel reads, and the mail SANs are the identities of its uplinks (see `ikeIdentity`). A server's names hosts.
 */
export async function issueLeaf(issuer: Issuer, publicKey: KeyObject, use: LeafUse, now: number, leafMs: number): Promise<string> {
  const purposes = use.kind === 'node' ? [SERVER_AUTH, CLIENT_AUTH, IPSEC_IKE] : [SERVER_AUTH];
  return issue(issuer, publicKey, use.kind === 'node' ? use.node : (use.hosts[0] ?? 'foremesh engine'), now - SKEW_MS, now + leafMs, [
    new BasicConstraintsExtension(false, undefined, true),
    new KeyUsagesExtension(KeyUsageFlags.digitalSignature, true),
    new ExtendedKeyUsageExtension(purposes),
    new SubjectAlternativeNameExtension(namesOf(use)),
  ]);
}

function namesOf(use: LeafUse): { type: 'dns' | 'ip' | 'url' | 'email'; value: string }[] {
  if (use.kind === 'node') {
    const numbered = Array.from({ length: NUMBERED_UPLINKS_MAX }, (_, index) => ({ type: 'email' as const, value: ikeIdentity(use.node, index + 1) }));
    return [{ type: 'dns', value: use.node }, { type: 'url', value: `spiffe://${use.mesh}/node/${use.node}` }, ...numbered];
  }
  const hosts = use.hosts.map((host) => ({ type: isAddress(host) ? ('ip' as const) : ('dns' as const), value: host }));
  return [...hosts, { type: 'url', value: `spiffe://${use.mesh}/engine` }];
}

async function issue(issuer: Issuer, publicKey: KeyObject, commonName: string, notBefore: number, notAfter: number, extensions: Extension[]): Promise<string> {
  const signingKey = await signingKeyOf(issuer);
  const subjectKey = new PublicKey(publicKey.export({ format: 'der', type: 'spki' }));
  const issuerKey = new PublicKey(issuer.publicKey.export({ format: 'der', type: 'spki' }));
  const certificate = await X509CertificateGenerator.create({
    serialNumber: randomSerial(),
    subject: nameOf(commonName),
    issuer: nameOf(issuer.commonName),
    notBefore: new Date(notBefore),
    notAfter: new Date(notAfter),
    publicKey: subjectKey,
    signingKey,
    signingAlgorithm: SIGNING,
    extensions: [...extensions, await SubjectKeyIdentifierExtension.create(subjectKey), await AuthorityKeyIdentifierExtension.create(issuerKey)],
  });
  return `${certificate.toString('pem')}\n`;
}

function nameOf(commonName: string): Name {
  return new Name([{ CN: [commonName] }]);
}

/**
 * The list of revoked certificates (RFC 5280), signed by the CA; PEM. It holds for a month: an agent that has lost its engine goes on with it.
 * @param number  of the list, rising; an agent takes no older one
 */
export async function issueCrl(issuer: Issuer, number: number, entries: readonly { serial: string; revokedAt: number }[], now: number): Promise<string> {
  const signingKey = await signingKeyOf(issuer);
  const issuerKey = new PublicKey(issuer.publicKey.export({ format: 'der', type: 'spki' }));
  const crl = await X509CrlGenerator.create({
    issuer: nameOf(issuer.commonName),
    thisUpdate: new Date(now - SKEW_MS),
    nextUpdate: new Date(now + CRL_MS),
    signingKey,
    signingAlgorithm: SIGNING,
    entries: entries.map(({ serial, revokedAt }) => ({ serialNumber: serial, revocationDate: new Date(revokedAt) })),
    extensions: [await AuthorityKeyIdentifierExtension.create(issuerKey), new Extension(CRL_NUMBER, false, derInteger(number))],
  });
  return `${crl.toString('pem')}\n`;
}

function signingKeyOf(issuer: Issuer): Promise<webcrypto.CryptoKey> {
  return webcrypto.subtle.importKey('pkcs8', issuer.key.export({ format: 'der', type: 'pkcs8' }), CURVE, false, ['sign']);
}

/** A number from 0 to 2^31 - 1 as DER. */
function derInteger(value: number): Uint8Array<ArrayBuffer> {
  const bytes = new Uint8Array(6);
  const view = new DataView(bytes.buffer);
  view.setUint8(0, 2);
  view.setUint8(1, 4);
  view.setUint32(2, value & 0x7fff_ffff);
  const zeros = bytes.subarray(2, 5).findIndex((byte, index) => byte !== 0 || (bytes[3 + index]! & 0x80) !== 0);
  const skipped = zeros === -1 ? 3 : zeros;
  return Uint8Array.from([2, 4 - skipped, ...bytes.subarray(2 + skipped)]);
}

/** The serial number of a certificate, as `issueCrl` takes it. */
export function serialOf(certificatePem: string): string {
  return new X509Certificate(certificatePem).serialNumber;
}

/** 127 random bits, positive, without a leading zero byte. */
function randomSerial(): string {
  const bytes = randomBytes(16);
  bytes[0] = (bytes[0]! & 0x7f) | 0x40;
  return bytes.toString('hex');
}
