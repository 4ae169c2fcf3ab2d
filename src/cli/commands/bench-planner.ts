import { readFile } from 'node:fs/promises';
import { InvalidArgumentError, type Command } from 'commander';
import { createRng, ForemeshError, messageOf, parseDurationMs } from '../../base/index.ts';
import { planInstance, readInstance, type Instance, type InstancePlan, type PlanOptions } from '../../planner/index.ts';
import { outputOption, type CommonOptions } from '../options.ts';
import { printResult, renderTable, tell } from '../output.ts';

interface PlannerOptions extends CommonOptions {
  instance: string;
  /** ms */
  limit: number;
  sweeps?: number;
  seed: string;
}

/** What a round of optimisation costs for each demand, ms (two cores of 2026, busy); 10,000 demands take 0.1 s. */
const ROUND_MS_PER_DEMAND = 0.01;
/** Below, plans are poor; above, no better. */
const SWEEPS = { least: 6, most: 24 } as const;
/** A plan that starts from the one before needs fewer rounds. */
const WARM_SHARE = 0.4;
/** Standard deviation of ln(demand) from one cycle to the next. */
const NOISE = 0.1;

/** `foremesh bench planner`: plans an instance from nothing and again with noisy demand, with proof of how good the plan is. */
export function addPlannerBench(bench: Command): void {
  bench
    .command('planner')
    .description('what planning takes, cold and from the plan before, and how far from the best possible the plan is, proven by its own prices')
    .requiredOption('--instance <file>', 'a te-instance/1 (docs/planning.md)')
    .option('--limit <duration>', 'about how long planning may take; the same limit gives the same plan on every machine', duration, 5000)
    .option('--sweeps <n>', 'rounds of optimisation instead of a limit', count)
    .option('--seed <text>', 'of the noise', 'bench')
    .addOption(outputOption())
    .action(async (options: PlannerOptions) => {
      const instance = await loadInstance(options.instance);
      const sweeps = options.sweeps ?? sweepsWithin(options.limit, instance.demands.length);
      tell(`planning ${instance.demands.length} demands, ${sweeps} sweeps`);
      const cold = timed(instance, { sweeps });
      const warm = timed(withNoise(instance, options.seed), { sweeps: Math.ceil(WARM_SHARE * sweeps), previousPlan: cold.plan });
      const result = {
        schema: 'foremesh/bench-planner/v1',
        seconds: cold.seconds,
        warmSeconds: warm.seconds,
        plan: cold.plan,
        peakMemoryMb: Math.round(process.resourceUsage().maxRSS / 1024),
        sweeps,
        ...cold.certificate,
        warm: { ...warm.certificate, ...difference(cold.plan, warm.plan) },
      };
      printResult(options.output, result, () =>
        renderTable(
          ['', 'seconds', 'tunnels', 'opened', 'closed', 'worth', 'bound', 'gap %'],
          [
            ['from nothing', result.seconds, cold.plan.tunnels.length, null, null, cold.certificate.worth.toFixed(1), cold.certificate.bound.toFixed(1), cold.certificate.provenGapPct.toFixed(4)],
            ['10 % noise', result.warmSeconds, warm.plan.tunnels.length, result.warm.opened, result.warm.closed, warm.certificate.worth.toFixed(1), warm.certificate.bound.toFixed(1), warm.certificate.provenGapPct.toFixed(4)],
          ],
        ),
      );
    });
}

async function loadInstance(file: string): Promise<Instance> {
  const text = await readFile(file, 'utf8').catch((cause: unknown) => {
    throw new ForemeshError('CLI_USAGE', { what: `the instance cannot be read: ${messageOf(cause)}`, fix: 'pass --instance FILE.json', cause });
  });
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch (cause) {
    throw new ForemeshError('INSTANCE_INVALID', { what: `${file} is no JSON: ${messageOf(cause)}`, fix: 'correct the named place; docs/planning.md has the format', cause });
  }
  return readInstance(value);
}

function sweepsWithin(limitMs: number, demands: number): number {
  return Math.min(SWEEPS.most, Math.max(SWEEPS.least, Math.floor(limitMs / (ROUND_MS_PER_DEMAND * Math.max(1, demands)))));
}

function timed(instance: Instance, options: PlanOptions): ReturnType<typeof planInstance> & { seconds: number } {
  const startedMs = performance.now();
  const result = planInstance(instance, options);
  return { ...result, seconds: Math.round(performance.now() - startedMs) / 1000 };
}

function withNoise(instance: Instance, seed: string): Instance {
  const rng = createRng(seed).fork('demand-noise');
  const demands = instance.demands.map((demand) => {
    const factor = Math.exp(NOISE * rng.gaussian());
    return { ...demand, p50: demand.p50 * factor, p95: demand.p95 * factor };
  });
  return { ...instance, demands };
}

function difference(before: InstancePlan, after: InstancePlan): { opened: number; closed: number } {
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
