import { readFile } from 'node:fs/promises';
import { InvalidArgumentError, Option, type Command } from 'commander';
import { createRng, ForemeshError, formatFinding, messageOf, parseDurationMs } from '../../base/index.ts';
import { busiestUplinks, doubtsAbout, explainPlan, onTrial, orderSteps, parseInstance, planInstance, regain, rehearseFailures, repairAfterFailure, replan, type Certificate, type Change, type Instance, type InstancePlan, type Planned, type PlanOptions, type Rehearsed, type Standing } from '../../planner/index.ts';
import { outputOption, type CommonOptions } from '../options.ts';
import { printResult, renderTable, tell } from '../output.ts';
import { growthOf, growthTable, sizes, type SizeFigures } from './bench-planner-growth.ts';

interface PlannerOptions extends CommonOptions {
  instance?: string;
  sites?: number[];
  /** ms */
  limit: number;
  sweeps?: number;
  seed: string;
  failures: number;
}

/** What a round of optimisation costs for each demand, ms, all else included; 10,000 demands take 50 ms. */
const ROUND_MS_PER_DEMAND = 0.005;
/** Below, plans are poor; above, hardly better. A small mesh is dearer to get wrong than to compute: it gets as many as cost little. */
const SWEEPS = { least: 6, most: 24, mostSmall: 60, smallDemands: 3000 } as const;
/** A plan that starts from the one before needs fewer rounds. */
const WARM_SHARE = 0.4;
/** A plan after a failure needs fewer still: the plan before is near, and everything is built. */
const REPLAN_SHARE = 0.17;
/** Uplinks whose death is rehearsed once a plan stands: enough that what answers a failure is compiled. */
const REHEARSED = 8;
/** Standard deviation of ln(demand) from one cycle to the next. */
const NOISE = 0.1;

/** `foremesh bench planner`: plans an instance from nothing and again with noisy demand, with proof of how good the plan is. */
export function addPlannerBench(bench: Command): void {
  bench
    .command('planner')
    .description('what planning takes, cold and from the plan before, and how far from the best possible the plan is, proven by its own prices')
    .option('--instance <file>', 'a te-instance/1 (docs/planning.md)')
    .addOption(new Option('--sites <list>', 'made-up meshes of so many sites instead, such as 10,30,100,300,1000: how the cost grows').argParser(sizes).conflicts('instance'))
    .addOption(new Option('--limit <duration>', 'about how long planning may take; the same limit gives the same plan on every machine').argParser(duration).default(5000, '5s'))
    .option('--sweeps <n>', 'rounds of optimisation instead of a limit', count)
    .option('--seed <text>', 'of the noise', 'bench')
    .option('--failures <n>', 'uplinks that die, one at a time, from the busiest to the one in the middle', count, 3)
    .addOption(outputOption())
    .action(async (options: PlannerOptions) => {
      if (options.sites !== undefined) {
        const growth = growthOf(options.sites, options.seed, (made) => sizeFigures(made, options));
        printResult(options.output, { schema: 'foremesh/bench-planner-growth/v1', growth }, () => growthTable(growth));
        return;
      }
      if (options.instance === undefined) throw new ForemeshError('CLI_USAGE', { what: 'there is nothing to plan', fix: 'pass --instance FILE.json, or --sites 10,30,100 for made-up meshes' });
      const instance = await loadInstance(options.instance);
      const sweeps = options.sweeps ?? sweepsWithin(options.limit, instance.demands.length);
      tell(`planning ${instance.demands.length} demands, ${sweeps} sweeps`);
      const cold = timed(instance, { sweeps });
      const rehearsal = rehearsed(cold.standing);
      const noisy = withNoise(instance, options.seed);
      const warm = timed(noisy, { sweeps: Math.ceil(WARM_SHARE * sweeps), previousPlan: cold.plan });
      const failures = failuresOf(cold.standing, options.failures, Math.ceil(REPLAN_SHARE * sweeps));
      const result = {
        schema: 'foremesh/bench-planner/v1',
        seconds: cold.seconds,
        rehearsalSeconds: rehearsal.seconds,
        warmSeconds: warm.seconds,
        plan: cold.plan,
        peakMemoryMb: peakMemoryMb(),
        sweeps,
        ...cold.certificate,
        warm: { ...warm.certificate, ...difference(cold.plan, warm.plan), ...wayThere(orderSteps(noisy, cold.plan, warm.plan)) },
        rehearsal: rehearsal.uplinks,
        failures,
        explanation: explainPlan(cold.standing),
      };
      printResult(options.output, result, () =>
        renderTable(
          ['', 'seconds', 'tunnels', 'opened', 'closed', 'worth', 'bound', 'gap %'],
          [
            row('from nothing', { seconds: result.seconds, ...cold.certificate, tunnels: cold.plan.tunnels.length, opened: null, closed: null }),
            ...failures.flatMap(({ uplink, repairMs, full, ...first }) => [row(`${uplink} dies: ${repairMs} ms, back in`, first), row('  planned again in full', full)]),
            row('10 % noise', { seconds: result.warmSeconds, tunnels: warm.plan.tunnels.length, ...result.warm }),
          ],
        ),
      );
    });
}

