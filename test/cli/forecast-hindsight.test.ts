import { describe, expect, it } from 'vitest';
import { renderLedger } from '../../src/cli/commands/forecast-ledger.ts';
import { renderScoreboard } from '../../src/cli/commands/forecast-scoreboard.ts';
import { NO_REGRET, pairId, siteId, type LiveScore } from '../../src/model/index.ts';

const score = (model: string, isChampion: boolean, pinball: number): LiveScore => ({ model, isChampion, cells: 960, wape: 0.1234, pinball, pinballP95: 0.0321, coverageP95: 0.951, coverageByVolume: 0.94, bias: -0.02, unmetP95: 0.004 });
const board: Parameters<typeof renderScoreboard>[0] = {
  schema: 'x',
  sinceAt: '2026-11-22T00:00:00.000Z',
  slotMs: 900_000,
  health: { confidence: 0.5, groups: [{ group: 'heavy', state: 'failed', sinceAt: 1, reason: 'it lost to ewma: 30 % more loss over the last day', best: 'ewma', demands: 2, volumeShare: 0.5 }, { group: 'middle', state: 'ok', sinceAt: null, reason: 'nothing unusual', best: 'ewma', demands: 18, volumeShare: 0.5 }] },
  rows: [{ group: 'heavy', step: 12, scores: [score('lstm', true, 0.08), score('ewma', false, 0.06)] }],
  days: [0.02, 0.04, null, 0.08].map((pinball, day) => ({ startAt: `2026-11-2${day}T00:00:00.000Z`, champion: pinball === null ? null : score('lstm', true, pinball), best: score('ewma', false, 0.06) })),
};
/** Without the escapes of colours, as with NO_COLOR. */
// oxlint-disable-next-line no-control-regex -- the escape character is what begins a colour
const plain = (text: string): string => text.replaceAll(/\u001b\[\d+m/g, '');

describe('the scoreboard on a terminal', () => {
  it('shows the state of each group, a drawn history on one scale, and every model', () => {
    const text = plain(renderScoreboard(board));
    expect(text).toContain('confidence 50.0 %');
    expect(text).toMatch(/heavy +failed +2 +50\.0 % +it lost to ewma/);
    expect(text).toContain('champion   ▃▅·█  0.0800 lstm');
    expect(text).toContain('best rule  ▇▇▇▇  0.0600 ewma');
    expect(text).toMatch(/heavy +3h +lstm +12\.3 % +0\.0321 +95\.1 % +94\.0 % +-2\.0 % +0\.4 % +960/);
  });

  it('says when the first score comes instead of showing nothing', () => {
    expect(renderScoreboard({ ...board, rows: [], days: [] })).toContain('no forecast has been scored yet');
  });
});

describe('the ledger on a terminal', () => {
  const entry = { commit: 'a'.repeat(40), generation: 2, decision: 'auto' as const, at: '2026-11-29T09:00:00.000Z', dueAt: '2026-11-29T10:30:00.000Z', kind: 'tunnel-add' as const, fingerprint: 'f', summary: '+ tunnel a~b (strong)', pair: pairId(siteId('a'), siteId('b')), classId: null, path: null, forecast: { model: 'm', p50Mbps: 8, p95Mbps: 10, peakAt: '2026-11-29T09:45:00.000Z' }, meant: 'a>b bulk would have had no way', looks: { before: { count: 0, bad: 0 }, after: { count: 0, bad: 0 } }, addedAgainAt: null, takenBackAt: null, scoredAt: null };

  it('says when, what, on what forecast, why, and what came of it', () => {
    const regret = { ...NO_REGRET, scored: 2, needed: 1, harmful: 1, unknown: 1, recentShareNeeded: 0.5 };
    const text = plain(renderLedger({ schema: 'x', regret, entries: [{ ...entry, score: null, reason: '' }, { ...entry, score: 'harmful', reason: 'a person took it back' }] }));
    expect(text).toContain('30 days: 2 judged, 1 needed, 0 not needed, 1 harmful; of 1 more it is not known; of the newest ones 50 % needed');
    expect(text).toMatch(/2026-11-29 09:00 +\+ tunnel a~b \(strong\) +P50 8 Mbit\/s, P95 10 Mbit\/s at 09:45 +a>b bulk would have had no way +due 2026-11-29 10:30 +- +aaaaaaaaaa/);
    expect(text).toMatch(/harmful +a person took it back +aaaaaaaaaa/);
  });

  it('says so when there is nothing yet', () => expect(renderLedger({ schema: 'x', regret: NO_REGRET, entries: [] })).toBe('no change was made because of a forecast yet'));
});
