import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, it } from 'vitest';
import { nodeId, siteId, type TunnelId } from '../../src/model/index.ts';
import { openDuckDbStore } from '../../src/telemetry/index.ts';
import { BULK, START, traffic, tunnel } from './samples.ts';

const NODES = 20;
const SLOT_MS = 60_000;
const SLOTS = 200;

it('answers 20 pairs × 200 slots in milliseconds, and stores the batches of 20 nodes in one go', async () => {
  const folder = await mkdtemp(join(tmpdir(), 'foremesh-speed-'));
  const store = await openDuckDbStore(join(folder, 'telemetry.duckdb'));
  const nodes = Array.from({ length: NODES }, (_, index) => ({ node: nodeId(`gw-${index}`), from: siteId(`site-${index}`), to: siteId(`site-${(index + 1) % NODES}`) }));
  const appendMs: number[] = [];
  for (let round = 1; round <= SLOTS; round++) {
    const startedAt = performance.now();
    await Promise.all(
      nodes.map(({ node, from, to }) =>
        store.append(node, round, [
          ...[1, 2, 3, 4, 5, 6].map((part) => traffic(START + (round - 1) * SLOT_MS + part * 10_000, 125_000, { node, from, to })),
          tunnel(START + round * SLOT_MS, 5000, 5000, { node, tunnel: `t-${node}` as TunnelId }),
        ]),
      ),
    );
    appendMs.push(performance.now() - startedAt);
  }
  const query = { now: START + SLOTS * SLOT_MS, slotMs: SLOT_MS, slots: SLOTS, pairs: nodes.map(({ from, to }) => ({ from, to, classId: BULK })) };
  const firstAt = performance.now();
  await store.observe(query, []);
  const firstMs = performance.now() - firstAt;
  const observeMs: number[] = [];
  for (let round = 0; round < 50; round++) {
    const startedAt = performance.now();
    const observation = await store.observe(query, []);
    observeMs.push(performance.now() - startedAt);
    expect(observation.demands[7]!.mbps).toEqual(Array.from({ length: SLOTS }, () => 0.1));
  }
  await store.close();
  await rm(folder, { recursive: true });
  console.log(`telemetry: append of 20 batches ${median(appendMs).toFixed(1)} ms; observe 20 × 200: first ${firstMs.toFixed(1)} ms, then ${median(observeMs).toFixed(2)} ms`);
  expect(median(observeMs)).toBeLessThan(20);
});

function median(values: readonly number[]): number {
  return values.toSorted((left, right) => left - right)[values.length >> 1]!;
}
