import { ForemeshError } from '../../base/index.ts';
import { forecastReplay, type DemandMatrix, type ReplayModel, type ReplayOptions } from '../../forecast/index.ts';
import type { Policy } from './network.ts';
import { replayHorizons } from './pair-outlook.ts';
import { findPeaks } from './peaks.ts';
import { createPlannerPlacement } from './placement.ts';
import { createReactive, REACTIVE_TEXTBOOK, type ReactiveSettings } from './reactive.ts';
import { replay, type Figures } from './replay.ts';
import { spreadOver, type RuleSpread } from './rule-spread.ts';
import type { Topology } from './topology.ts';
import { chooseOracle, chooseReactive, forecastPolicy, oraclePolicy, RULES, type OracleSettings, type Trial } from './tune.ts';
import { buildWorld, sumOf, type World } from './world.ts';

export const FORESIGHT_POLICIES = ['reactive', 'reactive-tuned', 'patient', 'ewma', 'foremesh', 'oracle'] as const;
/** What can be compared, and what with. */
const RULE_POLICIES = ['reactive', 'reactive-tuned', 'patient'] as const;
const FORECAST_POLICIES = ['ewma', 'foremesh'] as const;
/** Whose forecasts they plan on, pair by pair. */
const PLANNED_ON: Record<(typeof FORECAST_POLICIES)[number], readonly ReplayModel[]> = { ewma: ['ewma'], foremesh: ['auto', 'ewma'] };
export type ForesightPolicy = (typeof FORESIGHT_POLICIES)[number];

export interface ForesightOptions extends Pick<ReplayOptions, 'boosted' | 'network' | 'seed' | 'onProgress'> {
  /** Share of the rows that is learned from, 0 < … < 1. */
  testFrom: number;
  policies: readonly ForesightPolicy[];
  /** Milliseconds of a clock that never goes back. */
  now: () => number;
  peakMemoryMb: () => number;
}

export interface PolicyResult extends Figures {
  unservedShare: number;
  /** As delivered, or chosen on what was learned from; how many pairs have settings of their own, chosen anew twice a day. */
  settings: ReactiveSettings | OracleSettings | { chosenByPair: number };
}

/** Share of the distance from the rule to the oracle that a policy removes, and whether it took no more than the rule. */
export interface Removed {
  unserved: number | null;
  slaMinutes: number | null;
  /** Relative to the rule's. */
  tunnelHours: number | null;
  tunnelChanges: number | null;
}

export interface ForesightResult {
  schema: 'foremesh/bench-foresight/v1';
  sites: number;
  pairs: number;
  rows: number;
  stepSeconds: number;
  /** Ends that only one of the two files has; their traffic is left out. */
  unmatched: { traffic: string[]; topology: string[] };
  world: { tunnelMbps: number; tunnelsPerDecision: number; tunnelsPerHour: number };
  replayedSlots: number;
  policies: Partial<Record<ForesightPolicy, PolicyResult>>;
  /** Against `reactive`, against the same rule tuned, and tuned with hold times of hours. */
  removed: Partial<Record<(typeof RULE_POLICIES)[number], Partial<Record<(typeof FORECAST_POLICIES)[number], Removed>>>>;
  /** Against all settings of the rule, and against those that took no more tunnel-hours and changes than `reactive`. */
  ruleSpread: Partial<Record<(typeof FORECAST_POLICIES)[number], { all: RuleSpread; withinBudget: RuleSpread }>>;
  worstDay: WorstDay | null;
  learnSeconds: number;
  seconds: number;
  peakMemoryMb: number;
}

/** The day on which the rule left most unserved; by slot. */
export interface WorstDay {
  /** Epoch ms; 0-based steps where the table counts steps. */
  startAt: number;
  demandMbps: number[];
  unservedMbps: Partial<Record<ForesightPolicy, number[]>>;
  tunnels: Partial<Record<ForesightPolicy, number[]>>;
}

/**
 * Replays the rows after `testFrom` through a mesh that was sized by the rows before, once for each policy. Whatever a policy
 * but `reactive` can be set to is chosen on the last fifth of what was learned from; `reactive` is the rule as it is delivered, and sets the budget of tunnel-hours and changes.
 * @throws ForemeshError FORECAST_DATA_INVALID when too little is left, FORESIGHT_TOPOLOGY_INVALID when no pair has both ends in the topology
 */
