import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createLog, runGit, runGitText, VirtualClock } from '../../src/base/index.ts';
import { createLocalForge, signReview, type LocalForge } from '../../src/forge/index.ts';
import { allowedSignersLine, initForge } from '../../src/git/index.ts';
import { createSshKey } from '../git/fixture.ts';
import type { ForgeUnderTest } from './contract.ts';

export interface LocalForgeFixture extends ForgeUnderTest {
  forge: LocalForge;
  clock: VirtualClock;
  dir: string;
  /** Private keys of alice, bob (listed on main) and mallory (not listed). */
  keys: Record<'alice' | 'bob' | 'mallory', string>;
  git(args: string[], stdin?: string): Promise<string>;
  /** Writes mesh-config/allowed_signers of main. */
  setSigners(lines: string[]): Promise<void>;
  signerLines: Record<'alice' | 'bob', string>;
}

export async function createLocalForgeFixture(): Promise<LocalForgeFixture> {
  const folder = await mkdtemp(join(tmpdir(), 'foremesh-forge-test-'));
  const dir = join(folder, 'forge.git');
  await initForge(dir);
  const clock = new VirtualClock();
  const forge = createLocalForge({ dir, clock, log: createLog('test', 'silent') });
  const [alice, bob, mallory] = await Promise.all(['alice', 'bob', 'mallory'].map((name) => createSshKey(folder, name)));
  const line = (name: string, key: string): string => allowedSignersLine(`${name}@example.org`, key, ['git', 'foremesh-review']);
  const signerLines = { alice: line('alice', alice!.publicKey), bob: line('bob', bob!.publicKey) };
  const keys = { alice: alice!.file, bob: bob!.file, mallory: mallory!.file };
  const git = (args: string[], stdin?: string): Promise<string> => runGitText(dir, args, stdin === undefined ? {} : { stdin });

  async function commitTree(tree: string, parents: string[]): Promise<string> {
    const person = { GIT_AUTHOR_NAME: 'x', GIT_AUTHOR_EMAIL: 'x@y', GIT_COMMITTER_NAME: 'x', GIT_COMMITTER_EMAIL: 'x@y' };
    return runGitText(dir, ['commit-tree', '-m', 'x', ...parents.flatMap((parent) => ['-p', parent]), tree], { env: person });
  }
  async function blob(text: string): Promise<string> {
    return git(['hash-object', '-w', '--stdin'], text);
  }
  async function setSigners(lines: string[]): Promise<void> {
    const inner = await git(['mktree'], `100644 blob ${await blob(lines.map((each) => `${each}\n`).join(''))}\tallowed_signers\n`);
    const tree = await git(['mktree'], `040000 tree ${inner}\tmesh-config\n`);
    await git(['update-ref', 'refs/heads/main', await commitTree(tree, [])]);
  }
  await setSigners(Object.values(signerLines));

  return {
    forge,
    clock,
    dir,
    keys,
    git,
    setSigners,
    signerLines,
    commit: async (text, ...parents) => commitTree(await git(['mktree'], `100644 blob ${await blob(text)}\tfile\n`), parents),
    async setBranch(branch, sha) {
      await git(sha === null ? ['update-ref', '-d', `refs/heads/${branch}`] : ['update-ref', `refs/heads/${branch}`, sha]);
    },
    async branch(name) {
      const result = await runGit(dir, ['rev-parse', '--verify', '--quiet', `refs/heads/${name}`]);
      return result.exitCode === 0 ? result.stdout.toString().trim() : null;
    },
    async review(id, verdict, sha, by = 'alice') {
      await clock.advance(1000);
      await forge.addReview(id, await signReview(id, { by: `${by}@example.org`, verdict, sha, at: clock.now() }, keys[by]));
    },
    close: () => rm(folder, { recursive: true, force: true }),
  };
}
