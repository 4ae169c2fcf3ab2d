import { createReadStream } from 'node:fs';
import { basename } from 'node:path';
import { createGunzip } from 'node:zlib';
import { InvalidArgumentError, Option, type Command } from 'commander';
import { ForemeshError, messageOf, parseDurationMs } from '../../base/index.ts';
import { benchPaths, generatePaths, readPaths, type OnsetScore, type PathBenchResult, type PathBenchSet, type ProbabilityScore, type ScenarioScore, type Skills } from '../../forecast/index.ts';
import { count, duration, share } from '../arguments.ts';
import { outputOption, type CommonOptions } from '../options.ts';
import { printResult, renderTable, timedTelling } from '../output.ts';

interface PathsOptions extends CommonOptions {
  data: string | null;
  slot: number | null;
  class: ClassOption[];
  testFrom: number;
  horizon: number;
  stride: number;
  warnAt: number;
  seed: string;
  seeds: number;
  days: number;
  paths: number;
}

type ClassOption = { classId: string; bounds: { latencyMaxMs: number; jitterMaxMs: number; lossMaxRatio: number } };

const CLASSES = ['voice=150ms,30ms,1%', 'business=250ms,60ms,2%', 'bulk=1s,1s,5%'];

/** `foremesh bench paths`: how well violations of service levels are foreseen, on a recorded past or a made-up one. */
export function addPathsBench(bench: Command): void {
  bench
    .command('paths')
    .description('how well paths that will break the bounds of a traffic class are foreseen: Brier scores, reliability, skill over doing without')
    .addOption(new Option('--data <file>', 'recorded past: CSV, or CSV packed by gzip, with timestamp,path,latencyMs,jitterMs,lossRatio; without it, made-up ones').default(null, 'made up'))
    .addOption(new Option('--slot <duration>', 'length of a slot').argParser(duration).default(null, 'as recorded; 5m where made up'))
    .addOption(new Option('--class <bounds...>', 'name=latency,jitter,loss').argParser((text: string, before: ClassOption[] | string[]) => [...before.filter((each): each is ClassOption => typeof each !== 'string'), classOption(text)]).default(CLASSES, CLASSES.join(' ')))
    .option('--test-from <share>', 'of the time: what lies before is learned from', share, 0.7)
    .addOption(new Option('--horizon <duration>', 'how far ahead').argParser(duration).default(3_600_000, '1h'))
    .option('--stride <n>', 'forecast every n-th slot', count, 3)
    .option('--warn-at <probability>', 'forecasts from here on count as warnings', share, 0.6)
    .option('--seed <text>', 'of what is drawn while learning, and of what is made up', 'bench')
    .option('--seeds <n>', 'made-up pasts', count, 3)
    .option('--days <n>', 'of each', count, 14)
    .option('--paths <n>', 'of each kind in each', count, 6)
    .addOption(outputOption())
    .action(async (options: PathsOptions) => {
      const result = await benchPaths(await setsOf(options), {
        classes: options.class.map((each) => (typeof each === 'string' ? classOption(each) : each)),
        testFrom: options.testFrom,
        horizonMs: options.horizon,
        stride: options.stride,
        seed: options.seed,
        warnAt: options.warnAt,
        now: () => performance.now(),
        peakMemoryMb: () => Math.round(process.resourceUsage().maxRSS / 1024),
        onProgress: timedTelling(),
      });
      printResult(options.output, { ...result }, () => renderPaths(result));
    });
}

async function setsOf({ data, slot, seed, seeds, days, paths }: PathsOptions): Promise<PathBenchSet[]> {
  if (data !== null) return [{ name: basename(data), table: await readFile(data, slot), scenarios: null }];
  return Array.from({ length: seeds }, (_, index) => {
    const name = `${seed}-${index + 1}`;
    return { name, ...generatePaths({ seed: name, days, slotMs: slot ?? 300_000, paths }) };
  });
}

async function readFile(file: string, slotMs: number | null): Promise<PathBenchSet['table']> {
  const stream = createReadStream(file);
  const unpacked = file.endsWith('.gz') ? stream.pipe(createGunzip()) : stream;
  stream.on('error', (cause) => unpacked.destroy(cause)); // pipe() does not hand errors on
  try {
    return await readPaths({ name: basename(file), chunks: unpacked, slotMs });
  } catch (cause) {
    if (cause instanceof ForemeshError) throw cause;
    throw new ForemeshError('FORECAST_DATA_INVALID', { what: `${file} cannot be read: ${messageOf(cause)}`, fix: 'give a CSV file, or one packed by gzip whose name ends in .gz', cause });
  }
}

