import { createHash, createPrivateKey, createPublicKey, generateKeyPairSync, X509Certificate, type KeyObject } from 'node:crypto';
import { chmod, mkdir } from 'node:fs/promises';
import { join } from 'node:path';
import { ForemeshError, readFileIfExists, writeFileAtomic, type Cancel, type Clock } from '../base/index.ts';
import type { NodeId, Revocation, RevocationsMessage } from '../model/index.ts';
import { checkCsr } from './csr.ts';
import { issueCrl, issueLeaf, issueRoot, serialOf, type Issuer } from './issue.ts';
import { createPpkStore, type SealedPpk } from './ppk.ts';
import { openRevocationStore } from './revocations.ts';
import { createTokenStore, type Hold } from './tokens.ts';

export interface AuthorityOptions {
  /** Holds ca.key, ca.crt and tokens.json; made when it is not there. Only its owner may read it. */
  dir: string;
  clock: Clock;
  /** Trust domain of the SPIFFE names; default `foremesh`. */
  mesh?: string;
  /** How long a certificate is valid, ms; default 24 h. */
  leafMs?: number;
}

export interface NodeCertificate {
  certificatePem: string;
  caPem: string;
}

/** The engine's own certificate authority. Private keys of nodes never come near it. */
export interface Authority {
  caPem: string;
  /** sha256 of the root certificate, hex. */
  fingerprint: string;
  /**
   * A one-time token `<node>.<fingerprint>.<secret>.<seal>` (256 bit each), valid for 1 s … 15 min. The secret is kept as a hash only;
   * the seal never goes over the wire: it closes the node's post-quantum keys.
   */
  createJoinToken(node: NodeId, ttlMs: number): Promise<string>;
  /**
   * Uses a token up, on disk, and then signs. A token that comes again with another key is refused and its node held; with the
   * same key it is a repeated request and answered. @throws ForemeshError CA_TOKEN_REFUSED, CA_CSR_REFUSED (which uses nothing up)
   */
  enrol(token: string, csrPem: string): Promise<NodeCertificate>;
  /** For a node whose certificate the caller has checked. @throws ForemeshError CA_CSR_REFUSED; CA_TOKEN_REFUSED while it is held */
  renew(node: NodeId, csrPem: string): Promise<NodeCertificate>;
  /** A fresh key and certificate for the engine's listener; the certificate's file also holds the root. Not stored. */
  serverCredentials(hosts: string[]): Promise<{ keyPem: string; certificatePem: string }>;
  /**
   * Takes every key of the node that has a valid certificate out of the mesh, for ever, with its unused join tokens; it may come
   * back with a new token and a new key. Gives the keys that were not revoked before.
   */
  revoke(node: NodeId, why: string, by: string): Promise<Revocation[]>;
  /** The post-quantum key of two nodes, closed for the first. @throws ForemeshError CA_PPK_UNAVAILABLE */
  ppk(node: NodeId, peer: NodeId): Promise<SealedPpk>;
  isRevoked(keySha256: string): boolean;
  /** All revocations so far, with reasons. */
  revocations(): (Revocation & { why: string; by: string })[];
  /** For agents: the signed list and the nodes whose SAs have to end; null before the first revocation. */
  revocationsMessage(): Promise<RevocationsMessage | null>;
  /** Called after each revocation. */
  onRevoked(listener: () => void): Cancel;
  /** Nodes that get no certificate until an operator lifts that; the one they have stays valid to its end. */
  holds(): Promise<Hold[]>;
  liftHold(node: NodeId): Promise<void>;
}

const LEAF_MS = 86_400_000;

