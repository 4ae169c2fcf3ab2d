import { InvalidArgumentError, Option, type Command } from 'commander';
import { keepCommandHelper, parseDurationMs } from '../../base/index.ts';
import { benchAgent, type AgentBenchResult, benchFailover, benchSoak, FAILOVER_SCENARIOS, type FailoverBenchResult, type ScenarioName, SOAK_VICTIMS, type SoakResult, type SoakVictim } from '../../lab/index.ts';
import { findOpa } from '../../policy/index.ts';
import { endSignal } from '../end-signal.ts';
import { packageRoot } from '../package-root.ts';
import { outputOption, type CommonOptions } from '../options.ts';
import { printResult, renderTable, tell } from '../output.ts';
import { addAnomalyBench } from './bench-anomalies.ts';
import { addForecastBench } from './bench-forecast.ts';
import { addForesightBench } from './bench-foresight.ts';
import { addPathsBench } from './bench-paths.ts';
import { addPlannerBench } from './bench-planner.ts';

interface FailoverOptions extends CommonOptions {
  runs: number;
  scenario: ScenarioName[];
  /** ms */
  interval: number;
  downAfter: number;
  falseHours: number;
  seed: string;
}

interface SoakOptions extends CommonOptions {
  rounds: number;
  victim: SoakVictim[];
  seed: string;
}

/** `foremesh bench …`: measurements that anybody can repeat; JSON with fixed keys for other programs. */
export function addBenchCommand(program: Command): void {
  const bench = program.command('bench').description('measure, on this machine');
  bench
    .command('failover')
    .description('what failures and planned changes cost, in milliseconds and packets: a real mesh of two sites in namespaces (Linux, root)')
    .option('--runs <n>', 'trials of each scenario', count, 10)
    .addOption(new Option('--scenario <name...>', 'only these').choices(FAILOVER_SCENARIOS).default(FAILOVER_SCENARIOS, 'all'))
    .option('--interval <duration>', 'between probes', duration, 50)
    .option('--down-after <n>', 'missed probes', count, 3)
    .option('--false-hours <n>', 'virtual hours for the count of false fail-overs, 0 for none', count, 24)
    .option('--seed <text>', 'of WAN and loss', 'bench')
    .addOption(outputOption())
    .action(async (options: FailoverOptions) => {
      keepCommandHelper();
      const result = await benchFailover({
        runs: options.runs,
        scenarios: options.scenario,
        sourceDir: packageRoot(),
        opa: await findOpa(),
        seed: options.seed,
        probe: { intervalMs: options.interval, downAfter: options.downAfter },
        falseHours: options.falseHours,
        onProgress: tell,
        signal: endSignal(),
      });
      printResult(options.output, { ...result }, () => renderFailover(result));
      process.exit(Object.values(result.scenarios).some(({ broken }) => broken.length > 0) ? 1 : 0);
    });
  addSoak(bench);
  addAgent(bench);
  addForecastBench(bench);
  addAnomalyBench(bench);
  addPathsBench(bench);
  addPlannerBench(bench);
  addForesightBench(bench);
}

function addSoak(bench: Command): void {
  bench
    .command('soak')
    .description('kill -9 of agents, IKE daemons and engine, and other hands in rules and guards, at random moments: what was lost, what left in clear text (Linux, root)')
    .option('--rounds <n>', 'of each kind', count, 50)
    .addOption(new Option('--victim <name...>', 'only these').choices(SOAK_VICTIMS).default(SOAK_VICTIMS, 'all'))
    .option('--seed <text>', 'of moments and WAN', 'soak')
    .addOption(outputOption())
    .action(async (options: SoakOptions) => {
      keepCommandHelper();
      const result = await benchSoak({ rounds: options.rounds, victims: options.victim, sourceDir: packageRoot(), opa: await findOpa(), seed: options.seed, onProgress: tell, signal: endSignal() });
      printResult(options.output, { ...result }, () => renderSoak(result));
      process.exit(Object.values(result.victims).some(({ broken, clearTextPackets }) => broken.length > 0 || clearTextPackets > 0) ? 1 : 0);
    });
}

