import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import type { Forge } from '../../src/forge/index.ts';

/** One forge with an empty repository, as the contract needs it; GitHub and Gitea adapters bring their own. */
export interface ForgeUnderTest {
  forge: Forge;
  /** Writes a commit on top of `parents` (none: a root) whose tree is one file with this text. */
  commit(text: string, ...parents: string[]): Promise<string>;
  /** Sets a branch by git, as a push would; null deletes it. */
  setBranch(branch: string, sha: string | null): Promise<void>;
  branch(name: string): Promise<string | null>;
  review(id: number, verdict: 'approve' | 'block' | 'comment', sha: string, by?: 'alice' | 'bob'): Promise<void>;
  close(): Promise<void>;
}

const HEAD = 'mesh/plan/network';
const BASE = 'mesh/live';
const UNKNOWN = { code: 'FORGE_CHANGE_UNKNOWN' };

/** What every adapter of the port must do; run it against a real forge of each kind. */
export function describeForgeContract(name: string, create: () => Promise<ForgeUnderTest>): void {
  describe(`${name} as a forge`, () => {
    let world: ForgeUnderTest;
    let forge: Forge;
    let base: string;
    let head: string;
    const order = (expectHead: string) => ({ expectHead, method: 'merge' as const, title: 'merge it', body: 'because' });
    const draft = { head: HEAD, base: BASE, title: 'three tunnels', body: 'why', labels: ['foremesh'] };

    beforeEach(async () => {
      world = await create();
      forge = world.forge;
      base = await world.commit('base');
      head = await world.commit('head', base);
      await world.setBranch(BASE, base);
      await world.setBranch(HEAD, head);
    });
    afterEach(() => world.close());

    it('opens a change that shows what was asked for', async () => {
      const change = await forge.open(draft);
      expect(change).toMatchObject({ ...draft, state: 'open', headSha: head, baseSha: base, mergeSha: null, closedBy: null });
      expect(await forge.get(change.id)).toEqual(change);
    });

    it('adopts the open change of the same branches instead of opening a second', async () => {
      const first = await forge.open(draft);
      const again = await forge.open({ ...draft, title: 'other words' });
      expect(again).toEqual(first);
      expect(await forge.find({ state: 'all' })).toHaveLength(1);
    });

    it('opens one change when several ask at once', async () => {
      const opened = await Promise.all(Array.from({ length: 4 }, () => forge.open(draft)));
      expect(new Set(opened.map(({ id }) => id)).size).toBe(1);
      expect(await forge.find({ head: HEAD, state: 'open' })).toHaveLength(1);
    });

    it('refuses a change with nothing in it or without its branch', async () => {
      await world.setBranch('mesh/plan/empty', base);
      await expect(forge.open({ ...draft, head: 'mesh/plan/empty' })).rejects.toMatchObject({ code: 'FORGE_REFUSED' });
      await expect(forge.open({ ...draft, head: 'mesh/plan/missing' })).rejects.toMatchObject({ code: 'FORGE_REFUSED' });
    });

    it('finds by branches and state', async () => {
      await world.setBranch('mesh/plan/intent', await world.commit('other', base));
      const one = await forge.open(draft);
      const two = await forge.open({ ...draft, head: 'mesh/plan/intent' });
      await forge.edit(one.id, { state: 'closed' });
      const ids = async (query: Parameters<Forge['find']>[0]): Promise<number[]> => (await forge.find(query)).map(({ id }) => id);
      expect(await ids({ state: 'open' })).toEqual([two.id]);
      expect(await ids({ state: 'all' })).toEqual([two.id, one.id]);
      expect(await ids({ head: HEAD, state: 'all' })).toEqual([one.id]);
      expect(await ids({ head: HEAD, state: 'open' })).toEqual([]);
      expect(await ids({ base: 'main', state: 'all' })).toEqual([]);
    });

    it('edits only what is given, closes and opens again', async () => {
      const { id } = await forge.open(draft);
      expect(await forge.edit(id, { body: 'new' })).toMatchObject({ title: 'three tunnels', body: 'new', state: 'open' });
      expect(await forge.edit(id, { state: 'closed', title: 'done' })).toMatchObject({ title: 'done', body: 'new', state: 'closed' });
      expect(await forge.edit(id, { state: 'open' })).toMatchObject({ state: 'open', closedBy: null });
    });

    it('says so when there is no such change', async () => {
      for (const id of [99, 0, -1, 1.5]) await expect(forge.get(id)).rejects.toMatchObject(UNKNOWN);
      await expect(forge.edit(99, { body: '' })).rejects.toMatchObject(UNKNOWN);
    });

    it('follows its branch while it is open', async () => {
      const { id } = await forge.open(draft);
      const next = await world.commit('again', base);
      await world.setBranch(HEAD, next);
      expect(await forge.get(id)).toMatchObject({ headSha: next });
    });

    it('shows the latest review of each person, and whether it is of the present head', async () => {
      const { id } = await forge.open(draft);
      await world.review(id, 'comment', head, 'alice');
      await world.review(id, 'approve', head, 'alice');
      await world.review(id, 'block', head, 'bob');
      expect((await forge.reviews(id)).map(({ verdict, sha, dismissed }) => ({ verdict, sha, dismissed }))).toEqual([
        { verdict: 'approve', sha: head, dismissed: false },
        { verdict: 'block', sha: head, dismissed: false },
      ]);
      await world.setBranch(HEAD, await world.commit('again', base));
      expect((await forge.reviews(id)).every(({ dismissed }) => dismissed)).toBe(true);
    });

    it('merges what was approved, once', async () => {
      const { id } = await forge.open(draft);
      await world.review(id, 'approve', head);
      const merged = await forge.merge(id, order(head));
      expect(merged).toEqual({ sha: await world.branch(BASE) });
      expect(await forge.get(id)).toMatchObject({ state: 'merged', mergeSha: 'sha' in merged ? merged.sha : '' });
      expect(await forge.merge(id, order(head))).toEqual(merged);
      expect(await forge.edit(id, { state: 'closed' })).toMatchObject({ state: 'merged' });
    });

    it('refuses to merge without approval, when blocked, and when closed', async () => {
      const { id } = await forge.open(draft);
      expect(await forge.merge(id, order(head))).toMatchObject({ refused: 'approvals' });
      await world.review(id, 'comment', head, 'alice');
      expect(await forge.merge(id, order(head))).toMatchObject({ refused: 'approvals' });
      await world.review(id, 'approve', head, 'alice');
      await world.review(id, 'block', head, 'bob');
      expect(await forge.merge(id, order(head))).toMatchObject({ refused: 'blocked' });
      await forge.edit(id, { state: 'closed' });
      expect(await forge.merge(id, order(head))).toMatchObject({ refused: 'denied' });
      expect(await world.branch(BASE)).toBe(base);
    });

    it('refuses to merge another head than the one expected', async () => {
      const { id } = await forge.open(draft);
      await world.review(id, 'approve', head);
      const next = await world.commit('again', base);
      await world.setBranch(HEAD, next);
      expect(await forge.merge(id, order(head))).toMatchObject({ refused: 'moved' });
      expect(await forge.merge(id, order(next))).toMatchObject({ refused: 'approvals' });
      await world.setBranch(HEAD, null);
      expect(await forge.merge(id, order(head))).toMatchObject({ refused: 'moved' });
    });

    it('refuses to merge when the base has moved on', async () => {
      const { id } = await forge.open(draft);
      await world.review(id, 'approve', head);
      await world.setBranch(BASE, await world.commit('meanwhile', base));
      expect(await forge.merge(id, order(head))).toMatchObject({ refused: 'outdated' });
    });

    it('refuses to merge while a status on the head is not green', async () => {
      const { id } = await forge.open(draft);
      await world.review(id, 'approve', head);
      await forge.report(head, { name: 'mesh/plan', state: 'failure', summary: 'denied' });
      expect(await forge.merge(id, order(head))).toMatchObject({ refused: 'checks' });
      await forge.report(head, { name: 'mesh/plan', state: 'success', summary: 'fine' });
      expect(await forge.merge(id, order(head))).toHaveProperty('sha');
      await forge.report(head, { name: 'mesh/applied', state: 'success', summary: '5 of 5 nodes' });
    });

    it('sees a change as merged when its base took the head in by other means', async () => {
      const { id } = await forge.open(draft);
      const taken = await world.commit('head', base, head);
      await world.setBranch(BASE, taken);
      expect(await forge.get(id)).toMatchObject({ state: 'merged', mergeSha: taken });
      expect(await forge.find({ state: 'open' })).toEqual([]);
    });

    it('keeps one note per key', async () => {
      const { id } = await forge.open(draft);
      await forge.note(id, 'plan', 'first');
      await forge.note(id, 'plan', 'second');
      await forge.note(id, 'plan', 'second');
      await forge.note(id, 'other', 'x');
      expect(await forge.get(id)).toMatchObject({ state: 'open' });
    });

    it('does not take an event that nobody signed', () => {
      expect(forge.event({ 'x-hub-signature-256': 'sha256=00' }, Buffer.from('{}'))).toBeNull();
    });
  });
}
