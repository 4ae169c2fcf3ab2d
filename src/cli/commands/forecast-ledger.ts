import type { Command } from 'commander';
import { formatMbps } from '../../base/index.ts';
import type { ChangeScore } from '../../model/index.ts';
import type { LedgerView } from '../../reconcile/index.ts';
import { ask } from '../engine-client.ts';
import { colors, printResult, renderChangeLine, renderTable, shortTime } from '../output.ts';
import { withEngine } from '../with-engine.ts';

type Entry = LedgerView['entries'][number];
/** The API's answer: instants are text. */
interface Answer {
  schema: string;
  regret: LedgerView['regret'];
  entries: (Omit<Entry, 'at' | 'dueAt' | 'forecast'> & { at: string; dueAt: string; forecast: (Omit<NonNullable<Entry['forecast']>, 'peakAt'> & { peakAt: string }) | null })[];
}

export function addLedgerCommand(forecast: Command): void {
  withEngine(forecast.command('ledger').description('what became of changes that forecasts asked for: needed, not needed or harmful'), async (client, options) => {
    const answer = await ask<Answer>(client, 'GET', '/v1/forecasts/ledger');
    printResult(options.output, { ...answer }, () => renderLedger(answer));
  });
}

/** Newest first; the commit is one of mesh/live. */
export function renderLedger({ regret, entries }: Answer): string {
  if (entries.length === 0) return 'no change was made because of a forecast yet';
  const rows = entries.map((entry) => [
    shortTime(entry.at),
    renderChangeLine(entry.summary),
    entry.forecast ? `P50 ${formatMbps(entry.forecast.p50Mbps)}, P95 ${formatMbps(entry.forecast.p95Mbps)} at ${entry.forecast.peakAt.slice(11, 16)}` : null,
    entry.meant,
    entry.score ? PAINTED[entry.score] : colors.dim(`due ${shortTime(entry.dueAt)}`),
    entry.reason || null,
    entry.commit.slice(0, 10),
  ]);
  const unknown = regret.unknown > 0 ? `; of ${regret.unknown} more it is not known` : '';
  const recent = regret.recentShareNeeded === null ? '' : `; of the newest ones ${(regret.recentShareNeeded * 100).toFixed(0)} % needed`;
  return [
    `${regret.windowDays} days: ${regret.scored} judged, ${regret.needed} needed, ${regret.notNeeded} not needed, ${regret.harmful} harmful${unknown}${recent}`,
    renderTable(['when (UTC)', 'change', 'forecast', 'meant to prevent', 'score', 'why', 'commit'], rows),
  ].join('\n\n');
}

const PAINTED: Record<ChangeScore, string> = { needed: colors.green('needed'), 'not-needed': colors.yellow('not needed'), harmful: colors.red('harmful'), unknown: colors.dim('unknown') };
