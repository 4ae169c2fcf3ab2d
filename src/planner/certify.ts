import { compareText, roundTo } from '../base/index.ts';
import { pairId, type PlanCertificate } from '../model/index.ts';
import type { Board } from './board.ts';
import { flowsWorth, measureFlows, type Instance, type Measure } from './core/index.ts';
import { flowsOf, meshInstance, type MeshInstance } from './mesh-instance.ts';
import { PLANNER_SETTINGS } from './settings.ts';

/** What a round's plan carries of its instance, and how far from the best possible that is. */
export interface Measured extends Measure {
  mesh: MeshInstance;
}

/** Measures what a round carries within the limits against every plan that there could be; the core's prices are the proof. */
export function measureRound(board: Board): Measured {
  const known = MEASURED.get(board);
  if (known) return known;
  const mesh = meshInstance(board.network, [...board.wants.values()]);
  const measured = { mesh, ...measureFlows(mesh.instance, flowsOf(mesh, board.placements), provingSweeps(mesh.instance)) };
  MEASURED.set(board, measured);
  return measured;
}

/** A finished round is asked for by the choice between rounds and by the report. */
const MEASURED = new WeakMap<Board, Measured>();

/** What a round carries, in worth; without proof. */
export function roundWorth(board: Board): number {
  const mesh = meshInstance(board.network, [...board.wants.values()]);
  return flowsWorth(mesh.instance, flowsOf(mesh, board.placements));
}

/** For the report: the figures and, where the gap is worth a word, what makes it. Undefined where nothing is wanted. */
export function certificateOf(board: Board, measured: Measured, unguidedGapPct: number | null): PlanCertificate | undefined {
  const { certificate, wanted } = measured;
  if (!(wanted > 0)) return undefined;
  const isLarge = certificate.provenGapPct >= PLANNER_SETTINGS.gapToldPct;
  return {
    wanted: roundTo(wanted, 3),
    worth: roundTo(certificate.worth, 3),
    bound: roundTo(certificate.bound, 3),
    provenGapPct: roundTo(certificate.provenGapPct, 4),
    ...(unguidedGapPct !== null && { unguidedGapPct: roundTo(unguidedGapPct, 4) }),
    why: isLarge ? [...refusals(board, measured), ...orders(board)] : [],
    short: shortOf(measured),
  };
}

/** Rounds of optimisation for a proof or a guide: counted, so that equal inputs give equal bytes; fewer where each is dear. */
export function provingSweeps({ demands }: Instance): number {
  const { most, least, work } = PLANNER_SETTINGS.sweeps;
  return Math.max(least, Math.min(most, Math.floor(work / Math.max(1, demands.length))));
}

/** What found no place though some plan could carry it, by reason, most first. */
function refusals(board: Board, { mesh, served, hasWay }: Measured): PlanCertificate['why'] {
  const short = new Set(
    mesh.demands.flatMap(({ want, isForward }, demand) => {
      const { a, b } = want.pair;
      const isShort = hasWay[demand] === 1 && mesh.instance.demands[demand]!.p95 - served[demand]! > 1e-6;
      return isShort ? [`${isForward ? pairId(a.id, b.id) : pairId(b.id, a.id)} ${want.trafficClass.id}`] : [];
    }),
  );
  const byReason = new Map<string, number>();
  for (const { pair, classId, mbps, reason } of board.notes.unplaced.values()) {
    if (short.has(`${pair} ${classId}`)) byReason.set(reason, (byReason.get(reason) ?? 0) + mbps);
  }
  return [...byReason]
    .sort(([one, mbps], [other, othersMbps]) => othersMbps - mbps || compareText(one, other))
    .slice(0, PLANNER_SETTINGS.reasonsTold)
    .map(([reason, mbps]) => ({ reason, mbps: roundTo(mbps, 3) }));
}

/** What the bound does not know: orders of people, and capacity that second copies take. */
function orders(board: Board): PlanCertificate['why'] {
  const wants = [...board.wants.values()];
  const pinned = wants.filter((want) => want.pinned !== null).length;
  const vetoed = board.network.inputs.vetoes.filter(({ until }) => until > board.network.now).length;
  const copiesMbps = [...board.copies.values()].reduce((sum, { want, fit }) => sum + want.forward.plannedMbps * fit.forward + want.backward.plannedMbps * fit.backward, 0);
  return [
    ...(pinned > 0 ? [{ reason: `${pinned} ${pinned === 1 ? 'class of a pair is' : 'classes of pairs are'} pinned by people`, mbps: null }] : []),
    ...(vetoed > 0 ? [{ reason: `${vetoed} ${vetoed === 1 ? 'change is' : 'changes are'} vetoed by people`, mbps: null }] : []),
    ...(copiesMbps > 0 ? [{ reason: 'set aside for second copies of what is sent twice', mbps: roundTo(copiesMbps, 3) }] : []),
  ];
}

/** The dearest limits, by the prices that prove the bound. */
function shortOf({ mesh, prices }: Measured): PlanCertificate['short'] {
  const uplinks = mesh.ends.length;
  const nameOf = (resource: number): string => {
    if (resource < uplinks) return `${mesh.ends[resource]!.uplink.id} up`;
    if (resource < 2 * uplinks) return `${mesh.ends[resource - uplinks]!.uplink.id} down`;
    return `${mesh.instance.sites[resource - 2 * uplinks]!.id} (crypto)`;
  };
  return [...prices.keys()]
    .filter((resource) => prices[resource]! >= PLANNER_SETTINGS.priceTold && capacityOf(mesh.instance, resource) > 0)
    .sort((one, other) => prices[other]! - prices[one]! || one - other)
    .slice(0, PLANNER_SETTINGS.reasonsTold)
    .map((resource) => ({ what: nameOf(resource), worthPerMbps: roundTo(prices[resource]!, 2) }));
}

/** Mbit/s; links of a mesh have no cap of their own. */
function capacityOf({ uplinks, gateways }: Instance, resource: number): number {
  if (resource < uplinks.length) return uplinks[resource]!.upMbps;
  if (resource < 2 * uplinks.length) return uplinks[resource - uplinks.length]!.downMbps;
  return gateways.find(({ site, role }) => site === resource - 2 * uplinks.length && role === 'active')?.cryptoMbps ?? 0;
}