function addAgent(bench: Command): void {
  bench
    .command('agent')
    .description('how soon many tunnels between two gateways are up from cold, what an agent costs then, and what its restart tears down (Linux, root)')
    .option('--tunnels <n>', 'between the two, half of them backups', count, 500)
    .option('--interval <duration>', 'between probes', duration, 50)
    .option('--down-after <n>', 'missed probes', count, 4)
    .option('--load-for <duration>', 'how long the load is measured', duration, 10_000)
    .addOption(outputOption())
    .action(async (options: CommonOptions & { tunnels: number; interval: number; downAfter: number; loadFor: number }) => {
      keepCommandHelper();
      if (options.tunnels < 2 || options.tunnels > 4096) throw new InvalidArgumentError('2 to 4096 tunnels are possible');
      const result = await benchAgent({ tunnels: options.tunnels, probe: { intervalMs: options.interval, downAfter: options.downAfter }, loadMs: options.loadFor, onProgress: tell, signal: endSignal() });
      printResult(options.output, { ...result }, () => renderAgent(result));
      process.exit(0);
    });
}

function renderAgent({ tunnels, probe, installedMs, upMs, adoptedMs, tornDown, agent }: AgentBenchResult): string {
  return [
    `${tunnels} tunnels, probes every ${probe.intervalMs} ms`,
    `from cold: all SAs after ${installedMs} ms, all paths up after ${upMs} ms`,
    `agent: ${agent.rssMb} MB resident, ${agent.cpuPercent} % of a core`,
    `agent restarted: all paths up again after ${adoptedMs} ms, ${tornDown} SAs torn down\n`,
  ].join('\n');
}

function renderSoak({ victims }: SoakResult): string {
  const rows = Object.entries(victims).map(([victim, { rounds, backMs, settledMs, lostPackets, lostPacketsTotal, sentPackets, clearTextPackets, leakPackets, broken }]) => [
    victim,
    broken.length > 0 ? `${rounds} (${broken.length} broken)` : rounds,
    backMs.p50,
    backMs.max,
    settledMs.p50,
    settledMs.p99,
    lostPackets.p50,
    lostPackets.max,
    `${lostPacketsTotal} of ${sentPackets}`,
    clearTextPackets,
    leakPackets,
  ]);
  return renderTable(['victim', 'rounds', 'ms until back p50', 'max', 'until settled p50', 'p99', 'lost p50', 'max', 'lost in all', 'clear text', 'stopped by the leak chain'], rows);
}

function count(text: string): number {
  if (!/^[0-9]{1,6}$/.test(text)) throw new InvalidArgumentError('a whole number is needed');
  return Number(text);
}

function duration(text: string): number {
  const durationMs = parseDurationMs(text);
  if (durationMs === null) throw new InvalidArgumentError('a duration is needed, such as 50ms');
  return durationMs;
}

function renderFailover({ scenarios, falseFailovers, probe, packetsPerSecond }: FailoverBenchResult): string {
  const rows = Object.entries(scenarios).map(([name, { runs, outageMs, lostPackets, lostPacketsTotal, sentPackets, duplicated, clearTextPackets, broken }]) => [
    name,
    broken.length > 0 ? `${runs} (+${broken.length} broken)` : runs,
    outageMs.p50,
    outageMs.p90,
    outageMs.p99,
    outageMs.max,
    lostPackets.p50,
    lostPackets.max,
    `${lostPacketsTotal} of ${sentPackets}`,
    duplicated,
    clearTextPackets,
  ]);
  const table = rows.length > 0 ? `${renderTable(['scenario', 'runs', 'ms p50', 'p90', 'p99', 'max', 'lost p50', 'max', 'lost in all', 'double', 'clear text'], rows)}\n` : '';
  const falses = Object.entries(falseFailovers).map(([loss, perHour]) => `${loss} % loss: ${perHour} a path and hour`);
  return `probes every ${probe.intervalMs} ms, ${probe.downAfter} missed; streams of ${packetsPerSecond} packets a second each way\n${table}${falses.length > 0 ? `false fail-overs, ${falses.join('; ')}\n` : ''}`;
}
