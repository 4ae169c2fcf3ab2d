import { readFile } from 'node:fs/promises';
import { basename } from 'node:path';
import { Option, type Command } from 'commander';
import { ForemeshError, messageOf } from '../../base/index.ts';
import { benchForesight, FORESIGHT_POLICIES, readTopology, type ForesightPolicy, type ForesightResult, type Range, type Topology, type WorstDay } from '../../reconcile/index.ts';
import { duration, share } from '../arguments.ts';
import { outputOption, type CommonOptions } from '../options.ts';
import { printResult, renderTable, timedTelling } from '../output.ts';
import { readTrafficFile } from './bench-forecast.ts';

interface ForesightBenchOptions extends CommonOptions {
  data: string;
  topology: string;
  policy?: ForesightPolicy[];
  testFrom: number;
  step: number | null;
  seed: string;
}

/** `foremesh bench foresight`: what forecasts are worth, from demand to what was carried, against a rule that reacts and one that knows the future. */
export function addForesightBench(bench: Command): void {
  bench
    .command('foresight')
    .description('what foresight is worth: replays your own demands through a mesh that reacts, smooths, forecasts or knows the future')
    .requiredOption('--data <file>', 'CSV, or CSV packed by gzip: timestamp or step number, then one column a pair (from>to)')
    .requiredOption('--topology <file>', 'JSON with the places of the ends: { "nodes": [{ "name", "lat", "lon" }] }')
    .addOption(new Option('--policy <name...>', 'only these; shares need reactive and oracle').choices(FORESIGHT_POLICIES))
    .option('--test-from <share>', 'of the rows: those before are learned from, the mesh is sized by them', share, 0.8)
    .addOption(new Option('--step <duration>', 'length of a step where the table counts steps').argParser(duration).default(null, '5m'))
    .option('--seed <text>', 'of learning, and of how long people take to approve', 'bench')
    .addOption(outputOption())
    .action(async (options: ForesightBenchOptions) => {
      const progress = timedTelling();
      const topology = await readTopologyFile(options.topology);
      const matrix = await readTrafficFile(options.data, options.step);
      progress(`${matrix.pairs.length} directed pairs, ${matrix.rowSlots.length} rows on ${matrix.length} steps of ${matrix.stepMs / 1000} s`);
      const result = await benchForesight(matrix, topology, {
        testFrom: options.testFrom,
        policies: options.policy ?? FORESIGHT_POLICIES,
        seed: options.seed,
        now: () => performance.now(),
        peakMemoryMb: () => Math.round(process.resourceUsage().maxRSS / 1024),
        onProgress: progress,
      });
      printResult(options.output, { ...result }, () => renderForesight(result));
    });
}

async function readTopologyFile(file: string): Promise<Topology> {
  const fix = 'give a JSON file of { "nodes": [{ "name": "berlin", "lat": 52.5, "lon": 13.4 }] }';
  const text = await readFile(file, 'utf8').catch((cause: unknown) => {
    throw new ForemeshError('FORESIGHT_TOPOLOGY_INVALID', { what: `${file} cannot be read: ${messageOf(cause)}`, fix, cause });
  });
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch (cause) {
    throw new ForemeshError('FORESIGHT_TOPOLOGY_INVALID', { what: `${file} is no JSON: ${messageOf(cause)}`, fix, cause });
  }
  return readTopology(value, basename(file));
}