/** Opens the CA of a folder, or makes one: an ECDSA P-256 root for ten years. @throws ForemeshError STATE_DAMAGED */
export async function openAuthority(options: AuthorityOptions): Promise<Authority> {
  const { dir, clock } = options;
  const mesh = options.mesh ?? 'foremesh';
  const leafMs = options.leafMs ?? LEAF_MS;
  await mkdir(dir, { recursive: true, mode: 0o700 });
  await chmod(dir, 0o700);
  const { issuer, caPem } = await openRoot(dir, mesh, clock.now());
  const fingerprint = createHash('sha256').update(new X509Certificate(caPem).raw).digest('hex');
  const tokens = createTokenStore(join(dir, 'tokens.json'), clock);

  const revocations = await openRevocationStore(join(dir, 'revocations.json'), clock);
  const ppks = createPpkStore(join(dir, 'ppks.json'), clock);
  const listeners = new Set<() => void>();

  async function certify(node: NodeId, publicKey: KeyObject): Promise<NodeCertificate> {
    const keySha256 = keyDigest(publicKey);
    revocations.refuseRevoked(keySha256);
    const endsAt = clock.now() + leafMs;
    const certificatePem = await issueLeaf(issuer, publicKey, { kind: 'node', node, mesh }, clock.now(), leafMs);
    await revocations.noteIssued({ node, serial: serialOf(certificatePem), keySha256, endsAt });
    return { certificatePem, caPem };
  }

  return {
    caPem,
    fingerprint,
    async createJoinToken(node, ttlMs) {
      const token = await tokens.create(node, fingerprint, ttlMs);
      return `${token}.${await ppks.createSeal(node, sha256(token), ttlMs)}`;
    },
    ppk: (node, peer) => ppks.keyFor(node, peer),
    async enrol(given, csrPem) {
      const token = given.split('.').slice(0, 3).join('.');
      // looked at before it is used up: a bad request costs no token, and a used one still reaches `use`, which sees reuse
      const publicKey = await checkCsr(csrPem, await tokens.inspect(token));
      revocations.refuseRevoked(keyDigest(publicKey));
      const node = await tokens.use(token, keyDigest(publicKey));
      await ppks.takeSeal(sha256(token));
      return certify(node, publicKey);
    },
    async renew(node, csrPem) {
      const publicKey = await checkCsr(csrPem, node);
      if (await tokens.isHeld(node)) {
        throw new ForemeshError('CA_TOKEN_REFUSED', { what: `${node} is held because a join token of it was used twice`, fix: 'find out who has the token, then lift the hold' });
      }
      return certify(node, publicKey);
    },
    async serverCredentials(hosts) {
      const { privateKey, publicKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' });
      const leaf = await issueLeaf(issuer, publicKey, { kind: 'server', hosts, mesh }, clock.now(), leafMs);
      return { keyPem: privateKey.export({ format: 'pem', type: 'pkcs8' }).toString(), certificatePem: `${leaf}${caPem}` };
    },
    async revoke(node, why, by) {
      await tokens.drop(node);
      await ppks.forget(node);
      const added = await revocations.revoke(node, why, by);
      if (added.length > 0) for (const listener of listeners) listener();
      return added.map(({ keySha256, revokedAt }) => ({ node, keySha256, revokedAt }));
    },
    isRevoked: (keySha256) => revocations.isRevoked(keySha256),
    revocations: () => revocations.list(),
    async revocationsMessage() {
      const { number, entries } = revocations.crl();
      if (number === 0) return null;
      const revoked = revocations.list().map(({ node, keySha256, revokedAt }) => ({ node, keySha256, revokedAt }));
      return { type: 'revocations', number, crlPem: await issueCrl(issuer, number, entries, clock.now()), revoked };
    },
    onRevoked(listener) {
      listeners.add(listener);
      return () => listeners.delete(listener);
    },
    holds: () => tokens.holds(),
    liftHold: (node) => tokens.lift(node),
  };
}

function sha256(text: string): string {
  return createHash('sha256').update(text).digest('hex');
}

function keyDigest(publicKey: KeyObject): string {
  return createHash('sha256').update(publicKey.export({ format: 'der', type: 'spki' })).digest('hex');
}

/** Key first, certificate second: a crash between leaves a key that has signed nothing, and the next start goes on from there. */
async function openRoot(dir: string, mesh: string, now: number): Promise<{ issuer: Issuer; caPem: string }> {
  const keyFile = join(dir, 'ca.key');
  const certificateFile = join(dir, 'ca.crt');
  const damaged = (what: string): ForemeshError =>
    new ForemeshError('STATE_DAMAGED', { what: `the CA in ${dir} is damaged: ${what}`, fix: 'restore ca.key and ca.crt from a backup; with a new CA every node has to be enrolled again' });
  let keyPem = await readFileIfExists(keyFile);
  let caPem = await readFileIfExists(certificateFile);
  if (keyPem === null && caPem !== null) throw damaged('ca.key is missing');
  if (keyPem === null) {
    keyPem = generateKeyPairSync('ec', { namedCurve: 'P-256' }).privateKey.export({ format: 'pem', type: 'pkcs8' }).toString();
    await writeFileAtomic(keyFile, keyPem, 0o600);
  }
  const issuer = readIssuer(keyPem, `Foremesh CA ${mesh}`, damaged);
  if (caPem === null) {
    caPem = await issueRoot(issuer, now);
    await writeFileAtomic(certificateFile, caPem);
  }
  let certificate: X509Certificate;
  try {
    certificate = new X509Certificate(caPem);
  } catch {
    throw damaged('ca.crt cannot be read');
  }
  if (!certificate.checkPrivateKey(issuer.key)) throw damaged('ca.crt does not belong to ca.key');
  const commonName = /^CN=(.*)$/m.exec(certificate.subject)?.[1] ?? issuer.commonName;
  return { issuer: { ...issuer, commonName }, caPem };
}

function readIssuer(keyPem: string, commonName: string, damaged: (what: string) => ForemeshError): Issuer {
  try {
    const key = createPrivateKey(keyPem);
    return { key, publicKey: createPublicKey(key), commonName };
  } catch {
    throw damaged('ca.key cannot be read'); // the cause could quote the key
  }
}