function sizeFigures(instance: Instance, { limit, seed, failures, ...options }: PlannerOptions): Omit<SizeFigures, 'sites' | 'demands' | 'links'> {
  const sweeps = options.sweeps ?? sweepsWithin(limit, instance.demands.length);
  const cold = timed(instance, { sweeps });
  rehearsed(cold.standing);
  const warm = timed(withNoise(instance, seed), { sweeps: Math.ceil(WARM_SHARE * sweeps), previousPlan: cold.plan });
  const repairs = failuresOf(cold.standing, failures, Math.ceil(REPLAN_SHARE * sweeps));
  const middle = (values: number[]): number => values.sort((one, other) => one - other)[Math.floor(values.length / 2)] ?? 0;
  return { seconds: cold.seconds, warmSeconds: warm.seconds, repairMs: middle(repairs.map(({ repairMs }) => repairMs)), backSeconds: middle(repairs.map((repair) => repair.seconds)), replanSeconds: middle(repairs.map(({ full }) => full.seconds)), provenGapPct: cold.certificate.provenGapPct, peakMemoryMb: peakMemoryMb() };
}

function peakMemoryMb(): number {
  return Math.round(process.resourceUsage().maxRSS / 1024);
}

async function loadInstance(file: string): Promise<Instance> {
  const text = await readFile(file, 'utf8').catch((cause: unknown) => {
    throw new ForemeshError('CLI_USAGE', { what: `the instance cannot be read: ${messageOf(cause)}`, fix: 'pass --instance FILE.json', cause });
  });
  const instance = parseInstance(text, file);
  for (const doubt of doubtsAbout(instance, text, file)) tell(formatFinding(doubt));
  return instance;
}

function sweepsWithin(limitMs: number, demands: number): number {
  return Math.min(demands < SWEEPS.smallDemands ? SWEEPS.mostSmall : SWEEPS.most, Math.max(SWEEPS.least, Math.floor(limitMs / (ROUND_MS_PER_DEMAND * Math.max(1, demands)))));
}

function timed(instance: Instance, options: PlanOptions): ReturnType<typeof planInstance> & { seconds: number } {
  const startedMs = performance.now();
  const result = planInstance(instance, options);
  return { ...result, seconds: Math.round(performance.now() - startedMs) / 1000 };
}

/** What a plan would lose with each of its busiest uplinks: looked at once it stands, and not counted as planning. */
function rehearsed(standing: Standing): { uplinks: Rehearsed[]; seconds: number } {
  const startedMs = performance.now();
  const uplinks = rehearseFailures(standing, REHEARSED);
  return { uplinks, seconds: Math.round(performance.now() - startedMs) / 1000 };
}

/** Steps of the change, none of which puts anything over a limit, and what has to be taken off for some of them. */
function wayThere({ steps, interrupted }: Change): { steps: number; interruptedMbps: number } {
  return { steps: steps.length, interruptedMbps: interrupted.reduce((sum, { mbps }) => sum + mbps, 0) };
}

/** One plan: what it took, how good it is, and what is opened and closed for it. */
interface PlanFigures extends Certificate {
  seconds: number;
  tunnels: number;
  opened: number | null;
  closed: number | null;
}

/** The figures of the first plan after a failure, and of the full one that goes on from it; what dies is not counted as closed. */
interface Failure extends PlanFigures {
  uplink: number;
  /** Until everything that can be carried over open tunnels is. */
  repairMs: number;
  /** Demands moved or cut at once. */
  changed: number;
  /** From the failure until the first plan stands, the repair included. */
  seconds: number;
  full: PlanFigures;
}

function row(name: string, { seconds, tunnels, opened, closed, worth, bound, provenGapPct }: PlanFigures): (string | number | null)[] {
  return [name, seconds, tunnels, opened, closed, worth.toFixed(1), bound.toFixed(1), provenGapPct.toFixed(4)];
}

function failuresOf(standing: Standing, count: number, sweeps: number): Failure[] {
  const busiest = busiestUplinks(standing);
  const step = Math.max(1, Math.floor(busiest.length / 2 / count));
  return busiest.slice(0, Math.ceil(busiest.length / 2)).filter((_, rank) => rank % step === 0).slice(0, count).map((uplink) => onTrial(standing, () => {
    const startedMs = performance.now();
    const repair = repairAfterFailure(standing, [uplink]);
    const repairedMs = performance.now();
    const first = regain(standing, repair);
    const backMs = performance.now();
    const full = replan(first.standing, sweeps);
    const doneMs = performance.now();
    const before = { tunnels: standing.plan.tunnels.filter((link) => !repair.down.includes(link)) };
    return {
      uplink,
      repairMs: Math.round(10 * (repairedMs - startedMs)) / 10,
      changed: repair.changed.length,
      ...figures(first, backMs - startedMs, before),
      full: figures(full, doneMs - backMs, first.plan),
    };
  }));
}

function figures({ plan, certificate }: Pick<Planned, 'plan' | 'certificate'>, tookMs: number, before: Pick<InstancePlan, 'tunnels'>): PlanFigures {
  return { seconds: Math.round(tookMs) / 1000, ...certificate, tunnels: plan.tunnels.length, ...difference(before, plan) };
}

function withNoise(instance: Instance, seed: string): Instance {
  const rng = createRng(seed).fork('demand-noise');
  const demands = instance.demands.map((demand) => {
    const factor = Math.exp(NOISE * rng.gaussian());
    return { ...demand, p50: demand.p50 * factor, p95: demand.p95 * factor };
  });
  return { ...instance, demands };
}

function difference(before: Pick<InstancePlan, 'tunnels'>, after: InstancePlan): { opened: number; closed: number } {
  const old = new Set(before.tunnels);
  const kept = after.tunnels.filter((link) => old.has(link)).length;
  return { opened: after.tunnels.length - kept, closed: before.tunnels.length - kept };
}

function duration(text: string): number {
  const durationMs = parseDurationMs(text);
  if (durationMs === null) throw new InvalidArgumentError('a duration is needed, such as 5s');
  return durationMs;
}

function count(text: string): number {
  if (!/^[1-9][0-9]{0,3}$/.test(text)) throw new InvalidArgumentError('a whole number from 1 to 9999 is needed');
  return Number(text);
}
