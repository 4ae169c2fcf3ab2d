import { InvalidArgumentError, type Command } from 'commander';
import { benchAnomalies, DAYS_PER_ALARM, type AnomalyBenchResult, type DetectionScore } from '../../forecast/index.ts';
import { count, duration, share } from '../arguments.ts';
import { outputOption, type CommonOptions } from '../options.ts';
import { printResult, renderTable, tell } from '../output.ts';
import { readTrafficFile } from './bench-forecast.ts';

interface AnomalyOptions extends CommonOptions {
  data: string;
  testFrom: number;
  daysPerAlarm: number;
  trials: number;
  step: number | null;
  seed: string;
}

/** `foremesh bench anomalies`: watches a table of demands, counts what it tells, and how much it finds of what is added. */
export function addAnomalyBench(bench: Command): void {
  bench
    .command('anomalies')
    .description('how often your own demands would have raised an alarm, and which surges, drops, new pairs and scans would have been found')
    .requiredOption('--data <file>', 'CSV, or CSV packed by gzip: timestamp or step number, then one column a pair (from>to)')
    .option('--test-from <share>', 'of the slots: those before are only learned from', share, 0.6)
    .option('--days-per-alarm <n>', 'days in which one pair may raise one false alarm; fewer are more sensitive', days, DAYS_PER_ALARM)
    .option('--trials <n>', 'made-up events of each kind, about', count, 2000)
    .option('--step <duration>', 'length of a step where the table counts steps', duration, null)
    .option('--seed <text>', 'of moments', 'bench')
    .addOption(outputOption())
    .action(async (options: AnomalyOptions) => {
      const result = benchAnomalies(await readTrafficFile(options.data, options.step), { ...options, onProgress: tell });
      printResult(options.output, { ...result }, () => render(result));
    });
}

function render({ pairs, sites, testDays, alarms, nonTiny, detection, byDuration }: AnomalyBenchResult): string {
  const rows = Object.entries(detection).map(([name, groups]) => [name, ...(['all', 'nonTiny', 'steady'] as const).flatMap((group) => cells(groups[group]))]);
  const ofPairs = alarms.perHundredPairDays;
  const ofSites = alarms.perHundredSiteDays;
  const durations = Object.values(byDuration)[0] ?? [];
  return [
    `${pairs} pairs of ${sites} sites, ${testDays.toFixed(1)} days watched`,
    `alarms on the data as it is, in 100 days of a pair: ${ofPairs.all.toFixed(2)} (surge ${ofPairs.surge.toFixed(2)}, drop ${ofPairs.drop.toFixed(2)}, new pair ${ofPairs.newPair.toFixed(2)}); of a site: ${ofSites.all.toFixed(2)} (surge ${ofSites.surge.toFixed(2)}, drop ${ofSites.drop.toFixed(2)}, fan-out ${ofSites.fanOut.toFixed(2)})`,
    `${nonTiny.pairs} pairs carry 95 % of everything; ${nonTiny.steady} of them are steady enough for a surge of 3 times to be beyond their own bound`,
    `${renderTable(['of not tiny pairs, told while it lasts', ...durations.map(({ minutes }) => `${minutes} min`)], Object.entries(byDuration).map(([name, shares]) => [name, ...shares.map(({ nonTiny: found }) => (found === null ? null : `${(100 * found).toFixed(1)} %`))]))}\n`,
    `${renderTable(['an hour of', 'any pair', 'min', 'not tiny', 'min', 'and steady', 'min'], rows)}\n`,
  ].join('\n');
}

function cells(score: DetectionScore | undefined): (string | null)[] {
  if (!score || score.share === null) return [null, null];
  return [`${(100 * score.share).toFixed(1)} % of ${score.trials}`, score.delayMinutes?.toFixed(0) ?? null];
}

function days(text: string): number {
  const value = Number(text);
  if (!(value >= 0.1 && value <= 10_000)) throw new InvalidArgumentError('a number between 0.1 and 10000 is needed');
  return value;
}
