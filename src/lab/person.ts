import { access } from 'node:fs/promises';
import { runCommandText } from '../base/index.ts';
import { OPERATOR } from './mesh-repository.ts';

/** Plain git in a clone of the forge, as the person who runs the mesh. Gives stdout without the last newline. */
export type PersonGit = (...args: string[]) => Promise<string>;

/** The person's clone in `cloneDir`; made when it is not there. */
export async function openPersonClone(forgeDir: string, cloneDir: string): Promise<PersonGit> {
  const isThere = await access(cloneDir).then(
    () => true,
    () => false,
  );
  if (!isThere) await runCommandText('git', ['clone', '-q', '--branch', 'main', forgeDir, cloneDir], { env: personEnvironment() });
  return async (...args) => (await runCommandText('git', ['-C', cloneDir, ...args], { env: personEnvironment() })).trimEnd();
}

/** Reverts the tip of mesh/live as a person does, again when the engine pushed first. Gives the commit that was taken back, and the command in the end. */
export async function revertTip(git: PersonGit): Promise<{ reverted: string; command: string }> {
  for (let attempt = 1; ; attempt++) {
    await git('fetch', '-q', 'origin');
    await git('switch', '-q', '-C', 'live', 'origin/mesh/live');
    const tip = await git('rev-parse', 'HEAD');
    // an approved proposal comes as a merge, whose first parent is what ran before
    const isMerge = (await git('rev-list', '--parents', '-n', '1', 'HEAD')).split(' ').length > 2;
    const revert = ['revert', '--no-edit', ...(isMerge ? ['-m', '1'] : []), 'HEAD'];
    await git(...revert);
    try {
      await git('push', '-q', 'origin', 'live:mesh/live');
      return { reverted: tip, command: `git switch mesh/live && git ${revert.filter((word) => word !== '--no-edit').join(' ')} && git push` };
    } catch (cause) {
      if (attempt === 5) throw cause;
    } finally {
      await git('switch', '-q', 'main');
    }
  }
}

/** The engine's signed answer to a revert, which is what nodes run; null while there is none. */
export async function findRevertAnswer(git: PersonGit, reverted: string): Promise<{ commit: string; generation: number } | null> {
  await git('fetch', '-q', 'origin');
  const trailer = (key: string): string => `%(trailers:key=Foremesh-${key},valueonly,separator=%x2C)`;
  const log = await git('log', '--first-parent', `--format=%H ${trailer('Decision')} ${trailer('Generation')}`, `${reverted}..origin/mesh/live`);
  for (const line of log.split('\n')) {
    const [commit = '', decision = '', generation = ''] = line.split(' ');
    if (decision === 'reverted') return { commit, generation: Number(generation) };
  }
  return null;
}

/** A person's git, without anything of this machine's settings. */
function personEnvironment(): NodeJS.ProcessEnv {
  return {
    PATH: process.env['PATH'],
    HOME: '/nonexistent',
    GIT_CONFIG_NOSYSTEM: '1',
    GIT_CONFIG_GLOBAL: '/dev/null',
    GIT_TERMINAL_PROMPT: '0',
    GIT_AUTHOR_NAME: 'Ada',
    GIT_AUTHOR_EMAIL: OPERATOR,
    GIT_COMMITTER_NAME: 'Ada',
    GIT_COMMITTER_EMAIL: OPERATOR,
    GIT_EDITOR: 'true',
  };
}
