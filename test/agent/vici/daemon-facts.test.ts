import { describe, expect, it } from 'vitest';
import { encodeMessage, decodeMessage, readIkeDaemon, type ViciMessage } from '../../../agent/vici/index.ts';

/** What real daemons answered to `version` and `get-algorithms` on 2026-11-22, of the latter what concerns key exchanges; 6.1.0 with OpenSSL 3.5. */
const RECORDED: Record<string, Record<string, ViciMessage>> = {
  'strongSwan 5.9.8': {
    version: { daemon: 'charon', version: '5.9.8', sysname: 'Linux', release: '6.18.44', machine: 'x86_64' },
    'get-algorithms': { kdf: { KDF_PRF: 'kdf' }, drbg: {}, dh: { MODP_3072: 'openssl', CURVE_25519: 'openssl', ECP_384: 'openssl' } },
  },
  'strongSwan 6.1.0': {
    version: { daemon: 'charon', version: '6.1.0', sysname: 'Linux', release: '6.18.44', machine: 'x86_64' },
    'get-algorithms': { kdf: { KDF_PRF: 'kdf' }, drbg: {}, ke: { MODP_3072: 'openssl', ML_KEM_512: 'openssl', ML_KEM_768: 'openssl', ML_KEM_1024: 'openssl', CURVE_25519: 'openssl' } },
  },
  'strongSwan 6.1.0 without a plugin that has ML-KEM': {
    version: { daemon: 'charon', version: '6.1.0', sysname: 'Linux', release: '6.18.44', machine: 'x86_64' },
    'get-algorithms': { ke: { MODP_3072: 'gmp', CURVE_25519: 'curve25519' } },
  },
};

describe('what the daemon says of itself', () => {
  it.each([
    ['strongSwan 5.9.8', { version: '5.9.8', mlKem: false }],
    ['strongSwan 6.1.0', { version: '6.1.0', mlKem: true }],
    ['strongSwan 6.1.0 without a plugin that has ML-KEM', { version: '6.1.0', mlKem: false }],
  ])('is read from the answers of %s', async (daemon, expected) => {
    const request = (command: string): Promise<ViciMessage> => Promise.resolve(decodeMessage(encodeMessage(RECORDED[daemon]![command]!)));
    expect(await readIkeDaemon({ request })).toEqual(expected);
  });
});