function renderPaths(result: PathBenchResult): string {
  const { paths, slots, slotSeconds, horizonSeconds, trainSeconds, predictMs, peakMemoryMb, sets, methods, onset, scenarios, byClass, coverage, warnAt } = result;
  const groups = (title: string, all: Record<string, ScenarioScore>): string[] =>
    Object.keys(all).length === 0 ? [] : [`${title}\n${renderTable([title, 'forecasts', 'broken', 'Brier', 'over climatology', 'over persistence', 'ECE', 'onsets', 'over climatology', 'recall', 'precision'], Object.entries(all).map(([name, score]) => [name, ...groupRow(score)]))}`];
  return [
    `${paths} paths, ${slots} slots of ${slotSeconds} s, ${horizonSeconds / 60} min ahead; learned in ${trainSeconds.toFixed(1)} s, ${predictMs.toFixed(0)} ms a forecast of all paths, ${peakMemoryMb} MB`,
    `methods, over all (${sets.map(({ name, chosen }) => `${name}: ${chosen}`).join(', ')})\n${renderTable(['method', 'Brier', 'log loss', 'over climatology', 'over persistence', 'ECE', 'onsets: Brier', 'over climatology', 'over persistence', `warned at ${warnAt}`, 'right'], Object.entries(methods).map(([name, score]) => methodRow(name, score, onset[name]!)))}`,
    ...groups('scenario', scenarios),
    ...groups('class', byClass),
    `quantiles of the worst slot: ${Object.entries(coverage).map(([figure, { p50, p90, p95 }]) => `${figure} p50 holds ${percent(p50)}, p90 ${percent(p90)}, p95 ${percent(p95)}`).join('; ')}`,
    `reliability of what was chosen\n${renderReliability(methods['chosen']!)}`,
  ].join('\n\n');
}

function methodRow(name: string, score: ProbabilityScore & { skill: Skills }, onset: OnsetScore): (string | null)[] {
  return [name, score.brier.toFixed(4), score.logLoss.toFixed(4), percent(score.skill.climatology), percent(score.skill.persistence), score.ece.toFixed(4), onset.brier.toFixed(4), percent(onset.skill.climatology), percent(onset.skill.persistence), percent(onset.recall), percent(onset.precision)];
}

function groupRow({ count, baseRate, brier, skill, ece, onset }: ScenarioScore): (string | number | null)[] {
  return [count, percent(baseRate), brier.toFixed(4), percent(skill.climatology), percent(skill.persistence), ece.toFixed(4), percent(onset.baseRate), percent(onset.skill.climatology), percent(onset.recall), percent(onset.precision)];
}

/** A line a bin: what was said, what came, how often; `|` where both would be equal, `o` where it came. */
function renderReliability({ reliability }: ProbabilityScore): string {
  const width = 40;
  const lines = reliability.map(({ from, to, count, forecast, observed }) => {
    if (forecast === null || observed === null) return `${from.toFixed(1)}–${to.toFixed(1)}`;
    const chart = Array.from({ length: width + 1 }, () => ' ');
    chart[Math.round(forecast * width)] = '|';
    chart[Math.round(observed * width)] = 'o';
    return `${from.toFixed(1)}–${to.toFixed(1)}  ${chart.join('')}  said ${percent(forecast)}, came ${percent(observed)}, ${count} times`;
  });
  return lines.join('\n');
}

function percent(value: number | null): string | null {
  return value === null ? null : `${(100 * value).toFixed(1)} %`;
}

function classOption(text: string): ClassOption {
  const match = /^([a-z][a-z0-9-]*)=([^,]+),([^,]+),([0-9.]+)%$/.exec(text);
  const [latencyMaxMs, jitterMaxMs] = [parseDurationMs(match?.[2] ?? ''), parseDurationMs(match?.[3] ?? '')];
  const lossMaxRatio = Number(match?.[4] ?? Number.NaN) / 100;
  if (!match || latencyMaxMs === null || jitterMaxMs === null || !(lossMaxRatio >= 0 && lossMaxRatio <= 1)) throw new InvalidArgumentError('bounds are needed, such as voice=150ms,30ms,1%');
  return { classId: match[1]!, bounds: { latencyMaxMs, jitterMaxMs, lossMaxRatio } };
}
