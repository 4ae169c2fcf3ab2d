import type { Command } from 'commander';
import type { ApiClient } from '../api/index.ts';
import { connectEngine } from './engine-client.ts';
import { engineOptions, type EngineOptions } from './options.ts';

/** A command with the options that every command to a running engine has, and its client made. */
export function withEngine<Options extends EngineOptions>(command: Command, run: (client: ApiClient, options: Options, args: string[]) => Promise<void>): Command {
  for (const option of engineOptions()) command.addOption(option);
  return command.action(async (...received: unknown[]) => {
    const args = received.slice(0, command.registeredArguments.length).map((value) => (typeof value === 'string' ? value : ''));
    const options = command.opts<Options>();
    await run(await connectEngine(options), options, args);
  });
}
