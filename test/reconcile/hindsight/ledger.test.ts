import { rm } from 'node:fs/promises';
import { join } from 'node:path';
import { afterEach, describe, expect, it } from 'vitest';
import { classId, nodeId, siteId, type ChangeScore, type TrafficSample } from '../../../src/model/index.ts';
import { saveState } from '../../../src/reconcile/hindsight/state-file.ts';
import type { Engine } from '../../../src/reconcile/index.ts';
import { createTestMesh, HOUR_MS, SHOP_TO_PARIS, withRoomAtTheShop, type TestMesh } from '../support.ts';

const SLOT_MS = 900_000;
let sequence = 0;

/** Lets slots go by in which the shop sends so much business traffic to Paris, and everybody else nothing. */
async function live(mesh: TestMesh, slots: number, mbps: number): Promise<void> {
  for (let slot = 0; slot < slots; slot++) {
    await mesh.clock.advance(SLOT_MS);
    const sampledAt = mesh.clock.now();
    const sample = (node: string, from: string, to: string, rate: number): TrafficSample => ({ kind: 'traffic', sampledAt, windowMs: SLOT_MS, node: nodeId(node), from: siteId(from), to: siteId(to), classId: classId('business'), offeredBytes: (rate * SLOT_MS * 1000) / 8, offeredPackets: 1, droppedBytes: 0 });
    sequence++;
    await mesh.store.append(nodeId('hamburg-gw1'), sequence, [sample('hamburg-gw1', 'hamburg', 'paris', mbps)]);
    await mesh.store.append(nodeId('paris-gw1'), sequence, [sample('paris-gw1', 'paris', 'hamburg', 0.01)]);
  }
}

const scoresOf = (engine: Engine): string[] => engine.ledger().entries.map(({ kind, score }) => `${kind} ${score}`);

describe('the ledger of an engine', () => {
  let mesh: TestMesh;
  afterEach(() => mesh.close());

  it('judges a forecast that came true as needed and one that did not as not needed, and finds both again without its file', async () => {
    mesh = await createTestMesh(withRoomAtTheShop);
    const engine = await mesh.engine();
    await engine.cycle();
    mesh.demand.set(SHOP_TO_PARIS, 10);
    expect(await engine.cycle()).toMatchObject({ kind: 'commit', commit: { generation: 2 } });
    await engine.cycle();
    const [entry] = engine.ledger().entries.filter(({ kind }) => kind === 'tunnel-add');
    expect(entry).toMatchObject({ score: null, pair: 'hamburg>paris', decision: 'auto', forecast: { model: 'fixed', p95Mbps: 10 }, dueAt: mesh.clock.now() + 6 * SLOT_MS });
    // the reserve that came along, and ways of classes that nobody asked for, are no forecast's doing
    expect(engine.ledger().entries.map(({ kind, classId: name }) => `${kind} ${name}`).sort()).toEqual(['reroute business', 'tunnel-add null']);
    expect(engine.ledger().regret).toMatchObject({ scored: 0 });

    await live(mesh, 7, 10);
    await engine.cycle();
    expect(engine.ledger().entries.find(({ fingerprint }) => fingerprint === entry!.fingerprint)).toMatchObject({ score: 'needed', reason: expect.stringContaining('without it') as string });
    expect(engine.view().forecastRegret.byKind['tunnel-add']).toMatchObject({ scored: 1, needed: 1 });
    expect(engine.view().report?.forecastNotes?.join()).toMatch(/^Of \d+ forecast-driven changes? judged in 30 days/);

    const kept = scoresOf(engine);
    await engine.close();
    const restarted = await mesh.engine();
    await restarted.cycle();
    expect(scoresOf(restarted)).toEqual(kept);
    await restarted.close();
    await rm(join(mesh.stateDir, 'regret.json.gz'));
    const rebuilt = await mesh.engine();
    await rebuilt.cycle();
    expect(scoresOf(rebuilt)).toEqual(kept);

    // the tunnel goes when it is idle, and nobody misses it; a second one comes for nothing
    mesh.demand.clear();
    await live(mesh, 4, 0);
    expect(await rebuilt.cycle()).toMatchObject({ kind: 'commit', commit: { trailers: { cause: expect.stringMatching(/^idle/) as string } } });
    await live(mesh, 19, 0);
    await rebuilt.cycle();
    expect(rebuilt.ledger().entries.filter(({ kind }) => kind === 'tunnel-remove').map(({ score }) => score)).toEqual(expect.arrayContaining(['needed']));
    mesh.demand.set(SHOP_TO_PARIS, 10);
    expect(await rebuilt.cycle()).toMatchObject({ kind: 'commit' });
    await live(mesh, 7, 0.01);
    await rebuilt.cycle();
    expect(rebuilt.ledger().entries.filter(({ kind }) => kind === 'tunnel-add').map(({ score }) => score)).toEqual(['not-needed', 'needed']);
    // what the report says of the past is an input of the decision like any other
    const { sha } = (await mesh.history()).at(-1)!;
    expect((await mesh.repository.readFile(sha, 'plan/report.md'))!).toMatch(/^- Of \d+ forecast-driven changes judged in 30 days/m);
    expect(await rebuilt.replay(sha)).toMatchObject({ same: true });
  });

  it('judges what a person reverts as harmful, at once', async () => {
    mesh = await createTestMesh(withRoomAtTheShop);
    const engine = await mesh.engine();
    await engine.cycle();
    mesh.demand.set(SHOP_TO_PARIS, 10);
    await engine.cycle();
    await engine.cycle();
    await mesh.git('fetch', '--quiet', 'origin');
    await mesh.git('checkout', '--quiet', '-B', 'undo', 'origin/mesh/live');
    await mesh.git('revert', '--no-edit', 'HEAD');
    await mesh.git('push', '--quiet', 'origin', 'HEAD:mesh/live');
    await mesh.clock.advance(HOUR_MS / 60);
    await engine.cycle();
    await engine.cycle();
    const scores = engine.ledger().entries.filter(({ generation }) => generation === 2);
    expect(scores.length).toBeGreaterThan(0);
    expect(scores.find(({ kind }) => kind === 'tunnel-add')).toMatchObject({ score: 'harmful', reason: expect.stringContaining('a person took it back') as string });
  });

  it('asks a person for the next change when earlier ones did harm', async () => {
    mesh = await createTestMesh(withRoomAtTheShop);
    const scores: ChangeScore[] = ['needed', 'harmful', 'needed', 'harmful', 'needed'];
    const entries = scores.map((score, index) => ({ commit: String(index).repeat(40), generation: 1, at: mesh.clock.now() - (index + 1) * HOUR_MS, dueAt: 0, kind: 'reroute', fingerprint: `f${index}`, path: null, ways: [], takenBackAt: null, score, reason: 'x' }));
    await saveState(join(mesh.stateDir, 'regret.json.gz'), { schema: 'foremesh/regret/v1', lastCommit: null, entries } as { schema: string });
    const engine = await mesh.engine();
    await engine.cycle();
    await engine.cycle();
    mesh.demand.set(SHOP_TO_PARIS, 10);
    expect(await engine.cycle()).toMatchObject({ kind: 'proposal' });
    expect(engine.view().lastDecision?.verdict.reasons.map(({ code, message }) => `${code} ${message}`)).toEqual(expect.arrayContaining(['CHANGE_REGRET of 5 forecast-driven changes in 30 days 3 were needed and 2 did harm']));
  });
});
