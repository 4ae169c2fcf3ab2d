import { describe, expect, it } from 'vitest';
import { connectionSpecOf, loadedConnectionOf, wantedConnectionOf } from '../../../agent/reconcile/connection-spec.ts';
import { berlin, configOf, t1 } from '../../support/node-configs.ts';

const config = configOf(berlin, [t1], []);
const [tunnel] = config.tunnels as [(typeof config.tunnels)[number]];
const ike = { version: '6.0.1', mlKem: true };
const ppks = new Map();

describe('the wanted connection of a tunnel', () => {
  it('is the one that its spec and digest say, and worked out once while nothing changes', () => {
    const wanted = wantedConnectionOf(config, tunnel, { ppks, ike });
    const spec = connectionSpecOf(config, tunnel, { ppks, ike });
    expect(wanted).toEqual({ spec, loaded: loadedConnectionOf(spec) });
    expect(wantedConnectionOf(config, tunnel, { ppks, ike })).toBe(wanted);
  });

  it('is another one for a new config, other post-quantum keys and another daemon', () => {
    const peer = tunnel.peer;
    const withPpk = { ...config, tunnels: [{ ...tunnel, postQuantum: 'ppk' as const }] };
    const digestOf = (secret: string): string => wantedConnectionOf(withPpk, withPpk.tunnels[0]!, { ppks: new Map([[peer, { id: 'ppk-1', secret }]]), ike: null }).loaded.digest;
    expect(digestOf('b25l')).not.toBe(digestOf('dHdv'));
    const preferring = { ...config, tunnels: [{ ...tunnel, postQuantum: 'mlkem-preferred' as const }] };
    const specWith = (mlKem: boolean): unknown => wantedConnectionOf(preferring, preferring.tunnels[0]!, { ppks, ike: { ...ike, mlKem } }).spec.mlKem;
    expect([specWith(false), specWith(true), specWith(false)]).toEqual([undefined, 'preferred', undefined]);
    const slower = { ...config, tunnels: [{ ...tunnel, espRekeyMs: tunnel.espRekeyMs * 2 }] };
    expect(wantedConnectionOf(slower, slower.tunnels[0]!, { ppks, ike }).loaded.digest).not.toBe(wantedConnectionOf(config, tunnel, { ppks, ike }).loaded.digest);
  });

  it('carries IPv6 in every tunnel as soon as one site has it', () => {
    expect(connectionSpecOf(config, tunnel, { ppks, ike }).ipv6).toBeUndefined();
    const [site, ...others] = config.sites;
    const six = { ...config, sites: [{ ...site!, prefixes: [...site!.prefixes, 'fd00:1::/64'] }, ...others] };
    expect(connectionSpecOf(six, tunnel, { ppks, ike }).ipv6).toBe(true);
  });
});
