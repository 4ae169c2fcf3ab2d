import { compareText, roundTo } from '../base/index.ts';
import { pairId, type DemandReport, type PathId, type PlanReport, type TunnelId } from '../model/index.ts';
import type { Board, Placement } from './board.ts';
import { certificateOf, measureRound } from './certify.ts';
import { sortedValues } from './notes.ts';
import type { PlanInputs, PlannedRounds } from './plan.ts';
import { PLANNER_SETTINGS } from './settings.ts';
import type { DirectionDemand, Hop, Want } from './types.ts';

/** Mean month, in seconds, and Mbit in a GB: for money. */
const SECONDS_PER_MONTH = 2_629_800;
const MBIT_PER_GB = 8000;

/**
 * Why the plan is as it is, against the plan before: reasons for additions and removals come from the round that made
 * them, all else from the last. Figures are rounded here and nowhere earlier.
 */
export function buildReport(inputs: PlanInputs, { rounds, unguidedGapPct }: PlannedRounds): PlanReport {
  const { plan, board, notes } = rounds.at(-1)!;
  const loads = tunnelLoads(board);
  const before = new Set(inputs.previous.tunnels.map((tunnel) => tunnel.id));
  const now = new Set(plan.tunnels.map((tunnel) => tunnel.id));
  const added = new Map(rounds.flatMap((round) => [...round.notes.claimReasons]).filter(([tunnel]) => !before.has(tunnel)));
  const removed = new Map(rounds.flatMap((round) => [...round.notes.removed]).filter(([tunnel]) => before.has(tunnel) && !now.has(tunnel)));
  const uses = usesOfTunnels(board);
  const tunnels = plan.tunnels.map(({ id, path }) => {
    const load = loads.get(id);
    const hop = board.ledger.claimed.get(id)!;
    return {
      tunnel: id,
      path,
      reason: added.get(id) ?? uses.get(id) ?? `stands by for ${hop.ends.map((end) => end.site.id).sort(compareText).join('–')}`,
      usdPerMonth: roundTo(load?.usdPerMonth ?? 0, 2),
      peakMbps: roundTo(Math.max(load?.forwardMbps ?? 0, load?.backwardMbps ?? 0), 3),
      limitMbps: roundTo(Math.min(...hop.ends.flatMap((end) => [board.network.resources.limitsMbps[end.up]!, board.network.resources.limitsMbps[end.down]!])), 3),
    };
  });
  const foreseen = foreseenReport(board);
  const certificate = certificateOf(board, measureRound(board), unguidedGapPct);
  return {
    ...(foreseen.length > 0 ? { foreseen } : {}),
    ...(certificate && { certificate }),
    plannedAt: inputs.now,
    forecastModel: inputs.forecast?.model ?? 'none',
    ...(inputs.forecast?.version && { forecastVersion: inputs.forecast.version, serving: inputs.forecast.serving ?? [] }),
    demands: demandReports(board),
    tunnels,
    removed: [...removed.values()].sort((left, right) => compareText(left.tunnel, right.tunnel)),
    unplaced: sortedValues(notes.unplaced).map((entry) => ({ ...entry, mbps: roundTo(entry.mbps, 3) })),
    refused: sortedValues(notes.refused),
    waiting: sortedValues(notes.waiting),
    usdPerMonth: roundTo([...loads.values()].reduce((sum, load) => sum + load.usdPerMonth, 0), 2),
  };
}

/** What is worth a price to somebody, of tunnels that stay in the plan. */
function foreseenReport(board: Board): NonNullable<PlanReport['foreseen']> {
  const carried = new Set([...board.placements.values()].flatMap(({ want, choice }) => choice.flatMap(({ way }) => way.hops.map((hop) => `${hop.path} ${want.trafficClass.id}`))));
  const rows = [...board.ledger.claimed.values()].flatMap((hop) =>
    [...hop.violations].flatMap(([classId, probability]) => (probability >= PLANNER_SETTINGS.violationReturnRatio ? [{ path: hop.path, classId, probability, carries: carried.has(`${hop.path} ${classId}`) }] : [])),
  );
  return rows.sort((left, right) => right.probability - left.probability || compareText(left.path, right.path) || compareText(left.classId, right.classId));
}

interface TunnelLoad {
  forwardMbps: number;
  backwardMbps: number;
  usdPerMonth: number;
}

/** What is planned over each tunnel (Mbit/s a direction, from its end a) and what the egress of the forecast's mean costs. */
function tunnelLoads(board: Board): Map<TunnelId, TunnelLoad> {
  const loads = new Map<TunnelId, TunnelLoad>();
  for (const { want, choice, fit } of [...board.placements.values(), ...board.copies.values()]) {
    for (const { way, weight } of choice) {
      for (const route of way.routes) {
        const share = ((weight / 100) * route.share) / 100;
        let sender = want.pair.a.id;
        for (const hop of route.hops) {
          const isForward = hop.ends[0].site.id === sender;
          const [near, far] = isForward ? hop.ends : [hop.ends[1], hop.ends[0]];
          sender = far.site.id;
          const load = loads.get(hop.tunnel) ?? { forwardMbps: 0, backwardMbps: 0, usdPerMonth: 0 };
          const thereMbps = want.forward.plannedMbps * fit.forward * share;
          const backMbps = want.backward.plannedMbps * fit.backward * share;
          load.forwardMbps += isForward ? thereMbps : backMbps;
          load.backwardMbps += isForward ? backMbps : thereMbps;
          load.usdPerMonth += usdPerMonth(want.forward.meanMbps * share, near.uplink.usdPerGb) + usdPerMonth(want.backward.meanMbps * share, far.uplink.usdPerGb);
          loads.set(hop.tunnel, load);
        }
      }
    }
  }
  return loads;
}

