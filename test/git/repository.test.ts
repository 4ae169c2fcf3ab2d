import { existsSync } from 'node:fs';
import { stat, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { runCommand, runGit, Waiting } from '../../src/base/index.ts';
import { allowedSignersLine, ensureSigningKey, formatTrailers, initForge, openRepository } from '../../src/git/index.ts';
import { nodeId } from '../../src/model/index.ts';
import { AT, AUTHOR, createGitFixture, createSshKey, ENGINE, exampleTrailers, type GitFixture } from './fixture.ts';

let git: GitFixture;
beforeEach(async () => {
  git = await createGitFixture();
});
afterEach(() => git.close());

const refusal = { code: 'GIT_REF_REFUSED' };
const LIVE = 'refs/heads/mesh/live';

describe('reading and committing', () => {
  it('replaces one folder and keeps the rest of the tree', async () => {
    const first = await git.commit({ 'plan/mesh.yaml': 'a: 1\n', 'plan/nodes/old.yaml': 'x\n', 'README.md': 'hello\n' });
    const second = await git.repository.commit({
      parents: [first],
      baseTree: first,
      replace: { folder: 'plan', files: new Map([['plan/mesh.yaml', 'a: 2\n'], ['plan/nodes/new.yaml', 'y\n']]) },
      message: 'next',
      author: AUTHOR,
      at: AT,
    });
    expect(await git.repository.readFolder(second, 'plan')).toEqual([
      { file: 'plan/mesh.yaml', text: 'a: 2\n' },
      { file: 'plan/nodes/new.yaml', text: 'y\n' },
    ]);
    expect(await git.repository.readFile(second, 'README.md')).toBe('hello\n');
    expect(await git.repository.readFile(second, 'plan/nodes/old.yaml')).toBeNull();
    expect(await git.repository.readFile(second, 'plan')).toBeNull();
    expect(await git.repository.readFolder(second, 'policies')).toEqual([]);
  });

  it('gives the same commit id for the same arguments', async () => {
    expect(await git.commit({ a: '1' })).toBe(await git.commit({ a: '1' }));
    expect(await git.commit({ a: '1' }, { at: AT + 1000 })).not.toBe(await git.commit({ a: '1' }));
  });

  it('refuses files outside the folder that is replaced', async () => {
    const files = new Map([['policies/allow.rego', 'package x']]);
    const options = { parents: [], baseTree: null, replace: { folder: 'plan', files }, message: 'm', author: AUTHOR, at: AT };
    await expect(git.repository.commit(options)).rejects.toMatchObject(refusal);
  });

  it('lists the first-parent line, newest first, with trailers where they are ours', async () => {
    const first = await git.commit({ a: '1' }, { message: `first\n\nbody of it\n\n${formatTrailers(exampleTrailers())}\n` });
    const second = await git.commit({ a: '2' }, { parents: [first], message: 'Revert "first"\n', at: AT + 5000 });
    const side = await git.commit({ b: '1' }, { message: 'side' });
    const third = await git.commit({ a: '3' }, { parents: [second, side], message: 'third' });
    const log = await git.repository.log({ from: null, to: third });
    expect(log.map((commit) => commit.sha)).toEqual([third, second, first]);
    expect(log[0]).toMatchObject({ parents: [second, side], subject: 'third', body: '', author: AUTHOR, trailers: null });
    expect(log[1]).toMatchObject({ at: AT + 5000, trailers: null });
    expect(log[2]).toMatchObject({ subject: 'first', parents: [], trailers: exampleTrailers() });
    expect((await git.repository.log({ from: first, to: third })).map((commit) => commit.sha)).toEqual([third, second]);
    expect(await git.repository.isAncestor(first, third)).toBe(true);
    expect(await git.repository.isAncestor(third, first)).toBe(false);
  });
});

describe('hostile repositories', () => {
  const blob = (text: string): Promise<string> => git.forgeGit(['hash-object', '-w', '--stdin'], text);
  /** A branch `hostile` at the forge whose mesh-config/ holds these entries. */
  async function pushTree(entries: string): Promise<string> {
    const inner = await git.forgeGit(['mktree', '--missing'], entries);
    const root = await git.forgeGit(['mktree'], `040000 tree ${inner}\tmesh-config\n`);
    const commit = (await runGit(git.forgeDir, ['-c', 'user.name=x', '-c', 'user.email=x@y', 'commit-tree', '-m', 'x', root])).stdout.toString().trim();
    await git.forgeGit(['update-ref', 'refs/heads/hostile', commit]);
    await git.repository.fetch();
    return commit;
  }

  it('are refused for symlinks, submodules, large and binary files, all named at once', async () => {
    const link = await blob('/etc/passwd');
    const large = await blob('x'.repeat(65_537));
    const sub = 'd'.repeat(40);
    const commit = await pushTree(`120000 blob ${link}\tlink.yaml\n160000 commit ${sub}\tsub\n100644 blob ${large}\tlarge.yaml\n`);
    const thrown: unknown = await git.repository.readFolder(commit, 'mesh-config').catch((cause: unknown) => cause);
    expect(thrown).toMatchObject(refusal);
    for (const part of ['link.yaml is a symbolic link', 'sub is a submodule', 'large.yaml has 65537 bytes']) expect(String(thrown)).toContain(part);
    await expect(git.repository.readFile(commit, 'mesh-config/link.yaml')).rejects.toMatchObject(refusal);
    await expect(git.repository.readFile(commit, 'mesh-config/sub')).rejects.toMatchObject(refusal);
  });

  it('are refused for text that is not UTF-8', async () => {
    const file = join(git.folder, 'latin1');
    await writeFile(file, Buffer.from([0x61, 0xe9, 0x0a]));
    const latin = await git.forgeGit(['hash-object', '-w', '--', file]);
    const commit = await pushTree(`100644 blob ${latin}\ta.yaml\n`);
    await expect(git.repository.readFolder(commit, 'mesh-config')).rejects.toMatchObject(refusal);
  });

  it('are refused for too many files', async () => {
    const one = await blob('x');
    const commit = await pushTree(Array.from({ length: 501 }, (_, index) => `100644 blob ${one}\tf${index}.yaml\n`).join(''));
    await expect(git.repository.readFolder(commit, 'mesh-config')).rejects.toMatchObject(refusal);
  });

  it('do not come through fetch with a .git entry in a tree', async () => {
    const evil = await git.forgeGit(['hash-object', '-w', '-t', 'tree', '--literally', '--stdin'], Buffer.concat([Buffer.from('100644 .git\0'), Buffer.from(await blob('x'), 'hex')]));
    const commit = (await runGit(git.forgeDir, ['-c', 'user.name=x', '-c', 'user.email=x@y', 'commit-tree', '-m', 'x', evil])).stdout.toString().trim();
    await git.forgeGit(['update-ref', 'refs/heads/hostile', commit]);
    await expect(git.repository.fetch()).rejects.toBeInstanceOf(Waiting);
    expect(await git.repository.resolve('hostile')).toBeNull();
  });

  it.each(['-x', '--output=x', '--upload-pack=touch x', 'a..b', 'a b', 'main:file', '@{-1}', 'a//b', 'x.lock', '', ':/fix', 'main^{tree}', '../x', 'a/-b'])(
    'cannot make us resolve %j',
    async (ref) => {
      await expect(git.repository.resolve(ref)).rejects.toMatchObject(refusal);
    },
  );

  it.each(['-x', '--upload-pack=x', 'ext::sh -c touch% /tmp/pwn', 'https://user:secret@host/x', 'relative/path', 'fd::7', 'host:-x', 'javascript:x'])(
    'cannot be opened at %j, and no password shows',
    async (remote) => {
      const opened = openRepository({ dir: join(git.folder, 'm2.git'), remote });
      await expect(opened).rejects.toMatchObject(refusal);
      await expect(opened).rejects.not.toThrow(/secret/);
    },
  );

  it.each(['../x', '/etc', 'a/../b', '.git/config', 'a\nb', '-r', 'a//b'])('cannot make us read the path %j', async (path) => {
    const commit = await git.commit({ a: '1' });
    await expect(git.repository.readFile(commit, path)).rejects.toMatchObject(refusal);
    await expect(git.repository.readFolder(commit, path)).rejects.toMatchObject(refusal);
  });

  it('run no hook or monitor of ours', async () => {
    const canary = join(git.folder, 'canary');
    const mirror = join(git.folder, 'mirror.git');
    for (const hook of ['reference-transaction', 'post-checkout', 'pre-push']) {
      await runCommand('install', ['-D', '-m', '755', '/dev/stdin', join(mirror, 'hooks', hook)], { stdin: `#!/bin/sh\ntouch ${canary}\n` });
    }
    await runCommand('git', ['--git-dir', mirror, 'config', 'core.fsmonitor', `touch ${canary}`]);
    const commit = await git.commit({ a: '1' });
    expect(await git.repository.push([{ ref: LIVE, oldSha: null, newSha: commit }])).toBe('pushed');
    await git.repository.fetch();
    expect(existsSync(canary)).toBe(false);
  });

  it('cannot let a pushed ref stand in for a branch of the same short name', async () => {
    const good = await git.commit({ a: 'good' });
    const evil = await git.commit({ a: 'evil' });
    await git.repository.push([{ ref: LIVE, oldSha: null, newSha: good }, { ref: 'refs/mesh/live', oldSha: null, newSha: evil }]);
    expect(await git.repository.resolve('mesh/live')).toBe(good);
    expect(await git.repository.resolve('nowhere')).toBeNull();
    expect(await git.repository.resolve(good.slice(0, 10))).toBe(good);
    expect(await git.repository.resolve('mesh/live~1')).toBeNull();
  });
});

describe('pushing', () => {
  it('moves a ref only from its expected value', async () => {
    const first = await git.commit({ a: '1' });
    const second = await git.commit({ a: '2' }, { parents: [first] });
    const other = await git.commit({ a: '3' }, { parents: [first] });
    expect(await git.repository.push([{ ref: LIVE, oldSha: null, newSha: first }])).toBe('pushed');
    expect(await git.repository.push([{ ref: LIVE, oldSha: null, newSha: other }])).toBe('moved');
    expect(await git.repository.push([{ ref: LIVE, oldSha: first, newSha: second }])).toBe('pushed');
    expect(await git.repository.push([{ ref: LIVE, oldSha: first, newSha: other }])).toBe('moved');
    expect(await git.forgeGit(['rev-parse', LIVE])).toBe(second);
    expect(await git.repository.resolve('mesh/live')).toBe(second);
  });

  it('answers a repeated push of the same thing as pushed', async () => {
    const first = await git.commit({ a: '1' });
    const update = { ref: LIVE, oldSha: null, newSha: first };
    expect([await git.repository.push([update]), await git.repository.push([update])]).toEqual(['pushed', 'pushed']);
  });

  it('moves all refs or none', async () => {
    const first = await git.commit({ a: '1' });
    const second = await git.commit({ a: '2' }, { parents: [first] });
    await git.repository.push([{ ref: LIVE, oldSha: null, newSha: first }]);
    const result = await git.repository.push([{ ref: LIVE, oldSha: first, newSha: second }, { ref: 'refs/heads/x', oldSha: first, newSha: second }]);
    expect(result).toBe('moved');
    expect(await git.forgeGit(['rev-parse', LIVE])).toBe(first);
  });

  it('does not bring back what a person has reset', async () => {
    const a = await git.commit({ a: 'A' });
    const b = await git.commit({ a: 'B' }, { parents: [a] });
    await git.repository.push([{ ref: LIVE, oldSha: null, newSha: b }]);
    await git.forgeGit(['update-ref', LIVE, a]);
    const c = await git.commit({ a: 'C' }, { parents: [b] });
    expect(await git.repository.push([{ ref: LIVE, oldSha: b, newSha: c }])).toBe('moved');
  });

  it('refuses to replace a branch by a commit that does not descend from it, proposals excepted', async () => {
    const first = await git.commit({ a: '1' });
    const unrelated = await git.commit({ a: '2' });
    const proposal = 'refs/heads/mesh/plan/berlin';
    await git.repository.push([{ ref: LIVE, oldSha: null, newSha: first }, { ref: proposal, oldSha: null, newSha: first }]);
    await expect(git.repository.push([{ ref: LIVE, oldSha: first, newSha: unrelated }])).rejects.toMatchObject({ code: 'GIT_REF_MOVED' });
    expect(await git.repository.push([{ ref: proposal, oldSha: first, newSha: unrelated }])).toBe('pushed');
    expect(await git.repository.push([{ ref: proposal, oldSha: unrelated, newSha: null }])).toBe('pushed');
    expect(await git.repository.resolve('mesh/plan/berlin')).toBeNull();
  });

  it('only one of two engines wins a race', async () => {
    const rival = await openRepository({ dir: join(git.folder, 'rival.git'), remote: git.forgeDir });
    const first = await git.commit({ a: '1' });
    await git.repository.push([{ ref: LIVE, oldSha: null, newSha: first }]);
    await rival.fetch();
    const mine = await git.commit({ a: 'mine' }, { parents: [first] });
    const files = new Map([['a', 'theirs']]);
    const theirs = await rival.commit({ parents: [first], baseTree: null, replace: { folder: '', files }, message: 'm', author: AUTHOR, at: AT });
    const results = await Promise.all([
      git.repository.push([{ ref: LIVE, oldSha: first, newSha: mine }]),
      rival.push([{ ref: LIVE, oldSha: first, newSha: theirs }]),
    ]);
    expect(results.toSorted()).toEqual(['moved', 'pushed']);
  });

  it('waits when the repository cannot be reached', async () => {
    const lost = await openRepository({ dir: join(git.folder, 'lost.git'), remote: join(git.folder, 'nowhere.git') });
    await expect(lost.fetch()).rejects.toBeInstanceOf(Waiting);
    const commit = await git.commit({ a: '1' });
    const repository = await openRepository({ dir: join(git.folder, 'mirror.git'), remote: join(git.folder, 'nowhere.git') });
    await expect(repository.push([{ ref: LIVE, oldSha: null, newSha: commit }])).rejects.toBeInstanceOf(Waiting);
  });
});

describe('the forge repository', () => {
  it('refuses a forced push and a deletion of mesh/live by anybody', async () => {
    const first = await git.commit({ a: '1' });
    const second = await git.commit({ a: '2' });
    await git.repository.push([{ ref: LIVE, oldSha: null, newSha: first }]);
    const mirror = join(git.folder, 'mirror.git');
    const forced = await runCommand('git', ['--git-dir', mirror, 'push', '--force', git.forgeDir, `${second}:${LIVE}`]);
    expect(forced.exitCode).not.toBe(0);
    expect(forced.stderr).toContain('use git revert');
    expect((await runCommand('git', ['--git-dir', mirror, 'push', git.forgeDir, `:${LIVE}`])).exitCode).not.toBe(0);
    expect(await git.forgeGit(['rev-parse', LIVE])).toBe(first);
  });

  it('can be made twice and keeps what it has', async () => {
    const first = await git.commit({ a: '1' });
    await git.repository.push([{ ref: LIVE, oldSha: null, newSha: first }]);
    await initForge(git.forgeDir);
    expect(await git.forgeGit(['rev-parse', LIVE])).toBe(first);
  });
});

describe('signatures', () => {
  it('name the engine for its own commits', async () => {
    expect(await git.repository.verify(await git.commit({ a: '1' }), git.allowedSignersFile)).toEqual({ signer: ENGINE });
  });

  it('are not accepted from nobody, a stranger, a borrowed name, or against no file', async () => {
    const signed = await git.commit({ a: '1' });
    expect(await git.repository.verify(signed, join(git.folder, 'nowhere'))).toBeNull();
    const stranger = await createSshKey(git.folder, 'stranger');
    const others = join(git.folder, 'others');
    await writeFile(others, `${allowedSignersLine(ENGINE, stranger.publicKey)}\n`);
    expect(await git.repository.verify(signed, others)).toBeNull();
    await writeFile(others, `${allowedSignersLine('alice@example.org', git.publicKey)}\n`);
    expect(await git.repository.verify(signed, others)).toBeNull();
    await writeFile(others, `${allowedSignersLine(ENGINE, git.publicKey, ['foremesh-review'])}\n`);
    expect(await git.repository.verify(signed, others)).toBeNull();
    const unsigned = await openRepository({ dir: join(git.folder, 'mirror.git'), remote: git.forgeDir });
    const replace = { folder: '', files: new Map([['a', '1']]) };
    const commit = await unsigned.commit({ parents: [], baseTree: null, replace, message: 'm', author: AUTHOR, at: AT });
    expect(await git.repository.verify(commit, git.allowedSignersFile)).toBeNull();
  });

  it('come from one key that is made once and only its owner can read', async () => {
    const again = await ensureSigningKey(join(git.folder, 'keys'), ENGINE);
    expect(again).toEqual({ privateKeyFile: git.privateKeyFile, publicKey: git.publicKey });
    expect((await stat(git.privateKeyFile)).mode & 0o777).toBe(0o600);
  });

  it.each(['-x', 'a b', 'a"b', '*', 'a,b', ''])('cannot be listed under the name %j', (identity) => {
    expect(() => allowedSignersLine(identity, git.publicKey)).toThrow(/GIT_REF_REFUSED/);
  });
});

describe('the proof for an agent', () => {
  it('holds the raw objects from commit to file', async () => {
    const commit = await git.commit({ 'plan/nodes/berlin-gw1.yaml': 'node: berlin-gw1\n', 'plan/mesh.yaml': 'x\n' });
    const signed = await git.repository.prove(commit, nodeId('berlin-gw1'));
    expect(Buffer.from(signed.blob, 'base64').toString()).toBe('node: berlin-gw1\n');
    expect(Buffer.from(signed.commitObject, 'base64').toString()).toContain('gpgsig -----BEGIN SSH SIGNATURE-----');
    expect(signed).toMatchObject({ commit, node: 'berlin-gw1' });
    await expect(git.repository.prove(commit, nodeId('paris-gw1'))).rejects.toMatchObject({ code: 'GIT_FAILED' });
  });
});
