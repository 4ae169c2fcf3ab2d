import { createHash, createPrivateKey, createPublicKey, generateKeyPairSync, X509Certificate } from 'node:crypto';
import { mkdtemp, readFile, rm, stat, unlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { runCommand, VirtualClock } from '../../src/base/index.ts';
import { createNodeKey, openAuthority, type Authority } from '../../src/ca/index.ts';
import { nodeId } from '../../src/model/index.ts';
import { makeCsr } from './csr-maker.ts';

const BERLIN = nodeId('berlin-gw1');
const PARIS = nodeId('paris-gw1');
const MINUTE_MS = 60_000;
const TOKEN = { code: 'CA_TOKEN_REFUSED' };
const CSR = { code: 'CA_CSR_REFUSED' };

let dir: string;
let clock: VirtualClock;
let authority: Authority;
beforeEach(async () => {
  dir = await mkdtemp(join(tmpdir(), 'foremesh-ca-test-'));
  clock = new VirtualClock(Date.now());
  authority = await openAuthority({ dir: join(dir, 'ca'), clock, mesh: 'demo' });
});
afterEach(() => rm(dir, { recursive: true, force: true }));

async function csrOf(node = BERLIN): Promise<string> {
  return (await createNodeKey()).csrPem(node);
}

/** A token without its seal, as an agent sends it. */
const bare = (token: string): string => token.split('.').slice(0, 3).join('.');

describe('a certificate of a node', () => {
  it('is what the contract says', async () => {
    const key = await createNodeKey();
    const { certificatePem, caPem } = await authority.enrol(await authority.createJoinToken(BERLIN, MINUTE_MS), await key.csrPem(BERLIN));
    const leaf = new X509Certificate(certificatePem);
    const root = new X509Certificate(caPem);
    expect(leaf.subject).toBe('CN=berlin-gw1');
    expect(leaf.subjectAltName).toBe(['DNS:berlin-gw1', 'URI:spiffe://demo/node/berlin-gw1', ...Array.from({ length: 16 }, (_, index) => `email:u${index + 1}@berlin-gw1`)].join(', '));
    expect(leaf.keyUsage).toEqual(['1.3.6.1.5.5.7.3.1', '1.3.6.1.5.5.7.3.2', '1.3.6.1.5.5.7.3.17']);
    expect(leaf.ca).toBe(false);
    expect(leaf.verify(root.publicKey)).toBe(true);
    expect(leaf.checkPrivateKey(createPrivateKey(key.privateKeyPem))).toBe(true);
    expect(Date.parse(leaf.validTo) - clock.now()).toBeGreaterThan(86_398_000);
    expect(Date.parse(leaf.validTo) - clock.now()).toBeLessThanOrEqual(86_400_000);
    expect(root.ca).toBe(true);
    expect(Date.parse(root.validTo) - clock.now()).toBeGreaterThan(3649 * 86_400_000);
    expect(createHash('sha256').update(root.raw).digest('hex')).toBe(authority.fingerprint);
  });

  it('is accepted by strongSwan’s and OpenSSL’s own verifiers', async () => {
    const issued = await authority.enrol(await authority.createJoinToken(BERLIN, MINUTE_MS), await csrOf());
    const [leaf, ca] = [join(dir, 'leaf.pem'), join(dir, 'ca.pem')];
    await writeFile(leaf, issued.certificatePem);
    await writeFile(ca, issued.caPem);
    const pki = await runCommand('pki', ['--verify', '--in', leaf, '--cacert', ca]);
    expect(pki.stdout.toString() + pki.stderr).toContain('certificate trusted');
    expect(pki.exitCode).toBe(0);
    const print = (await runCommand('pki', ['--print', '--in', leaf])).stdout.toString();
    expect(print).toMatch(/altNames:\s+berlin-gw1, spiffe:\/\/demo\/node\/berlin-gw1/);
    expect(print).toMatch(/flags:.*serverAuth clientAuth/);
    for (const purpose of ['sslserver', 'sslclient']) {
      const openssl = await runCommand('openssl', ['verify', '-x509_strict', '-purpose', purpose, '-CAfile', ca, leaf]);
      expect(openssl.stdout.toString()).toContain(': OK');
    }
    await writeFile(join(dir, 'other.pem'), (await openAuthority({ dir: join(dir, 'other'), clock })).caPem);
    expect((await runCommand('pki', ['--verify', '--in', leaf, '--cacert', join(dir, 'other.pem')])).exitCode).not.toBe(0);
  });

  it.each(['P-256', 'P-384', 'P-521', 'Ed25519', 'RSA-3072'] as const)('is given for a %s key', async (kind) => {
    const issued = await authority.enrol(await authority.createJoinToken(BERLIN, MINUTE_MS), await makeCsr({ kind, subject: [['CN', BERLIN]] }));
    expect(new X509Certificate(issued.certificatePem).subjectAltName).toContain('DNS:berlin-gw1');
  });

  it('is renewed for the node’s own name only', async () => {
    expect(new X509Certificate((await authority.renew(BERLIN, await csrOf())).certificatePem).subject).toBe('CN=berlin-gw1');
    await expect(authority.renew(PARIS, await csrOf(BERLIN))).rejects.toMatchObject(CSR);
  });
});

describe('the engine’s own certificate', () => {
  it('names its hosts and cannot pass for a node', async () => {
    const { keyPem, certificatePem } = await authority.serverCredentials(['engine.example', '127.0.0.1']);
    const leaf = new X509Certificate(certificatePem);
    expect(leaf.subjectAltName).toBe('DNS:engine.example, IP Address:127.0.0.1, URI:spiffe://demo/engine');
    expect(leaf.keyUsage).toEqual(['1.3.6.1.5.5.7.3.1']);
    expect(createPublicKey(createPrivateKey(keyPem)).equals(leaf.publicKey)).toBe(true);
    expect(certificatePem).toContain(authority.caPem);
  });
});

describe('a join token', () => {
  it('names node and CA and is not kept in clear', async () => {
    const token = await authority.createJoinToken(BERLIN, MINUTE_MS);
    const [node, fingerprint, secret] = token.split('.');
    expect([node, fingerprint]).toEqual(['berlin-gw1', authority.fingerprint]);
    expect(Buffer.from(secret!, 'base64url').length).toBe(32);
    const stored = await readFile(join(dir, 'ca', 'tokens.json'), 'utf8');
    expect(stored).not.toContain(secret);
    expect((await stat(join(dir, 'ca', 'tokens.json'))).mode & 0o777).toBe(0o600);
  });

  it.each([0, -1, 999, 900_001, NaN, Infinity])('cannot be valid for %d ms', async (ttlMs) => {
    await expect(authority.createJoinToken(BERLIN, ttlMs)).rejects.toMatchObject(TOKEN);
  });

  const wrong: [string, (token: string) => string][] = [
    ['unknown', (token) => `${bare(token).slice(0, -1)}${bare(token).endsWith('A') ? 'B' : 'A'}`],
    ['for another node', (token) => token.replace('berlin', 'paris')],
    ['torn', (token) => bare(token).slice(0, -5)],
    ['empty', () => ''],
    ['huge', () => 'x'.repeat(100_000)],
  ];
  it.each(wrong)('is refused when it is %s, and not quoted', async (_, change) => {
    const token = await authority.createJoinToken(BERLIN, MINUTE_MS);
    const refused: unknown = await authority.enrol(change(token), await csrOf()).catch((cause: unknown) => cause);
    expect(refused).toMatchObject(TOKEN);
    expect(String(refused)).not.toContain(token.split('.')[2]!.slice(0, 20));
  });

  it('is refused after its time, to the millisecond', async () => {
    const token = await authority.createJoinToken(BERLIN, MINUTE_MS);
    await clock.advance(MINUTE_MS);
    await expect(authority.enrol(token, await csrOf())).rejects.toMatchObject(TOKEN);
    const other = await authority.createJoinToken(BERLIN, MINUTE_MS);
    await clock.advance(MINUTE_MS - 1);
    await expect(authority.enrol(other, await csrOf())).resolves.toBeDefined();
  });

  it('works once; a second key holds the node, renewals included, until that is lifted', async () => {
    const token = await authority.createJoinToken(BERLIN, MINUTE_MS);
    await authority.enrol(token, await csrOf());
    await expect(authority.enrol(token, await csrOf())).rejects.toMatchObject(TOKEN);
    expect(await authority.holds()).toEqual([{ node: BERLIN, heldAt: clock.now() }]);
    await expect(authority.renew(BERLIN, await csrOf())).rejects.toMatchObject(TOKEN);
    await expect(authority.enrol(await authority.createJoinToken(BERLIN, MINUTE_MS), await csrOf())).rejects.toMatchObject(TOKEN);
    await expect(authority.renew(PARIS, await csrOf(PARIS))).resolves.toBeDefined();
    await authority.liftHold(BERLIN);
    await expect(authority.enrol(await authority.createJoinToken(BERLIN, MINUTE_MS), await csrOf())).resolves.toBeDefined();
  });

  it('is answered again for the same key, since an answer can get lost', async () => {
    const token = await authority.createJoinToken(BERLIN, MINUTE_MS);
    const key = await createNodeKey();
    await authority.enrol(token, await key.csrPem(BERLIN));
    await expect(authority.enrol(token, await key.csrPem(BERLIN))).resolves.toBeDefined();
    expect(await authority.holds()).toEqual([]);
  });

  it('is won by one of two that race, and the node is held', async () => {
    const token = await authority.createJoinToken(BERLIN, MINUTE_MS);
    const results = await Promise.allSettled([authority.enrol(token, await csrOf()), authority.enrol(token, await csrOf())]);
    expect(results.map(({ status }) => status).toSorted()).toEqual(['fulfilled', 'rejected']);
    expect(await authority.holds()).toHaveLength(1);
  });

  it('is not used up by a request that is refused', async () => {
    const token = await authority.createJoinToken(BERLIN, MINUTE_MS);
    await expect(authority.enrol(token, await csrOf(PARIS))).rejects.toMatchObject(CSR);
    await expect(authority.enrol(token, await csrOf())).resolves.toBeDefined();
  });

  it('is remembered as used by the next process', async () => {
    const token = await authority.createJoinToken(BERLIN, MINUTE_MS);
    await authority.enrol(token, await csrOf());
    const next = await openAuthority({ dir: join(dir, 'ca'), clock, mesh: 'demo' });
    expect(next.caPem).toBe(authority.caPem);
    await expect(next.enrol(token, await csrOf())).rejects.toMatchObject(TOKEN);
    expect(await next.holds()).toHaveLength(1);
  });
});

describe('a certificate request', () => {
  const own = [['CN', 'berlin-gw1']] as [string, string][];
  const refused: [string, () => Promise<string>][] = [
    ['another node’s name', () => makeCsr({ subject: [['CN', 'paris-gw1']] })],
    ['no name', () => makeCsr({ subject: [] })],
    ['two names', () => makeCsr({ subject: [...own, ['CN', 'paris-gw1']] })],
    ['an organisation beside the name', () => makeCsr({ subject: [...own, ['O', 'evil']] })],
    ['another DNS name', () => makeCsr({ subject: own, names: [{ type: 'dns', value: 'paris-gw1' }] })],
    ['its own and another DNS name', () => makeCsr({ subject: own, names: [{ type: 'dns', value: 'berlin-gw1' }, { type: 'dns', value: 'paris-gw1' }] })],
    ['an address', () => makeCsr({ subject: own, names: [{ type: 'ip', value: '10.0.0.1' }] })],
    ['a URI', () => makeCsr({ subject: own, names: [{ type: 'url', value: 'spiffe://demo/node/paris-gw1' }] })],
    ['to be a CA', () => makeCsr({ subject: own, isCa: true })],
    ['a key usage', () => makeCsr({ subject: own, hasKeyUsage: true })],
    ['a challenge password', () => makeCsr({ subject: own, hasPassword: true })],
    ['a 2048-bit RSA key', () => makeCsr({ subject: own, kind: 'RSA-2048' })],
    ['a weak hash', () => makeCsr({ subject: own, hash: 'SHA-1' })],
    ['a P-192 key', async () => (await runCommand('sh', ['-c', 'openssl ecparam -name prime192v1 -genkey -noout | openssl req -new -sha256 -subj /CN=berlin-gw1 -key /dev/stdin'])).stdout.toString()],
    ['a key that is not its own', () => makeCsr({ subject: own, isForged: true })],
    ['nothing', async () => ''],
    ['garbage', async () => '-----BEGIN CERTIFICATE REQUEST-----\nAAAA\n-----END CERTIFICATE REQUEST-----\n'],
    ['two requests', async () => (await csrOf()) + (await csrOf())],
    ['a certificate in its place', async () => authority.caPem],
    ['too many bytes', async () => `${await csrOf()}${' '.repeat(20_000)}`],
  ];
  it.each(refused)('is refused when it has %s', async (_, make) => {
    await expect(authority.renew(BERLIN, await make())).rejects.toMatchObject(CSR);
  });

  it('made by openssl is fine', async () => {
    const { privateKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' });
    const file = join(dir, 'k.pem');
    await writeFile(file, privateKey.export({ format: 'pem', type: 'pkcs8' }));
    const made = await runCommand('openssl', ['req', '-new', '-key', file, '-subj', '/CN=berlin-gw1', '-addext', 'subjectAltName=DNS:berlin-gw1']);
    await expect(authority.renew(BERLIN, made.stdout.toString())).resolves.toBeDefined();
  });
});

describe('the folder of the CA', () => {
  it('is readable by its owner only', async () => {
    expect((await stat(join(dir, 'ca'))).mode & 0o777).toBe(0o700);
    expect((await stat(join(dir, 'ca', 'ca.key'))).mode & 0o777).toBe(0o600);
  });

  it('is finished after a crash between key and certificate', async () => {
    await unlink(join(dir, 'ca', 'ca.crt'));
    const next = await openAuthority({ dir: join(dir, 'ca'), clock });
    expect(new X509Certificate(next.caPem).ca).toBe(true);
  });

  it('is refused when it is damaged, without quoting the key', async () => {
    const key = await readFile(join(dir, 'ca', 'ca.key'), 'utf8');
    for (const damage of [key.slice(0, 60), '', (await createNodeKey()).privateKeyPem]) {
      await writeFile(join(dir, 'ca', 'ca.key'), damage);
      const opened: unknown = await openAuthority({ dir: join(dir, 'ca'), clock }).catch((cause: unknown) => cause);
      expect(opened).toMatchObject({ code: 'STATE_DAMAGED' });
      expect(String(opened)).not.toContain(key.slice(40, 80));
    }
    await unlink(join(dir, 'ca', 'ca.key'));
    await expect(openAuthority({ dir: join(dir, 'ca'), clock })).rejects.toMatchObject({ code: 'STATE_DAMAGED' });
    await writeFile(join(dir, 'ca', 'ca.key'), key);
    await writeFile(join(dir, 'ca', 'tokens.json'), '{');
    const next = await openAuthority({ dir: join(dir, 'ca'), clock });
    await expect(next.createJoinToken(BERLIN, MINUTE_MS)).rejects.toMatchObject({ code: 'STATE_DAMAGED' });
  });
});
