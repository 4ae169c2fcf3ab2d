import { spawn } from 'node:child_process';
import { join } from 'node:path';
import type { Command } from 'commander';
import { ForemeshError, keepCommandHelper } from '../../base/index.ts';
import { ask } from '../engine-client.ts';
import { endSignal } from '../end-signal.ts';
import { printResult } from '../output.ts';
import { packageRoot } from '../package-root.ts';
import { loadServeConfig, serve } from '../serve.ts';
import { withEngine } from '../with-engine.ts';

export function addServeCommand(program: Command): void {
  program
    .command('serve')
    .description('run the engine')
    .requiredOption('--config <file>', 'settings, JSON or YAML (docs/api.md)')
    .action(async ({ config }: { config: string }) => {
      keepCommandHelper();
      await serve(await loadServeConfig(config), endSignal());
    });
}

/** The agent is a program of its own that shares no code with the engine: started as a process, signals handed on. */
export function addAgentCommand(program: Command, run: (args: readonly string[]) => Promise<number> = runAgent): void {
  program.enablePositionalOptions(); // what follows a command is that command's, also two levels down
  const agent = program
    .command('agent')
    .description('run the endpoint agent on a gateway')
    .enablePositionalOptions()
    .option('--config <file>', 'settings, JSON or YAML')
    .option('--clear', 'take away everything of ours on this gateway, guards last')
    .action(async ({ config, clear }: { config?: string; clear?: boolean }) => {
      if (config === undefined) throw new ForemeshError('CLI_USAGE', { what: 'which settings?', fix: 'foremesh agent --config FILE, or foremesh agent install' });
      process.exitCode = await run(['--config', config, ...(clear ? ['--clear'] : [])]);
    });
  for (const [name, description] of [
    ['install', 'put on this gateway what the agent needs: user, settings, unit'],
    ['doctor', 'look at all that the agent needs, and say how to mend it'],
  ] as const) {
    agent
      .command(name)
      .description(description)
      .helpOption(false)
      .allowUnknownOption()
      .passThroughOptions()
      .argument('[args...]', 'see --help')
      .action(async (args: string[]) => {
        process.exitCode = await run([name, ...args]);
      });
  }
}

async function runAgent(args: readonly string[]): Promise<number> {
  const child = spawn(process.execPath, [join(packageRoot(), 'dist', 'agent', 'main.js'), ...args], { stdio: 'inherit' });
  const signal = endSignal();
  signal.addEventListener('abort', () => child.kill('SIGTERM'));
  return new Promise((resolve) => child.on('exit', (code) => resolve(code ?? 1)));
}

export function addJoinTokenCommand(program: Command): void {
  withEngine(program.command('join-token').argument('<node>').description('a token with which one node may enrol once, within 15 minutes'), async (client, options, [node]) => {
    const answer = await ask<{ schema: string; token: string; node: string; expiresAt: string }>(client, 'POST', '/v1/join-tokens', { node });
    printResult(options.output, { ...answer }, () => answer.token);
  });
}
