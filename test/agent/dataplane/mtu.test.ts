import * as fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { espPayloadBytes, libipsecMtuBytes, xfrmMtuBytes } from '../../../agent/dataplane/index.ts';
import type { TunnelInterface } from '../../../agent/ports.ts';
import type { CryptoSuite } from '../../../src/model/index.ts';
import { GCM, WANTED } from './support.ts';

type Sizes = Pick<CryptoSuite, 'encryption' | 'integrity'>;
const suite = (encryption: CryptoSuite['encryption'], integrity: CryptoSuite['integrity'] = 'none'): Sizes => ({ encryption, integrity });
const tunnel = (esp: Sizes[], underlay: TunnelInterface['underlay'] = 'ipv4'): TunnelInterface => ({ ...WANTED.interfaces[0]!, esp, underlay });

/** The packet on the wire, put together field by field as the RFCs draw it. */
function wireBytes(payload: number, { encryption, integrity }: Sizes, underlay: 'ipv4' | 'ipv6'): number {
  const aead = encryption.endsWith('gcm16') || encryption.endsWith('poly1305');
  const block = encryption.endsWith('cbc') ? 16 : encryption === '3des' ? 8 : 4;
  const iv = aead ? 8 : encryption.endsWith('cbc') ? 16 : encryption === '3des' ? 8 : 0;
  const icv = aead ? 16 : { none: 0, sha256: 16, sha384: 24, sha512: 32, sha1: 12, md5: 12 }[integrity];
  const padded = Math.ceil((payload + 2) / block) * block;
  return (underlay === 'ipv4' ? 20 : 40) + 8 + 8 + iv + padded + icv;
}

describe('the MTU of a tunnel', () => {
  it.each<[string, Sizes, 'ipv4' | 'ipv6', number, number]>([
    ['AES-GCM', suite('aes128gcm16'), 'ipv4', 1500, 1438],
    ['AES-256-GCM over PPPoE', suite('aes256gcm16'), 'ipv4', 1492, 1430],
    ['ChaCha20-Poly1305 over IPv6', suite('chacha20poly1305'), 'ipv6', 1500, 1418],
    ['AES-CBC with SHA-256', suite('aes128cbc', 'sha256'), 'ipv4', 1500, 1422],
    ['AES-CBC with SHA-512', suite('aes256cbc', 'sha512'), 'ipv4', 1500, 1406],
    ['3DES with SHA-1', suite('3des', 'sha1'), 'ipv4', 1500, 1438],
    ['AES-GCM in the least IPv6 path', suite('aes128gcm16'), 'ipv6', 1280, 1198],
  ])('leaves room for %s', (_case, sizes, underlay, pathMtu, expected) => {
    expect(espPayloadBytes(pathMtu, sizes, underlay)).toBe(expected);
  });

  it('is the greatest that fits: its packet does, one more byte does not', () => {
    const sizes = fc.record({
      encryption: fc.constantFrom<CryptoSuite['encryption'][]>('aes128gcm16', 'aes256gcm16', 'chacha20poly1305', 'aes128cbc', 'aes256cbc', '3des', 'null'),
      integrity: fc.constantFrom<CryptoSuite['integrity'][]>('sha256', 'sha384', 'sha512', 'sha1', 'md5'),
    });
    fc.assert(
      fc.property(sizes, fc.constantFrom('ipv4', 'ipv6'), fc.integer({ min: 700, max: 9000 }), (one, underlay, pathMtu) => {
        const payload = espPayloadBytes(pathMtu, one, underlay);
        expect(wireBytes(payload, one, underlay)).toBeLessThanOrEqual(pathMtu);
        expect(wireBytes(payload + 1, one, underlay)).toBeGreaterThan(pathMtu);
      }),
    );
  });

  it('fits whichever suite is negotiated', () => {
    expect(xfrmMtuBytes(tunnel([GCM, suite('aes256cbc', 'sha512')]), 1500)).toBe(1406);
  });

  it('has room for VXLAN with libipsec, and never fills charon’s device over its 1400 bytes', () => {
    expect(libipsecMtuBytes(tunnel([GCM]), 1500)).toBe(1350);
    expect(libipsecMtuBytes(tunnel([GCM]), 9000)).toBe(1350);
    expect(libipsecMtuBytes(tunnel([GCM]), 1400)).toBe(1288);
    expect(wireBytes(1288 + 50, GCM, 'ipv4')).toBeLessThanOrEqual(1400);
  });

  it('is that of 1500 bytes for an uplink that is not there yet, and never below what any host takes', () => {
    expect(xfrmMtuBytes(tunnel([GCM]), undefined)).toBe(1438);
    expect(xfrmMtuBytes(tunnel([GCM]), 300)).toBe(576);
  });
});
