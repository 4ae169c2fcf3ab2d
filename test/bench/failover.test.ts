import { describe, expect, it } from 'vitest';
import { countFalseFailovers } from '../../src/lab/bench/false-failovers.ts';
import { spreadOf } from '../../src/lab/bench/statistics.ts';

describe('the fail-over bench', () => {
  it('gives nearest-rank percentiles, and nulls for nothing', () => {
    const hundred = Array.from({ length: 100 }, (_each, index) => 100 - index);
    expect(spreadOf(hundred)).toEqual({ p50: 50, p90: 90, p99: 99, max: 100 });
    expect(spreadOf([7])).toEqual({ p50: 7, p90: 7, p99: 7, max: 7 });
    expect(spreadOf([])).toEqual({ p50: null, p90: null, p99: null, max: null });
  });

  it('counts verdicts on a lossy path, none on a clean one, and the same ones for the same seed', async () => {
    const settings = { intervalMs: 50, downAfter: 3, holdDownMs: 1000, holdDownMaxMs: 1000 };
    expect(await countFalseFailovers(settings, 0, 0.1, 'a')).toBe(0);
    const lossy = await countFalseFailovers(settings, 0.3, 0.1, 'a');
    expect(lossy).toBeGreaterThan(10);
    expect(await countFalseFailovers(settings, 0.3, 0.1, 'a')).toBe(lossy);
  });
});
