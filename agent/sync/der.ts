import { createPrivateKey, createPublicKey, sign, verify, X509Certificate } from 'node:crypto';
import type { NodeId } from '../../src/model/index.ts';

/**
 * The two things that an agent does with ASN.1 itself (DER, X.690): it writes one kind of certificate request, and finds
 * the signed part of a list of revocations. A general library for these costs each agent 18 MB; certificates are read by OpenSSL.
 */

const INTEGER = 0x02;
const BIT_STRING = 0x03;
const OCTET_STRING = 0x04;
const OBJECT_ID = 0x06;
const UTF8_STRING = 0x0c;
const SEQUENCE = 0x30;
const SET = 0x31;
const CONTEXT_0 = 0xa0;
const DNS_NAME = 0x82;

/** Bodies of object ids. */
const COMMON_NAME = '550403';
const EXTENSION_REQUEST = '2a864886f70d01090e';
const SUBJECT_ALT_NAME = '551d11';
const ECDSA_WITH_SHA256 = '2a8648ce3d040302';

/** A request for a certificate in the node's own name, signed with its ECDSA key (RFC 2986); PEM. */
export function createCsr(privateKeyPem: string, node: NodeId): string {
  const privateKey = createPrivateKey(privateKeyPem);
  const name = element(SEQUENCE, element(SET, element(SEQUENCE, objectId(COMMON_NAME), element(UTF8_STRING, Buffer.from(node)))));
  const alternative = element(SEQUENCE, objectId(SUBJECT_ALT_NAME), element(OCTET_STRING, element(SEQUENCE, element(DNS_NAME, Buffer.from(node)))));
  const extensions = element(CONTEXT_0, element(SEQUENCE, objectId(EXTENSION_REQUEST), element(SET, element(SEQUENCE, alternative))));
  const publicKey = createPublicKey(privateKey).export({ format: 'der', type: 'spki' });
  const wanted = element(SEQUENCE, element(INTEGER, Buffer.of(0)), name, publicKey, extensions);
  const signature = element(BIT_STRING, Buffer.of(0), sign('sha256', wanted, privateKey));
  const csr = element(SEQUENCE, wanted, element(SEQUENCE, objectId(ECDSA_WITH_SHA256)), signature);
  return `-----BEGIN CERTIFICATE REQUEST-----\n${csr.toString('base64').replace(/(.{64})(?=.)/g, '$1\n')}\n-----END CERTIFICATE REQUEST-----\n`;
}

/** Whether a list of revocations (PEM, one and nothing else) carries the CA's ECDSA signature; null when it is none. What it lists is for the daemon to read. */
export function isCrlSigned(crlPem: string, caPem: string): boolean | null {
  const base64 = /^\s*-----BEGIN (X509 )?CRL-----([A-Za-z0-9+/=\s]+)-----END \1?CRL-----\s*$/.exec(crlPem)?.[2];
  const bytes = Buffer.from(base64 ?? '', 'base64');
  const whole = readElement(bytes, 0);
  if (whole?.tag !== SEQUENCE || whole.end !== bytes.length) return null;
  const list = readElement(bytes, whole.bodyAt);
  const algorithm = list && readElement(bytes, list.end);
  const signature = algorithm && readElement(bytes, algorithm.end);
  if (list?.tag !== SEQUENCE || algorithm?.tag !== SEQUENCE || signature?.tag !== BIT_STRING || signature.end !== whole.end || bytes[signature.bodyAt] !== 0) return null;
  const isKnown = bytes.subarray(algorithm.bodyAt, algorithm.end).equals(objectId(ECDSA_WITH_SHA256));
  return isKnown && verify('sha256', bytes.subarray(whole.bodyAt, list.end), new X509Certificate(caPem).publicKey, bytes.subarray(signature.bodyAt + 1, signature.end));
}

function objectId(body: string): Buffer {
  return element(OBJECT_ID, Buffer.from(body, 'hex'));
}

function element(tag: number, ...parts: readonly Uint8Array[]): Buffer {
  const body = Buffer.concat(parts);
  const length = body.length < 0x80 ? [body.length] : body.length < 0x100 ? [0x81, body.length] : [0x82, body.length >> 8, body.length & 0xff];
  return Buffer.concat([Buffer.from([tag, ...length]), body]);
}

/** The element that begins at `at`; null when there is none or it is longer than the bytes. Lengths of up to four bytes. */
function readElement(bytes: Buffer, at: number): { tag: number; bodyAt: number; end: number } | null {
  const first = bytes[at + 1];
  if (first === undefined) return null;
  const more = first < 0x80 ? 0 : first - 0x80;
  const bodyAt = at + 2 + more;
  if ((first >= 0x80 && (more < 1 || more > 4)) || bodyAt > bytes.length) return null;
  const end = bodyAt + (more === 0 ? first : bytes.readUIntBE(at + 2, more));
  return end <= bytes.length ? { tag: bytes[at]!, bodyAt, end } : null;
}
