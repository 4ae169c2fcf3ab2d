import { describe, expect, it } from 'vitest';
import { createInlineForecaster, generateHistory } from '../../src/forecast/index.ts';
import { classId, siteId, type DemandSeries, type ForecastSettings, type Observation } from '../../src/model/index.ts';

const settings: ForecastSettings = { slotMs: 1000, slotsPerDay: 96, horizonSlots: 12, provision: 'p90' };
const endAt = 96_000 * 20_000;
const demand = { from: siteId('paris'), to: siteId('aws-fra'), classId: classId('bulk') };
const steady = generateHistory({ demands: [{ ...demand, baseMbps: 1.5, peakMbps: 1.5 }], slotMs: 1000, slotsPerDay: 96, days: 8, endAt, seed: 'silence', weekendFactor: 1 });

describe('a demand that has ended', () => {
  it.each([
    ['is not forecast once it was silent for a horizon at a time at which it used to be there', seen(20, 0), 0],
    ['is forecast again as soon as something is seen', seen(20, 0, 1.5), 1],
  ])('%s', async (_title, mbps, atLeast) => {
    const peak = await peakAfter(steady, mbps);
    if (atLeast === 0) expect(peak).toBe(0);
    else expect(peak).toBeGreaterThan(0.2);
  });

  it('is still expected when its silence is part of every day', async () => {
    const nightly = steady.map((series) => ({ ...series, mbps: series.mbps.map((_, index) => ((index % 96) + 1 > 76 ? 0 : 1.5)) }));
    expect(await peakAfter(nightly, seen(20, 0))).toBeGreaterThan(0.5);
  });
});

/** The last day as it was, then what was seen since. */
function seen(slots: number, mbps: number, last?: number): number[] {
  const values = Array.from({ length: slots }, () => mbps);
  return last === undefined ? values : [...values.slice(0, -1), last];
}

async function peakAfter(history: DemandSeries[], recent: number[]): Promise<number> {
  const forecaster = await createInlineForecaster({ models: ['seasonal-naive'] });
  const kept = history.map((series) => ({ ...series, mbps: series.mbps.slice(0, -recent.length) }));
  const keptEndAt = endAt - recent.length * settings.slotMs;
  await forecaster.train({ history: kept, settings, endAt: keptEndAt, seed: 'seed' });
  const observation: Observation = { observedAt: endAt, slotMs: 1000, lastSlotEndAt: endAt, demands: [{ ...demand, mbps: [...kept[0]!.mbps.slice(-96), ...recent] }], paths: [], tunnels: [], nodes: [] };
  const forecast = await forecaster.forecast(observation, settings);
  await forecaster.close();
  return Math.max(...forecast.demands[0]!.slots.map(({ p50 }) => p50));
}
