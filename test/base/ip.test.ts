import * as fc from 'fast-check';
import ipaddr from 'ipaddr.js';
import { describe, expect, it } from 'vitest';
import { addressAt, hostPrefixOf, isNormalAddress, isPrefix, prefixContains, sharedPrefixes } from '../../src/base/index.ts';
import { overlappingPairs, rangeContains, rangeOfPrefix } from '../../src/intent/ranges.ts';

/** Any IPv6 address that begins like a global or unique local one, in the form the kernel writes. */
const address6 = fc
  .tuple(fc.constantFrom(0x2001, 0xfd00), fc.array(fc.constantFrom(0, 0, 1, 0xffff), { minLength: 7, maxLength: 7 }))
  .map(([first, rest]) => new ipaddr.IPv6([first, ...rest]).toString());
const address4 = fc.array(fc.integer({ min: 1, max: 254 }), { minLength: 4, maxLength: 4 }).map((parts) => parts.join('.'));
const prefix = fc
  .oneof(fc.tuple(address4, fc.integer({ min: 8, max: 32 })), fc.tuple(address6, fc.integer({ min: 16, max: 128 })))
  .map(([address, length]) => `${addressAt(`${address}/${length}`, 0)}/${length}`);

describe('prefixes and addresses', () => {
  it.each(['10.1.0.0/24', 'fd00:1::/64', '2001:db8::1/128', '::/0', 'fe80::ac1e:0/128'])('%s is a prefix', (text) => expect(isPrefix(text)).toBe(true));
  it.each(['10.1.0.1/24', 'fd00:1::1/64', 'FD00::/8', 'fd00:0:0::/48', 'fd00::/129', 'fd00::', 'fe80::1%lan/128'])('%s is none', (text) => expect(isPrefix(text)).toBe(false));
  it.each(['100.64.1.1', 'fd00::1', '2001:db8:0:0:1::'])('%s is written as the kernel does', (text) => expect(isNormalAddress(text)).toBe(true));
  it.each(['2001:DB8::1', 'fd00:0::1', '::ffff:10.0.0.1', '::1', '::', '010.0.0.1', 'fe80::1%lan'])('%s is not', (text) => expect(isNormalAddress(text)).toBe(false));

  it('counts addresses in both families', () => {
    expect(addressAt('172.30.0.0/16', 300)).toBe('172.30.1.44');
    expect(addressAt('10.1.0.1/24', 10)).toBe('10.1.0.10');
    expect(addressAt('fd00:1::/64', 0x1_0010)).toBe('fd00:1::1:10');
    expect(addressAt('fd00:1::1/64', 10)).toBe('fd00:1::a');
  });

  it('every prefix holds its first address, and prefixes of two families never hold each other', () => {
    fc.assert(
      fc.property(prefix, prefix, (one, other) => {
        const [left, right] = [rangeOfPrefix(one)!, rangeOfPrefix(other)!];
        expect(isPrefix(one)).toBe(true);
        expect(rangeContains(left, rangeOfPrefix(hostPrefixOf(addressAt(one, 0)))!)).toBe(true);
        expect(rangeContains(left, right)).toBe(prefixContains(one, other));
        const isShared = rangeContains(left, right) || rangeContains(right, left);
        expect(overlappingPairs([{ range: left }, { range: right }]).length).toBe(isShared ? 1 : 0);
        expect(sharedPrefixes([{ owner: 1, prefix: one }, { owner: 2, prefix: other }]).length).toBe(isShared ? 1 : 0);
      }),
    );
  });
});
