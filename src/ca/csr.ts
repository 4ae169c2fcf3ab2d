import { createPublicKey, type KeyObject } from 'node:crypto';
import { ForemeshError } from '../base/index.ts';
import type { NodeId } from '../model/index.ts';
import { Pkcs10CertificateRequest, SubjectAlternativeNameExtension } from './x509.ts';

const CSR_LENGTH_MAX = 16_384;
const CURVES = ['prime256v1', 'secp384r1', 'secp521r1'];
const HASHES = ['SHA-256', 'SHA-384', 'SHA-512'];
const EXTENSION_REQUEST = '1.2.840.113549.1.9.14';
const SUBJECT_ALT_NAME = '2.5.29.17';

/**
 * The public key of a request that asks for nothing but this node's own name, proven by its signature.
 * @throws ForemeshError CA_CSR_REFUSED for another name, any extension but its own DNS name, a weak key or hash, or a wrong signature
 */
export async function checkCsr(csrPem: string, node: NodeId): Promise<KeyObject> {
  const csr = parseCsr(csrPem);
  const faults = [...nameFaults(csr, node), ...extensionFaults(csr, node)];
  const publicKey = readKey(csr);
  const hash = csr.signatureAlgorithm.hash as { name?: string } | undefined;
  if (publicKey === null) faults.push('its key is not ECDSA P-256 or better, Ed25519, or RSA with 3072 bits or more');
  else if (publicKey.asymmetricKeyType !== 'ed25519' && !HASHES.includes(hash?.name ?? '')) faults.push('it is signed with a weak hash');
  if (faults.length > 0 || publicKey === null) throw refusedCsr(faults.join('; '));
  if (!(await isSelfSigned(csr))) throw refusedCsr('its signature was not made with its own key');
  return publicKey;
}

function parseCsr(csrPem: string): Pkcs10CertificateRequest {
  const isOne = csrPem.length <= CSR_LENGTH_MAX && /^\s*-----BEGIN CERTIFICATE REQUEST-----[A-Za-z0-9+/=\s]+-----END CERTIFICATE REQUEST-----\s*$/.test(csrPem);
  if (!isOne) throw refusedCsr('it is not one certificate request in PEM form');
  try {
    return new Pkcs10CertificateRequest(csrPem);
  } catch {
    throw refusedCsr('it cannot be read'); // the parser's words could hold bytes of the request
  }
}

function nameFaults(csr: Pkcs10CertificateRequest, node: NodeId): string[] {
  const [first, ...others] = csr.subjectName.toJSON().flatMap((part) => Object.entries(part));
  const isOwn = others.length === 0 && first?.[0] === 'CN' && JSON.stringify(first[1]) === JSON.stringify([node]);
  return isOwn ? [] : [`its subject is not exactly CN=${node}`];
}

function extensionFaults(csr: Pkcs10CertificateRequest, node: NodeId): string[] {
  const faults: string[] = [];
  if (csr.attributes.some(({ type }) => type !== EXTENSION_REQUEST) || csr.attributes.length > 1) faults.push('it has other attributes than one request for extensions');
  for (const extension of csr.extensions) {
    const isName = extension.type === SUBJECT_ALT_NAME && extension instanceof SubjectAlternativeNameExtension;
    if (!isName) faults.push(`it asks for the extension ${extension.type}`);
    else if (!extension.names.items.every(({ type, value }) => type === 'dns' && value === node)) faults.push('it asks for another name');
  }
  return faults;
}

/** Null when the key is too weak or of another kind. */
function readKey(csr: Pkcs10CertificateRequest): KeyObject | null {
  let key: KeyObject;
  try {
    key = createPublicKey({ key: Buffer.from(csr.publicKey.rawData), format: 'der', type: 'spki' });
  } catch {
    return null; // unknown or broken key is the answer
  }
  const details = key.asymmetricKeyDetails ?? {};
  if (key.asymmetricKeyType === 'ed25519') return key;
  if (key.asymmetricKeyType === 'ec') return CURVES.includes(details.namedCurve ?? '') ? key : null;
  const isStrongRsa = key.asymmetricKeyType === 'rsa' && (details.modulusLength ?? 0) >= 3072 && (details.modulusLength ?? 0) <= 8192 && (details.publicExponent ?? 0n) >= 65_537n;
  return isStrongRsa ? key : null;
}

async function isSelfSigned(csr: Pkcs10CertificateRequest): Promise<boolean> {
  try {
    return await csr.verify();
  } catch {
    return false; // an algorithm that does not fit the key is a wrong signature
  }
}

function refusedCsr(what: string): ForemeshError {
  return new ForemeshError('CA_CSR_REFUSED', { what: `the certificate request is refused: ${what}`, fix: 'ask for the name of the node itself and nothing else, with a fresh ECDSA P-256 key' });
}
