import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { createLog, signWithSsh } from '../../src/base/index.ts';
import { annotationsOf, createLocalForge, listSigners, reviewPayload, signReview, verifyReview, type ReviewVerdict, type SignedReview } from '../../src/forge/index.ts';
import { describeForgeContract } from './contract.ts';
import { createLocalForgeFixture, type LocalForgeFixture } from './local-fixture.ts';

describeForgeContract('the local forge', createLocalForgeFixture);

describe('the local forge', () => {
  let world: LocalForgeFixture;
  let base: string;
  let head: string;
  let id: number;
  const INVALID = { code: 'FORGE_REVIEW_INVALID' };
  const order = () => ({ expectHead: head, method: 'merge' as const, title: '', body: '' });
  const sign = (changes: Partial<SignedReview> = {}, key: 'alice' | 'bob' | 'mallory' = 'alice', change = id): Promise<SignedReview> =>
    signReview(change, { by: 'alice@example.org', verdict: 'approve', sha: head, at: world.clock.now(), ...changes }, world.keys[key]);

  beforeEach(async () => {
    world = await createLocalForgeFixture();
    base = await world.commit('base');
    head = await world.commit('head', base);
    await world.setBranch('mesh/live', base);
    await world.setBranch('mesh/plan/network', head);
    id = (await world.forge.open({ head: 'mesh/plan/network', base: 'mesh/live', title: 't', body: 'b', labels: [] })).id;
  });
  afterEach(() => world.close());

  describe('reviews', () => {
    const forged: [string, () => Promise<SignedReview>][] = [
      ['a key that is not listed', () => sign({ by: 'mallory@example.org' }, 'mallory')],
      ['a stranger who uses a listed name', () => sign({}, 'mallory')],
      ['a listed person who uses another’s name', () => sign({}, 'bob')],
      ['a signature for another change', () => sign({}, 'alice', id + 1)],
      ['a verdict changed after signing', async () => ({ ...(await sign({ verdict: 'block' })), verdict: 'approve' as ReviewVerdict })],
      ['a commit changed after signing', async () => ({ ...(await sign({ sha: base })), sha: head })],
      ['a time changed after signing', async () => ({ ...(await sign()), at: world.clock.now() + 1 })],
      ['no signature', async () => ({ ...(await sign()), signature: '' })],
      ['a name that ssh could read as a pattern', async () => ({ ...(await sign()), by: '*' })],
      ['an old head', () => sign({ sha: base })],
      ['the future', () => sign({ at: world.clock.now() + 600_000 })],
    ];
    it.each(forged)('are refused from %s', async (_, make) => {
      await expect(world.forge.addReview(id, await make())).rejects.toMatchObject(INVALID);
      expect(await world.forge.reviews(id)).toEqual([]);
    });

    it('cannot be replayed over a later word of the same person', async () => {
      const approval = await sign();
      await world.forge.addReview(id, approval);
      await world.clock.advance(1000);
      await world.forge.addReview(id, await sign({ verdict: 'block', at: world.clock.now() }));
      await world.forge.addReview(id, approval);
      expect(await world.forge.reviews(id)).toMatchObject([{ verdict: 'block' }]);
      expect((await world.forge.record(id)).reviews).toHaveLength(2);
    });

    it('of the author do not count as consent', async () => {
      await world.setBranch('mesh/plan/own', await world.commit('own', base));
      const own = await world.forge.open({ head: 'mesh/plan/own', base: 'mesh/live', title: 't', body: 'b', labels: [], author: 'alice@example.org' });
      await expect(world.forge.addReview(own.id, await sign({ sha: own.headSha }, 'alice', own.id))).rejects.toMatchObject(INVALID);
    });

    it('stop counting when the person is taken off main', async () => {
      await world.review(id, 'approve', head);
      expect(await world.forge.reviews(id)).toHaveLength(1);
      await world.setSigners([world.signerLines.bob]);
      expect(await world.forge.reviews(id)).toEqual([]);
      expect(await world.forge.merge(id, order())).toMatchObject({ refused: 'approvals' });
      expect(await world.forge.reviewers()).toEqual(['bob@example.org']);
    });

    it('written straight into the record by someone with push access do not count', async () => {
      const record = await world.forge.record(id);
      const json = JSON.stringify({ ...record, reviews: [await sign({}, 'mallory')] });
      const blob = await world.git(['hash-object', '-w', '--stdin'], json);
      const tree = await world.git(['mktree'], `100644 blob ${blob}\tchange.json\n`);
      const commit = await world.git(['-c', 'user.name=x', '-c', 'user.email=x@y', 'commit-tree', '-m', 'x', '-p', `refs/mesh/changes/${id}`, tree]);
      await world.git(['update-ref', `refs/mesh/changes/${id}`, commit]);
      expect((await world.forge.record(id)).reviews).toHaveLength(1);
      expect(await world.forge.reviews(id)).toEqual([]);
      expect(await world.forge.merge(id, order())).toMatchObject({ refused: 'approvals' });
    });

    it('signed for git are no reviews', async () => {
      const review = await sign();
      const signature = await signWithSsh(world.keys.alice, 'git', reviewPayload(id, review));
      await expect(world.forge.addReview(id, { ...review, signature })).rejects.toMatchObject(INVALID);
      expect(await verifyReview(id, review, '/nowhere')).toBe(false);
    });
  });

  it('keeps every word when four people write to one change at once', async () => {
    const others = Array.from({ length: 4 }, () => createLocalForge({ dir: world.dir, clock: world.clock, log: createLog('test', 'silent') }));
    await Promise.all(others.map((forge, index) => forge.note(id, `key-${index}`, `text ${index}`)));
    expect(Object.keys((await world.forge.record(id)).notes).toSorted()).toEqual(['key-0', 'key-1', 'key-2', 'key-3']);
  });

  it('merges once when two engines try at once, and base and record agree', async () => {
    await world.review(id, 'approve', head);
    const other = createLocalForge({ dir: world.dir, clock: world.clock, log: createLog('test', 'silent') });
    const results = await Promise.all([world.forge.merge(id, order()), other.merge(id, order())]);
    expect(results).toEqual([{ sha: head }, { sha: head }]);
    expect(await world.branch('mesh/live')).toBe(head);
    expect(await world.forge.record(id)).toMatchObject({ state: 'merged', mergeSha: head });
  });

  it('leaves a damaged record out of the list and says so when it is asked for', async () => {
    const blob = await world.git(['hash-object', '-w', '--stdin'], '{"id": 2, "state": "open"}');
    const tree = await world.git(['mktree'], `100644 blob ${blob}\tchange.json\n`);
    const odd = await world.git(['mktree'], `040000 tree ${tree}\tchange.json\n`);
    for (const [number, content] of [[2, tree], [3, odd]] as const) {
      await world.git(['update-ref', `refs/mesh/changes/${number}`, await world.git(['-c', 'user.name=x', '-c', 'user.email=x@y', 'commit-tree', '-m', 'x', content])]);
    }
    expect((await world.forge.find({ state: 'all' })).map((change) => change.id)).toEqual([id]);
    await expect(world.forge.get(2)).rejects.toMatchObject({ code: 'STATE_DAMAGED' });
    await world.setBranch('mesh/plan/next', await world.commit('next', base));
    expect((await world.forge.open({ head: 'mesh/plan/next', base: 'mesh/live', title: 't', body: '', labels: [] })).id).toBe(4);
  });

  it('says who closed a change', async () => {
    expect(await world.forge.edit(id, { state: 'closed', by: 'bob@example.org' })).toMatchObject({ state: 'closed', closedBy: 'bob@example.org' });
  });

  it.each(['-x', 'a..b', 'a b', '', 'x.lock', '../x'])('refuses a branch called %j', async (branch) => {
    await expect(world.forge.open({ head: branch, base: 'mesh/live', title: 't', body: '', labels: [] })).rejects.toMatchObject({ code: 'FORGE_REFUSED' });
  });

  it('keeps the history of a change as commits', async () => {
    await world.forge.note(id, 'plan', 'x');
    await world.review(id, 'approve', head);
    await world.forge.merge(id, order());
    const subjects = (await world.git(['log', '--format=%s', `refs/mesh/changes/${id}`])).split('\n');
    expect(subjects).toEqual([`change ${id}: merged`, `change ${id}: approve by alice@example.org`, `change ${id}: note plan`, `change ${id}: opened`]);
  });
});

describe('small helpers', () => {
  it('list only people who may review', () => {
    const text = '# people\nalice@x ssh-ed25519 AAAA\nbob@x,carol@x namespaces="git,foremesh-review" ssh-ed25519 AAAA\ndave@x namespaces="git" ssh-ed25519 AAAA\n*@x ssh-ed25519 AAAA\n\n';
    expect(listSigners(text)).toEqual(['alice@x', 'bob@x', 'carol@x']);
  });

  it('turn findings into annotations', () => {
    const finding = { code: 'X', severity: 'error' as const, what: 'w', where: { file: 'a.yaml', line: 3, column: 1 }, fix: 'f' };
    expect(annotationsOf([finding, { ...finding, where: null }])).toEqual([{ path: 'a.yaml', line: 3, level: 'failure', message: 'X  w  fix: f' }]);
  });
});
