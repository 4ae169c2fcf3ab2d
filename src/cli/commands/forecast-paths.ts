import type { Command } from 'commander';
import { formatDuration } from '../../base/index.ts';
import { ask } from '../engine-client.ts';
import { printResult, renderTable } from '../output.ts';
import { withEngine } from '../with-engine.ts';

type Quantiles = { p50: number; p90: number; p95: number } | null;

interface PathsAnswer extends Record<string, unknown> {
  schema: string;
  fromAt: string;
  horizonMs: number;
  model: string;
  skill: number;
  backtest: { model: string; brier: number; logLoss: number }[];
  paths: { path: string; latencyMs: Quantiles; jitterMs: Quantiles; lossRatio: Quantiles; violations: { classId: string; probability: number }[]; basis: string }[];
}

/** `foremesh forecast paths`: what is expected of each path within the horizon. */
export function addPathsCommand(forecast: Command): void {
  withEngine(forecast.command('paths').description('how probable it is that a path breaks the SLA of a class within the horizon, worst first'), async (client, options) => {
    const answer = await ask<PathsAnswer>(client, 'GET', '/v1/forecasts/paths');
    printResult(options.output, answer, () => renderPaths(answer));
  });
}

function renderPaths({ fromAt, horizonMs, model, skill, backtest, paths }: PathsAnswer): string {
  const classes = paths[0]?.violations.map(({ classId }) => classId) ?? [];
  const learned = backtest.length === 0 ? 'nothing learned yet: the shares so far' : `Brier score ${(100 * skill).toFixed(1)} % better than the best rule of thumb on held-out time`;
  return [
    `${formatDuration(horizonMs)} from ${fromAt} on; model ${model}, ${learned}`,
    renderTable(
      ['path', ...classes, 'latency p50 / p95, ms', 'jitter p95, ms', 'loss p95', ''],
      paths.map(({ path, latencyMs, jitterMs, lossRatio, violations, basis }) => [
        path,
        ...violations.map(({ probability }) => `${(100 * probability).toFixed(probability < 0.1 ? 1 : 0)} %`),
        latencyMs && `${latencyMs.p50.toFixed(1)} / ${latencyMs.p95.toFixed(1)}`,
        jitterMs && jitterMs.p95.toFixed(1),
        lossRatio && `${(100 * lossRatio.p95).toFixed(2)} %`,
        basis === 'pool' ? 'new' : null,
      ]),
    ),
  ].join('\n\n');
}