function usdPerMonth(meanMbps: number, usdPerGb: number): number {
  const usd = ((meanMbps * SECONDS_PER_MONTH) / MBIT_PER_GB) * usdPerGb;
  return Number.isFinite(usd) && usd > 0 ? usd : 0;
}

/** `carries voice berlin–paris; backup for …`, by tunnel. */
function usesOfTunnels(board: Board): Map<TunnelId, string> {
  const carried = new Map<TunnelId, Map<string, string[]>>();
  const note = (hop: Hop, want: Want): void => {
    const pairs = carried.get(hop.tunnel) ?? new Map<string, string[]>();
    const name = `${want.pair.a.id}–${want.pair.b.id}`;
    pairs.set(name, [...(pairs.get(name) ?? []), want.trafficClass.id]);
    carried.set(hop.tunnel, pairs);
  };
  for (const { want, choice } of board.placements.values()) for (const { way } of choice) for (const hop of way.hops) note(hop, want);
  return new Map([...carried].map(([tunnel, pairs]) => [tunnel, `carries ${[...pairs].map(([pair, classes]) => `${classes.sort(compareText).join(', ')} ${pair}`).sort(compareText).join('; ')}`]));
}

function demandReports(board: Board): DemandReport[] {
  const halves = [...board.wants.values()].flatMap((want) => {
    const placement = board.placements.get(want.key);
    const { a, b } = want.pair;
    return [
      { pair: pairId(a.id, b.id), demand: want.forward },
      { pair: pairId(b.id, a.id), demand: want.backward },
    ].flatMap(({ pair, demand }) => (isWorthTelling(demand) ? [{ report: demandReport(want, pair, demand, placement), share: want.pair.share }] : []));
  });
  const whole = new Map<string, DemandReport>();
  for (const { report, share } of halves) {
    const key = `${report.pair}|${report.classId}`;
    const other = whole.get(key);
    whole.set(key, other ? joined(other, report, share) : { ...report, carriedBy: scaled(report.carriedBy, share) });
  }
  return [...whole.values()].sort(
    (left, right) => left.priority - right.priority || right.plannedMbps - left.plannedMbps || compareText(left.pair, right.pair) || compareText(left.classId, right.classId),
  );
}

function scaled(carriedBy: DemandReport['carriedBy'], share: number): DemandReport['carriedBy'] {
  return share === 1 ? carriedBy : carriedBy.map(({ path, weight }) => ({ path, weight: roundTo(weight * share, 1) }));
}

/** Both halves of what gateways share. */
function joined(one: DemandReport, other: DemandReport, share: number): DemandReport {
  const sum = (figure: 'p50Mbps' | 'p90Mbps' | 'p95Mbps' | 'plannedMbps'): number => roundTo(one[figure] + other[figure], 3);
  const carriedBy = [...one.carriedBy, ...scaled(other.carriedBy, share)].sort((left, right) => right.weight - left.weight || compareText(left.path, right.path));
  return { ...one, p50Mbps: sum('p50Mbps'), p90Mbps: sum('p90Mbps'), p95Mbps: sum('p95Mbps'), plannedMbps: sum('plannedMbps'), carriedBy };
}

function isWorthTelling(demand: DirectionDemand): boolean {
  return demand.plannedMbps > 0 || demand.p95Mbps > 0 || demand.overMaxMbps > 0;
}

/** `plannedMbps` is what is wanted, over the connection's maximum too; what of it has no place is in `unplaced`. */
function demandReport(want: Want, pair: DemandReport['pair'], demand: DirectionDemand, placement: Placement | undefined): DemandReport {
  const carriedBy = new Map<PathId, number>();
  for (const { way, weight } of placement?.choice ?? []) {
    for (const route of way.routes) for (const hop of route.hops) carriedBy.set(hop.path, (carriedBy.get(hop.path) ?? 0) + (weight * route.share) / 100);
  }
  return {
    pair,
    classId: want.trafficClass.id,
    priority: want.trafficClass.priority,
    p50Mbps: roundTo(demand.p50Mbps, 3),
    p90Mbps: roundTo(demand.p90Mbps, 3),
    p95Mbps: roundTo(demand.p95Mbps, 3),
    plannedMbps: roundTo(demand.plannedMbps + demand.overMaxMbps, 3),
    carriedBy: [...carriedBy].map(([path, weight]) => ({ path, weight })).sort((left, right) => right.weight - left.weight || compareText(left.path, right.path)),
  };
}
