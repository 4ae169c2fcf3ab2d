import { afterEach, describe, expect, it } from 'vitest';
import type { NodeId } from '../../src/model/index.ts';
import { createTestMesh, exampleFile, HOUR_MS, path, REVIEWER, SHOP_TO_PARIS, START_AT, type TestMesh, withRoomAtTheShop } from './support.ts';

describe('a proposal', () => {
  let mesh: TestMesh;
  afterEach(() => mesh.close());

  /** Nothing is small in this mesh once the first plan is made. */
  const nothingSmall = (file: string, text: string): string => (file === 'mesh-config/mesh.yaml' ? text.replace('tunnelsMax: 4', 'tunnelsMax: 0') : text);

  async function withProposal(): Promise<{ engine: Awaited<ReturnType<TestMesh['engine']>>; id: number }> {
    mesh = await createTestMesh(nothingSmall);
    const engine = await mesh.engine();
    await engine.cycle();
    mesh.demand.set(SHOP_TO_PARIS, 10);
    const result = await engine.cycle();
    expect(result).toMatchObject({ kind: 'proposal' });
    return { engine, id: (result as { proposal: number }).proposal };
  }

  it('is opened for a large change, once, and shows diff and reasons', async () => {
    const { engine, id } = await withProposal();
    await mesh.clock.advance(60_000);
    expect(await engine.cycle()).toEqual({ kind: 'proposal', proposal: id });
    expect(await engine.proposals('all')).toHaveLength(1);
    const detail = await engine.proposal(id);
    expect(detail).toMatchObject({ state: 'open', scope: 'network', cause: 'forecast', verdict: { decision: 'needsApproval' } });
    expect(detail.verdict?.reasons.map(({ code }) => code)).toContain('CHANGE_TUNNELS');
    expect(detail.diff).toContain('+++ b/plan/mesh.yaml');
    expect(detail.body).toContain('### Changes');
    expect(await mesh.history()).toHaveLength(1);
    const head = (await mesh.repository.log({ from: null, to: detail.headSha }))[0]!;
    expect(head.trailers).toBeNull();
  });

  it('is applied as it was seen after an approval on its head, as one reviewed commit', async () => {
    const { engine, id } = await withProposal();
    const { headSha } = await engine.proposal(id);
    await mesh.review(id, 'approve');
    expect(await engine.cycle()).toMatchObject({ kind: 'commit', commit: { generation: 2, trailers: { decision: 'reviewed' } } });
    const history = await mesh.history();
    expect(history).toHaveLength(2);
    expect(history[1]).toMatchObject({ generation: 2, decision: 'reviewed', parents: [history[0]!.sha, headSha] });
    expect(history[1]!.cause).toContain(`approved by ${REVIEWER}`);
    expect(await engine.proposal(id)).toMatchObject({ state: 'merged', ended: 'applied', mergeSha: history[1]!.sha });
    expect(await mesh.repository.resolve('mesh/plan/network')).toBeNull();
    expect(await engine.cycle()).toEqual({ kind: 'none' });
  });

  it('stays away after a person blocked it, until the question changes', async () => {
    const { engine, id } = await withProposal();
    await mesh.review(id, 'block');
    expect(await engine.cycle()).toEqual({ kind: 'proposal', proposal: null });
    expect(await engine.proposal(id)).toMatchObject({ state: 'closed', ended: 'rejected' });
    const fresh = await mesh.engine();
    expect(await fresh.cycle()).toEqual({ kind: 'proposal', proposal: null });
    expect(await fresh.proposals('open')).toEqual([]);
    mesh.demand.set('azure-weu>paris#business', 10);
    expect(await fresh.cycle()).toMatchObject({ kind: 'proposal', proposal: id + 1 });
  });

  it('stays away after a person closed it at the forge', async () => {
    const { engine, id } = await withProposal();
    await mesh.forge.edit(id, { state: 'closed', by: 'alice' });
    expect(await engine.cycle()).toEqual({ kind: 'proposal', proposal: null });
    expect(await engine.proposals('open')).toEqual([]);
  });

  it('is withdrawn when it is no longer needed, and can come again', async () => {
    const { engine, id } = await withProposal();
    mesh.demand.clear();
    expect(await engine.cycle()).toEqual({ kind: 'none' });
    expect(await engine.proposal(id)).toMatchObject({ state: 'closed', ended: 'withdrawn' });
    mesh.demand.set(SHOP_TO_PARIS, 10);
    expect(await engine.cycle()).toEqual({ kind: 'proposal', proposal: id + 1 });
  });

  it('is left alone once a person has pushed to its branch', async () => {
    const { engine, id } = await withProposal();
    await mesh.git('fetch', '--quiet', 'origin');
    await mesh.git('checkout', '--quiet', '-B', 'mine', 'origin/mesh/plan/network');
    await mesh.git('commit', '--quiet', '--allow-empty', '-m', 'my way');
    await mesh.git('push', '--quiet', 'origin', 'mine:mesh/plan/network');
    const head = (await mesh.git('rev-parse', 'HEAD')).trim();
    mesh.demand.set('azure-weu>paris#business', 10);
    expect(await engine.cycle()).toEqual({ kind: 'proposal', proposal: id });
    mesh.demand.clear();
    await engine.cycle();
    expect((await mesh.forge.get(id)).headSha).toBe(head);
    expect((await mesh.forge.get(id)).state).toBe('open');
    expect((await mesh.forge.record(id)).notes['edited']?.markdown).toContain('leaves it alone');
  });

  it('is made again on the newest plan when it is approved after mesh/live has moved', async () => {
    const { engine, id } = await withProposal();
    const wish = engine.setOverride({ what: { kind: 'avoid-path', path: path('aws-fra-gw1/eip-a', 'berlin-gw1/cable') }, until: START_AT + HOUR_MS, why: 'test', by: 'alice' });
    await engine.cycle();
    expect(await wish).toMatchObject({ ok: true, generation: 2 });
    expect(engine.view().tunnels.map((tunnel) => tunnel.path)).not.toContain(path('hamburg-gw1/dsl', 'paris-gw1/fibre'));
    await mesh.review(id, 'approve');
    expect(await engine.cycle()).toMatchObject({ kind: 'commit', commit: { generation: 3, trailers: { decision: 'reviewed' } } });
    expect(engine.view().overrides).toHaveLength(1);
    expect(await engine.proposal(id)).toMatchObject({ state: 'merged', ended: 'applied' });
  });

  it('of the first plan starts from an empty plan, when even that needs a person', async () => {
    mesh = await createTestMesh((file, text) => (file === 'policies/change/rule.rego' ? text.replace('is_first if input.cause == "initial"', 'is_first if input.cause == "never"') : text));
    const engine = await mesh.engine();
    expect(await engine.cycle()).toMatchObject({ kind: 'proposal', proposal: 1 });
    expect(await mesh.history()).toMatchObject([{ generation: 1, decision: 'auto' }]);
    expect(engine.view().tunnels).toEqual([]);
    expect(await engine.proposals('open')).toMatchObject([{ scope: 'initial' }]);
    await mesh.review(1, 'approve');
    expect(await engine.cycle()).toMatchObject({ kind: 'commit', commit: { generation: 2, trailers: { decision: 'reviewed' } } });
    expect(engine.view().tunnels.length).toBeGreaterThan(3);
    expect(await engine.cycle()).toEqual({ kind: 'none' });
  });

  it('that waits holds up neither a failure nor an idle tunnel elsewhere', async () => {
    mesh = await createTestMesh((file, text) => (file === 'mesh-config/mesh.yaml' ? text.replace('tunnelsMax: 4', 'tunnelsMax: 1') : text));
    const engine = await mesh.engine();
    await engine.cycle();
    for (const demand of [SHOP_TO_PARIS, 'azure-weu>paris#business', 'aws-fra>paris#business']) mesh.demand.set(demand, 10);
    expect(await engine.cycle()).toMatchObject({ kind: 'proposal' });
    const waiting = (await engine.proposals('open'))[0]!;
    const down = engine.view().tunnels.find((tunnel) => tunnel.path === path('berlin-gw1/fibre', 'paris-gw1/fibre'))!;
    await mesh.clock.advance(1000);
    mesh.hub.emit('berlin-gw1' as NodeId, { kind: 'path-down', tunnel: down.tunnel, at: mesh.clock.now(), lanesSwitched: 1 });
    await engine.cycle('failure');
    const history = await mesh.history();
    expect(history).toHaveLength(2);
    expect(history[1]).toMatchObject({ decision: 'auto' });
    expect(history[1]!.cause).toContain('failure');
    expect((await engine.proposals('open')).map(({ id }) => id)).toEqual([waiting.id]);
  });

  it('about the intent waits while small changes under the applied intent go on', async () => {
    mesh = await createTestMesh((file, text) => (file === 'mesh-config/mesh.yaml' ? text.replace('tunnelsMax: 4', 'tunnelsMax: 1') : withRoomAtTheShop(file, text)));
    const engine = await mesh.engine();
    await engine.cycle();
    const mesh1 = (await exampleFile('mesh-config/connections.yaml')).replace('between: [berlin, hamburg]\nmode: always', 'between: [berlin, hamburg]\nmode: always\nsecurityProfile: strong');
    const mesh2 = mesh1.replace('backup: none\nclasses: [business, bulk]', 'backup: none\nclasses: [business, bulk]\nsecurityProfile: strong');
    await mesh.pushMain({ 'mesh-config/connections.yaml': mesh2 });
    const waiting = await engine.cycle();
    expect(waiting).toMatchObject({ kind: 'proposal' });
    expect(await engine.proposals('open')).toMatchObject([{ scope: 'intent' }]);
    mesh.demand.set('hamburg>paris#bulk', 10);
    expect(await engine.cycle()).toMatchObject({ kind: 'proposal' });
    const history = await mesh.history();
    expect(history).toHaveLength(2);
    expect(history[1]!.cause).toContain('forecast');
    const [proposal] = await engine.proposals('open');
    await mesh.review(proposal!.id, 'approve');
    expect(await engine.cycle()).toMatchObject({ kind: 'commit', commit: { trailers: { decision: 'reviewed', intent: engine.view().intentCommit } } });
    expect(await engine.cycle()).toEqual({ kind: 'none' });
  });

  it.each([
    ['small', ['hamburg>aws-fra#bulk'], { kind: 'commit', commit: { generation: 3, trailers: { decision: 'reviewed' } } }],
    ['large', ['aws-fra>paris#business', 'azure-weu>aws-fra#business'], { kind: 'proposal', proposal: 1 }],
  ])('that was approved covers its own changes, and of what came since only the small: %s', async (_size, demands, expected) => {
    mesh = await createTestMesh((file, text) => (file === 'mesh-config/mesh.yaml' ? text.replace('tunnelsMax: 4', 'tunnelsMax: 1') : text));
    const engine = await mesh.engine();
    await engine.cycle();
    for (const demand of [SHOP_TO_PARIS, 'azure-weu>paris#business']) mesh.demand.set(demand, 5);
    expect(await engine.cycle()).toMatchObject({ kind: 'proposal', proposal: 1 });
    const wish = engine.setOverride({ what: { kind: 'avoid-path', path: path('aws-fra-gw1/eip-a', 'berlin-gw1/cable') }, until: START_AT + HOUR_MS, why: 'test', by: 'alice' });
    await engine.cycle();
    expect(await wish).toMatchObject({ ok: true, generation: 2 });
    await mesh.review(1, 'approve');
    for (const demand of demands) mesh.demand.set(demand, 1);
    expect(await engine.cycle()).toMatchObject(expected);
    expect(await engine.proposals('open')).toHaveLength(expected.kind === 'proposal' ? 1 : 0);
    if (expected.kind === 'commit') expect(engine.view().lastDecision?.changes.filter((change) => change.startsWith('+ tunnel')).length).toBeGreaterThan(2);
  });
});
