import { describe, expect, it } from 'vitest';
import { doubtText, quarantineText } from '../../src/cli/trust-words.ts';

const HOUR_MS = 3_600_000;

describe('what an operator reads of reports that are not believed', () => {
  it.each([
    ['offered', /counters of its hosts/],
    ['ends', /tunnels of that gateway/],
    ['drift', /what changed on that gateway/],
  ] as const)('is since when and why, what follows, what to look at (%s), and when it ends', (kind, cure) => {
    const lines = quarantineText({ node: 's0-gw1', since: '2026-01-05T09:00:00.000Z', kind, why: 'it says 9; the others 1', cleanWindows: 3, cleanNeeded: 24 }).split('\n');
    expect(lines[0]).toBe('s0-gw1 is in quarantine since 2026-01-05T09:00:00.000Z: it says 9; the others 1');
    expect(lines[1]).toMatch(/not learned from/);
    expect(lines[1]).toMatch(cure);
    expect(lines[2]).toMatch(/after 24 windows without a contradiction \(3 so far\)/);
  });

  it.each([
    [30 * 60_000, 'the clock of s0-gw1 is 30 min ahead: set it by NTP'],
    [2.5 * HOUR_MS, 'the clock of s0-gw1 is 2.5 h ahead, so that none of its reports counts: set it by NTP'],
    [-2 * HOUR_MS, 'the clock of s0-gw1 is 2.0 h behind, or its reports come late: set it by NTP'],
  ])('is by how much a clock is wrong (%d ms)', (offsetMs, text) => {
    expect(doubtText({ node: 's0-gw1', kind: 'clock', offsetMs })).toBe(text);
  });

  it('is an example of a figure that cannot be', () => {
    expect(doubtText({ node: 's0-gw1', kind: 'figures', samples: 12, example: 's0 to s1: -1 bytes offered' })).toMatch(/^s0-gw1 reported 12 figures that cannot be \(s0 to s1: -1 bytes offered\)/);
  });
});
