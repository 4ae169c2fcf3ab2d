import 'reflect-metadata';
import { webcrypto } from 'node:crypto';
import {
  BasicConstraintsExtension,
  ChallengePasswordAttribute,
  cryptoProvider,
  KeyUsageFlags,
  KeyUsagesExtension,
  Name,
  Pkcs10CertificateRequestGenerator,
  SubjectAlternativeNameExtension,
  type JsonGeneralName,
} from '@peculiar/x509';

cryptoProvider.set(webcrypto);

export interface CsrWish {
  kind?: 'P-256' | 'P-384' | 'P-521' | 'Ed25519' | 'RSA-2048' | 'RSA-3072';
  hash?: 'SHA-1' | 'SHA-256';
  subject: [string, string][];
  names?: JsonGeneralName[];
  isCa?: boolean;
  hasKeyUsage?: boolean;
  hasPassword?: boolean;
  /** Signed with another key than the one it holds. */
  isForged?: boolean;
}

/** A certificate request with whatever a rogue agent might ask for; PEM. */
export async function makeCsr(wish: CsrWish): Promise<string> {
  const kind = wish.kind ?? 'P-256';
  const hash = wish.hash ?? 'SHA-256';
  const keys = await generate(kind);
  const signer = wish.isForged ? await generate(kind) : keys;
  const csr = await Pkcs10CertificateRequestGenerator.create({
    name: new Name(wish.subject.map(([type, value]) => ({ [type]: [value] }))),
    keys: { publicKey: keys.publicKey, privateKey: signer.privateKey },
    signingAlgorithm: kind === 'Ed25519' ? { name: 'Ed25519' } : { name: kind.startsWith('RSA') ? 'RSASSA-PKCS1-v1_5' : 'ECDSA', hash },
    extensions: [
      ...(wish.names ? [new SubjectAlternativeNameExtension(wish.names)] : []),
      ...(wish.isCa ? [new BasicConstraintsExtension(true, 1, true)] : []),
      ...(wish.hasKeyUsage ? [new KeyUsagesExtension(KeyUsageFlags.keyCertSign, true)] : []),
    ],
    attributes: wish.hasPassword ? [new ChallengePasswordAttribute('x')] : [],
  });
  return csr.toString('pem');
}

async function generate(kind: NonNullable<CsrWish['kind']>): Promise<webcrypto.CryptoKeyPair> {
  if (kind === 'Ed25519') return (await webcrypto.subtle.generateKey('Ed25519', true, ['sign', 'verify'])) as webcrypto.CryptoKeyPair;
  if (kind.startsWith('RSA')) {
    const rsa = { name: 'RSASSA-PKCS1-v1_5', hash: 'SHA-256', modulusLength: Number(kind.slice(4)), publicExponent: new Uint8Array([1, 0, 1]) };
    return webcrypto.subtle.generateKey(rsa, true, ['sign', 'verify']);
  }
  return webcrypto.subtle.generateKey({ name: 'ECDSA', namedCurve: kind }, true, ['sign', 'verify']);
}
