import { createHash, X509Certificate } from 'node:crypto';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { runCommand, VirtualClock } from '../../src/base/index.ts';
import { createNodeKey, openAuthority, type Authority } from '../../src/ca/index.ts';
import { nodeId } from '../../src/model/index.ts';

const BERLIN = nodeId('berlin-gw1');
const PARIS = nodeId('paris-gw1');
const MINUTE_MS = 60_000;

let dir: string;
let clock: VirtualClock;
let authority: Authority;
beforeEach(async () => {
  dir = await mkdtemp(join(tmpdir(), 'foremesh-revocation-test-'));
  clock = new VirtualClock(Date.now());
  authority = await openAuthority({ dir: join(dir, 'ca'), clock, mesh: 'demo' });
});
afterEach(() => rm(dir, { recursive: true, force: true }));

/** A node that has joined with a key of its own. */
async function joined(node = BERLIN): Promise<{ key: Awaited<ReturnType<typeof createNodeKey>>; certificatePem: string; keySha256: string }> {
  const key = await createNodeKey();
  const { certificatePem } = await authority.enrol(await authority.createJoinToken(node, MINUTE_MS), await key.csrPem(node));
  const keySha256 = createHash('sha256').update(new X509Certificate(certificatePem).publicKey.export({ format: 'der', type: 'spki' })).digest('hex');
  return { key, certificatePem, keySha256 };
}

/** strongSwan's own verdict on a certificate, with the list of now. */
async function verdict(certificatePem: string): Promise<string> {
  const message = await authority.revocationsMessage();
  const [leaf, ca, crl] = [join(dir, 'leaf.pem'), join(dir, 'ca.pem'), join(dir, 'crl.pem')];
  await writeFile(leaf, certificatePem);
  await writeFile(ca, authority.caPem);
  await writeFile(crl, message!.crlPem);
  const { stdout, stderr } = await runCommand('pki', ['--verify', '--in', leaf, '--cacert', ca, '--crl', crl]);
  return stdout.toString() + stderr;
}

describe('a revoked node', () => {
  it('is on a list that strongSwan takes, with every valid certificate of its key, and others are not', async () => {
    const berlin = await joined();
    const paris = await joined(PARIS);
    expect(await authority.revocationsMessage()).toBeNull();
    const renewed = (await authority.renew(BERLIN, await berlin.key.csrPem(BERLIN))).certificatePem;
    expect(await authority.revoke(BERLIN, 'stolen', 'ada')).toEqual([{ node: BERLIN, keySha256: berlin.keySha256, revokedAt: clock.now() }]);
    expect(await authority.revocationsMessage()).toMatchObject({ number: 1, revoked: [{ node: BERLIN, keySha256: berlin.keySha256 }] });
    for (const certificate of [berlin.certificatePem, renewed]) expect(await verdict(certificate)).toMatch(/revoked/);
    expect(await verdict(paris.certificatePem)).toContain('certificate trusted');
  });

  it('gets no certificate for that key any more, neither by renewal nor with a new token', async () => {
    const { key, keySha256 } = await joined();
    await authority.revoke(BERLIN, 'stolen', 'ada');
    expect(authority.isRevoked(keySha256)).toBe(true);
    await expect(authority.renew(BERLIN, await key.csrPem(BERLIN))).rejects.toMatchObject({ code: 'CA_KEY_REVOKED', httpStatus: 403 });
    const token = await authority.createJoinToken(BERLIN, MINUTE_MS);
    await expect(authority.enrol(token, await key.csrPem(BERLIN))).rejects.toMatchObject({ code: 'CA_KEY_REVOKED' });
    const fresh = await createNodeKey();
    const { certificatePem } = await authority.enrol(token, await fresh.csrPem(BERLIN)); // the refusal has not used it up
    expect(await verdict(certificatePem)).toContain('certificate trusted');
  });

  it('loses join tokens that were made for it before', async () => {
    await joined();
    const token = await authority.createJoinToken(BERLIN, MINUTE_MS);
    await authority.revoke(BERLIN, 'stolen', 'ada');
    await expect(authority.enrol(token, await (await createNodeKey()).csrPem(BERLIN))).rejects.toMatchObject({ code: 'CA_TOKEN_REFUSED' });
  });

  it('stays revoked over restarts, with who did it and why; doing it again changes nothing', async () => {
    const { keySha256 } = await joined();
    await authority.revoke(BERLIN, 'stolen', 'ada');
    authority = await openAuthority({ dir: join(dir, 'ca'), clock, mesh: 'demo' });
    expect(authority.revocations()).toEqual([{ node: BERLIN, keySha256, revokedAt: clock.now(), why: 'stolen', by: 'ada' }]);
    const told: boolean[] = [];
    authority.onRevoked(() => told.push(true));
    expect(await authority.revoke(BERLIN, 'again', 'bob')).toEqual([]);
    expect(await authority.revoke(PARIS, 'never seen', 'bob')).toEqual([]);
    expect(told).toEqual([]);
    expect(await authority.revocationsMessage()).toMatchObject({ number: 1 });
  });

  it('is not let in again by a damaged file: the engine does not start', async () => {
    await joined();
    await authority.revoke(BERLIN, 'stolen', 'ada');
    await writeFile(join(dir, 'ca', 'revocations.json'), '{');
    await expect(openAuthority({ dir: join(dir, 'ca'), clock, mesh: 'demo' })).rejects.toMatchObject({ code: 'STATE_DAMAGED' });
  });

  it('numbers lists beyond what one byte holds', async () => {
    for (let count = 0; count < 130; count++) {
      await joined();
      await authority.revoke(BERLIN, 'again', 'ada');
    }
    const last = await joined();
    expect(await authority.revocationsMessage()).toMatchObject({ number: 130 });
    expect(await verdict(last.certificatePem)).toContain('certificate trusted');
    const print = await runCommand('pki', ['--print', '--type', 'crl', '--in', join(dir, 'crl.pem')]);
    expect(print.stdout.toString()).toMatch(/serial:\s+(?:00:)?82\b/);
  });
});
