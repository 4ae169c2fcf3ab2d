import type { Board, Placement } from './board.ts';
import { provingSweeps } from './certify.ts';
import { isUsable, slaRefusal } from './admissibility.ts';
import { planInstance, type Instance, type InstancePlan } from './core/index.ts';
import { flowsOf, meshInstance, type MeshInstance } from './mesh-instance.ts';
import { PLANNER_SETTINGS } from './settings.ts';
import { isVetoed } from './split.ts';
import { heldUntil } from './steadiness.ts';
import type { Choice, Want } from './types.ts';

/** What the optimising core would do, for a round to try first. */
export interface Guide {
  /** Nothing that carries something is moved because it does not carry all. */
  isHolding: boolean;
  /** By want: ways by their keys, with whole per cent that sum to 100. Empty in a round that stays with what there is. */
  choices: ReadonlyMap<string, { key: string; weight: number }[]>;
  /** By want: the share of it that the core serves, 0…1; who is served wholly goes first within a level. */
  served: ReadonlyMap<string, number>;
}

/** Makes a guide of the core's plan for a mesh that is short of something, beginning from the tunnels and routes of the plan before. */
export function guideOf(board: Board): Guide {
  const mesh = meshInstance(board.network, [...board.wants.values()]);
  const instance = guidingInstance(board, mesh);
  const before = planBefore(board, mesh);
  const { plan } = planInstance(instance, { isShared: false, sweeps: Math.min(PLANNER_SETTINGS.guidedSweepsMax, provingSweeps(instance)), ...(before && { previousPlan: before }) });
  const flows = new Map<string, Map<string, number>>();
  const servedMbps = new Map<string, number>();
  for (const { demand, links, mbps } of plan.flows) {
    const { want } = mesh.demands[demand]!;
    const ways = flows.get(want.key) ?? new Map<string, number>();
    const key = wayKey(mesh, want, links);
    ways.set(key, (ways.get(key) ?? 0) + mbps);
    flows.set(want.key, ways);
    servedMbps.set(want.key, (servedMbps.get(want.key) ?? 0) + mbps);
  }
  const wants = new Map(mesh.demands.map(({ want }) => [want.key, want]));
  return {
    isHolding: false,
    choices: new Map([...flows].map(([key, ways]) => [key, weighed(ways)])),
    served: new Map([...wants].map(([key, { forward, backward }]) => [key, (servedMbps.get(key) ?? 0) / (forward.plannedMbps + backward.plannedMbps)])),
  };
}

/** The order of a level's wants under a guide: pairs that must always be connected, then who is served most; else as it was. */
export function guidedOrder(wants: readonly Want[], { served }: Guide): Want[] {
  const rank = (want: Want): number => (want.pair.connection.mode === 'always' ? 0 : 2 - Math.round(100 * (served.get(want.key) ?? 1)) / 100);
  return wants.map((want, index) => ({ want, index, rank: rank(want) })).sort((one, other) => one.rank - other.rank || one.index - other.index).map(({ want }) => want);
}

/**
 * The guide's choice for a want, as far as today's rules allow it: every way is usable, holds the SLA and finds slots. Null
 * where there is none, where a person has a say, while the hold time of what carries it lasts, and where what there is carries more.
 */
export function guidedChoice(board: Board, want: Want, guide: Guide, current: Choice): Choice | null {
  const wished = guide.choices.get(want.key);
  if (!wished || want.vetoed.length > 0) return null;
  const ways = wished.flatMap(({ key, weight }) => {
    const way = board.wayOf(want.pair, want.trafficClass, key);
    return way && way.hops.every(isUsable) && slaRefusal(way, want.trafficClass) === null ? [{ way, weight }] : [];
  });
  const choice = wholeWeights(ways);
  if (choice.length === 0 || ways.reduce((sum, { weight }) => sum + weight, 0) < 100 * PLANNER_SETTINGS.guidedShareMin) return null;
  if (board.ledger.fullNode(choice.flatMap(({ way }) => way.hops)) !== null || isVetoed(want, choice)) return null;
  if (current.length === 0) return choice;
  const present = board.ledger.fit(current, want);
  if (present.carried > board.ledger.fit(choice, want).carried + 1e-6) return null;
  if (present.whole && heldUntil(board, current.map(({ way }) => way)) > board.network.now) return null;
  return choice;
}

