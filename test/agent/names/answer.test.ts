import * as fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { addressesIn } from '../../../agent/names/index.ts';
import { matchesHostName } from '../../../src/model/index.ts';
import { dnsAnswer } from '../../support/dns-message.ts';

describe('an answer', () => {
  it('gives the addresses of what was asked for', () => {
    const message = dnsAnswer('Git.Example.org', [{ address: '10.2.0.9' }, { address: '10.2.0.10', ttl: 60 }]);
    expect(addressesIn(message)).toEqual([
      { names: ['git.example.org'], address: '10.2.0.9', ttlSeconds: 300 },
      { names: ['git.example.org'], address: '10.2.0.10', ttlSeconds: 60 },
    ]);
  });

  it('gives those of its aliases, in whatever order they come, and of no other name', () => {
    const message = dnsAnswer('teams.example', [{ owner: 'b.cdn.example', address: '10.2.0.9' }, { owner: 'a.cdn.example', alias: 'b.cdn.example' }, { alias: 'a.cdn.example' }, { owner: 'bank.example', address: '10.2.0.66' }]);
    expect(addressesIn(message)).toEqual([{ names: ['teams.example', 'a.cdn.example', 'b.cdn.example'], address: '10.2.0.9', ttlSeconds: 300 }]);
  });

  it.each([
    ['a question', dnsAnswer('a.example', [{ address: '10.2.0.9' }], 0x0100)],
    ['an error', dnsAnswer('a.example', [{ address: '10.2.0.9' }], 0x8183)],
    ['a truncated one', dnsAnswer('a.example', [{ address: '10.2.0.9' }], 0x8380)],
    ['an update', dnsAnswer('a.example', [{ address: '10.2.0.9' }], 0xa980)],
    ['nothing', Buffer.alloc(0)],
    ['one byte short', dnsAnswer('a.example', [{ address: '10.2.0.9' }]).subarray(0, -1)],
    ['a name with a dot inside a label', dnsAnswer('a.example', []).fill('.', 13, 14)],
  ])('that is %s gives none', (_what, message) => {
    expect(addressesIn(message)).toEqual([]);
  });

  it('whose aliases go round in a circle ends', () => {
    expect(addressesIn(dnsAnswer('a.example', [{ alias: 'b.example' }, { owner: 'b.example', alias: 'a.example' }]))).toEqual([]);
  });

  it.each([
    ['at itself', 12, 12],
    ['at what comes later', 12, 40],
    ['into the header', 12, 2],
  ])('with a compression pointer %s gives none', (_what, at, target) => {
    const message = Buffer.concat([dnsAnswer('a.example', [{ address: '10.2.0.9' }]), Buffer.alloc(20)]);
    message.writeUInt16BE(0xc000 | target, at);
    expect(addressesIn(message)).toEqual([]);
  });

  it('of any bytes is read to an end, and gives IPv4 addresses only', () => {
    const bytes = fc.uint8Array({ maxLength: 600 });
    const altered = fc.tuple(fc.array(fc.record({ at: fc.nat(200), value: fc.nat(255) }), { maxLength: 12 })).map(([changes]) => {
      const message = dnsAnswer('a.b.example', [{ alias: 'c.example' }, { owner: 'c.example', address: '10.2.0.9' }, { address: '10.2.0.8' }]);
      for (const { at, value } of changes) message[at % message.length] = value;
      return message;
    });
    fc.assert(
      fc.property(fc.oneof(bytes, altered), (message) => {
        for (const { names, address, ttlSeconds } of addressesIn(message)) {
          expect(address).toMatch(/^\d{1,3}(\.\d{1,3}){3}$/);
          expect(names.length).toBeLessThanOrEqual(17);
          expect(ttlSeconds).toBeGreaterThanOrEqual(0);
        }
      }),
      { numRuns: 3000 },
    );
  });

  it('made of nothing but pointers costs little', () => {
    const message = dnsAnswer('a.example', []);
    const long = Buffer.concat([message, Buffer.alloc(4000)]);
    for (let at = message.length; at + 1 < long.length; at += 2) long.writeUInt16BE(0xc000 | Math.max(12, at - 2), at);
    long.writeUInt16BE(65_535, 6);
    expect(addressesIn(long)).toEqual([]);
  });
});

describe('a pattern of host names', () => {
  it.each([
    ['git.example.org', 'git.example.org', true],
    ['git.example.org', 'www.git.example.org', false],
    ['*.teams.example', 'a.teams.example', true],
    ['*.teams.example', 'a.b.teams.example', true],
    ['*.teams.example', 'teams.example', false],
    ['*.teams.example', 'myteams.example', false],
    ['*.teams.example', '.teams.example', false],
  ])('%s and %s: %s', (pattern, name, expected) => {
    expect(matchesHostName(pattern, name)).toBe(expected);
  });
});
