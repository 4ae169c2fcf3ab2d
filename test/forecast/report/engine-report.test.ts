import { describe, expect, it } from 'vitest';
import { renderEngineReport, type EngineReportInputs } from '../../../src/forecast/index.ts';
import { classId, pairId, siteId, type LiveScore } from '../../../src/model/index.ts';

const at = Date.parse('2026-11-29T12:00:00Z');
const hourMs = 3_600_000;
const score = (model: string, more: Partial<LiveScore> = {}): LiveScore => ({ model, isChampion: false, cells: 500, wape: 0.2, pinball: 0.05, pinballP95: 0.03, coverageP95: 0.95, coverageByVolume: 0.94, bias: 0, unmetP95: 0.01, ...more });
const inputs: EngineReportInputs = {
  mesh: 'example',
  askedAt: at,
  model: 'boosted',
  training: 'ready: trained',
  backtest: [{ model: 'boosted', wape: 0.15, pinball: 0.05, coverageP95: 0.95 }, { model: 'persistence', wape: 0.2, pinball: 0.07, coverageP95: 0.94 }],
  serving: [{ group: 'heavy', pairs: 3, fromStep: 1, toStep: 4, model: 'boosted', wape: 0.15, rival: { model: 'persistence', wape: 0.2 }, why: 'least loss' }],
  board: {
    sinceAt: at - 720 * hourMs,
    slotMs: hourMs / 4,
    health: { confidence: 0.9, groups: [{ group: 'heavy', state: 'drifting', sinceAt: at, reason: 'worse than promised', best: 'ewma', demands: 3, volumeShare: 0.8 }] },
    rows: [{ group: 'heavy', step: 4, scores: [score('boosted', { isChampion: true, coverageP95: 0.88, bias: 0.2 }), score('ewma', { pinball: 0.04 })] }],
    days: [0, 1, 2].map((day) => ({ startAt: at - (3 - day) * 24 * hourMs, champion: score('boosted', { isChampion: true, pinball: 0.05 + day / 100 }), best: score('ewma', { pinball: 0.06 }) })),
  },
  explanations: [{ pair: pairId(siteId('berlin'), siteId('paris')), classId: classId('voice'), slotMs: hourMs / 4, slots: [{ startAt: at, p50: 2, p90: 3, p95: 4 }], past: [0, 1, 2, 3].map((slot) => ({ startAt: at - (4 - slot) * (hourMs / 4), mbps: slot === 1 ? null : 2, p50: slot < 2 ? null : 2, p95: slot < 2 ? null : 3 })), words: ['Expected 2 Mbit/s.'] }],
};

describe('the report of an engine', () => {
  const page = renderEngineReport(inputs);

  it('has its parts in order, without script, network or numbers that are none', () => {
    expect([...page.matchAll(/<section id="([^"]+)">/g)].map(([, id]) => id)).toEqual(['summary', 'models', 'serving', 'live', 'time', 'demands', 'weaknesses']);
    expect(page).not.toMatch(/<script|<link|<img|https?:| style="|NaN|undefined|Infinity|\[object/i);
  });

  it('says in short which model is in use, what it is compared with, and who drifts', () => {
    expect(page).toContain('boosted makes most of the forecast: off by 15 % in the back-test, 25 % below persistence; its P95 held in 95 % of cases.');
    expect(page).toContain('Forecasts of heavy demands: drifting. worse than promised.');
  });

  it('finds what speaks against the model in use', () => {
    const told = page.slice(page.indexOf('<section id="weaknesses">'));
    for (const line of ['For heavy demands 1h ahead ewma did better lately.', 'P95 of heavy demands 1h ahead held in only 88 % of cases.', 'too high by 20 % in sum']) expect(told).toContain(line);
  });

  it('draws the band in pieces where nothing was forecast', () => {
    expect(page.match(/<polygon class="band"/g)).toHaveLength(1);
    expect(page.match(/class="line actual" d="[^"]*M[^"]*M/g)).toHaveLength(1); // the gap in what was measured
  });

  it('is made of an engine that knows nothing yet, and of hostile words', () => {
    const empty = renderEngineReport({ ...inputs, mesh: '<script>alert(1)</script>', model: null, backtest: [], serving: [], board: { ...inputs.board, rows: [], days: [] }, explanations: [] });
    expect(empty).not.toMatch(/<script|NaN|undefined|Infinity/);
    expect(empty).toContain('&lt;script&gt;');
  });
});
