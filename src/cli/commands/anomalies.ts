import type { Command } from 'commander';
import { formatMbps } from '../../base/index.ts';
import { ask } from '../engine-client.ts';
import { colors, printResult, renderTable } from '../output.ts';
import { withEngine } from '../with-engine.ts';

interface AnomaliesAnswer extends Record<string, unknown> {
  schema: string;
  anomalies: { id: string; kind: string; from: string; to: string | null; classId: string | null; startAt: string; endedAt: string | null; severity: string; score: number; expectedMbps: number; seenMbps: number; words: string }[];
}

export function addAnomaliesCommand(program: Command): void {
  withEngine(program.command('anomalies').description('traffic that is not what was to be expected: surges, drops, new pairs, fan-outs'), async (client, options) => {
    const answer = await ask<AnomaliesAnswer>(client, 'GET', '/v1/anomalies');
    printResult(options.output, answer, () => render(answer));
  });
}

function render({ anomalies }: AnomaliesAnswer): string {
  if (anomalies.length === 0) return 'nothing unusual';
  return renderTable(
    ['kind', 'severity', 'from', 'to', 'class', 'since', 'until', 'expected', 'seen', 'in words'],
    anomalies.map(({ kind, severity, from, to, classId, startAt, endedAt, expectedMbps, seenMbps, words }) => [
      kind,
      severity === 'high' ? colors.red(severity) : severity === 'medium' ? colors.yellow(severity) : severity,
      from,
      to,
      classId,
      startAt,
      endedAt ?? 'goes on',
      formatMbps(expectedMbps),
      formatMbps(seenMbps),
      words,
    ]),
  );
}
