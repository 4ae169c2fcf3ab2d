import * as fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { drawForecast, type ChartData } from '../../src/cli/forecast-chart.ts';

const slotMs = 900_000;
const now = Date.parse('2026-11-30T09:00:00Z');
const data = (past: (number | null)[], slots: [number, number][], events: [string, number, number][] = []): ChartData => ({
  slotMs,
  past: past.map((mbps, index) => ({ startAt: now - (past.length - index) * slotMs, mbps })),
  slots: slots.map(([p50, p95], index) => ({ startAt: now + index * slotMs, p50, p95 })),
  events: events.map(([event, from, to]) => ({ event, startAt: now + from * slotMs, endAt: now + to * slotMs })),
});
// eslint-disable-next-line no-control-regex
const plain = (text: string): string => text.replaceAll(/\u001b\[\d+m/g, '');

describe('the chart of a forecast', () => {
  it('shows what was measured, a gap, the forecast, its band and an event, in plain ASCII', () => {
    const past = [2, 2, 2, 2, 4, 4, null, null, 4, 4, 2, 2];
    const text = plain(drawForecast(data(past, [[4, 6], [4, 6], [8, 12], [8, 12]], [['launch', 2, 4]]), { width: 60, height: 6, isBraille: false }));
    expect(`\n${text}\n`).toMatchInlineSnapshot(`
      "
       15|
         |                                                 ::::::
      7.5|                                               ::oooooo
         |                                         ::::::ooo
         |*********************      **************ooooooo
        0|
                                                   launch =======
          Mon 06:00                                Mon 09:00 UTC
          ** measured  oo P50  :: up to P95  Mbit/s
      "
    `);
  });

  it('draws the same with dots', () => {
    const text = plain(drawForecast(data([2, 2, 4, 4, 8, 8], [[8, 12], [4, 8]]), { width: 50, height: 4, isBraille: true }));
    expect(`\n${text}\n`).toMatchInlineSnapshot(`
      "
       15│                                  ⣀⣀⣀⡀
      7.5│                        ⢀⣀⣀⣀⣀⣀⣀⣀⣀⣀⣕⣕⣕⣝⢕⢖⢤⢄⣀⣀⣀
         │            ⢀⣀⣀⣀⣀⣀⣀⣀⣠⠤⠖⠋⠉            ⠈⠙⠓⠷⢵⣕⣕⣕
        0│⠒⠒⠒⠒⠒⠒⠒⠒⠒⠒⠋⠉⠉
          Mon 07:30                       Mon 09:00 UTC
          ⣀⡠ measured  ⠤⠤ P50  ⢕⢕ up to P95  Mbit/s
      "
    `);
  });

  it('keeps to the width of the terminal, whatever comes', () => {
    const value = fc.double({ min: 0, max: 1e6, noNaN: true });
    fc.assert(
      fc.property(fc.array(fc.option(value), { maxLength: 120 }), fc.array(fc.tuple(value, value), { minLength: 1, maxLength: 96 }), fc.integer({ min: 40, max: 160 }), fc.boolean(), fc.array(fc.tuple(fc.constantFrom('backup', 'a-very-long-name-of-some-planned-event-x'), fc.integer({ min: -130, max: 100 }), fc.integer({ min: 1, max: 50 })), { maxLength: 3 }), (past, slots, width, isBraille, events) => {
        const chart = drawForecast(data(past, slots.map(([p50, more]) => [p50, p50 + more]), events.map(([name, from, length]) => [name, from, from + length])), { width, height: 10, isBraille });
        for (const line of plain(chart).split('\n')) expect(line.length).toBeLessThanOrEqual(width);
        expect(chart).not.toMatch(/NaN|undefined|Infinity/);
      }),
      { numRuns: 60 },
    );
  });
});
