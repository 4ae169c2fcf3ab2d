import { readFile } from 'node:fs/promises';
import { homedir } from 'node:os';
import { join } from 'node:path';
import type { Command } from 'commander';
import { ForemeshError, systemClock } from '../../base/index.ts';
import { signReview } from '../../forge/index.ts';
import type { ProposalDetail, ProposalSummary } from '../../reconcile/index.ts';
import { ask } from '../engine-client.ts';
import type { EngineOptions } from '../options.ts';
import { colors, printResult, renderTable } from '../output.ts';
import { withEngine } from '../with-engine.ts';

interface ReviewOptions extends EngineOptions {
  key: string;
  by?: string;
  sha?: string;
}

export function addProposalCommand(program: Command): void {
  const proposal = program.command('proposal').description('large changes that wait for a person');
  withEngine<EngineOptions & { all?: boolean }>(proposal.command('list').description('open proposals').option('--all', 'closed and merged ones too'), async (client, options) => {
    const { proposals } = await ask<{ proposals: ProposalSummary[] }>(client, 'GET', `/v1/proposals?state=${options.all ? 'all' : 'open'}`);
    printResult(options.output, { schema: 'foremesh/proposals/v1', proposals }, () =>
      proposals.length === 0 ? 'no proposals' : renderTable(['#', 'state', 'scope', 'cause', 'title', 'head'], proposals.map((entry) => [entry.id, entry.ended ?? entry.state, entry.scope, entry.cause, entry.title, entry.headSha.slice(0, 10)])),
    );
  });
  withEngine(proposal.command('show').argument('<number>').description('what it changes and why it asks'), async (client, options, [id]) => {
    const detail = await ask<ProposalDetail & { schema: string }>(client, 'GET', `/v1/proposals/${encodeURIComponent(id ?? '')}`);
    printResult(options.output, { ...detail }, () => renderProposal(detail));
  });
  for (const [name, verdict, words] of [
    ['approve', 'approve', 'consent to exactly the commit that is proposed now; it is applied at once'],
    ['reject', 'block', 'refuse it; the same change is not proposed again'],
  ] as const) {
    const command = proposal
      .command(name)
      .argument('<number>')
      .description(words)
      .option('--key <file>', 'your SSH private key; its public half is in mesh-config/allowed_signers of main', join(homedir(), '.ssh', 'id_ed25519'))
      .option('--by <name>', 'your principal in allowed_signers; taken from the key’s comment otherwise')
      .option('--sha <commit>', 'only if this is still the head');
    withEngine<ReviewOptions>(command, async (client, options, [id]) => {
      const detail = await ask<ProposalDetail>(client, 'GET', `/v1/proposals/${encodeURIComponent(id ?? '')}`);
      if (options.sha && !detail.headSha.startsWith(options.sha)) {
        throw new ForemeshError('FORGE_REVIEW_INVALID', { what: `the head of proposal ${detail.id} is ${detail.headSha.slice(0, 12)} now, not ${options.sha}`, fix: `look again: foremesh proposal show ${detail.id}` });
      }
      const by = options.by ?? (await commentOf(`${options.key}.pub`));
      const review = await signReview(detail.id, { by, verdict, sha: detail.headSha, at: systemClock.now() }, options.key);
      const answer = await ask<{ schema: string; outcome: { kind: string; reason?: string } }>(client, 'POST', `/v1/proposals/${detail.id}/reviews`, review);
      printResult(options.output, { ...answer }, () => `${name === 'approve' ? 'approved' : 'rejected'} proposal ${detail.id} at ${detail.headSha.slice(0, 12)} as ${by}; the engine's cycle ended with: ${answer.outcome.kind}${answer.outcome.reason ? ` (${answer.outcome.reason})` : ''}`);
    });
  }
}

export function renderProposal(detail: ProposalDetail): string {
  return [
    `#${detail.id} ${detail.title}  ${detail.ended ?? detail.state}`,
    `scope ${detail.scope}  cause ${detail.cause}  head ${detail.headSha.slice(0, 12)}  onto ${detail.base.slice(0, 12)}`,
    ...(detail.verdict?.reasons ?? []).map((reason) => `${colors.yellow(reason.code)}  ${reason.message}`),
    ...detail.reviews.map((review) => `${review.verdict} by ${review.by} at ${review.sha.slice(0, 12)}${review.dismissed ? ' (no longer counts)' : ''}`),
    '',
    ...detail.diff.split('\n').map((line) => (line.startsWith('+') ? colors.green(line) : line.startsWith('-') ? colors.red(line) : line)),
    ...(detail.state === 'open' ? [`foremesh proposal approve ${detail.id}     foremesh proposal reject ${detail.id}`] : []),
  ].join('\n');
}

async function commentOf(publicKeyFile: string): Promise<string> {
  const comment = await readFile(publicKeyFile, 'utf8')
    .then((text) => text.trim().split(' ').slice(2).join(' '))
    .catch(() => ''); // no public half beside the key: then --by must say who it is
  if (comment === '') throw new ForemeshError('CLI_USAGE', { what: `${publicKeyFile} names nobody`, fix: 'say who you are with --by, as in mesh-config/allowed_signers' });
  return comment;
}
