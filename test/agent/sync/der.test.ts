import { generateKeyPairSync, X509Certificate } from 'node:crypto';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { array, assert, integer, nat, property } from 'fast-check';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { createCsr, isCrlSigned } from '../../../agent/sync/der.ts';
import { VirtualClock } from '../../../src/base/index.ts';
import { createNodeKey, openAuthority, type Authority } from '../../../src/ca/index.ts';
import { nodeId } from '../../../src/model/index.ts';

const BERLIN = nodeId('berlin-gw1');
let dir: string;
let authority: Authority;
let crlPem: string;
beforeAll(async () => {
  dir = await mkdtemp(join(tmpdir(), 'foremesh-der-test-'));
  authority = await openAuthority({ dir, clock: new VirtualClock(Date.now()) });
  await authority.enrol(await authority.createJoinToken(BERLIN, 60_000), await (await createNodeKey()).csrPem(BERLIN));
  await authority.revoke(BERLIN, 'stolen', 'ada');
  ({ crlPem } = (await authority.revocationsMessage())!);
});
afterAll(() => rm(dir, { recursive: true, force: true }));

describe('a request for a certificate', () => {
  it.each(['a', 'berlin-gw1', 'n'.repeat(40)])('in the name of %s is what the authority signs for', async (name) => {
    const { privateKey, publicKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' });
    const { certificatePem } = await authority.renew(nodeId(name), createCsr(privateKey.export({ format: 'pem', type: 'pkcs8' }).toString(), nodeId(name)));
    const certificate = new X509Certificate(certificatePem);
    expect(certificate.publicKey.equals(publicKey)).toBe(true);
    expect(certificate.subjectAltName).toContain(`DNS:${name}`);
  });
});

describe('a list of revocations', () => {
  it('is known by the signature of our CA, and of no other', async () => {
    const other = await openAuthority({ dir: join(dir, 'other'), clock: new VirtualClock(Date.now()) });
    expect(isCrlSigned(crlPem, authority.caPem)).toBe(true);
    expect(isCrlSigned(crlPem, other.caPem)).toBe(false);
  });

  it('is refused with any byte changed, cut off or added', () => {
    const bytes = Buffer.from(crlPem.replace(/-----[^-]+-----|\s/g, ''), 'base64');
    const pem = (body: Uint8Array): string => `-----BEGIN CRL-----\n${Buffer.from(body).toString('base64')}\n-----END CRL-----\n`;
    expect(isCrlSigned(pem(bytes), authority.caPem)).toBe(true);
    assert(
      property(nat(bytes.length - 1), integer({ min: 1, max: 255 }), array(nat(255), { minLength: 1, maxLength: 4 }), (at, by, more) => {
        const damaged = Buffer.from(bytes);
        damaged[at] = damaged[at]! ^ by;
        for (const body of [damaged, bytes.subarray(0, at), Buffer.concat([bytes, Buffer.from(more)])]) expect(isCrlSigned(pem(body), authority.caPem)).not.toBe(true);
      }),
      { numRuns: 500 },
    );
    expect(isCrlSigned(`${crlPem}${crlPem}`, authority.caPem)).toBeNull();
    expect(isCrlSigned('', authority.caPem)).toBeNull();
  });
});