function renderForesight(result: ForesightResult): string {
  const { policies, removed, ruleSpread, unmatched } = result;
  const rows = Object.entries(policies).map(([name, each]) => [
    name,
    `${(100 * each.unservedShare).toFixed(3)} %`,
    (each.unservedMbit / 8000).toFixed(0),
    each.overCapacityMinutes.toFixed(0),
    each.slaMinutes.toFixed(0),
    each.tunnelHours.toFixed(0),
    each.tunnelChanges,
    each.usd.toFixed(0),
    each.proposals,
    `${(100 * each.lead.inTime).toFixed(0)} %`,
    each.lead.minutesP50.toFixed(1),
    each.lead.minutesP10.toFixed(1),
  ]);
  const table = renderTable(['policy', 'unserved', 'GB', 'min over', 'SLA min', 'tunnel-h', 'changes', 'USD', 'proposals', 'up in time', 'lead min', 'worst tenth'], rows);
  const shares = Object.entries(removed).flatMap(([against, each]) =>
    Object.entries(each).map(([name, { unserved, slaMinutes, tunnelHours, tunnelChanges }]) => [`${name} against ${against}`, percent(unserved), percent(slaMinutes), percent(tunnelHours), percent(tunnelChanges)]),
  );
  const range = (each: Range | null): string | null => each && `${[each.min, each.median, each.max].map((value) => (100 * value).toFixed(0)).join(' / ')} %`;
  const spread = Object.entries(ruleSpread).flatMap(([name, { all, withinBudget }]) =>
    ([['settings', all], ['settings within the budget', withinBudget]] as const).map(([which, each]) => [`${name} against ${each.settings} ${which}`, range(each.unserved), range(each.slaMinutes), range(each.tunnelHours), range(each.tunnelChanges)]),
  );
  const missing = [
    ...(unmatched.traffic.length > 0 ? [`not in the topology, left out: ${unmatched.traffic.join(', ')}`] : []),
    ...(unmatched.topology.length > 0 ? [`in the topology without traffic: ${unmatched.topology.join(', ')}`] : []),
  ];
  return [
    `${result.sites} sites, ${result.pairs} pairs, ${result.replayedSlots} slots of ${result.stepSeconds} s replayed; a tunnel carries ${result.world.tunnelMbps.toPrecision(3)} Mbit/s; ${result.seconds.toFixed(0)} s, ${result.peakMemoryMb} MB`,
    ...missing,
    '',
    table,
    ...(shares.length > 0 ? ['', renderTable(['of the way to the oracle', 'unserved', 'SLA min', 'tunnel-h', 'changes'], shares)] : []),
    ...(spread.length > 0 ? ['', renderTable(['min / median / max', 'unserved', 'SLA min', 'tunnel-h', 'changes'], spread)] : []),
    ...(result.worstDay ? ['', renderWorstDay(result.worstDay)] : []),
    '',
  ].join('\n');
}

const BARS = ' ▁▂▃▄▅▆▇█';
const WIDTH = 72;

function renderWorstDay({ startAt, demandMbps, unservedMbps }: WorstDay): string {
  const lines = Object.entries(unservedMbps).map(([name, values]) => [name, binned(values)] as const);
  const most = Math.max(...lines.flatMap(([, values]) => values), 1e-9);
  const chart = (values: readonly number[], top: number): string => values.map((value) => BARS[value > 0 ? Math.max(1, Math.ceil((8 * value) / top)) : 0]).join('');
  const wanted = binned(demandMbps);
  const day = startAt > 0 ? new Date(startAt).toISOString().slice(0, 10) : 'the day';
  return [
    `not served on ${day}, the worst; a bar is ${(1440 / WIDTH).toFixed(0)} minutes, the highest ${most.toFixed(1)} Mbit/s`,
    `  ${'wanted'.padEnd(16)}${chart(wanted, Math.max(...wanted, 1e-9))}`,
    ...lines.map(([name, values]) => `  ${name.padEnd(16)}${chart(values, most)}`),
  ].join('\n');
}

/** The means of `WIDTH` stretches. */
function binned(values: readonly number[]): number[] {
  return Array.from({ length: WIDTH }, (_, bin) => {
    const part = values.slice(Math.floor((bin * values.length) / WIDTH), Math.max(Math.floor((bin * values.length) / WIDTH) + 1, Math.floor(((bin + 1) * values.length) / WIDTH)));
    return part.reduce((sum, value) => sum + value, 0) / Math.max(1, part.length);
  });
}

function percent(value: number | null): string | null {
  return value === null ? null : `${(100 * value).toFixed(1)} %`;
}
