import { describe, expect, it } from 'vitest';
import type { ConnectionSpec, CryptoSuite } from '../../../agent/ports.ts';
import { connectionMessage, espProposals, ikeProposals, sectionAt, suiteInUse, withMlKem } from '../../../agent/vici/index.ts';
import type { TunnelId } from '../../../src/model/index.ts';

const strong: CryptoSuite = { encryption: 'aes256gcm16', integrity: 'none', prf: 'prfsha384', group: 'ecp384' };
const classic: CryptoSuite = { encryption: 'aes128cbc', integrity: 'sha256', prf: 'prfsha256', group: 'modp3072' };

describe('crypto suites', () => {
  it('become strongSwan\'s proposals, in their order', () => {
    expect(ikeProposals([strong, classic])).toEqual(['aes256gcm16-prfsha384-ecp384', 'aes128-sha256-prfsha256-modp3072']);
    expect(espProposals([strong, classic])).toEqual(['aes256gcm16-ecp384', 'aes128-sha256-modp3072']);
    expect(espProposals([{ ...strong, group: 'none' }])).toEqual(['aes256gcm16']);
  });

  it('ask for ML-KEM besides their group, alone or before those without', () => {
    const proposals = ikeProposals([strong, classic]);
    const hybrid = ['aes256gcm16-prfsha384-ecp384-ke1_mlkem768', 'aes128-sha256-prfsha256-modp3072-ke1_mlkem768'];
    expect(withMlKem(proposals, undefined)).toEqual(proposals);
    expect(withMlKem(proposals, 'required')).toEqual(hybrid);
    expect(withMlKem(proposals, 'preferred')).toEqual([...hybrid, ...proposals]);
    expect(withMlKem(espProposals([{ ...strong, group: 'none' }]), 'preferred')).toEqual(['aes256gcm16']);
  });

  it.each([
    ['aes256gcm16-prfsha384-x25519-ke1_mlkem768', { 'encr-alg': 'AES_GCM_16', 'encr-keysize': '256', 'prf-alg': 'PRF_HMAC_SHA2_384', 'dh-group': 'CURVE_25519', ake1: 'ML_KEM_768' }],
    ['aes128gcm16-prfsha256-x25519', { 'encr-alg': 'AES_GCM_16', 'encr-keysize': '128', 'prf-alg': 'PRF_HMAC_SHA2_256', 'dh-group': 'CURVE_25519' }],
    ['aes256cbc-sha512-prfsha512-ecp521', { 'encr-alg': 'AES_CBC', 'encr-keysize': '256', 'integ-alg': 'HMAC_SHA2_512_256', 'prf-alg': 'PRF_HMAC_SHA2_512', 'dh-group': 'ECP_521' }],
    ['chacha20poly1305', { 'encr-alg': 'CHACHA20_POLY1305', 'encr-keysize': '256' }],
    ['camellia_cbc-aes_xcbc_96', { 'encr-alg': 'CAMELLIA_CBC', 'integ-alg': 'AES_XCBC_96' }],
    ['', {}],
  ])('in use are told in our words: %s', (words, section) => {
    expect(suiteInUse(section)).toBe(words);
  });
});

/** One tunnel as this end sees it. */
const SPEC: ConnectionSpec = {
  tunnel: 't-00c0ffee' as TunnelId,
  initiator: true,
  localAddress: '100.64.1.1',
  remoteAddress: '100.64.1.2',
  localIdentity: 'berlin-gw1',
  remoteIdentity: 'paris-gw1',
  localOverlay: '172.30.0.0',
  remoteOverlay: '172.30.0.1',
  ike: [strong],
  esp: [strong],
  ikeRekeyMs: 14_400_000,
  espRekeyMs: 3_600_000,
  ppk: null,
};
const CREDENTIALS = { caPem: 'CA', certificatePem: 'CERT', privateKeyPem: 'SECRET' };

