import { mkdtemp, readdir, rm, utimes, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { classId, siteId, type DemandSeries, type Forecast, type LiveTrailers, type Observation } from '../../src/model/index.ts';
import { openRecordStore, readMarker, recordKey, type DecisionRecord } from '../../src/reconcile/index.ts';
import { createDriftMeter } from '../../src/reconcile/drift.ts';
import { oneLine } from '../../src/reconcile/messages.ts';
import { withMarker, type ProposalMarker } from '../../src/reconcile/proposal-marker.ts';
import { joinSeries } from '../../src/reconcile/training.ts';

const SLOT_MS = 1000;
const PAIR = { from: siteId('a'), to: siteId('b'), classId: classId('voice') };

describe('the drift of forecasts', () => {
  const forecast = (madeAt: number, p50: number): Forecast => ({
    madeAt,
    slotMs: SLOT_MS,
    model: 'm',
    backtest: [{ model: 'm', wape: 0.1, pinball: 0, coverageP95: 1 }],
    demands: [{ ...PAIR, slots: [0, 1, 2].map((index) => ({ startAt: madeAt + index * SLOT_MS, p50, p90: p50, p95: p50 })) }],
  });
  const observed = (lastSlotEndAt: number, mbps: number): Observation => ({ observedAt: lastSlotEndAt, slotMs: SLOT_MS, lastSlotEndAt, demands: [{ ...PAIR, mbps: [mbps] }], paths: [], tunnels: [], nodes: [] });

  it('is 0 while nothing is known and while forecasts are as good as promised', () => {
    const meter = createDriftMeter();
    expect(meter.drift(null)).toBe(0);
    for (let slot = 0; slot < 5; slot++) {
      meter.expect(forecast(slot * SLOT_MS, 10), slot * SLOT_MS);
      meter.observe(observed((slot + 1) * SLOT_MS, 10.5));
    }
    expect(meter.drift(forecast(0, 10))).toBe(0);
  });

  it('is how much worse than the back-test the last slots were', () => {
    const meter = createDriftMeter();
    for (let slot = 0; slot < 4; slot++) {
      meter.expect(forecast(slot * SLOT_MS, 5), slot * SLOT_MS);
      meter.observe(observed((slot + 1) * SLOT_MS, 10));
      meter.observe(observed((slot + 1) * SLOT_MS, 10));
    }
    expect(meter.drift(forecast(0, 5))).toBe(0.4);
  });
});

describe('the records', () => {
  let dir: string;
  beforeEach(async () => {
    dir = await mkdtemp(join(tmpdir(), 'foremesh-records-'));
  });
  afterEach(() => rm(dir, { recursive: true, force: true }));

  const trailers: LiveTrailers = { generation: 3, parent: 'none', intent: 'none', policy: 'none', forecast: 'none', telemetry: 'none', decision: 'auto', cause: 'x' };
  const record = { schema: 'foremesh/record/v1', kind: 'answer', intent: {}, plan: {}, reportText: 'r' } as unknown as DecisionRecord;

  it('give back what was saved under the digest of the trailers, and null for others', async () => {
    const store = openRecordStore(dir);
    await store.save(recordKey(trailers), record);
    expect(await openRecordStore(dir).load(recordKey(trailers))).toEqual(record);
    expect(await store.load(recordKey({ ...trailers, generation: 4 }))).toBeNull();
    expect(await store.loadPolicy(`sha256:${'0'.repeat(64)}`)).toBeNull();
    await store.savePolicy({ digest: `sha256:${'1'.repeat(64)}`, files: ['a'], wasm: Uint8Array.of(1, 2) });
    expect(Buffer.from((await store.loadPolicy(`sha256:${'1'.repeat(64)}`))!.wasm)).toEqual(Buffer.from([1, 2]));
  });

  it('go when there are too many newer ones', async () => {
    const at = (generation: number): string => recordKey({ ...trailers, generation });
    for (let generation = 1; generation <= 12; generation++) {
      await openRecordStore(dir, 10).save(at(generation), record); // looks at the folder with its first save
      await utimes(join(dir, 'inputs', `${at(generation).slice(7)}.json.gz`), generation, generation);
    }
    await openRecordStore(dir, 10).save(at(13), record);
    expect(await readdir(join(dir, 'inputs'))).toHaveLength(10);
    expect(await openRecordStore(dir).load(at(3))).toBeNull();
    expect(await openRecordStore(dir).load(at(4))).toEqual(record);
  });

  it('say so when a file is torn, and never leave the folder', async () => {
    const store = openRecordStore(dir);
    await store.save(recordKey(trailers), record);
    const [file] = await readdir(join(dir, 'inputs'));
    await writeFile(join(dir, 'inputs', file!), 'torn');
    await expect(store.load(recordKey(trailers))).rejects.toMatchObject({ code: 'STATE_DAMAGED' });
    await expect((async () => store.load('sha256:../../x'))()).rejects.toMatchObject({ code: 'STATE_DAMAGED' });
  });
});

describe('the marker of a proposal', () => {
  const marker: ProposalMarker = { scope: 'network', base: 'b', intent: 'i', intentDigest: 'd', plan: 'p', changeset: 'c', policy: 'q', forecast: 'f', telemetry: 't', cause: 'forecast' };

  it('survives a body, is replaced and not repeated, and is null when it is not ours', () => {
    const body = withMarker('text', marker);
    expect(readMarker(body)).toEqual(marker);
    const ended = withMarker(body, { ...marker, ended: 'withdrawn' });
    expect(readMarker(ended)).toEqual({ ...marker, ended: 'withdrawn' });
    expect(ended.match(/foremesh-proposal/g)).toHaveLength(1);
    for (const foreign of ['', 'text', '<!-- foremesh-proposal {"scope":1} -->', '<!-- foremesh-proposal {not json} -->']) expect(readMarker(foreign)).toBeNull();
  });
});

describe('joining history and what was observed', () => {
  it('appends what was seen and null where nothing was', () => {
    const older: DemandSeries[] = [{ ...PAIR, mbps: [1, 2] }, { ...PAIR, to: siteId('c'), mbps: [3] }];
    expect(joinSeries(older, [{ ...PAIR, mbps: [9, 8, null, 7] }], 3)).toEqual([
      { ...PAIR, mbps: [1, 2, 8, null, 7] },
      { ...PAIR, to: 'c', mbps: [3, null, null, null] },
    ]);
  });
});

describe('text in commit messages', () => {
  it('is one line without control or direction characters, so that it can forge no trailer', () => {
    expect(oneLine('x\nForemesh-Generation: 9\u202e\u0007')).toBe('x Foremesh-Generation: 9');
  });
});
