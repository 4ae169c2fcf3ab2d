import type { Command } from 'commander';
import type { ScoreboardView } from '../../reconcile/index.ts';
import { ask } from '../engine-client.ts';
import type { EngineOptions } from '../options.ts';
import { colors, printResult, renderTable, shortTime } from '../output.ts';
import { withEngine } from '../with-engine.ts';

/** The API's answer: instants are text. */
type Answer = Omit<ScoreboardView, 'sinceAt' | 'days'> & { schema: string; sinceAt: string; days: (Omit<ScoreboardView['days'][number], 'startAt'> & { startAt: string })[] };

const BARS = '▁▂▃▄▅▆▇█';

export function addScoreboardCommand(forecast: Command): void {
  const command = forecast.command('scoreboard').description('how forecasts turned out when their slots had come, beside rules of thumb').option('--since <duration>', 'how far back', '7d');
  withEngine<EngineOptions & { since: string }>(command, async (client, options) => {
    const answer = await ask<Answer>(client, 'GET', `/v1/forecasts/scoreboard?since=${encodeURIComponent(options.since)}`);
    printResult(options.output, { ...answer }, () => renderScoreboard(answer));
  });
}

/** State of each group, the history as bars, then every model by group and distance. */
export function renderScoreboard({ health, rows, days, slotMs, sinceAt }: Answer): string {
  if (rows.length === 0) return 'no forecast has been scored yet: the first is when its slot and one more have gone by';
  const stateOf = { ok: colors.green('ok'), drifting: colors.yellow('drifting'), failed: colors.red('failed') };
  const states = health.groups.filter(({ demands }) => demands > 0).map(({ group, state, demands, volumeShare, reason }) => [group, stateOf[state], demands, percent(volumeShare), reason]);
  const lines = rows.flatMap(({ group, step, scores }) =>
    scores.map((score) => [group, ahead(step * slotMs), score.isChampion ? colors.bold(score.model) : colors.dim(score.model), percent(score.wape), score.pinballP95.toFixed(4), percent(score.coverageP95), percent(score.coverageByVolume), signed(score.bias), percent(score.unmetP95), score.cells]),
  );
  return [
    `since ${shortTime(sinceAt)} UTC; confidence ${percent(health.confidence)}`,
    renderTable(['group', 'state', 'demands', 'of volume', 'why'], states),
    drawHistory(days),
    renderTable(['group', 'ahead', 'model', 'WAPE', 'P95 pinball', 'P95 covers', 'by volume', 'bias', 'unmet at P95', 'scored'], lines),
  ].join('\n\n');
}

/** Pinball loss day by day; the lower the better, one scale for both lines. */
function drawHistory(days: Answer['days']): string {
  const shown = days.slice(-60);
  const of = (which: 'champion' | 'best'): (number | null)[] => shown.map((day) => day[which]?.pinball ?? null);
  const top = Math.max(1e-9, ...[...of('champion'), ...of('best')].map((value) => value ?? 0));
  const line = (values: readonly (number | null)[]): string => values.map((value) => (value === null ? '·' : BARS[Math.min(BARS.length - 1, Math.floor((value / top) * BARS.length))]!)).join('');
  const last = shown.at(-1);
  const figure = (score: { model: string; pinball: number } | null | undefined): string => (score ? `${score.pinball.toFixed(4)} ${score.model}` : '-');
  return [`pinball loss by day, lower is better${days.length > shown.length ? ` (the last ${shown.length} days)` : ''}`, `champion   ${line(of('champion'))}  ${figure(last?.champion)}`, `best rule  ${colors.dim(line(of('best')))}  ${figure(last?.best)}`].join('\n');
}

function ahead(ms: number): string {
  return ms % 3_600_000 === 0 ? `${ms / 3_600_000}h` : ms >= 60_000 ? `${Math.round(ms / 60_000)}m` : `${Math.round(ms / 1000)}s`;
}

function percent(ratio: number): string {
  return `${(ratio * 100).toFixed(1)} %`;
}

function signed(ratio: number): string {
  return `${ratio > 0 ? '+' : ''}${percent(ratio)}`;
}
