import { createReadStream } from 'node:fs';
import { writeFile } from 'node:fs/promises';
import { basename } from 'node:path';
import { createGunzip } from 'node:zlib';
import { Option, type Command } from 'commander';
import { ForemeshError, messageOf } from '../../base/index.ts';
import { benchForecast, BENCH_MODELS, createBenchReport, readTraffic, type DemandMatrix, type ForecastBenchResult } from '../../forecast/index.ts';
import { count, duration, share } from '../arguments.ts';
import { outputOption, type CommonOptions } from '../options.ts';
import { printResult, renderTable, timedTelling } from '../output.ts';

interface ForecastOptions extends CommonOptions {
  data: string;
  testFrom: number;
  horizon: { name: string; ms: number }[];
  stride: number;
  model: string;
  step: number | null;
  seed: string;
  html?: string;
}

/** `foremesh bench forecast`: fits on the first part of a table of demands and scores forecasts of the rest. */
export function addForecastBench(bench: Command): void {
  bench
    .command('forecast')
    .description('how good forecasts of your own demands would have been: learns from the first rows of a table and forecasts the later ones')
    .requiredOption('--data <file>', 'CSV, or CSV packed by gzip: timestamp or step number, then one column a pair (from>to)')
    .option('--test-from <share>', 'of the rows: those before are learned from', share, 0.8)
    .addOption(new Option('--horizon <durations>', 'how far ahead, separated by commas').argParser(horizons).default(horizons('15m,60m'), '15m,60m'))
    .option('--stride <n>', 'forecast every n-th row', count, 1)
    .addOption(new Option('--model <name>', 'what to use; auto takes what was best on the last fifth of what is learned from').choices(['auto', ...BENCH_MODELS]).default('auto'))
    .addOption(new Option('--step <duration>', 'length of a step where the table counts steps').argParser(duration).default(null, '5m'))
    .option('--seed <text>', 'of what is drawn while learning', 'bench')
    .option('--html <file>', 'also write a report with charts: one file, nothing else needed to read it')
    .addOption(outputOption())
    .action(async (options: ForecastOptions) => {
      const progress = timedTelling();
      const matrix = await readTrafficFile(options.data, options.step);
      progress(`${matrix.pairs.length} pairs, ${matrix.rowSlots.length} rows on ${matrix.length} steps of ${matrix.stepMs / 1000} s`);
      const report = options.html === undefined ? null : createBenchReport(basename(options.data), matrix);
      const result = await benchForecast(matrix, {
        testFrom: options.testFrom,
        horizons: options.horizon,
        stride: options.stride,
        model: options.model,
        seed: options.seed,
        now: () => performance.now(),
        cpu: () => (process.cpuUsage().user + process.cpuUsage().system) / 1000,
        peakMemoryMb: () => Math.round(process.resourceUsage().maxRSS / 1024),
        onProgress: progress,
        ...(report && { onScored: report.onScored }),
      });
      if (report && options.html !== undefined) await writeReport(options.html, report.render(result));
      printResult(options.output, { ...result }, () => renderForecast(result));
    });
}

/** @throws ForemeshError FORECAST_FAILED */
export async function writeReport(file: string, page: string): Promise<void> {
  try {
    await writeFile(file, page);
  } catch (cause) {
    throw new ForemeshError('FORECAST_FAILED', { what: `the report cannot be written to ${file}: ${messageOf(cause)}`, fix: 'name a file in a folder that you may write to', cause });
  }
}

export async function readTrafficFile(file: string, stepMs: number | null): Promise<DemandMatrix> {
  const stream = createReadStream(file);
  const unpacked = file.endsWith('.gz') ? stream.pipe(createGunzip()) : stream;
  stream.on('error', (cause) => unpacked.destroy(cause)); // pipe() does not hand errors on
  try {
    return await readTraffic({ name: basename(file), chunks: unpacked, stepMs });
  } catch (cause) {
    if (cause instanceof ForemeshError) throw cause;
    throw new ForemeshError('FORECAST_DATA_INVALID', { what: `${file} cannot be read: ${messageOf(cause)}`, fix: 'give a CSV file, or one packed by gzip whose name ends in .gz', cause });
  }
}

function renderForecast({ horizons, pairs, rows, stepSeconds, trainSeconds, predictMsPerStep, predictThousandMs, predictThousandCpuMs, predictThousandFirstMs, peakMemoryMb }: ForecastBenchResult): string {
  const tables = Object.entries(horizons).map(([name, { chosen, groups, models }]) => {
    const lines = Object.entries(models).map(([model, score]) => {
      const at14 = score.tradeoff.find(({ allocation }) => allocation === 1.4)!;
      const tail = [percent(at14.unmet), percent(at14.over)];
      if (!('wape' in score)) return [model, ...Array.from({ length: 7 }, () => null), ...tail];
      const { wape, mase, pinball, coverage, coverageByVolume, allocation, topkPrecision } = score;
      return [model === chosen ? `${model} *` : model, wape.toFixed(4), mase.toFixed(3), pinball.p95.toFixed(4), percent(coverage.p95), percent(coverageByVolume.p95), allocation.p95.toFixed(3), topkPrecision.toFixed(3), ...tail];
    });
    return `${name} ahead\n${renderTable(['model', 'wape', 'mase', 'p95 pinball', 'p95 holds', 'by volume', 'Σp95/Σy', 'top tenth', 'unmet at 1.4', 'over'], lines)}\n${renderGroups(groups)}`;
  });
  return `${pairs} pairs, ${rows} rows of ${stepSeconds} s; learned in ${trainSeconds.toFixed(1)} s, ${predictMsPerStep.toFixed(2)} ms a forecast of all pairs, ${predictThousandMs?.toFixed(0)} ms one of 1,000 pairs at four distances (${predictThousandCpuMs?.toFixed(0)} ms of processor time; the first ${predictThousandFirstMs?.toFixed(0)} ms), ${peakMemoryMb} MB; * chosen\n\n${tables.join('\n')}`;
}

function renderGroups(groups: ForecastBenchResult['horizons'][string]['groups']): string {
  const taken = Object.entries(groups).map(([group, { pairs, p50, upper }]) => `${group} (${pairs} pairs): ${p50 === upper ? p50 : `${p50}, upper quantiles ${upper}`}`);
  return taken.length > 0 ? `auto takes for ${taken.join('; ')}\n` : '';
}

function percent(value: number): string {
  return `${(100 * value).toFixed(2)} %`;
}

function horizons(text: string): { name: string; ms: number }[] {
  return text.split(',').map((part) => ({ name: part.trim(), ms: duration(part) }));
}
