import { createHash, createPrivateKey, generateKeyPairSync, X509Certificate } from 'node:crypto';
import { chmod, mkdir } from 'node:fs/promises';
import { join } from 'node:path';
import { ForemeshError, messageOf, readFileIfExists, writeFileAtomic, type Clock, type Log } from '../../src/base/index.ts';
import type { NodeId } from '../../src/model/index.ts';
import type { Credentials } from '../ports.ts';
import { createCsr } from './der.ts';
import { SEAL_FILE } from './ppk.ts';
import { findServerCa, requestEngine, type EngineAddress } from './engine-request.ts';

export type { EngineAddress } from './engine-request.ts';

/** Where an agent keeps who it is, below its state folder. `signers` is the `allowed_signers` file for the engine's commits. */
export const CREDENTIAL_FILES = { key: 'node.key', certificate: 'node.crt', ca: 'ca.pem', signers: 'signers' } as const;

export interface EnrolOptions {
  engine: EngineAddress;
  /** `<node>.<sha256 of the CA certificate>.<secret>.<seal>`; not logged. The seal stays here. */
  token: string;
  node: NodeId;
  stateDir: string;
}

/** The node's private key (ECDSA P-256, PEM): made here on the first call, 0600, and never sent anywhere. */
export async function ensureNodeKey(stateDir: string): Promise<string> {
  const file = join(stateDir, CREDENTIAL_FILES.key);
  const known = await readFileIfExists(file);
  if (known !== null) {
    await chmod(file, 0o600);
    return checkedKey(known, file);
  }
  await mkdir(stateDir, { recursive: true, mode: 0o700 });
  const privateKeyPem = generateKeyPairSync('ec', { namedCurve: 'P-256' }).privateKey.export({ format: 'pem', type: 'pkcs8' }).toString();
  await writeFileAtomic(file, privateKeyPem, 0o600);
  return privateKeyPem;
}

/**
 * Joins the mesh: trusts exactly the CA whose fingerprint stands in the token, sends a request for our key, and keeps certificate,
 * CA and the engine's signers. Repeating it with the same token and key is harmless; node.crt is written last, so a crash leaves
 * a node that is not enrolled.
 * @throws ForemeshError CA_TOKEN_REFUSED, CA_CSR_REFUSED as the engine says; Waiting CHANNEL_CLOSED when it cannot be reached
 */
export async function enrol(options: EnrolOptions): Promise<Credentials> {
  const { engine, node, stateDir } = options;
  const parts = /^(?<sent>(?<node>[a-z0-9-]{1,40})\.(?<fingerprint>[0-9a-f]{64})\.[A-Za-z0-9_-]{20,100})(?:\.(?<seal>[A-Za-z0-9_-]{43}))?$/.exec(options.token.trim())?.groups;
  if (parts?.['node'] !== node) {
    throw new ForemeshError('CA_TOKEN_REFUSED', { what: `this is not a join token for ${node}`, fix: `make one: foremesh join-token ${node}` });
  }
  const privateKeyPem = await ensureNodeKey(stateDir);
  const caPem = await findServerCa(engine, parts['fingerprint']!);
  const body = { token: parts['sent']!, csr: createCsr(privateKeyPem, node) };
  const certificatePem = readIssued(await requestEngine(engine, { method: 'POST', path: '/enrol', caPem, body }));
  checkIssued(certificatePem, caPem, privateKeyPem, node);
  const signers = await requestEngine(engine, { method: 'GET', path: '/signers', caPem });
  await writeFileAtomic(join(stateDir, CREDENTIAL_FILES.ca), caPem);
  await writeFileAtomic(join(stateDir, CREDENTIAL_FILES.signers), signers);
  if (parts['seal'] !== undefined) await writeFileAtomic(join(stateDir, SEAL_FILE), `${parts['seal']}\n`, 0o600);
  await writeFileAtomic(join(stateDir, CREDENTIAL_FILES.certificate), certificatePem);
  return { caPem, certificatePem, privateKeyPem };
}

/** What was stored at enrolment; null when the node is not enrolled, or its certificate has ended or does not fit its key. */
export async function loadCredentials(stateDir: string, node: NodeId, now: number): Promise<Credentials | null> {
  const [privateKeyPem, certificatePem, caPem] = await Promise.all(
    [CREDENTIAL_FILES.key, CREDENTIAL_FILES.certificate, CREDENTIAL_FILES.ca].map((name) => readFileIfExists(join(stateDir, name))),
  );
  if (!privateKeyPem || !certificatePem || !caPem) return null;
  try {
    checkIssued(certificatePem, caPem, privateKeyPem, node);
  } catch {
    return null; // damaged or of another node: as good as not enrolled
  }
  return validity(certificatePem).endsAt > now ? { caPem, certificatePem, privateKeyPem } : null;
}