describe('the connection of a tunnel', () => {
  it('is one IKE SA and one CHILD SA of its name, between its two addresses', () => {
    const { tunnel } = SPEC;
    const message = connectionMessage(SPEC, CREDENTIALS);
    expect(message).toEqual({
      [tunnel]: {
        version: '2',
        local_addrs: ['100.64.1.1'],
        remote_addrs: ['100.64.1.2'],
        proposals: ['aes256gcm16-prfsha384-ecp384'],
        unique: 'never',
        mobike: 'no',
        encap: 'yes',
        keyingtries: '0',
        send_cert: 'always',
        dpd_delay: '5s',
        rekey_time: '14400s',
        rand_time: '0s',
        over_time: '28800s',
        reauth_time: '0s',
        local: { auth: 'pubkey', id: 'berlin-gw1', certs: ['CERT'] },
        remote: { auth: 'pubkey', id: 'paris-gw1', cacerts: ['CA'] },
        children: {
          [tunnel]: {
            mode: 'tunnel',
            local_ts: ['172.30.0.0/32'],
            remote_ts: ['172.30.0.1/32'],
            esp_proposals: ['aes256gcm16-ecp384'],
            rekey_time: '3600s',
            rand_time: '0s',
            life_time: '10800s',
            dpd_action: 'clear',
            close_action: 'none',
            start_action: 'none',
          },
        },
      },
    });
    expect(JSON.stringify(message)).not.toContain('SECRET');
  });

  it('requires the post-quantum key where there is one, and names it without its secret', () => {
    const message = connectionMessage({ ...SPEC, ppk: { id: 'foremesh-ppk-7', secret: 'U0VDUkVU' } }, CREDENTIALS);
    expect(sectionAt(message, SPEC.tunnel)).toMatchObject({ ppk_id: 'foremesh-ppk-7', ppk_required: 'yes' });
    expect(JSON.stringify(message)).not.toContain('U0VDUkVU');
  });

  it('lets a peer behind NAT come from any address, and asks after it every second where the NAT is here', () => {
    const responder = sectionAt(connectionMessage({ ...SPEC, remoteAddress: null, remoteIdentity: 'u2@paris-gw1' }, CREDENTIALS), SPEC.tunnel)!;
    expect(responder).toMatchObject({ remote_addrs: ['%any'], remote: { id: 'u2@paris-gw1' }, dpd_delay: '5s' });
    const initiator = sectionAt(connectionMessage({ ...SPEC, isBehindNat: true, localIdentity: 'u2@berlin-gw1' }, CREDENTIALS), SPEC.tunnel)!;
    expect(initiator).toMatchObject({ remote_addrs: ['100.64.1.2'], local: { id: 'u2@berlin-gw1' }, dpd_delay: '1s', mobike: 'no' });
  });

  it('takes any address with XFRM, and belongs to the interface of its id', () => {
    const connection = sectionAt(connectionMessage(SPEC, CREDENTIALS, 0, 'xfrm'), SPEC.tunnel)!;
    expect(connection).toMatchObject({ encap: 'no' });
    expect(sectionAt(sectionAt(connection, 'children')!, SPEC.tunnel)).toMatchObject({ local_ts: ['0.0.0.0/0'], remote_ts: ['0.0.0.0/0'], if_id_in: '12648430', if_id_out: '12648430', replay_window: '4096' });
  });

  it('lets IPv6 through XFRM where hosts use it, and asks libipsec for nothing more', () => {
    const selectorsOf = (driver: 'xfrm' | 'libipsec'): unknown => sectionAt(sectionAt(sectionAt(connectionMessage({ ...SPEC, ipv6: true }, CREDENTIALS, 0, driver), SPEC.tunnel)!, 'children')!, SPEC.tunnel);
    expect(selectorsOf('xfrm')).toMatchObject({ local_ts: ['0.0.0.0/0', '::/0'], remote_ts: ['0.0.0.0/0', '::/0'] });
    expect(selectorsOf('libipsec')).toMatchObject({ local_ts: [`${SPEC.localOverlay}/32`], remote_ts: [`${SPEC.remoteOverlay}/32`] });
  });
});
