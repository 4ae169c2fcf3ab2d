import { Command } from 'commander';
import { describe, expect, it } from 'vitest';
import { addAgentCommand } from '../../src/cli/commands/serve.ts';

/** What the agent's own program would be started with. */
async function startedWith(...args: string[]): Promise<string[] | null> {
  let started: string[] | null = null;
  const program = new Command('foremesh').exitOverride().configureOutput({ writeErr: () => undefined });
  addAgentCommand(program, (given) => {
    started = [...given];
    return Promise.resolve(0);
  });
  await program.parseAsync(['node', 'foremesh', ...args]);
  return started;
}

describe('foremesh agent', () => {
  it.each<[string, string[], string[]]>([
    ['its settings', ['agent', '--config', 'a.yaml'], ['--config', 'a.yaml']],
    ['the order to clear', ['agent', '--clear', '--config', 'a.yaml'], ['--config', 'a.yaml', '--clear']],
    ['the doctor and what is meant for it', ['agent', 'doctor', '--config', 'a.yaml', '-o', 'json'], ['doctor', '--config', 'a.yaml', '-o', 'json']],
    ['an installation and what is meant for it', ['agent', 'install', '--node', 'berlin-gw1', '--engine', 'e:8443', '--dry-run'], ['install', '--node', 'berlin-gw1', '--engine', 'e:8443', '--dry-run']],
    ['a question for help of the doctor', ['agent', 'doctor', '--help'], ['doctor', '--help']],
  ])('hands on %s', async (_case, args, expected) => {
    expect(await startedWith(...args)).toEqual(expected);
  });

  it('asks for settings when there are none', async () => {
    await expect(startedWith('agent')).rejects.toMatchObject({ code: 'CLI_USAGE' });
  });
});
