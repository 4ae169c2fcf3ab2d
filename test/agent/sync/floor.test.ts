import { describe, expect, it } from 'vitest';
import { siteId, type CryptoSuite, type NodeConfig } from '../../../src/model/index.ts';
import { floorBreaches } from '../../../agent/sync/index.ts';
import { berlin, configOf, t1, tunnelOf } from '../../support/node-configs.ts';

const current = configOf(berlin, [t1], [[t1]]);
const tunnel = tunnelOf(berlin, t1);

function withEsp(changes: Partial<CryptoSuite>): NodeConfig {
  return { ...current, tunnels: [{ ...tunnel, esp: [{ ...tunnel.esp[0]!, ...changes }] }] };
}

function withIke(changes: Partial<CryptoSuite>): NodeConfig {
  return { ...current, tunnels: [{ ...tunnel, ike: [{ ...tunnel.ike[0]!, ...changes }] }] };
}

describe('the floor of a node', () => {
  it.each([
    { title: 'the config that runs', next: current },
    { title: 'more protected prefixes', next: { ...current, protectedPrefixes: ['10.0.0.0/8', '192.168.0.0/16'] } },
    { title: 'the same protection written as one wider prefix', next: { ...current, protectedPrefixes: ['8.0.0.0/5'] } },
    { title: 'a network added to the site', next: { ...current, lan: { ...current.lan, prefixes: ['10.1.0.0/24', '10.9.0.0/24'] } } },
    { title: 'no tunnels at all', next: { ...current, tunnels: [], steering: [], allow: [] } },
    { title: 'CBC with HMAC', next: withEsp({ encryption: 'aes256cbc', integrity: 'sha256' }) },
    { title: 'ESP without its own key exchange', next: withEsp({ group: 'none' }) },
  ])('lets $title pass', ({ next }) => {
    expect(floorBreaches(next, current)).toEqual([]);
  });

  describe('keeps the management path', () => {
    const within = (prefix: string, changes: Partial<NodeConfig> = {}): NodeConfig => ({ ...current, protectedPrefixes: ['10.0.0.0/8', prefix], ...changes });
    const paris = current.steering[0]!.prefixes[0]!;
    const behindParis = paris.replace(/0\/24$/, '9');
    it.each<{ title: string; next: NodeConfig; engine: string | null; says: string }>([
      { title: 'peers that nothing would reach any more', next: within('100.64.0.0/10'), engine: null, says: `peer ${tunnel.remote.address} would be a protected address` },
      { title: 'an engine on the internet that would be a protected address', next: within('203.0.113.0/24'), engine: '203.0.113.5', says: 'the engine (203.0.113.5) would be a protected address' },
      { title: 'an engine behind a tunnel, with no tunnel left', next: { ...current, tunnels: [], steering: [] }, engine: behindParis, says: `no tunnel would lead to the engine (${behindParis})` },
      { title: 'an engine behind a tunnel, with lanes that lead nowhere', next: { ...current, steering: current.steering.map((entry) => ({ ...entry, lanes: entry.lanes.map((lane) => ({ ...lane, tunnels: [] })) })) }, engine: behindParis, says: 'no tunnel would lead to the engine' },
      { title: 'an engine behind a tunnel, whose site is routed no more', next: { ...current, steering: current.steering.map((entry) => ({ ...entry, prefixes: ['10.77.0.0/24'] })) }, engine: behindParis, says: 'no tunnel would lead to the engine' },
    ])('refuses $title', ({ next, engine, says }) => {
      expect(floorBreaches(next, current, engine).join('; ')).toContain(says);
      expect(floorBreaches(next, null, engine).join('; ')).not.toContain(says); // a fresh node has no way to lose
    });

    it.each<{ title: string; next: NodeConfig; was?: NodeConfig; engine: string | null }>([
      { title: 'an engine past the tunnels, whatever tunnels there are', next: { ...current, tunnels: [], steering: [] }, engine: '203.0.113.5' },
      { title: 'an engine of the site itself', next: { ...current, tunnels: [], steering: [] }, engine: '10.1.0.77' },
      { title: 'an engine that moves behind a tunnel', next: within('203.0.113.0/24', { steering: current.steering.map((entry) => ({ ...entry, prefixes: [...entry.prefixes, '203.0.113.0/24'] })) }), engine: '203.0.113.5' },
      { title: 'an engine that has a name', next: { ...current, tunnels: [], steering: [] }, engine: 'engine.example.net' },
      { title: 'peers that were protected addresses before: a private underlay with routes of its own', was: within('100.64.0.0/10'), next: within('100.64.0.0/10'), engine: null },
    ])('lets pass $title', ({ next, was = current, engine }) => {
      expect(floorBreaches(next, was, engine)).toEqual([]);
    });
  });

  it.each([
    { says: 'uses encryption null', next: withEsp({ encryption: 'null' }) },
    { says: 'uses encryption 3des', next: withIke({ encryption: '3des', integrity: 'sha256' }) },
    { says: 'uses integrity md5', next: withEsp({ encryption: 'aes128cbc', integrity: 'md5' }) },
    { says: 'uses group modp1024', next: withIke({ group: 'modp1024' }) },
    { says: 'no integrity with aes256cbc', next: withEsp({ encryption: 'aes256cbc', integrity: 'none' }) },
    { says: 'no key exchange group', next: withIke({ group: 'none' }) },
    { says: 'names no cipher', next: { ...current, tunnels: [{ ...tunnel, esp: [] }] } },
    { says: 'allow from 0.0.0.0/0', next: { ...current, allow: [{ from: ['0.0.0.0/0'], to: ['10.2.0.0/24'] }] } },
    { says: 'allow to 0.0.0.0/1', next: { ...current, allow: [{ from: ['10.1.0.0/24'], to: ['0.0.0.0/1', '128.0.0.0/1'] }] } },
    { says: 'allow to ::/0', next: { ...current, allow: [{ from: ['10.1.0.0/24'], to: ['::/0'] }] } },
    { says: 'route to paris 0.0.0.0/0', next: { ...current, steering: current.steering.map((entry) => ({ ...entry, prefixes: ['0.0.0.0/0'] })) } },
    { says: 'no prefix is protected', next: { ...current, protectedPrefixes: [] } },
    { says: 'protected prefix 10.0.0.0/8 would no longer be protected', next: { ...current, protectedPrefixes: ['10.2.0.0/16'] } },
    { says: '172.16.9.0/24 is routed into tunnels but not protected', next: { ...current, steering: current.steering.map((entry) => ({ ...entry, prefixes: ['172.16.9.0/24'] })) } },
    { says: 'no network of its own', next: { ...current, lan: { ...current.lan, prefixes: [] } } },
    { says: "own network 10.1.0.0/24 would be gone", next: { ...current, lan: { ...current.lan, prefixes: ['10.77.0.0/24'] } } },
    { says: 'own network 0.0.0.0/0 is wider', next: { ...current, lan: { ...current.lan, prefixes: ['0.0.0.0/0'] } } },
    { says: 'protected prefix 0.0.0.0/0 would cut the gateway off', next: { ...current, protectedPrefixes: ['0.0.0.0/0'] } },
    { says: 'protected prefix ::/3 would cut', next: { ...current, protectedPrefixes: ['10.0.0.0/8', '::/3'] } },
    { says: 'the LAN would lie on an uplink', next: { ...current, lan: { ...current.lan, interface: 'isp1' } } },
    { says: 'which is no uplink of this node', next: { ...current, tunnels: [{ ...tunnel, local: { ...tunnel.local, address: '198.51.100.9' } }] } },
    { says: 'which is no uplink of this node', next: { ...current, tunnels: [{ ...tunnel, local: { ...tunnel.local, interface: 'mgmt0' } }] } },
    { says: 'every uplink would be another interface', next: { ...current, tunnels: [], uplinks: [{ name: 'up1', interface: 'mgmt0', address: '100.64.1.1' }] } },
    { says: 'no uplink', next: { ...current, uplinks: [] } },
    { says: 'every uplink address would change', next: { ...current, uplinks: [{ name: 'up1', interface: 'isp1', address: '203.0.113.1' }] } },
    { says: 'would move from site berlin to oslo', next: { ...current, site: siteId('oslo') } },
  ])('refuses what "$says"', ({ says, next }) => {
    expect(floorBreaches(next, current).join('; ')).toContain(says);
  });

  it('names every breach at once', () => {
    expect(floorBreaches({ ...withEsp({ encryption: 'null', integrity: 'md5' }), protectedPrefixes: [] }, current)).toHaveLength(3);
  });
});
