import * as fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { contradictions } from '../../../agent/sync/contradictions.ts';
import { prefixesOverlap, sharedPrefixes } from '../../../src/base/index.ts';
import { siteId } from '../../../src/model/index.ts';
import { berlin, configOf, t1, t2, tunnelOf } from '../../support/node-configs.ts';

const good = configOf(berlin, [t1, t2], [[t1], [t2]]);

describe('a config that contradicts itself', () => {
  it.each([
    ['a site inside another', { sites: [...good.sites, { id: siteId('rome'), prefixes: ['10.2.0.128/25'] }] }, 'sites paris and rome share addresses of 10.2.0.128/25'],
    ['a site around others', { sites: [...good.sites, { id: siteId('rome'), prefixes: ['10.0.0.0/8'] }] }, 'sites rome and berlin share addresses of 10.1.0.0/24'],
    ['one tunnel twice', { tunnels: [tunnelOf(berlin, t1), tunnelOf(berlin, t1)] }, `tunnel ${t1} is there twice`],
    ['one overlay address for two tunnels', { tunnels: [tunnelOf(berlin, t1), { ...tunnelOf(berlin, t2), local: tunnelOf(berlin, t1).local }] }, 'overlay address 10.255.1.1 is there twice'],
    ['one lane to two places', { steering: [...good.steering, { ...good.steering[0]!, prefixes: ['10.3.0.0/24'] }] }, /^lane \d+ has two meanings$/],
  ])('is named: %s', (_, change, expected) => {
    expect(contradictions({ ...good, ...change })[0]).toMatch(expected);
  });

  it('is not one with an address family of its own, a site with two prefixes, or two classes on one lane', () => {
    const sites = [...good.sites, { id: siteId('rome'), prefixes: ['10.3.0.0/24', '10.3.1.0/24', 'fd00::/64'] }];
    expect(contradictions({ ...good, sites, steering: [...good.steering, good.steering[0]!] })).toEqual([]);
  });
});

it('prefixes share addresses exactly when some two of them overlap', () => {
  const prefix = fc.tuple(fc.constantFrom(8, 12, 16, 24), fc.nat(3), fc.nat(3)).map(([length, a, b]) => (length === 8 ? `${a}.0.0.0/8` : length === 12 ? `${a}.${b * 16}.0.0/12` : length === 16 ? `${a}.${b}.0.0/16` : `${a}.${b}.1.0/24`));
  fc.assert(
    fc.property(fc.array(prefix, { maxLength: 7 }), (prefixes) => {
      const isShared = prefixes.some((one, index) => prefixes.slice(index + 1).some((other) => prefixesOverlap([one], [other])));
      expect(sharedPrefixes(prefixes.map((one, owner) => ({ owner, prefix: one }))).length > 0).toBe(isShared);
    }),
  );
});
