import { createRng } from '../../../src/base/index.ts';
import type { DemandMatrix } from '../../../src/forecast/index.ts';
import type { Topology } from '../../../src/reconcile/foresight/topology.ts';

export const THREE_CITIES: Topology = { nodes: new Map([['berlin', { lat: 52.5, lon: 13.4 }], ['madrid', { lat: 40.4, lon: -3.7 }], ['oslo', { lat: 59.9, lon: 10.8 }]]) };

/** Demand of all ordered pairs of these ends: a working day, noise, and now and then a burst. 5 minutes a slot. */
export function demandTable(ends: readonly string[], slots: number, seed: string, stepMs = 300_000): DemandMatrix {
  const pairs = ends.flatMap((from) => ends.filter((to) => to !== from).map((to) => `${from}>${to}`));
  const slotsPerDay = 86_400_000 / stepMs;
  const values = pairs.map((pair, index) => {
    const rng = createRng(`${seed}/${pair}`);
    let burst = 0;
    return Float32Array.from({ length: slots }, (_, slot) => {
      if (burst > 0) burst -= 1;
      else if (rng.next() < 0.004) burst = 1 + rng.integer(10);
      const day = 1 + 0.8 * Math.sin((2 * Math.PI * slot) / slotsPerDay);
      return (10 + 10 * index) * day * Math.exp(0.15 * rng.gaussian()) * (burst > 0 ? 2 : 1);
    });
  });
  return tableOf(pairs, values, stepMs);
}

export function tableOf(pairs: string[], values: Float32Array[], stepMs = 300_000): DemandMatrix {
  const { length } = values[0]!;
  return { pairs, startAt: 0, stepMs, slotsPerDay: 86_400_000 / stepMs, length, values, rowSlots: Int32Array.from({ length }, (_, slot) => slot) };
}