export async function benchForesight(matrix: DemandMatrix, topology: Topology, options: ForesightOptions): Promise<ForesightResult> {
  const startedAt = options.now();
  const rows = matrix.rowSlots.length;
  const learnedSlots = matrix.rowSlots[Math.min(rows - 1, Math.max(2, Math.floor(rows * options.testFrom)))]!;
  if (learnedSlots < 10 || matrix.length - learnedSlots < 2) throw new ForemeshError('FORECAST_DATA_INVALID', { what: `${learnedSlots} slots to learn from and ${matrix.length - learnedSlots} to replay are too few`, fix: 'give a longer table, or another --test-from' });
  const world = buildWorld(matrix, topology, learnedSlots);
  if (world.pairs.length === 0) throw new ForemeshError('FORESIGHT_TOPOLOGY_INVALID', { what: 'no pair of the traffic has both ends among the nodes of the topology', fix: 'name the nodes as the columns of the traffic do (from>to)' });
  const backFrom = Math.max(1, Math.floor(learnedSlots * 0.8)) - 1;
  const back = trialOver(world, backFrom, learnedSlots, options.seed);
  const rules = { reactive: REACTIVE_TEXTBOOK, 'reactive-tuned': chooseReactive(world, backFrom, learnedSlots, false), patient: chooseReactive(world, backFrom, learnedSlots, true) };

  const models = [...new Set(FORECAST_POLICIES.filter((name) => options.policies.includes(name)).flatMap((name) => PLANNED_ON[name]))];
  const forecasts = models.length > 0 ? await forecastReplay(pairSums(matrix, world), { ...options, learnedSlots, horizons: replayHorizons(world.slotMs), models }) : null;
  const learnSeconds = (options.now() - startedAt) / 1000;

  const watched = new Map<ForesightPolicy, SlotLog>();
  const peaks = findPeaks(world, learnedSlots - 1, matrix.length);
  const result: ForesightResult['policies'] = {};
  for (const name of FORESIGHT_POLICIES.filter((each) => options.policies.includes(each))) {
    const { policy, settings } = policyOf(name);
    const log: SlotLog = { demand: [], unserved: [], tunnels: [] };
    const figures = replay({
      world,
      policy,
      fromSlot: learnedSlots - 1,
      untilSlot: matrix.length,
      seed: options.seed,
      peaks,
      onSlot: (_, demandMbit, unservedMbit, tunnels) => {
        log.demand.push(demandMbit / (world.slotMs / 1000));
        log.unserved.push(unservedMbit / (world.slotMs / 1000));
        log.tunnels.push(tunnels);
      },
    });
    watched.set(name, log);
    result[name] = { unservedShare: figures.demandMbit > 0 ? figures.unservedMbit / figures.demandMbit : 0, ...figures, settings };
    options.onProgress(`${name}: ${(100 * result[name].unservedShare).toFixed(3)} % unserved, ${Math.round(figures.slaMinutes)} SLA minutes, ${Math.round(figures.tunnelHours)} tunnel-hours, ${figures.tunnelChanges} changes`);
  }
  const named = new Set(matrix.pairs.flatMap((pair) => pair.split('>')));
  return {
    schema: 'foremesh/bench-foresight/v1',
    sites: world.sites.length,
    pairs: world.pairs.length,
    rows,
    stepSeconds: matrix.stepMs / 1000,
    unmatched: { traffic: [...named].filter((name) => !topology.nodes.has(name)).sort(), topology: [...topology.nodes.keys()].filter((name) => !named.has(name)).sort() },
    world: { tunnelMbps: world.unitMbps, tunnelsPerDecision: world.autoApply.perDecision, tunnelsPerHour: world.autoApply.perHour },
    replayedSlots: matrix.length - learnedSlots,
    policies: result,
    removed: removedBy(result),
    ruleSpread: spreadOfRules(),
    worstDay: worstDayOf(matrix, learnedSlots, watched),
    learnSeconds,
    seconds: (options.now() - startedAt) / 1000,
    peakMemoryMb: options.peakMemoryMb(),
  };

  function spreadOfRules(): ForesightResult['ruleSpread'] {
    const { reactive, oracle } = result;
    const compared = FORECAST_POLICIES.filter((name) => result[name] !== undefined);
    if (reactive === undefined || oracle === undefined || compared.length === 0) return {};
    options.onProgress(`the rule with ${RULES.length} settings`);
    const figures = RULES.map((settings) => replay({ world, policy: createReactive(world, settings), fromSlot: learnedSlots - 1, untilSlot: matrix.length, seed: options.seed, peaks: [] }));
    const within = figures.filter((each) => each.tunnelHours <= reactive.tunnelHours && each.tunnelChanges <= reactive.tunnelChanges);
    return Object.fromEntries(compared.map((name) => [name, { all: spreadOver(figures, result[name]!, oracle), withinBudget: spreadOver(within, result[name]!, oracle) }]));
  }

  function policyOf(name: ForesightPolicy): { policy: Policy; settings: PolicyResult['settings'] } {
    if (name === 'reactive' || name === 'reactive-tuned' || name === 'patient') return { policy: createReactive(world, rules[name]), settings: rules[name] };
    if (name === 'oracle') {
      const settings = chooseOracle(world, back(createReactive(world, rules.reactive)), back);
      return { policy: oraclePolicy(world, settings, createPlannerPlacement(world)), settings };
    }
    return { policy: forecastPolicy(world, forecasts!, PLANNED_ON[name], rules.reactive, createPlannerPlacement(world), learnedSlots - 1, options.seed), settings: { chosenByPair: world.pairs.length } };
  }
}