/** The mesh as the core is to see it: what backs up only has its slots already, medians count as the rest, as in the measure, and a relayed Mbit/s, which pays for two hops, is dearer than a direct one. */
function guidingInstance(board: Board, { instance, demands }: MeshInstance): Instance {
  const used = new Set([...board.placements.values()].flatMap(({ choice }) => choice.flatMap(({ way }) => way.hops)));
  const standing = new Map<string, number>();
  for (const hop of board.ledger.claimed.values()) if (!used.has(hop)) for (const { site } of hop.ends) standing.set(site.id, (standing.get(site.id) ?? 0) + 1);
  return {
    ...instance,
    classes: instance.classes.map((cls) => ({ ...cls, backup: false })),
    gateways: instance.gateways.map((gateway) => (gateway.role === 'active' ? { ...gateway, maxTunnels: Math.max(0, gateway.maxTunnels - (standing.get(instance.sites[gateway.site]!.id) ?? 0)) } : gateway)),
    uplinks: instance.uplinks.map((uplink) => ({ ...uplink, usdPerGb: uplink.usdPerGb + PLANNER_SETTINGS.guidedUsdPerGb })),
    demands: instance.demands.map((demand, index) => ({ ...demand, p50: 0, p95: demand.p95 * allowance(board, demands[index]!) })),
  };
}

/** Share of a demand that others may make room for: where a person took its re-route back, what it has is what it gets. */
function allowance(board: Board, { want, isForward }: MeshInstance['demands'][number]): number {
  if (want.vetoed.length === 0) return 1;
  const fit = board.placements.get(want.key)?.fit;
  return fit ? (isForward ? fit.forward : fit.backward) : 0;
}

/** The plan before as a plan of the instance; undefined when there was none. */
function planBefore(board: Board, mesh: MeshInstance): InstancePlan | undefined {
  const placements = new Map(
    mesh.demands.map(({ want }): [string, Placement] => [want.key, { want, choice: board.previousWays(want), fit: { forward: 1, backward: 1, carried: 1, whole: true, tightest: null } }]),
  );
  const flows = flowsOf(mesh, placements);
  const tunnels = [...new Set(flows.flatMap(({ links }) => links))];
  if (tunnels.length === 0) return undefined;
  return { tunnels, flows, backups: [], idle: [], prices: [] };
}

function wayKey({ hops }: MeshInstance, want: Want, links: readonly number[]): string {
  const [first, second] = links.map((link) => hops[link]!);
  if (!second) return `direct:${first!.path}`;
  const relay = first!.ends.find(({ site }) => site !== want.pair.a && site !== want.pair.b) ?? first!.ends[0];
  return `relay:${relay.site.id}`;
}

/** The heaviest ways, in whole per cent. */
function weighed(ways: ReadonlyMap<string, number>): { key: string; weight: number }[] {
  const heaviest = [...ways].sort(([one, mbps], [other, othersMbps]) => othersMbps - mbps || (one < other ? -1 : 1)).slice(0, PLANNER_SETTINGS.waysMax);
  return wholeWeights(heaviest.map(([key, mbps]) => ({ key, weight: mbps })));
}

/** Weights that sum to 100, in steps of `guidedWeightStep`; what rounds to nothing is left out. */
function wholeWeights<T extends { weight: number }>(items: readonly T[]): T[] {
  const step = PLANNER_SETTINGS.guidedWeightStep;
  const total = items.reduce((sum, { weight }) => sum + weight, 0);
  if (!(total > 0)) return [];
  const exact = items.map(({ weight }) => ((weight / total) * 100) / step);
  const steps = exact.map(Math.floor);
  const order = exact.map((_, index) => index).sort((one, other) => exact[other]! - steps[other]! - (exact[one]! - steps[one]!) || one - other);
  let missing = 100 / step - steps.reduce((sum, part) => sum + part, 0);
  for (const index of order) if (missing-- > 0) steps[index]!++;
  return items.flatMap((item, index) => (steps[index]! > 0 ? [{ ...item, weight: steps[index]! * step }] : []));
}
