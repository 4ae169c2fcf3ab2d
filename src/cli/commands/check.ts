import { stat } from 'node:fs/promises';
import { resolve } from 'node:path';
import type { Command } from 'commander';
import { ForemeshError, systemClock } from '../../base/index.ts';
import { findOpa } from '../../policy/index.ts';
import { checkRepository } from '../../reconcile/index.ts';
import { findingsAsGithub, findingsAsJunit, findingsAsSarif, findingsAsText } from '../report-formats.ts';
import { outputOption, type CommonOptions } from '../options.ts';
import { printResult } from '../output.ts';

/** `foremesh check [DIR]`: everything found, at once. Exit 0 clean (warnings allowed), 1 errors, 2 could not run. */
export function addCheckCommand(program: Command): void {
  program
    .command('check')
    .argument('[dir]', 'mesh repository (holds mesh-config/ and policies/)', '.')
    .description('check intent and policies: schema, references, Rego, its tests, and what the policy says of the intent')
    .addOption(outputOption(['text', 'json', 'sarif', 'junit', 'github']))
    .action(async (dir: string, options: CommonOptions) => {
      const isThere = await stat(dir).then(
        (entry) => entry.isDirectory(),
        () => false,
      );
      if (!isThere) throw new ForemeshError('REPOSITORY_MISSING', { what: `${dir} is no folder`, fix: 'pass the folder that holds mesh-config/ and policies/, or make one: foremesh init DIR' });
      const { findings } = await checkRepository(resolve(dir), await findOpa(), systemClock.now());
      const renderers = { sarif: findingsAsSarif, junit: findingsAsJunit, github: findingsAsGithub };
      const render = renderers[options.output as keyof typeof renderers] ?? findingsAsText;
      printResult(options.output, { schema: 'foremesh/check/v1', findings }, () => render(findings));
      process.exitCode = findings.some(({ severity }) => severity === 'error') ? 1 : 0;
    });
}
