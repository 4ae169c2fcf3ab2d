import type { Command } from 'commander';
import type { Explanation, ReplayResult } from '../../reconcile/index.ts';
import { ask } from '../engine-client.ts';
import { colors, printResult } from '../output.ts';
import { withEngine } from '../with-engine.ts';

export function addExplainCommand(program: Command): void {
  withEngine(program.command('explain').argument('<what>', 'a pair (berlin>paris), a tunnel (t-…) or a path').description('why it is there, what it costs, what it was chosen over, what would change it'), async (client, options, [what]) => {
    const query = what?.includes('>') ? `pair=${encodeURIComponent(what)}` : `tunnel=${encodeURIComponent(what ?? '')}`;
    const answer = await ask<Explanation & { schema: string }>(client, 'GET', `/v1/explain?${query}`);
    printResult(options.output, { ...answer }, () => renderExplanation(answer));
  });
}

export function addReplayCommand(program: Command): void {
  withEngine(program.command('replay').argument('<commit>', 'a commit on mesh/live').description('compute a past decision again from its recorded inputs and compare every byte'), async (client, options, [commit]) => {
    const answer = await ask<ReplayResult & { schema: string }>(client, 'GET', `/v1/replay/${encodeURIComponent(commit ?? '')}`);
    printResult(options.output, { ...answer }, () =>
      [...answer.files.map(({ file, same }) => `${same ? colors.green('same') : colors.red('DIFFERS')}  ${file}`), answer.same ? colors.green(`replayed ${answer.commit.slice(0, 10)}: every byte and the verdict are the same`) : colors.red(`replayed ${answer.commit.slice(0, 10)}: not the same`)].join('\n'),
    );
    process.exitCode = answer.same ? 0 : 1;
  });
}

function renderExplanation(answer: Explanation): string {
  const section = (title: string, lines: readonly string[]): string[] => (lines.length === 0 ? [] : ['', colors.dim(title), ...lines.map((line) => `  ${line}`)]);
  return [
    colors.bold(answer.target),
    answer.why,
    ...section('details', answer.lines),
    ...section('cost', answer.usdPerMonth === null ? [] : [`$${answer.usdPerMonth.toFixed(2)} a month`]),
    ...section('chosen over', answer.refused.map(({ path, reason }) => `${path}: ${reason}`)),
    ...section('would change it', answer.wouldChange),
  ].join('\n');
}
