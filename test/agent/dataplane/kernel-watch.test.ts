import { describe, expect, it } from 'vitest';
import { isLoss, isOfInterest } from '../../../agent/dataplane/kernel-watch.ts';

describe('news of the kernel', () => {
  it.each([
    ['a rule that somebody took', 'delete rule inet foremesh forward handle 12', true],
    ['a set that somebody took', 'delete set inet foremesh n_voice__0', true],
    ['somebody else’s element', 'add element inet other blocked { 10.2.0.9 }', true],
    ['an address that was learned', 'add element inet foremesh n_voice__0 { 10.2.0.9 timeout 1m expires 1m }', false],
    ['one that was renewed', 'delete element inet foremesh diverted { 10.2.0.53 timeout 5s expires 4s }', false],
    ['the end of a transaction', '# new generation 4 by process 2851 (nft)', false],
    ['a route', '[ROUTE]10.2.0.0/24 dev t-00000001 table 1001', true],
    ['a host on the LAN', '[NEIGH]10.1.0.10 dev lan lladdr 02:00:00:00:00:01 REACHABLE', false],
    ['a neighbour in a tunnel', '[NEIGH]172.30.0.1 dev t-00000001 lladdr 02:00:00:00:00:01 PERMANENT', true],
    ['nothing', '', false],
  ])('%s: of interest or not', (_what, line, expected) => {
    expect(isOfInterest(line)).toBe(expected);
  });

  it.each([
    ['all our rules', 'delete table inet foremesh', true],
    ['our helper table, which every new ruleset replaces', 'delete table ip foremesh', false],
    ['somebody else’s table', 'delete table inet foremesh2', false],
    ['one rule', 'delete rule inet foremesh forward handle 12', false],
  ])('%s went: a loss or not', (_what, line, expected) => {
    expect(isLoss(line)).toBe(expected);
  });
});
