import type { Command } from 'commander';
import type { EngineOptions } from '../options.ts';
import { renderForecastExplanation, type OutsideExplanation } from '../forecast-explanation.ts';
import { ForemeshError, formatMbps } from '../../base/index.ts';
import { ask } from '../engine-client.ts';
import { printResult, renderTable } from '../output.ts';
import { withEngine } from '../with-engine.ts';
import { engineReport } from '../engine-report.ts';
import { writeReport } from './bench-forecast.ts';
import { addLedgerCommand } from './forecast-ledger.ts';
import { addModelsCommand } from './forecast-models.ts';
import { addPathsCommand } from './forecast-paths.ts';
import { addScoreboardCommand } from './forecast-scoreboard.ts';

export interface ForecastAnswer extends Record<string, unknown> {
  schema: string;
  model: string | null;
  training: { state: string; text: string; backtest: { model: string; wape: number; pinball: number; coverageP95: number }[] };
  forecasts: { rank: number; pair: string; classId: string; priority: number; observedMbps: number | null; droppedMbps: number | null; p50PeakMbps: number; p90PeakMbps: number; p95PeakMbps: number; peakAt: string | null }[];
}

export function addForecastCommand(program: Command): void {
  const forecast = program.command('forecast').description('what the engine expects, and how well it did');
  const show = forecast
    .command('show')
    .argument('[pair]', "one pair, such as 'berlin>paris': its chart, its slots, and what the forecast rests on")
    .description('pairs by priority with their predicted bandwidth; or one pair, explained')
    .option('--class <name>', 'only this traffic class of the pair')
    .option('--ascii', 'draw without Braille characters');
  withEngine<EngineOptions & { class?: string; ascii?: boolean }>(show, async (client, options, [pair]) => {
    if (pair !== undefined) {
      if (!/^[^>]+>[^>]+$/.test(pair)) throw new ForemeshError('CLI_USAGE', { what: `${JSON.stringify(pair)} is no pair`, fix: "write it as 'berlin>paris', in quotes: the shell takes > for itself" });
      const answer = await ask<{ schema: string; pair: string; explanations: OutsideExplanation[] }>(client, 'GET', `/v1/forecasts/${encodeURIComponent(pair)}${options.class === undefined ? '' : `?class=${encodeURIComponent(options.class)}`}`);
      printResult(options.output, answer, () => answer.explanations.map((each) => renderForecastExplanation(each, options.ascii ?? false)).join('\n\n'));
      return;
    }
    const answer = await ask<ForecastAnswer>(client, 'GET', '/v1/forecasts');
    printResult(options.output, answer, () =>
      [
        `model ${answer.model ?? '-'}`,
        renderTable(
          ['#', 'pair', 'class', 'priority', 'now', 'dropped', 'P50', 'P90', 'P95', 'peak at'],
          answer.forecasts.map((entry) => [entry.rank, entry.pair, entry.classId, entry.priority, entry.observedMbps === null ? null : formatMbps(entry.observedMbps), entry.droppedMbps === null || entry.droppedMbps === 0 ? null : formatMbps(entry.droppedMbps), formatMbps(entry.p50PeakMbps), formatMbps(entry.p90PeakMbps), formatMbps(entry.p95PeakMbps), entry.peakAt]),
        ),
      ].join('\n\n'),
    );
  });
  addPathsCommand(forecast);
  const backtest = forecast.command('backtest').description('scores of all models on held-out slots; the best one is used').option('--html <file>', 'also write a report with charts, live scores and the heaviest demands: one file, nothing else needed to read it');
  withEngine<EngineOptions & { html?: string }>(backtest, async (client, options) => {
    const answer = await ask<ForecastAnswer>(client, 'GET', '/v1/forecasts');
    const { model, training } = answer;
    if (options.html !== undefined) await writeReport(options.html, await engineReport(client, answer));
    printResult(options.output, { schema: 'foremesh/backtest/v1', model, training }, () =>
      [
        `${training.state}: ${training.text}`,
        renderTable(
          ['model', 'WAPE', 'pinball', 'P95 covers', ''],
          training.backtest.map((score) => [score.model, `${(score.wape * 100).toFixed(1)} %`, score.pinball.toFixed(4), `${(score.coverageP95 * 100).toFixed(1)} %`, score.model === model ? 'in use' : '']),
        ),
        ...(options.html === undefined ? [] : [`the report is in ${options.html}`]),
      ].join('\n\n'),
    );
  });
  withEngine(forecast.command('train').description('train the models again now, with what was observed since'), async (client, options) => {
    const answer = await ask<Record<string, unknown> & { schema: string }>(client, 'POST', '/v1/forecasts/training');
    printResult(options.output, answer, () => 'training has begun; foremesh forecast backtest shows the scores when it is done');
  });
  addScoreboardCommand(forecast);
  addLedgerCommand(forecast);
  addModelsCommand(forecast);
}
