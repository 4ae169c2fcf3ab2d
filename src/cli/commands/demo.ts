import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Command } from 'commander';
import { keepCommandHelper, systemClock } from '../../base/index.ts';
import { createScreen, isLabPossible, runDemo } from '../../lab/index.ts';
import { findOpa } from '../../policy/index.ts';
import { endSignal } from '../end-signal.ts';
import { packageRoot } from '../package-root.ts';
import { outputOption, type CommonOptions } from '../options.ts';
import { colors, printResult } from '../output.ts';

interface DemoCommandOptions extends CommonOptions {
  simulated?: boolean;
  stay?: boolean;
  seed: string;
}

/** `foremesh demo`: the main job in ten steps. Exit 0 when every statement on screen holds. */
export function addDemoCommand(program: Command): void {
  program
    .command('demo')
    .description('the whole loop in ten steps, on a real IPsec mesh in network namespaces of this machine')
    .option('--simulated', 'on the simulated network: no root, any machine, the same steps')
    .option('--stay', 'leave the mesh up when the story ends')
    .option('--seed <text>', 'of WAN, history and simulation', 'demo')
    .addOption(outputOption())
    .action(async (options: DemoCommandOptions) => {
      useScratchFolder();
      keepCommandHelper();
      const signal = endSignal();
      const startMs = systemClock.monotonicMs();
      const isJson = options.output === 'json';
      const screen = createScreen({
        stdout: isJson ? (text) => process.stderr.write(text) : (text) => process.stdout.write(text),
        stderr: (text) => process.stderr.write(text),
        progress: process.stderr.isTTY,
        elapsedMs: () => systemClock.monotonicMs() - startMs,
      });
      const possible = options.simulated ? null : await isLabPossible();
      if (possible && !possible.possible) process.stderr.write(`${colors.yellow('no real lab here')}: ${possible.reason}; the same story follows on the simulated network\n`);
      const world = possible?.possible ? 'lab' : 'simulated';
      const result = await runDemo({ world, sourceDir: packageRoot(), opa: await findOpa(), seed: options.seed, screen, signal, stay: world === 'lab' && (options.stay ?? false) });
      if (isJson) printResult('json', { schema: 'foremesh/demo/v1', world, facts: Object.fromEntries(result.facts), failures: result.failures }, () => '');
      process.exit(result.failures.length === 0 ? 0 : 1);
    });
}

/** Temporary files of this process go to a folder of its own, and with it, also when a step is cut off in the middle. */
function useScratchFolder(): void {
  const folder = mkdtempSync(join(tmpdir(), 'foremesh-demo-'));
  process.env['TMPDIR'] = folder;
  process.on('exit', () => rmSync(folder, { recursive: true, force: true }));
}
