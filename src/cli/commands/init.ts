import { cp, mkdir, readdir, writeFile } from 'node:fs/promises';
import { join, resolve } from 'node:path';
import type { Command } from 'commander';
import { ForemeshError } from '../../base/index.ts';
import { outputOption, type CommonOptions } from '../options.ts';
import { printResult } from '../output.ts';
import { packageRoot } from '../package-root.ts';

/** What a new mesh repository gets from ours. */
const COPIED = ['mesh-config', 'policies', 'schemas'];

/** `foremesh init DIR`: a mesh repository to start from, with policies, their tests, editor schemas and a workflow. */
export function addInitCommand(program: Command): void {
  program
    .command('init')
    .argument('<dir>', 'a new or empty folder')
    .description('make a mesh repository: example sites, policies with tests, editor schemas, a workflow that checks it')
    .addOption(outputOption())
    .action(async (dir: string, options: CommonOptions) => {
      const files = await initRepository(resolve(dir));
      printResult(options.output, { schema: 'foremesh/init/v1', dir: resolve(dir), files }, () =>
        [`made ${resolve(dir)} with ${files.join(', ')}`, '', 'next:', `  cd ${dir} && git init -b main && git add . && git commit -m "first mesh"`, '  foremesh check', '  foremesh plan'].join('\n'),
      );
    });
}

export async function initRepository(dir: string): Promise<string[]> {
  await mkdir(dir, { recursive: true });
  const present = (await readdir(dir)).filter((name) => name !== '.git');
  if (present.length > 0) {
    throw new ForemeshError('CLI_USAGE', { what: `${dir} is not empty (${present.slice(0, 3).join(', ')} …)`, fix: 'give a new or empty folder' });
  }
  for (const name of COPIED) await cp(join(packageRoot(), name), join(dir, name), { recursive: true });
  await mkdir(join(dir, '.github', 'workflows'), { recursive: true });
  await cp(join(packageRoot(), '.github', 'workflows', 'mesh-check.yml'), join(dir, '.github', 'workflows', 'mesh-check.yml'));
  await writeFile(join(dir, 'README.md'), README);
  return [...COPIED, '.github', 'README.md'];
}

const README = `# Our mesh

\`mesh-config/\` says what the network should be, \`policies/\` what it may be. Change either by pull request; \`foremesh check\`
runs on each. What runs is on the branch \`mesh/live\`, which the engine writes; \`git revert\` there takes anything back.

    foremesh check          # everything wrong, with file:line:col and a fix
    foremesh plan           # the plan this tree leads to, and what it changes
`;