/** Gets a new certificate for the same key once half of the present one's life is over, or when asked to; null when it is not due. Throws as `enrol`. */
export async function renewIfDue(options: { engine: EngineAddress; node: NodeId; stateDir: string; clock: Clock; credentials: Credentials; isAsked?: boolean }): Promise<Credentials | null> {
  const { engine, node, stateDir, clock, credentials } = options;
  const { beginsAt, endsAt } = validity(credentials.certificatePem);
  if (options.isAsked !== true && clock.now() < (beginsAt + endsAt) / 2) return null;
  const csr = createCsr(credentials.privateKeyPem, node);
  const answer = await requestEngine(engine, { method: 'POST', path: '/renew', caPem: credentials.caPem, body: { csr }, client: credentials });
  const certificatePem = readIssued(answer);
  checkIssued(certificatePem, credentials.caPem, credentials.privateKeyPem, node);
  await writeFileAtomic(join(stateDir, CREDENTIAL_FILES.certificate), certificatePem);
  return { ...credentials, certificatePem };
}

/** The engine's answer to the wish for the post-quantum key with a peer: closed with this node's seal. Throws as `enrol`. */
export function fetchPpk(options: { engine: EngineAddress; credentials: Credentials; peer: NodeId }): Promise<string> {
  const { engine, credentials, peer } = options;
  return requestEngine(engine, { method: 'POST', path: '/ppk', caPem: credentials.caPem, body: { peer }, client: credentials });
}

/** Fetches the engine's signers again, over TLS that only our CA can vouch for, and keeps them. True when they changed. */
export async function refreshSigners(options: { engine: EngineAddress; stateDir: string; caPem: string }): Promise<boolean> {
  const file = join(options.stateDir, CREDENTIAL_FILES.signers);
  const signers = await requestEngine(options.engine, { method: 'GET', path: '/signers', caPem: options.caPem });
  if (signers === (await readFileIfExists(file))) return false;
  await writeFileAtomic(file, signers);
  return true;
}

/** Remembers in the state folder which certificate all tunnels stand on, so that a restarted agent finishes what it had begun and repeats nothing. */
export async function openRenewalNote(stateDir: string, log: Log): Promise<{ isDone(credentials: Credentials): boolean; setDone(credentials: Credentials): void }> {
  const file = join(stateDir, 'tunnels-renewed');
  let done = (await readFileIfExists(file))?.trim() ?? '';
  return {
    isDone: ({ certificatePem }) => fingerprintOf(certificatePem) === done,
    setDone({ certificatePem }) {
      const next = fingerprintOf(certificatePem);
      if (next === done) return;
      done = next;
      // when it cannot be kept, a restart makes SAs anew once more: nothing is lost by that
      writeFileAtomic(file, `${next}\n`).catch((cause: unknown) => log.warn({ error: messageOf(cause) }, 'which certificate the tunnels stand on could not be noted'));
    },
  };
}

function validity(certificatePem: string): { beginsAt: number; endsAt: number } {
  const { validFrom, validTo } = new X509Certificate(certificatePem);
  return { beginsAt: Date.parse(validFrom), endsAt: Date.parse(validTo) };
}

function readIssued(answer: string): string {
  try {
    const { certificatePem } = JSON.parse(answer) as { certificatePem?: unknown };
    if (typeof certificatePem === 'string') return certificatePem;
  } catch {
    // told below
  }
  throw unusable('it is no certificate');
}

/** What came back must be ours: our key, our name, signed by the pinned CA. */
function checkIssued(certificatePem: string, caPem: string, privateKeyPem: string, node: NodeId): void {
  let certificate: X509Certificate;
  let ca: X509Certificate;
  try {
    certificate = new X509Certificate(certificatePem);
    ca = new X509Certificate(caPem);
  } catch {
    throw unusable('it cannot be read');
  }
  if (!certificate.checkPrivateKey(createPrivateKey(privateKeyPem))) throw unusable('it is for another key');
  if (!certificate.checkIssued(ca) || !certificate.verify(ca.publicKey)) throw unusable('it is not signed by our CA');
  if (!(certificate.subjectAltName ?? '').split(', ').includes(`DNS:${node}`)) throw unusable('it is for another node');
}

function checkedKey(privateKeyPem: string, file: string): string {
  try {
    createPrivateKey(privateKeyPem);
    return privateKeyPem;
  } catch {
    throw new ForemeshError('STATE_DAMAGED', { what: `${file} is damaged`, fix: 'remove it and enrol the node again with a new join token' }); // the cause could quote the key
  }
}

function unusable(why: string): ForemeshError {
  return new ForemeshError('CA_CSR_REFUSED', { what: `the engine's answer is not our certificate: ${why}`, fix: 'see that the token, the engine and this node belong together' });
}

/** sha256 of a certificate, hex: how a token names its CA. */
export function fingerprintOf(certificatePem: string): string {
  return createHash('sha256').update(new X509Certificate(certificatePem).raw).digest('hex');
}