function trialOver(world: World, fromSlot: number, untilSlot: number, seed: string): Trial {
  return (policy) => replay({ world, policy, fromSlot, untilSlot, seed: `${seed}/past`, peaks: [] });
}

/** What is forecast: both directions of a pair together, since they share its tunnels. */
export function pairSums(matrix: DemandMatrix, world: World): DemandMatrix {
  const { startAt, stepMs, slotsPerDay, length, rowSlots } = matrix;
  return { startAt, stepMs, slotsPerDay, length, rowSlots, pairs: world.pairs.map(({ a, b }) => `${world.sites[a]}>${world.sites[b]}`), values: world.pairs.map((pair) => sumOf(pair, length)) };
}

function removedBy(policies: ForesightResult['policies']): ForesightResult['removed'] {
  const { oracle } = policies;
  const share = (rule: number, own: number, least: number): number | null => (rule > least ? (rule - own) / (rule - least) : null);
  const removed: ForesightResult['removed'] = {};
  for (const against of RULE_POLICIES) {
    const rule = policies[against];
    if (rule === undefined || oracle === undefined) continue;
    removed[against] = {};
    for (const name of FORECAST_POLICIES) {
      const own = policies[name];
      if (own === undefined) continue;
      removed[against][name] = {
        unserved: share(rule.unservedMbit, own.unservedMbit, oracle.unservedMbit),
        slaMinutes: share(rule.slaMinutes, own.slaMinutes, oracle.slaMinutes),
        tunnelHours: rule.tunnelHours > 0 ? own.tunnelHours / rule.tunnelHours : null,
        tunnelChanges: rule.tunnelChanges > 0 ? own.tunnelChanges / rule.tunnelChanges : null,
      };
    }
  }
  return removed;
}

/** By counted slot. */
interface SlotLog {
  demand: number[];
  unserved: number[];
  tunnels: number[];
}

/** The calendar day on which the first of the policies left most unserved. */
function worstDayOf(matrix: DemandMatrix, learnedSlots: number, watched: ReadonlyMap<ForesightPolicy, SlotLog>): WorstDay | null {
  const [first] = watched.values();
  if (first === undefined) return null;
  const day = matrix.slotsPerDay;
  const offset = (day - ((learnedSlots + Math.round(matrix.startAt / matrix.stepMs)) % day)) % day;
  let from = 0;
  let most = -1;
  for (let start = offset; start + day <= first.unserved.length; start += day) {
    const sum = first.unserved.slice(start, start + day).reduce((total, mbps) => total + mbps, 0);
    if (sum > most) [from, most] = [start, sum];
  }
  const cut = (values: number[]): number[] => values.slice(from, from + day).map((value) => Math.round(1000 * value) / 1000);
  return {
    startAt: matrix.startAt + (learnedSlots + from) * matrix.stepMs,
    demandMbps: cut(first.demand),
    unservedMbps: Object.fromEntries([...watched].map(([name, { unserved }]) => [name, cut(unserved)])),
    tunnels: Object.fromEntries([...watched].map(([name, { tunnels }]) => [name, cut(tunnels)])),
  };
}
