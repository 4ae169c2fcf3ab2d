import { createPublicKey, generateKeyPairSync } from 'node:crypto';
import type { NodeId } from '../model/index.ts';
import { Name, Pkcs10CertificateRequestGenerator, SubjectAlternativeNameExtension, webcrypto } from './x509.ts';

/** An ECDSA P-256 key and requests signed with it, for tests, the simulated network and a lab that enrols in one process. Agents have their own. */
export async function createNodeKey(): Promise<{ privateKeyPem: string; csrPem(node: NodeId): Promise<string> }> {
  const { privateKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' });
  const curve = { name: 'ECDSA', namedCurve: 'P-256' };
  const keys = {
    privateKey: await webcrypto.subtle.importKey('pkcs8', privateKey.export({ format: 'der', type: 'pkcs8' }), curve, false, ['sign']),
    publicKey: await webcrypto.subtle.importKey('spki', createPublicKey(privateKey).export({ format: 'der', type: 'spki' }), curve, true, ['verify']),
  };
  return {
    privateKeyPem: privateKey.export({ format: 'pem', type: 'pkcs8' }).toString(),
    async csrPem(node) {
      const csr = await Pkcs10CertificateRequestGenerator.create({
        name: new Name([{ CN: [node] }]),
        keys,
        signingAlgorithm: { name: 'ECDSA', hash: 'SHA-256' },
        extensions: [new SubjectAlternativeNameExtension([{ type: 'dns', value: node }])],
      });
      return csr.toString('pem');
    },
  };
}
