import { describe, expect, it } from 'vitest';
import { growthOf, growthTable, sizes } from '../../src/cli/commands/bench-planner-growth.ts';

describe('bench planner --sites', () => {
  it('says how much each figure grows for every doubling of the sites', () => {
    const rows = growthOf([40, 10], 'x', ({ sites: { length: count } }) => ({ seconds: count, warmSeconds: count ** 2, repairMs: 1, backSeconds: count, replanSeconds: 0, provenGapPct: 0, peakMemoryMb: 100 }));
    expect(rows.map(({ sites, perDoubling }) => [sites, perDoubling === null])).toEqual([[10, true], [40, false]]);
    expect(rows[1]!.perDoubling).toMatchObject({ seconds: 2, warmSeconds: 4, repairMs: 1, backSeconds: 2, replanSeconds: 1, peakMemoryMb: 1 });
    expect(growthTable(rows)).toMatch(/40 .* 40 \(×2\.0\) .* 1600 \(×4\.0\)/);
  });

  it.each(['', '1', '10,x', '10,10', '5000', '10.5'])('refuses %j as sizes', (text) => {
    expect(() => sizes(text)).toThrow(/numbers of sites/);
  });
});
